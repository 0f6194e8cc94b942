import weakref

import pytest
import torch
from fakes import tiny_gpt2, tiny_llama, tiny_qwen2

from llamarec_cli.language_model.adapters import add_adapter
from llamarec_cli.language_model.base_models import compute_dtype
from llamarec_cli.language_model.packed_linear import PackedLinear, pack_linears

pytestmark = pytest.mark.skipif(
    compute_dtype(torch.device("cpu")) is not torch.bfloat16, reason="this processor does not multiply bfloat16"
)


def packed(model: torch.nn.Module) -> list[torch.nn.Module]:
    return [module for module in model.modules() if isinstance(module, PackedLinear)]


@torch.no_grad()
@pytest.mark.parametrize("make", [tiny_llama, tiny_qwen2])
@pytest.mark.parametrize("tokens", [1, 90])
def test_a_packed_model_computes_the_same(make: object, tokens: int) -> None:
    plain, fast = make().to(torch.bfloat16), make().to(torch.bfloat16)
    pack_linears(fast)
    assert len(packed(fast)) == 14  # seven in each of two layers; not the head
    ids = torch.randint(0, 258, (1, tokens), generator=torch.Generator().manual_seed(0))
    # The same products, perhaps summed in another order.
    assert torch.allclose(plain(ids).logits, fast(ids).logits, atol=0.02)


def test_only_plain_linear_layers_in_bfloat16_are_packed() -> None:
    for model in (tiny_llama(), tiny_gpt2().to(torch.bfloat16)):
        pack_linears(model)
        assert not packed(model)
    adapted = add_adapter(tiny_llama().to(torch.bfloat16), rank=2, alpha=2, dropout=0.0).base_model.model
    pack_linears(adapted)
    targets = [module for name, module in adapted.named_modules() if name.endswith(("q_proj", "v_proj"))]
    assert targets
    assert not any(isinstance(module, PackedLinear) for module in targets)


def test_each_layer_is_freed_once_it_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_llama().to(torch.bfloat16)
    plain = [weakref.ref(module) for module in model.model.modules() if isinstance(module, torch.nn.Linear)]
    alive: list[int] = []
    pack = PackedLinear.__init__

    def counted(self: PackedLinear, linear: torch.nn.Linear) -> None:
        alive.append(sum(one() is not None for one in plain))
        pack(self, linear)

    monkeypatch.setattr(PackedLinear, "__init__", counted)
    pack_linears(model)
    assert len(alive) == len(plain) == 14
    # The siblings within one attention or MLP block at most.
    assert alive[-1] <= 4

"""LoRA adapters through peft: a fresh one for training, one on disk, one merged for inference (paper, section 3.2.2).

On disk they have peft's own format, so that other tools read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from llamarec_cli.ranking.base_models import quiet_libraries

# As peft calls it.
ADAPTER_FILE = "adapter_model.safetensors"


def add_adapter(model: Any, rank: int, alpha: int, dropout: float, targets: Sequence[str] = ()) -> Any:
    """Put a fresh adapter into a frozen base model, in place, and return the peft model around it.

    Args:
        model: A transformers causal language model.
        rank: Inner dimension of the adapter.
        alpha: Scale; the adapter's output is multiplied by alpha / rank.
        dropout: Dropout on the adapter's input.
        targets: Names of the linear maps adapted; empty for peft's choice for the architecture, which for Llama is
            the paper's, `q_proj` and `v_proj`.
    """
    with quiet_libraries():
        from peft import LoraConfig, get_peft_model

        lora = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            lora_dropout=dropout,
            target_modules=list(targets) or None,
            bias="none",
            task_type="CAUSAL_LM",
        )
        return get_peft_model(model, lora)


def adapter_parameters(adapted: Any) -> dict[str, Tensor]:
    """Return the trainable tensors of a peft model by name."""
    return {name: parameter for name, parameter in adapted.named_parameters() if parameter.requires_grad}


def save_adapter(adapted: Any, folder: Path, base_name: str) -> None:
    """Write `adapter_model.safetensors` and `adapter_config.json`.

    Args:
        adapted: A peft model.
        folder: An existing folder.
        base_name: Name of the base model; peft would write the path it was loaded from, which means nothing elsewhere.
    """
    adapted.peft_config["default"].base_model_name_or_path = base_name
    # Without the flag peft would look the base model up on the Hub, to see whether its vocabulary was extended.
    adapted.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # peft's model card is a form that nobody filled in


def merge_adapter(model: Any, folder: Path) -> Any:
    """Put an adapter from disk into a base model, and return the plain model in evaluation mode.

    Its product is added to the weights; quantised ones would be rounded anew by that, so beside those it stays a layer
    of its own.
    """
    with quiet_libraries():
        from peft import PeftModel

        adapted = PeftModel.from_pretrained(model, folder)
        if getattr(model, "is_quantized", False):
            return adapted.eval().get_base_model()
        return adapted.merge_and_unload().eval()

import subprocess
import sys

import pytest
import torch

from llamarec_cli.pipeline.bench.random_models import ARCHITECTURES, random_model


def test_the_vocabulary_covers_the_default_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = {"vocab_size": 7, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    monkeypatch.setitem(ARCHITECTURES, "tiny", ("llama", tiny))
    model = random_model("tiny", torch.device("cpu"), torch.float32)
    assert len(model.get_input_embeddings().weight) == 49_152
    assert model.dtype == torch.float32
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_the_list_of_architectures_needs_no_torch() -> None:
    code = "import sys, llamarec_cli.pipeline.bench.random_models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""Base models: conversion from GGUF, and loading for training and for inference."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any, assert_never

import torch

from llamarec_cli.language_model.attention import use_own_attention
from llamarec_cli.language_model.head import check_head
from llamarec_cli.language_model.libraries import OF_FILES, as_one_sentence, open_model, open_tokenizer, quiet_libraries
from llamarec_cli.names import Quantization


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Turn a GGUF file of the Llama architecture into a folder that loads in under a second.

    Writes `model.safetensors` in bfloat16, the configuration and the tokenizer.

    Args:
        gguf: The GGUF file.
        folder: An existing, empty folder.
    """
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, LlamaForCausalLM

    # transformers draws a progress bar of its own here, which no setting of its turns off.
    with quiet_libraries(), contextlib.redirect_stderr(io.StringIO()):
        source = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            dtype=torch.bfloat16,
            quantization_config=GgufConfig(dequantize=True),
            **OF_FILES,
        )
        # A model that was loaded from GGUF refuses to be saved as anything else, so its tensors move to a fresh one.
        config = source.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        fresh = LlamaForCausalLM(config).to(torch.bfloat16)
        fresh.load_state_dict(source.state_dict())
        fresh.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, **OF_FILES)
        # transformers' conversion forgets that SmolLM2 splits digits before the byte-level split, which matters for
        # several spaces before a digit and for numerals such as "½".
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
        tokenizer.save_pretrained(folder)


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a base model folder.

    Raises:
        LlamaRecError: The folder is refused, or its tokenizer cannot be loaded.
    """
    return open_tokenizer(folder)


def default_quantization(device: torch.device) -> Quantization:
    """Return NF4 on CUDA, as the paper trains, and none on CPU, where it saves memory but no time."""
    return Quantization.NF4 if device.type == "cuda" else Quantization.NONE


def load_base_model(
    folder: Path,
    device: torch.device,
    quantization: Quantization = Quantization.NONE,
    dtype: torch.dtype | None = None,
) -> Any:
    """Load a base model's weights, frozen and in evaluation mode.

    Args:
        folder: A base model folder.
        device: Where it goes.
        quantization: NF4 holds the linear maps in 4 bits (double quantisation, bfloat16 compute, as QLoRA).
        dtype: What it computes in unless it is quantised; by default bfloat16, or float32 on a CPU without bfloat16
            instructions.

    Returns:
        A transformers causal language model.

    Raises:
        LlamaRecError: The folder is refused, its model cannot be loaded as a whole, or it computes logits in a way
            that is not read here.
    """
    options: dict[str, Any] = {"dtype": dtype or compute_dtype(device)}
    match quantization:
        case Quantization.NONE:
            pass
        case Quantization.NF4:
            from transformers import BitsAndBytesConfig

            options |= {
                "dtype": torch.bfloat16,
                "device_map": {"": str(device)},
                "quantization_config": BitsAndBytesConfig(
                    load_in_4bit=True,
                    bnb_4bit_quant_type="nf4",
                    bnb_4bit_use_double_quant=True,
                    bnb_4bit_compute_dtype=torch.bfloat16,
                ),
            }
        case _:
            assert_never(quantization)
    model = open_model(folder, **options)
    if quantization is Quantization.NF4:
        _keep_trainable_on_cpu(model)
    else:
        model.to(device)
    model.eval().requires_grad_(False)
    with quiet_libraries(), as_one_sentence(f"The base model in {folder}"):
        check_head(model)
    use_own_attention(model)
    return model


def compute_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the device computes in it, else float32."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    if device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False):
        return torch.bfloat16
    return torch.float32


def _keep_trainable_on_cpu(model: Any) -> None:
    """Stop bitsandbytes from repacking 4-bit weights at the first forward without gradients.

    On processors with AVX512-BF16 it does so, and every later training step silently gets no gradient.
    """
    from bitsandbytes.nn import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False

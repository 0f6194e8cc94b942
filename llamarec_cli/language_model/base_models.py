"""Base models: conversion from GGUF, and loading for training and for inference."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any, assert_never

import torch

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.attention import use_block_attention
from llamarec_cli.language_model.catalogue import OTHER_BASE_HINT
from llamarec_cli.language_model.head import check_head
from llamarec_cli.language_model.libraries import (
    FILE_OPTIONS,
    WEIGHT_OPTIONS,
    check_loaded_tensors,
    loading_errors,
    quiet_libraries,
)
from llamarec_cli.language_model.model_folders import check_model_folder
from llamarec_cli.names import Quantization


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Convert a GGUF file of the Llama architecture to a base model folder, which loads in under a second.

    Writes `model.safetensors` in bfloat16, the configuration and the tokenizer.

    Args:
        gguf: The GGUF file.
        folder: An existing, empty folder.
    """
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, LlamaForCausalLM

    # transformers draws a progress bar here that none of its settings turns off.
    with quiet_libraries(), contextlib.redirect_stderr(io.StringIO()):
        source = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            dtype=torch.bfloat16,
            quantization_config=GgufConfig(dequantize=True),
            **FILE_OPTIONS,
        )
        # transformers refuses to save a model that was loaded from GGUF, so its weights are copied to a new one.
        config = source.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        fresh = LlamaForCausalLM(config).to(torch.bfloat16)
        fresh.load_state_dict(source.state_dict())
        fresh.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, **FILE_OPTIONS)
        # The conversion of transformers drops SmolLM2's splitting of digits before the byte-level split. It affects
        # several spaces before a digit, and numerals such as "½".
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
    from transformers import AutoTokenizer

    check_model_folder(folder)
    with quiet_libraries(), loading_errors(f"The tokenizer in {folder}"):
        return AutoTokenizer.from_pretrained(folder, **FILE_OPTIONS)


def default_quantization(device: torch.device) -> Quantization:
    """Return NF4 on CUDA, as in the paper, and none on a CPU, where it saves memory but no time."""
    return Quantization.NF4 if device.type == "cuda" else Quantization.NONE


def load_base_model(
    folder: Path,
    device: torch.device,
    quantization: Quantization = Quantization.NONE,
    dtype: torch.dtype | None = None,
) -> Any:
    """Load a base model with frozen weights, in evaluation mode.

    Args:
        folder: A base model folder.
        device: Device of the weights.
        quantization: NF4 stores linear layers in 4 bits (double quantisation, bfloat16 compute, as QLoRA).
        dtype: Data type without quantisation; by default bfloat16, or float32 on a CPU without bfloat16 instructions.

    Returns:
        A transformers causal language model.

    Raises:
        LlamaRecError: The folder is refused, its model cannot be loaded completely, or its output head is not
            supported.
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
    model = _load_model(folder, **options)
    if quantization is Quantization.NF4:
        _keep_trainable_on_cpu(model)
    else:
        model.to(device)
    model.eval().requires_grad_(False)
    with quiet_libraries(), loading_errors(f"The base model in {folder}"):
        check_head(model)
    use_block_attention(model)
    return model


def _load_model(folder: Path, **options: Any) -> Any:
    """Load the model of a base model folder with every weight from its files; options are those of transformers."""
    from transformers import AutoConfig, AutoModelForCausalLM

    check_model_folder(folder)
    with quiet_libraries(), loading_errors(f"The base model in {folder}"):
        config = AutoConfig.from_pretrained(folder, **FILE_OPTIONS)
        if getattr(config, "is_encoder_decoder", False):
            raise LlamaRecError(
                f"The model in {folder} is an encoder-decoder, which is not supported.", OTHER_BASE_HINT
            )
        # Mismatched shapes are reported instead of logged as a table, and refused below like any other fault.
        reporting = {"output_loading_info": True, "ignore_mismatched_sizes": True}
        model, report = AutoModelForCausalLM.from_pretrained(folder, **WEIGHT_OPTIONS, **reporting, **options)
    check_loaded_tensors(f"The base model in {folder}", report)
    return model


def compute_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 if the device has instructions for it, else float32."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    if device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False):
        return torch.bfloat16
    return torch.float32


def _keep_trainable_on_cpu(model: Any) -> None:
    """Stop bitsandbytes from repacking 4-bit weights at the first forward pass without gradients.

    It does so on CPUs with AVX512-BF16, and training steps after that silently get no gradient.
    """
    from bitsandbytes.nn import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False

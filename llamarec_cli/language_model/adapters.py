"""LoRA adapters through peft: creating, saving, loading and merging them (paper, section 3.2.2).

Files are in peft's own format, so that other tools can read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.libraries import check_loaded_tensors, loading_errors, quiet_libraries
from llamarec_cli.language_model.model_folders import ADAPTER_CONFIG_FILE, ADAPTER_FILE, check_adapter_folder

# The paper's targets, under the names that most architectures use.
_DEFAULT_TARGETS = ("q_proj", "v_proj")
# Settings read from an adapter's configuration: which layers it adapts, and how.
_READ_SETTINGS = (
    "r",
    "lora_alpha",
    "lora_dropout",
    "target_modules",
    "exclude_modules",
    "rank_pattern",
    "alpha_pattern",
    "layers_to_transform",
    "layers_pattern",
    "fan_in_fan_out",
    "use_rslora",
    "use_dora",
)
# Settings that have no effect here. Some name other models, which are never opened.
_IGNORED_SETTINGS = frozenset(
    {"peft_version", "base_model_name_or_path", "revision", "auto_mapping", "inference_mode", "task_type"}
)


def add_adapter(model: Any, rank: int, alpha: int, dropout: float, targets: Sequence[str] = ()) -> Any:
    """Add a new adapter to a frozen base model, in place, and return the peft model.

    Args:
        model: A transformers causal language model.
        rank: Rank of the adapter.
        alpha: Scale; the adapter's output is multiplied by alpha / rank.
        dropout: Dropout on the adapter's input.
        targets: Names of the linear layers to adapt; by default the paper's, `q_proj` and `v_proj`, or peft's choice
            if the architecture has no layers of these names.

    Raises:
        LlamaRecError: The model has no such layers, or no default is known for its architecture.
    """
    with quiet_libraries():
        from peft import LoraConfig, get_peft_model

        lora = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            lora_dropout=dropout,
            target_modules=_target_modules(model, targets),
            bias="none",
            task_type="CAUSAL_LM",
        )
        with loading_errors("An adapter for this base model"):
            return get_peft_model(model, lora)


def _target_modules(model: Any, targets: Sequence[str]) -> list[str]:
    """Return the names of the linear layers to adapt, all of which the model has."""
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as PEFT_TARGETS

    head = model.get_output_embeddings()
    layers = [
        f".{name}"
        for name, module in model.named_modules()
        if module is not head and (isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D")
    ]
    defaults = [list(_DEFAULT_TARGETS), list(PEFT_TARGETS.get(model.config.model_type, []))]
    for names in [list(targets)] if targets else defaults:
        if names and all(any(layer.endswith(f".{name}") for layer in layers) for name in names):
            return names
    fault = (
        f"no linear layers named {' and '.join(targets)}" if targets else "none of the linear layers usually adapted"
    )
    available = sorted({layer.rsplit(".", 1)[-1] for layer in layers})
    raise LlamaRecError(
        f"This base model ({model.config.model_type}) has {fault}, so that no adapter can be trained.",
        f"Set lora_targets in table [ranker] of a `config` file to some of: {', '.join(available)}.",
    )


def adapter_parameters(adapted: Any) -> dict[str, Tensor]:
    """Return the trainable parameters of a peft model by name."""
    return {name: parameter for name, parameter in adapted.named_parameters() if parameter.requires_grad}


def save_adapter(adapted: Any, folder: Path, base_name: str) -> None:
    """Write `adapter_model.safetensors` and `adapter_config.json`.

    Args:
        adapted: A peft model.
        folder: An existing folder.
        base_name: Name of the base model, written in place of its local path.
    """
    adapted.peft_config["default"].base_model_name_or_path = base_name
    # Without the argument peft looks the base model up on the Hub, to see whether its vocabulary was extended.
    adapted.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # peft's empty model card


def holds_adapter(folder: Path) -> bool:
    """Return whether a folder contains an adapter, in any format; `merge_adapter` refuses all but safetensors."""
    return any(folder.glob("adapter_*"))


def merge_adapter(model: Any, folder: Path) -> Any:
    """Apply an adapter from disk to a base model, and return the plain model in evaluation mode.

    The adapter is merged into the weights. Quantised weights would be rounded again by that, so there it stays a
    separate layer.

    Only the layers and their scale are read from `adapter_config.json`: peft would import modules named there.

    Raises:
        LlamaRecError: The adapter is not in safetensors, is not a LoRA adapter, or does not fit the model.
    """
    what = f"The adapter in {folder}"
    config = check_adapter_folder(folder)
    with quiet_libraries(), loading_errors(what):
        from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
        from safetensors.torch import load_file

        _check_plain_lora(config, LoraConfig().to_dict(), what)
        settings = {name: config[name] for name in _READ_SETTINGS if config.get(name) is not None}
        adapted = get_peft_model(model, LoraConfig(**settings, bias="none", task_type="CAUSAL_LM"))
        if hasattr(model.get_output_embeddings(), "base_layer"):
            raise LlamaRecError(f"{what} adapts the output head, which is not supported.")
        result = set_peft_model_state_dict(adapted, load_file(folder / ADAPTER_FILE))
        # peft also reports the base model's weights as missing.
        missing = set(adapter_parameters(adapted)) & set(result.missing_keys)
        check_loaded_tensors(what, {"missing_keys": missing, "unexpected_keys": result.unexpected_keys})
        adapted = adapted.eval().requires_grad_(False)
        if getattr(model, "is_quantized", False):
            return adapted.get_base_model()
        return adapted.merge_and_unload().eval()


def _check_plain_lora(config: Mapping[str, Any], defaults: Mapping[str, Any], what: str) -> None:
    """Raise unless an adapter is plain LoRA: any setting that is neither read nor ignored must have its default."""
    if config.get("peft_type") != "LORA":
        raise LlamaRecError(f"{what} is not a LoRA adapter (peft_type in {ADAPTER_CONFIG_FILE}).")
    if config.get("init_lora_weights", True) not in (True, False, "gaussian"):
        raise LlamaRecError(f"{what} needs modified weights of its base model (init_lora_weights).")
    for name, value in config.items():
        default = defaults.get(name)
        known = name in _READ_SETTINGS or name in _IGNORED_SETTINGS or name in ("peft_type", "init_lora_weights")
        if not known and value != default and (value or default):
            raise LlamaRecError(f"{what} sets {name} in {ADAPTER_CONFIG_FILE}, which is not supported.")

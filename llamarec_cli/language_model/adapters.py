"""LoRA adapters through peft: a fresh one for training, one on disk, one merged for inference (paper, section 3.2.2).

On disk they have peft's own format, so that other tools read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from llamarec_cli.errors import LlamaRecError
from llamarec_cli.language_model.libraries import as_one_sentence, quiet_libraries, refuse_other_tensors
from llamarec_cli.language_model.model_folders import ADAPTER_CONFIG_FILE, ADAPTER_FILE, check_adapter_folder

# The paper's; most architectures name their maps so.
_USUAL_TARGETS = ("q_proj", "v_proj")
# What is taken from an adapter's configuration: which maps it changes, and how.
_TAKEN = (
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
# What may stand there and means nothing here. Names of other models are among them: they are not looked up.
_PASSED_OVER = frozenset(
    {"peft_version", "base_model_name_or_path", "revision", "auto_mapping", "inference_mode", "task_type"}
)


def add_adapter(model: Any, rank: int, alpha: int, dropout: float, targets: Sequence[str] = ()) -> Any:
    """Put a fresh adapter into a frozen base model, in place, and return the peft model around it.

    Args:
        model: A transformers causal language model.
        rank: Inner dimension of the adapter.
        alpha: Scale; the adapter's output is multiplied by alpha / rank.
        dropout: Dropout on the adapter's input.
        targets: Names of the linear maps adapted; empty for the paper's, `q_proj` and `v_proj`, and where the
            architecture has none of these names, peft's choice.

    Raises:
        LlamaRecError: The model has no such maps, or none are known for its architecture.
    """
    with quiet_libraries():
        from peft import LoraConfig, get_peft_model

        lora = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            lora_dropout=dropout,
            target_modules=_targets(model, targets),
            bias="none",
            task_type="CAUSAL_LM",
        )
        with as_one_sentence("An adapter for this base model"):
            return get_peft_model(model, lora)


def _targets(model: Any, wanted: Sequence[str]) -> list[str]:
    """Return the names of the linear maps to adapt, wanted ones or usual ones, all of which the model has."""
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as CHOICES

    head = model.get_output_embeddings()
    maps = [
        f".{name}"
        for name, module in model.named_modules()
        if module is not head and (isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D")
    ]
    choices = [list(wanted)] if wanted else [list(_USUAL_TARGETS), list(CHOICES.get(model.config.model_type, []))]
    for names in choices:
        if names and all(any(one.endswith(f".{name}") for one in maps) for name in names):
            return names
    which = f"no linear maps called {' and '.join(wanted)}" if wanted else "none of the linear maps usually adapted"
    there = sorted({one.rsplit(".", 1)[-1] for one in maps})
    raise LlamaRecError(
        f"This base model ({model.config.model_type}) has {which}, so that no adapter can be trained.",
        f"Name some in lora_targets in the table [ranker] of a --config file: {', '.join(there)}.",
    )


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


def holds_adapter(folder: Path) -> bool:
    """Return whether a folder holds an adapter, in whatever form; `merge_adapter` reads one and refuses all others."""
    return any(folder.glob("adapter_*"))


def merge_adapter(model: Any, folder: Path) -> Any:
    """Put an adapter from disk into a base model, and return the plain model in evaluation mode.

    Its product is added to the weights; quantised ones would be rounded anew by that, so beside those it stays a layer
    of its own.

    Only what `adapter_config.json` tells of the maps is taken; peft would import modules by names that stand there.

    Raises:
        LlamaRecError: The adapter is not in safetensors, is of another kind than LoRA, or does not fit the model.
    """
    what = f"The adapter in {folder}"
    config = check_adapter_folder(folder)
    with quiet_libraries(), as_one_sentence(what):
        from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
        from safetensors.torch import load_file

        _refuse_other_kinds(config, LoraConfig().to_dict(), what)
        taken = {name: config[name] for name in _TAKEN if config.get(name) is not None}
        adapted = get_peft_model(model, LoraConfig(**taken, bias="none", task_type="CAUSAL_LM"))
        if hasattr(model.get_output_embeddings(), "base_layer"):
            raise LlamaRecError(f"{what} changes the output head, which is read without it.")
        result = set_peft_model_state_dict(adapted, load_file(folder / ADAPTER_FILE))
        own = set(adapter_parameters(adapted))
        found = {"missing_keys": own & set(result.missing_keys), "unexpected_keys": result.unexpected_keys}
        refuse_other_tensors(what, found)
        adapted = adapted.eval().requires_grad_(False)
        if getattr(model, "is_quantized", False):
            return adapted.get_base_model()
        return adapted.merge_and_unload().eval()


def _refuse_other_kinds(config: Mapping[str, Any], defaults: Mapping[str, Any], what: str) -> None:
    """Raise if an adapter is more than low-rank products beside linear maps: by a setting that is not taken from it."""
    if config.get("peft_type") != "LORA":
        raise LlamaRecError(f"{what} is none of LoRA, by peft_type in {ADAPTER_CONFIG_FILE}.")
    if config.get("init_lora_weights", True) not in (True, False, "gaussian"):
        raise LlamaRecError(f"{what} needs other weights of its base model, by init_lora_weights.")
    for name, value in config.items():
        default = defaults.get(name)
        known = name in _TAKEN or name in _PASSED_OVER or name in ("peft_type", "init_lora_weights")
        if not known and value != default and (value or default):
            raise LlamaRecError(f"{what} asks for {name} in {ADAPTER_CONFIG_FILE}, which is not read here.")

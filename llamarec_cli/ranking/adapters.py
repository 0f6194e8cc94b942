"""LoRA adapters on disk, in peft's own format, so that other tools read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any


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
    """Add the adapter's product to the base model's weights and return the plain model, in evaluation mode."""
    from peft import PeftModel

    return PeftModel.from_pretrained(model, folder).merge_and_unload().eval()

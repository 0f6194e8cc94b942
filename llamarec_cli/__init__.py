"""LlamaRec on the command line, and from Python as `LlamaRec`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llamarec_cli.errors import LlamaRecError

__version__ = "0.1.0"
__all__ = ["LlamaRec", "LlamaRecError", "__version__"]

if TYPE_CHECKING:
    from llamarec_cli.api import LlamaRec


def __getattr__(name: str) -> Any:
    """Import `LlamaRec` on first access, so that importing the package does not import torch."""
    if name == "LlamaRec":
        from llamarec_cli.api import LlamaRec

        return LlamaRec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

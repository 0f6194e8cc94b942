"""LlamaRec on the command line, and from Python as `LlamaRec`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["LlamaRec", "__version__"]

if TYPE_CHECKING:
    from llamarec_cli.api import LlamaRec


def __getattr__(name: str) -> Any:
    """Import `LlamaRec` when it is first asked for: the command line's help must not pay for torch."""
    if name == "LlamaRec":
        from llamarec_cli.api import LlamaRec

        return LlamaRec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

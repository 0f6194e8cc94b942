"""The device that work runs on."""

from __future__ import annotations

import torch


def best_device() -> torch.device:
    """Return CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def own_device() -> torch.device:
    """Return the device of this process, with its number where there may be several."""
    device = best_device()
    return torch.device("cuda", torch.cuda.current_device()) if device.type == "cuda" else device

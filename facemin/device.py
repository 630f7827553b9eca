"""Which device computes."""

from __future__ import annotations

import torch


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; for "auto" the best there is.

    Args:
        name: "auto", "cpu", "cuda", "cuda:N", "mps", ...

    Raises:
        ValueError: when torch does not know the name, or the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device: expected auto, cpu or a device that is there, got {name!r}: {reason}") from None
    return device


def describe(device: torch.device) -> str:
    """The device in words, as reports and the command line name it."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"

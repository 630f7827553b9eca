"""Compute device and precision of gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from facemin.runtime.compute import Precision


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; for "auto" the best there is.

    Args:
        name: "auto", "cpu", "cuda", "cuda:N", "mps", ...

    Raises:
        ValueError: when torch does not know the name, or the device is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
        if device.type == "cuda":
            # cuDNN's own default rounds factors to 10 bits: residuals and verdicts are said to be float32's
            torch.backends.cudnn.allow_tf32 = False
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device: expected auto, cpu or a device that is there, got {name!r}: {reason}") from None
    return device


def choose_precision(name: Precision, device: torch.device) -> torch.dtype:
    """The type that gradients are computed in; for "auto" bfloat16 where the device has matrix units for it.

    Args:
        name: "auto", "float32" or "bfloat16".
        device: where to compute.

    Raises:
        ValueError: another name.
    """
    if name not in ("auto", "float32", "bfloat16"):
        raise ValueError(f"precision: expected auto, float32 or bfloat16, got {name!r}")
    if name == "auto":
        name = "bfloat16" if _multiplies_bfloat16(device) else "float32"
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # without AMX, bfloat16 on a CPU is slower than float32
    capability = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return device.type == "cpu" and capability is not None and bool(capability())


def describe(device: torch.device) -> str:
    """The device in words, as reports and the command line name it."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"

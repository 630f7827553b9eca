"""Compute settings: device, precision and batch, which decide where and how fast, never what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from facemin.runtime.ranges import ranges

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
@ranges({"integer [1, inf)": "batch"})
class Compute:
    """Where and how a method computes, never what.

    Args:
        device: "auto", "cpu", "cuda", "cuda:1", ...
        precision: of gradients: "float32", "bfloat16", or "auto" for the faster on this device. What is judged is
            measured in float32 in any case.
        batch: images at once; no result depends on it.

    Raises:
        ValueError: a batch below 1.
    """

    device: str = "auto"
    precision: Precision = "auto"
    batch: int = 16


DEFAULT_COMPUTE = Compute()
"""The best device that is there."""

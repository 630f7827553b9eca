"""Receptive-field geometry of a key's feature maps, measured by gradients.

A recogniser may crop and scale the face inside itself, so its maps need not cover the face, nor share its middle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

SIDE = 112
"""Of an aligned face, in pixels."""

_PROBES = 4
_SNAP = 0.5  # features; what the measurement's own noise reaches


class Geometry(NamedTuple):
    """Feature (i, j) looks at the face around row top + i * down, column left + j * across; all in pixels."""

    top: float
    left: float
    down: float
    across: float


def spread(height: int, width: int) -> Geometry:
    """The geometry of a map (height, width) that covers the whole face evenly."""
    down, across = SIDE / height, SIDE / width
    return Geometry(down / 2 - 0.5, across / 2 - 0.5, down, across)


def geometry_of(shallow: Callable[[Tensor], Tensor]) -> Geometry:
    """Measure where a shallow model's features look, from the gradients of some of them.

    Args:
        shallow: faces (B, 3, 112, 112) to features (B, C, h, w).

    Returns:
        The straight line through the centres of what a grid of features depends on; `spread` where that lies within
        half a feature of it, or for maps too small to draw one through.

    Raises:
        ValueError: features that are no maps.
    """
    faces = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)).requires_grad_()
    with torch.enable_grad():
        features = shallow(faces)
        if features.dim() != 4:
            raise ValueError(f"features: expected maps (B, C, h, w), got {tuple(features.shape)}")
        height, width = features.shape[2:]
        if min(height, width) < 2 * _PROBES:
            return spread(height, width)
        # away from the edges, where what a feature depends on is cut off
        rows = torch.linspace(0.25 * height, 0.75 * height, _PROBES).round().long()
        columns = torch.linspace(0.25 * width, 0.75 * width, _PROBES).round().long()
        centres = torch.stack(
            [_centre(features[0, :, i, j], faces) for i in rows.tolist() for j in columns.tolist()]
        ).reshape(_PROBES, _PROBES, 2)
    down, top = _line(rows, centres[..., 0].mean(1))
    across, left = _line(columns, centres[..., 1].mean(0))
    found, even = Geometry(top, left, down, across), spread(height, width)
    apart = (
        abs(getattr(found, first) + at * getattr(found, step) - getattr(even, first) - at * getattr(even, step))
        / getattr(even, step)
        for first, step, last in (("top", "down", height - 1), ("left", "across", width - 1))
        for at in (0, last)
    )
    return even if max(apart) < _SNAP else found


def sampling_grid(geometry: Geometry, height: int, width: int, side: int) -> Tensor:
    """Where to sample a map (height, width) so that the result (side, side) covers the face evenly.

    Returns:
        (1, side, side, 2), x and y as `torch.nn.functional.grid_sample` has them with align_corners=False.
    """
    step = SIDE / side
    face = torch.arange(side, dtype=torch.float32) * step + (step - 1) / 2
    y = (2 * (face - geometry.top) / geometry.down + 1) / height - 1
    x = (2 * (face - geometry.left) / geometry.across + 1) / width - 1
    return torch.stack([x[None, :].expand(side, side), y[:, None].expand(side, side)], -1)[None]


def _centre(feature: Tensor, faces: Tensor) -> Tensor:
    """Row and column, (2,), of the middle of what a feature (C,) of the first face depends on."""
    (slope,) = torch.autograd.grad(feature.square().sum(), faces, retain_graph=True)
    weight = slope[0].double().square().sum(0)
    places = torch.arange(SIDE, dtype=torch.float64)
    centre = torch.stack([weight.sum(1) @ places, weight.sum(0) @ places])
    return centre / weight.sum().clamp_min(torch.finfo(torch.float64).tiny)


def _line(places: Tensor, centres: Tensor) -> tuple[float, float]:
    """Slope and offset of the least-squares line."""
    x, y = places.double(), centres.double()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return float(slope), float(y.mean() - slope * x.mean())

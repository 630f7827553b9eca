"""Picture grids of plain and protected faces, drawn on request: they show people."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from facemin.attack import PURIFIERS
from facemin.autograd.pixels import to_array
from facemin.image import encode
from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.experiments.store.records import Record

FOLDER = "pictures"
ROWS = ("plain", "protected", "protected, blurred by 1 px")
"""What a grid shows, from top to bottom."""


class Painter:
    """Draws a grid for each measured cell into a folder beside the records.

    Args:
        folder: of the records.
        faces: how many are drawn, the first ones.
    """

    def __init__(self, folder: Path, faces: int) -> None:
        self._folder, self._faces = folder, faces

    def __call__(self, record: Record, plain: Tensor, protected: Tensor) -> None:
        """Draw faces (N, 3, 112, 112) in [0, 1] and what they became."""
        plain, protected = plain[: self._faces], protected[: self._faces]
        rows = plain, protected, PURIFIERS["blur-1"](protected).clamp(0, 1)
        grid = torch.cat([torch.cat(list(row), 2) for row in rows], 1)
        write_atomically(picture_path(self._folder, record), encode(to_array(grid)))


def picture_path(folder: Path, record: Record) -> Path:
    """Where a cell's grid lies."""
    name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{record.experiment.name} {record.cell}").strip("-")
    return folder / FOLDER / f"{name}.{record.identity[:12]}.png"

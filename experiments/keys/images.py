"""Protected images of made keys, kept in a folder, so that a run that was interrupted goes on."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from facemin.autograd.pixels import to_tensor, to_unit
from facemin.protection import DEFAULT_PROTECTOR, PROTECTORS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from facemin.image import Pixels
    from facemin.keys.key import Key


STEPS = 40
"""Of every key but the default one, which has as many as it needs; what they leave unmet is harder to find."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Where images lie, and until when new ones may be made.

    Args:
        folder: of one file a key, part and `chunk` faces.
        until: `time.monotonic()` after which no chunk is begun; None for no end.
        chunk: faces a file.
    """

    folder: Path
    until: float | None = None
    chunk: int = 10

    def images(
        self, name: str, key: Callable[[], Key], faces: Pixels, part: str, *, steps: int | None = STEPS
    ) -> Pixels:
        """Images of the default method, uint8 (N, 112, 112, 3), from the folder where they are there.

        Args:
            name: of the key.
            key: built where images are missing.
            faces: uint8 (N, 112, 112, 3), always the same ones of a part, from its first on.
            part: what they are called.
            steps: at most; None for the method's own.

        Raises:
            TimeoutError: the time is over.
        """
        found = [
            self._chunk(f"{name}-{part}-{first}", key, faces[first : first + self.chunk], steps)
            for first in range(0, len(faces), self.chunk)
        ]
        return np.ascontiguousarray(np.moveaxis(np.concatenate(found), 1, -1))

    def _chunk(self, name: str, key: Callable[[], Key], faces: Pixels, steps: int | None) -> Pixels:
        path = self.folder / f"{name}-{len(faces)}.npy"
        if not path.exists():
            if self.until is not None and time.monotonic() > self.until:
                raise TimeoutError(f"{name}: not made yet; the same command goes on")
            self.folder.mkdir(parents=True, exist_ok=True)
            method = PROTECTORS[DEFAULT_PROTECTOR]
            method = method if steps is None else replace(method, steps=steps)
            started = time.monotonic()
            done = method(to_unit(to_tensor(faces)), [key()], seed=0)
            whole = path.with_suffix(".part.npy")
            np.save(whole, torch.stack([image.pixels for image in done]).numpy())
            whole.replace(path)
            print(f"made {path.name} in {time.monotonic() - started:.0f} s", flush=True)
        images: Pixels = np.load(path)
        return images

"""What tests of folder jobs run in worker processes: in a module of its own, since each of them imports it."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from facemin.protection.contract import Check, Protected
from facemin.protection.folder.run import plan
from facemin.protection.folder.worker import Worker
from facemin.runtime import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.protection.folder.job import FolderJob


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Protects nothing."""

    takes_gradients: ClassVar[bool] = False
    residual: float = 1.0
    weights: ClassVar[None] = None

    def stream(
        self, faces: Iterable[Tensor], keys: Any, *, seed: int, compute: Any = None, on_step: Any = None
    ) -> Iterator[Any]:
        check = Check(residuals=(0.0,), limits=(1.0,))
        for number, face in enumerate(faces):
            yield Protected(index=number, pixels=self.image(face, seed), seconds=0.0, check=check)

    def image(self, face: Tensor, seed: int) -> NDArray[np.uint8]:
        from facemin.autograd.pixels import to_array

        del seed
        return to_array(face)

    def describe(self) -> dict[str, Any]:
        return {"kind": type(self).__name__}


@dataclass(frozen=True, kw_only=True)
class Deadly(Shown):
    """Protects every face but a black one, which ends its process."""

    def image(self, face: Tensor, seed: int) -> NDArray[np.uint8]:
        if not face.any():
            os.kill(os.getpid(), signal.SIGKILL)
        return np.random.default_rng(seed).integers(0, 256, (112, 112, 3), dtype=np.uint8)


@dataclass(frozen=True, kw_only=True)
class Heavy(Shown):
    """Takes more of a pipe than the system holds, as a key does."""

    ballast: bytes = bytes(1 << 20)


@dataclass(frozen=True, kw_only=True)
class Halting(Shown):
    """Begins a file, as `write_atomically` does, and never ends it."""

    folder: Path

    def image(self, face: Tensor, seed: int) -> NDArray[np.uint8]:
        del face, seed
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{files._temporary(os.getpid())}{0:016x}.tmp").touch()
        time.sleep(600)
        raise AssertionError


def talking_to_nobody(job: FolderJob, heard_first: bool) -> None:
    """A worker whose driver is gone."""
    ours, theirs = Pipe()
    if heard_first:
        ours.send([*plan([job.out.parent / "in"], job).todo.items()])
    ours.close()
    Worker(theirs, job).run()

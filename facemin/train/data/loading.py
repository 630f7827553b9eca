"""Faces of a run, read by worker processes ahead of the network."""

from __future__ import annotations

import signal
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from facemin.train.data.sampler import derived_seed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facemin.train.data.sampler import Batches, Draw
    from facemin.train.data.sources import FaceSource
    from facemin.train.data.split import Split


class TrainingFaces(Dataset[tuple[Tensor, int, bool] | str]):
    """The faces trained on, by `Draw`: pixels uint8 (3, 112, 112), class, and whether they are to be mirrored.

    A face that cannot be read comes as the reason, in words, because torch dresses up an error from another process
    in the whole of its traceback.
    """

    def __init__(self, source: FaceSource, split: Split) -> None:
        self.source, self.split = source, split

    def __getitem__(self, draw: Draw) -> tuple[Tensor, int, bool] | str:
        """Read one face."""
        try:
            pixels = self.source.read(int(self.split.images[draw.place]))
        except (ValueError, OSError) as error:
            return str(error)
        return pixels, int(self.split.labels[draw.place]), draw.flip


def load(
    faces: TrainingFaces, batches: Batches, *, device: torch.device, workers: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Read part after part of a run's batches.

    Args:
        faces: the faces trained on.
        batches: which of them, in which order.
        device: where they go.
        workers: processes that read; 0 reads in this one. Their number changes nothing but the speed.

    Yields:
        Pixels uint8 (B, 3, 112, 112), classes int64 (B,), and mirroring bool (B,).

    Raises:
        ValueError: a face that cannot be read.
    """
    with warnings.catch_warnings():
        # torch remarks on more workers than cores, which are the user's own setting
        warnings.simplefilter("ignore")
        loader: DataLoader[Any] = DataLoader(
            faces,
            batch_sampler=batches,
            num_workers=workers,
            collate_fn=_collate,
            pin_memory=device.type == "cuda",
            worker_init_fn=_ignore_interrupts,
            # nothing is drawn in a worker; without it torch would take their seeds from the state of the step
            generator=torch.Generator().manual_seed(derived_seed(batches.seed, "workers")),
        )
    for part in loader:
        if isinstance(part, str):
            raise ValueError(part)  # noqa: TRY004  (the value is what is wrong: a face nobody can read)
        pixels, labels, flips = (tensor.to(device, non_blocking=True) for tensor in part)
        yield pixels, labels, flips


def _collate(faces: list[tuple[Tensor, int, bool] | str]) -> tuple[Tensor, Tensor, Tensor] | str:
    read = [face for face in faces if not isinstance(face, str)]
    if len(read) < len(faces):
        return next(face for face in faces if isinstance(face, str))
    pixels, labels, flips = zip(*read, strict=True)
    return torch.stack(pixels), torch.tensor(labels), torch.tensor(flips)


def _ignore_interrupts(worker: int) -> None:
    """A request to stop often goes to a whole group of processes, and it is the training process's to answer."""
    del worker
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)

"""The state of a run between two steps, in one file."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

VERSION = 1
CHECKPOINT = "checkpoint.pt"
"""In a run's folder."""


def check_fresh(folder: Path) -> None:
    """Raises ValueError where a folder holds a run already."""
    if (folder / CHECKPOINT).exists():
        raise ValueError(f"{folder}: expected a folder without a run, found {CHECKPOINT}; resume it, or name another")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """All that the rest of a run depends on.

    Learning rate, order of the faces, mirroring and dropout are functions of the step and the run's seed, so the step
    stands for the states of schedule, sampler and random numbers.

    Args:
        step: steps that are done.
        course: `TrainingConfig.course` of the run.
        data: fingerprint of the faces and their split.
        weights: of network and head, by name.
        optimiser: its state dict.
        loss: sum over the steps since the last log line.
        seconds: spent so far.
    """

    step: int
    course: dict[str, Any]
    data: str
    weights: dict[str, Tensor]
    optimiser: dict[str, Any]
    loss: float
    seconds: float

    def write(self, path: Path) -> None:
        """Write to a file that is whole at any moment.

        Raises:
            ValueError: weights that are not finite, which no run should go on from.
            OSError: the file cannot be written.
        """
        bad = [name for name, weight in self.weights.items() if not bool(weight.isfinite().all())]
        if bad:
            raise ValueError(
                f"step {self.step}: expected finite weights, got {len(bad)} tensors that are not, such as {bad[0]}; "
                "a lower optimiser.rate, a longer warm-up or optimiser.clip may help"
            )
        file = io.BytesIO()
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        torch.save({"version": VERSION, **fields}, file)
        write_atomically(path, file.getvalue())


def read_checkpoint(path: Path, *, course: dict[str, Any], data: str) -> Checkpoint:
    """Read the state of a run that has this course and these data.

    Args:
        path: what `Checkpoint.write` wrote.
        course: of the run that wants to go on.
        data: fingerprint of its faces.

    Raises:
        ValueError: no checkpoint, one that is damaged, or one of another run; what differs is named.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            values = torch.load(file, map_location="cpu", weights_only=True)
            version = values.pop("version")
            if version != VERSION:
                raise ValueError(f"version {version}")
            found = Checkpoint(**values)
        # torch answers a damaged file with almost any exception; for the caller it is all one bad input
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"{path}: expected a checkpoint of a training run, got: {reason:.200}") from error
    differing = [name for name in _paths(course) if _paths(found.course).get(name) != _paths(course)[name]]
    differing += [name for name in _paths(found.course) if name not in _paths(course)]
    if differing:
        raise ValueError(f"{path}: expected a checkpoint of the same configuration, got another {', '.join(differing)}")
    if found.data != data:
        raise ValueError(f"{path}: expected a checkpoint of the same faces and people, got one of others")
    return found


def restore(found: Checkpoint, trainee: nn.Module, optimiser: torch.optim.Optimizer, *, name: str) -> None:
    """Put a run's state into a network with its head and into their optimiser.

    Raises:
        ValueError: weights of other names or shapes.
    """
    try:
        trainee.load_state_dict(found.weights, strict=True)
        optimiser.load_state_dict(found.optimiser)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ValueError(f"{name}: expected this run's weights, got: {str(error)[:300]}") from None


def _paths(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A tree's leaves by their path."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        leaves |= _paths(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return leaves

"""Protected images kept in a folder, so that cells which protect alike share them, in whatever file they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from facemin.autograd.pixels import to_unit
from facemin.experiments.store.records import Spent
from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


class Kept(NamedTuple):
    """What protecting the probes once gave."""

    pixels: Tensor
    """(N, 3, 112, 112) uint8, one a probe, in order."""
    spent: Spent

    @property
    def images(self) -> Tensor:
        """In [0, 1]."""
        return to_unit(self.pixels)


def read_kept(folder: Path, name: str) -> Kept | None:
    """What was kept under a name; None where nothing was.

    Raises:
        ValueError: a file that is not what `write_kept` writes.
    """
    path = _path(folder, name)
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return Kept(file.get_tensor("pixels"), Spent.model_validate_json(file.metadata()["spent"]))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected protected images that were kept, got {error}") from None


def write_kept(folder: Path, name: str, kept: Kept) -> None:
    """Keep images under a name that says all that decides them.

    Raises:
        OSError: the file cannot be written.
    """
    write_atomically(
        _path(folder, name), save({"pixels": kept.pixels.contiguous()}, {"spent": kept.spent.model_dump_json()})
    )


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"

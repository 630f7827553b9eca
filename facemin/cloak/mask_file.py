"""Mask file: one person's change of an aligned face, what it says of itself, and the checks on loading.

The file is `MAGIC`, the manifest's length (4 bytes, little-endian), the manifest as JSON, and the change, signed grey
levels (112, 112, 3) row by row, deflated. Whoever has it can take the mask off again, so it is its owner's alone.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from facemin.face import SIDE
from facemin.runtime.errors import FaceminError, told_as
from facemin.runtime.faults import faults_named
from facemin.runtime.files import PRIVATE, read_private, write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAGIC = b"facemin.mask\n"
LARGEST_MANIFEST = 1 << 16
"""Bytes of the manifest."""
MOST = 32
"""Grey levels that a mask may change a value by; more would not be a cloak."""

_SHAPE = (SIDE, SIDE, 3)
_VALUES = SIDE * SIDE * 3
_LARGEST = len(MAGIC) + 4 + LARGEST_MANIFEST + 2 * _VALUES


class InvalidMask(FaceminError):  # noqa: N818 - what happened, as for its siblings
    """A mask's file that is none, was changed, or is of a version that is not known."""


class Surrogate(BaseModel):
    """A recogniser that a mask was fitted on."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(min_length=1, max_length=200)
    fingerprint: str = Field(min_length=1, max_length=128)
    """`RecogniserGraph.fingerprint`."""


class Manifest(BaseModel):
    """What a mask says of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1] = 1
    """Of this format."""
    method: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    """Of `facemin.protection.registry.CLOAKS`."""
    epsilon: int = Field(ge=1, le=MOST)
    """Most grey levels by which any value is changed."""
    photos: int = Field(ge=1)
    """How many photos it was learnt from."""
    surrogates: tuple[Surrogate, ...] = Field(min_length=1, max_length=64)
    settings: dict[str, Any] = Field(default_factory=dict)
    """Of the method, as JSON has them."""
    created: AwareDatetime
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the change's bytes before they are deflated."""


@dataclass(frozen=True, eq=False)
class Mask:
    """One person's mask, that passed every check.

    Attributes:
        manifest: what it says of itself.
        change: (112, 112, 3) int8, grey levels added to an aligned face; read-only.
    """

    product: ClassVar[Literal["photo"]] = "photo"

    manifest: Manifest
    change: NDArray[np.int8] = field(repr=False)

    @classmethod
    def make(
        cls,
        change: NDArray[np.int8],
        *,
        method: str,
        epsilon: int,
        photos: int,
        surrogates: Sequence[Surrogate],
        settings: dict[str, Any] | None = None,
        created: datetime | None = None,
    ) -> Mask:
        """A mask from its change, checked as if it came from a file.

        Args:
            change: (112, 112, 3) int8, grey levels.
            method: its name.
            epsilon: most grey levels of any value.
            photos: that it was learnt from.
            surrogates: that it was fitted on.
            settings: of the method, as JSON has them.
            created: the present when None.

        Raises:
            InvalidMask: a change of another shape or type, or larger than `epsilon`; a manifest out of range.
        """
        if change.shape != _SHAPE or change.dtype != np.int8:
            raise InvalidMask(f"change: expected int8 {_SHAPE}, got {change.dtype} {change.shape}")
        with faults_named("mask: ", error=InvalidMask):
            manifest = Manifest(
                method=method,
                epsilon=epsilon,
                photos=photos,
                surrogates=tuple(surrogates),
                settings=settings or {},
                created=created or datetime.now(UTC).replace(microsecond=0),
                sha256=hashlib.sha256(change.tobytes()).hexdigest(),
            )
        return _checked(manifest, change, "mask")

    @classmethod
    def from_bytes(cls, data: bytes, *, name: str = "mask") -> Mask:
        """Read a mask from a file's bytes; nothing of it is run, and no more is inflated than a mask holds.

        Raises:
            InvalidMask: naming what is wrong.
        """
        if not data.startswith(MAGIC):
            raise InvalidMask(f"{name}: expected a mask that facemin cloak fit wrote, got {data[:13]!r}")
        at = len(MAGIC) + 4
        size = int.from_bytes(data[len(MAGIC) : at], "little")
        if len(data) > _LARGEST or size > LARGEST_MANIFEST or len(data) <= at + size:
            raise InvalidMask(f"{name}: expected a whole mask of at most {_LARGEST} bytes, got {len(data)}")
        manifest = _manifest(data[at : at + size], name)
        inflate = zlib.decompressobj()
        try:
            raw = inflate.decompress(data[at + size :], _VALUES + 1)
        except zlib.error as error:
            raise InvalidMask(f"{name}: expected a deflated change, got: {error}") from None
        if len(raw) != _VALUES or not inflate.eof or inflate.unused_data:
            raise InvalidMask(f"{name}: expected {_VALUES} values and nothing after them, got another number")
        if hashlib.sha256(raw).hexdigest() != manifest.sha256:
            raise InvalidMask(f"{name}: expected the change that the manifest names, got another: the file was changed")
        return _checked(manifest, np.frombuffer(raw, np.int8).reshape(_SHAPE), name)

    @classmethod
    def load(cls, path: Path) -> Mask:
        """Read a mask's file, which nobody but its owner may read.

        Raises:
            InvalidMask: it is none, or others may read or change it.
            OSError: as Python has it.
        """
        with told_as(InvalidMask):
            return cls.from_bytes(read_private(path), name=str(path))

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        manifest = self.manifest.model_dump_json().encode()
        return MAGIC + len(manifest).to_bytes(4, "little") + manifest + zlib.compress(self.change.tobytes(), 9)

    def save(self, path: Path) -> None:
        """Write the file with mode 0600, the old one or the whole new one.

        Raises:
            OSError: as Python has it.
        """
        write_atomically(path, self.data, mode=PRIVATE)

    @property
    def fingerprint(self) -> str:
        """The change's SHA-256, in hexadecimal."""
        return self.manifest.sha256

    def changes(self, faces: NDArray[np.uint8]) -> NDArray[np.int8]:
        """The change of each of the person's aligned faces (N, 112, 112, 3): the same for all, grey levels."""
        return np.broadcast_to(self.change, faces.shape)

    def __call__(self, faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cloak aligned faces of the person, uint8 RGB (N, 112, 112, 3)."""
        return added(faces, self.change)

    def remove(self, faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Take the mask off aligned faces (N, 112, 112, 3); exact but where adding it met 0 or 255."""
        return added(faces, -self.change)


def added(pixels: NDArray[np.uint8], change: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Pixels (..., H, W, 3) changed by grey levels (H, W, 3), clipped to 0 and 255."""
    return (pixels.astype(np.int16) + change).clip(0, 255).astype(np.uint8)


def _manifest(text: bytes, name: str) -> Manifest:
    try:
        values = json.loads(text)
    # JSON nested too deeply is the latter
    except (ValueError, RecursionError) as error:
        raise InvalidMask(f"{name}: expected a manifest as JSON, got: {error}") from None
    version = values.get("version") if isinstance(values, dict) else None
    if version != 1:
        raise InvalidMask(f"{name}: expected a mask of version 1, got {version!r:.40}; a newer facemin may read it")
    with faults_named(f"{name}: ", error=InvalidMask):
        return Manifest.model_validate_json(text)


def _checked(manifest: Manifest, change: NDArray[np.int8], name: str) -> Mask:
    largest = int(np.abs(change.astype(np.int16)).max())
    if largest > manifest.epsilon:
        raise InvalidMask(f"{name}: expected a change of at most {manifest.epsilon} grey levels, got {largest}")
    change = change.copy()
    change.flags.writeable = False
    return Mask(manifest, change)

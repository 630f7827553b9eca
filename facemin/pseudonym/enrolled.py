"""The enrolled face: one person a secret, checked on the device before anything is sent."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from facemin.pseudonym.derivation import checked_purpose
from facemin.pseudonym.rotation import unit_rows
from facemin.pseudonym.sealing import SealedFile
from facemin.pseudonym.secret import Secret
from facemin.runtime.home import home

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_USE = "facemin enrolled v1"


class OtherPerson(ValueError):  # noqa: N818 - what happened
    """A face is unlike the one that a secret is enrolled for."""


class _Entry(BaseModel):
    """The sum of the unit embeddings enrolled in a space for a purpose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: str = Field(pattern=r"^[0-9a-f]{64}$")
    purpose: str
    faces: int = Field(ge=1)
    total: str

    @property
    def mean(self) -> NDArray[np.float64]:
        """Direction of the mean, (D,) of unit length."""
        return np.asarray(unit_rows(self.sum[None], "enrolled face")[0], np.float64)

    @property
    def sum(self) -> NDArray[np.float64]:
        """(D,) float64."""
        total: NDArray[np.float64] = np.frombuffer(base64.b64decode(self.total, validate=True), "<f8").astype(
            np.float64
        )
        return total


@cache
def _entries() -> TypeAdapter[list[_Entry]]:
    """Made at its first use: making one takes milliseconds."""
    return TypeAdapter(list[_Entry])


@dataclass(frozen=True, kw_only=True)
class EnrolledFace:
    """The face that a secret stands for: means of enrolled embeddings, before any rotation, encrypted under it.

    Whoever has the secret and this file has an embedding of the person; the file alone says how long it is.

    Args:
        secret: whose face it is.
        root: folder of the files; `enrolled` in `home()` by default.
    """

    secret: Secret
    root: Path = field(default_factory=lambda: home() / "enrolled")

    def remember(self, embeddings: ArrayLike, *, space: bytes, purpose: str, threshold: float) -> None:
        """Take enrolled faces into the mean, after checking them as `check_same_person` does.

        Args:
            embeddings: (N, D), of one person, before any rotation; N >= 1. They are checked against the mean of the
                first of them as well.
            space: SHA-256 of the graph that gave them, 32 bytes.
            purpose: what was enrolled for.
            threshold: cosine that two photos of one person reach, as measured for the recogniser.

        Raises:
            OtherPerson: one is unlike what is enrolled, or unlike the first.
            ValueError: other shapes; a damaged file.
            OSError: it cannot be read or written.
        """
        rows = unit_rows(embeddings, "embeddings")
        if not len(rows):
            raise ValueError("embeddings: expected at least one, got none")
        _compare(rows, rows[0], threshold, "the first face of this enrolment")
        name = checked_purpose(purpose)
        with self._file.locked():
            entries = self._read()
            self._check(entries, rows, space, threshold)
            own = [entry for entry in entries if (entry.space, entry.purpose) == (space.hex(), name)]
            total = rows.sum(0) + (own[0].sum if own else 0)
            entry = _Entry(
                space=space.hex(),
                purpose=name,
                faces=len(rows) + (own[0].faces if own else 0),
                total=base64.b64encode(total.astype("<f8").tobytes()).decode(),
            )
            self._write([other for other in entries if other not in own] + [entry])

    def check_same_person(self, embedding: ArrayLike, *, space: bytes, threshold: float) -> float | None:
        """Refuse a face unlike the enrolled one, for whatever purpose that was enrolled.

        Args:
            embedding: (D,) or (N, D), before any rotation.
            space: SHA-256 of the graph that gave it, 32 bytes.
            threshold: cosine that two photos of one person reach, as measured for the recogniser.

        Returns:
            The lowest cosine to what is enrolled in that space; None where nothing is.

        Raises:
            OtherPerson: it is below the threshold.
            ValueError: other shapes; a damaged file.
            OSError: the file cannot be read.
        """
        rows = unit_rows(np.atleast_2d(np.asarray(embedding)), "embedding")
        return self._check(self._read(), rows, space, threshold)

    def face(self, *, space: bytes, purpose: str) -> NDArray[np.float64] | None:
        """The mean direction enrolled in a space for a purpose, or first for another one, (D,); None where none is.

        Raises:
            ValueError: a damaged file.
            OSError: it cannot be read.
        """
        own = [entry for entry in self._read() if entry.space == space.hex()]
        own.sort(key=lambda entry: entry.purpose != checked_purpose(purpose))
        return own[0].mean if own else None

    def spaces(self) -> set[bytes]:
        """Spaces in which a face is enrolled, SHA-256 of each one's graph.

        Raises:
            ValueError: a damaged file.
            OSError: the file cannot be read.
        """
        return {bytes.fromhex(entry.space) for entry in self._read()}

    def forget(self, *, space: bytes | None = None, purpose: str | None = None) -> None:
        """Drop what is kept of a space, of a purpose, or, with neither, everything under this secret."""
        with self._file.locked():
            kept = [
                entry
                for entry in self._read()
                if (space is not None and entry.space != space.hex())
                or (purpose is not None and entry.purpose != checked_purpose(purpose))
            ]
            self._write(kept)

    def _check(self, entries: list[_Entry], rows: NDArray[np.float64], space: bytes, threshold: float) -> float | None:
        if len(space) != 32:
            raise ValueError(f"space: expected a SHA-256 of 32 bytes, got {len(space)} bytes")
        scores = [
            _compare(rows, entry.mean, threshold, f"the face enrolled for {entry.purpose!r}")
            for entry in entries
            if entry.space == space.hex()
        ]
        return min(scores, default=None)

    def _read(self) -> list[_Entry]:
        return self._file.read(_entries()) or []

    def _write(self, entries: list[_Entry]) -> None:
        self._file.write(json.dumps([entry.model_dump() for entry in entries]).encode() if entries else b"")

    @property
    def _file(self) -> SealedFile:
        return SealedFile(secret=self.secret, root=self.root, use=_USE, what="enrolled faces")


def _compare(rows: NDArray[np.float64], mean: NDArray[np.float64], threshold: float, what: str) -> float:
    if not -1 < threshold < 1:
        raise ValueError(f"threshold: expected a cosine in (-1, 1), got {threshold}")
    if rows.shape[1] != len(mean):
        raise ValueError(f"embedding: expected {len(mean)} numbers as enrolled in this space, got {rows.shape[1]}")
    lowest = float((rows @ mean).min())
    if lowest < threshold:
        raise OtherPerson(
            f"face: expected {what} (cosine {threshold:.4f} or more), got {lowest:.4f}: one secret is for one person; "
            "somebody else needs a secret of their own"
        )
    return lowest

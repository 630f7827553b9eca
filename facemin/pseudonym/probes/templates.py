"""Templates as a device enrolled them: what a probe's scores are taken with, kept on the device."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter

from facemin.pseudonym.rotation import Pseudonym, unit_rows
from facemin.pseudonym.sealing import SealedFile
from facemin.pseudonym.secret import Secret
from facemin.runtime.home import home

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_USE = "facemin templates v1"


class _Entry(BaseModel):
    """One template: an embedding, float64 in base64, and whether it was sent as numbers, which miss nothing of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: str
    exact: bool


_Kept: TypeAlias = dict[str, dict[str, list[_Entry]]]
"""By a pseudonym's fingerprint and a person's name."""


@cache
def _form() -> TypeAdapter[_Kept]:
    """Made at its first use: making one takes milliseconds."""
    return TypeAdapter(_Kept)


class Templates(NamedTuple):
    """What a device enrolled.

    Attributes:
        rows: embeddings before the rotation, (K, D) of unit length; K is 0 where it knows of nothing.
        exact: whether the provider has all of them as they are; what was enrolled as an image misses its target.
    """

    rows: NDArray[np.float64]
    exact: bool


@dataclass(frozen=True, kw_only=True)
class EnrolledTemplates:
    """Embeddings that were enrolled under each pseudonym of a secret, before the rotation, encrypted under the secret.

    Unlike `EnrolledFace`'s mean, which tells the person, these are what a provider compares with, one by one. Whoever
    has the secret and this file has embeddings of the person.

    Args:
        secret: whose they are.
        root: folder of the files; `templates` in `home()` by default.
    """

    secret: Secret
    root: Path = field(default_factory=lambda: home() / "templates")

    def add(self, pseudonym: Pseudonym, person: str, embeddings: ArrayLike, *, held: int, exact: bool) -> None:
        """Keep embeddings that a provider enrolled.

        Args:
            pseudonym: under which.
            person: as the provider calls them.
            embeddings: (N, D), before the rotation.
            held: templates that the provider has of the person under it now. Where they are fewer than these and the
                earlier ones, the earlier ones are there no more, and are dropped.
            exact: whether they were sent as numbers.

        Raises:
            ValueError: other shapes; a damaged file.
            OSError: it cannot be read or written.
        """
        rows = unit_rows(embeddings, "embeddings").astype("<f8")
        if rows.shape[1] != pseudonym.context.dimension:
            raise ValueError(f"embeddings: expected (N, {pseudonym.context.dimension}), got {rows.shape}")
        added = [_Entry(row=base64.b64encode(row.tobytes()).decode(), exact=exact) for row in rows]
        with self._file.locked():
            kept = self._read()
            people = kept.get(pseudonym.fingerprint, {})
            earlier = people.get(person, [])
            known = earlier + added if len(earlier) + len(added) <= held else added
            self._write(kept | {pseudonym.fingerprint: people | {person: known}})

    def of(self, pseudonym: Pseudonym, person: str) -> Templates:
        """What this device enrolled under a pseudonym.

        Args:
            pseudonym: under which.
            person: as the provider calls them; empty for everybody.

        Raises:
            ValueError: a damaged file.
            OSError: it cannot be read.
        """
        people = self._read().get(pseudonym.fingerprint, {})
        entries = [entry for name, known in people.items() if person in ("", name) for entry in known]
        rows = [np.frombuffer(base64.b64decode(entry.row), "<f8") for entry in entries]
        return Templates(
            rows=np.array(rows, np.float64).reshape(-1, pseudonym.context.dimension),
            exact=all(entry.exact for entry in entries),
        )

    def forget(self, pseudonym: Pseudonym, person: str) -> None:
        """Drop what is kept of a person under a pseudonym; of everybody, where the name is empty.

        Raises:
            ValueError: a damaged file.
            OSError: it cannot be read or written.
        """
        with self._file.locked():
            kept = self._read()
            people = kept.pop(pseudonym.fingerprint, {})
            left = {name: rows for name, rows in people.items() if person not in ("", name)}
            self._write(kept | ({pseudonym.fingerprint: left} if left else {}))

    def _read(self) -> _Kept:
        return self._file.read(_form()) or {}

    def _write(self, kept: _Kept) -> None:
        self._file.write(_form().dump_json(kept) if kept else b"")

    @property
    def _file(self) -> SealedFile:
        return SealedFile(secret=self.secret, root=self.root, use=_USE, what="enrolled templates")

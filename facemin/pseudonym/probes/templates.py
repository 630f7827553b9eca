"""Templates as a device enrolled them: what a probe's scores are taken with, kept on the device."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from pydantic import TypeAdapter

from facemin.pseudonym.rotation import Pseudonym, unit_rows
from facemin.pseudonym.sealing import SealedFile
from facemin.pseudonym.secret import Secret
from facemin.runtime.home import home

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_USE = "facemin templates v1"
_Kept: TypeAlias = "dict[str, dict[str, list[str]]]"
"""By a pseudonym's fingerprint and a person's name, float64 embeddings in base64."""


@cache
def _form() -> TypeAdapter[_Kept]:
    """Made at its first use: making one takes milliseconds."""
    return TypeAdapter(dict[str, dict[str, list[str]]])


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

    def add(self, pseudonym: Pseudonym, person: str, embeddings: ArrayLike, *, held: int) -> None:
        """Keep embeddings that a provider enrolled.

        Args:
            pseudonym: under which.
            person: as the provider calls them.
            embeddings: (N, D), before the rotation.
            held: templates that the provider has of the person under it now. Where they are fewer than these and the
                earlier ones, the earlier ones are there no more, and are dropped.

        Raises:
            ValueError: other shapes; a damaged file.
            OSError: it cannot be read or written.
        """
        rows = unit_rows(embeddings, "embeddings").astype("<f8")
        if rows.shape[1] != pseudonym.context.dimension:
            raise ValueError(f"embeddings: expected (N, {pseudonym.context.dimension}), got {rows.shape}")
        added = [base64.b64encode(row.tobytes()).decode() for row in rows]
        with self._file.locked():
            kept = self._read()
            people = kept.get(pseudonym.fingerprint, {})
            earlier = people.get(person, [])
            known = earlier + added if len(earlier) + len(added) <= held else added
            self._write(kept | {pseudonym.fingerprint: people | {person: known}})

    def of(self, pseudonym: Pseudonym, person: str) -> NDArray[np.float64]:
        """What this device enrolled under a pseudonym, (K, D); K is 0 where it knows of nothing.

        Args:
            pseudonym: under which.
            person: as the provider calls them; empty for everybody.

        Raises:
            ValueError: a damaged file.
            OSError: it cannot be read.
        """
        people = self._read().get(pseudonym.fingerprint, {})
        rows = [row for name, known in people.items() if person in ("", name) for row in known]
        decoded = [np.frombuffer(base64.b64decode(row), "<f8") for row in rows]
        return np.array(decoded, np.float64).reshape(-1, pseudonym.context.dimension)

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
        self._file.write(json.dumps(kept).encode() if kept else b"")

    @property
    def _file(self) -> SealedFile:
        return SealedFile(secret=self.secret, root=self.root, use=_USE, what="enrolled templates")

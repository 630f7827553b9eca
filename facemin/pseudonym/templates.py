"""Templates as a device enrolled them: what a probe's scores are taken with, kept on the device."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import TypeAdapter

from facemin.pseudonym.rotation import Pseudonym, unit_rows
from facemin.pseudonym.sealing import SealedFile
from facemin.pseudonym.secret import Secret
from facemin.runtime.home import home

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_USE = "facemin templates v1"


@cache
def _form() -> TypeAdapter[dict[str, list[str]]]:
    """By a pseudonym's fingerprint, float64 rows in base64; made at its first use, since that takes milliseconds."""
    return TypeAdapter(dict[str, list[str]])


@dataclass(frozen=True, kw_only=True)
class EnrolledTemplates:
    """Embeddings that were enrolled under each pseudonym of a secret, before the rotation, encrypted under the secret.

    Unlike `EnrolledFace`'s mean, which tells the person, these tell a provider's templates one by one, each at one
    provider and epoch. Whoever has the secret and this file has embeddings of the person.

    Args:
        secret: whose they are.
        root: folder of the files; `templates` in `home()` by default.
    """

    secret: Secret
    root: Path = field(default_factory=lambda: home() / "templates")

    def add(self, pseudonym: Pseudonym, embeddings: ArrayLike) -> None:
        """Keep embeddings that a provider enrolled under a pseudonym.

        Args:
            pseudonym: under which.
            embeddings: (N, D), before the rotation.

        Raises:
            ValueError: other shapes; a damaged file.
            OSError: it cannot be read or written.
        """
        rows = unit_rows(embeddings, "embeddings").astype("<f8")
        if rows.shape[1] != pseudonym.context.dimension:
            raise ValueError(f"embeddings: expected (N, {pseudonym.context.dimension}), got {rows.shape}")
        with self._file.locked():
            kept = self._read()
            more = [base64.b64encode(row.tobytes()).decode() for row in rows]
            self._write(kept | {pseudonym.fingerprint: kept.get(pseudonym.fingerprint, []) + more})

    def of(self, pseudonym: Pseudonym) -> NDArray[np.float64]:
        """What was enrolled under a pseudonym by this device, (K, D); K is 0 where it knows of nothing.

        Raises:
            ValueError: a damaged file.
            OSError: it cannot be read.
        """
        rows = [np.frombuffer(base64.b64decode(row), "<f8") for row in self._read().get(pseudonym.fingerprint, [])]
        return np.array(rows, np.float64).reshape(-1, pseudonym.context.dimension)

    def forget(self, pseudonym: Pseudonym) -> None:
        """Drop what is kept of a pseudonym.

        Raises:
            ValueError: a damaged file.
            OSError: it cannot be read or written.
        """
        with self._file.locked():
            self._write({name: rows for name, rows in self._read().items() if name != pseudonym.fingerprint})

    def _read(self) -> dict[str, list[str]]:
        return self._file.read(_form()) or {}

    def _write(self, kept: dict[str, list[str]]) -> None:
        self._file.write(json.dumps(kept).encode() if kept else b"")

    @property
    def _file(self) -> SealedFile:
        return SealedFile(secret=self.secret, root=self.root, use=_USE, what="enrolled templates")

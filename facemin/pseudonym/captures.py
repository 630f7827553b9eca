"""Captures already sent: none is sent under two rotations, and none twice."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facemin.pseudonym.capture_hash import BITS, SAME_CAPTURE, capture_hashes, nearest_distances
from facemin.pseudonym.sealing import seal, unseal
from facemin.pseudonym.secret import Secret
from facemin.runtime.files import PRIVATE, locked, read_private
from facemin.runtime.home import home

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLAIN = "0" * 16
"""Stands for a pseudonym's fingerprint where a face was sent under none."""

_USE = "facemin captures v1"
_HASH_BYTES, _NAME_BYTES = BITS // 8, 8


class Sent(NamedTuple):
    """An earlier upload of a capture.

    Attributes:
        pseudonym: fingerprint of the rotation it was sent under, or `PLAIN`.
        distance: share of differing bits, in [0, 1]; 0 for the same pixels.
    """

    pseudonym: str
    distance: float


class _Opened(NamedTuple):
    """A file's whole lines, and what they hold."""

    data: bytes
    records: list[bytes]


_NOTHING = _Opened(b"", [])


class CaptureReused(ValueError):  # noqa: N818 - what happened
    """A capture was sent before.

    Args:
        sent: the nearest earlier upload.
        same: whether that was under the same pseudonym (sent twice), else under another (which links the two).
        plain: whether it was now to be sent without a pseudonym.
    """

    def __init__(self, sent: Sent, *, same: bool, plain: bool = False) -> None:
        self.sent, self.same = sent, same
        if same:
            why = "it was sent under this pseudonym already, and nothing is sent twice"
        elif plain:
            why = f"it is sent under a pseudonym ({sent.pseudonym}), and without one it would say whose that is"
        elif sent.pseudonym == PLAIN:
            why = "it was sent without a pseudonym, and under one it would say whose that is"
        else:
            why = f"it was sent under another pseudonym ({sent.pseudonym}), and the same photo under two links them"
        super().__init__(
            f"face: expected a photo that was not sent before, got one whose copy was: {why}; take a new one"
        )


@dataclass(frozen=True, kw_only=True)
class CaptureLog:
    """What was sent under a secret: a perceptual hash of each face, encrypted under the secret.

    One private file a secret, one line a face, lines of one length, appended under a lock. A keyed hash that could be
    compared without the secret would show which captures are alike; encrypted ones show their number and nothing else.
    Who has the secret and the file learns the hash, 256 signs: a very coarse sketch of the face. Deleting the file
    forgets what was sent.

    Args:
        secret: under which captures are sent.
        others: the person's other secrets, whose captures count as well: the same photo links across secrets too.
        root: folder of the files; `captures` in `home()` by default.
    """

    secret: Secret
    others: Sequence[Secret] = ()
    root: Path = field(default_factory=lambda: home() / "captures")
    _opened: dict[str, _Opened] = field(default_factory=dict, init=False, repr=False, compare=False)
    """By secret, what its file had when it was read last: of thousands of lines only new ones are decrypted."""

    def find(self, faces: NDArray[np.uint8]) -> list[Sent]:
        """Earlier uploads of one of the faces, the nearest first; none where all are new.

        Args:
            faces: aligned faces, uint8 RGB, (112, 112, 3) or (N, 112, 112, 3).

        Raises:
            ValueError: other faces; a damaged file, or one that others may read.
            OSError: a file cannot be read.
        """
        return self._find(capture_hashes(faces))

    def claim(self, faces: NDArray[np.uint8], pseudonym: str, *, linkable: bool = False) -> None:
        """Note faces of one upload as sent, before it is sent; refuse where one was sent before.

        Of two processes with one capture, one is refused. Faces of the same upload may be alike.

        Args:
            faces: as for `find`.
            pseudonym: `Pseudonym.fingerprint` of the rotation they are sent under.
            linkable: whether the person asked for it, knowing that it links: then another pseudonym is no reason to
                refuse, the same one still is.

        Raises:
            CaptureReused: one was sent before; nothing is noted then.
            ValueError: as `find`; a fingerprint that is none.
            OSError: a file cannot be read or written.
        """
        name = _fingerprint(pseudonym)
        hashes = capture_hashes(faces)
        with locked(self.root / ".lock"):
            self._check(hashes, pseudonym, linkable=linkable)
            self._append([bits.tobytes() + name for bits in hashes])

    def check(self, faces: NDArray[np.uint8], pseudonym: str) -> None:
        """Refuse faces that `claim` would refuse, and note nothing.

        Raises:
            CaptureReused: one was sent before.
            ValueError: as `find`.
            OSError: a file cannot be read.
        """
        self._check(capture_hashes(faces), pseudonym, linkable=False)

    def _check(self, hashes: NDArray[np.uint8], pseudonym: str, *, linkable: bool) -> None:
        found = self._find(hashes)
        again = [sent for sent in found if sent.pseudonym == pseudonym]
        if again:
            raise CaptureReused(again[0], same=True)
        if found and not linkable:
            raise CaptureReused(found[0], same=False)

    def claim_plain(self, faces: NDArray[np.uint8]) -> None:
        """Note faces as sent without a pseudonym, before they are sent; refuse where one was sent under one.

        Args:
            faces: as for `find`.

        Raises:
            CaptureReused: one was sent under a pseudonym; nothing is noted then.
            ValueError: as `find`.
            OSError: a file cannot be read or written.
        """
        with locked(self.root / ".lock"):
            self.check_plain(faces)
            # sent plainly once more it says nothing new
            new = [bits for bits in capture_hashes(faces) if not self._find(bits[None])]
            if new:
                self._append([bits.tobytes() + bytes.fromhex(PLAIN) for bits in new])

    def check_plain(self, faces: NDArray[np.uint8]) -> None:
        """Refuse faces that were sent under a pseudonym.

        Raises:
            CaptureReused: one was.
            ValueError: as `find`.
            OSError: a file cannot be read.
        """
        under_one = [sent for sent in self.find(faces) if sent.pseudonym != PLAIN]
        if under_one:
            raise CaptureReused(under_one[0], same=False, plain=True)

    def carry_over(self, old: Secret) -> None:
        """Take what was sent under an old secret into this one's file and delete the old one's.

        For a renewal by a new secret, before the old one is removed: captures it sent stay refused.

        Raises:
            ValueError: the old secret is this one; as `find`.
            OSError: a file cannot be read, written or deleted.
        """
        if old == self.secret:
            raise ValueError("old: expected another secret than this one")
        with locked(self.root / ".lock"):
            self._append(self._read(old))
            self._file(old).unlink(missing_ok=True)

    def _find(self, hashes: NDArray[np.uint8]) -> list[Sent]:
        found = []
        for secret in (self.secret, *(other for other in self.others if other != self.secret)):
            records = self._read(secret)
            known = np.frombuffer(b"".join(records), np.uint8).reshape(-1, _HASH_BYTES + _NAME_BYTES)
            distances = nearest_distances(hashes, known[:, :_HASH_BYTES])
            found += [
                Sent(records[place][_HASH_BYTES:].hex(), float(distances[place]))
                for place in np.flatnonzero(distances <= SAME_CAPTURE)
            ]
        return sorted(found, key=lambda sent: sent.distance)

    def _read(self, secret: Secret) -> list[bytes]:
        path = self._file(secret)
        try:
            data = read_private(path)
        except FileNotFoundError:
            return []
        # what follows the last end of line was cut off while it was written, before anything was sent
        data = data[: data.rfind(b"\n") + 1]
        before = self._opened.get(secret.fingerprint, _NOTHING)
        if not data.startswith(before.data):
            before = _NOTHING
        records = [*before.records]
        for line in data[len(before.data) :].splitlines():
            records.append(_opened(line, secret, f"{path}, line {len(records) + 1}"))
        self._opened[secret.fingerprint] = _Opened(data, records)
        return records

    def _append(self, records: list[bytes]) -> None:
        lines = [
            json.dumps({"v": 1, "sealed": base64.b64encode(seal(self.secret, record, use=_USE)).decode()})
            for record in records
        ]
        descriptor = os.open(self._file(self.secret), os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), PRIVATE)
        with os.fdopen(descriptor, "r+b") as file:
            data = file.read()
            file.seek(data.rfind(b"\n") + 1)
            file.truncate()
            file.write("".join(f"{line}\n" for line in lines).encode())
            file.flush()
            os.fsync(file.fileno())

    def _file(self, secret: Secret) -> Path:
        return self.root / f"{secret.fingerprint}.jsonl"


def check_apart(plain: NDArray[np.uint8], faces: NDArray[np.uint8], pseudonym: str) -> None:
    """Refuse one capture among faces for both sides of a request: one without a pseudonym, one under it.

    Args:
        plain: to be sent without one, as for `capture_hashes`.
        faces: to be sent under one.
        pseudonym: its fingerprint.

    Raises:
        CaptureReused: one is on both sides.
    """
    nearest = float(nearest_distances(capture_hashes(plain), capture_hashes(faces)).min())
    if nearest <= SAME_CAPTURE:
        raise CaptureReused(Sent(pseudonym, nearest), same=False, plain=True)


def _opened(line: bytes, secret: Secret, where: str) -> bytes:
    try:
        value = json.loads(line)
        if not isinstance(value, dict) or set(value) != {"v", "sealed"} or value["v"] != 1:
            raise ValueError("expected a capture of version 1")
        record = unseal(secret, base64.b64decode(value["sealed"], validate=True), use=_USE)
        if len(record) != _HASH_BYTES + _NAME_BYTES:
            raise ValueError(f"expected {_HASH_BYTES + _NAME_BYTES} bytes, got {len(record)}")
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: {error}") from None
    return record


def _fingerprint(pseudonym: str) -> bytes:
    try:
        name = bytes.fromhex(pseudonym)
    except ValueError:
        name = b""
    if len(name) != _NAME_BYTES or name.hex() != pseudonym:
        raise ValueError(f"pseudonym: expected a fingerprint of 16 hexadecimal digits, got {pseudonym!r:.80}")
    return name

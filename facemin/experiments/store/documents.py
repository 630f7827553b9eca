"""Files of records of any experiment in a folder: JSON Lines, and single documents of JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from facemin.experiments.store.records import Record, is_header, is_ours, read_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_UNDER = ("provenance", "conditions", "record")
"""Where a record keeps what is said of the code that made it, if not at its top."""


class Document(NamedTuple):
    """A file of records.

    Attributes:
        path: the file.
        name: its path relative to the folder that was read, with slashes.
        records: of `facemin bench run` where `ours`, else values of JSON; a `.json` file is one.
        ours: whether `facemin bench run` wrote it.
    """

    path: Path
    name: str
    records: tuple[Any, ...]
    ours: bool


def read_documents(folder: Path) -> list[Document]:
    """All files of records of a folder and those below it, by path; no headers beside records, and no blank lines.

    Raises:
        ValueError: a file that is not UTF-8, or a line or a document that is no JSON, or no record where the file says
            that it has such, named.
        OSError: a file that cannot be read.
    """
    found = []
    for path in sorted([*folder.rglob("*.jsonl"), *folder.rglob("*.json")]):
        if is_header(path):
            continue
        ours = path.suffix == ".jsonl" and is_ours(path)
        try:
            records = read_records(path) if ours else _read_json(path)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: expected UTF-8, {error}") from None
        found.append(Document(path, path.relative_to(folder).as_posix(), tuple(records), ours))
    return found


def latest(records: Iterable[dict[str, Any]], *fields: str) -> list[dict[str, Any]]:
    """The last record of each value of some fields, in the order in which the values came first."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for record in records:
        found[tuple(str(record.get(field, "")) for field in fields)] = record
    return list(found.values())


def is_changed(record: Any) -> bool | None:
    """Whether changed code made a record; None where it says nothing of that."""
    if isinstance(record, Record):
        return record.dirty
    if not isinstance(record, dict):
        return None
    for place in (record, *(record.get(name) for name in _UNDER)):
        if isinstance(place, dict) and isinstance(place.get("dirty"), bool):
            return bool(place["dirty"])
    return None


def _read_json(path: Path) -> Sequence[Any]:
    text = path.read_text(encoding="utf-8")
    pieces = [(path.name, text)]
    if path.suffix == ".jsonl":
        # not splitlines, which also ends lines at characters that strings of JSON may have
        pieces = [(f"{path.name}, line {at}", line) for at, line in enumerate(text.split("\n"), 1) if line.strip()]
    found = []
    for name, piece in pieces:
        try:
            found.append(json.loads(piece))
        except ValueError as error:
            raise ValueError(f"{path.parent / name}: expected a record, {error}") from None
    return found

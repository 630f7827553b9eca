"""The log of a run: JSON Lines, one a logged step or evaluation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from facemin.runtime.files import append_json, write_atomically

if TYPE_CHECKING:
    from pathlib import Path


def append(path: Path, line: dict[str, Any]) -> None:
    """Append one line; it is with the operating system when this returns."""
    append_json(path, line)


def read(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a log; a last one that was cut off by a crash is passed over.

    Raises:
        ValueError: a line before the last that is no JSON object with a step.
    """
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    found: list[dict[str, Any]] = []
    for at, line in enumerate(lines, 1):
        if at == len(lines) and not line.endswith("\n"):
            break
        try:
            values = json.loads(line)
        except ValueError:
            values = None
        if not isinstance(values, dict) or not isinstance(values.get("step"), int):
            raise ValueError(f"{path}, line {at}: expected a JSON object with a step, got {line!r:.80}")  # noqa: TRY004
        found.append(values)
    return found


def rewind(path: Path, step: int) -> None:
    """Drop what was logged after a step, because the run goes on from there and will log it again.

    Raises:
        ValueError: as `read` has it.
    """
    kept = [line for line in read(path) if line["step"] <= step]
    write_atomically(path, "".join(json.dumps(line) + "\n" for line in kept).encode())

"""TOML files of a person's settings."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def read_table(path: Path, *, what: str) -> dict[str, Any]:
    """Read a TOML file; a byte-order mark, as some editors write it, is passed over.

    Args:
        path: the file.
        what: it is, for the error: "an experiment".

    Raises:
        ValueError: no such file, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ValueError(f"{path}: expected {what}, found no file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected TOML, got: {error}") from None
    except RecursionError:
        raise ValueError(f"{path}: expected TOML, got values nested too deeply") from None

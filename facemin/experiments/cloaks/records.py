"""Records of measured cloaks: JSON Lines, one a cloak, from which alone the tables are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from facemin.runtime.faults import faults_named

if TYPE_CHECKING:
    from pathlib import Path

FORMAT: Final = "facemin.cloaks/1"


class LookedUp(BaseModel):
    """What became of looked-up photos, one entry a photo, person after person."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scores: tuple[float, ...]
    accepted: dict[str, tuple[bool, ...]]
    """By FAR."""
    ranks: tuple[int, ...]


class CloakRecord(BaseModel):
    """One cloak, measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["facemin.cloaks/1"] = FORMAT
    identity: str
    """SHA-256 of settings, faces and weights: what makes a rerun pass over it."""
    experiment: str
    cloak: dict[str, Any]
    """As the file has it, every default written out."""
    people: int
    probes: int
    """Photos looked up of each person."""
    data: dict[str, Any]
    judges: dict[str, str]
    """`Recogniser.fingerprint` by judge."""
    quality: dict[str, tuple[float, ...]]
    """Of each probe."""
    fit_seconds: tuple[float, ...]
    """Wall time of each person's fit."""
    looked_up: dict[str, dict[str, LookedUp]]
    """By judge and condition."""
    commit: str | None
    dirty: bool | None
    versions: dict[str, str]
    machine: str
    time: AwareDatetime


def read_cloak_records(path: Path) -> list[CloakRecord]:
    """All records of a file.

    Raises:
        ValueError: a line that is none, named.
    """
    found = []
    for at, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.is_file() else (), 1):
        with faults_named(f"{path}, line {at}: expected a record; ", value=False):
            found.append(CloakRecord.model_validate_json(line))
    return found

"""Records of measurements: JSON Lines, one a cell, from which alone every table is made."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from facemin.experiments.settings import Beside, Paper
from facemin.runtime.faults import faults_named
from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

FORMAT: Final = "facemin.bench/1"
"""Never renamed, wherever this module lies: records that were made long ago say it."""
_HEADER: Final = ".header.json"
DIGITS = 7
"""Decimals of a score; the networks compute in float32, whose own error is larger."""


class _Part(BaseModel):
    # a score that is not a number stays what it is: as null it could not be read back
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class CellEntry(_Part):
    """A cell that the experiment has, measured or not."""

    name: str
    series: str
    point: dict[str, Any]
    paper: Beside
    settings: str
    """SHA-256 of what is measured, whatever the data; a record of another one is of an earlier experiment."""


class Header(_Part):
    """The experiment that a record belongs to, with all that a table needs beside the measurements."""

    name: str
    """The file's stem."""
    title: str
    source: str
    remark: str
    layout: Literal["rows", "matrix", "noise", "selectivity"]
    kappa: float
    opponent: str | None
    noise_kappa: tuple[float, ...]
    paper: Paper | None
    cells: tuple[CellEntry, ...]


class Hardware(_Part):
    """What it ran on."""

    machine: str
    device: str
    python: str


class DataUsed(_Part):
    """The faces."""

    name: str
    source: str
    sha256: str
    """Of all aligned faces used, in order."""
    genuine: int
    impostor: int
    calibration_images: int
    no_face: int


class KeyUsed(_Part):
    """An authorised recogniser's key."""

    recogniser: str
    cut: str
    layers: tuple[str, ...]
    features: tuple[int, ...]
    """Shape at the cut."""
    share: float
    """Of the network's multiply-accumulates that lie before the cut."""
    sha256: str
    """Of the key's file."""


class ThresholdUsed(_Part):
    """A judge's threshold, and what it was measured on."""

    threshold: float
    far: float
    """Asked for."""
    far_measured: float
    impostor_pairs: int
    meaningful: bool
    """Whether there were enough impostor pairs for that FAR."""


class ScoresOf(_Part):
    """Cosines of protected probes, one a pair."""

    original: tuple[float, ...]
    """With the same face, plain."""
    other: tuple[float, ...]
    """With the pair's second face, plain."""


class NoisyScores(_Part):
    """What a bound of noise leaves."""

    bound: float
    cosines: dict[str, tuple[float, ...]]
    """By judge: protected and plain probe, both noisy."""
    distance: tuple[float, ...] | None
    """Of the two noisy images, by the experiment's distance; None where it has none, or features are noisy."""


class Spent(_Part):
    """What protecting cost, one entry a probe; empty without protection."""

    steps: tuple[int, ...]
    residuals: tuple[tuple[float, ...], ...]
    """Of each key."""
    unmet: tuple[tuple[int, ...], ...]
    """Keys whose residual was not met."""
    seconds: float
    """Of all probes together."""


class Likeness(_Part):
    """How alike protected and plain probes look, one entry a probe; what it is worth, floors tell."""

    ssim: tuple[float, ...]
    psnr: tuple[float, ...]
    """Decibels."""
    distance: tuple[float, ...] | None
    """By the experiment's distance."""


class Record(_Part):
    """One cell, measured."""

    format: Literal["facemin.bench/1"] = FORMAT
    identity: str
    """SHA-256 of settings, data and weights: what makes a rerun pass over the cell."""
    experiment: Header
    cell: str
    quick: bool
    passed: dict[str, Any]
    """The settings as the file has them."""
    resolved: dict[str, Any]
    """The settings with every default."""
    seed: int
    commit: str | None
    dirty: bool | None
    versions: dict[str, str]
    hardware: Hardware
    time: AwareDatetime
    data: DataUsed
    weights: dict[str, str]
    """`Recogniser.fingerprint` by judge, and the SHA-256 of the distance's file."""
    keys: tuple[KeyUsed, ...]
    same: tuple[bool, ...]
    thresholds: dict[str, ThresholdUsed]
    clean: dict[str, tuple[float, ...]]
    """By judge: plain probe and second face."""
    protected: dict[str, dict[str, ScoresOf]]
    """By judge and operation."""
    noise: tuple[NoisyScores, ...]
    likeness: Likeness | None
    """None without protection."""
    spent: Spent


def digest(value: Any) -> str:
    """SHA-256, in hexadecimal, of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def rounded(values: Any) -> tuple[float, ...]:
    """A tensor (N,) as numbers of `DIGITS` decimals."""
    return tuple(round(float(value), DIGITS) for value in values)


def append(path: Path, record: Record) -> None:
    """Add a record to a file; it is with the operating system when this returns.

    A last line that a crash cut off is dropped first.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and (data := path.read_bytes()) and not data.endswith(b"\n"):
        write_atomically(path, data[: data.rfind(b"\n") + 1])
    with path.open("a", encoding="utf-8") as file:
        file.write(record.model_dump_json() + "\n")


def read_records(path: Path) -> list[Record]:
    """All whole records of a file; blank lines, and a last line that was cut off by a crash, are passed over.

    Raises:
        ValueError: a line that is no record, named.
    """
    if not path.is_file():
        return []
    found = []
    with path.open(encoding="utf-8") as file:
        for at, line in enumerate(file, 1):
            if not line.endswith("\n"):
                break
            if not line.strip():
                continue
            with faults_named(f"{path}, line {at}: expected a record; ", value=False):
                found.append(Record.model_validate_json(line))
    return found


def write_header(path: Path, header: Header) -> None:
    """Keep the experiment as its file has it now beside its records, which have it as it was when each was measured.

    Raises:
        OSError: the file cannot be written.
    """
    write_atomically(_header_path(path), (header.model_dump_json(indent=1) + "\n").encode())


def read_header(path: Path) -> Header | None:
    """The experiment of a file of records as it was last run; None where none was kept.

    Raises:
        ValueError: it is no such thing.
    """
    kept = _header_path(path)
    if not kept.is_file():
        return None
    with faults_named(f"{kept}: expected an experiment's header; ", value=False):
        return Header.model_validate_json(kept.read_bytes())


def _header_path(path: Path) -> Path:
    return path.with_suffix(_HEADER)


def is_header(path: Path) -> bool:
    """Whether a file's name is that of a header beside records."""
    return path.name.endswith(_HEADER)


def is_ours(path: Path) -> bool:
    """Whether a file's first line says that it holds such records."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return f'"format":"{FORMAT}"' in file.read(200)

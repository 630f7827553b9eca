"""Report layout of convolutional networks taught by protected images, or by plain faces made poor, beside controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facemin.experiments.kinds.adversaries import FAR, LEVEL, ranks, tar
from facemin.experiments.kinds.pairs import COLUMNS
from facemin.experiments.layouts.entries import interval_entry
from facemin.experiments.layouts.sections import Section
from facemin.metrics import holm
from facemin.report.page import Entry, Table, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Record = dict[str, Any]
    Found = Mapping[tuple[str, str], Record]

STUDENTS = {
    "student": "a student of convolutions, without the key",
    "poor": "a student of convolutions of plain faces made poor alone",
    "poor, centred": "a student of plain faces made poor, less the mean of protected images",
}
GENDER = "gender"
IMAGES = {"plain": "plain faces", **COLUMNS}
COMMAND = " && ".join(
    f"python experiments/attacks/{script}.py --shared DIR --cache DIR {arguments}"
    for script, arguments in (
        ("protections", "--train 1000 pmt robust"),
        ("protections", "--train 512 low-frequency"),
        ("taught_networks", "student one-pass pseudonym robust pmt"),
        ("taught_networks", "poor plain robust pmt low-frequency pseudonym one-pass"),
        ("taught_networks", "gender plain one-pass pseudonym robust pmt"),
    )
)


def as_networks(records: Sequence[Record]) -> list[Section]:
    """Students who are looked for, and a gender probe."""
    found, adjusted = latest(records)
    remark = (
        "Students: AUC with its interval over people (chance 0.5), ranks one and ten beside chance, and TAR at a "
        f"threshold of everybody else's at FAR {FAR:g}. Gender: the share of people whose gender is read, beside the "
        f"commonest class, and the mean of both kinds (chance 0.5). p is among all {len(found)} networks (Holm)."
    )
    parts = [table(*each) for each in (_students(found, adjusted), _gender(found, adjusted)) if each.rows]
    return [Section("What networks learn", "", said(found, adjusted), parts, COMMAND, remark)]


def latest(records: Sequence[Record]) -> tuple[dict[tuple[str, str], Record], dict[tuple[str, str], float]]:
    """The last record of each network and images, and its p among all of them (Holm)."""
    found = {(record["network"], record["images"]): record for record in records}
    return found, dict(zip(found, holm([record["p"] for record in found.values()]).tolist(), strict=True))


def images_of(network: str, images: str) -> str:
    """What a network looks at, in words."""
    return "plain faces made poor" if images == "plain" and network != GENDER else IMAGES[images]


def said(found: Found, adjusted: Mapping[tuple[str, str], float]) -> str:
    """Whom each network reads, and whom it does not."""
    words = []
    for network in (each for each in (*STUDENTS, GENDER) if any(name == each for name, _ in found)):
        read = {True: list[str](), False: list[str]()}
        for (name, images), record in found.items():
            if name == network:
                figure = record["balanced"] if network == GENDER else record["auc"]
                read[adjusted[name, images] < LEVEL].append(f"{images_of(network, images)} {figure:.2f}")
        kind = "mean of both kinds" if network == GENDER else "AUC"
        who = "A gender probe" if network == GENDER else f"{STUDENTS[network][:1].upper()}{STUDENTS[network][1:]}"
        sides = [f"above chance on {'; '.join(read[True])}"] * bool(read[True])
        sides += [f"not told from chance on {'; '.join(read[False])}"] * bool(read[False])
        words.append(f"{who} ({kind}): {', '.join(sides)}.")
    return "\n".join(words)


def _students(found: Found, adjusted: Mapping[tuple[str, str], float]) -> Table:
    rows: list[list[Entry | str]] = []
    for (network, images), record in found.items():
        if network in STUDENTS:
            below = f"{ranks(record)}; Holm {adjusted[network, images]:.2g}"
            area = interval_entry(record["auc"], record["interval"], below=below)
            rows.append(
                [
                    STUDENTS[network],
                    Entry(images_of(network, images), mark="text"),
                    area,
                    tar(record["scores"]),
                    f"{record['pairs']:,}",
                    str(record["n"]),
                ]
            )
    return Table("Students", ["network", "images", "AUC", f"TAR at FAR {FAR:g}", "images learnt from", "n"], rows)


def _gender(found: Found, adjusted: Mapping[tuple[str, str], float]) -> Table:
    rows: list[list[Entry | str]] = []
    for (network, images), record in found.items():
        if network == GENDER:
            below = f"Holm {adjusted[network, images]:.2g}"
            share = interval_entry(record["hits"] / record["n"], record["interval"], below=below)
            rows.append(
                [IMAGES[images], share, f"{record['commonest']:.2f}", f"{record['balanced']:.2f}", str(record["n"])]
            )
    return Table("Gender", ["images", "read", "commonest", "mean of both kinds", "n"], rows)

"""Verification of carriers by the unmodified library `face_recognition`, at its own distance of 0.6.

    python experiments/carrier/peer.py --shared ../shared --cache CACHE --list 1
    PEERS/bin/python experiments/carrier/encode.py --shared ../shared --cache CACHE
    python experiments/carrier/peer.py --shared ../shared --cache CACHE

The first call lists the plain photos for `encode.py`, the last one makes the table and its record. Impostors are all
ordered pairs of different people, probe against enrolment; carriers of different people have different secrets.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
from carriers import arguments, load, record, rows_of

from facemin.metrics import wilson

DISTANCE = 0.6
OPERATIONS = (
    "as it is",
    "JPEG 75",
    "256 and back",
    "10 % tighter",
    "30 % looser",
    "turned 10 degrees",
    "400 px and JPEG 70 twice",
    "WebP 75",
    "to 160",
)
"""As `encode.py` names them."""


def main() -> None:
    """List, or tell."""
    given = arguments(__doc__, list=0, look="photo")
    if given.list:
        lfw = load(given.shared, given.cache)
        rows = rows_of(lfw, "test", given.people)
        (given.cache / "peer").mkdir(parents=True, exist_ok=True)
        (given.cache / "peer" / "plain.json").write_text(json.dumps([[lfw.paths[row] for row in two] for two in rows]))
        return
    table = [row for name in OPERATIONS if (row := told(given, name)) is not None]
    for row in table:
        print(json.dumps(row))
    record("peer", given, {"peer": "face_recognition 1.3.0, dlib-bin 20.0.1", "table": table})


def told(given: argparse.Namespace, name: str) -> dict[str, Any] | None:
    """One operation's row."""
    file = given.cache / "peer" / f"{given.look} {name}.jsonl"
    if not file.is_file():
        return None
    rows = {row["name"]: row for row in map(json.loads, file.read_text().splitlines())}
    people = [
        number
        for number in range(given.first, given.people)
        if all(f"{kind} {number:04d}_{photo}" in rows for kind in kinds(given.look) for photo in (0, 1))
    ]
    values: dict[str, Any] = {"operation": name, "people": len(people)}
    if len(people) < 2:
        return None
    held = {
        kind: np.array([[_row(rows[f"{kind} {number:04d}_{photo}"]) for photo in (0, 1)] for number in people])
        for kind in kinds(given.look)
    }
    for kind, pairs in held.items():
        found = sum(rows[f"{kind} {number:04d}_{photo}"]["faces"] >= 1 for number in people for photo in (0, 1))
        one = sum(rows[f"{kind} {number:04d}_{photo}"]["faces"] == 1 for number in people for photo in (0, 1))
        values[kind] = {"found": found, "one face": one, "of": 2 * len(people), **scores(pairs[:, 0], pairs[:, 1])}
    if "plain" in held:
        values["carrier against plain"] = scores(held["carrier"][:, 0], held["plain"][:, 1])
    return values


def kinds(look: str) -> tuple[str, ...]:
    """What there is to compare."""
    return ("carrier", "plain") if look == "photo" else ("carrier",)


def scores(probes: np.ndarray, enrolments: np.ndarray) -> dict[str, Any]:
    """Shares accepted, TAR at FAR 1e-2 of themselves, and the area; what was not found is never accepted."""
    measured = np.linalg.norm(probes[:, None] - enrolments[None], axis=2)
    distances = np.where(np.isnan(measured), 9.0, measured)
    genuine, impostors = np.diag(distances), distances[~np.eye(len(distances), dtype=bool)]
    limit = np.quantile(impostors, 1e-2, method="lower")
    accepted, others = int((genuine <= DISTANCE).sum()), int((impostors <= DISTANCE).sum())
    order = np.sort(impostors)
    places = np.searchsorted(order, genuine, "left") + np.searchsorted(order, genuine, "right")
    # people, not pairs, are what varies: the jackknife over them gives the interval
    left = [_far(distances, without) for without in range(len(distances))]
    error = float(np.sqrt((len(left) - 1) / len(left) * np.square(np.array(left) - np.mean(left)).sum()))
    far = others / len(impostors)
    return {
        "accepted": round(accepted / len(genuine), 4),
        "interval": [round(value, 4) for value in wilson(accepted, len(genuine))],
        "impostors accepted": round(far, 5),
        "impostors' interval": [round(max(0.0, far - 1.96 * error), 5), round(far + 1.96 * error, 5)],
        "TAR at FAR 1e-2": round(float((genuine <= limit).mean()), 4),
        "AUC": round(float(1 - places.mean() / (2 * len(order))), 4),
        "mean genuine distance": round(float(np.nanmean(np.diag(measured))), 4),
        "mean impostor distance": round(float(np.nanmean(measured[~np.eye(len(measured), dtype=bool)])), 4),
    }


def _far(distances: np.ndarray, without: int) -> float:
    kept = np.arange(len(distances)) != without
    part = distances[np.ix_(kept, kept)]
    return float((part[~np.eye(len(part), dtype=bool)] <= DISTANCE).mean())


def _row(row: dict[str, Any]) -> list[float]:
    return row["encoding"] if row["encoding"] is not None else [float("nan")] * 128


if __name__ == "__main__":
    main()

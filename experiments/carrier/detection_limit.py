"""Least surrogate detection scores of carriers' bases: what dlib's detector misses, by score of the base.

    python experiments/carrier/detection_limit.py --cache CACHE --each 14 --tries 1 --minutes 9

After `detection.py`, where facemin and dlib-bin are. Makes carriers of random targets on random seeds, `--each` in each
range of what the regression says of the base, with `--tries` 1 or 2 of each; tells how many of them the detector
misses, as its users run it and turned by ten degrees to either side, and how many it would if bases below a score were
drawn again, which is what `OF_BASE` in facemin/protection/carrier/detection.py was chosen by. Goes on where it ended.
"""

from __future__ import annotations

import io
import json
import time
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from carriers import arguments, record, seed
from detection import ANGLES, score, scored
from PIL import Image

from facemin.keys.default import default_key
from facemin.protection.carrier import FaceCarrier, PseudonymTarget, protector
from facemin.protection.carrier.base import Base, base_of
from facemin.protection.carrier.detection import DARK_EYES, detection_score, eye_contrast, regression
from facemin.pseudonym import Context, Pseudonym, Secret
from facemin.runtime.files import append_json

RANGES = (0.9, 1.1, 1.3, 1.5)
"""Ends of the ranges of the regression's score from which carriers are made."""
LIMITS = (0.0, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5)


def main() -> None:
    """Make carriers by range of their bases' score; tell what the detector misses; record."""
    given = arguments(__doc__, minutes=9.0, each=14, tries=1)
    torch.set_num_threads(1)
    protector.TRIES = given.tries
    log = given.cache / "detection" / f"carriers-{given.tries}.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    number = max((row["seed"] for row in rows), default=-1) + 1
    end, waiting = time.monotonic() + 60 * given.minutes, []
    while time.monotonic() < end and (not full(rows, given.each) or waiting):
        if not full(rows + waiting, given.each):
            frame = base_of(seed("limit", number)).frame
            row = {"seed": number, "base": round(detection_score(frame), 3)}
            if eye_contrast(frame) >= DARK_EYES and wants(rows + waiting, row["base"], given.each):
                waiting.append(row)
            number += 1
        if len(waiting) == 16 or full(rows + waiting, given.each):
            made = carriers([each["seed"] for each in waiting])
            for each, image in zip(waiting, made, strict=True):
                each["carrier"] = [round(score(np.asarray(turned(image, angle)), 1), 3) for angle in ANGLES]
                append_json(log, each)
            rows, waiting = rows + waiting, []
    if full(rows, given.each):
        values = {"by the base's score": by_range(rows), "by the limit": by_limit(given, rows)}
        print(json.dumps(values, indent=1))
        record("detection_limit", given, values)


def range_of(value: float) -> int:
    """The number of the range that a base's score is in; the last is above them all."""
    return int(np.searchsorted(RANGES, value, side="right"))


def wants(rows: list[dict[str, Any]], value: float, each: int) -> bool:
    """Whether the range of a score has fewer carriers than it should."""
    return sum(range_of(row["base"]) == range_of(value) for row in rows) < each


def full(rows: list[dict[str, Any]], each: int) -> bool:
    """Whether every range has its carriers."""
    counts = np.bincount([range_of(row["base"]) for row in rows], minlength=len(RANGES) + 1)
    return bool((counts >= each).all())


def carriers(numbers: list[int]) -> list[Image.Image]:
    """Carriers of random targets on the bases of seeds."""
    key = default_key()
    assert key.space is not None
    context = Context(origin="https://peer.example", space=key.space.id, dimension=key.space.dimension, purpose="main")
    bases = {seed("limit", number): base_of(seed("limit", number)) for number in numbers}

    class OnBases(FaceCarrier):
        def base_for(self, targets: Any, *_: Any) -> Base:
            return bases[targets[0].pseudonym.secret.data]

    targets = [
        [
            PseudonymTarget(
                pseudonym=Pseudonym(secret=Secret(name), context=context),
                embedding=np.random.default_rng(number).standard_normal(key.space.dimension),
            )
        ]
        for number, name in zip(numbers, bases, strict=True)
    ]
    files = [done.file for done in OnBases().aim(targets, [key], seed=0)]
    return [Image.open(io.BytesIO(file.data)).convert("RGB") for file in files if file is not None]


def turned(image: Image.Image, angle: int) -> Image.Image:
    """A photo as `encode.py` turns it."""
    return image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=(127, 127, 127)) if angle else image


def by_range(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the detector says of carriers, by range."""
    table = []
    for at, (low, high) in enumerate(zip((None, *RANGES), (*RANGES, None), strict=True)):
        found = np.array([row["carrier"] for row in rows if range_of(row["base"]) == at])
        table.append(
            {
                "from": low,
                "to": high,
                "carriers": len(found),
                "missed upright, +10, -10 degrees": (found < 0).sum(0).tolist(),
                "median score": np.median(found, axis=0).round(2).tolist(),
            }
        )
    return table


def by_limit(given: Any, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many carriers are missed if bases below a score are drawn again: by normal errors about a line an angle."""
    whole, fitted = scored(given), regression()
    dark = whole["eyes"] >= DARK_EYES
    bases = (whole["histograms"] * fitted.weights).sum((1, 2, 3)) + fitted.offset
    known = np.stack([np.ones(len(rows)), [row["base"] for row in rows]], 1)
    found = np.array([row["carrier"] for row in rows])
    lines = np.linalg.lstsq(known, found, rcond=None)[0]
    errors = np.sqrt(np.square(found - known @ lines).sum(0) / (len(rows) - 2))
    table = []
    for limit in LIMITS:
        kept = dark & (bases >= limit)
        means = np.stack([np.ones(int(kept.sum())), bases[kept]], 1) @ lines
        missed = [
            float(np.mean([NormalDist(mean, error).cdf(0) for mean in column]))
            for column, error in zip(means.T, errors, strict=True)
        ]
        table.append(
            {
                "limit": limit,
                "bases refused": round(float(1 - kept.mean()), 3),
                "missed upright, +10, -10 degrees": np.round(missed, 4).tolist(),
            }
        )
    return table


if __name__ == "__main__":
    main()

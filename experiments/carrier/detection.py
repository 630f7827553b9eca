"""How clearly dlib's detector finds bases and their carriers: the regression that stands in for it, and its limit.

    python experiments/carrier/detection.py --cache CACHE --part bases --people 1500 --minutes 9
    python experiments/carrier/detection.py --cache CACHE --part fit
    python experiments/carrier/detection.py --cache CACHE --part carriers --minutes 9

Runs where facemin and dlib-bin are. `bases` lets dlib's detector score bases of random seeds, at four sizes and places,
upright and turned by ten degrees to either side; it goes on where it ended, and several processes may each look at
seeds from `--first` to `--people`. `fit` is a ridge regression of its mean score on the bases' histograms of oriented
gradients, judged by cross-validation, and writes facemin/protection/carrier/detection.npz. `carriers` makes carriers of
random targets on other random seeds, as many in each range of what the regression says of the base, with `--tries` 1 or
2 of each, and tells how many of them the detector misses, as its users run it, and how many it would by the least score
of bases: that sets `detection.OF_BASE`. Everything is drawn at random, and nobody's.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import dlib
import numpy as np
import torch
from carriers import arguments, record
from PIL import Image

from facemin.keys.default import default_key
from facemin.protection.carrier import FaceCarrier, PseudonymTarget, protector
from facemin.protection.carrier.base import Base, base_of
from facemin.protection.carrier.components import FRAME
from facemin.protection.carrier.detection import DARK_EYES, FILE, detection_score, eye_contrast, histograms, regression
from facemin.pseudonym import Context, Pseudonym, Secret
from facemin.runtime.files import append_json, write_atomically

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]

BATCH = 50
ANGLES = (0, 10, -10)
SIZES = (247, 253, 259, 265)
"""Sides, in pixels, at which a frame is looked at: dlib's users see one of 262 px at twice its size, and dlib goes on
from there by steps of 5/6, so that these are what its window falls on."""
EDGE = 32
LOWEST = -2.0
"""Score down to which the detector tells of faces."""
PENALTIES = (10.0, 30.0, 100.0, 300.0, 1000.0)
FOLDS = 8
RANGES = (0.9, 1.1, 1.3, 1.5)
"""Ends of the ranges of the regression's score from which carriers are made."""
LIMITS = (0.0, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5)
DETECTOR = dlib.get_frontal_face_detector()


def main() -> None:
    """Do one part."""
    given = arguments(__doc__, part="bases", minutes=9.0, each=14, tries=1)
    torch.set_num_threads(1)
    {"bases": score_bases, "fit": fit, "carriers": score_carriers}[given.part](given)


def score_bases(given: Any) -> None:
    """Score what was not scored."""
    folder = given.cache / "detection"
    folder.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * given.minutes
    for first in range(given.first, given.people, BATCH):
        file = folder / f"{first:05d}.npz"
        if time.monotonic() > end:
            return
        if file.is_file():
            continue
        frames = [base_of(seed("hog", number)).frame for number in range(first, first + BATCH)]
        held = io.BytesIO()
        np.savez(
            held,
            scores=[scores(np.rint(255 * frame).astype(np.uint8)) for frame in frames],
            histograms=[histograms(frame) for frame in frames],
            eyes=[eye_contrast(frame) for frame in frames],
        )
        write_atomically(file, held.getvalue())


def scores(frame: NDArray[np.uint8]) -> Doubles:
    """What the detector says of a frame (512, 512, 3) by angle, size and place, (3, 4)."""
    wide = Image.fromarray(np.pad(frame, ((EDGE, EDGE), (EDGE, EDGE), (0, 0)), mode="edge"))
    found = []
    for angle in ANGLES:
        turned = wide.rotate(angle, Image.Resampling.BICUBIC) if angle else wide
        for number, size in enumerate(SIZES):
            side = round(size * wide.width / FRAME)
            seen = np.asarray(turned.resize((side, side), Image.Resampling.BICUBIC))
            found.append(score(seen[number % 3 :, 2 * number % 5 :], 0))
    return np.array(found).reshape(len(ANGLES), len(SIZES))


def score(image: NDArray[np.uint8], larger: int) -> float:
    """The detector's highest score in an image (H, W, 3), enlarged twofold some times."""
    found = DETECTOR.run(np.ascontiguousarray(image), larger, LOWEST)[1]
    return float(max(found, default=LOWEST))


def seed(name: str, number: int) -> bytes:
    """Nobody's."""
    return hashlib.sha256(f"{name} {number}".encode()).digest()


def fit(given: Any) -> None:
    """Fit, judge by cross-validation, write, record."""
    whole = scored(given)
    shown = whole["eyes"] >= DARK_EYES
    rows = whole["histograms"][shown].reshape(int(shown.sum()), -1).astype(np.float64)
    wanted = whole["scores"][shown].mean((1, 2))
    parts = np.random.default_rng(0).permutation(len(rows)) % FOLDS
    guesses = {penalty: np.empty(len(rows)) for penalty in PENALTIES}
    for penalty, guess in guesses.items():
        for part in range(FOLDS):
            own = parts == part
            weights, offset = ridge(rows[~own], wanted[~own], penalty)
            guess[own] = rows[own] @ weights + offset
    best = min(guesses, key=lambda penalty: float(np.square(guesses[penalty] - wanted).mean()))
    guess = guesses[best]
    weights, offset = ridge(rows, wanted, best)
    file = io.BytesIO()
    shape = whole["histograms"].shape[1:]
    np.savez_compressed(file, weights=weights.reshape(shape).astype(np.float16), offset=np.float32(offset))
    write_atomically(FILE, file.getvalue())
    weak = np.argsort(wanted)[: len(wanted) // 50]
    values = {
        "part": "fit",
        "bases": len(shown),
        "with dark eyes": len(rows),
        "penalty": best,
        "correlation": round(float(np.corrcoef(guess, wanted)[0, 1]), 3),
        "root mean square error": round(float(np.sqrt(np.square(guess - wanted).mean())), 3),
        "score, quantiles 0.01 0.02 0.05 0.5": np.quantile(wanted, [0.01, 0.02, 0.05, 0.5]).round(2).tolist(),
        "guessed, the same": np.quantile(guess, [0.01, 0.02, 0.05, 0.5]).round(2).tolist(),
        "of the weakest 2 %, among the guessed weakest 5 %": round(
            float((guess[weak] <= np.quantile(guess, 0.05)).mean()), 2
        ),
    }
    print(json.dumps(values, indent=1))
    record("detection", given, values)


def scored(given: Any) -> dict[str, Doubles]:
    """What `score_bases` left."""
    held = [dict(np.load(file)) for file in sorted((given.cache / "detection").glob("*.npz"))]
    return {name: np.concatenate([each[name] for each in held]) for name in ("scores", "histograms", "eyes")}


def ridge(rows: Doubles, wanted: Doubles, penalty: float) -> tuple[Doubles, float]:
    """Weights and offset of a ridge regression; rows are scaled to a mean square length of 100 for the penalty."""
    mean = rows.mean(0)
    scale = 10 / np.sqrt(np.square(rows - mean).sum(1).mean())
    centred = (rows - mean) * scale
    dual = np.linalg.solve(centred @ centred.T + penalty * np.eye(len(rows)), wanted - wanted.mean())
    weights = centred.T @ dual * scale
    return weights, float(wanted.mean() - mean @ weights)


def score_carriers(given: Any) -> None:
    """Make carriers by range of their bases' score, `--each` of each; tell what the detector misses; record."""
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
        values = {"part": "carriers", "by the base's score": by_range(rows), "by the limit": by_limit(given, rows)}
        print(json.dumps(values, indent=1))
        record("detection", given, values)


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

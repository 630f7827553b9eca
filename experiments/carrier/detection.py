"""Surrogate of dlib's face detector on bases of carriers: a ridge regression on gradient histograms.

    python experiments/carrier/detection.py --cache CACHE --part bases --people 1450 --minutes 9
    python experiments/carrier/detection.py --cache CACHE --part fit

Runs where facemin and dlib-bin are. `bases` lets dlib's detector score bases of random seeds, at four sizes and places,
upright and turned by ten degrees to either side; it goes on where it ended, and several processes may each look at
seeds from `--first` to `--people`. `fit` is a ridge regression of its mean score on the bases' histograms of oriented
gradients, judged by cross-validation, and writes facemin/protection/carrier/detection.npz. Everything is drawn at
random, and nobody's.
"""

from __future__ import annotations

import io
import json
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from carriers import arguments, record, seed
from PIL import Image

from facemin.protection.carrier.base import base_of
from facemin.protection.carrier.components import FRAME
from facemin.protection.carrier.detection import DARK_EYES, FILE, eye_contrast, histograms
from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


def main() -> None:
    """Do one part."""
    given = arguments(__doc__, part="bases", minutes=9.0)
    parts = {"bases": score_bases, "fit": fit}
    if given.part not in parts:
        raise SystemExit(f"--part: expected one of {', '.join(parts)}, got {given.part!r}")
    parts[given.part](given)


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
    found = detector().run(np.ascontiguousarray(image), larger, LOWEST)[1]
    return float(max(found, default=LOWEST))


@cache
def detector() -> Any:
    """Dlib's."""
    import dlib

    return dlib.get_frontal_face_detector()


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


if __name__ == "__main__":
    main()

"""Does the device recognise a capture that it sent before? Copies of LFW photos, and other photos of the same people.

    python experiments/pseudonym/captures.py --shared ../shared --people 100

A copy is encoded again, resized, cropped by a few pixels or mirrored; its face is found again by the detector, as a
person's device would, and its hash compared with that of the photo. The other rate is of two different photos of one
person: the official genuine pairs of everybody (one pair a person), found by the detector as well, and, with LFW's own
landmarks, all 3,000. Appends a record to results/pseudonym/captures.jsonl. 100 people take some five minutes on one
core.
"""

from __future__ import annotations

import argparse
import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from facemin.datasets.lfw import genuine_pairs, lfw_pairs
from facemin.evaluation.provenance import conditions
from facemin.experiments.common import REPOSITORY, lfw_points, script_parser
from facemin.face.align import align
from facemin.face.detect import Detector
from facemin.metrics import wilson
from facemin.pseudonym.capture_hash import SAME_CAPTURE, capture_hashes, hash_distance
from facemin.runtime.files import append_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Change = Callable[[Image.Image, np.random.Generator], Image.Image]

RECORDS = REPOSITORY / "results" / "pseudonym" / "captures.jsonl"


def jpeg(quality: int) -> Change:
    """Encode again."""

    def change(photo: Image.Image, _: np.random.Generator) -> Image.Image:
        data = io.BytesIO()
        photo.save(data, "JPEG", quality=quality)
        return Image.open(data).convert("RGB")

    return change


def resize(factor: float) -> Change:
    """Another size."""
    return lambda photo, _: photo.resize(
        (round(photo.width * factor), round(photo.height * factor)), Image.Resampling.BICUBIC
    )


def crop(most: int) -> Change:
    """1 to `most` pixels off each side."""

    def change(photo: Image.Image, generator: np.random.Generator) -> Image.Image:
        left, top, right, bottom = generator.integers(1, most + 1, 4).tolist()
        return photo.crop((left, top, photo.width - right, photo.height - bottom))

    return change


def one_after_another(*changes: Change) -> Change:
    """All of them."""

    def change(photo: Image.Image, generator: np.random.Generator) -> Image.Image:
        for each in changes:
            photo = each(photo, generator)
        return photo

    return change


COPIES: dict[str, Change] = {
    # pixels alone are hashed, so that a photo without its EXIF is this one
    "metadata stripped": lambda photo, _: photo,
    "JPEG 60": jpeg(60),
    "JPEG 75": jpeg(75),
    "JPEG 95": jpeg(95),
    "resized 0.5": resize(0.5),
    "resized 0.75": resize(0.75),
    "resized 1.5": resize(1.5),
    "resized 2": resize(2),
    "cropped by up to 8 px": crop(8),
    "cropped by up to 40 px": crop(40),
    "mirrored": lambda photo, _: photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "15 % brighter": lambda photo, _: photo.point(lambda value: min(255, round(1.15 * value))),
    "resized 0.5, cropped by up to 4 px, JPEG 60": one_after_another(resize(0.5), crop(4), jpeg(60)),
}


def main() -> None:
    """Measure, print and record."""
    arguments = _arguments()
    data = arguments.shared / "data"
    pairs = lfw_pairs(data / "lfw_pairs.txt")
    generator, detect = np.random.default_rng(arguments.seed), Detector(threads=1)
    copies: dict[str, list[float]] = {name: [] for name in COPIES}
    others: list[float] = []
    missed = dict.fromkeys([*COPIES, "photo", "other photo"], 0)
    for pair in genuine_pairs(pairs, arguments.people, seed=arguments.seed):
        photo = Image.open(data / "lfw" / pair.path_a).convert("RGB")
        own = _hash(photo, detect)
        if own is None:
            missed["photo"] += 1
            continue
        for name, change in COPIES.items():
            _note(copies[name], missed, name, own, _hash(change(photo, generator), detect))
        second = _hash(Image.open(data / "lfw" / pair.path_b).convert("RGB"), detect)
        _note(others, missed, "other photo", own, second)
    marks = lfw_points(arguments.shared)
    every = [
        hash_distance(
            *(_aligned(_pixels(data / "lfw" / path), marks[path].numpy()) for path in (pair.path_a, pair.path_b))
        )
        for pair in pairs
        if pair.same and not arguments.quick
    ]
    together = [distance for distances in copies.values() for distance in distances]
    record = {
        "experiment": "captures recognised again",
        "threshold": SAME_CAPTURE,
        "copies": {name: _share(distances) for name, distances in copies.items()},
        "all copies": _share(together),
        "other photos of the person, detected": _share(others),
        "other photos of the person, LFW's landmarks": _share(every),
        "nearest other photos": sorted(round(distance, 4) for distance in every)[:20],
        "no face found": missed,
        "arguments": {"people": arguments.people, "seed": arguments.seed},
        "pairs_sha256": hashlib.sha256((data / "lfw_pairs.txt").read_bytes()).hexdigest(),
        **conditions(),
    }
    for name in ("all copies", "other photos of the person, detected", "other photos of the person, LFW's landmarks"):
        print(name, record[name])
    for name, share in record["copies"].items():
        print(f"  {name}: {share}")
    append_json(RECORDS, record)


def _hash(photo: Image.Image, detect: Detector) -> NDArray[np.uint8] | None:
    """Hash of the largest face, or None where none is found."""
    pixels = np.array(photo)
    faces = detect(pixels)
    return _aligned(pixels, faces[0].points) if faces else None


def _aligned(pixels: NDArray[np.uint8], points: NDArray[np.float32]) -> NDArray[np.uint8]:
    hashes: NDArray[np.uint8] = capture_hashes(align(pixels, points[None])[0])[0]
    return hashes


def _pixels(path: Path) -> NDArray[np.uint8]:
    return np.array(Image.open(path).convert("RGB"))


def _note(
    distances: list[float], missed: dict[str, int], name: str, own: NDArray[np.uint8], found: NDArray[np.uint8] | None
) -> None:
    if found is None:
        missed[name] += 1
    else:
        distances.append(hash_distance(own, found))


def _share(distances: list[float]) -> dict[str, Any]:
    """How many are taken for the same capture."""
    if not distances:
        return {"n": 0}
    same = sum(distance <= SAME_CAPTURE for distance in distances)
    low, high = wilson(same, len(distances))
    quantiles = np.quantile(distances, [0, 0.01, 0.5, 0.99, 1]).round(4).tolist()
    return {
        "n": len(distances),
        "same": same,
        "share": round(same / len(distances), 4),
        "interval": [round(low, 4), round(high, 4)],
        "distances at 0, 1, 50, 99, 100 %": quantiles,
    }


def _arguments() -> argparse.Namespace:
    parser = script_parser(__doc__, seed=0)
    parser.add_argument("--people", type=int, default=100, help="whose photos are copied")
    parser.add_argument("--quick", action="store_true", help="leave the 3,000 pairs out")
    return parser.parse_args()


if __name__ == "__main__":
    main()

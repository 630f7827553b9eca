"""Stages of reading a large JPEG and finding its face: processor time of each, and what scaled decoding would change.

    python benchmarks/photo_stages.py [--side 4000] [--min-face 96] [--out RECORD.json]

One photo as in `one_pass_throughput.py`; one thread; the least of rounds, by turns, since other work on the machine
only adds. `pillow 1/N` is libjpeg's decoding alone at a fraction of the size, by which entropy decoding stays what it
is. Of the crop that comes from such a picture stands how far it lies from that of the whole photo, in grey levels.
"""

from __future__ import annotations

import io
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from measuring import script_parser, write_record
from one_pass_throughput import photos
from PIL import Image

from facemin.face import Detector, align, faces_in
from facemin.image import decode, encode
from facemin.image.pixel_memory import pixel_memory_kept

if TYPE_CHECKING:
    from collections.abc import Callable

SCALES = (1, 2, 4, 8)


def loaded(data: bytes, scale: int) -> Image.Image:
    """A JPEG decoded by Pillow at a fraction of its size."""
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (image.width // scale, image.height // scale))
    image.load()
    return image


def least(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Least processor milliseconds of each."""
    found = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            began = time.process_time()
            work()
            found[name] = min(found[name], 1000 * (time.process_time() - began))
    return {name: round(value, 1) for name, value in found.items()}


def crop_differences(data: bytes, detector: Detector) -> dict[str, dict[str, float]]:
    """By the scale, how far the crop from a picture of that scale lies from that of the whole photo."""
    whole = decode(data).pixels
    points = faces_in(whole, detector).points
    expected = align(whole, points).astype(np.int16)
    differences = {}
    for scale in SCALES[1:]:
        moved = (points + 0.5) / scale - 0.5
        apart = np.abs(align(np.asarray(loaded(data, scale)), moved).astype(np.int16) - expected)
        differences[f"1/{scale}"] = {
            "largest": int(apart.max()),
            "mean": round(float(apart.mean()), 3),
            "share_above_1": round(float((apart > 1).mean()), 4),
        }
    return differences


def main() -> None:
    """Measure and print."""
    parser = script_parser(__doc__, rounds=5, side=4000, min_face=96)
    given = parser.parse_args()
    (photo,) = photos(1, given.side)
    data, detector = encode(photo, format="JPEG", quality=92), Detector(min_face=given.min_face, threads=1)
    found = faces_in(photo, detector)
    works: dict[str, Callable[[], Any]] = {f"pillow 1/{scale}": partial(loaded, data, scale) for scale in SCALES}
    works |= {"decode": partial(decode, data), "find": partial(detector, photo)}
    times = least(works | {"align": partial(align, photo, found.points)}, given.rounds)
    with pixel_memory_kept():
        times |= least({"decode, memory kept": partial(decode, data)}, given.rounds)
    rows: list[dict[str, Any]] = [
        {"side": given.side, "bytes": len(data), "min_face": given.min_face, "faces": len(found.faces)},
        {"processor_ms": times},
        {"crop_of_a_scaled_picture": crop_differences(data, detector)},
    ]
    for row in rows:
        print(json.dumps(row), flush=True)
    write_record(given.out, "facemin photo stages 1", rows)


if __name__ == "__main__":
    main()

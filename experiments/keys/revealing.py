"""Refusals of honest and of hostile keys by `facemin.protection.check_revealing`, with 95 % intervals.

    python experiments/keys/revealing.py --shared ../shared --cache /tmp/revealing --count 2000

One LFW image a person, aligned by the published landmarks. Protected faces are kept in the cache, so that a run that
was interrupted goes on. Shallow cuts are the project's own, by plain feature matching (60 steps).
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from facemin.autograd.pixels import to_grid, to_unit
from facemin.face import align
from facemin.image import decode
from facemin.keys.default import default_key
from facemin.keys.key import Key, export_key
from facemin.metrics import wilson
from facemin.models import load_recogniser
from facemin.protection import DEFAULT_PROTECTOR, PMT, PROTECTORS, Protector, check_revealing
from facemin.runtime.files import append_json

if TYPE_CHECKING:
    from torch import Tensor

REPOSITORY = Path(__file__).resolve().parents[2]
CHUNK = 50
SHALLOW = {"conv7": 0.2, "conv32.1": 0.2, "conv64.1": 0.25, "conv64.4": 0.25, "conv128.1": 0.25}
"""Cuts at which an eye recognises the face, each with the residual it is protected to."""


def main() -> None:
    """Measure, write records and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=REPOSITORY.parent / "shared")
    parser.add_argument("--cache", type=Path, required=True, help="folder outside the repository")
    parser.add_argument("--count", type=int, default=2000, help="faces of the default key")
    parser.add_argument("--hostile", type=int, default=20, help="faces of each shallow cut")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    faces = sample(arguments.shared, max(arguments.count, arguments.hostile))
    recogniser = load_recogniser("dlib-resnet29")
    honest = default_key()
    runs: list[tuple[str, bool, Key, Protector, int]] = [
        ("default key", True, honest, PROTECTORS[DEFAULT_PROTECTOR], arguments.count)
    ]
    for cut, residual in SHALLOW.items():
        key = export_key(recogniser, cut, provider="measurement", residual=residual)
        runs.append((f"dlib {cut}", False, key, PMT(steps=60), arguments.hostile))
    for name, is_honest, key, method, count in runs:
        refused, checked = 0, 0
        for first in range(0, count, CHUNK):
            plain = faces[first : min(first + CHUNK, count)]
            images = protected(plain, key, method, arguments.cache / f"{name}-{first}-{len(plain)}.npy")
            refused += sum(
                check_revealing(_pixels(image), _pixels(face), [key]) is not None
                for image, face in zip(images, plain, strict=True)
            )
            checked += len(plain)
            print(f"{name}: {refused} of {checked} refused", flush=True)
        interval = wilson(refused, checked)
        record = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "key": name,
            "honest": is_honest,
            "n": checked,
            "refused": refused,
            "low": interval.low,
            "high": interval.high,
        }
        append_json(REPOSITORY / "results" / "keys" / "revealing.jsonl", record)


def sample(shared: Path, count: int) -> Tensor:
    """The first image of so many people, drawn with seed 0: uint8 (count, 3, 112, 112)."""
    with np.load(shared / "data" / "lfw_landmarks.npz") as found:
        names, points = [str(name) for name in found["names"]], found["pts"]
    first: dict[str, int] = {}
    for number, name in enumerate(names):
        first.setdefault(name.split("/")[0], number)
    people = sorted(first)
    drawn = [first[people[i]] for i in np.random.default_rng(0).permutation(len(people))[:count]]
    crops = (
        align(decode(shared / "data" / "lfw" / names[i]).pixels, torch.tensor(points[i][None]).float())[0]
        for i in drawn
    )
    return torch.stack([to_grid(crop) for crop in crops])


def protected(faces: Tensor, key: Key, method: Protector, cache: Path) -> Tensor:
    """Protected images of faces, from the cache where they are there."""
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        done = method(to_unit(faces), [key], seed=0)
        np.save(cache, torch.stack([image.pixels for image in done]).numpy())
    return torch.from_numpy(np.load(cache))


def _pixels(image: Tensor) -> np.ndarray:
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())


if __name__ == "__main__":
    main()

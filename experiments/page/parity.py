"""A browser's numbers beside Python's: embeddings, scores and painted images of LFW people, read from their JPEGs.

    python experiments/page/parity.py --shared ../shared [--people 50]

Two photos each of people of the part `report` of experiments/pseudonym/people.json. Each is read by the library in
Chromium, which decodes JPEG by itself, and by facemin. Compared are embeddings; scores of genuine and of impostor pairs
with both sides by Python, both by the browser, and one by each; and, where images are sent, the cosine at which the
key puts a painted image to its target. Nothing of a person is kept.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from facemin.evaluation.provenance import conditions
from facemin.experiments.common import RESULTS, script_parser
from facemin.face import Detector, align, faces_in
from facemin.image import decode
from facemin.keys.default import default_key
from facemin.models import SPACE_MODEL
from facemin.models.onnx.run import FaceRunner
from facemin.protection.one_pass.painter import OnePass, Painter
from facemin.protection.one_pass.protector import CORRECTIONS
from facemin.protection.one_pass.shipped import shipped_protector
from facemin.runtime.files import write_atomically

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.append(str(HERE.parent / "pseudonym"))
from embeddings import all_photos  # noqa: E402
from people import genuine_pairs  # noqa: E402


def main() -> None:
    """Read, compare, record."""
    parser = script_parser(__doc__, out=RESULTS / "page" / "parity.json", people=50)
    given = parser.parse_args()
    pairs = genuine_pairs("report", all_photos(given.shared), given.people)
    paths = [given.shared / "data" / "lfw" / path for pair in pairs for path in (pair.enrolment, pair.probe)]
    ours, crops = python_reads(paths)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        theirs = browser_reads(folder, paths, ours[:20])
    record = compare(ours, crops, theirs)
    values = {"people": len(pairs), "threads": theirs["threads"], "browser": theirs["browser"]}
    text = json.dumps(values | record | {"conditions": conditions()}, indent=1, default=str)
    write_atomically(given.out, text.encode() + b"\n")
    print(text)


def python_reads(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (N, D) and crops (N, 112, 112, 3) by facemin."""
    key, detector = default_key(), Detector(threads=1)
    assert key.space is not None
    crops = []
    for path in paths:
        photo = decode(path).pixels
        crops.append(align(photo, faces_in(photo, detector).points[:1])[0])
    faces = np.stack(crops)
    return key.space.embed(FaceRunner(key.graph), faces), faces


def browser_reads(folder: Path, paths: list[Path], targets: np.ndarray) -> dict[str, Any]:
    """The same by the library in Chromium, and images that it painted."""
    subprocess.run([sys.executable, ROOT / "spec" / "export_models.py", folder], check=True)
    names = [f"{number}.jpg" for number in range(len(paths))]
    for path, name in zip(paths, names, strict=True):
        shutil.copy(path, folder / name)
    (folder / "tasks.json").write_text(json.dumps({"photos": names, "targets": targets.tolist()}))
    subprocess.run(["node", HERE / "parity.mjs", folder], check=True)
    read: dict[str, Any] = json.loads((folder / "read.json").read_text())
    return read


def compare(ours: np.ndarray, crops: np.ndarray, theirs: dict[str, Any]) -> dict[str, Any]:
    """How far the two are apart."""
    rows = np.array([photo["embedding"] for photo in theirs["photos"]])
    seen = np.array([photo["crop"] for photo in theirs["photos"]], np.uint8).reshape(crops.shape)
    cosines = (ours * rows).sum(1)
    pairs = np.arange(len(ours)).reshape(-1, 2)
    impostors = np.stack([pairs[:, 0], np.roll(pairs[:, 1], 1)], 1)

    def scores(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        both = np.concatenate([pairs, impostors])
        return np.asarray((first[both[:, 0]] * second[both[:, 1]]).sum(1))

    plain = scores(ours, ours)
    differences = {
        "both in the browser": scores(rows, rows) - plain,
        "enrolled by Python, verified in the browser": scores(ours, rows) - plain,
        "enrolled in the browser, verified by Python": scores(rows, ours) - plain,
    }
    times = {
        name: float(np.median([photo["timings"][name] for photo in theirs["photos"]])) for name in ("detect", "embed")
    }
    return {
        "embeddings": {"least cosine": float(cosines.min()), "mean": float(cosines.mean())},
        "crops": {"mean difference, grey levels": float(np.abs(seen.astype(float) - crops).mean())},
        "scores": {
            name: {"largest": float(np.abs(values).max()), "mean": float(np.abs(values).mean()), "pairs": len(values)}
            for name, values in differences.items()
        },
        "painted": painted(ours, theirs["painted"]),
        "milliseconds": times,
    }


def painted(targets: np.ndarray, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Cosine of painted images to their targets, where the key puts them: the browser's and Python's."""
    key, protector = default_key(), shipped_protector(SPACE_MODEL)
    assert protector is not None
    run = FaceRunner(key.graph)
    theirs = np.array([each["pixels"] for each in found], np.uint8).reshape(-1, 112, 112, 3)
    wanted = targets[: len(theirs)].astype(np.float32)
    painter = Painter(protector, run, OnePass(residual=key.manifest.residual, corrections=CORRECTIONS))
    mine = np.stack([each.pixels for each in painter(wanted, list(range(len(wanted))))])

    def mean(images: np.ndarray) -> float:
        rows = run(images)
        return float((rows / np.linalg.norm(rows, axis=1, keepdims=True) * wanted).sum(1).mean())

    return {
        "images": len(theirs),
        "browser": mean(theirs),
        "python": mean(mine),
        "median milliseconds": float(np.median([each["milliseconds"] for each in found])),
    }


if __name__ == "__main__":
    main()

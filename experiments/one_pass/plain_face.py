"""How many one-pass images a service takes for a plain face that somebody forgot to protect.

python experiments/one_pass/plain_face.py --protector PROTECTOR.onnx
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from facemin.experiments.common import RESULTS, script_parser, write_record
from facemin.metrics.intervals import wilson
from facemin.protection.one_pass.painter import OnePass, Painter
from facemin.protection.one_pass.protector_file import ProtectorFile
from facemin.service.recognition.unprotected_face import PlainFaceCheck, smoothness


def main() -> None:
    """Count and write the record."""
    parser = script_parser(__doc__, shared=False, out=RESULTS / "one_pass" / "plain_face.json", images=200)
    parser.add_argument("--protector", type=Path, required=True)
    arguments = parser.parse_args()
    file = ProtectorFile.load(arguments.protector)
    drawn = np.random.default_rng(0).standard_normal((arguments.images, file.manifest.target), dtype=np.float32)
    targets = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    # it only paints here, so there is no key to ask
    painter = Painter(
        file, lambda pixels: np.zeros((len(pixels), file.manifest.target), np.float32), OnePass(residual=2)
    )
    images = painter.paint(targets, list(range(arguments.images)))
    check = PlainFaceCheck()
    refused = sum(check(image) for image in images)
    record = {
        "format": "facemin one-pass plain face 1",
        "protector_sha256": file.fingerprint,
        "images": len(images),
        "refused": refused,
        "wilson": [round(float(end), 4) for end in wilson(refused, len(images))],
        "smoothness_percentiles_0_50_100": [
            round(float(value), 3) for value in np.percentile(smoothness(images), (0, 50, 100))
        ],
    }
    write_record(arguments.out, record)
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()

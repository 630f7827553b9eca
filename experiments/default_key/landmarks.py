"""What landmarks do to recognition: the same pairs aligned by three sets of them, judged by dlib's recogniser.

    python experiments/default_key/landmarks.py --shared ../shared

Aligns the genuine pairs of people of LFW's folds 6 to 10 by the landmarks given with LFW's photos, by the detector's
as it finds them, and by the detector's after the upright and mirrored look (facemin/face/refine.py), and measures the
TAR of each at its own threshold for FAR 1e-3 over all cross-identity pairs of its images. Appends one record to
results/default_key/landmarks.jsonl and prints the table.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from panel import FAR, Faces, calibrated, tar

from facemin.datasets import genuine_pairs
from facemin.experiments.common import (
    REPOSITORY,
    central_faces,
    landmark_faces,
    lfw_half,
    lfw_root,
    provenance,
    script_parser,
)
from facemin.face import Detector, detect
from facemin.models import load_recogniser
from facemin.runtime.files import append_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from facemin.datasets import Pair

    Aligner = Callable[[Sequence[str]], Tensor]


def main() -> None:
    """Align, judge, record."""
    parser = script_parser(__doc__)
    parser.add_argument("--pairs", type=int, default=150)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "results" / "default_key" / "landmarks.jsonl")
    arguments = parser.parse_args()
    data = arguments.shared / "data"
    pairs = genuine_pairs(lfw_half(arguments.shared, "calibration"), arguments.pairs)
    recogniser = load_recogniser("dlib-resnet29")
    measured = {}
    print(f"{'landmarks':20} {'TAR':>6}  95 % interval   threshold  (FAR {FAR:g}, n = {len(pairs)})")
    for name, aligner in aligners(arguments.shared).items():
        judge = calibrated("dlib-resnet29", recogniser, aligned(pairs, aligner))
        cell = tar(judge, judge.clean)
        measured[name] = {**cell, "threshold": judge.at.threshold, "scores": judge.clean.tolist()}
        print(f"{name:20} {cell['tar']:6.3f}  {cell['low']:.3f} to {cell['high']:.3f}  {judge.at.threshold:10.4f}")
    given = (data / "lfw_landmarks.npz").read_bytes()
    append_json(
        arguments.out,
        {
            "far": FAR,
            "recogniser": {"name": "dlib-resnet29", "fingerprint": recogniser.fingerprint},
            "impostor_pairs": judge.at.n_impostor,
            "landmarks": measured,
            "landmarks_sha256": hashlib.sha256(given).hexdigest(),
            **provenance(arguments, arguments.shared),
        },
    )


def aligners(shared: Path) -> dict[str, Aligner]:
    """From photos' paths, relative to LFW's root, to aligned faces (N, 3, 112, 112), by where landmarks come from."""
    root, detector = lfw_root(shared), Detector()

    def by_given(paths: Sequence[str]) -> Tensor:
        return landmark_faces(shared, paths)

    def by_detector(paths: Sequence[str]) -> Tensor:
        return central_faces((root / path for path in paths), detector)

    def by_detector_unrefined(paths: Sequence[str]) -> Tensor:
        with patch.object(detect, "refine", lambda _network, _pixels, found: found):
            return by_detector(paths)

    return {"given": by_given, "detector unrefined": by_detector_unrefined, "detector": by_detector}


def aligned(pairs: Sequence[Pair], aligner: Aligner) -> Faces:
    """Both photos of each pair."""
    return Faces(
        probes=aligner([pair.path_a for pair in pairs]),
        enrolments=aligner([pair.path_b for pair in pairs]),
        people=[pair.name_a for pair in pairs],
    )


if __name__ == "__main__":
    main()

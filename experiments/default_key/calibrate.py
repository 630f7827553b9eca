"""Measure dlib's thresholds and the residual of its default cut, and write the calibration that facemin ships.

    python experiments/default_key/calibrate.py --shared ../shared

Thresholds: every image of the official pairs of LFW's folds 6 to 10, aligned by facemin's detector, all
cross-identity pairs. Residual: as chosen from the curve (curve.py), checked here on genuine pairs of the same folds.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from panel import calibrated, lfw_faces

from facemin import export_key, load_recogniser
from facemin.autograd.pixels import to_unit
from facemin.evaluation.judge import embed_all
from facemin.experiments.common import REPOSITORY, central_faces, lfw_half, lfw_root, script_parser
from facemin.face import Detector
from facemin.metrics import cross_identity_threshold, pair_scores, rates_at
from facemin.models import Recogniser
from facemin.models.calibration import Calibration, StoppingResidual, Threshold, read_calibration
from facemin.protection import DEFAULT_PROTECTOR, PROTECTORS
from facemin.runtime.files import write_atomically

FARS = (1e-3, 1e-2, 1e-4, 1e-5)
"""The first is the default."""


def main() -> None:
    """Measure and write."""
    parser = script_parser(__doc__)
    parser.add_argument("--cut", default="pooled")
    parser.add_argument("--residual", type=float, default=0.07)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--keep-thresholds", action="store_true", help="measure the residual's TAR only")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "facemin" / "calibrations" / "dlib-resnet29.json")
    arguments = parser.parse_args()
    recogniser = load_recogniser("dlib-resnet29")
    if arguments.keep_thresholds:
        thresholds = list(read_calibration(arguments.out).thresholds)
    else:
        thresholds = measure_thresholds(recogniser, arguments.shared)
    faces = lfw_faces(arguments.shared, half="calibration", count=arguments.pairs)
    key = export_key(recogniser, arguments.cut, provider="measurement", residual=arguments.residual)
    done = PROTECTORS[DEFAULT_PROTECTOR](faces.probes, [key], seed=0)
    judge = calibrated("dlib-resnet29", recogniser, faces)
    scores = judge.scores(to_unit(torch.stack([image.pixels for image in done]))).other
    tar = float((scores >= thresholds[0].threshold).double().mean())
    calibration = Calibration(
        model=recogniser.name,
        fingerprint=recogniser.fingerprint,
        data="LFW (deep-funneled), images of the official pairs of folds 6 to 10, central face, facemin's detector; "
        "all cross-identity pairs; TAR on the genuine official pairs of these folds, plain against plain",
        command="python experiments/default_key/calibrate.py --shared ../shared "
        f"--cut {arguments.cut} --residual {arguments.residual} --pairs {arguments.pairs}",
        thresholds=tuple(thresholds),
        residuals=(StoppingResidual(cut=arguments.cut, residual=arguments.residual, tar=tar, pairs=len(scores)),),
    )
    write_atomically(arguments.out, (json.dumps(calibration.model_dump(), indent=1) + "\n").encode())
    print(calibration.model_dump_json(indent=1))


def measure_thresholds(recogniser: Recogniser, shared: Path) -> list[Threshold]:
    """Thresholds by FAR over all cross-identity pairs of the calibration half's images."""
    pairs = lfw_half(shared, "calibration")
    people = {pair.path_a: pair.name_a for pair in pairs} | {pair.path_b: pair.name_b for pair in pairs}
    paths = sorted(people)
    names = sorted(set(people.values()))
    labels = torch.tensor([names.index(people[path]) for path in paths])
    detector = Detector()
    rows = [
        embed_all(recogniser, central_faces((lfw_root(shared) / path for path in paths[i : i + 32]), detector))
        for i in range(0, len(paths), 32)
    ]
    embeddings = torch.cat(rows)
    at = {path: number for number, path in enumerate(paths)}
    same = [pair for pair in pairs if pair.same]
    genuine = pair_scores(embeddings[[at[p.path_a] for p in same]], embeddings[[at[p.path_b] for p in same]])
    thresholds = []
    for far in FARS:
        found = cross_identity_threshold(embeddings, labels, far=far)
        rates = rates_at(genuine, genuine, found.threshold)
        thresholds.append(
            Threshold(
                far=far,
                threshold=found.threshold,
                far_measured=found.far_measured,
                impostor_pairs=found.n_impostor,
                genuine_pairs=len(genuine),
                tar=rates.tar,
            )
        )
    return thresholds


if __name__ == "__main__":
    main()

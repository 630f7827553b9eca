"""Measure the thresholds that decide on protected probes of the default key, and write what facemin ships.

    python experiments/service/thresholds.py --shared ../shared --cache /tmp/calibration.npz

People of LFW's folds 6 to 10: 300 with a genuine pair and 900 with one image; every image plain and protected.
"""

from __future__ import annotations

import json

import torch
from lfw_protected import sample

from facemin import load_recogniser
from facemin.autograd.pixels import to_unit
from facemin.experiments.common import REPOSITORY, script_parser
from facemin.keys.default import plain_key
from facemin.metrics import pair_scores
from facemin.runtime.files import write_atomically
from facemin.service.recognition.thresholds import ThresholdSet, impostor_scores, measure_pair


def main() -> None:
    """Measure, write and print."""
    parser = script_parser(__doc__, cache=".npz outside the repository")
    parser.add_argument("--genuine", type=int, default=300)
    parser.add_argument("--single", type=int, default=900)
    arguments = parser.parse_args()
    recogniser, manifest = load_recogniser("dlib-resnet29"), plain_key().manifest
    faces = sample(
        arguments.shared,
        half="calibration",
        genuine=arguments.genuine,
        single=arguments.single,
        cache=arguments.cache,
    )
    with torch.inference_mode():
        plain, protected = (
            torch.cat([recogniser(to_unit(part)) for part in images.split(32)])
            for images in (faces.plain, faces.protected)
        )
    people, pairs = faces.people, 2 * arguments.genuine
    entries = []
    for name, probes, enrolments in (
        ("protected-protected", protected, protected),
        ("protected-plain", protected, plain),
        ("plain-plain", plain, plain),
    ):
        genuine = pair_scores(probes[0:pairs:2], enrolments[1:pairs:2])
        impostor = impostor_scores(probes, enrolments, people, people)
        entries += measure_pair(name, genuine, impostor)
    found = ThresholdSet(
        model=recogniser.name,
        fingerprint=recogniser.fingerprint,
        cut=manifest.cut,
        residual=manifest.residual,
        data=f"LFW (deep-funneled), people of folds 6 to 10: {arguments.genuine} with a genuine pair, "
        f"{arguments.single} with one image; central face; all pairs of different people; protected images from "
        "independent noise, 8 bit",
        command="python experiments/service/thresholds.py --shared ../shared --cache FILE "
        f"--genuine {arguments.genuine} --single {arguments.single}",
        thresholds=tuple(entries),
    )
    folder = REPOSITORY / "facemin" / "calibrations" / "protected"
    path = folder / f"{recogniser.name}.{manifest.cut}.json"
    write_atomically(path, (json.dumps(found.model_dump(), indent=1) + "\n").encode())
    for entry in entries:
        print(
            f"{entry.pair:20} {entry.far:.0e} {entry.threshold:.4f} TAR {entry.tar:.3f} of {entry.genuine_pairs}, "
            f"{entry.impostor_pairs:,} impostor pairs"
        )


if __name__ == "__main__":
    main()

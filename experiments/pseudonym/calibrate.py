"""Measure thresholds of the default space and the residual of its key, and write the calibrations that facemin ships.

    python experiments/pseudonym/calibrate.py --shared ../shared --cache CACHE

On the people of `choose` (people.py), whom nothing was fitted on and nothing is reported on. Plain: one view of each
photo. Pseudonym: face and mirror image averaged, under one rotation, which changes no cosine: the FAR is that of
somebody who stole the secret. Residual: TAR of images protected for the key without a pseudonym, against plain
enrolments, at the first threshold.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import torch
from embeddings import Embedded, all_photos, crops, embed
from people import genuine_pairs, photos

from facemin.autograd.pixels import to_unit
from facemin.experiments.common import REPOSITORY, script_parser
from facemin.keys.key import export_key
from facemin.metrics import cross_identity_threshold, pair_scores, rates_at
from facemin.models import SPACE_MODEL, dlib_resnet, load_recogniser
from facemin.models.calibration import Calibration, StoppingResidual, Threshold
from facemin.models.onnx.run import FaceRunner
from facemin.models.registry import shipped_space
from facemin.protection import DEFAULT_PROTECTOR, PROTECTORS
from facemin.pseudonym.rotation import average_views
from facemin.runtime.files import write_atomically

FARS = (1e-3, 1e-2, 1e-4, 1e-5)
"""The first is the default."""


def main() -> None:
    """Measure and write."""
    parser = script_parser(__doc__, cache="folder that keeps embeddings between runs")
    parser.add_argument("--genuine", type=int, default=600)
    parser.add_argument("--residual", type=float, default=0.3)
    parser.add_argument("--pairs", type=int, default=48, help="genuine pairs for the residual")
    arguments = parser.parse_args()
    paths = all_photos(arguments.shared)
    by_name = photos("choose", paths)
    pairs = genuine_pairs("choose", paths, arguments.genuine)
    wanted = [path for found in by_name.values() for path in found]
    embedded = embed(dlib_resnet.graph(), arguments.shared, wanted, arguments.cache)
    recogniser = load_recogniser(SPACE_MODEL)
    fitted, _ = shipped_space(SPACE_MODEL)
    face, mirror = (fitted(rows).astype(np.float32) for rows in (embedded.face, embedded.mirror))
    both = average_views([face, mirror]).astype(np.float32)
    folder = REPOSITORY / "facemin" / "calibrations"
    about = (
        f"LFW (deep-funneled), {len(wanted):,} photos of the {len(by_name):,} people of `choose` "
        "(experiments/pseudonym/people.json), landmarks given; all cross-identity pairs; "
        f"{len(pairs)} genuine pairs; "
    )
    command = (
        f"python experiments/pseudonym/calibrate.py --shared ../shared --cache CACHE --genuine {arguments.genuine} "
        f"--residual {arguments.residual} --pairs {arguments.pairs}"
    )
    for views, rows, file in (
        ("one view", face, folder / f"{SPACE_MODEL}.json"),
        ("face and mirror image averaged, same rotation", both, folder / "pseudonym" / f"{SPACE_MODEL}.json"),
    ):
        thresholds = [measure(rows, embedded, pairs, far) for far in FARS]
        residuals = () if rows is both else (residual(thresholds[0].threshold, pairs, arguments),)
        calibration = Calibration(
            model=recogniser.name,
            fingerprint=recogniser.fingerprint,
            data=about + views,
            command=command,
            thresholds=tuple(thresholds),
            residuals=residuals,
        )
        write_atomically(file, (json.dumps(calibration.model_dump(), indent=1) + "\n").encode())
        print(calibration.model_dump_json(indent=1))


def measure(rows: np.ndarray, embedded: Embedded, pairs: list, far: float) -> Threshold:
    """The threshold at a FAR over all pairs of different people, and the TAR of the genuine pairs there."""
    names = sorted({path.split("/")[0] for path in embedded.at})
    number = {name: at for at, name in enumerate(names)}
    labels = torch.tensor([number[path.split("/")[0]] for path in embedded.at])
    found = cross_identity_threshold(torch.from_numpy(rows), labels, far=far)
    enrolments, probes = (
        torch.from_numpy(rows[[embedded.at[getattr(pair, side)] for pair in pairs]]) for side in ("enrolment", "probe")
    )
    genuine = pair_scores(enrolments, probes)
    return Threshold(
        far=far,
        threshold=found.threshold,
        far_measured=found.far_measured,
        impostor_pairs=found.n_impostor,
        genuine_pairs=len(genuine),
        tar=rates_at(genuine, genuine, found.threshold).tar,
    )


def residual(threshold: float, pairs: list, arguments: argparse.Namespace) -> StoppingResidual:
    """TAR of the default protector's images, without a pseudonym, at a residual."""
    recogniser = load_recogniser(SPACE_MODEL)
    cut = recogniser.cuts[-1].name
    key = export_key(recogniser, cut, provider="measurement", residual=arguments.residual)
    used = pairs[: arguments.pairs]
    probes = crops(arguments.shared, [pair.probe for pair in used])
    faces = to_unit(torch.from_numpy(probes).permute(0, 3, 1, 2).contiguous())
    done = PROTECTORS[DEFAULT_PROTECTOR](faces, [key], seed=0)
    run = FaceRunner(key.data)
    protected = run(np.stack([image.pixels.permute(1, 2, 0).numpy() for image in done]))
    enrolled = run(crops(arguments.shared, [pair.enrolment for pair in used]))
    tar = float(((protected * enrolled).sum(1) >= threshold).mean())
    print("steps", [image.steps for image in done], "own", (protected * run(probes)).sum(1).mean())
    return StoppingResidual(cut=cut, residual=arguments.residual, tar=tar, pairs=len(used))


if __name__ == "__main__":
    main()

"""Pseudonymous images for a research recogniser, made by optimisation: TAR beside that of its plain embeddings.

    python experiments/pseudonym/research_images.py --shared ../shared --cache CACHE

MobileFaceNet (ms1m, ArcFace), face and mirror image averaged, in the space that space.py judges: 128 dimensions,
half-whitened, fitted on the people of `fit`. Nobody has a decoder for it, so both images of each genuine pair of
`report` are made by the default method for their targets, up to its usual number of steps or a residual of
--residual percent, with blurs of up to --blur tenths of a pixel in its steps; every 150 pairs are under one secret.
Operations and impostors as in experiments/one_pass/quality.py; the plain threshold is of --plain pairs, the first
--pairs of which images are made of. What was made is kept in the cache, so that a run goes on where it was.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from common import arguments, record, rotation
from embeddings import all_photos, crops, embed
from people import genuine_pairs, photos
from space import RESEARCH, RESEARCH_SPACE

from facemin.keys.key import export_key
from facemin.metrics.verification import threshold_at_far
from facemin.models import RecogniserGraph, load_recogniser
from facemin.models.onnx.run import FaceRunner
from facemin.models.space import SpaceDeclaration, mirrored
from facemin.models.space_fit import OUTPUT, append_space, fit, measure_isotropy
from facemin.protection import DEFAULT_PROTECTOR, PROTECTORS
from facemin.protection.contract import as_protected
from facemin.protection.pmt.degradations import ProviderOperations
from facemin.protection.pmt.method import PMT
from facemin.pseudonym.rotation import average_views
from facemin.runtime.compute import Compute

sys.path.append(str(Path(__file__).resolve().parents[1] / "one_pass"))
from quality import FAR, OPERATIONS, UNDER_ONE_SECRET, cell, linked, scores

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from facemin.image import Pixels
    from facemin.keys.key import Key

    Rows = NDArray[np.float64]

PART = 10
"""Images that are kept together."""


def main() -> None:
    """Make images, judge them, record."""
    given = arguments(__doc__, pairs=300, plain=600, residual=30, blur=12)
    torch.set_num_threads(1)
    key = research_key(given)
    runner = FaceRunner(key.graph)
    pairs = genuine_pairs("report", all_photos(given.shared), given.plain)
    people, groups = [pair.name for pair in pairs], np.arange(len(pairs)) // UNDER_ONE_SECRET
    probes, enrolments = (
        embedded(runner, crops(given.shared, [getattr(pair, side) for pair in pairs]))
        for side in ("probe", "enrolment")
    )
    plain = scores(probes, enrolments, people, groups)
    threshold = threshold_at_far(plain[1], far=FAR).threshold
    table: dict[str, Any] = {"plain": cell(*plain, threshold)}
    people, groups, probes, enrolments = (part[: given.pairs] for part in (people, groups, probes, enrolments))
    table["plain, of the same pairs"] = cell(*scores(probes, enrolments, people, groups), threshold)
    generator = np.random.default_rng(given.seed)
    turns = [rotation(probes.shape[1], generator) for _ in range(groups[-1] + 1)]
    targets = [
        np.stack([turns[group] @ row for group, row in zip(groups, rows, strict=True)]) for rows in (probes, enrolments)
    ]
    images, told = made(np.concatenate(targets).astype(np.float32), key, given)
    enrolled = runner(images[given.pairs :]).astype(np.float64)
    for name, operation in OPERATIONS.items():
        places = runner(operation(images[: given.pairs])).astype(np.float64)
        table[name] = {
            "cosine_to_target": round(float((places * targets[0]).sum(1).mean()), 4),
            "against_feature": cell(*scores(places, targets[1], people, groups), threshold),
            "against_image": cell(*scores(places, enrolled, people, groups), threshold),
            "linked_to_plain": linked(places, enrolments),
        }
        print(name, table[name]["against_feature"], table[name]["against_image"], flush=True)
    values = {"pairs": given.pairs, "far": FAR, "threshold": threshold, "impostor_scores": len(plain[1])}
    record("research_images", given, {"recogniser": RESEARCH, **values, "table": table, "made": told})
    print(table["plain"], told)


def research_key(given: argparse.Namespace) -> Key:
    """A key of the research recogniser in its space, fitted as in space.py, kept nowhere."""
    recogniser = load_recogniser(given.shared / "models" / f"{RESEARCH}.onnx")
    others = [path for found in photos("fit", all_photos(given.shared)).values() for path in found]
    known = embed(recogniser.graph, given.shared, others, given.cache)
    fitted = fit(np.concatenate([known.face, known.mirror]), RESEARCH_SPACE)
    rows = average_views([fitted(view).astype(np.float32) for view in (known.face, known.mirror)])
    declared = SpaceDeclaration(
        dimension=fitted.dimension, isotropy=measure_isotropy(rows), fitted="LFW, the people of `fit`"
    )
    graph = append_space(recogniser.graph, fitted)
    whole = RecogniserGraph(graph, name=f"{RESEARCH}-space", cuts=(OUTPUT,), space=declared)
    return export_key(whole, OUTPUT, provider="measurement", residual=given.residual / 100)


def embedded(runner: FaceRunner, faces: Pixels) -> Rows:
    """Aligned faces and their mirror images averaged in the space."""
    return average_views([runner(faces), runner(mirrored(faces))])


def robust(blur: float) -> PMT:
    """The default method, its steps under blurs of up to so many pixels."""
    default = PROTECTORS[DEFAULT_PROTECTOR]
    assert isinstance(default, PMT)
    assert isinstance(default.transform, ProviderOperations)
    return replace(default, transform=replace(default.transform, blur=blur))


def made(targets: NDArray[np.float32], key: Key, given: argparse.Namespace) -> tuple[Pixels, dict[str, Any]]:
    """Images (N, 112, 112, 3) for targets, and how many steps they took and what they miss."""
    assert key.space is not None
    folder = given.cache / "research-images"
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for first in range(0, len(targets), PART):
        some = targets[first : first + PART]
        words = key.space.id + some.tobytes() + bytes([given.seed, given.residual, given.blur])
        file = folder / f"{hashlib.sha256(words).hexdigest()[:16]}.npz"
        if not file.is_file():
            method = robust(given.blur / 10)
            aimed = method.aim(([row] for row in some), [key], seed=given.seed, compute=Compute(batch=16))
            done = sorted((as_protected(one, [key], method) for one in aimed), key=lambda one: one.index)
            np.savez(
                file,
                pixels=np.stack([one.pixels for one in done]),
                steps=[one.steps for one in done],
                residuals=[one.check.residuals[0] for one in done],
            )
            print(f"{first + len(some)} of {len(targets)} images", flush=True)
        parts.append(np.load(file))
    steps, residuals = (np.concatenate([part[name] for part in parts]) for name in ("steps", "residuals"))
    limit = key.manifest.residual
    told = {
        "steps_percentiles_5_50_95": [round(float(value), 1) for value in np.percentile(steps, (5, 50, 95))],
        "residual_percentiles_5_50_95": [round(float(value), 4) for value in np.percentile(residuals, (5, 50, 95))],
        "not_reached": int((residuals > limit).sum()),
        "images": len(targets),
    }
    return np.concatenate([part["pixels"] for part in parts]), told


if __name__ == "__main__":
    main()

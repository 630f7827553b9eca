"""Authorised and linking quality of one-pass images, and their speed, on LFW people nobody fitted or trained on.

    python experiments/one_pass/quality.py --shared ../shared --protector PROTECTOR.onnx
    python experiments/one_pass/quality.py --shared ../shared --protector PROTECTOR.onnx --finish 12 --step 1
    python experiments/one_pass/quality.py --shared ../shared --protector PROTECTOR.onnx --corrections 1

600 genuine pairs of the part `report` of experiments/pseudonym/people.json. Every 150 pairs are under one secret, a
rotation drawn from Haar's measure. The probe is painted and goes through an operation of a provider; it is compared
with the enrolment's feature under the same secret, and with an enrolment image that was painted with another noise.
Impostors have the same secret and are other people. Thresholds at FAR 1e-3 are of plain embeddings (the recogniser's
own) and, beside it, of each comparison's own impostors. Faces are embedded with their mirror images.
With `--corrections`, both images are painted anew for what they missed. With `--finish`, the probe's image is the start
of so many steps of Adam, as the fallback of one pass takes them.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from facemin.evaluation.provider_operations import GaussianNoise, Jpeg, Resize, Shift
from facemin.experiments.common import RESULTS, script_parser, write_record
from facemin.keys.default import default_key
from facemin.metrics.intervals import wilson
from facemin.metrics.verification import threshold_at_far
from facemin.models import MODELS, SPACE_MODEL
from facemin.models.onnx.run import FaceRunner
from facemin.models.space import mirrored
from facemin.protection.one_pass.painter import CHECKS, OnePass, Painter
from facemin.protection.one_pass.protector_file import ProtectorFile
from facemin.protection.pmt.finish import STEP, finishing
from facemin.protection.pmt.step_rules import Adam
from facemin.pseudonym.rotation import average_views
from facemin.runtime.compute import Compute
from facemin.runtime.seeds import target_seed
from facemin.train.one_pass.loop import visible_difference

sys.path.append(str(Path(__file__).resolve().parents[1] / "pseudonym"))
from embeddings import all_photos, crops
from people import genuine_pairs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from facemin.image import Pixels

    Rows = NDArray[np.float64]

FAR = 1e-3
UNDER_ONE_SECRET = 150


def on_tensors(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Pixels], Pixels]:
    """One of Pillow's operations, on uint8 arrays (N, 112, 112, 3)."""

    def changed(pixels: Pixels) -> Pixels:
        images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 255
        found = change(images).mul(255).round().clamp(0, 255).to(torch.uint8)
        return np.ascontiguousarray(found.numpy().transpose(0, 2, 3, 1))

    return changed


OPERATIONS: dict[str, Callable[[Pixels], Pixels]] = {
    "raw": CHECKS["none"],
    "jpeg-75": on_tensors(Jpeg(quality=75)),
    "jpeg-90": on_tensors(Jpeg(quality=90)),
    "blur-1": CHECKS["blur-1"],
    "blur-2": CHECKS["blur-2"],
    "shift-2": on_tensors(Shift(pixels=2)),
    "resize-0.75": on_tensors(Resize(factor=0.75)),
    "noise-0.1": on_tensors(GaussianNoise(deviation=0.1)),
}


def rotation(dimension: int, rng: np.random.Generator) -> Rows:
    """An orthogonal matrix from Haar's measure."""
    q, r = np.linalg.qr(rng.standard_normal((dimension, dimension)))
    return np.asarray(q * np.sign(np.diag(r)))


def scores(probes: Rows, enrolments: Rows, people: list[str], groups: NDArray[np.int64]) -> tuple[Any, Any]:
    """Cosines of genuine pairs, and of other people under the same secret."""
    cosines = probes @ enrolments.T
    named = np.array(people)
    others = (named[:, None] != named[None]) & (groups[:, None] == groups[None])
    return torch.from_numpy(np.diag(cosines).copy()), torch.from_numpy(cosines[others])


def cell(genuine: Any, impostor: Any, plain: float) -> dict[str, Any]:
    """TAR at the plain threshold and at its own, with the FAR that the plain one has here."""
    own = threshold_at_far(impostor, far=FAR).threshold
    found: dict[str, Any] = {}
    for name, threshold in (("plain", plain), ("own", own)):
        accepted = int((genuine >= threshold).sum())
        found[f"tar_{name}"] = round(accepted / len(genuine), 4)
        found[f"tar_{name}_wilson"] = [round(float(end), 4) for end in wilson(accepted, len(genuine))]
    found["far_plain"] = float((impostor >= plain).double().mean())
    found["genuine_mean"] = round(float(genuine.mean()), 4)
    return found


def auc(genuine: Rows, other: Rows) -> float:
    """Chance that a genuine score is above another, ties counted half."""
    order = np.sort(other)
    low, high = np.searchsorted(order, genuine, "left"), np.searchsorted(order, genuine, "right")
    return float(((low + high) / 2 / len(order)).mean())


def linked(images: Rows, plain: Rows) -> dict[str, float]:
    """What the key itself finds when it compares painted probes with the same people's plain faces."""
    cosines = images @ plain.T
    own = np.diag(cosines)
    ranks = (cosines > own[:, None]).sum(1)
    off = cosines[~np.eye(len(cosines), dtype=bool)]
    return {
        "auc": round(auc(own, off), 4),
        "rank_one": round(float((ranks == 0).mean()), 4),
        "rank_ten": round(float((ranks < 10).mean()), 4),
        "chance_rank_one": round(1 / len(own), 4),
        "chance_rank_ten": round(10 / len(own), 4),
    }


def difference(painter: Painter, targets: NDArray[np.float32], seeds: list[int]) -> float:
    """Mean `visible_difference` of two images of one target."""
    count = len(targets)
    pairs = [painter.paint(targets, seeds[first : first + count]) for first in (0, count)]
    halves = [torch.from_numpy(side).permute(0, 3, 1, 2).float().div(255) for side in pairs]
    return float(visible_difference(*(F.avg_pool2d(side, 2) for side in halves)).mean())


def finished(images: Pixels, targets: NDArray[np.float32], *, steps: int, step: float) -> Pixels:
    """Painted images after so many steps towards their targets, under a provider's operations."""
    seed = 1
    begun = {target_seed(seed, [target]): image for target, image in zip(targets, images, strict=True)}
    method = replace(finishing(begun, residual=0.0), rule=Adam(step=step), steps=steps)
    done = sorted(
        method.aim(([target] for target in targets), [default_key()], seed=seed, compute=Compute(batch=16)),
        key=lambda one: one.index,
    )
    return np.stack([np.ascontiguousarray(one.pixels.permute(1, 2, 0).numpy()) for one in done])


def speed(painter: Painter, runner: FaceRunner, faces: Pixels, turn: Rows) -> dict[str, float]:
    """Faces a second on one thread, from aligned faces to PNG bytes, and each part's milliseconds a face.

    Processor time, not wall time, so that other work on the machine does not count; caches it shares all the same.
    """
    parts: dict[str, float] = {}
    count = len(faces)

    def timed(name: str, began: float) -> float:
        now = time.process_time()
        parts[name] = round(1000 * (now - began) / count, 3)
        return now

    start = began = time.process_time()
    views = [runner(faces), runner(mirrored(faces))]
    began = timed("embedding", began)
    targets = (average_views(views) @ turn.T).astype(np.float32)
    began = timed("rotation", began)
    seeds = list(range(count))
    painter.paint(targets, seeds)
    began = timed("painting", began)
    painted = painter(targets, seeds)
    began = timed("painting_and_check", began)
    for each in painted:
        Image.fromarray(each.pixels).save(BytesIO(), "PNG", compress_level=1)
    timed("png", began)
    whole = time.process_time() - start - parts["painting"] * count / 1000
    return {**{f"ms_{name}": value for name, value in parts.items()}, "faces_per_second": round(count / whole, 2)}


def main() -> None:
    """Measure and write the record."""
    parser = script_parser(__doc__, out=RESULTS / "one_pass" / "quality.json", pairs=600, tries=4, seed=0)
    parser.add_argument("--protector", type=Path, required=True)
    parser.add_argument("--residual", type=float, default=0.5, help="chord to the target that an image has to reach")
    parser.add_argument("--checks", nargs="+", default=["blur-1"], help="operations it is checked after")
    parser.add_argument("--finish", type=int, default=0, help="steps of optimisation that begin with the painted image")
    parser.add_argument("--step", type=float, default=STEP, help="of them, in grey levels")
    parser.add_argument("--corrections", type=int, default=0, help="paintings anew, for what an image missed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    file = ProtectorFile.load(arguments.protector)
    runner = FaceRunner(MODELS[SPACE_MODEL].graph().graph.SerializeToString())
    settings = OnePass(
        residual=arguments.residual,
        checks=tuple(arguments.checks),
        tries=arguments.tries,
        corrections=arguments.corrections,
    )
    painter = Painter(file, runner, settings)
    dimension = file.manifest.target

    pairs = genuine_pairs("report", all_photos(arguments.shared), arguments.pairs)
    people = [pair.name for pair in pairs]
    sides = [crops(arguments.shared, [pair.probe for pair in pairs])]
    sides.append(crops(arguments.shared, [pair.enrolment for pair in pairs]))
    probes, enrolments = (average_views([runner(side), runner(mirrored(side))]) for side in sides)
    rng = np.random.default_rng(arguments.seed)
    groups = np.arange(len(pairs)) // UNDER_ONE_SECRET
    turns = [rotation(dimension, rng) for _ in range(groups[-1] + 1)]

    def turned(rows: Rows) -> Rows:
        return np.stack([turns[group] @ row for group, row in zip(groups, rows, strict=True)])

    feature = turned(enrolments)
    seeds = [int(seed) for seed in rng.integers(0, 2**62, 2 * len(pairs))]
    made = painter(turned(probes).astype(np.float32), seeds[: len(pairs)])
    other = painter(feature.astype(np.float32), seeds[len(pairs) :])
    images, enrolled = (np.stack([each.pixels for each in side]) for side in (made, other))
    if arguments.finish:
        images = finished(images, turned(probes).astype(np.float32), steps=arguments.finish, step=arguments.step)
    enrolled_at = runner(enrolled).astype(np.float64)

    plain = scores(probes, enrolments, people, groups)
    threshold = threshold_at_far(plain[1], far=FAR).threshold
    cells = {}
    for name, operation in OPERATIONS.items():
        places = runner(operation(images)).astype(np.float64)
        cells[name] = {
            "cosine_to_target": round(float((places * turned(probes)).sum(1).mean()), 4),
            "against_feature": cell(*scores(places, feature, people, groups), threshold),
            "against_image": cell(*scores(places, enrolled_at, people, groups), threshold),
            "linked_to_plain": linked(places, enrolments),
        }
        print(name, json.dumps(cells[name]["against_feature"]), json.dumps(cells[name]["against_image"]), flush=True)
    residuals = np.array([max(each.residuals.values()) for each in made])
    record = {
        "format": "facemin one-pass quality 1",
        "protector": {
            "sha256": file.fingerprint,
            "bytes": len(file.data),
            "cosines": file.manifest.cosines,
            "done": file.manifest.recipe.get("done"),
        },
        "settings": {
            "residual": settings.residual,
            "checks": settings.checks,
            "tries": settings.tries,
            "corrections": settings.corrections,
            "seed": arguments.seed,
            "finish": {"steps": arguments.finish, "step": arguments.step} if arguments.finish else None,
        },
        "pairs": len(pairs),
        "people": len(set(people)),
        "impostor_scores": len(plain[1]),
        "far": FAR,
        "plain": {"threshold": threshold, **cell(*plain, threshold)},
        "cells": cells,
        "painted": {
            "reached": round(float(np.mean([each.reached for each in made])), 4),
            "tries_mean": round(float(np.mean([each.tries for each in made])), 3),
            "residual_percentiles_5_50_95": [round(float(value), 4) for value in np.percentile(residuals, (5, 50, 95))],
            "same_target_difference": round(difference(painter, feature[:64].astype(np.float32), seeds), 4),
        },
        "processor_time_one_thread": speed(painter, runner, sides[0][:96], turns[0]),
    }
    write_record(arguments.out, record)
    print(json.dumps({key: record[key] for key in ("plain", "painted", "processor_time_one_thread")}, indent=1))


if __name__ == "__main__":
    main()

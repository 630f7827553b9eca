"""Choice of the correction of painted images, on people nothing is reported on: what it looks at, and its step.

    python experiments/one_pass/correction.py --shared ../shared --cache CACHE

Genuine pairs of the part `choose` of experiments/pseudonym/people.json, 150 under one secret. Both images are painted
and corrected by each of several rules, and the probe's goes through an operation of a provider. The shift here goes
any of four ways, and the noise is another draw than the one judged by, wherever a rule looks at them. Processor time a
face is of painting, of what a rule looks at, and of the check at the end, the rules in alternation every 16 faces; what
one pass does beside, two views embedded and PNG, is measured with them.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facemin.experiments.common import RESULTS, script_parser, write_record
from facemin.image import encode
from facemin.metrics.verification import threshold_at_far
from facemin.models import MODELS, SPACE_MODEL
from facemin.models.onnx.run import FaceRunner
from facemin.protection.one_pass.painter import CHECKS, OnePass, Painter

sys.path.append(str(Path(__file__).resolve().parents[1] / "pseudonym"))
from common import load, protector_of, unit
from people import genuine_pairs
from quality import FAR, OPERATIONS, UNDER_ONE_SECRET, cell, rotation, scores

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from facemin.image import Pixels

    Rows = NDArray[np.float64]
    Targets = NDArray[np.float32]
    Look = Callable[[Pixels, np.random.Generator], list[Pixels]]
    Rule = Callable[[Painter, Targets, list[int], np.random.Generator], Pixels]

BATCH = 16
STEPS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0)
JUDGED = ("raw", "jpeg-75", "blur-1", "blur-2", "shift-2", "noise-0.1")


def noisy(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """Gaussian noise of 0.1."""
    noise = 25.5 * generator.standard_normal(pixels.shape, dtype=np.float32)
    return (pixels + noise).round().clip(0, 255).astype(np.uint8)


def shifted(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """Each image moved by 2 px along both axes, any of four ways, the border repeated."""
    ways = generator.choice([0, 4], (len(pixels), 2))
    wide = np.pad(pixels, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    moved = [image[y : y + 112, x : x + 112] for image, (y, x) in zip(wide, ways, strict=True)]
    return np.ascontiguousarray(np.stack(moved))


LOOKS: dict[str, Look] = {
    "blur": lambda pixels, _: [CHECKS["blur-1"](pixels)],
    "raw, noise, shift": lambda pixels, draw: [pixels, noisy(pixels, draw), shifted(pixels, draw)],
    "blur, 4 noises, 4 shifts": lambda pixels, draw: [
        CHECKS["blur-1"](pixels),
        *(change(pixels, draw) for change in (noisy, shifted) for _ in range(4)),
    ],
}
"""What a rule looks at: where an image ends is the mean of its embeddings after these operations, one draw each."""


def corrected(
    painter: Painter,
    targets: Targets,
    seeds: list[int],
    draw: np.random.Generator,
    *,
    look: str = "blur",
    step: float,
    times: int = 1,
) -> Pixels:
    """Images painted anew so many times, for what they were painted for moved by a share of what they miss."""
    pixels, aim = painter.paint(targets, seeds), targets.astype(np.float64)
    for _ in range(times):
        reached = np.mean([unit(painter.embed(seen).astype(np.float64)) for seen in LOOKS[look](pixels, draw)], 0)
        aim = unit(aim + step * (targets - reached))
        pixels = painter.paint(aim.astype(np.float32), seeds)
    return pixels


def better_of_two(painter: Painter, targets: Targets, seeds: list[int], draw: np.random.Generator) -> Pixels:
    """Of two noises, each corrected, the image whose least cosine to the target is best: raw, with noise, shifted."""
    sides = [corrected(painter, targets, [seed + number for seed in seeds], draw, step=0.7) for number in (0, 2**62)]
    least = [
        np.min([(unit(painter.embed(seen)) * targets).sum(1) for seen in LOOKS["raw, noise, shift"](side, draw)], 0)
        for side in sides
    ]
    return np.where((least[0] >= least[1])[:, None, None, None], *sides)


RULES: dict[str, Rule] = {
    "none": partial(corrected, step=0.0, times=0),
    **{f"blur, step {step}": partial(corrected, step=step) for step in STEPS},
    "blur, step 0.7, twice": partial(corrected, step=0.7, times=2),
    **{
        f"raw, noise, shift, step {step}": partial(corrected, look="raw, noise, shift", step=step)
        for step in (0.7, 1.0)
    },
    "blur, 4 noises, 4 shifts, step 0.7": partial(corrected, look="blur, 4 noises, 4 shifts", step=0.7),
    "blur, step 0.7, better of two noises": better_of_two,
}


def main() -> None:
    """Paint by every rule, judge, write the record."""
    parser = script_parser(
        __doc__, out=RESULTS / "one_pass" / "correction.json", cache="keeps embeddings between runs", pairs=200, seed=0
    )
    parser.add_argument("--rules", nargs="+", choices=RULES, default=list(RULES), help="some of them")
    given = parser.parse_args()
    lfw = load(given.shared, given.cache)
    at = {path: row for row, path in enumerate(lfw.paths)}
    pairs = genuine_pairs("choose", lfw.paths, given.pairs)
    people, groups = [pair.name for pair in pairs], np.arange(len(pairs)) // UNDER_ONE_SECRET
    generator = np.random.default_rng(given.seed)
    turns = [rotation(lfw.dimension, generator) for _ in range(groups[-1] + 1)]
    probes, enrolments = (
        np.stack([turns[group] @ lfw.both[at[path]] for group, path in zip(groups, side, strict=True)])
        for side in ([pair.probe for pair in pairs], [pair.enrolment for pair in pairs])
    )
    runner = FaceRunner(MODELS[SPACE_MODEL].graph().graph.SerializeToString())
    painter = Painter(protector_of(None), runner, OnePass(residual=2.0, batch=BATCH))
    targets = np.concatenate([probes, enrolments]).astype(np.float32)
    images, spent = by_turns(painter, targets, {name: RULES[name] for name in given.rules}, generator)
    plain = scores(probes, enrolments, people, groups)
    threshold = threshold_at_far(plain[1], far=FAR).threshold
    rows = {}
    for name, pixels in images.items():
        enrolled = runner(pixels[len(pairs) :]).astype(np.float64)
        rows[name] = {"ms_a_face": spent[name], "one_pass_ms_a_face": round(spent[name] + spent["beside"], 2)}
        for operation in JUDGED:
            places = runner(OPERATIONS[operation](pixels[: len(pairs)])).astype(np.float64)
            rows[name][operation] = {
                "cosine_to_target": round(float((places * probes).sum(1).mean()), 4),
                **cell(*scores(places, enrolled, people, groups), threshold),
            }
        told = [
            f"{operation} {rows[name][operation]['cosine_to_target']:.3f} {rows[name][operation]['tar_own']:.3f}"
            for operation in JUDGED
        ]
        print(f"{name:40} {rows[name]['one_pass_ms_a_face']:6.1f} ms  {'  '.join(told)}", flush=True)
    record: dict[str, Any] = {
        "format": "facemin one-pass correction 1",
        "pairs": len(pairs),
        "part": "choose",
        "far": FAR,
        "plain": {"threshold": threshold, **cell(*plain, threshold)},
        "ms_a_face_beside": spent["beside"],
        "rules": rows,
    }
    write_record(given.out, record)


def by_turns(
    painter: Painter, targets: Targets, rules: dict[str, Rule], generator: np.random.Generator
) -> tuple[dict[str, Pixels], Any]:
    """Images of every rule, and milliseconds of processor time a face; "beside" is what one pass does but paint."""
    seeds = [int(seed) for seed in generator.integers(0, 2**62, len(targets))]
    images: dict[str, list[Pixels]] = {name: [] for name in rules}
    spent = dict.fromkeys((*rules, "beside"), 0.0)
    for first in range(0, len(targets), BATCH):
        part, own = targets[first : first + BATCH], seeds[first : first + BATCH]
        for name, rule in rules.items():
            began = time.process_time()
            images[name].append(rule(painter, part, own, generator))
            painter.embed(CHECKS["blur-1"](images[name][-1]))
            spent[name] += time.process_time() - began
        began = time.process_time()
        for _ in range(2):
            painter.embed(images[name][-1])
        for image in images[name][-1]:
            encode(image)
        spent["beside"] += time.process_time() - began
    return (
        {name: np.concatenate(parts) for name, parts in images.items()},
        {name: round(1000 * seconds / len(targets), 2) for name, seconds in spent.items()},
    )


if __name__ == "__main__":
    main()

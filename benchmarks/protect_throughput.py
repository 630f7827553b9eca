"""Images per second of the batched engine over the plain loop, at equal authorised TAR.

    python benchmarks/protect_throughput.py --shared ../shared

The plain loop is Algorithm 1 as the paper prints it (sign of its step corrected): one image at a time, a fixed number
of steps K, no stopping test. It runs with the paper's sign rule from the paper's start, and again with our rule and
start, so that the share of batching and stopping is seen apart from that of the rule. K is the smallest of a grid
with which the authorised recogniser's TAR is at least the engine's. Runs are interleaved; medians are printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "experiments" / "default_key"))
from panel import REPOSITORY, Judge, lfw_faces

from facemin import PMT, load_recogniser
from facemin.defaults import default_key
from facemin.image import to_unit
from facemin.protect import GaussianNoise, Rule, Sign, image_seed

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.keys import Key

GRID = (10, 15, 20, 30, 40, 60, 80, 100)
PLAIN = {
    "paper's rule (sign, 4 grey levels)": (Sign(step=4), GaussianNoise(mean=0, deviation=1)),
    "our rule and start": (PMT().rule, PMT().start),
}


def plain_loop(face: Tensor, key: Key, rule: Rule, start: GaussianNoise, steps: int) -> Tensor:
    """One image, `steps` steps, nothing else: (3, 112, 112) on the 8-bit grid."""
    target = key.shallow(face[None]).detach()
    image = start(face, image_seed(0, face)).clamp(0, 1)[None]
    state = rule.buffers(image)
    for step in range(1, steps + 1):
        image.requires_grad_()
        loss = (key.shallow(image) - target).square().sum()
        (gradient,) = torch.autograd.grad(loss, image)
        image = image.detach()
        rule.update_(image, gradient, state, torch.full((1,), float(step)))
        image.clamp_(0, 1)
    return (image[0] * 255).round() / 255


def engine(faces: Tensor, key: Key, method: PMT) -> Tensor:
    """The batched engine's images, (N, 3, 112, 112)."""
    return to_unit(torch.stack([done.pixels for done in method(faces, [key], seed=0)]))


def steps_for(tar: float, judge: Judge, faces: Tensor, key: Key, rule: Rule, start: GaussianNoise) -> int:
    """The smallest K of the grid whose TAR is at least `tar`; found in batches, since only K is asked for."""
    for steps in GRID:
        method = PMT(rule=rule, start=start, steps=steps, residual=0)
        if judge.tar(judge.scores(engine(faces, key, method)))["tar"] >= tar:
            return steps
    return GRID[-1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=REPOSITORY.parent / "shared")
    parser.add_argument("--pairs", type=int, default=96)
    parser.add_argument("--timed", type=int, default=12, help="images of the plain loop in a timed run")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    faces = lfw_faces(arguments.shared, half="test", count=arguments.pairs)
    judge = Judge.calibrate("dlib-resnet29", load_recogniser("dlib-resnet29"), faces)
    key, method = default_key(), PMT()
    tar = judge.tar(judge.scores(engine(faces.probes, key, method)))["tar"]
    print(f"authorised TAR: plain probes {judge.tar(judge.clean)['tar']:.3f}, protected by the engine {tar:.3f}")
    needed = {name: steps_for(tar, judge, faces.probes, key, rule, start) for name, (rule, start) in PLAIN.items()}
    batched: list[float] = []
    alone: dict[str, list[float]] = {name: [] for name in PLAIN}
    for _ in range(arguments.runs):
        batched.append(rate(lambda: engine(faces.probes, key, method), len(faces.probes)))
        for name, (rule, start) in PLAIN.items():
            some = faces.probes[: arguments.timed]
            alone[name].append(
                rate(
                    lambda some=some, rule=rule, start=start, steps=needed[name]: [
                        plain_loop(face, key, rule, start, steps) for face in some
                    ],
                    len(some),
                )
            )
    ours = statistics.median(batched)
    print(f"batched engine, {method.batch} rows: {ours:.2f} images/s ({torch.get_num_threads()} threads)")
    for name, rates in alone.items():
        theirs = statistics.median(rates)
        print(f"plain loop, {name}, K = {needed[name]}: {theirs:.2f} images/s; ratio {ours / theirs:.1f}")
    shared = replace(method, batch=1)
    lone = statistics.median(rate(lambda: engine(faces.probes[:24], key, shared), 24) for _ in range(arguments.runs))
    print(f"engine with one row: {lone:.2f} images/s; batching alone {ours / lone:.1f}")


def rate(work: object, images: int) -> float:
    """Images per second of one run."""
    began = time.perf_counter()
    work()  # type: ignore[operator]
    return images / (time.perf_counter() - began)


if __name__ == "__main__":
    main()

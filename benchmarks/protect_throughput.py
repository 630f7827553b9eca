"""Images per second of the batched engine over the plain loop, at equal authorised TAR.

    python benchmarks/protect_throughput.py --shared ../shared

The plain loop is the paper's as it is printed: one image at a time, a fixed number of steps K, no stopping test,
float32. It runs with the paper's rule and start, and again with ours, so that the share of batching, stopping and
bfloat16 is seen apart from that of the rule. K is the smallest of a grid with which the authorised recogniser's TAR on
`--pairs` people is at least the engine's. Done twice: for Algorithm 1, raw TAR; and for the default method, whose
transform the plain loop applies too, the mean of TAR raw and after what that transform is for (each by itself would
turn on single people). Runs are interleaved; medians are printed. Wants a machine that does nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "experiments" / "default_key"))
from measuring import medians, script_parser, write_record
from panel import calibrated, lfw_faces

from facemin import PMT, load_recogniser
from facemin.attack import PURIFIERS
from facemin.autograd.distance import relative_distance
from facemin.autograd.pixels import to_unit
from facemin.experiments.common import REPOSITORY
from facemin.keys.default import plain_key
from facemin.protection import PROTECTORS, Compute, GaussianNoise, Sign, image_seed
from facemin.protection.pmt.objective import FeatureMatching
from facemin.protection.pmt.optimise import StepContext
from facemin.runtime.device import choose_device, choose_precision, describe

if TYPE_CHECKING:
    import argparse

    from torch import Tensor

    from facemin.evaluation.judge import Judge
    from facemin.keys.key import Key

GRID = (10, 15, 20, 25, 30, 40, 50, 60, 80, 100)
PLAIN: dict[str, Callable[[PMT], PMT]] = {
    "paper's rule and start": lambda method: replace(
        method, rule=Sign(step=4), start=GaussianNoise(mean=0, deviation=1)
    ),
    "our rule and start": lambda method: method,
}
ON_CPU = Compute(device="cpu")
METHODS = {"algorithm 1": PMT(), "default method": PROTECTORS["robust"]}
OPERATIONS = {
    "algorithm 1": ("none",),
    "default method": ("none", "blur-1", "jpeg-90", "jpeg-75", "resize-0.75"),
}
"""After which TAR has to be the engine's."""


def plain_loop(face: Tensor, key: Key, method: PMT) -> Tensor:
    """One image, `method.steps` steps, nothing else: (3, 112, 112) on the 8-bit grid."""
    seed = image_seed(0, face)
    with torch.no_grad():
        target = key.shallow(face[None])
    image = method.start(face, seed).clamp(0, 1)[None]
    state = method.rule.buffers(image)
    for step in range(method.steps):
        image.requires_grad_()
        seen = image
        if method.transform is not None:
            seen = method.transform(image, StepContext((seed,), torch.full((1,), float(step))))
        (gradient,) = torch.autograd.grad(relative_distance(key.shallow(seen), target).sum(), image)
        image = image.detach()
        method.rule.update_(image, gradient, state, torch.full((1,), float(step + 1)))
        image.clamp_(0, 1)
    return (image[0] * 255).round() / 255


def plain_loops(faces: Tensor, key: Key, method: PMT) -> list[Tensor]:
    """The plain loop's images, one after another."""
    return [plain_loop(face, key, method) for face in faces]


def engine(faces: Tensor, key: Key, method: PMT, compute: Compute = ON_CPU) -> Tensor:
    """The batched engine's images, (N, 3, 112, 112)."""
    return to_unit(torch.stack([done.pixels for done in method(faces, [key], seed=0, compute=compute)]))


def tars(judge: Judge, images: Tensor, operations: Sequence[str]) -> list[float]:
    """TAR of images after each operation."""
    return [judge.accepted(judge.scores(PURIFIERS[name](images)).other).value for name in operations]


def enough(goals: dict[str, float], judge: Judge, faces: Tensor, key: Key, method: PMT) -> PMT | None:
    """The method with the smallest K of the grid whose mean TAR over the operations is at least that of the goals.

    All images take their steps together, in groups, since only K is asked for here.
    """
    device = choose_device("cpu")
    objective = FeatureMatching(
        [key],
        residual=0,
        device=device,
        transform=method.transform,
        target=method.target,
        precision=choose_precision("auto", device),
    )
    seeds = [image_seed(0, face) for face in faces]
    starts = torch.stack([method.start(face, seed) for face, seed in zip(faces, seeds, strict=True)]).clamp_(0, 1)
    images = starts.contiguous(memory_format=torch.channels_last)
    state = method.rule.buffers(images)
    with torch.no_grad():
        targets = [objective.targets(part) for part in torch.split(faces, ON_CPU.batch)]
    for step in range(GRID[-1] + 1):
        if step in GRID:
            found = tars(judge, (images * 255).round() / 255, list(goals))
            print(f"  K = {step}: TAR {', '.join(f'{tar:.3f}' for tar in found)}", flush=True)
            if sum(found) >= sum(goals.values()):
                return replace(method, steps=step, residual=0)
        for number, target in enumerate(targets):
            rows = slice(number * ON_CPU.batch, (number + 1) * ON_CPU.batch)
            leaf = images[rows].detach().requires_grad_()
            moment = StepContext(tuple(seeds[rows]), torch.full((len(leaf),), float(step)))
            (gradient,) = torch.autograd.grad(objective(leaf, target, moment).loss.sum(), leaf)
            part = tuple(buffer[rows] for buffer in state)
            method.rule.update_(images[rows], gradient, part, torch.full((len(leaf),), float(step + 1)))
        images.clamp_(0, 1)
    return None


def main() -> None:
    """Measure and print."""
    parser = script_parser(__doc__, pairs=300, runs=3)
    parser.add_argument("--shared", type=Path, default=REPOSITORY.parent / "shared")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--timed", type=int, default=12, help="images of the plain loop in a timed run")
    arguments = parser.parse_args()
    device = choose_device("cpu")
    print(f"{describe(device)}, engine's gradients in {choose_precision('auto', device)}", flush=True)
    faces = lfw_faces(arguments.shared, half="test", count=arguments.pairs)
    judge = calibrated("dlib-resnet29", load_recogniser("dlib-resnet29"), faces)
    print(f"plain probes: TAR {judge.accepted(judge.clean).value:.3f}, n = {len(faces.probes)}", flush=True)
    rows: list[dict[str, Any]] = []
    for name in arguments.methods:
        rows += compare(name, METHODS[name], judge, faces.probes, arguments)
    write_record(arguments.out, "facemin protect throughput 1", rows)


def compare(name: str, method: PMT, judge: Judge, faces: Tensor, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure one method against its plain loops."""
    key = plain_key()
    goals = dict(zip(OPERATIONS[name], tars(judge, engine(faces, key, method), OPERATIONS[name]), strict=True))
    print(f"\n{name}: engine's TAR {', '.join(f'{after} {tar:.3f}' for after, tar in goals.items())}", flush=True)
    loops = {}
    for rival, varied in PLAIN.items():
        found = enough(goals, judge, faces, key, varied(method))
        if found is None:
            print(f"plain loop, {rival}: does not reach that TAR in {GRID[-1]} steps", flush=True)
        loops[rival] = found or replace(varied(method), steps=GRID[-1], residual=0)
    works: dict[str, tuple[int, Callable[[], object]]] = {
        f"engine, {ON_CPU.batch} rows": (len(faces), lambda: engine(faces, key, method)),
        "engine, one row": (24, lambda: engine(faces[:24], key, method, replace(ON_CPU, batch=1))),
        "engine, float32": (96, lambda: engine(faces[:96], key, method, replace(ON_CPU, precision="float32"))),
    }
    some = faces[: arguments.timed]
    for rival, fixed in loops.items():
        works[f"plain loop, {rival}, K = {fixed.steps}"] = (len(some), partial(plain_loops, some, key, fixed))
    spent = medians({work: run for work, (_, run) in works.items()}, rounds=arguments.runs, warm_up=0)
    rates = {work: images / spent[work].wall for work, (images, _) in works.items()}
    ours = next(iter(rates.values()))
    for work, rate in rates.items():
        print(f"{work:50} {rate:6.2f} images/s; the engine is {ours / rate:4.1f} times as fast", flush=True)
    return [{"method": name, "work": work, "images_per_second": round(rate, 3)} for work, rate in rates.items()]


if __name__ == "__main__":
    main()

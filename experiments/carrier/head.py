"""A network that paints a carrier in one pass or a few: its training, and what dlib's network makes of its carriers.

    python experiments/carrier/head.py --cache CACHE --minutes 14 --steps 2400

Goes on where it ended; a record when the last step is done. The network sees the base, the change so far, the loss's
gradient there, and the target, and gives the next change: a learned optimiser (Andrychowicz et al., 2016), trained
under the loss that `optimise.find_changes` descends: dlib's network (CC0) under T, and the anchors. No face is needed:
targets are drawn on the sphere, bases from random seeds.
"""

from __future__ import annotations

import time
from io import BytesIO
from itertools import pairwise
from math import cos, pi
from typing import TYPE_CHECKING

import numpy as np
import torch
from carriers import arguments, record, seed
from torch import nn
from torch.nn import functional as F

from facemin.protection.carrier.base import base_of
from facemin.protection.carrier.canvas import GRAIN, INSIDE, of_frame, placed
from facemin.protection.carrier.optimise import coarse, size
from facemin.protection.carrier.services.networks import DlibNetwork
from facemin.protection.carrier.services.pipelines import crops, decoded
from facemin.protection.carrier.settings import Descent, Pipelines
from facemin.protection.one_pass.decoder_graph import Convolution
from facemin.runtime.files import append_json, write_atomically
from facemin.train.one_pass.decoder import Block
from facemin.train.one_pass.loop import sphere

if TYPE_CHECKING:
    from torch import Tensor

TARGET = 66
WIDTHS = (128, 64, 32, 16)
"""Channels at 10, 20, 40 and 80 cells."""
STYLE = 256
LARGEST = 0.25
"""Largest change of a pass, in units of [0, 1]."""
PASSES = 2
"""Of which each begins where the one before ended."""
STEEPEST = 4.0
"""At which gradients, in units of their root mean square, are cut off."""
BASES, BATCH, RATE, WARMUP = 512, 16, 2e-3, 50
JUDGED = 64


class Head(nn.Module):
    """The next change of a base for a target."""

    def __init__(self) -> None:
        super().__init__()
        self.style = nn.Sequential(nn.Linear(TARGET, STYLE), nn.SiLU(), nn.Linear(STYLE, STYLE), nn.SiLU())
        self.dense = nn.Linear(TARGET, WIDTHS[0] * 100)
        self.first = nn.Conv2d(9, WIDTHS[-1], 3, padding=1)
        self.seen = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1) for inputs, outputs in pairwise(WIDTHS[::-1])
        )
        self.blocks = nn.ModuleList(
            block
            for side, (inputs, width) in zip((10, 20, 40), pairwise(WIDTHS), strict=True)
            for block in (
                Block(Convolution(inputs=inputs, width=inputs, side=side, doubles=False, normalises=True), STYLE),
                Block(Convolution(inputs=inputs, width=width, side=2 * side, doubles=True, normalises=True), STYLE),
            )
        )
        self.colours = nn.Conv2d(WIDTHS[-1] + 3, 3, 3, padding=1)
        nn.init.normal_(self.colours.weight, std=0.01)

    def forward(self, canvas: Tensor, target: Tensor, change: Tensor, gradient: Tensor) -> Tensor:
        """Canvases (B, 3, SIDE, SIDE), unit targets (B, 66), changes and gradients to changes (B, 3, GRAIN, GRAIN)."""
        code = target * TARGET**0.5
        style = self.style(code)
        x, y = INSIDE
        base = F.avg_pool2d(canvas[:, :, y : y + 2 * GRAIN, x : x + 2 * GRAIN], 2) - 0.5
        steepness = gradient.square().mean((1, 2, 3), keepdim=True).sqrt()
        slope = (gradient / (steepness + 1e-12)).clamp(-STEEPEST, STEEPEST)
        maps = torch.cat([base, change / LARGEST, slope], 1).contiguous(memory_format=torch.channels_last)
        kept = [F.silu(self.first(maps))]
        for layer in self.seen:
            kept.append(F.silu(layer(kept[-1])))
        maps = (kept.pop() + self.dense(code).view(-1, WIDTHS[0], 10, 10)).contiguous(memory_format=torch.channels_last)
        for number, block in enumerate(self.blocks):
            maps = block(maps, style)
            if number % 2:
                maps = maps + kept.pop()
        made: Tensor = change + LARGEST * torch.tanh(self.colours(torch.cat([maps, slope.to(maps)], 1)).float())
        return made


def main() -> None:
    """Train until the time is over or the steps are done, then judge."""
    given = arguments(__doc__, minutes=14.0, steps=4000, seed=0)
    torch.set_num_threads(1)
    folder = given.cache / "carrier-head"
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(given.seed)
    head = Head().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(head.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
    done, seconds, over = 0, 0.0, False
    course = {"seed": given.seed, "steps": given.steps}
    if (folder / "state.pt").is_file():
        state = torch.load(folder / "state.pt", weights_only=True)
        head.load_state_dict(state["head"])
        optimiser.load_state_dict(state["optimiser"])
        done, seconds = state["done"], state["seconds"]
        if state["course"] != course:
            raise SystemExit(f"{folder}: expected a training of {course}, found one of {state['course']}")
    network = DlibNetwork(dtype=torch.bfloat16)
    canvases = shown_bases("training", BASES)
    began, recent = time.process_time(), []
    while done < given.steps and not over:
        for group in optimiser.param_groups:
            group["lr"] = rate_at(done, given.steps)
        recent.append(advance(head, optimiser, network, canvases, (given.seed, done), done / given.steps))
        done += 1
        over = time.process_time() - began >= 60 * given.minutes
        if done % 50 == 0 or done == given.steps or over:
            spent = seconds + time.process_time() - began
            append_json(folder / "log.jsonl", {"step": done, "missing": round(float(np.mean(recent)), 4), "s": spent})
            recent = []
            state = {"head": head.state_dict(), "optimiser": optimiser.state_dict(), "course": course}
            buffer = BytesIO()
            torch.save(state | {"done": done, "seconds": spent}, buffer)
            write_atomically(folder / "state.pt", buffer.getvalue())
    if done == given.steps:
        seconds += time.process_time() - began
        record("head", given, {"CPU minutes": round(seconds / 60, 1), "images": done * BATCH, **judged(head)})


def rate_at(step: int, steps: int) -> float:
    """Learning rate: a linear rise, then half a cosine."""
    return RATE * min(1.0, (step + 1) / WARMUP) * (0.02 + 0.98 * (1 + cos(pi * step / steps)) / 2)


def advance(
    head: Head,
    optimiser: torch.optim.Optimizer,
    network: DlibNetwork,
    canvases: Tensor,
    seed: tuple[int, int],
    share: float,
) -> float:
    """One step; what was missing of the targets after the last pass, on average."""
    own = np.random.default_rng(seed)
    base = canvases[own.integers(0, len(canvases), BATCH)].float() / 255
    target = sphere(BATCH, TARGET, own)
    change = torch.zeros(BATCH, 3, GRAIN, GRAIN)
    gradient, _ = slope_at(network, base, target, change, own, share)
    optimiser.zero_grad()
    for _ in range(PASSES):
        with torch.autocast("cpu", torch.bfloat16):
            change = head(base, target, change.detach(), gradient)
        gradient, missing = slope_at(network, base, target, change, own, share)
        change.backward(gradient / BATCH)
    nn.utils.clip_grad_norm_(head.parameters(), 1.0)
    optimiser.step()
    return missing


def slope_at(
    network: DlibNetwork, base: Tensor, target: Tensor, change: Tensor, own: np.random.Generator, share: float
) -> tuple[Tensor, float]:
    """Gradient of the loss at changes, (B, 3, GRAIN, GRAIN), and what is missing of the targets, on average."""
    leaf = change.detach().requires_grad_()
    draws = own.spawn(len(base))
    shown = (base + placed(leaf)).clamp(0, 1)
    if own.random() < 2 * share:
        shown = decoded(Pipelines(), shown, draws)
    crop, side = network.views[int(own.random() < 1 / 3)]
    wanted = network.wanted(crops(Pipelines(), base, crop, side, None), target)
    missing = network.missing(crops(Pipelines(), shown, crop, side, draws), wanted)
    descent = Descent()
    loss = missing + descent.anchor * size(coarse(leaf)) + descent.fine * size(leaf)
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    return gradient, float(missing.detach().mean())


def painted(head: Head, network: DlibNetwork, base: Tensor, target: Tensor, passes: int = PASSES) -> Tensor:
    """Changes of bases for targets, (B, 3, GRAIN, GRAIN)."""
    change, own = torch.zeros(len(base), 3, GRAIN, GRAIN), np.random.default_rng(0)
    for _ in range(passes):
        gradient, _ = slope_at(network, base, target, change, own, 1.0)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            change = head(base, target, change, gradient)
    return change


def shown_bases(name: str, count: int) -> Tensor:
    """Canvases of bases of random seeds, uint8 (count, 3, SIDE, SIDE)."""
    frames = (base_of(seed(name, number)).frame for number in range(count))
    return torch.stack([of_frame(frame).mul(255).round().byte() for frame in frames])


def judged(head: Head) -> dict[str, object]:
    """On bases and targets that it has not seen: what is missing, and how well dlib's distance tells targets apart.

    Both carriers of a pair have one base; their targets are at a cosine of 0.7, as two photos of a person are.
    """
    own = np.random.default_rng(1)
    base = shown_bases("judged", JUDGED).float() / 255
    first = sphere(JUDGED, TARGET, own)
    second = F.normalize(0.7 * first + (1 - 0.7**2) ** 0.5 * sphere(JUDGED, TARGET, own), dim=1)
    network, fast = DlibNetwork(), DlibNetwork(dtype=torch.bfloat16)
    crop, side = network.views[0]
    began = time.process_time()
    changes = [painted(head, fast, base, target) for target in (first, second)]
    seconds = (time.process_time() - began) / (2 * JUDGED)
    rows, missing = [], []
    for change, target in zip(changes, (first, second), strict=True):
        with torch.no_grad():
            seen = crops(Pipelines(), (base + placed(change)).clamp(0, 1), crop, side, None)
            wanted = network.wanted(crops(Pipelines(), base, crop, side, None), target)
            missing.append(float(network.missing(seen, wanted).mean()))
            rows.append(network.embedded(seen))
    distances = torch.cdist(rows[0], rows[1]).numpy()
    off = ~np.eye(JUDGED, dtype=bool)
    limit = np.quantile(distances[off], 1e-2)
    return {
        "pairs": JUDGED,
        "missing": round(float(np.mean(missing)), 4),
        "genuine accepted at 0.6": round(float((np.diag(distances) <= 0.6).mean()), 4),
        "impostors accepted at 0.6": round(float((distances[off] <= 0.6).mean()), 5),
        "TAR at FAR 1e-2": round(float((np.diag(distances) <= limit).mean()), 4),
        "root mean square of the change, grey levels": round(255 * float(torch.cat(changes).square().mean().sqrt()), 2),
        "CPU seconds a change": round(seconds, 5),
    }


if __name__ == "__main__":
    main()

"""Train the watermark after DPG for a while, and measure what it is worth.

    python experiments/cloaks/watermark.py --shared ../shared --out results/cloaks > results/cloaks/watermark.json

Trained on LFW people of whom none is measured, against dlib's network, so that what comes of it is not to be shipped.
The same command goes on where the time ended. Measured on people apart: bits read after what providers do to images,
what a decoder of another training reads, likeness, and protection by recognisers that were surrogates or not.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np
import torch

from facemin.attack.purify.registry import PURIFIERS
from facemin.cloak.surrogates import Team, open_surrogates
from facemin.cloak.visible_change import dsim
from facemin.cloak.watermark.network import Watermarker, WatermarkNetwork, read_bits
from facemin.cloak.watermark.training import TrainedWatermark, WatermarkTraining, train_watermark
from facemin.evaluation import provenance
from facemin.evaluation.networks import find_recogniser
from facemin.experiments.cloaks.measure import embedded
from facemin.experiments.cloaks.people import Photographs, load_people
from facemin.experiments.cloaks.photos import unit
from facemin.experiments.cloaks.scoring import thresholds
from facemin.experiments.cloaks.settings import People
from facemin.experiments.common import RESULTS, script_parser
from facemin.metrics import psnr
from facemin.runtime.compute import Compute

OPERATIONS = ("none", "jpeg-90", "jpeg-75", "blur-1", "resize-0.75", "resize-0.5", "noise-0.1", "shift-2", "median-3")


def main() -> int:
    """Train, measure, print JSON; exit status 3 where the time ended first."""
    parser = script_parser(__doc__, out=RESULTS / "cloaks", steps=1500, begin=900, people=40)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--judge", action="append")
    given = parser.parse_args()
    end = time.monotonic() + 60 * given.minutes
    data = load_people(
        People(people=given.people, fit=6, probes=3, distractors=600, impostors=400), given.shared, seed=2
    )
    settings = WatermarkTraining(
        steps=given.steps, begin=given.begin, batch=4, bits=16, width=16, rate=2e-3, margin=0.8, tau=0.03, visible=10
    )
    team = Team.on(open_surrogates(), Compute(device="cpu", precision="bfloat16"))

    def tell(now: TrainedWatermark) -> None:
        if now.step % 50 == 0:
            line = f"{now.step}: bits {now.accuracy:.3f}, cosine {now.cosine:.3f}"
            print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)

    trained = train_watermark(
        data.distractors,
        team,
        settings,
        checkpoint=given.out / "work" / "watermark.pt",
        on_step=tell,
        stop=lambda: time.monotonic() > end,
    )
    result = {
        "steps": trained.step,
        "of": settings.steps,
        **measured(trained.network, data, given),
        **provenance.conditions(),
    }
    print(json.dumps(result, indent=1))
    return 0 if trained.finished else 3


def measured(network: WatermarkNetwork, data: Photographs, given: argparse.Namespace) -> dict[str, object]:
    """Everything that is said of the network."""
    probes = data.faces[:, data.fit + 1 :]
    people = [Watermarker.drawn(network, 1000 + number) for number in range(len(probes))]
    cloaked = np.stack(
        [(own + who.changes(own)).clip(0, 255).astype(np.uint8) for own, who in zip(probes, people, strict=True)]
    )
    bits = torch.from_numpy(np.stack([who.identity for who in people])).repeat_interleave(probes.shape[1], 0)
    images, plain = unit(cloaked), unit(probes)
    torch.manual_seed(77)
    stranger = WatermarkNetwork(bits=network.bits, width=network.width)

    def right(reader: WatermarkNetwork, seen: torch.Tensor) -> float:
        return round(float((read_bits(reader, seen) == bits).float().mean()), 4)

    protection = {}
    for name in given.judge or ("dlib-resnet29", "mobileface-v3", "mobilefacenet-ms1m-arcface"):
        judge = find_recogniser(name, given.shared / "models")
        enrolled = embedded(judge, unit(data.faces[:, data.fit])).repeat_interleave(probes.shape[1], 0)
        limit = thresholds(embedded(judge, unit(data.impostors)), [1e-3])["0.001"]
        shares = [float(((embedded(judge, seen) * enrolled).sum(1) < limit).float().mean()) for seen in (plain, images)]
        protection[name] = {"plain": round(shares[0], 3), "watermarked": round(shares[1], 3)}
    return {
        "people": len(people),
        "photos": len(images),
        "bits right": {name: right(network, PURIFIERS[name](images)) for name in OPERATIONS},
        "a wrong decoder": right(stranger, images),
        "plain photos": right(network, plain),
        "dsim": round(float(dsim(images, plain).mean()), 4),
        "psnr": round(float(psnr(images, plain).mean()), 2),
        "not accepted at FAR 1e-3": protection,
    }


if __name__ == "__main__":
    sys.exit(main())

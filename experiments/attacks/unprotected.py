"""Are the attacks strong? Inverter and white box on unprotected features of a first-block cut.

    python experiments/attacks/unprotected.py --shared ../shared

An attack that fails here is broken, and whatever withstands it proves nothing. People trained on, validated on and
tested are apart. Appends a record for each attack to results/attacks/unprotected.jsonl; about a quarter of an hour
on one core.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import Any

import torch
from setting import Likeness, lfw_people, load_named, said

from facemin import export_key, load_recogniser
from facemin.attack import ATTACKS
from facemin.attack.datasets import HeldPairs
from facemin.attack.features import features_of
from facemin.attack.reconstruct.train_inverter import InverterTraining, train_key_inverter
from facemin.attack.training import Epoch, Fitting
from facemin.experiments.common import RESULTS, provenance, script_parser
from facemin.runtime.files import append_json

REACHED = {"inverter": 0.85, "white-box": 0.6}
"""SSIM that the attacks have to reach; the paper's own have 0.99 and 0.62."""


def main() -> None:
    """Run both attacks."""
    parser = script_parser(__doc__, out=RESULTS / "attacks" / "unprotected.jsonl")
    parser.add_argument("--recogniser", default="mobilefacenet-casia-arcface-b")
    parser.add_argument("--cut", default="/PRelu_1_output_0")
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--test", type=int, default=104)
    parser.add_argument("--steps", type=int, default=150, help="of the strong white box")
    parser.add_argument("--paper-steps", type=int, default=300, help="of the published forms")
    parser.add_argument("--published", type=int, default=26, help="faces that the published forms are run on")
    arguments = parser.parse_args()
    people = lfw_people(arguments.shared, test=arguments.test, train=arguments.pairs)
    recogniser = load_recogniser(load_named(arguments.shared, arguments.recogniser))
    key = export_key(recogniser, arguments.cut, provider="measurement", residual=0.1)
    like = Likeness.of(people, recogniser)
    common = {
        "recogniser": arguments.recogniser,
        "cut": arguments.cut,
        "shape": key.manifest.features,
        "floors": like.floors(people.train),
        **provenance(arguments, arguments.shared),
    }
    for name, found in common["floors"].items():
        print(said(name, found), flush=True)

    def record(name: str, settings: object, images: torch.Tensor, held: Likeness, **spent: object) -> None:
        found = held(images)
        print(said(name, found), spent, flush=True)
        goal = REACHED.get(name)
        if goal is not None and found["ssim"] < goal:
            print(f"{name}: below {goal}: this attack is broken", flush=True)
        append_json(
            arguments.out, {"attack": name, "settings": asdict(settings), "found": found, "spent": spent, **common}
        )

    began, told = time.perf_counter(), []
    settings = InverterTraining(fitting=Fitting(epochs=arguments.epochs, flip=True))

    def tell(epoch: Epoch) -> None:
        told.append(epoch)
        print(f"  epoch {epoch.done}: loss {epoch.loss:.4f}, validation SSIM {epoch.score:.4f}", flush=True)

    network = train_key_inverter(
        key,
        HeldPairs(people.train, people.train),
        settings=settings,
        validation=HeldPairs(people.validation, people.validation),
        on_epoch=tell,
    )
    seconds = time.perf_counter() - began
    with torch.no_grad():
        images = torch.cat([network(part) for part in like.faces.split(16)])
    speed = sum(epoch.steps_per_second for epoch in told) / len(told)
    record("inverter", settings, images, like, seconds=seconds, steps_per_second=speed, pairs=arguments.pairs)
    runs = {
        "white-box": (arguments.steps, arguments.test),
        "white-box-paper": (arguments.paper_steps, arguments.published),
        "white-box-unsplit": (arguments.paper_steps, arguments.published),
    }
    for name, (steps, most) in runs.items():
        attack: Any = replace(ATTACKS[name].method, steps=steps)
        began = time.perf_counter()
        count = min(most, len(like.faces))
        done = attack(key, features_of(key, like.faces[:count])[-1])
        seconds = time.perf_counter() - began
        held = Likeness(
            faces=like.faces[:count],
            others=like.others[:count],
            recogniser=recogniser,
            at=like.at,
            embedded=(like.embedded[0][:count], like.embedded[1][:count]),
        )
        loss = float(done.losses.mean())
        record(name, attack, done.images, held, seconds=seconds, seconds_per_face=seconds / count, residual=loss)


if __name__ == "__main__":
    main()

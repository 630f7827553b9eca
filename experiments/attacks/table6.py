"""PMT's Table VI and Figure 6, with the adaptive attacks that the paper left out.

    python experiments/attacks/table6.py --shared ../shared

Rows: unprotected features; features with noise of the same amplitude (what PMT changed, its order shuffled); PMT's.
Columns: the white box (level 2, as published and as strong as ours) and RecFace (level 1), and beside them RecFace
trained on protected features and on protected images, with the attacker's pairs as a curve. People trained on,
validated on and tested are apart. Appends a record for each cell to results/attacks/table6.jsonl. The default sizes
take about 20 minutes on one idle core; 1000 pairs add half an hour, nearly all of it for protecting them, and 5000 two
hours and a half (--cache keeps what was protected). With --pictures, Figure 6 is drawn into a folder of your own: it
shows people.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from protecting import protected_faces
from setting import Likeness, add_paper_key, lfw_people, load_named, said

from facemin import export_key, load_recogniser
from facemin.attack import Knowledge, PublicFaces
from facemin.attack.features import features_of
from facemin.attack.reconstruct.inverter_attack import InverterAttack
from facemin.attack.reconstruct.train_inverter import InverterTraining
from facemin.attack.reconstruct.white_box import WhiteBox
from facemin.attack.training import Fitting
from facemin.autograd.pixels import to_array, to_unit
from facemin.experiments.attacks import ENDLESS, choose_attacks
from facemin.experiments.common import RESULTS, provenance, script_parser
from facemin.image import encode
from facemin.protection import PROTECTORS
from facemin.runtime.files import append_json, write_atomically

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.attack import Budget

PAPER_LFW = {
    ("unprotected", "white box"): (0.62, 14.61, 0.96, 1.0),
    ("random noise", "white box"): (0.38, 12.56, 0.69, 1.0),
    ("PMT", "white box"): (0.03, 11.31, 0.83, 1.0),
    ("unprotected", "black box"): (0.99, 34.40, 0.98, 1.0),
    ("random noise", "black box"): (0.78, 15.55, 0.55, 1.0),
    ("PMT", "black box"): (0.03, 11.21, 0.71, 1.0),
}
"""SSIM, PSNR, COS and SRRA on LFW; n is not given, 104 by its other tables."""

COLUMNS = {
    "white-box-paper": "white box, as published",
    "white-box": "white box, ours",
    "inverter": "black box",
}
"""What the paper's columns are called in records, by the attack's name."""

TRIED = ["white-box-paper", "white-box", "inverter", "inverter-protected-features", "inverter-protected-images"]
SHOWN = 8


def main() -> None:
    """Measure every cell."""
    arguments = _arguments()
    people = lfw_people(arguments.shared, test=arguments.test, train=max(arguments.pairs))
    recogniser = load_recogniser(load_named(arguments.shared, arguments.recogniser))
    key = export_key(
        recogniser, arguments.cut, layers=tuple(arguments.layers), provider="measurement", residual=arguments.residual
    )
    like = Likeness.of(people, recogniser)
    method = PROTECTORS[arguments.method]
    residual = None if arguments.stop_at_residual else 0.0
    method = replace(method, steps=arguments.steps, pool=arguments.pool or None, residual=residual)
    protect = partial(protected_faces, method, key, cache=arguments.cache)
    protected = to_unit(protect(people.test, seed=arguments.seed))
    desk = Desk(
        like=like,
        out=arguments.out,
        common={
            "recogniser": arguments.recogniser,
            "cut": arguments.cut,
            "layers": list(key.manifest.layers),
            "shape": list(key.manifest.features),
            "method": asdict(method),
            **provenance(arguments, arguments.shared),
        },
        drawn={"original": like.faces, "protected image": protected},
    )
    for name, found in like.floors(people.train).items():
        desk.add(name, "floor", found)
    desk.write("protected image", "as sent", protected, adversary="T0: an eye", settings=None, seconds=0.0)
    plain, kept = (features_of(key, images)[-1] for images in (like.faces, protected))
    rows = {"unprotected": plain, "random noise": plain + shuffled(kept - plain, arguments.seed), "PMT": kept}

    def protector(faces: Tensor, budget: Budget) -> tuple[Tensor, Tensor]:
        del budget
        # an attacker's own seed: nobody knows those of the people attacked
        return protect(faces, seed=arguments.seed + 1), torch.arange(len(faces))

    knowledge = Knowledge(
        key=key,
        protector=protector,
        public=PublicFaces(people.train, people.train_people),
        validation=PublicFaces(people.validation, torch.arange(len(people.validation))),
        seed=arguments.seed,
    )
    _attack(desk, knowledge, rows, protected, arguments)
    if arguments.pictures is not None:
        desk.draw(arguments.pictures / "figure6.png")


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Measures reconstructions, prints and records them, and keeps the first for Figure 6."""

    like: Likeness
    out: Path
    common: dict[str, object]
    drawn: dict[str, Tensor]

    def write(self, row: str, column: str, images: Tensor, *, adversary: str, settings: object, seconds: float) -> None:
        """Measure a cell's reconstructions."""
        self.drawn[f"{row}, {column}"] = images
        found = self.like(images)
        paper = PAPER_LFW.get((row, column.partition(",")[0]))
        self.add(
            row,
            column,
            found,
            adversary=adversary,
            settings=None if settings is None else asdict(settings),
            seconds=seconds,
            paper=None if paper is None else dict(zip(("ssim", "psnr", "cos", "srra"), paper, strict=True)),
        )

    def add(self, row: str, column: str, found: dict[str, object], **more: object) -> None:
        """Record figures."""
        print(said(f"{row} | {column}", found), flush=True)
        append_json(self.out, {"row": row, "column": column, "found": found, **more, **self.common})

    def draw(self, path: Path) -> None:
        """Figure 6: a line of faces for each cell, in the order of the records."""
        lines = [torch.cat(list(images[:SHOWN]), 2) for images in self.drawn.values()]
        write_atomically(path, encode(to_array(torch.cat(lines, 1))))


def shuffled(change: Tensor, seed: int) -> Tensor:
    """Each face's change of features (N, *shape) in a random order: noise of exactly the same amplitude."""
    rows = []
    for number, row in enumerate(change):
        order = np.random.default_rng([seed, number]).permutation(row.numel())
        rows.append(row.flatten()[torch.from_numpy(order)].view_as(row))
    return torch.stack(rows)


def _attack(
    desk: Desk, knowledge: Knowledge, rows: dict[str, Tensor], protected: Tensor, arguments: argparse.Namespace
) -> None:
    """Every reconstructor asked for: what reads features, of each row; what reads images, of the protected ones."""
    for name, attack in choose_attacks("reconstructor", arguments.attacks).items():
        adaptive = attack.adversary.adaptive
        for count in sorted(arguments.pairs) if adaptive else [max(arguments.pairs)]:
            method = _lengthened(attack.method, count, arguments)
            began = time.perf_counter()
            made = method.fit(_few(knowledge, count), ENDLESS)
            fitted = time.perf_counter() - began
            told = {
                "adversary": attack.adversary.words,
                "settings": getattr(method, "settings", method),
            }
            if made.of_features is None or adaptive:
                column = f"{name}, {count} pairs" if adaptive else name
                images = made.apply(protected)
                desk.write("PMT", column, images, seconds=time.perf_counter() - began, **told)
                continue
            column = COLUMNS.get(name, name) + (f", {count} pairs" if attack.adversary.row == "T4" else "")
            for row, features in rows.items():
                again = time.perf_counter()
                images = made.of_features(features)
                seconds = fitted + time.perf_counter() - again
                desk.write(row, column, images, seconds=seconds, **told)


def _few(knowledge: Knowledge, count: int) -> Knowledge:
    assert knowledge.public is not None
    return replace(knowledge, public=PublicFaces(*(part[:count] for part in knowledge.public)))


def _lengthened(method: Any, count: int, arguments: argparse.Namespace) -> Any:
    """About as many training steps for any number of pairs, but never fewer than four epochs; white boxes as asked."""
    if isinstance(method, WhiteBox):
        return replace(method, steps=arguments.white_box_steps)
    if not isinstance(method, InverterAttack):
        return method
    fitting = Fitting(epochs=max(4, round(arguments.images / count)))
    return replace(method, settings=InverterTraining(fitting=fitting))


def _arguments() -> argparse.Namespace:
    parser = script_parser(__doc__, out=RESULTS / "attacks" / "table6.jsonl", seed=0)
    add_paper_key(parser)
    parser.add_argument("--method", choices=list(PROTECTORS), default="pmt-enhanced")
    parser.add_argument("--steps", type=int, default=40, help="of the protection")
    parser.add_argument("--pool", type=int, default=14, help="of the protection; 0 for none")
    parser.add_argument("--residual", type=float, default=0.1, help="the key's")
    parser.add_argument("--stop-at-residual", action="store_true", help="else an image takes all steps")
    parser.add_argument("--test", type=int, default=52, help="people")
    parser.add_argument(
        "--pairs", type=int, nargs="+", default=[256], help="of the attacker; 1000 and 5000 are the curve"
    )
    parser.add_argument("--images", type=int, default=8000, help="that an inverter sees in training, repeats counted")
    parser.add_argument("--attacks", nargs="*", default=TRIED, choices=list(choose_attacks("reconstructor")))
    parser.add_argument("--white-box-steps", type=int, default=100)
    parser.add_argument("--cache", type=Path, help="an uncommitted folder for protected faces, to be used again")
    parser.add_argument("--pictures", type=Path, help="an uncommitted folder for Figure 6")
    return parser.parse_args()


if __name__ == "__main__":
    main()

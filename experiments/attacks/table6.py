"""PMT's Table VI and Figure 6, with our protections beside the paper's and the adaptive attacks that it left out.

    python experiments/attacks/table6.py --shared ../shared

Rows: unprotected features; features with noise of the same amplitude (what PMT changed, its order shuffled); PMT's;
the robust default's method at that key; and, at keys of their own, the robust default's without a secret and
pseudonyms', each beside unprotected ones.
Columns: the white box (level 2, as published and as strong as ours) and RecFace (level 1), and beside them RecFace
trained on protected features and on protected images, with the attacker's pairs as a curve. People trained on,
validated on and tested are apart. COS, SRRA and TAR are those of one recogniser in all rows; a key of another one has
that one's as well. Appends a record for each cell to results/attacks/table6.jsonl. --protections and --attacks choose
what is measured; a cell's latest record counts. All cells take about an hour on one idle core, mostly for protecting
faces by gradients (--cache keeps them); 1000 pairs add half an hour more for each such protection. With --pictures,
Figure 6 is drawn into a folder of your own: it shows people.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from setting import Likeness, add_paper_key, lfw_people, load_named, said
from subjects import SUBJECTS

from facemin import load_recogniser
from facemin.attack import Knowledge, PublicFaces
from facemin.attack.reconstruct.inverter_attack import InverterAttack
from facemin.attack.reconstruct.train_inverter import InverterTraining
from facemin.attack.reconstruct.white_box import WhiteBox
from facemin.attack.training import Fitting
from facemin.autograd.pixels import to_array
from facemin.experiments.attacks import ENDLESS, choose_attacks
from facemin.experiments.common import RESULTS, provenance, script_parser
from facemin.image import encode
from facemin.protection import PROTECTORS
from facemin.runtime.files import append_json, write_atomically

if TYPE_CHECKING:
    from subjects import Subject
    from torch import Tensor

    from facemin.attack import Attack

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
    "inverter-protected-features": "black box, protected features",
    "inverter-protected-images": "black box, protected images",
}
"""What the paper's columns are called in records, by the attack's name."""

TRIED = ["white-box-paper", "white-box", "inverter", "inverter-protected-features", "inverter-protected-images"]
SHOWN = 8


def main() -> None:
    """Measure every cell."""
    arguments = _arguments()
    people = lfw_people(arguments.shared, test=arguments.test, train=max(arguments.pairs))
    like = Likeness.of(people, load_recogniser(load_named(arguments.shared, arguments.recogniser)))
    desk = Desk(
        like=like,
        out=arguments.out,
        common={"recogniser": arguments.recogniser, "cut": arguments.cut, **provenance(arguments, arguments.shared)},
        drawn={"original": like.faces},
    )
    for name, found in like.floors(people.train).items():
        desk.add(name, "floor", found)
    subjects = [SUBJECTS[name](people, arguments) for name in arguments.protections]
    for subject in subjects:
        row = "protected image" if subject.row == "PMT" else f"protected image, {subject.row}"
        desk.write(subject, row, "as sent", subject.images, adversary="T0: an eye", settings=None, seconds=0.0)
    for name, attack in choose_attacks("reconstructor", arguments.attacks).items():
        for subject in subjects:
            knowledge = Knowledge(
                key=subject.key,
                protector=subject.protect,
                public=PublicFaces(people.train, people.train_people),
                validation=PublicFaces(people.validation, torch.arange(len(people.validation))),
                seed=arguments.seed,
            )
            _attack(desk, knowledge, subject, name, attack, arguments)
    if arguments.pictures is not None:
        desk.draw(arguments.pictures / "figure6.png")


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Measures reconstructions, prints and records them, and keeps the first for Figure 6."""

    like: Likeness
    out: Path
    common: dict[str, object]
    drawn: dict[str, Tensor]

    def write(
        self,
        subject: Subject,
        row: str,
        column: str,
        images: Tensor,
        *,
        adversary: str,
        settings: object,
        seconds: float,
    ) -> None:
        """Measure a cell's reconstructions, also as the subject's own recogniser sees them where it is another."""
        self.drawn[f"{row}, {column}"] = images
        found = self.like(images)
        if subject.authorised is not None:
            own = subject.authorised(images)
            found["authorised"] = {name: own[name] for name in ("cos", "cos_other_photo", "tar_other_photo")}
        manifest = subject.key.manifest
        paper = PAPER_LFW.get((row, column.partition(",")[0]))
        self.add(
            row,
            column,
            found,
            adversary=adversary,
            settings=None if settings is None else asdict(settings),
            seconds=seconds,
            paper=None if paper is None else dict(zip(("ssim", "psnr", "cos", "srra"), paper, strict=True)),
            keyed=manifest.recogniser,
            cut=manifest.cut,
            layers=list(manifest.layers),
            shape=list(manifest.features),
            method=subject.method,
        )

    def add(self, row: str, column: str, found: dict[str, object], **more: object) -> None:
        """Record figures."""
        print(said(f"{row} | {column}", found), flush=True)
        append_json(self.out, {"row": row, "column": column, "found": found, **self.common, **more})

    def draw(self, path: Path) -> None:
        """Figure 6: a line of faces for each cell, in the order of the records."""
        lines = [torch.cat(list(images[:SHOWN]), 2) for images in self.drawn.values()]
        write_atomically(path, encode(to_array(torch.cat(lines, 1))))


def _attack(
    desk: Desk, knowledge: Knowledge, subject: Subject, name: str, attack: Attack, arguments: argparse.Namespace
) -> None:
    """One reconstructor on one subject: what reads features, of each row; what reads images, of the protected ones."""
    adaptive = attack.adversary.adaptive
    for count in sorted(arguments.pairs) if adaptive else [max(arguments.pairs)]:
        method = _lengthened(attack.method, count, arguments)
        began = time.perf_counter()
        made = method.fit(_few(knowledge, count), ENDLESS)
        told = {"adversary": attack.adversary.words, "settings": getattr(method, "settings", method)}
        column = COLUMNS.get(name, name) + (f", {count} pairs" if adaptive or attack.adversary.row == "T4" else "")
        if made.of_features is None or adaptive:
            images = {subject.row: made.apply(subject.images)}
        else:
            images = {row: made.of_features(features) for row, features in subject.features.items()}
        # of all rows together, so that a training counts once
        seconds = time.perf_counter() - began
        for row, faces in images.items():
            desk.write(subject, row, column, faces, seconds=seconds, **told)


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
    parser.add_argument("--protections", nargs="+", default=list(SUBJECTS), choices=list(SUBJECTS))
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

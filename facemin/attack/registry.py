"""All attacks that reconstruct or link, by name: who makes them, what they know, and their settings."""

from __future__ import annotations

from dataclasses import dataclass

from facemin.attack.contract import Adversary
from facemin.attack.link.key_linker import KeyLinking
from facemin.attack.link.student import StudentTraining
from facemin.attack.reconstruct.image_prior import ImagePrior
from facemin.attack.reconstruct.train_inverter import InverterTraining
from facemin.attack.reconstruct.white_box import PAPER, UNSPLIT, WhiteBox

Settings = WhiteBox | InverterTraining | KeyLinking | StudentTraining


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One attack.

    Args:
        adversary: who makes it.
        settings: its defaults; None where it has none.
        words: what it does, in a line for tables.
    """

    adversary: Adversary
    settings: Settings | None
    words: str


ATTACKS: dict[str, Attack] = {
    "white-box-paper": Attack(
        adversary=Adversary(row="T3", knows=("protected feature", "key")),
        settings=PAPER,
        words="the paper's equations 2 to 4",
    ),
    "white-box-unsplit": Attack(
        adversary=Adversary(row="T3", knows=("protected feature", "key")),
        settings=UNSPLIT,
        words="UnSplit's loss with the key known",
    ),
    "white-box": Attack(
        adversary=Adversary(row="T3", knows=("protected image", "key")),
        settings=WhiteBox(),
        words="Adam on coarse and fine layers together, total variation",
    ),
    "white-box-prior": Attack(
        adversary=Adversary(row="T3", knows=("protected image", "key")),
        settings=WhiteBox(prior=ImagePrior(), total_variation=0.0),
        words="an untrained network paints the image",
    ),
    "inverter": Attack(
        adversary=Adversary(row="T4", knows=("protected feature", "key", "pairs of feature and face")),
        settings=InverterTraining(),
        words="RecFace, trained on plain faces' features (level 1)",
    ),
    "inverter-protected-features": Attack(
        adversary=Adversary(row="T4", knows=("protected feature", "key", "pairs of protected feature and face")),
        settings=InverterTraining(),
        words="RecFace, trained on protected features",
    ),
    "inverter-protected-images": Attack(
        adversary=Adversary(row="T4", knows=("protected image", "pairs of protected image and face")),
        settings=InverterTraining(),
        words="RecFace, trained on protected images",
    ),
    "denoiser": Attack(
        adversary=Adversary(row="T2", knows=("protected image", "pairs of protected image and face")),
        settings=InverterTraining(),
        words="the same network as a purifier before a recogniser",
    ),
    "key-linker": Attack(
        adversary=Adversary(row="T5", knows=("protected image", "key", "public faces")),
        settings=KeyLinking(),
        words="the key's features, pooled, and a head trained on plain faces",
    ),
    "student-key-only": Attack(
        adversary=Adversary(row="T5", knows=("protected image", "key", "public faces")),
        settings=StudentTraining(body="key"),
        words="a student on the key's features of plain faces, taught by a recogniser",
    ),
    "student": Attack(
        adversary=Adversary(row="T5", knows=("protected image", "pairs of protected image and identity")),
        settings=StudentTraining(),
        words="FaceLinkGen: a recogniser trained on, on protected images",
    ),
    "student-scratch": Attack(
        adversary=Adversary(row="T5", knows=("protected image", "pairs of protected image and identity")),
        settings=StudentTraining(body="scratch"),
        words="the same with a network that begins from nothing",
    ),
    "student-on-key": Attack(
        adversary=Adversary(row="T5", knows=("protected image", "key", "pairs of protected image and identity")),
        settings=StudentTraining(body="key"),
        words="the same on the key's features of protected images",
    ),
    "ridge-linker": Attack(
        adversary=Adversary(row="T5", knows=("protected image", "pairs of protected image and identity")),
        settings=None,
        words="a linear map from what an off-the-shelf recogniser makes of protected images",
    ),
}
"""Attacks by name."""

"""All attacks that reconstruct, link or read attributes, by name."""

from __future__ import annotations

from facemin.attack.attributes.convolutional_probe import ConvolutionalProbe
from facemin.attack.attributes.probe_attack import ProbeAttack
from facemin.attack.contract import Adversary, Attack
from facemin.attack.link.centred import CentredLinking
from facemin.attack.link.key_linker import KeyLinking
from facemin.attack.link.ridge_linker import RidgeLinking
from facemin.attack.link.student import StudentTraining
from facemin.attack.link.student_attack import SMALL, StudentAttack
from facemin.attack.reconstruct.image_prior import ImagePrior
from facemin.attack.reconstruct.inverter_attack import InverterAttack
from facemin.attack.reconstruct.white_box import PAPER, UNSPLIT, WhiteBox

ATTACKS: dict[str, Attack] = {
    "white-box-paper": Attack(
        kind="reconstructor",
        adversary=Adversary(row="T3", knows=("protected feature", "key")),
        method=PAPER,
        words="the paper's equations 2 to 4",
        in_audit=False,
    ),
    "white-box-unsplit": Attack(
        kind="reconstructor",
        adversary=Adversary(row="T3", knows=("protected feature", "key")),
        method=UNSPLIT,
        words="UnSplit's loss with the key known",
        in_audit=False,
    ),
    "white-box": Attack(
        kind="reconstructor",
        adversary=Adversary(row="T3", knows=("protected image", "key")),
        method=WhiteBox(steps=400),
        words="Adam on coarse and fine layers together, total variation",
    ),
    "white-box-prior": Attack(
        kind="reconstructor",
        adversary=Adversary(row="T3", knows=("protected image", "key")),
        method=WhiteBox(prior=ImagePrior(), total_variation=0.0),
        words="an untrained network paints the image",
        in_audit=False,
    ),
    "inverter": Attack(
        kind="reconstructor",
        adversary=Adversary(row="T4", knows=("protected feature", "key", "pairs of feature and face")),
        method=InverterAttack(),
        words="RecFace, trained on plain faces' features (level 1)",
    ),
    "inverter-protected-features": Attack(
        kind="reconstructor",
        adversary=Adversary(row="T4", knows=("protected feature", "key", "pairs of protected feature and face")),
        method=InverterAttack(learns_from="protected"),
        words="RecFace, trained on protected features",
    ),
    "inverter-protected-images": Attack(
        kind="reconstructor",
        adversary=Adversary(row="T4", knows=("protected image", "pairs of protected image and face")),
        method=InverterAttack(reads="image", learns_from="protected"),
        words="RecFace, trained on protected images",
        # the denoiser is the same network
        in_audit=False,
    ),
    "denoiser": Attack(
        kind="reconstructor",
        adversary=Adversary(row="T2", knows=("protected image", "pairs of protected image and face")),
        method=InverterAttack(reads="image", learns_from="protected"),
        words="the same network as a purifier before a recogniser",
        tried_in="T4",
    ),
    "key-features": Attack(
        kind="linker",
        adversary=Adversary(row="T5", knows=("protected image", "key", "public faces")),
        method=KeyLinking(head="none"),
        words="the key's features, pooled, as they are",
    ),
    "key-linker": Attack(
        kind="linker",
        adversary=Adversary(row="T5", knows=("protected image", "key", "public faces")),
        method=KeyLinking(),
        words="the key's features, pooled, and a head trained on plain faces",
    ),
    "student-key-only": Attack(
        kind="linker",
        adversary=Adversary(row="T5", knows=("protected image", "key", "public faces")),
        method=StudentAttack(learns_from="plain", settings=StudentTraining(body="key")),
        words="a student on the key's features of plain faces, taught by a recogniser",
        in_audit=False,
    ),
    "ridge-linker": Attack(
        kind="linker",
        adversary=Adversary(row="T5", knows=("protected image", "pairs of protected image and identity")),
        method=RidgeLinking(),
        words="a linear map from what an off-the-shelf recogniser makes of protected images",
    ),
    "centred": Attack(
        kind="linker",
        adversary=Adversary(row="T5", knows=("protected image", "recogniser", "public faces")),
        method=CentredLinking(),
        words="a recogniser off the shelf, the common part of protected images taken away",
    ),
    "student": Attack(
        kind="linker",
        adversary=Adversary(row="T5", knows=("protected image", "pairs of protected image and identity")),
        method=StudentAttack(),
        words="FaceLinkGen: a recogniser trained on, on protected images",
    ),
    "student-scratch": Attack(
        kind="linker",
        adversary=Adversary(row="T5", knows=("protected image", "pairs of protected image and identity")),
        method=StudentAttack(settings=StudentTraining(body="scratch", fitting=SMALL)),
        words="the same with a network that begins from nothing",
        in_audit=False,
    ),
    "student-on-key": Attack(
        kind="linker",
        adversary=Adversary(row="T5", knows=("protected image", "key", "pairs of protected image and identity")),
        method=StudentAttack(settings=StudentTraining(body="key", fitting=SMALL)),
        words="the same on the key's features of protected images",
        in_audit=False,
    ),
    "probe": Attack(
        kind="prober",
        adversary=Adversary(row="T2", knows=("protected image", "pairs of protected image and attribute")),
        method=ProbeAttack(),
        words="a linear probe on thumbnails of protected images",
    ),
    "convolutional-probe": Attack(
        kind="prober",
        adversary=Adversary(row="T2", knows=("protected image", "pairs of protected image and attribute")),
        method=ConvolutionalProbe(),
        words="a small network on protected images",
        in_audit=False,
    ),
    "probe-on-key": Attack(
        kind="prober",
        adversary=Adversary(row="T2", knows=("protected image", "key", "pairs of protected image and attribute")),
        method=ProbeAttack(reads="features"),
        words="the same on the key's features of protected images",
    ),
}
"""Attacks by name: contract tests, the rows of an audit and the experiments take them from here."""

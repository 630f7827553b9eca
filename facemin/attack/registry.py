"""All attacks that reconstruct, link or read attributes, by name."""

from __future__ import annotations

from facemin.attack.attributes.convolutional_probe import ConvolutionalProbe
from facemin.attack.attributes.probe_attack import ProbeAttack
from facemin.attack.contract import Adversary, Attack, Holding, Linker, Prober, Reconstructor, Row
from facemin.attack.link.centred import CentredLinking
from facemin.attack.link.key_linker import KeyLinking
from facemin.attack.link.pixels import PixelLinking
from facemin.attack.link.plain_pairs import POOR
from facemin.attack.link.ridge_linker import RidgeLinking
from facemin.attack.link.student import StudentTraining
from facemin.attack.link.student_attack import SMALL, StudentAttack
from facemin.attack.reconstruct.image_prior import ImagePrior
from facemin.attack.reconstruct.inverter_attack import InverterAttack
from facemin.attack.reconstruct.white_box import PAPER, UNSPLIT, WhiteBox

_FEATURE_AND_KEY: tuple[Holding, ...] = ("protected feature", "key")
_IMAGE_AND_KEY: tuple[Holding, ...] = ("protected image", "key")
_IMAGE_KEY_AND_FACES: tuple[Holding, ...] = ("protected image", "key", "public faces")
_PAIRS_OF_FACES: tuple[Holding, ...] = ("protected image", "pairs of protected image and face")
_PAIRS_OF_IDENTITIES: tuple[Holding, ...] = ("protected image", "pairs of protected image and identity")
_PAIRS_OF_ATTRIBUTES: tuple[Holding, ...] = ("protected image", "pairs of protected image and attribute")


def _reconstructor(
    row: Row,
    method: Reconstructor,
    words: str,
    knows: tuple[Holding, ...],
    *,
    tried_in: Row | None = None,
    in_audit: bool = True,
) -> Attack:
    adversary = Adversary(row=row, knows=knows)
    return Attack(
        kind="reconstructor", adversary=adversary, method=method, words=words, tried_in=tried_in, in_audit=in_audit
    )


def _linker(method: Linker, words: str, knows: tuple[Holding, ...], *, in_audit: bool = True) -> Attack:
    adversary = Adversary(row="T5", knows=knows)
    return Attack(kind="linker", adversary=adversary, method=method, words=words, in_audit=in_audit)


def _prober(method: Prober, words: str, knows: tuple[Holding, ...], *, in_audit: bool = True) -> Attack:
    adversary = Adversary(row="T2", knows=knows)
    return Attack(kind="prober", adversary=adversary, method=method, words=words, in_audit=in_audit)


ATTACKS: dict[str, Attack] = {
    "white-box-paper": _reconstructor("T3", PAPER, "the paper's equations 2 to 4", _FEATURE_AND_KEY, in_audit=False),
    "white-box-unsplit": _reconstructor(
        "T3", UNSPLIT, "UnSplit's loss with the key known", _FEATURE_AND_KEY, in_audit=False
    ),
    "white-box": _reconstructor(
        "T3",
        WhiteBox(steps=400),
        "Adam on coarse and fine layers together, total variation",
        _IMAGE_AND_KEY,
    ),
    "white-box-prior": _reconstructor(
        "T3",
        WhiteBox(prior=ImagePrior(), total_variation=0.0),
        "an untrained network paints the image",
        _IMAGE_AND_KEY,
        in_audit=False,
    ),
    "inverter": _reconstructor(
        "T4",
        InverterAttack(),
        "RecFace, trained on plain faces' features (level 1)",
        ("protected feature", "key", "pairs of feature and face"),
    ),
    "inverter-protected-features": _reconstructor(
        "T4",
        InverterAttack(learns_from="protected"),
        "RecFace, trained on protected features",
        ("protected feature", "key", "pairs of protected feature and face"),
    ),
    # not in an audit: the denoiser is the same network
    "inverter-protected-images": _reconstructor(
        "T4",
        InverterAttack(reads="image", learns_from="protected"),
        "RecFace, trained on protected images",
        _PAIRS_OF_FACES,
        in_audit=False,
    ),
    "denoiser": _reconstructor(
        "T2",
        InverterAttack(reads="image", learns_from="protected"),
        "the same network as a purifier before a recogniser",
        _PAIRS_OF_FACES,
        tried_in="T4",
    ),
    "key-features": _linker(
        KeyLinking(head="none"), "the key's features, pooled, as they are", ("protected image", "key", "public faces")
    ),
    "key-linker": _linker(
        KeyLinking(),
        "the key's features, pooled, and a head trained on plain faces",
        _IMAGE_KEY_AND_FACES,
    ),
    "student-key-only": _linker(
        StudentAttack(learns_from="plain", settings=StudentTraining(body="key")),
        "a student on the key's features of plain faces, taught by a recogniser",
        _IMAGE_KEY_AND_FACES,
        in_audit=False,
    ),
    **{
        f"plain-{kind}": _linker(
            RidgeLinking(learns_from=kind),
            f"a linear map of plain faces alone, {kind}, from what an off-the-shelf recogniser makes of them",
            ("protected image", "recogniser", "public faces"),
        )
        for kind in POOR
    },
    # before the other attacks that protect faces of their own, which go on with what it made
    "pixels": _linker(
        PixelLinking(),
        "pixels after a blur, the common part of protected images taken away",
        ("protected image", "public faces"),
    ),
    **{
        f"plain-{kind}-centred": _linker(
            RidgeLinking(learns_from=kind, centred=True),
            f"the same map of plain faces alone, {kind}, the common part of protected images taken away",
            ("protected image", "recogniser", "public faces"),
            # of all four the one that gets most in experiments; seconds each
            in_audit=kind == "softened",
        )
        for kind in POOR
    },
    "ridge-linker": _linker(
        RidgeLinking(),
        "a linear map from what an off-the-shelf recogniser makes of protected images",
        _PAIRS_OF_IDENTITIES,
    ),
    "centred": _linker(
        CentredLinking(),
        "a recogniser off the shelf, the common part of protected images taken away",
        ("protected image", "recogniser", "public faces"),
    ),
    "student": _linker(
        StudentAttack(),
        "FaceLinkGen: a recogniser trained on, on protected images",
        _PAIRS_OF_IDENTITIES,
    ),
    "student-scratch": _linker(
        StudentAttack(settings=StudentTraining(body="scratch", fitting=SMALL)),
        "the same with a network that begins from nothing",
        _PAIRS_OF_IDENTITIES,
        in_audit=False,
    ),
    "student-on-key": _linker(
        StudentAttack(settings=StudentTraining(body="key", fitting=SMALL)),
        "the same on the key's features of protected images",
        ("protected image", "key", "pairs of protected image and identity"),
        in_audit=False,
    ),
    "probe": _prober(
        ProbeAttack(),
        "a linear probe on thumbnails of protected images",
        _PAIRS_OF_ATTRIBUTES,
    ),
    "convolutional-probe": _prober(
        ConvolutionalProbe(),
        "a small network on protected images",
        _PAIRS_OF_ATTRIBUTES,
        in_audit=False,
    ),
    "probe-on-key": _prober(
        ProbeAttack(reads="features"),
        "the same on the key's features of protected images",
        ("protected image", "key", "pairs of protected image and attribute"),
    ),
}
"""Attacks by name: contract tests, the rows of an audit and the experiments take them from here."""

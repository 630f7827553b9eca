"""The main job on one real photo: enrolment and verification under a pseudonym, drawn to be read at a glance."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facemin.data import data_file
from facemin.face import Detector, align, faces_in
from facemin.image import decode, encode
from facemin.keys.default import default_key
from facemin.models import MODELS, SPACE_MODEL
from facemin.models.calibration import shipped_calibration
from facemin.models.onnx.run import FaceRunner
from facemin.protection.one_pass.painter import CHECKS, OnePass, Painter
from facemin.protection.one_pass.protector import CORRECTIONS
from facemin.protection.one_pass.shipped import shipped_protector
from facemin.pseudonym import LOCAL, Context, Pseudonym, Secret
from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facemin.image import Pixels


FAR = 1e-3
ZOOM = 2
MARGIN = 24
LINE = 22
SEED_BITS = 128

SHOWN = {
    True: "Shown: the recogniser accepts what is sent as the enrolled person, and does not recognise the person in the "
    "photo in it; under a renewed secret the same face is a stranger.",
    False: "Shown: an answer came out other than it should. This should not happen.",
}
NOT_SHOWN = (
    "Not shown: that nobody else links them; attackers with pairs, the key and patience were measured elsewhere "
    "(docs/pseudonyms.md). Whoever gets the secret, too, recognises you as the key does."
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the recogniser says to one question about a picture.

    Attributes:
        question: in words.
        cosine: that decides.
        accepted: whether it reaches the threshold.
        expected: whether it should.
    """

    question: str
    cosine: float
    accepted: bool
    expected: bool


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture of the demo and what the recogniser says of it; `pixels` is uint8 (112, 112, 3)."""

    title: str
    pixels: Pixels = field(repr=False)
    answers: tuple[Answer, ...] = ()
    remark: str = ""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What the demo did; `picture`, `record` and `protected` are the files it wrote."""

    panels: tuple[Panel, ...]
    threshold: float
    milliseconds: float
    """To embed, rotate, paint and check one face, after everything was opened."""
    seconds: float
    picture: Path
    record: Path
    protected: Path

    @property
    def as_expected(self) -> bool:
        """Whether every answer is what it should be."""
        return all(answer.accepted == answer.expected for panel in self.panels for answer in panel.answers)


def run_demo(out: Path, *, seed: int | None = None, tell: Callable[[str], None] | None = None) -> Demo:
    """Enrol and verify scikit-image's astronaut (NASA, public domain) under a secret made for the demo and forgotten.

    Args:
        out: folder for `demo.png`, `demo.json` and `astronaut.protected.png`; made when needed.
        seed: of what is painted; drawn from the system when None. The secret is drawn anew each time.
        tell: told what is being done.

    Raises:
        ValueError: when a package that carries a model or the photo is missing.
    """
    say = tell or (lambda _: None)
    began = time.perf_counter()
    say("Opening the recogniser's key and the network that paints")
    key, protector = default_key(), shipped_protector(SPACE_MODEL)
    space = key.space
    assert space is not None
    assert protector is not None
    run = FaceRunner(key.graph)
    painter = Painter(protector, run, OnePass(residual=key.manifest.residual, corrections=CORRECTIONS))
    threshold = pseudonym_threshold()
    say("Finding the face")
    photo = decode(astronaut()).pixels
    detector = Detector()
    enrolment, probe = (_face(each, detector) for each in (photo, another_day(photo)))
    say("Enrolling, sending, verifying")
    seed = secrets.randbits(SEED_BITS) if seed is None else seed
    secret = Secret.new()
    mine, renewed = (
        Pseudonym(
            secret=secret,
            context=Context(origin=LOCAL, space=space.id, dimension=space.dimension, purpose="demo", epoch=epoch),
        )
        for epoch in (0, 1)
    )

    def paint(face: Pixels, pseudonym: Pseudonym, number: int) -> Pixels:
        return painter(pseudonym.targets(space.embed(run, face[None])), [seed + number])[0].pixels

    enrolled = paint(enrolment, mine, 0)
    start = time.perf_counter()
    sent = paint(probe, mine, 1)
    milliseconds = 1000 * (time.perf_counter() - start)
    stranger = paint(probe, renewed, 2)
    blurred = CHECKS["blur-1"](sent[None])[0]

    def ask(question: str, image: Pixels, reference: Pixels, *, expected: bool) -> Answer:
        rows = run(np.stack([image, reference]))
        cosine = float(rows[0] @ rows[1] / np.linalg.norm(rows[0]) / np.linalg.norm(rows[1]))
        return Answer(question=question, cosine=cosine, accepted=cosine >= threshold, expected=expected)

    same, photographed = "the enrolled person?", "the person in the photo?"
    panels = (
        Panel(title="Your photo", pixels=enrolment, remark="stays on this device"),
        Panel(
            title="Enrolled",
            pixels=enrolled,
            answers=(ask(photographed, enrolled, enrolment, expected=False),),
            remark="all that the provider has",
        ),
        Panel(
            title="Sent another day",
            pixels=sent,
            answers=(
                ask(same, sent, enrolled, expected=True),
                ask(photographed, sent, enrolment, expected=False),
            ),
        ),
        Panel(
            title="The same, blurred by 1 px", pixels=blurred, answers=(ask(same, blurred, enrolled, expected=True),)
        ),
        Panel(
            title="Under a renewed secret", pixels=stranger, answers=(ask(same, stranger, enrolled, expected=False),)
        ),
    )
    demo = Demo(
        panels=panels,
        threshold=threshold,
        milliseconds=milliseconds,
        seconds=time.perf_counter() - began,
        picture=out / "demo.png",
        record=out / "demo.json",
        protected=out / "astronaut.protected.png",
    )
    write_atomically(demo.protected, encode(sent))
    write_atomically(demo.picture, draw(demo))
    write_atomically(demo.record, json.dumps(summary(demo), indent=1).encode())
    return demo


def pseudonym_threshold() -> float:
    """The cosine from which the default key's space accepts, at FAR 1e-3 of somebody who has the same secret."""
    calibration = shipped_calibration(MODELS[SPACE_MODEL].graph(), "pseudonym")
    assert calibration is not None
    return calibration.threshold(FAR).threshold


def another_day(photo: Pixels) -> Pixels:
    """The photo as a stand-in for another one: turned by 4 degrees, darker, and through a JPEG of quality 80."""
    turned = Image.fromarray(photo).rotate(4, Image.Resampling.BILINEAR, fillcolor=(90, 90, 90)).point(_darker)
    coded = BytesIO()
    turned.save(coded, "JPEG", quality=80)
    return decode(coded.getvalue()).pixels


def _darker(value: int) -> float:
    return 0.85 * value


def _face(photo: Pixels, detector: Detector) -> Pixels:
    face: Pixels = align(photo, faces_in(photo, detector).points[:1])[0]
    return face


def astronaut() -> Path:
    """The photo's place: among facemin's data, or in the installed scikit-image.

    Raises:
        ValueError: when it is not there.
    """
    path = data_file("astronaut.jpg", package="skimage", path="data/astronaut.png")
    if path is None:
        raise ValueError("demo: expected astronaut.jpg among facemin's data, or scikit-image to be installed")
    return path


def summary(demo: Demo) -> dict[str, object]:
    """The demo's figures for machines."""
    return {
        "model": SPACE_MODEL,
        "key_id": default_key().manifest.key_id,
        "far": FAR,
        "threshold": demo.threshold,
        "panels": [
            {
                "title": panel.title,
                "answers": [
                    {"question": a.question, "cosine": a.cosine, "accepted": a.accepted, "expected": a.expected}
                    for a in panel.answers
                ],
            }
            for panel in demo.panels
        ],
        "milliseconds_a_face": demo.milliseconds,
        "seconds": demo.seconds,
        "files": [str(path) for path in (demo.picture, demo.record, demo.protected)],
        "as_expected": demo.as_expected,
        "shown": SHOWN[demo.as_expected],
        "not_shown": NOT_SHOWN,
    }


def draw(demo: Demo) -> bytes:
    """One PNG: the panels side by side, enlarged without smoothing, with questions, scores and verdicts under each."""
    side = 112 * ZOOM
    lines = max(2 * len(panel.answers) + bool(panel.remark) for panel in demo.panels)
    size = (len(demo.panels) * (side + MARGIN) + MARGIN, side + 2 * MARGIN + 40 + LINE * lines)
    canvas = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(canvas)
    for number, panel in enumerate(demo.panels):
        left = MARGIN + number * (side + MARGIN)
        tile = Image.fromarray(panel.pixels)
        canvas.paste(tile.resize((side, side), Image.Resampling.NEAREST), (left, MARGIN))
        pen.text((left, side + MARGIN + 8), panel.title, fill="black", font=ImageFont.load_default(18))
        _caption(pen, panel, left, side + MARGIN + 36)
    return encode(np.asarray(canvas))


def _caption(pen: ImageDraw.ImageDraw, panel: Panel, left: int, top: int) -> None:
    font = ImageFont.load_default(15)
    lines: Sequence[tuple[str, str]] = [(panel.remark, "#444444")] if panel.remark else []
    for answer in panel.answers:
        colour, verdict = ("#1b7f3b", "yes") if answer.accepted else ("#b3261e", "no")
        lines = [*lines, (answer.question, "#444444"), (f"{verdict} (cosine {answer.cosine:.3f})", colour)]
    for row, (text, colour) in enumerate(lines):
        pen.text((left, top + LINE * row), text, fill=colour, font=font)

"""The main job on one real photo, drawn so that a person can read it at a glance."""

from __future__ import annotations

import importlib.util
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from facemin.attack import GaussianBlur
from facemin.autograd.pixels import to_array, to_tensor, to_unit
from facemin.face import align_unrounded
from facemin.image import decode, encode
from facemin.keys.default import plain_key
from facemin.models import DEFAULT_MODEL, load_recogniser
from facemin.models.calibration import shipped_calibration
from facemin.protection import DEFAULT_PROTECTOR, PROTECTORS, protect
from facemin.runtime.device import choose_device, describe
from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from facemin.protection.pmt.optimise import OnStep

FAR = 1e-3
ZOOM = 3
MARGIN = 24
CAPTION = 92
SHOWN = {
    True: "Shown: the recogniser whose key was used accepts the protected face as the person in the photo.",
    False: "Shown: the recogniser whose key was used does NOT accept the protected face. This should not happen.",
}
NOT_SHOWN = (
    "Not shown: privacy from whoever holds this model. It is public, so the demo's key keeps nothing from somebody "
    "who has it; what other recognisers get was measured elsewhere (README), not here."
)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture of the demo and what the recogniser says of it against the plain photo's enrolment."""

    title: str
    image: Tensor
    """(3, 112, 112) in [0, 1]."""
    cosine: float
    accepted: bool


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What the demo did; `picture`, `record` and `protected` are the files it wrote."""

    panels: tuple[Panel, ...]
    threshold: float
    residual: float
    limit: float
    steps: int
    seconds: float
    device: str
    picture: Path
    record: Path
    protected: Path

    @property
    def accepted(self) -> bool:
        """Whether the recogniser accepts the protected face."""
        return self.panels[1].accepted


def run_demo(
    out: Path,
    *,
    seed: int | None = None,
    device: str = "auto",
    tell: Callable[[str], None] | None = None,
    on_step: OnStep | None = None,
) -> Demo:
    """Protect scikit-image's astronaut (NASA, public domain) for the default recogniser, verify it, draw it.

    Args:
        out: folder for `demo.png`, `demo.json` and `astronaut.protected.png`; made when needed.
        seed: see `protect`.
        device: see `choose_device`.
        tell: told what is being done.
        on_step: see `protect`.

    Raises:
        ValueError: when a package that carries a model or the photo is missing.
    """
    say = tell or (lambda _: None)
    say("Opening the recogniser and its key")
    recogniser = load_recogniser(DEFAULT_MODEL)
    calibration = shipped_calibration(recogniser)
    assert calibration is not None
    threshold = calibration.threshold(FAR).threshold
    key = plain_key()
    say("Finding the face, and protecting it")
    began = time.perf_counter()
    photo = decode(astronaut())
    method = replace(PROTECTORS[DEFAULT_PROTECTOR], device=device)
    result = protect(photo, keys=[key], seed=seed, method=method, on_step=on_step, secret=None)
    seconds = time.perf_counter() - began
    say("Verifying it, and drawing")
    face = result.faces[0]
    plain = to_tensor(align_unrounded(photo.pixels, face.face.points[None]))
    protected = to_unit(to_tensor(face.pixels))[None]
    images = torch.cat([plain, protected, GaussianBlur(sigma=1.0)(protected)])
    with torch.inference_mode():
        rows = recogniser(images)
        cosines = (rows @ rows[0]).tolist()
    titles = ("Original (enrolled)", "Protected", "Protected, then blurred by 1 px")
    panels = tuple(
        Panel(title=title, image=image, cosine=cosine, accepted=cosine >= threshold)
        for title, image, cosine in zip(titles, images, cosines, strict=True)
    )
    demo = Demo(
        panels=panels,
        threshold=threshold,
        residual=face.done.residuals[0],
        limit=key.manifest.residual,
        steps=face.done.steps,
        seconds=seconds,
        device=describe(choose_device(device)),
        picture=out / "demo.png",
        record=out / "demo.json",
        protected=out / "astronaut.protected.png",
    )
    result.save(demo.protected)
    write_atomically(demo.picture, draw(demo))
    write_atomically(demo.record, json.dumps(summary(demo), indent=1).encode())
    return demo


def astronaut() -> Path:
    """The photo's place in the installed scikit-image, which is located, not imported.

    Raises:
        ValueError: when it is not there.
    """
    spec = importlib.util.find_spec("skimage")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        path = Path(folder) / "data" / "astronaut.png"
        if path.is_file():
            return path
    raise ValueError("demo: expected scikit-image's astronaut.png to be installed, found none")


def summary(demo: Demo) -> dict[str, object]:
    """The demo's figures for machines."""
    return {
        "model": DEFAULT_MODEL,
        "cut": plain_key().manifest.cut,
        "key_id": plain_key().manifest.key_id,
        "far": FAR,
        "threshold": demo.threshold,
        "panels": [{"title": p.title, "cosine": p.cosine, "accepted": p.accepted} for p in demo.panels],
        "steps": demo.steps,
        "residual": demo.residual,
        "residual_to_reach": demo.limit,
        "seconds": demo.seconds,
        "device": demo.device,
        "files": [str(path) for path in (demo.picture, demo.record, demo.protected)],
        "shown": SHOWN[demo.accepted],
        "not_shown": NOT_SHOWN,
    }


def draw(demo: Demo) -> bytes:
    """One PNG: the panels side by side, enlarged without smoothing, with score and verdict under each."""
    side = 112 * ZOOM
    width = len(demo.panels) * (side + MARGIN) + MARGIN
    canvas = Image.new("RGB", (width, side + 2 * MARGIN + CAPTION), "white")
    pen = ImageDraw.Draw(canvas)
    large, small = ImageFont.load_default(20), ImageFont.load_default(16)
    for number, panel in enumerate(demo.panels):
        left = MARGIN + number * (side + MARGIN)
        tile = Image.fromarray(to_array(panel.image))
        canvas.paste(tile.resize((side, side), Image.Resampling.NEAREST), (left, MARGIN))
        top = side + MARGIN + 10
        pen.text((left, top), panel.title, fill="black", font=large)
        score = f"cosine {panel.cosine:.3f}, accepted from {demo.threshold:.3f} (FAR {FAR:g})"
        pen.text((left, top + 30), score, fill="#444444", font=small)
        colour, verdict = ("#1b7f3b", "accepted") if panel.accepted else ("#b3261e", "not accepted")
        pen.text((left, top + 54), f"{DEFAULT_MODEL}: {verdict}", fill=colour, font=small)
    return encode(np.asarray(canvas))

"""Draw docs/cloaks.png: before, after and the change magnified, of NASA's astronaut (public domain).

    python experiments/cloaks/pictures.py docs/cloaks.png

There is one photo of her, so that masks are learnt from it turned, shifted and lit otherwise; dlib's network alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from facemin.cli.demo.run import astronaut
from facemin.cloak.lay import lay
from facemin.cloak.makeup.method import Makeup
from facemin.cloak.opom import OPOM
from facemin.cloak.p3_mask import P3Mask
from facemin.experiments.common import script_parser
from facemin.face import Detector, align
from facemin.image import decode
from facemin.models import load_recogniser
from facemin.runtime.compute import Compute

MAGNIFIED = 6
BOX = (130, 10, 330, 230)
"""Left, top, right and bottom of what is shown."""


def main() -> None:
    """Fit, lay and draw."""
    parser = script_parser(__doc__, shared=False)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    photo = decode(astronaut()).pixels
    points = Detector(threads=1)(photo)[0].points[None]
    shifts = np.random.default_rng(1).normal(0, 3, (6, 1, 2)).astype(np.float32)
    faces = np.concatenate([align(photo, points + shift) for shift in shifts])
    faces = (faces * np.linspace(0.75, 1.1, 6)[:, None, None, None]).clip(0, 255).astype(np.uint8)
    recognisers, compute = [load_recogniser("dlib-resnet29")], Compute(device="cpu", precision="float32")
    rows = []
    for name, method in (
        ("P3-Mask", P3Mask(epochs=16, step=2.0)),
        ("OPOM within a budget", OPOM()),
        ("Makeup, after DFPP", Makeup()),
    ):
        fitted = method.fit(faces, recognisers, seed=3, compute=compute)
        laid = lay(photo, fitted.changes(align(photo, points)), points)
        change = (128 + MAGNIFIED * (laid.astype(int) - photo)).clip(0, 255).astype(np.uint8)
        rows.append((name, [photo, laid, change]))
    draw(rows).quantize(256).save(given.out, optimize=True)


def draw(rows: list[tuple[str, list[np.ndarray]]]) -> Image.Image:
    """A grid with a caption over each picture."""
    width, height, band = BOX[2] - BOX[0], BOX[3] - BOX[1], 18
    sheet = Image.new("RGB", (3 * (width + 6), len(rows) * (height + band)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, (name, pictures) in enumerate(rows):
        captions = ("before", name, f"the change, {MAGNIFIED} times")
        for column, (caption, picture) in enumerate(zip(captions, pictures, strict=True)):
            corner = column * (width + 6), row * (height + band)
            pen.text((corner[0] + 2, corner[1] + 3), caption, fill="black")
            sheet.paste(Image.fromarray(picture).crop(BOX), (corner[0], corner[1] + band))
    return sheet


if __name__ == "__main__":
    main()

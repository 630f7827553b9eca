"""The picture of docs/carriers.md: bases above, carriers below, with nobody in them.

    python experiments/carrier/pictures.py

Embeddings are drawn at random in place of faces.
"""

from __future__ import annotations

import numpy as np
from carriers import seed
from PIL import Image

from facemin.experiments.common import REPOSITORY, script_parser
from facemin.keys.default import default_key
from facemin.protection.carrier import FaceCarrier, PseudonymTarget, draw_base
from facemin.pseudonym import Context, Pseudonym, Secret

PICTURE = REPOSITORY / "docs" / "carriers.jpg"
SIDE = 256
LOOKS = ("photo", "photo", "photo", "drawing", "drawing")


def main() -> None:
    """Draw."""
    script_parser(__doc__, shared=False).parse_args()
    key = default_key()
    assert key.space is not None
    picture = Image.new("RGB", (SIDE * len(LOOKS), 2 * SIDE))
    for number, look in enumerate(LOOKS):
        secret = Secret(seed("picture", number))
        context = Context(origin="https://peer.example", space=key.space.id, dimension=66, purpose="main")
        row = np.random.default_rng(number).standard_normal(66)
        target = PseudonymTarget(pseudonym=Pseudonym(secret=secret, context=context), embedding=row)
        (done,) = FaceCarrier(look=look).aim([[target]], [key], seed=0)
        assert done.pixels is not None
        assert done.file is not None
        base = draw_base([target.pseudonym], look=look, attempt=done.file.told["draw"])
        shown = np.rint(255 * base.at(len(done.pixels))).astype(np.uint8)
        for line, pixels in enumerate((shown, done.pixels)):
            small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            picture.paste(small, (number * SIDE, line * SIDE))
    picture.save(PICTURE, quality=88)


if __name__ == "__main__":
    main()

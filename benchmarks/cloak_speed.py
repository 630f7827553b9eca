"""Time to apply a mask and to fit one, on this machine: python benchmarks/cloak_speed.py [--fit].

Applying: aligned faces of 112 pixels one by one, and a photo of 2 megapixels whose face fills a tenth of it, and a
third; reading, finding the face and writing PNG are timed apart, since a mask costs none of them. Fitting: P3-Mask and
OPOM with their defaults on ten photos against dlib's network. Medians of processor time, which other programs on the
machine do not change; the face is NASA's astronaut.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from measuring import medians, script_parser, timed, write_record
from PIL import Image

from facemin.cli.demo.run import astronaut
from facemin.cloak.lay import lay
from facemin.cloak.mask_file import Mask, Surrogate
from facemin.face import Detector, align
from facemin.image import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def main() -> None:
    """Measure and print."""
    parser = script_parser(__doc__, rounds=9)
    parser.add_argument("--fit", action="store_true", help="also fit masks, which takes a minute")
    given = parser.parse_args()
    photo, detector = decode(astronaut()).pixels, Detector(threads=1)
    points = detector(photo)[0].points[None]
    change = np.random.default_rng(0).integers(-16, 17, (112, 112, 3)).astype(np.int8)
    mask = Mask.make(
        change, method="p3-mask", epsilon=16, photos=1, surrogates=[Surrogate(name="drawn", fingerprint="0")]
    )
    face = align(photo, points)
    rows: list[dict[str, Any]] = []

    def tell(work: str, milliseconds: float, **more: Any) -> None:
        rows.append({"work": work, "processor_ms": round(milliseconds, 3), **more})
        print(f"{work}: {milliseconds:.3f} ms", flush=True)

    tell("aligned face, 112 px", processor_ms(lambda: mask(face), given.rounds))
    for share in (0.1, 0.33):
        large, where = enlarged(photo, points, share)
        data = encode(large)
        works: dict[str, tuple[Callable[[], object], int]] = {
            "put the mask on": (partial(lay, large, mask.change[None], where), given.rounds),
            "find the face": (partial(detector, large), 3),
            "read PNG": (partial(decode, data), 3),
            "write PNG": (partial(encode, large), 3),
        }
        photo_of = f"{large.shape[1]} x {large.shape[0]}, the face's square {share:.0%} of it"
        for name, (work, rounds) in works.items():
            tell(name, processor_ms(work, rounds), photo=photo_of)
    if given.fit:
        from facemin.models import load_recogniser
        from facemin.protection.registry import CLOAKS
        from facemin.runtime.compute import Compute

        shifts = np.random.default_rng(1).normal(0, 4, (10, 1, 2)).astype(np.float32)
        faces = np.concatenate([align(photo, points + shift) for shift in shifts])
        for name in ("p3-mask", "opom-convex-hull"):
            fit = partial(CLOAKS[name].fit, faces, [load_recogniser("dlib-resnet29")], compute=Compute(device="cpu"))
            tell(f"fit {name}", 1000 * timed(fit).processor)
    write_record(given.out, "facemin cloak speed 1", rows)


def enlarged(
    photo: NDArray[np.uint8], points: NDArray[np.float32], share: float
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The photo enlarged and cut to 1632 x 1224 so that the face's square takes that share of it."""
    width, height = 1632, 1224
    side = 112 * float(np.hypot(*(points[0, 1] - points[0, 0]))) / 35.2
    scale = float(np.sqrt(share * width * height) / side)
    middle = points[0].mean(0)
    left, top = middle - np.array([width, height]) / 2 / scale
    box = (float(left), float(top), float(left + width / scale), float(top + height / scale))
    sides = np.array([width, height])
    cut = Image.fromarray(photo).transform((width, height), Image.Transform.EXTENT, box, Image.Resampling.BICUBIC)
    return np.asarray(cut).copy(), ((points - middle) * scale + sides / 2).astype(np.float32)


def processor_ms(work: Callable[[], object], rounds: int) -> float:
    """Median milliseconds of processor time of a call."""
    return 1000 * medians({"": work}, rounds=rounds)[""].processor


if __name__ == "__main__":
    main()

"""Error rates of the refusal of plain faces (`facemin.service.recognition.unprotected_face`).

    python experiments/service/plain_face.py --shared ../shared --cache /tmp/test.npz

People of LFW's folds 1 to 5, on whom the criteria were not chosen: one aligned image each, raw and with what cameras
and apps do to it, and its protected image by the default key, likewise. To refuse is an error for the protected, not
to refuse one for the plain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from lfw_protected import sample
from torch.nn import functional as F

from facemin.attack import GaussianBlur
from facemin.autograd.pixels import to_array, to_grid, to_tensor, to_unit
from facemin.experiments.common import RESULTS, append_record, script_parser
from facemin.image import decode, encode
from facemin.keys.default import plain_key
from facemin.keys.key import export_key
from facemin.metrics import wilson
from facemin.models import load_recogniser
from facemin.protection import DEFAULT_PROTECTOR, PROTECTORS
from facemin.service.recognition.unprotected_face import PlainFaceCheck, smoothness

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def noisy(images: Tensor, levels: float) -> Tensor:
    """Gaussian noise of so many grey levels."""
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0)) * levels
    return (images.float() + noise).round().clamp(0, 255).byte()


def jpeg(images: Tensor, quality: int) -> Tensor:
    """Through a JPEG file."""
    files = [encode(to_array(image), format="JPEG", quality=quality) for image in images]
    return torch.stack([to_tensor(decode(file).pixels) for file in files])


def halved(images: Tensor) -> Tensor:
    """To 56 x 56 and back."""
    small = F.interpolate(images.float(), size=(56, 56), mode="bilinear", antialias=True)
    return F.interpolate(small, size=(112, 112), mode="bilinear").round().clamp(0, 255).byte()


def blurred(images: Tensor) -> Tensor:
    """By one pixel."""
    return to_grid(GaussianBlur(sigma=1.0)(to_unit(images)).clamp(0, 1))


def blended(images: Tensor, others: Tensor, share: float) -> Tensor:
    """With so much of another image in it."""
    return ((1 - share) * images.float() + share * others.float()).round().clamp(0, 255).byte()


def uniform(images: Tensor) -> Tensor:
    """Noise of all grey levels alike."""
    return torch.randint(0, 256, images.shape, generator=torch.Generator().manual_seed(0)).byte()


def patterned(images: Tensor, levels: float) -> Tensor:
    """With a chessboard of 2 x 2 pixels a square, so many grey levels up and down."""
    at = torch.arange(112) // 2
    board = ((at[:, None] + at[None]) % 2) * 2.0 - 1
    return (images.float() + levels * board).round().clamp(0, 255).byte()


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "raw": lambda images: images,
    "JPEG 95": lambda images: jpeg(images, 95),
    "JPEG 30": lambda images: jpeg(images, 30),
    "noise of 10 levels": lambda images: noisy(images, 10),
    "noise of 25 levels": lambda images: noisy(images, 25),
    "noise of 60 levels": lambda images: noisy(images, 60),
    "blur of 1 px": blurred,
    "halved and back": halved,
    "grey": lambda images: images.float().mean(1, keepdim=True).byte().expand(-1, 3, -1, -1),
    "mirrored": lambda images: images.flip(3),
    "on its side": lambda images: images.rot90(1, (2, 3)),
    "inverted": lambda images: 255 - images,
    "JPEG 5": lambda images: jpeg(images, 5),
    "half noise": lambda images: blended(images, uniform(images), 0.5),
    "60 % noise": lambda images: blended(images, uniform(images), 0.6),
    "squares of 2, 16 levels": lambda images: patterned(images, 16),
    "squares of 2, 32 levels": lambda images: patterned(images, 32),
    "squares of 2, 64 levels": lambda images: patterned(images, 64),
}


def main() -> None:
    """Measure, write a record and print."""
    parser = script_parser(__doc__, cache=".npz outside the repository")
    parser.add_argument("--count", type=int, default=200, help="plain faces, which cost a detection each")
    parser.add_argument("--people", type=int, default=400, help="people of whom there is a protected image")
    parser.add_argument("--shallow", type=int, default=48, help="images protected at shallower cuts")
    arguments = parser.parse_args()
    faces = sample(arguments.shared, half="test", genuine=0, single=arguments.people, cache=arguments.cache)
    check = PlainFaceCheck()
    rows = []
    count = arguments.count
    for kind, images in (("plain", faces.plain[:count]), ("protected", faces.protected)):
        rows += [judged(check, kind, name, change(images)) for name, change in CHANGES.items()]
    for share in (0.35, 0.5):
        mixed = blended(faces.plain[:count], faces.protected.roll(1, 0)[:count], share)
        rows.append(judged(check, "plain", f"{share:.0%} another's protected", mixed))
    rows += [
        judged(check, "protected", f"cut {cut}", images) for cut, images in shallow(faces.plain, arguments.shallow)
    ]
    record = {
        "data": f"LFW, folds 1 to 5, {len(faces.people)} people, one image each",
        "key": plain_key().fingerprint,
        "smooth": check.smooth,
        "score": check.score,
        "rows": rows,
    }
    append_record(RESULTS / "service" / "plain_face.jsonl", record)


def shallow(plain: Tensor, count: int) -> list[tuple[str, Tensor]]:
    """Protected images at cuts where much of the face stays: what a provider with such a key would be sent."""
    made: list[tuple[str, Tensor]] = []
    if count == 0:
        return made
    recogniser = load_recogniser("dlib-resnet29")
    for cut, residual in (("conv128.3", 0.25), ("conv64.4", 0.3)):
        key = export_key(recogniser, cut, provider="measurement", residual=residual)
        done = PROTECTORS[DEFAULT_PROTECTOR](to_unit(plain[:count]), [key], seed=0)
        made.append((cut, torch.stack([image.pixels for image in done])))
    return made


def judged(check: PlainFaceCheck, kind: str, name: str, images: Tensor) -> dict[str, object]:
    """Share refused, with its 95 % interval, and how many are smooth as photos are."""
    pixels = to_array(images)
    refused = sum(map(check, pixels))
    interval = wilson(refused, len(images))
    smooth = smoothness(pixels)
    row = {
        "kind": kind,
        "change": name,
        "n": len(images),
        "refused": refused,
        "low": interval.low,
        "high": interval.high,
        "smooth": int((smooth >= check.smooth).sum()),
        "smoothness": [float(smooth.min()), float(np.median(smooth)), float(smooth.max())],
    }
    print(
        f"{kind:10} {name:20} refused {refused}/{len(images)} [{interval.low:.3f}, {interval.high:.3f}], "
        f"smoothness {smooth.min():.3f} to {smooth.max():.3f}",
        flush=True,
    )
    return row


if __name__ == "__main__":
    main()

"""What an unmodified peer makes of carriers and plain photos; runs in an environment that has `face_recognition`.

    PEERS/bin/python experiments/carrier/encode.py --shared ../shared --cache CACHE --people 300

Its own detector, landmarks, chips and encoder, as its API gives them, after each of the operations. Appends to
CACHE/peer/OPERATION.jsonl, one line a picture, and goes on where it ended. Needs no facemin.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import face_recognition
import numpy as np
from PIL import Image

BACKGROUND = (127, 127, 127)


def as_it_is(image: Image.Image) -> Image.Image:
    """The photo."""
    return image


def reencoded(image: Image.Image, encoding: str, quality: int) -> Image.Image:
    """Encoded with loss, and decoded."""
    file = io.BytesIO()
    image.save(file, encoding, quality=quality)
    return Image.open(file).convert("RGB")


def small(image: Image.Image) -> Image.Image:
    """Scaled to 256 px and back."""
    return image.resize((256, 256), Image.Resampling.LANCZOS).resize(image.size, Image.Resampling.BICUBIC)


def tighter(image: Image.Image) -> Image.Image:
    """A tenth of each side cut off."""
    edge = round(0.05 * image.width)
    return image.crop((edge, edge, image.width - edge, image.height - edge))


def looser(image: Image.Image) -> Image.Image:
    """On a canvas larger by 30 %."""
    edge = round(0.15 * image.width)
    canvas = Image.new("RGB", (image.width + 2 * edge, image.height + 2 * edge), BACKGROUND)
    canvas.paste(image, (edge, edge))
    return canvas


def turned(image: Image.Image) -> Image.Image:
    """Turned by ten degrees."""
    return image.rotate(10, Image.Resampling.BICUBIC, fillcolor=BACKGROUND)


def recompressed(image: Image.Image) -> Image.Image:
    """To 400 px as JPEG 70, and as JPEG 70 once more."""
    for _ in range(2):
        image = reencoded(image.resize((400, 400), Image.Resampling.BILINEAR), "JPEG", 70)
    return image


def small_160(image: Image.Image) -> Image.Image:
    """The larger side scaled to 160 px."""
    return image.resize((160, round(160 * image.height / image.width)), Image.Resampling.BILINEAR)


OPERATIONS = {
    "as it is": as_it_is,
    "JPEG 75": partial(reencoded, encoding="JPEG", quality=75),
    "256 and back": small,
    "10 % tighter": tighter,
    "30 % looser": looser,
    "turned 10 degrees": turned,
    "400 px and JPEG 70 twice": recompressed,
    "WebP 75": partial(reencoded, encoding="WEBP", quality=75),
    "to 160": small_160,
}


def seen(image: Image.Image) -> dict[str, Any]:
    """How many faces it finds, and the first one's encoding."""
    rows = face_recognition.face_encodings(np.asarray(image))
    return {"faces": len(rows), "encoding": rows[0].tolist() if rows else None}


def main() -> None:
    """Encode what was not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[3] / "shared")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--look", default="photo")
    parser.add_argument("--operations", default=",".join(OPERATIONS))
    parser.add_argument("--minutes", type=float, default=14)
    given = parser.parse_args()
    end = time.monotonic() + 60 * given.minutes
    plain = json.loads((given.cache / "peer" / "plain.json").read_text())
    (given.cache / "peer").mkdir(exist_ok=True)
    for name in given.operations.split(","):
        file = given.cache / "peer" / f"{given.look} {name}.jsonl"
        done = {json.loads(line)["name"] for line in file.read_text().splitlines()} if file.is_file() else set()
        pictures = {
            f"carrier {path.stem}": path
            for path in sorted((given.cache / f"carriers-{given.look}-test").glob("*.png"))
            if given.first <= int(path.stem[:4]) < given.people
        }
        if given.look == "photo":
            pictures |= {
                f"plain {number:04d}_{photo}": given.shared / "data" / "lfw" / path
                for number, two in enumerate(plain[: given.people])
                for photo, path in enumerate(two)
                if number >= given.first
            }
        with file.open("a") as out:
            for label, path in pictures.items():
                if label in done:
                    continue
                if time.monotonic() > end:
                    return
                with Image.open(path) as picture:
                    row = seen(OPERATIONS[name](picture.convert("RGB")))
                out.write(json.dumps({"name": label} | row) + "\n")
                out.flush()


if __name__ == "__main__":
    main()

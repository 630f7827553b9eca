"""Peak memory of `facemin protect` on folders of 12-megapixel photos: does it grow with their number?

    python benchmarks/folder_memory.py --counts 10 40 160

The photo is scikit-image's astronaut enlarged to 4000 x 3000; a folder holds it under many names. Each folder is
protected by a process of its own, whose peak resident memory and speed are printed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from facemin.demo import astronaut
from facemin.image import decode, encode

MEGAPIXELS_12 = (3000, 4000)


def photo() -> bytes:
    """A 12-megapixel JPEG with one face, the astronaut beside grey."""
    pixels = decode(astronaut()).pixels[None].float()
    height, width = MEGAPIXELS_12
    large = F.interpolate(pixels, size=(height, height), mode="bicubic").round().clamp(0, 255).byte()[0]
    canvas = torch.full((3, height, width), 128, dtype=torch.uint8)
    canvas[:, :, :height] = large
    return encode(canvas, format="JPEG")


def peak(count: int, data: bytes, folder: Path) -> tuple[float, float]:
    """Peak resident memory in MiB and photos per second of one run."""
    inputs = folder / "in"
    inputs.mkdir()
    first = inputs / "00000.jpg"
    first.write_bytes(data)
    for number in range(1, count):
        os.link(first, inputs / f"{number:05d}.jpg")
    began = time.perf_counter()
    command = [sys.executable, "-m", "facemin", "protect", str(inputs), "--out", str(folder / "out"), "--seed", "0"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        raise RuntimeError(f"facemin protect ended with {status}")
    written = len(list((folder / "out").glob("*.protected.png")))
    if written != count:
        raise RuntimeError(f"expected {count} protected faces, got {written}")
    return usage.ru_maxrss / 1024, count / (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", nargs="+", type=int, default=(10, 40, 160))
    arguments = parser.parse_args()
    data = photo()
    for count in arguments.counts:
        with tempfile.TemporaryDirectory() as folder:
            memory, speed = peak(count, data, Path(folder))
        print(f"{count} photos of 12 megapixels: peak {memory:.0f} MiB, {speed:.2f} photos/s", flush=True)


if __name__ == "__main__":
    main()

"""Peak memory of protecting a folder of 12-megapixel photos: does it grow with their number?

    python benchmarks/folder_memory.py --counts 8 40 120

The photo is scikit-image's astronaut enlarged to 4000 x 3000; the folder holds it under many names. One new process
protects them all, as `facemin protect` does, and says after so many photos what its peak has been until then, and what
it holds. Memory lies in photos, detection and the batch, not in steps, so each face gets few of them: 120 photos take
some minutes on one core. A batch holds 16 faces, so the peak of the first line is that of a batch not yet full;
whether memory grows is what the lines after it say. Linux only.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from measuring import Clock, mebibytes, script_parser, write_record
from PIL import Image

from facemin.cli.demo.run import astronaut
from facemin.image import decode, encode
from facemin.keys.default import plain_key
from facemin.protection import DEFAULT_PROTECTOR, PROTECTORS, Failure
from facemin.protection.folder.job import FolderJob
from facemin.protection.folder.run import plan, protect_into

MEGAPIXELS_12 = (3000, 4000)


def photo() -> bytes:
    """A 12-megapixel JPEG with one face, the astronaut beside grey."""
    height, width = MEGAPIXELS_12
    canvas = np.full((height, width, 3), 128, np.uint8)
    face = Image.fromarray(decode(astronaut()).pixels)
    canvas[:, :height] = np.asarray(face.resize((height, height), Image.Resampling.BICUBIC))
    return encode(canvas, format="JPEG")


def measure(inputs: Path, out: Path, counts: Sequence[int], steps: int, record: Path | None) -> None:
    """Protect a folder, and print a line whenever one of the counts is reached."""
    rows = []
    method = replace(PROTECTORS[DEFAULT_PROTECTOR], steps=steps)
    job = FolderJob(out=out, keys=[plain_key()], method=method, seed=0, secret=None)
    clock = Clock()
    for done, result in enumerate(protect_into(plan([inputs], job), job), start=1):
        if isinstance(result, Failure):
            raise SystemExit(f"{result.name}: {result.reason}")
        if done in counts:
            row = {
                "photos": done,
                "peak_mib": round(mebibytes("VmHWM")),
                "now_mib": round(mebibytes("VmRSS")),
                "photos_per_second": round(done / clock.spent().wall, 2),
            }
            rows.append(row)
            print(json.dumps(row), flush=True)
    write_record(record, "facemin folder memory 1", rows)


def main() -> None:
    """Measure and print."""
    parser = script_parser(__doc__)
    parser.add_argument("--counts", nargs="+", type=int, default=(8, 40, 120), help="photos after which to look")
    parser.add_argument("--steps", type=int, default=3, help="gradient steps a face gets")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "in"
        inputs.mkdir()
        first = inputs / "00000.jpg"
        first.write_bytes(photo())
        for number in range(1, max(arguments.counts)):
            os.link(first, inputs / f"{number:05d}.jpg")
        settings = (inputs, Path(folder) / "out", arguments.counts, arguments.steps, arguments.out)
        child = multiprocessing.get_context("spawn").Process(target=measure, args=settings)
        child.start()
        child.join()
        if child.exitcode:
            raise SystemExit(child.exitcode)


if __name__ == "__main__":
    main()

"""Protected faces a second: one pass against the optimised default, in one run on this machine.

    python benchmarks/one_pass_throughput.py [--faces 96] [--optimised 16] [--photos 12] [--out RECORD.json]

From aligned faces, one pass is all that a device does to a face once it is cut out: embedding of the face and its
mirror image, rotation, painting, one check by the key, and PNG. From photos, both are the whole of `facemin protect`
over a folder: files read, decoded, searched for faces, results and records written; JPEGs of 12 megapixels with
`--min-face 96`, and of 250 pixels a side. The optimised default is `robust` on the plain key, as
`protect --no-pseudonym` has it. Medians of rounds, by turns; the faces are NASA's astronaut, each turned and lit
otherwise. Beside wall time stands processor time, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from measuring import Clock, Spent, median, script_parser, write_record
from PIL import Image

from facemin.autograd.pixels import to_tensor, to_unit
from facemin.cli.demo.run import astronaut
from facemin.face import Detector, align, faces_in
from facemin.image import decode, encode
from facemin.keys.default import default_key, plain_key
from facemin.models import SPACE_MODEL
from facemin.models.onnx.run import FaceRunner
from facemin.protection import PROTECTORS
from facemin.protection.folder.job import FolderJob
from facemin.protection.folder.run import FolderResult, plan, protect_into
from facemin.protection.one_pass.painter import OnePass, Painter
from facemin.protection.one_pass.protector import CORRECTIONS
from facemin.protection.one_pass.shipped import shipped_protector
from facemin.pseudonym import LOCAL, Context, Pseudonym, Secret
from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Faces = NDArray[np.uint8]


def main() -> None:
    """Measure and print."""
    parser = script_parser(__doc__, rounds=3, threads=2)
    parser.add_argument("--faces", type=int, default=96, help="for one pass, a round")
    parser.add_argument("--optimised", type=int, default=16, help="for optimisation, a round")
    parser.add_argument("--photos", type=int, default=12, help="for one pass, a round and kind; half for optimisation")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rows = [from_faces(given)] if given.faces else []
    rows += [from_photos(kind, given) for kind in PHOTOS if given.photos]
    for row in rows:
        print(json.dumps(row), flush=True)
    write_record(given.out, "facemin one-pass throughput 1", rows)


def from_faces(given: argparse.Namespace) -> dict[str, Any]:
    """Aligned faces in batches of 16, and one by one."""
    faces, one, slow, alone = drawn(given.faces), [], [], []
    for _ in range(given.rounds):
        one.append(one_pass(faces, batch=16, threads=given.threads).per(given.faces))
        alone.append(one_pass(faces[:16], batch=1, threads=given.threads).per(16))
        slow.append(optimised(faces[: given.optimised]).per(given.optimised))
    return {"from": "aligned faces"} | compared(one, slow) | {"ms_alone": round(1000 * median(alone).wall, 1)}


def from_photos(kind: str, given: argparse.Namespace) -> dict[str, Any]:
    """Whole photos, file to file."""
    side, min_face = PHOTOS[kind]
    one, slow = [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["FACEMIN_HOME"] = str(folder / "home")
        for number, photo in enumerate(photos(given.photos, side)):
            write_atomically(folder / "in" / f"{number:03}.jpg", encode(photo, format="JPEG", quality=92))
        part = folder / "part"
        part.mkdir()
        for path in sorted((folder / "in").iterdir())[: max(1, given.photos // 2)]:
            (part / path.name).hardlink_to(path)
        for turn in range(given.rounds):
            detector = Detector(min_face=min_face, threads=given.threads)
            plain: dict[str, Any] = {"keys": [plain_key()], "method": "robust", "secret": None}
            shared: dict[str, Any] = {"detector": detector, "seed": turn}
            one.append(folder_job(folder / "in", FolderJob(out=folder / f"one{turn}", keys=[default_key()], **shared)))
            slow.append(folder_job(part, FolderJob(out=folder / f"slow{turn}", **plain, **shared)))
    return {"from": kind, "min_face": min_face} | compared(one, slow)


def folder_job(inputs: Path, job: FolderJob) -> Spent:
    """Seconds a photo of a folder, after everything was opened for its first photo."""
    todo = plan([inputs], job)
    clock = Clock()
    results = [result for result in protect_into(todo, job) if isinstance(result, FolderResult)]
    if len(results) != len(todo.todo):
        raise SystemExit(f"expected {len(todo.todo)} photos protected, got {len(results)}")
    return clock.spent().per(len(results))


def photos(count: int, side: int) -> Iterator[Faces]:
    """Photos of 4 to 3 of one person, so many pixels on the longer side, with a sensor's noise."""
    portrait, rng = Image.fromarray(decode(astronaut()).pixels), np.random.default_rng(0)
    for _ in range(count):
        turned = portrait.rotate(rng.uniform(-8, 8), Image.Resampling.BICUBIC, fillcolor=(90, 90, 90))
        wide = Image.new("RGB", (683, 512), (90, 90, 90))
        wide.paste(turned, (int(rng.integers(0, 171)), 0))
        large = np.asarray(wide.resize((side, side * 3 // 4), Image.Resampling.BICUBIC), np.float32)
        noise = rng.normal(0, 4, (*large.shape[:2], 1)).astype(np.float32)
        yield (large * np.float32(rng.uniform(0.7, 1)) + noise).clip(0, 255).astype(np.uint8)


def compared(one: list[Spent], slow: list[Spent]) -> dict[str, float]:
    """Speeds and ratios of two ways."""
    fast, base = median(one), median(slow)
    return {
        "one_pass_per_second": round(1 / fast.wall, 2),
        "optimised_per_second": round(1 / base.wall, 2),
        "ratio": round(base.wall / fast.wall, 2),
        "one_pass_processor_ms": round(1000 * fast.processor, 1),
        "optimised_processor_ms": round(1000 * base.processor, 1),
        "ratio_of_processor_time": round(base.processor / fast.processor, 2),
    }


PHOTOS = {"JPEG of 12 megapixels": (4000, 96), "JPEG of 250 pixels": (250, 24)}
"""Longer side in pixels, and the smallest face that is looked for."""


def drawn(count: int) -> Faces:
    """Different views of one public-domain face, (count, 112, 112, 3)."""
    photo = decode(astronaut()).pixels
    rng, detector = np.random.default_rng(0), Detector()
    points = faces_in(photo, detector).points[:1]
    face = Image.fromarray(align(photo, points)[0])
    views = []
    for _ in range(count):
        turned = face.rotate(rng.uniform(-8, 8), Image.Resampling.BILINEAR, translate=tuple(rng.integers(-3, 4, 2)))
        views.append((np.asarray(turned) * rng.uniform(0.6, 1.0)).astype(np.uint8))
    return np.stack(views)


def one_pass(faces: Faces, *, batch: int, threads: int) -> Spent:
    """Seconds to protect faces under a pseudonym, after everything was opened."""
    key, protector = default_key(), shipped_protector(SPACE_MODEL)
    space = key.space
    assert space is not None
    assert protector is not None
    run = FaceRunner(key.graph, threads=threads)
    painter = Painter(protector, run, OnePass(residual=0.5, corrections=CORRECTIONS, batch=batch), threads=threads)
    context = Context(origin=LOCAL, space=space.id, dimension=space.dimension, purpose="benchmark")
    pseudonym = Pseudonym(secret=Secret.new(), context=context)
    pseudonym.targets(space.embed(run, faces[:1]))
    clock = Clock()
    for first in range(0, len(faces), batch):
        part = faces[first : first + batch]
        painted = painter(pseudonym.targets(space.embed(run, part)), list(range(first, first + len(part))))
        for image in painted:
            encode(image.pixels)
    return clock.spent()


def optimised(faces: Faces) -> Spent:
    """Seconds to protect faces by optimisation."""
    key, tensors = plain_key(), to_unit(to_tensor(faces))
    clock = Clock()
    for done in PROTECTORS["robust"].stream(iter(tensors), [key], seed=1):
        encode(np.ascontiguousarray(done.pixels.permute(1, 2, 0).numpy()))
    return clock.spent()


if __name__ == "__main__":
    main()

"""Protected faces a second: one pass against the optimised default, in one run on this machine.

    python benchmarks/one_pass_throughput.py [--faces 96] [--optimised 16]

One pass is all that a device does to a face once it is cut out: embedding of the face and its mirror image, rotation,
painting, one check by the key, and PNG. The optimised default is `robust` on the plain key, as `protect --no-pseudonym`
has it. Medians of rounds; the faces are copies of NASA's astronaut, each turned and lit otherwise.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from facemin.autograd.pixels import to_tensor, to_unit
from facemin.cli.demo.run import astronaut
from facemin.face import Detector, align, faces_in
from facemin.image import decode, encode
from facemin.keys.default import default_key, plain_key
from facemin.models import SPACE_MODEL
from facemin.models.onnx.run import FaceRunner
from facemin.protection import PROTECTORS
from facemin.protection.one_pass.painter import OnePass, Painter
from facemin.protection.one_pass.shipped import shipped_protector
from facemin.pseudonym import LOCAL, Context, Pseudonym, Secret

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Faces = NDArray[np.uint8]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=96, help="for one pass, a round")
    parser.add_argument("--optimised", type=int, default=16, help="for optimisation, a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    faces = drawn(given.faces)
    one, alone, slow = [], [], []
    for _ in range(given.rounds):
        one.append(given.faces / one_pass(faces, batch=16, threads=given.threads))
        alone.append(1000 * one_pass(faces[:16], batch=1, threads=given.threads) / 16)
        slow.append(given.optimised / optimised(faces[: given.optimised]))
    fast, base = statistics.median(one), statistics.median(slow)
    print(f"one pass, batches of 16: {fast:.1f} faces/s; one by one {statistics.median(alone):.1f} ms a face")
    print(f"optimised default: {base:.2f} faces/s")
    print(f"ratio: {fast / base:.1f}")


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


def one_pass(faces: Faces, *, batch: int, threads: int) -> float:
    """Seconds to protect faces under a pseudonym, after everything was opened."""
    key, protector = default_key(), shipped_protector(SPACE_MODEL)
    space = key.space
    assert space is not None
    assert protector is not None
    run = FaceRunner(key.graph, threads=threads)
    painter = Painter(protector, run, OnePass(residual=0.5, checks=("blur-1",), batch=batch), threads=threads)
    context = Context(origin=LOCAL, space=space.id, dimension=space.dimension, purpose="benchmark")
    pseudonym = Pseudonym(secret=Secret.new(), context=context)
    pseudonym.targets(space.embed(run, faces[:1]))
    began = time.perf_counter()
    for first in range(0, len(faces), batch):
        part = faces[first : first + batch]
        painted = painter(pseudonym.targets(space.embed(run, part)), list(range(first, first + len(part))))
        for image in painted:
            encode(image.pixels)
    return time.perf_counter() - began


def optimised(faces: Faces) -> float:
    """Seconds to protect faces by optimisation."""
    key, tensors = plain_key(), to_unit(to_tensor(faces))
    began = time.perf_counter()
    for done in PROTECTORS["robust"].stream(iter(tensors), [key], seed=1):
        encode(np.ascontiguousarray(done.pixels.permute(1, 2, 0).numpy()))
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

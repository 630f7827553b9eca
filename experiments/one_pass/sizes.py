"""Speed of the three sizes of a one-pass protector, in batches of 1 and 16, and one face's latency, on one thread.

    python experiments/one_pass/sizes.py

Weights are random: they change no time. A face is embedded with its mirror image, turned, painted, checked by the key,
painted anew for the corrected target and checked again, as users have it, and written as PNG. Processor time counts,
not wall time, so that other work on the machine does not; the caches it shares all the same.
"""

from __future__ import annotations

import json
import time
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from facemin.experiments.common import RESULTS, script_parser, write_record
from facemin.keys.default import DEFAULT_SPACE
from facemin.models import MODELS, SPACE_MODEL
from facemin.models.onnx.run import FaceRunner
from facemin.models.space import average_views, mirrored
from facemin.protection.one_pass.painter import OnePass, Painter
from facemin.protection.one_pass.protector import CORRECTIONS
from facemin.protection.one_pass.protector_file import ProtectorFile
from facemin.train.one_pass.decoder import SIZES, Decoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCHES = (1, 16)
ROUNDS = {1: 60, 16: 6}


def protected(
    painter: Painter, runner: FaceRunner, faces: NDArray[np.uint8], turn: NDArray[np.float64]
) -> tuple[float, float]:
    """Processor seconds of a batch: of everything, and of the painting alone."""
    began = time.process_time()
    rows = average_views([runner(faces), runner(mirrored(faces))])
    targets = (rows @ turn.T).astype(np.float32)
    for each in painter(targets, list(range(len(faces)))):
        Image.fromarray(each.pixels).save(BytesIO(), "PNG", compress_level=1)
    whole = time.process_time() - began
    began = time.process_time()
    painter.paint(targets, list(range(len(faces))))
    return whole, time.process_time() - began


def main() -> None:
    """Measure and write the record."""
    arguments = script_parser(__doc__, shared=False, out=RESULTS / "one_pass" / "sizes.json").parse_args()
    torch.set_num_threads(1)
    recogniser = MODELS[SPACE_MODEL].graph()
    dimension = recogniser.embedding_size
    runner = FaceRunner(recogniser.graph.SerializeToString())
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((dimension, dimension)))[0]
    faces = rng.integers(0, 256, (16, 112, 112, 3), dtype=np.uint8)
    rows: list[dict[str, Any]] = []
    for name, size in SIZES.items():
        graph = Decoder(target=dimension, noise=32, size=size).to_graph()
        file = ProtectorFile.make(graph, size, space=DEFAULT_SPACE)
        for batch in BATCHES:
            painter = Painter(file, runner, OnePass(residual=2.0, batch=batch, tries=1, corrections=CORRECTIONS))
            protected(painter, runner, faces[:batch], turn)
            found = np.array([protected(painter, runner, faces[:batch], turn) for _ in range(ROUNDS[batch])]) / batch
            whole, painting = found.T * 1000
            rows.append(
                {
                    "size": name,
                    "bytes": len(file.data),
                    "batch": batch,
                    "faces_per_second": round(1000 / float(whole.mean()), 1),
                    "painted_per_second": round(1000 / float(painting.mean()), 1),
                    "ms_a_face_p50": round(float(np.percentile(whole, 50)), 2),
                    "ms_a_face_p95": round(float(np.percentile(whole, 95)), 2),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    write_record(arguments.out, {"format": "facemin one-pass sizes 1", "rows": rows})


if __name__ == "__main__":
    main()

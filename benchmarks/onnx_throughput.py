"""How fast `OnnxModule` embeds faces, beside onnxruntime on the same file and the same threads.

    python benchmarks/onnx_throughput.py recogniser.onnx [...] --threads 2 --batch 16

The two run turn by turn, so that a busy machine slows both; each figure is a median. The table also shows the
largest difference of the outputs, relative to the largest output, and the time of a forward and backward pass.
"""

from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime as ort
import torch
from measuring import medians, script_parser, write_record
from torch import Tensor

from facemin.autograd.module import OnnxModule
from facemin.models.onnx.graph import read_graph

WARM_UP = 3
LINE = "{graph:34} {ours:9.1f} {onnxruntime:12.1f} {ratio:7.2f} {difference:11.1e} {with_gradient:13.1f}"

REST = 0.05
"""Seconds between calls: the threads of the one spin for a while after a call, on the cores the other needs."""


def backward(module: OnnxModule, images: Tensor) -> None:
    """One gradient with respect to the images."""
    module(images.clone().requires_grad_()).square().sum().backward()


def measure(path: Path, *, batch: int, threads: int, rounds: int) -> dict[str, Any]:
    """Faces a second of one file."""
    module = OnnxModule(read_graph(path))
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    images = torch.rand(batch, *module.input_shapes[0], generator=torch.Generator().manual_seed(0)) * 255
    feed = {session.get_inputs()[0].name: images.numpy()}
    outputs = [session.get_outputs()[0].name]
    works = {"ours": partial(module, images), "theirs": partial(session.run, outputs, feed)}
    with torch.inference_mode():
        expected = torch.from_numpy(session.run(outputs, feed)[0])
        error = float((module(images) - expected).abs().max() / expected.abs().max())
        ours, theirs = medians(works, rounds=rounds, warm_up=WARM_UP, rest=REST).values()
    (both,) = medians({"": partial(backward, module, images)}, rounds=max(1, rounds // 4), rest=REST).values()
    return {
        "graph": path.stem,
        "ours": batch / ours.wall,
        "onnxruntime": batch / theirs.wall,
        "ratio": theirs.wall / ours.wall,
        "difference": error,
        "with_gradient": batch / both.wall,
    }


def main() -> None:
    """Print the table."""
    parser = script_parser(__doc__)
    parser.add_argument("graphs", nargs="+", type=Path, help="ONNX files that take one image batch in [0, 255]")
    parser.add_argument("--batch", type=int, default=16, help="faces in a batch")
    parser.add_argument("--threads", type=int, default=2, help="threads inside an operator, for both")
    parser.add_argument("--rounds", type=int, default=15, help="timed runs of each")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, onnxruntime {ort.__version__}, faces/s, batch {arguments.batch}")
    print(f"{'graph':34} {'facemin':>9} {'onnxruntime':>12} {'ratio':>7} {'difference':>11} {'with gradient':>13}")
    rows = []
    for path in arguments.graphs:
        row = measure(path, batch=arguments.batch, threads=arguments.threads, rounds=arguments.rounds)
        rows.append(row)
        print(LINE.format(**row), flush=True)
    write_record(arguments.out, "facemin onnx throughput 1", rows)


if __name__ == "__main__":
    main()

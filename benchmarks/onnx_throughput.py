"""How fast `OnnxModule` embeds faces, beside onnxruntime on the same file and the same threads.

    python benchmarks/onnx_throughput.py recogniser.onnx [...] --threads 2 --batch 16

The two run turn by turn, so that a busy machine slows both; each figure is a median. The table also shows the
largest difference of the outputs, relative to the largest output, and the time of a forward and backward pass.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime as ort
import torch
from torch import Tensor

from facemin.autograd.module import OnnxModule
from facemin.models.onnx.graph import read_graph

WARM_UP = 3


REST = 0.05
"""Seconds between calls: the threads of the one spin for a while after a call, on the cores the other needs."""


def seconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    time.sleep(REST)
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def backward(module: OnnxModule, images: Tensor) -> None:
    """One gradient with respect to the images."""
    module(images.clone().requires_grad_()).square().sum().backward()


def measure(path: Path, *, batch: int, threads: int, rounds: int) -> str:
    """One row of the table."""
    module = OnnxModule(read_graph(path))
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    images = torch.rand(batch, *module.input_shapes[0], generator=torch.Generator().manual_seed(0)) * 255
    feed = {session.get_inputs()[0].name: images.numpy()}
    outputs = [session.get_outputs()[0].name]
    ours, theirs = [], []
    with torch.inference_mode():
        expected = torch.from_numpy(session.run(outputs, feed)[0])
        error = float((module(images) - expected).abs().max() / expected.abs().max())
        for _ in range(WARM_UP + rounds):
            ours.append(seconds(lambda: module(images)))
            theirs.append(seconds(lambda: session.run(outputs, feed)))
    gradients = [seconds(lambda: backward(module, images)) for _ in range(1 + rounds // 4)]
    mine, other = (statistics.median(times[WARM_UP:]) for times in (ours, theirs))
    both = statistics.median(gradients[1:] or gradients)
    return (
        f"{path.stem:34} {batch / mine:9.1f} {batch / other:12.1f} {other / mine:7.2f} "
        f"{error:11.1e} {batch / both:13.1f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graphs", nargs="+", type=Path, help="ONNX files that take one image batch in [0, 255]")
    parser.add_argument("--batch", type=int, default=16, help="faces in a batch")
    parser.add_argument("--threads", type=int, default=2, help="threads inside an operator, for both")
    parser.add_argument("--rounds", type=int, default=15, help="timed runs of each")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, onnxruntime {ort.__version__}, faces/s, batch {arguments.batch}")
    print(f"{'graph':34} {'facemin':>9} {'onnxruntime':>12} {'ratio':>7} {'difference':>11} {'with gradient':>13}")
    for path in arguments.graphs:
        print(measure(path, batch=arguments.batch, threads=arguments.threads, rounds=arguments.rounds), flush=True)


if __name__ == "__main__":
    main()

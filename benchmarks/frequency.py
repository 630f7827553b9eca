"""Faces per second of the frequency front end, and its ratio to the plain way, in one run.

    taskset -c 0 python benchmarks/frequency.py            # one core
    taskset -c 0,1 python benchmarks/frequency.py

The plain way is the source's: upsample eightfold, then convolve with the 64 kernels at a stride of 8, all channels,
from which the wanted ones are taken. Runs are interleaved; medians are printed. Without a GPU, a few minutes of one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from facemin.ahm.masking.frequency import CHANNELS, FREQUENCIES, block_dct, from_frequencies, to_frequencies, to_ycbcr
from facemin.runtime.device import choose_device, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

KEPT = tuple(64 * colour + place for colour in range(3) for place in range(1, 37))


def plainly(faces: Tensor, channels: tuple[int, ...], every: int) -> Tensor:
    """The same channels, as the source computes them."""
    large = F.interpolate(to_ycbcr(faces), scale_factor=8, mode="bilinear", align_corners=True)
    return block_dct(large)[:, list(channels), ::every, ::every]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    faces = torch.rand(arguments.batch, 3, 112, 112, device=device)
    print(f"{describe(device)}, batches of {arguments.batch}, median of {arguments.rounds} rounds, faces/s")
    whole = tuple(range(CHANNELS))
    assert len(whole) == 3 * FREQUENCIES
    for name, channels, every in (
        ("all 192 channels", whole, 1),
        ("36 a colour", KEPT, 1),
        ("36 a colour, every second block", KEPT, 2),
    ):
        kept = to_frequencies(faces, channels, every=every)

        def folded(channels: tuple[int, ...] = channels, every: int = every) -> Tensor:
            return to_frequencies(faces, channels, every=every)

        def in_place(channels: tuple[int, ...] = channels, every: int = every, kept: Tensor = kept) -> Tensor:
            return to_frequencies(faces, channels, every=every, out=kept)

        def plain(channels: tuple[int, ...] = channels, every: int = every) -> Tensor:
            return plainly(faces, channels, every)

        fast, faster, slow = rates([folded, in_place, plain], len(faces), arguments.rounds, device)
        print(f"{name}: {fast:.0f}, into the same memory {faster:.0f}, plainly {slow:.0f}, ratio {fast / slow:.1f}")
    coefficients = to_frequencies(faces)
    (back,) = rates([lambda: from_frequencies(coefficients)], len(faces), arguments.rounds, device)
    print(f"inverse: {back:.0f}")


def rates(works: list[Callable[[], Tensor]], faces: int, rounds: int, device: torch.device) -> list[float]:
    """Median faces per second of each, run in turns; the first round warms up."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(rounds + 1):
        for spent, work in zip(seconds, works, strict=True):
            began = time.perf_counter()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            spent.append(time.perf_counter() - began)
    return [faces / statistics.median(spent[1:]) for spent in seconds]


if __name__ == "__main__":
    main()

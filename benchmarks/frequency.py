"""Faces per second of the frequency front end, and its ratio to the plain way, in one run.

    taskset -c 0 python benchmarks/frequency.py            # one core
    taskset -c 0,1 python benchmarks/frequency.py

The plain way is the source's: upsample eightfold, then convolve with the 64 kernels at a stride of 8, all channels,
from which the wanted ones are taken. Runs are interleaved; medians are printed. Without a GPU, a few minutes of one.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import torch
from measuring import medians, script_parser, write_record
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
    parser = script_parser(__doc__, batch=8, rounds=7)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    faces = torch.rand(arguments.batch, 3, 112, 112, device=device)
    print(f"{describe(device)}, batches of {arguments.batch}, median of {arguments.rounds} rounds, faces/s")
    whole, rows = tuple(range(CHANNELS)), []
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
        rows.append({"channels": name, "folded": fast, "into_the_same_memory": faster, "plainly": slow})
        print(f"{name}: {fast:.0f}, into the same memory {faster:.0f}, plainly {slow:.0f}, ratio {fast / slow:.1f}")
    coefficients = to_frequencies(faces)
    (back,) = rates([lambda: from_frequencies(coefficients)], len(faces), arguments.rounds, device)
    rows.append({"channels": "inverse", "folded": back})
    print(f"inverse: {back:.0f}")
    write_record(arguments.out, "facemin frequency front end 1", rows)


def rates(works: list[Callable[[], Tensor]], faces: int, rounds: int, device: torch.device) -> list[float]:
    """Median faces per second of each, run in turns; the first round warms up."""

    def whole(work: Callable[[], Tensor]) -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    turns = {str(number): partial(whole, work) for number, work in enumerate(works)}
    return [faces / spent.wall for spent in medians(turns, rounds=rounds).values()]


if __name__ == "__main__":
    main()

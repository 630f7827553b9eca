"""Carriers a second by optimisation on this machine: `workers` processes of one thread each, PNG and JPEG.

Beside the rate stands the CPU time of a carrier, which a machine busy with other programs spoils less; the benchmark's
rate is what counts.

python benchmarks/carrier_throughput.py --carriers 16 --workers 2
"""

from __future__ import annotations

import hashlib
import json
import os
from multiprocessing import get_context

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from measuring import load_averages, script_parser, timed, write_record

from facemin.keys.default import default_key
from facemin.protection.carrier import FaceCarrier, PseudonymTarget
from facemin.pseudonym import Context, Pseudonym, Secret


def made(task: tuple[int, int, str]) -> tuple[float, float]:
    """Seconds, and CPU seconds, for so many carriers, after one that warms up."""
    worker, count, form = task
    key = default_key()
    assert key.space is not None
    context = Context(origin="https://peer.example", space=key.space.id, dimension=66, purpose="main")
    targets = []
    for number in range(count + 1):
        secret = Secret(hashlib.sha256(f"benchmark {worker} {number}".encode()).digest())
        row = np.random.default_rng(number).standard_normal(66)
        targets.append([PseudonymTarget(pseudonym=Pseudonym(secret=secret, context=context), embedding=row)])
    method = FaceCarrier(format=form)  # type: ignore[arg-type]
    list(method.aim(targets[:1], [key], seed=0))
    spent = timed(lambda: list(method.aim(targets[1:], [key], seed=0)))
    return spent.wall, spent.processor


def main() -> None:
    """Measure and print."""
    parser = script_parser(__doc__, workers=2)
    parser.add_argument("--carriers", type=int, default=16, help="a worker")
    given = parser.parse_args()
    rows = []
    for form in ("PNG", "JPEG"):
        with get_context("spawn").Pool(given.workers) as pool:
            spent = pool.map(made, [(worker, given.carriers, form) for worker in range(given.workers)])
        count = given.carriers * given.workers
        row = {
            "format": form,
            "carriers a second": round(count / max(wall for wall, _ in spent), 3),
            "CPU seconds a carrier": round(sum(busy for _, busy in spent) / count, 3),
            "workers": given.workers,
            "load": load_averages(),
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
    write_record(given.out, "facemin carrier throughput 1", rows)


if __name__ == "__main__":
    main()

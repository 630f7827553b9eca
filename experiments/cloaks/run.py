"""Measure cloaks.

    python experiments/cloaks/run.py experiments/cloaks/cloaks.toml --shared ../shared --out results/cloaks

Fits, embeddings and records lie in --out; --minutes ends a run between two people, and the same command goes on.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from facemin.experiments.cloaks.run import Place, run_cloaks
from facemin.experiments.cloaks.settings import read_cloak_experiment
from facemin.experiments.common import RESULTS, script_parser


def main() -> int:
    """Run, and say whether all is measured: exit status 0, or 3 where the time ended first."""
    parser = script_parser(__doc__, out=RESULTS / "cloaks")
    parser.add_argument("file", type=Path)
    parser.add_argument("--minutes", type=float, default=1e9)
    given = parser.parse_args()
    end = time.monotonic() + 60 * given.minutes

    def tell(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    place = Place(shared=given.shared, out=given.out, stop=lambda: time.monotonic() > end, tell=tell)
    return 0 if run_cloaks(read_cloak_experiment(given.file), place, name=given.file.stem) else 3


if __name__ == "__main__":
    sys.exit(main())

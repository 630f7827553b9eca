"""The test of the default key: 300 people nobody calibrated on, protected by the command line, judged as files.

    python experiments/default_key/selectivity.py --shared ../shared

Runs `facemin protect` on the probes (people of LFW's folds 1 to 5), reads the written PNG files back, and measures
the TAR of the authorised recogniser and of every other one, each at its own threshold for FAR 1e-3 over all
cross-identity pairs of the plain images used, raw and after each purifier. Appends one record to
results/default_key/selectivity.jsonl and prints the table.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from panel import FAR, calibrated, judge_all, lfw_faces, load_panel, tar

from facemin.autograd.pixels import to_array, to_tensor, to_unit
from facemin.experiments.common import REPOSITORY, provenance, script_parser
from facemin.image import decode, encode
from facemin.runtime.files import append_json, write_atomically


def main() -> None:
    """Protect, judge, record."""
    parser = script_parser(__doc__, seed=0)
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "results" / "default_key" / "selectivity.jsonl")
    arguments = parser.parse_args()
    faces = lfw_faces(arguments.shared, half="test", count=arguments.pairs)
    with tempfile.TemporaryDirectory() as folder:
        protected = protect(faces.probes, Path(folder), arguments.seed)
    panel = load_panel(arguments.shared)
    judges = [calibrated(name, recogniser, faces) for name, recogniser in panel.items()]
    found = judge_all(judges, protected)
    clean = {judge.name: tar(judge, judge.clean) for judge in judges}
    append_json(
        arguments.out,
        {
            "far": FAR,
            "clean": clean,
            "thresholds": {judge.name: judge.at.threshold for judge in judges},
            "impostor_pairs": judges[0].at.n_impostor,
            "protected": found,
            **provenance(arguments, arguments.shared),
        },
    )
    print(f"{'recogniser':34} {'clean':>7}  " + "  ".join(f"{name:>7}" for name in found[judges[0].name]))
    for name, row in found.items():
        cells = "  ".join(f"{cell['tar']:7.3f}" for cell in row.values())
        print(f"{name:34} {clean[name]['tar']:7.3f}  {cells}")
    own = found[judges[0].name]["none"]
    worst = max(float(cell["tar"]) for name, row in found.items() if name != judges[0].name for cell in row.values())
    print(
        f"authorised: {own['tar']:.3f} [{own['low']:.3f}, {own['high']:.3f}], "
        f"{own['tar'] / clean[judges[0].name]['tar']:.3f} of clean; worst other cell {worst:.3f}; "
        f"selectivity {own['tar'] - worst:.3f} (n = {own['n']}, {judges[0].at.n_impostor} impostor pairs)"
    )


def protect(probes: torch.Tensor, folder: Path, seed: int) -> torch.Tensor:
    """Through the command line and PNG files, as a user would: (N, 3, 112, 112) in [0, 1]."""
    for number, face in enumerate(probes):
        write_atomically(folder / "plain" / f"{number:04d}.png", encode(to_array(face)))
    command = [sys.executable, "-m", "facemin", "protect", folder / "plain", "--aligned", "--out", folder / "out"]
    subprocess.run([*map(str, command), "--seed", str(seed)], check=True)
    files = [folder / "out" / f"{number:04d}.protected.png" for number in range(len(probes))]
    return to_unit(torch.stack([to_tensor(decode(file).pixels) for file in files]))


if __name__ == "__main__":
    main()

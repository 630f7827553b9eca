"""Which cut, and how close a match? TAR of the authorised recogniser and of others as the residual falls.

    python experiments/default_key/curve.py --shared ../shared

On people of LFW's folds 6 to 10, none of whom is in the test (selectivity.py). Appends a record for each cut and
residual to results/default_key/curve.jsonl; one run takes about half an hour on two cores.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from panel import FAR, calibrated, judge_all, lfw_faces, load_panel, tar

from facemin import export_key
from facemin.autograd.pixels import to_unit
from facemin.experiments.common import REPOSITORY, provenance, script_parser
from facemin.protection import DEFAULT_PROTECTOR, PROTECTORS
from facemin.protection.pmt.method import PMT
from facemin.runtime.files import append_json

CUTS = ("conv64.4", "conv128.3", "conv256.1", "conv256.2", "conv256.3", "conv256.4", "pooled")
RESIDUALS = (0.25, 0.16, 0.12, 0.09, 0.07, 0.05)


def main() -> None:
    """Run the sweep."""
    parser = script_parser(__doc__, seed=0)
    parser.add_argument("--pairs", type=int, default=150)
    parser.add_argument("--cuts", nargs="+", default=CUTS)
    parser.add_argument("--method", choices=list(PROTECTORS), default=DEFAULT_PROTECTOR)
    parser.add_argument("--bare", action="store_true", help="without providers' operations in its steps")
    parser.add_argument("--residuals", nargs="+", type=float, default=RESIDUALS)
    parser.add_argument("--steps", type=int, default=100, help="most steps an image may take")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "results" / "default_key" / "curve.jsonl")
    arguments = parser.parse_args()
    if arguments.bare and not isinstance(PROTECTORS[arguments.method], PMT):
        parser.error(f"--bare: expected a method whose steps have a transform, got {arguments.method}")
    faces = lfw_faces(arguments.shared, half="calibration", count=arguments.pairs)
    panel = load_panel(arguments.shared)
    judges = [calibrated(name, recogniser, faces) for name, recogniser in panel.items()]
    authorised = next(iter(panel.values()))
    source = provenance(arguments, arguments.shared)
    for cut in arguments.cuts:
        for residual in sorted(arguments.residuals, reverse=True):
            key = export_key(authorised, cut, provider="measurement", residual=residual)
            method = replace(PROTECTORS[arguments.method], steps=arguments.steps)
            if arguments.bare:
                method = replace(method, transform=None)
            began = time.perf_counter()
            done = method(faces.probes, [key], seed=arguments.seed)
            seconds = time.perf_counter() - began
            found = judge_all(judges, to_unit(torch.stack([image.pixels for image in done])))
            steps = torch.tensor([image.steps for image in done], dtype=torch.float64)
            own = found[judges[0].name]
            worst = max(
                float(cell["tar"]) for name, row in found.items() if name != judges[0].name for cell in row.values()
            )
            print(
                f"{cut} {residual}: {steps.mean():.1f} steps, worst other {worst:.3f}, {seconds:.0f} s; authorised, of "
                f"{tar(judges[0], judges[0].clean)['tar']:.3f} clean: "
                + ", ".join(f"{name} {cell['tar']:.3f}" for name, cell in own.items()),
                flush=True,
            )
            append_json(
                arguments.out,
                {
                    "cut": cut,
                    "share": authorised.cut(cut).share,
                    "residual": residual,
                    "far": FAR,
                    "method": asdict(method),
                    "steps": steps.tolist(),
                    "reached": [image.reached for image in done],
                    "seconds": seconds,
                    "clean": {judge.name: tar(judge, judge.clean) for judge in judges},
                    "thresholds": {judge.name: judge.at.threshold for judge in judges},
                    "impostor_pairs": judges[0].at.n_impostor,
                    "protected": found,
                    **source,
                },
            )


if __name__ == "__main__":
    main()

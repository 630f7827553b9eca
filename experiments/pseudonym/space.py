"""What a space costs in recognition: TAR of recognisers as they are and in their spaces, on people not fitted on.

    python experiments/pseudonym/space.py --shared ../shared --cache CACHE

1,500 genuine pairs of the people of `report` (people.py); impostors are all pairs of different people among their
3,000 photos; thresholds are set on these impostors, for each row its own. A rotation changes no cosine, so these are
the rates of pseudonymous features too, the FAR being that of somebody who stole the secret. dlib's space is the one
that facemin ships; the research recogniser's is fitted here, on the people of `fit`, and kept nowhere. Appends one
record to results/pseudonym/space.jsonl and prints the table.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from embeddings import Embedded, all_photos, embed
from people import PEOPLE, GenuinePair, genuine_pairs, photos

from facemin.evaluation.provenance import conditions
from facemin.experiments.common import REPOSITORY, script_parser
from facemin.metrics import cross_identity_threshold, identity_bootstrap_mean, pair_scores
from facemin.models import SPACE_MODEL, dlib_resnet, load_recogniser
from facemin.models.registry import shipped_space
from facemin.models.space_fit import Whitening, fit, measure_isotropy, spectrum
from facemin.pseudonym.rotation import average_views, unit_rows
from facemin.runtime.files import append_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FARS = (1e-3, 1e-4)
RESEARCH = "mobilefacenet-ms1m-arcface"
RESEARCH_SPACE = Whitening(dimension=128, exponent=0.5)
"""Half-whitened, all dimensions: chosen before this split was made (pseudonyms.md), on other draws of LFW."""


def main() -> None:
    """Embed, fit, judge, record."""
    parser = script_parser(__doc__, cache="folder that keeps embeddings between runs")
    parser.add_argument("--pairs", type=int, default=1500)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "results" / "pseudonym" / "space.jsonl")
    arguments = parser.parse_args()
    paths = all_photos(arguments.shared)
    pairs = genuine_pairs("report", paths, arguments.pairs)
    judged = [path for pair in pairs for path in (pair.enrolment, pair.probe)]
    shipped, _ = shipped_space(SPACE_MODEL)
    dlib = embed(dlib_resnet.graph(), arguments.shared, judged, arguments.cache)
    rows = table("dlib-resnet29", SPACE_MODEL, dlib, shipped, pairs)
    research = load_recogniser(arguments.shared / "models" / f"{RESEARCH}.onnx")
    others = [path for found in photos("fit", paths).values() for path in found]
    fitted_on = embed(research.graph, arguments.shared, others, arguments.cache)
    own = fit(np.concatenate([fitted_on.face, fitted_on.mirror]), RESEARCH_SPACE)
    embedded = embed(research.graph, arguments.shared, judged, arguments.cache)
    rows += table(RESEARCH, f"{RESEARCH}, 128 half-whitened", embedded, own, pairs)
    append_json(
        arguments.out,
        {
            "rows": rows,
            "people_sha256": hashlib.sha256(PEOPLE.read_bytes()).hexdigest(),
            "arguments": {"pairs": arguments.pairs},
            **conditions(),
        },
    )


def table(
    name: str,
    space: str,
    embedded: Embedded,
    to_space: Callable[[NDArray[Any]], NDArray[np.float64]],
    pairs: list[GenuinePair],
) -> list[dict[str, Any]]:
    """Rows of one recogniser: as it is and in its space, from one view and from face and mirror image."""
    face, mirror = unit_rows(embedded.face), unit_rows(embedded.mirror)
    one, other = to_space(embedded.face), to_space(embedded.mirror)
    candidates = {
        (name, "face"): face,
        (name, "face+mirror"): average(face, mirror),
        (space, "face"): one,
        (space, "face+mirror"): average(one, other),
    }
    rows = []
    for (what, views), embeddings in candidates.items():
        row = {"space": what, "views": views, **judge(embeddings, embedded.at, pairs)}
        row["isotropy"] = measure_isotropy(embeddings).model_dump()
        row["spectrum"] = [round(float(value), 6) for value in spectrum(embeddings)]
        rows.append(row)
        cells = "  ".join(f"{c['tar']:.3f} ({c['low']:.3f} to {c['high']:.3f})" for c in row["cells"])
        print(f"{what:45} {views:12} {cells}  last/first {row['isotropy']['last_over_first']:.3f}")
    return rows


def average(face: NDArray[np.float64], mirror: NDArray[np.float64]) -> NDArray[np.float64]:
    """Both views' mean at unit length."""
    return average_views([face.astype(np.float32), mirror.astype(np.float32)])


def judge(embeddings: NDArray[np.float64], at: dict[str, int], pairs: list[GenuinePair]) -> dict[str, Any]:
    """TAR at each FAR with its 95 % interval over people."""
    names = {pair.name: number for number, pair in enumerate({pair.name: pair for pair in pairs}.values())}
    labels = torch.tensor([names[path.split("/")[0]] for path in at])
    rows = torch.from_numpy(embeddings)
    enrolments, probes = ([at[pair.enrolment] for pair in pairs], [at[pair.probe] for pair in pairs])
    genuine = pair_scores(rows[enrolments], rows[probes])
    people = torch.tensor([names[pair.name] for pair in pairs])
    cells = []
    for far in FARS:
        found = cross_identity_threshold(rows, labels, far=far)
        accepted = (genuine >= found.threshold).double()
        interval = identity_bootstrap_mean(accepted, people, generator=torch.Generator().manual_seed(0))
        cells.append(
            {
                "far": far,
                "far_measured": found.far_measured,
                "threshold": found.threshold,
                "tar": float(accepted.mean()),
                "low": interval.low,
                "high": interval.high,
            }
        )
    return {"cells": cells, "genuine": len(pairs), "people": len(names), "impostors": found.n_impostor}


if __name__ == "__main__":
    main()

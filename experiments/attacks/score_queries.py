"""What a service's scores give away to whoever may ask: templates recovered from answers, rounded or not.

    python experiments/attacks/score_queries.py --shared ../shared

Templates are the default space's embeddings of people of LFW's folds 1 to 5, as they are and under a secret each; the
attacker holds the key, so that each probe's embedding is known (an image can be made for any: one pass), and asks for
scores. What is recovered is compared with the template, which is what passes at this service, and looked for among
everybody's other plain photo, which is who the person is. Writes results/attacks/score_queries.json.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from protections import plain

from facemin.attack.secret.score_query import ScoreQuery, rounded
from facemin.experiments.common import RESULTS, provenance, script_parser
from facemin.metrics import linkage
from facemin.models import SPACE_MODEL, load_recogniser
from facemin.models.onnx.run import FaceRunner
from facemin.models.space import mirrored
from facemin.pseudonym import haar
from facemin.pseudonym.rotation import average_views
from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Rows = NDArray[np.float64]

STEPS = (0.0, 0.001, 0.01, 0.05, 0.1, 0.2)
QUERIES = (33, 66, 132, 264, 1056, 4224)


def main() -> None:
    """Ask, solve, record."""
    parser = script_parser(__doc__, out=RESULTS / "attacks" / "score_queries.json")
    given = parser.parse_args()
    faces, run = plain(given.shared), FaceRunner(load_recogniser(SPACE_MODEL).graph.SerializeToString())
    enrolled, gallery = places(run, faces.test), places(run, faces.others)
    generator = np.random.default_rng(0)
    secrets = [generator.bytes(32) for _ in range(len(enrolled))]
    turned = np.stack([haar(one, enrolled.shape[1]) @ row for one, row in zip(secrets, enrolled, strict=True)])
    rows: list[dict[str, Any]] = []
    for secret, templates in ((False, enrolled), (True, turned)):
        for step in STEPS:
            for queries in QUERIES:
                recovered = np.stack([ask(template, step, queries, seed) for seed, template in enumerate(templates)])
                close = (recovered * templates).sum(1)
                found = linkage(recovered @ gallery.T, draws=199, samples=200)
                rows.append(
                    {
                        "secret": secret,
                        "step": step,
                        "queries": queries,
                        "cosine": round(float(close.mean()), 4),
                        "cosine_5_95": [round(float(value), 4) for value in np.quantile(close, [0.05, 0.95])],
                        "auc": round(found.area.auc, 4),
                        "interval": [round(value, 4) for value in found.area.interval],
                        "rank_1": round(found.ranks[0].share, 4),
                        "chance": round(found.ranks[0].chance, 4),
                    }
                )
                print(rows[-1], flush=True)
    record = {"dimension": enrolled.shape[1], "people": len(enrolled), "rows": rows, **provenance(given, given.shared)}
    write_atomically(given.out, (json.dumps(record) + "\n").encode())


def places(run: FaceRunner, faces: Tensor) -> Rows:
    """Embeddings of uint8 faces (N, 3, 112, 112) and their mirror images, averaged as a device does it."""
    pixels = np.ascontiguousarray(faces.permute(0, 2, 3, 1).numpy())
    return average_views([run(pixels), run(mirrored(pixels))])


def ask(template: Rows, step: float, queries: int, seed: int) -> Rows:
    """What a service that rounds its scores lets out of one template."""
    return ScoreQuery(queries=queries, seed=seed)(lambda probes: rounded(probes @ template, step), len(template))


if __name__ == "__main__":
    main()

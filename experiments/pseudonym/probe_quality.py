"""What a provider decides on probes that keep no more of a face than its decision needs, as numbers and as images.

    python experiments/pseudonym/probe_quality.py --shared ../shared --cache CACHE

600 genuine pairs of the part `report` of people.json, a secret each, and for each enrolment 100 faces of other people
under the same secret, as a thief of it would send them past the device's own check. The threshold is the calibrated one
at FAR 1e-3. Whole embeddings, scores and decisions are sent of the same faces, so that decisions can be compared one by
one. Images are painted for both sides, corrected once as a client does it, and embedded after an operation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from common import arguments, load, protector_of, record, rotation, unit
from people import genuine_pairs
from probe_curve import FAR, KINDS, threshold_at

from facemin.client.probes import MARGIN
from facemin.keys.default import default_key
from facemin.metrics import wilson
from facemin.models import MODELS, SPACE_MODEL
from facemin.models.onnx.run import FaceRunner
from facemin.protection.one_pass.painter import CHECKS, OnePass, Painter
from facemin.protection.one_pass.protector import CORRECTIONS
from facemin.pseudonym import score_preserving

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

OPERATIONS = ("none", "blur-1", "resize-0.75", "shift-2")


def main() -> None:
    """Measure, print, record."""
    given = arguments(__doc__, pairs=600, others=100, corrections=CORRECTIONS, protector=True)
    lfw = load(given.shared, given.cache)
    at = {path: row for row, path in enumerate(lfw.paths)}
    generator = np.random.default_rng(given.seed)
    pairs = genuine_pairs("report", lfw.paths, given.pairs)
    templates, faces = (lfw.both[[at[getattr(pair, side)] for pair in pairs]] for side in ("enrolment", "probe"))
    names = np.array([pair.name for pair in pairs])
    threshold = threshold_at(FAR)
    # of each enrolment, the rows of other people's probes
    others = [generator.choice(np.flatnonzero(names != name), given.others, replace=False) for name in names]
    own, impostor = np.arange(len(pairs)), np.repeat(np.arange(len(pairs)), given.others)
    tables: dict[str, Any] = {"same person, features": {}, "other people, features": {}}
    for name, held, shown in (
        ("same person, features", own, faces),
        ("other people, features", impostor, faces[np.concatenate(others)]),
    ):
        whole = (templates[held] * shown).sum(1) >= threshold
        for kind in KINDS:
            sent = kept(shown, templates[held], kind, threshold + MARGIN["feature"], generator)
            accepted = (templates[held] * sent).sum(1) >= threshold
            tables[name][kind] = share(accepted) | {"decided otherwise": int((accepted != whole).sum())}
    tables |= images(given, templates, faces, generator, threshold)
    for name, table in tables.items():
        for kind, row in table.items():
            print(f"{name:40} {kind:10} {row}", flush=True)
    record("probe_quality", given, {"tables": tables, "far": FAR, "threshold": threshold, "margins": MARGIN})


def kept(faces: Rows, templates: Rows, kind: str, most: float, generator: np.random.Generator) -> Rows:
    """What is sent of each face, whose one template is in the same row; scores up to `most` for a decision."""
    if kind == "embedding":
        return faces
    largest = most if kind == "decision" else None
    rows = [
        score_preserving(face[None], template[None], [generator.bytes(32)], most=largest)
        for face, template in zip(faces, templates, strict=True)
    ]
    return np.concatenate(rows)


def share(accepted: NDArray[np.bool_]) -> dict[str, Any]:
    """How many are accepted, with Wilson's interval."""
    low, high = wilson(int(accepted.sum()), len(accepted))
    return {
        "accepted": round(float(accepted.mean()), 4),
        "interval": [round(low, 4), round(high, 4)],
        "of": len(accepted),
    }


def images(
    given: argparse.Namespace, templates: Rows, faces: Rows, generator: np.random.Generator, threshold: float
) -> dict[str, Any]:
    """Shares accepted of painted probes, against painted enrolments and against features, after each operation."""
    runner = FaceRunner(MODELS[SPACE_MODEL].graph().graph.SerializeToString())
    settings = OnePass(residual=default_key().manifest.residual, corrections=given.corrections)
    painter = Painter(protector_of(given.protector), runner, settings)
    turns = np.stack([rotation(templates.shape[1], generator) for _ in templates])

    def painted(rows: Rows) -> NDArray[np.uint8]:
        targets = np.einsum("nij,nj->ni", turns, rows).astype(np.float32)
        made = painter(targets, [int(seed) for seed in generator.integers(0, 2**62, len(rows))])
        return np.stack([one.pixels for one in made])

    def seen(pixels: NDArray[np.uint8]) -> Rows:
        return np.asarray(np.einsum("nij,ni->nj", turns, unit(runner(pixels).astype(np.float64))))

    enrolled = seen(painted(templates))
    most = threshold + MARGIN["image"]
    made = {kind: painted(kept(faces, templates, kind, most, generator)) for kind in KINDS}
    found: dict[str, Any] = {}
    for operation in OPERATIONS:
        rows = {kind: seen(CHECKS[operation](pixels)) for kind, pixels in made.items()}
        for name, held in (("images", enrolled), ("images against features", templates)):
            found[f"{name}, {operation}"] = {
                kind: share((held * each).sum(1) >= threshold) for kind, each in rows.items()
            }
    return found


if __name__ == "__main__":
    main()

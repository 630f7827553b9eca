"""What the attacks on pseudonyms share: LFW in the default key's space, rotations, draws put together, records."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from embeddings import all_photos, embed
from people import PEOPLE, photos

from facemin.evaluation.provenance import conditions
from facemin.experiments.common import REPOSITORY, script_parser
from facemin.keys.default import default_key
from facemin.metrics import d_sys, wilson
from facemin.models import SPACE_MODEL, dlib_resnet
from facemin.models.registry import shipped_space
from facemin.protection.one_pass.painter import OnePass, Painter
from facemin.protection.one_pass.protector import CORRECTIONS
from facemin.protection.one_pass.protector_file import ProtectorFile
from facemin.protection.one_pass.shipped import shipped_protector
from facemin.pseudonym import haar
from facemin.pseudonym.rotation import average_views
from facemin.runtime.files import append_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from people import Part

    from facemin.models.onnx.run import FaceRunner

    Rows = NDArray[np.float64]

RESULTS = REPOSITORY / "results" / "pseudonym"
CHORD = 0.19
"""How far a one-pass image stays from its target once it was corrected (results/one_pass/quality_corrected.json)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lfw:
    """All of LFW's photos in the space of the default key, row by row.

    Attributes:
        shared: the research folder.
        paths: of the photos, sorted.
        raw: the recogniser's own embeddings of one view, (N, 128), as long as it leaves them.
        face: in the space, one view, (N, D).
        both: in the space, face and mirror image averaged, as a device does it, (N, D).
    """

    shared: Path
    paths: list[str]
    raw: Rows
    face: Rows
    both: Rows

    @property
    def dimension(self) -> int:
        """Of the space."""
        return self.both.shape[1]

    def people(self, *parts: Part, least: int, most: int | None = None) -> list[NDArray[np.int64]]:
        """Rows of each person who has that many photos, the first `most` of them, in the split's fixed order."""
        at = {path: row for row, path in enumerate(self.paths)}
        found = [[at[path] for path in some] for part in parts for some in photos(part, self.paths).values()]
        return [np.array(rows[:most], np.int64) for rows in found if len(rows) >= least]


def load(shared: Path, cache: Path) -> Lfw:
    """Embed all of LFW, once for a cache folder."""
    paths = all_photos(shared)
    embedded = embed(dlib_resnet.graph(), shared, paths, cache)
    fitted, _ = shipped_space(SPACE_MODEL)
    face, mirror = (fitted(rows).astype(np.float32) for rows in (embedded.face, embedded.mirror))
    both = average_views([face, mirror])
    return Lfw(
        shared=shared, paths=paths, raw=embedded.face.astype(np.float64), face=face.astype(np.float64), both=both
    )


def protector_of(path: Path | None) -> ProtectorFile:
    """The one-pass protector of a file, or the one that ships for the space."""
    if path is not None:
        return ProtectorFile.load(path)
    shipped = shipped_protector(SPACE_MODEL)
    assert shipped is not None
    return shipped


def images_for(
    targets: NDArray[np.float32], seeds: Sequence[int], protector: ProtectorFile, run: FaceRunner
) -> NDArray[np.uint8]:
    """Images (N, 112, 112, 3) as a client sends them: painted, corrected and checked."""
    painter = Painter(protector, run, OnePass(residual=default_key().manifest.residual, corrections=CORRECTIONS))
    return np.stack([one.pixels for one in painter(targets, seeds)])


def rotation(dimension: int, generator: np.random.Generator) -> Rows:
    """The rotation of a fresh secret."""
    return haar(generator.bytes(32), dimension)


def unit(rows: Rows) -> Rows:
    """Rows at unit length, along the last axis."""
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def as_images(rows: Rows, chord: float, generator: np.random.Generator) -> Rows:
    """Targets as an image reaches them: off by `chord` in a random direction."""
    noise = generator.standard_normal(rows.shape)
    noise = unit(noise - (noise * rows).sum(-1, keepdims=True) * rows)
    cosine = 1 - chord**2 / 2
    return np.asarray(cosine * rows + (1 - cosine**2) ** 0.5 * noise)


def together(draws: Sequence[Rows]) -> dict[str, Any]:
    """Several draws of one attack put together: scores (N, N) each, of the same N accounts against N candidates.

    The area is the mean over draws; its interval, and the one-sided p that it is above 0.5, are by the infinitesimal
    jackknife over people (Efron and Tibshirani 1993, chapter 21), who are the same in all draws. Ranks count ties
    against the attacker; hits are summed over draws, and their interval is Wilson's of the mean count in one draw.
    """
    n = len(draws[0])
    off = ~np.eye(n, dtype=bool)
    parts = [_influence(draw, off) for draw in draws]
    area = float(np.mean([part[0] for part in parts]))
    error = float(np.mean([part[1] for part in parts], 0).std(ddof=1) / n**0.5)
    ranks = {}
    for k in (1, 10):
        hits = [int((((draw >= np.diag(draw)[:, None]) & off).sum(1) + 1 <= k).sum()) for draw in draws]
        low, high = wilson(round(float(np.mean(hits))), n)
        ranks[f"rank {k}"] = {
            "share": round(float(np.mean(hits)) / n, 4),
            "hits": int(np.sum(hits)),
            "of": n * len(draws),
            "interval of one draw": [round(low, 4), round(high, 4)],
            "chance": round(k / n, 4),
        }
    return {
        "people": n,
        "draws": len(draws),
        "auc": round(area, 4),
        "interval": [round(max(0.0, area - 1.96 * error), 4), round(min(1.0, area + 1.96 * error), 4)],
        "p": float(f"{1 - NormalDist().cdf((area - 0.5) / max(error, 1e-12)):.2g}"),
        **ranks,
        "d_sys": round(float(np.mean([d_sys(np.diag(draw), draw[off]) for draw in draws[:3]])), 4),
    }


def _influence(scores: Rows, off: NDArray[np.bool_]) -> tuple[float, Rows]:
    """The area of one draw, and how much each person moves it, as an account, as a candidate and as both."""
    own, n = np.diag(scores), len(scores)
    ordered, mated = np.sort(scores[off]), np.sort(own)
    places = _below(ordered, own)
    beaten = np.where(off, 1 - _below(mated, scores), 0.0)
    area = float(places.mean())
    as_other = (beaten.sum(0) + beaten.sum(1)) / (2 * (n - 1))
    return area, (places - area) + 2 * (as_other - area)


def _below(ordered: Rows, values: Rows) -> Rows:
    """Share of numbers below each value, equal ones counting half."""
    places = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.asarray(places / (2 * len(ordered)))


def arguments(description: str | None, *, protector: bool = False, **defaults: int) -> argparse.Namespace:
    """The command line of an experiment: the research folder, a cache, and whole numbers by name."""
    parser = script_parser(description, cache="folder that keeps embeddings between runs", seed=0, **defaults)
    if protector:
        parser.add_argument("--protector", type=Path, help="file; the one that ships when none is named")
    return parser.parse_args()


def record(name: str, given: argparse.Namespace, values: dict[str, Any], *, results: Path = RESULTS) -> None:
    """Append one record to results/pseudonym/NAME.jsonl, or to NAME.jsonl in another folder."""
    told = {key: value for key, value in vars(given).items() if isinstance(value, (int, float, str))}
    append_json(
        results / f"{name}.jsonl",
        {
            "experiment": name,
            **values,
            "arguments": told,
            "people_sha256": hashlib.sha256(PEOPLE.read_bytes()).hexdigest(),
            **conditions(),
        },
    )


def show(name: str, row: dict[str, Any]) -> None:
    """One line of a table."""
    low, high = row["interval"]
    ranks = "  ".join(
        f"rank {k} {row[f'rank {k}']['share']:.3f} (chance {row[f'rank {k}']['chance']:.3f})" for k in (1, 10)
    )
    print(f"{name:75} {row['people']:4}  AUC {row['auc']:.3f} ({low:.3f} to {high:.3f})  {ranks}", flush=True)

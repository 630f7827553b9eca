"""A space for a recogniser: fitted on some people's photos, chosen on others', reported on yet others'."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from facemin.autograd.pixels import to_grid
from facemin.datasets import Folder, landmarks
from facemin.evaluation.photo_reader import PhotoReader
from facemin.face import Detector
from facemin.metrics import cross_identity_threshold, identity_bootstrap_mean, pair_scores
from facemin.models.onnx.run import FaceRunner
from facemin.models.space import SpaceDeclaration, mirrored
from facemin.models.space_fit import SpaceMap, Whitening, fit, measure_isotropy, spectrum
from facemin.pseudonym.rotation import average_views, unit_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from facemin.models import RecogniserGraph

FARS = (1e-3, 1e-4)
LEAST_RATIO = 0.2
"""Last eigenvalue over first that a chosen space should have: below it some targets are hard to reach by an image."""

EXPONENTS, SHRINKAGES = (0.5, 0.7, 1.0), (0.0, 0.03, 0.06)
_PARTS = {"fit": 5, "choose": 3, "report": 2}
"""Of ten people, those with several photos and those with one apart."""
_BATCH = 64


class Rate(NamedTuple):
    """TAR at a false accept rate, with its 95 % interval over people."""

    far: float
    tar: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class SpaceRates:
    """Recognition of the people reported on: `views` averaged, before or after the space."""

    space: bool
    views: str
    rates: tuple[Rate, ...]


@dataclass(frozen=True, kw_only=True)
class IsotropicSpace:
    """A space chosen for a recogniser, and what it costs.

    Attributes:
        fitted: the map to append (`space_fit.append_space`).
        declaration: what keys will say of it.
        settings: the fit's, as chosen.
        measured: before and after, one view and two.
        people: how many were fitted on, chosen on and reported on.
        genuine: pairs of the people reported on.
        impostors: pairs of different people among their photos.
        spectrum: eigenvalues of the covariance of unit embeddings of the people reported on: before, and after.
    """

    fitted: SpaceMap
    declaration: SpaceDeclaration
    settings: Whitening
    measured: tuple[SpaceRates, ...]
    people: dict[str, int]
    genuine: int
    impostors: int
    spectrum: dict[str, list[float]]

    def report(self) -> dict[str, Any]:
        """All but the map, as JSON's types."""
        return {
            "space": self.declaration.model_dump(mode="json"),
            "settings": vars(self.settings),
            "people": self.people,
            "genuine_pairs": self.genuine,
            "impostor_pairs": self.impostors,
            "measured": [
                {"space": m.space, "views": m.views, "rates": [rate._asdict() for rate in m.rates]}
                for m in self.measured
            ],
            "spectrum": self.spectrum,
        }


def isotropic_space(
    recogniser: RecogniserGraph,
    data: Path,
    *,
    points: Path | None = None,
    dimension: int | None = None,
    exponent: float | None = None,
    shrinkage: float | None = None,
    seed: int = 0,
    threads: int = 1,
    on_photos: Callable[[int, int], None] | None = None,
) -> IsotropicSpace:
    """Fit a space to a recogniser's embeddings.

    People are dealt by hash to three parts: half to fit on, three tenths to choose settings by, two tenths to report
    on. Of the settings not given, those are taken that give the highest mean TAR over `FARS` for two averaged views
    among spaces whose eigenvalue ratio is at least `LEAST_RATIO`; the highest ratio where none is.

    Args:
        recogniser: without a space.
        data: a folder with one folder of photos per person, as LFW is.
        points: landmarks of the photos, see `facemin.datasets.landmarks`; faces are detected without it.
        dimension: of the space; chosen from half of the embedding's length up to all of it when None.
        exponent: see `Whitening`; chosen from `EXPONENTS` when None.
        shrinkage: see `Whitening`; chosen from `SHRINKAGES` when None.
        seed: of the dealing.
        threads: for the network.
        on_photos: called with photos done and their number.

    Raises:
        ValueError: a recogniser that has a space, or too few people or photos.
        OSError: a file that is not there.
    """
    if recogniser.space is not None:
        raise ValueError(f"{recogniser.name}: expected a recogniser without a space, got one that has it")
    photos = list(Folder(data))
    people: dict[str, list[int]] = {}
    for row, photo in enumerate(photos):
        people.setdefault(photo.identity, []).append(row)
    parts = _deal(people, seed)
    face, mirror = _embed(recogniser, data, [photo.path for photo in photos], points, threads, on_photos)

    def rows(part: str) -> list[int]:
        return [row for name in parts[part] for row in people[name]]

    known = np.concatenate([face[rows("fit")], mirror[rows("fit")]])
    chosen = [people[name] for name in parts["choose"]]
    size = face.shape[1]
    dimensions = [dimension] if dimension else sorted({round(size * part / 16) for part in range(8, 17)})
    tried = []
    for settings in itertools.product(
        dimensions,
        EXPONENTS if exponent is None else [exponent],
        SHRINKAGES if shrinkage is None else [shrinkage],
    ):
        whitening = Whitening(dimension=settings[0], exponent=settings[1], shrinkage=settings[2])
        candidate = fit(known, whitening)
        both = _average(candidate(face), candidate(mirror))
        ratio = measure_isotropy(both[rows("choose")]).last_over_first
        rates, _, _ = _judge(both, chosen)
        reached = ratio >= LEAST_RATIO
        tried.append(((reached, np.mean([rate.tar for rate in rates]) if reached else ratio), whitening, candidate))
    _, whitening, fitted = max(tried, key=lambda each: each[0])
    reported = [people[name] for name in parts["report"]]
    here = rows("report")
    measured, genuine, impostors = [], 0, 0
    pictures = {False: (unit_rows(face), unit_rows(mirror)), True: (fitted(face), fitted(mirror))}
    for space, (one, other) in pictures.items():
        for views, embeddings in (("face", one), ("face+mirror", _average(one, other))):
            rates, genuine, impostors = _judge(embeddings, reported)
            measured.append(SpaceRates(space=space, views=views, rates=rates))
    counts = {part: len(names) for part, names in parts.items()}
    return IsotropicSpace(
        fitted=fitted,
        declaration=SpaceDeclaration(
            dimension=fitted.dimension,
            isotropy=measure_isotropy(_average(*pictures[True])[here]),
            fitted=_words(data, counts, whitening),
        ),
        settings=whitening,
        measured=tuple(measured),
        people=counts,
        genuine=genuine,
        impostors=impostors,
        spectrum={
            "before": [round(float(value), 8) for value in spectrum(pictures[False][0][here])],
            "after": [round(float(value), 8) for value in spectrum(_average(*pictures[True])[here])],
        },
    )


def _deal(people: dict[str, list[int]], seed: int) -> dict[str, list[str]]:
    """People by part, by the hash of their names; those with several photos apart, since there are fewer."""
    parts: dict[str, list[str]] = {part: [] for part in _PARTS}
    turns = [part for part, share in _PARTS.items() for _ in range(share)]
    # so that few people, too, are dealt in about these shares
    turns = turns[::3] + turns[1::3] + turns[2::3]
    ordered = sorted(people, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    for several in (True, False):
        for turn, name in enumerate(name for name in ordered if (len(people[name]) > 1) == several):
            parts[turns[turn % len(turns)]].append(name)
    for part in ("choose", "report"):
        paired = sum(len(people[name]) > 1 for name in parts[part])
        if paired < 2:
            raise ValueError(
                f"data: expected at least 2 people with several photos to {part}, got {paired} of {len(people)} people"
            )
    return parts


def _embed(
    recogniser: RecogniserGraph,
    data: Path,
    paths: Sequence[str],
    points: Path | None,
    threads: int,
    on_photos: Callable[[int, int], None] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit embeddings (N, D) of photos' faces and of their mirror images."""
    given = None if points is None else landmarks(points)
    absent = [path for path in paths if given is not None and path not in given]
    if absent:
        raise ValueError(f"{points}: expected landmarks of every photo, got none of {len(absent)}, such as {absent[0]}")
    read = PhotoReader(root=data, paths=paths, points=given, detector=None if given else Detector(threads=threads))
    run = FaceRunner(recogniser.graph.SerializeToString(deterministic=True), threads=threads)
    face, mirror = [], []
    for start in range(0, len(paths), _BATCH):
        batch = torch.stack([read(row).face for row in range(start, min(start + _BATCH, len(paths)))])
        faces = to_grid(batch).permute(0, 2, 3, 1).contiguous().numpy()
        face.append(run(faces).reshape(len(faces), -1))
        mirror.append(run(mirrored(faces)).reshape(len(faces), -1))
        if on_photos is not None:
            on_photos(start + len(faces), len(paths))
    return unit_rows(np.concatenate(face)), unit_rows(np.concatenate(mirror))


def _average(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    return average_views([one, other])


def _judge(embeddings: NDArray[np.float64], people: list[list[int]]) -> tuple[tuple[Rate, ...], int, int]:
    """TAR at each FAR, of disjoint pairs of each person's photos; with the numbers of genuine and impostor pairs."""
    pairs = [(at, a, b) for at, rows in enumerate(people) for a, b in zip(rows[::2], rows[1::2], strict=False)]
    who = torch.tensor([at for at, _, _ in pairs])
    everybody = [row for rows in people for row in rows]
    labels = torch.tensor([at for at, rows in enumerate(people) for _ in rows])
    both = torch.from_numpy(embeddings)
    genuine = pair_scores(both[[a for _, a, _ in pairs]], both[[b for _, _, b in pairs]])
    rates, impostors = [], 0
    for far in FARS:
        found = cross_identity_threshold(both[everybody], labels, far=far)
        accepted = (genuine >= found.threshold).double()
        interval = identity_bootstrap_mean(accepted, who, generator=torch.Generator().manual_seed(0))
        rates.append(Rate(far, float(accepted.mean()), interval.low, interval.high))
        impostors = found.n_impostor
    return tuple(rates), len(pairs), impostors


def _words(data: Path, people: dict[str, int], settings: Whitening) -> str:
    """How a space was fitted, without this machine's folders."""
    return (
        f"{people['fit']} people of {data.name!r:.80} and their mirror images: {settings.dimension} principal axes, "
        f"shrinkage {settings.shrinkage:g}, exponent {settings.exponent:g}; isotropy on {people['report']} others"
    )

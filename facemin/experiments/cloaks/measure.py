"""One cloak measured: its people's photos cloaked at their own resolution, looked up plain and under attack."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from facemin.attack.purify.registry import PURIFIERS
from facemin.autograd.pixels import to_array, to_tensor, to_unit
from facemin.cloak.lay import lay
from facemin.cloak.p3_mask import dsim
from facemin.evaluation.verify import embed
from facemin.experiments.cloaks.attacks import train_head, without_estimate
from facemin.experiments.cloaks.people import cut
from facemin.experiments.cloaks.scoring import Gallery, Looked, thresholds, thresholds_between
from facemin.face import Detector, nearest_to_centre
from facemin.metrics import psnr, ssim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeAlias

    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.evaluation.networks import Distance
    from facemin.experiments.cloaks.people import Photographs
    from facemin.models import Recogniser

    Pixels = NDArray[np.uint8]
    Keep: TypeAlias = Callable[[str, Callable[[], dict[str, Tensor]]], dict[str, Tensor] | None]
    """From a judge's name, and what embeds all its conditions, to those embeddings."""

BATCH = 32
FOLDS = 5
"""Of the people, when a head is trained on all others."""
ESTIMATORS = {"estimate, blur-2": ("blur-2", 1.0), "estimate, tv-0.1": ("tv-0.1", 1.0), "estimate x2": ("blur-2", 2.0)}
"""How a mask is estimated from a person's photos, and how strongly the estimate is subtracted."""
_CLOAKED = "cloaked"
FUSED = "all together"
"""The adversary who adds up what all recognisers say."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PlainSide:
    """A recogniser's embeddings of everything plain, unit rows: people (P, T, D), distractors, impostors."""

    people: Tensor
    distractors: Tensor
    impostors: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Photos:
    """The faces that a cloak is measured on, all (N, T, 112, 112, 3) uint8.

    Attributes:
        plain: of the people, as in `Photographs.faces`.
        cloaked: cut out of the photos after the change was laid over them.
        removed: cut out after it was taken away again, by name of how; probes alone, (N, probes, ...).
        probes: places of the probes among T.
        enrolled: place of the enrolled photo among T.
    """

    plain: Pixels
    cloaked: Pixels
    removed: dict[str, Pixels]
    probes: slice
    enrolled: int

    @cached_property
    def quality(self) -> tuple[Tensor, Tensor]:
        """Cloaked and plain probes as tensors (N * probes, 3, 112, 112)."""
        return unit(self.cloaked[:, self.probes]), unit(self.plain[:, self.probes])


def unit(faces: Pixels) -> Tensor:
    """Faces (..., 112, 112, 3) as (N, 3, 112, 112) in [0, 1]."""
    return to_unit(to_tensor(faces.reshape(-1, *faces.shape[-3:])))


def embedded(recogniser: Recogniser, faces: Tensor) -> Tensor:
    """Unit rows (N, D)."""
    return torch.cat([embed(recogniser, part) for part in torch.split(faces, BATCH)])


def cloaked_photos(data: Photographs, changes: Sequence[NDArray[Any]], *, removing: int) -> Photos:
    """Lay changes over photos, and take masks off again.

    Args:
        data: the people.
        changes: of the first people, each (T, 112, 112, 3), or (1, 112, 112, 3) for a mask.
        removing: of how many people masks are taken away as well: at the very landmarks, at those that CenterFace
            finds where LFW's were used to lay it, and after JPEG.
    """
    first, taken = data.fit + 1, data.faces.shape[1]
    cloaked: list[Pixels] = []
    removed: dict[str, list[Pixels]] = {"removed": [], "removed, another detector": [], "removed after jpeg-90": []}
    detector = Detector(threads=1)
    for person, own in enumerate(changes):
        photos, points = data.photos[person], data.points[person]
        each = np.broadcast_to(own, (taken, *own.shape[1:]))
        laid = [
            lay(photo, change[None], where[None]) for photo, change, where in zip(photos, each, points, strict=True)
        ]
        cloaked.append(cut(np.stack(laid), points))
        if person < removing:
            rest = [(laid[at], each[at][None], points[at]) for at in range(first, taken)]
            anew = [_found(photo, detector, where) for photo, _, where in rest]
            exact = [lay(photo, change, where[None], remove=True) for photo, change, where in rest]
            off = [lay(photo, change, at[None], remove=True) for (photo, change, _), at in zip(rest, anew, strict=True)]
            lossy = to_array(PURIFIERS["jpeg-90"](to_unit(to_tensor(np.stack([photo for photo, _, _ in rest])))))
            late = [
                lay(photo, change, where[None], remove=True)
                for photo, (_, change, where) in zip(lossy, rest, strict=True)
            ]
            for name, photos_off in zip(removed, (exact, off, late), strict=True):
                removed[name].append(cut(np.stack(photos_off), points[first:]))
    return Photos(
        plain=data.faces[: len(changes)],
        cloaked=np.stack(cloaked),
        removed={name: np.stack(rows) for name, rows in removed.items() if rows},
        probes=slice(first, taken),
        enrolled=data.fit,
    )


def _found(photo: Pixels, detector: Detector, otherwise: NDArray[np.float32]) -> NDArray[np.float32]:
    faces = detector(photo)
    return nearest_to_centre(faces, *photo.shape[:2]).points if faces else otherwise


def looked_up(
    photos: Photos,
    judges: dict[str, Recogniser],
    plain: dict[str, PlainSide],
    *,
    fars: Sequence[float],
    purifiers: Sequence[str],
    attacked: int,
    adaptive: bool,
    keep: Keep,
) -> dict[str, dict[str, Looked]] | None:
    """Every condition under every judge.

    Args:
        photos: plain and cloaked faces.
        judges: recognisers by name.
        plain: what they see of everything plain.
        fars: whose thresholds decide.
        purifiers: done to cloaked probes.
        attacked: people on whose probes purifiers, estimated masks and removal are tried.
        adaptive: estimate masks and train heads.
        keep: asked for all embeddings by a judge, so that they may be kept between runs; None ends here.

    Returns:
        By judge, and by condition; None where `keep` ended it.
    """
    found: dict[str, dict[str, Looked]] = {}
    people = len(photos.plain)
    owners = torch.arange(people).repeat_interleave(photos.probes.stop - photos.probes.start)
    sides: dict[str, tuple[PlainSide, Tensor]] = {}
    # heads are trained on all photos, the rest looks at the enrolled ones and the probes
    first = 0 if adaptive else photos.enrolled
    for name, recogniser in judges.items():

        def embeddings(recogniser: Recogniser = recogniser) -> dict[str, Tensor]:
            changed = _purified(photos, purifiers, attacked, adaptive=adaptive)
            changed |= {condition: unit(faces[:attacked]) for condition, faces in photos.removed.items()}
            changed[_CLOAKED] = unit(photos.cloaked[:, first:])
            return {condition: embedded(recogniser, faces) for condition, faces in changed.items()}

        kept = keep(name, embeddings)
        if kept is None:
            return None
        side, seen = plain[name], kept.pop(_CLOAKED)
        rows = F.pad(seen.view(people, -1, seen.shape[1]), (0, 0, first, 0), value=torch.nan)
        sides[name] = side, rows
        found[name] = _cases(side, rows, photos, owners, fars)
        gallery = _gallery(side, side.people[:people, photos.enrolled], fars)
        for condition, changed in kept.items():
            found[name][condition] = gallery.look_up(changed, owners[: len(changed)])
        if adaptive:
            found[name] |= _with_heads(side, rows, photos, fars)
    if len(judges) > 1:
        whole = _fused(list(sides.values()))
        found[FUSED] = _cases(*whole, photos, owners, fars)
        if adaptive:
            found[FUSED] |= _with_heads(*whole, photos, fars)
    return found


def quality(photos: Photos, distance: Distance | None) -> dict[str, Tensor]:
    """How alike cloaked and plain probes look: `ssim`, `dsim`, `psnr` and a network's `distance`, (N,) each."""
    cloaked, plain = photos.quality
    measures = {
        "ssim": ssim(cloaked, plain, window="gaussian"),
        "dsim": dsim(cloaked, plain),
        "psnr": psnr(cloaked, plain),
    }
    return measures if distance is None else measures | {"distance": distance(cloaked, plain)}


def _purified(photos: Photos, purifiers: Sequence[str], attacked: int, *, adaptive: bool) -> dict[str, Tensor]:
    probes = unit(photos.cloaked[:attacked, photos.probes])
    made = {name: PURIFIERS[name](probes) for name in purifiers}
    if adaptive:
        for name, (purifier, strength) in ESTIMATORS.items():
            each = [
                without_estimate(unit(own), PURIFIERS[purifier], strength=strength) for own in photos.cloaked[:attacked]
            ]
            made[name] = torch.cat([own[photos.probes] for own in each])
    return made


def _cases(
    side: PlainSide, cloaked: Tensor, photos: Photos, owners: Tensor, fars: Sequence[float]
) -> dict[str, Looked]:
    """Protego's four: plain or cloaked probes against a gallery in which the people are plain or cloaked."""
    plain = side.people[: len(cloaked)]
    probes = {"plain": plain[:, photos.probes].flatten(0, 1), "cloaked": cloaked[:, photos.probes].flatten(0, 1)}
    enrolled = {"plain": plain[:, photos.enrolled], "cloaked": cloaked[:, photos.enrolled]}
    return {
        f"{probe} to {enrolment}": _gallery(side, enrolled[enrolment], fars).look_up(probes[probe], owners)
        for probe in probes
        for enrolment in enrolled
    }


def _gallery(side: PlainSide, enrolled: Tensor, fars: Sequence[float]) -> Gallery:
    return Gallery(enrolled=enrolled, distractors=side.distractors, thresholds=thresholds(side.impostors, fars))


def _with_heads(side: PlainSide, cloaked: Tensor, photos: Photos, fars: Sequence[float]) -> dict[str, Looked]:
    """Cloaked probes against a plain gallery behind heads that never saw the person: both sides, or probes alone."""
    plain = side.people[: len(cloaked)]
    parts: dict[str, list[Looked]] = {"head on both sides": [], "head on probes": []}
    folds = torch.arange(len(cloaked)).tensor_split(min(FOLDS, len(cloaked)))
    for fold in folds:
        others = torch.ones(len(cloaked), dtype=torch.bool)
        others[fold] = False
        probes, enrolled = cloaked[fold][:, photos.probes], plain[:, photos.enrolled]
        owners = fold.repeat_interleave(probes.shape[1])
        head = train_head(cloaked[others], plain[others], both=True)
        seen = PlainSide(people=side.people, distractors=head(side.distractors), impostors=head(side.impostors))
        gallery = _gallery(seen, head(enrolled), fars)
        parts["head on both sides"].append(gallery.look_up(head(probes.flatten(0, 1)), owners))
        head = train_head(cloaked[others], plain[others], both=False)
        limits = thresholds_between(head(side.impostors), side.impostors, fars)
        gallery = Gallery(enrolled=enrolled, distractors=side.distractors, thresholds=limits)
        parts["head on probes"].append(gallery.look_up(head(probes.flatten(0, 1)), owners))
    return {name: Looked.joined(found) for name, found in parts.items()}


def _fused(sides: Sequence[tuple[PlainSide, Tensor]]) -> tuple[PlainSide, Tensor]:
    """Embeddings of all recognisers side by side, each less its centre: the cosine is the mean of theirs."""
    centres = [side.impostors.mean(0) for side, _ in sides]

    def together(rows: list[Tensor]) -> Tensor:
        each = [F.normalize(part - centre, dim=-1) for part, centre in zip(rows, centres, strict=True)]
        return F.normalize(torch.cat(each, -1), dim=-1)

    whole = PlainSide(
        people=together([side.people for side, _ in sides]),
        distractors=together([side.distractors for side, _ in sides]),
        impostors=together([side.impostors for side, _ in sides]),
    )
    return whole, together([cloaked for _, cloaked in sides])

"""One cloak measured: its people's cloaked photos looked up by every recogniser, plain and under attack."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from facemin.attack.purify.registry import PURIFIERS
from facemin.evaluation.verify import embed
from facemin.experiments.cloaks.attacks import train_head, without_estimate
from facemin.experiments.cloaks.photos import unit
from facemin.experiments.cloaks.scoring import Gallery, Lookup, thresholds, thresholds_between

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from torch import Tensor

    from facemin.experiments.cloaks.photos import Photos
    from facemin.models import Recogniser

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


def embedded(recogniser: Recogniser, faces: Tensor) -> Tensor:
    """Unit rows (N, D)."""
    return torch.cat([embed(recogniser, part) for part in torch.split(faces, BATCH)])


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
) -> dict[str, dict[str, Lookup]] | None:
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
    found: dict[str, dict[str, Lookup]] = {}
    people = len(photos.plain)
    owners = torch.arange(people).repeat_interleave(photos.probes.stop - photos.probes.start)
    sides: dict[str, tuple[PlainSide, Tensor]] = {}
    # heads are trained on all photos, the rest looks at the enrolled ones and the probes
    first = 0 if adaptive else photos.enrolled

    @cache
    def changed() -> dict[str, Tensor]:
        made = _purified(photos, purifiers, attacked, adaptive=adaptive)
        made |= {condition: unit(faces[:attacked]) for condition, faces in photos.removed.items()}
        return made | {_CLOAKED: unit(photos.cloaked[:, first:])}

    for name, recogniser in judges.items():

        def embeddings(recogniser: Recogniser = recogniser) -> dict[str, Tensor]:
            return {condition: embedded(recogniser, faces) for condition, faces in changed().items()}

        kept = keep(name, embeddings)
        if kept is None:
            return None
        side, seen = plain[name], kept.pop(_CLOAKED)
        rows = F.pad(seen.view(people, -1, seen.shape[1]), (0, 0, first, 0), value=torch.nan)
        sides[name] = side, rows
        found[name] = _cases(side, rows, photos, owners, fars)
        gallery = _gallery(side, side.people[:people, photos.enrolled], fars)
        for condition, probes in kept.items():
            found[name][condition] = gallery.look_up(probes, owners[: len(probes)])
        if adaptive:
            found[name] |= _with_heads(side, rows, photos, fars)
    if len(judges) > 1:
        whole = _fused(list(sides.values()))
        found[FUSED] = _cases(*whole, photos, owners, fars)
        if adaptive:
            found[FUSED] |= _with_heads(*whole, photos, fars)
    return found


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
) -> dict[str, Lookup]:
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


def _with_heads(side: PlainSide, cloaked: Tensor, photos: Photos, fars: Sequence[float]) -> dict[str, Lookup]:
    """Cloaked probes against a plain gallery behind heads that never saw the person: both sides, or probes alone."""
    plain = side.people[: len(cloaked)]
    parts: dict[str, list[Lookup]] = {"head on both sides": [], "head on probes": []}
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
    return {name: Lookup.joined(found) for name, found in parts.items()}


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

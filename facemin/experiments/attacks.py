"""Attacks of the registry in an experiment: each fitted on one knowledge and measured on the same images."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch

from facemin.attack.budget import Budget
from facemin.attack.contract import FitError
from facemin.attack.registry import ATTACKS
from facemin.autograd.pixels import to_unit
from facemin.metrics import psnr, rank_k, ssim, threshold_at_far, wilson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from facemin.attack.contract import Attack, FittedLinker, FittedReconstructor, Knowledge

ENDLESS = Budget(seconds=float("inf"))
"""In which every attack takes all the epochs and steps of its settings."""


class AttackTrial(NamedTuple):
    """What an attack got out of some images.

    Attributes:
        name: of the attack in the registry.
        images: which of the images it was tried on.
        words: what was fitted.
        found: numbers, or {"missing": why} where it could not be fitted.
        seconds: fitting took.
    """

    name: str
    images: str
    words: str
    found: dict[str, Any]
    seconds: float


def choose_attacks(kind: str, names: Sequence[str] = ()) -> dict[str, Attack]:
    """The registry's attacks of a kind; those named, or all.

    Raises:
        ValueError: a name that is none of them.
    """
    known = {name: attack for name, attack in ATTACKS.items() if attack.kind == kind}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"attacks: expected some of {', '.join(known)}, got {', '.join(unknown)}")
    return {name: known[name] for name in names or known}


def try_linkers(
    attacks: Mapping[str, Attack],
    knowledge: Knowledge,
    *,
    probes: Mapping[str, Tensor],
    gallery: Tensor,
    far: float,
    budget: Budget = ENDLESS,
) -> Iterator[AttackTrial]:
    """Fit each linker and compare probes with everybody's plain second photo.

    Args:
        attacks: of kind "linker", by name.
        knowledge: what attackers hold; none of the people tested is in it.
        probes: images (N, 3, 112, 112), in [0, 1] or uint8, by what they are.
        gallery: plain faces of the same people, in their order.
        far: at which people count as linked, the threshold over these very impostors.
        budget: for all of them.

    Yields:
        One `AttackTrial` for each attack and kind of probe.
    """
    for name, found_fit, seconds in _fitted(attacks, knowledge, budget):
        if isinstance(found_fit, FitError):
            yield AttackTrial(name, "", "", {"missing": str(found_fit)}, seconds)
            continue
        made = cast("FittedLinker", found_fit)
        rows = made.gallery(_unit(gallery))
        for what, images in probes.items():
            found = linked(made.apply(_unit(images)), rows, far=far)
            yield AttackTrial(name, what, made.words, {**found, "trained_on": made.trained_on}, seconds)


def _fitted(attacks: Mapping[str, Attack], knowledge: Knowledge, budget: Budget) -> Iterator[tuple[str, Any, float]]:
    """Each attack by name, fitted within its share of the time, or why it could not be; and the seconds it took."""
    for place, (name, attack) in enumerate(attacks.items()):
        began = time.perf_counter()
        try:
            made: Any = attack.method.fit(knowledge, budget.part(1 / (len(attacks) - place)))
        except FitError as error:
            made = error
        yield name, made, time.perf_counter() - began


def try_reconstructors(
    attacks: Mapping[str, Attack],
    knowledge: Knowledge,
    *,
    images: Mapping[str, Tensor],
    faces: Tensor,
    budget: Budget = ENDLESS,
) -> Iterator[tuple[AttackTrial, Tensor]]:
    """Fit each reconstructor and measure what it makes of images against the faces they were made from.

    Args:
        attacks: of kind "reconstructor", by name.
        knowledge: what attackers hold.
        images: (N, 3, 112, 112), in [0, 1] or uint8, by what they are.
        faces: plain ones, in their order.
        budget: for all of them.

    Yields:
        One `AttackTrial` for each attack and kind of image, and the reconstructions (K, 3, 112, 112) in [0, 1], K <= N;
        none of them where the attack could not be fitted.
    """
    plain = _unit(faces)
    for name, found_fit, seconds in _fitted(attacks, knowledge, budget):
        if isinstance(found_fit, FitError):
            yield AttackTrial(name, "", "", {"missing": str(found_fit)}, seconds), plain[:0]
            continue
        made = cast("FittedReconstructor", found_fit)
        for what, given in images.items():
            again = made.apply(_unit(given[: made.most]))
            target = plain[: len(again)]
            found = {
                "n": len(again),
                "ssim": float(ssim(again, target).mean()),
                "psnr": float(psnr(again, target).clamp_max(100).mean()),
            }
            yield AttackTrial(name, what, made.words, found, seconds), again


def linked(probes: Tensor, gallery: Tensor, *, far: float) -> dict[str, Any]:
    """TAR at a FAR, the threshold over all of these probes' impostor scores, and rank 1; rows belong together."""
    scores = probes @ gallery.T
    same = torch.eye(len(scores), dtype=torch.bool)
    at = threshold_at_far(scores[~same], far=far)
    accepted, count = int((scores[same] >= at.threshold).sum()), len(scores)
    low, high = wilson(accepted, count)
    people = torch.arange(count)
    first = float(rank_k(probes, gallery, people, people, [1])[0])
    return {"tar": accepted / count, "n": count, "low": low, "high": high, "rank_1": first, "impostors": at.n_impostor}


def _unit(images: Tensor) -> Tensor:
    return to_unit(images) if images.dtype == torch.uint8 else images

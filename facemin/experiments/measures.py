"""Figures of one record, each with its count and 95 % interval; nothing here but the record decides them.

All work on the cosines that a record holds. A judge accepts at `score >= threshold` where the threshold was measured,
and at `score > kappa` where the paper has it so.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import torch

from facemin.evaluation.judge import Share, share
from facemin.metrics import auc, identity_bootstrap_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from facemin.experiments.store.records import Record
    from facemin.metrics import Area

NONE = Share(math.nan, math.nan, math.nan, 0)
"""What was not measured."""


FEWEST_TO_RANK = 2
"""Pairs of one person, and of two, below which nothing is said of how they rank."""


class NamedRate(NamedTuple):
    """A share, and which judge and operation it is of."""

    share: Share
    judge: str
    operation: str


class Trade(NamedTuple):
    """Both terms of UP (PMT, equation 9) at one bound of noise; `total` is their sum."""

    bound: float
    utility: Share
    privacy: Share
    """Mean distance of the two noisy images, in the distance's own unit."""

    @property
    def total(self) -> float:
        """UP."""
        return self.utility.value + self.privacy.value


def authorised(record: Record) -> tuple[str, ...]:
    """The judges whose keys were used, in their order."""
    return tuple(dict.fromkeys(key.recogniser for key in record.keys))


def unauthorised(record: Record) -> tuple[str, ...]:
    """All other judges."""
    return tuple(judge for judge in record.protected if judge not in authorised(record))


def operations(record: Record) -> tuple[str, ...]:
    """What was done to the uploads, "none" among it."""
    return tuple(next(iter(record.protected.values())))


def tar(record: Record, judge: str, operation: str = "none") -> Share:
    """Share of genuine pairs whose protected probe the judge accepts for the plain second face."""
    return share(_genuine(record, record.protected[judge][operation].other) >= record.thresholds[judge].threshold)


def far(record: Record, judge: str, operation: str = "none") -> Share:
    """Share of impostor pairs whose protected probe the judge accepts; not measured without such pairs."""
    if all(record.same):
        return NONE
    return share(_impostor(record, judge, operation) >= record.thresholds[judge].threshold)


def worst_far(record: Record, judges: Iterable[str], among: Iterable[str] | None = None) -> NamedRate | None:
    """The highest FAR of any of the judges after any operation; None without judges."""
    return _highest(NamedRate(far(record, judge, name), judge, name) for judge, name in _places(record, judges, among))


def mean_tar(record: Record, judges: Iterable[str], operation: str = "none") -> Share:
    """Mean TAR of several judges; the interval when pairs are drawn again, not measured without judges."""
    flags = [
        _genuine(record, record.protected[judge][operation].other) >= record.thresholds[judge].threshold
        for judge in judges
    ]
    return _mean_share(torch.stack(flags)) if flags else NONE


def union(record: Record, judges: Iterable[str], among: Iterable[str] | None = None) -> Share:
    """Share of genuine pairs that any of the judges accepts after any operation; not measured without judges.

    It is what somebody gets who tries everything, and more than chance lets the worst of them have.
    """
    names = tuple(operations(record) if among is None else among)
    flags = [
        _genuine(record, record.protected[judge][name].other) >= record.thresholds[judge].threshold
        for judge in judges
        for name in names
    ]
    return share(torch.stack(flags).any(0)) if flags else NONE


def areas(record: Record, judges: Iterable[str]) -> list[tuple[str, str, Area]]:
    """How well each judge's cosines tell pairs of one person from others after each operation; 0.5 is chance.

    None where there are too few pairs of either kind.
    """
    if min(sum(record.same), len(record.same) - sum(record.same)) < FEWEST_TO_RANK:
        return []
    return [
        (judge, name, _area(record.protected[judge][name].other, record.same))
        for judge in judges
        for name in operations(record)
    ]


@lru_cache(maxsize=4096)
def _area(scores: tuple[float, ...], same: tuple[bool, ...]) -> Area:
    """A report asks for the same areas in words and in tables."""
    genuine = [score for score, alike in zip(scores, same, strict=True) if alike]
    return auc(genuine, [score for score, alike in zip(scores, same, strict=True) if not alike])


def clean_tar(record: Record, judge: str) -> Share:
    """The same of plain probes."""
    return share(_genuine(record, record.clean[judge]) >= record.thresholds[judge].threshold)


def strict(record: Record, judge: str, operation: str = "none", *, kappa: float | None = None) -> Share:
    """Strict accuracy of protected probes (PMT, equation 10), at kappa, or at the judge's own threshold.

    Not measured without impostor pairs: equation 10 asks for both.
    """
    if all(record.same):
        return NONE
    return share(_strict_rows(record, judge, operation, kappa))


def clean_strict(record: Record, judge: str, *, kappa: float | None = None) -> Share:
    """The same of plain probes, which always match themselves."""
    if all(record.same):
        return NONE
    return share(_exceeds(record, judge, record.clean[judge], kappa) == torch.tensor(record.same))


def mean_strict(record: Record, judges: Iterable[str], *, kappa: float | None = None) -> Share:
    """Mean strict accuracy of several judges; the interval when pairs are drawn again."""
    names = tuple(judges)
    if not names or all(record.same):
        return NONE
    return _mean_share(torch.stack([_strict_rows(record, judge, "none", kappa) for judge in names]))


def worst(record: Record, judges: Iterable[str], among: Iterable[str] | None = None) -> NamedRate | None:
    """The highest TAR of any of the judges after any operation; None without judges."""
    return _highest(_rates(record, judges, among))


def weakest(record: Record, judges: Iterable[str], among: Iterable[str] | None = None) -> NamedRate | None:
    """The lowest TAR likewise."""
    return min(_rates(record, judges, among), key=lambda named: named.share.value, default=None)


def selectivity(record: Record) -> float:
    """Lowest raw TAR of an authorised judge minus the highest of any other after any operation."""
    own, other = weakest(record, authorised(record), ("none",)), worst(record, unauthorised(record))
    return math.nan if own is None or other is None else own.share.value - other.share.value


def trades(record: Record, judge: str, *, kappa: float | None = None) -> list[Trade]:
    """Utility and privacy at each bound of noise: at kappa, or at the judge's own threshold."""
    found = []
    for noisy in record.noise:
        if judge not in noisy.cosines:
            continue
        utility = share(_exceeds(record, judge, noisy.cosines[judge], kappa))
        privacy = NONE if noisy.distance is None else _mean_distance(noisy.distance)
        found.append(Trade(noisy.bound, utility, privacy))
    return found


def utility_privacy(record: Record, judge: str, *, bound: float, kappa: float | None) -> Share:
    """UP (PMT, equation 9) at one bound of noise, at kappa or the judge's own threshold; pairs are drawn again.

    Not measured without a distance, without noise of that bound, or of a judge that saw none.
    """
    for noisy in record.noise:
        if noisy.bound == bound and noisy.distance is not None and judge in noisy.cosines:
            utility = _exceeds(record, judge, noisy.cosines[judge], kappa).double()
            return mean(utility + torch.tensor(noisy.distance, dtype=torch.float64))
    return NONE


def mean(values: Tensor) -> Share:
    """Mean of values (N,) float64, with the interval when rows are drawn again; NaN for none."""
    if not len(values):
        return NONE
    low, high = identity_bootstrap_mean(values, torch.arange(len(values)), generator=torch.Generator().manual_seed(0))
    return Share(float(values.mean()), low, high, len(values))


@lru_cache(maxsize=1024)
def _mean_distance(distance: tuple[float, ...]) -> Share:
    """Every judge is shown beside the same distances of the same images."""
    return mean(torch.tensor(distance, dtype=torch.float64))


def mean_steps(record: Record) -> float:
    """Steps an image took, on average; NaN without protection."""
    return _average(record.spent.steps)


def mean_residual(record: Record, key: int = 0) -> float:
    """What remained to a key, on average; NaN without protection."""
    return _average([residuals[key] for residuals in record.spent.residuals])


def unreached(record: Record) -> int:
    """Images that ended with a key's residual unmet; those of a fixed number of steps have nothing to meet."""
    fixed = record.resolved["method"].get("residual") == 0
    return 0 if fixed else sum(bool(unmet) for unmet in record.spent.unmet)


def _mean_share(flags: Tensor) -> Share:
    """Mean over judges of flags (judges, pairs).

    Where all judges agree on every pair, as one alone does, it is a plain share, with Wilson's interval: drawing
    again from pairs that are all alike would say that nothing is uncertain.
    """
    return share(flags[0]) if bool((flags == flags[0]).all()) else mean(flags.double().mean(0))


def _strict_rows(record: Record, judge: str, operation: str, kappa: float | None) -> Tensor:
    scores = record.protected[judge][operation]
    kept = _exceeds(record, judge, scores.original, kappa)
    matched = _exceeds(record, judge, scores.other, kappa)
    return kept & (matched == torch.tensor(record.same))


def _exceeds(record: Record, judge: str, scores: tuple[float, ...], kappa: float | None) -> Tensor:
    cosines = torch.tensor(scores, dtype=torch.float64)
    return cosines > kappa if kappa is not None else cosines >= record.thresholds[judge].threshold


def _genuine(record: Record, scores: tuple[float, ...]) -> Tensor:
    return torch.tensor(scores, dtype=torch.float64)[torch.tensor(record.same)]


def _impostor(record: Record, judge: str, operation: str) -> Tensor:
    scores = torch.tensor(record.protected[judge][operation].other, dtype=torch.float64)
    return scores[~torch.tensor(record.same)]


def _rates(record: Record, judges: Iterable[str], among: Iterable[str] | None) -> list[NamedRate]:
    return [NamedRate(tar(record, judge, name), judge, name) for judge, name in _places(record, judges, among)]


def _places(record: Record, judges: Iterable[str], among: Iterable[str] | None) -> list[tuple[str, str]]:
    """Each judge after each operation."""
    names = tuple(operations(record) if among is None else among)
    return [(judge, name) for judge in judges for name in names]


def _highest(rates: Iterable[NamedRate]) -> NamedRate | None:
    return max(rates, key=lambda named: named.share.value, default=None)


def _average(values: Iterable[float]) -> float:
    numbers = tuple(values)
    return sum(numbers) / len(numbers) if numbers else math.nan

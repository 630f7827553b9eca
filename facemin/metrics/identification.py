"""Identification: one probe against a gallery, closed set (ranks) and open set (a threshold as well).

A person's score is the highest over that person's enrolments, and ranks count people, not images
(ISO/IEC 19795-1, identification rank). Ties are counted against the system: a probe ranks behind every other
person who scores as high as its own enrolment, so a matcher that returns a constant has the worst rank.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from facemin.metrics.comparison import BLOCK_ROWS, checked_embeddings


class OpenSet(NamedTuple):
    """Open-set error rates.

    Attributes:
        fpir: share of the searches for people who are not enrolled that return anybody; NaN without such.
        fnir: share of the searches for enrolled people that miss them; NaN without such.
        n_mated: number of searches for enrolled people.
        n_non_mated: number of searches for others.
    """

    fpir: float
    fnir: float
    n_mated: int
    n_non_mated: int


def ranks(probes: Tensor, gallery: Tensor, probe_labels: Tensor, gallery_labels: Tensor) -> Tensor:
    """Rank of each probe's own identity among all enrolled identities, 1 is best; ties pessimistic.

    Args:
        probes: (P, D), unit rows.
        gallery: (G, D), unit rows; several rows may share an identity.
        probe_labels: (P,), integers, each one enrolled (a closed set).
        gallery_labels: (G,), integers.

    Returns:
        (P,) int64 in 1..I, I the number of identities enrolled.

    Raises:
        ValueError: shapes or types do not fit; rows are not of unit length; a probe is not enrolled.
    """
    found = []
    for best, own in _searches(probes, gallery, probe_labels, gallery_labels):
        missing = int((own < 0).sum())
        if missing:
            raise ValueError(f"probe_labels: expected enrolled identities only, got {missing} others")
        found.append((best >= best.gather(1, own[:, None])).sum(1))
    return torch.cat(found)


def cmc(probes: Tensor, gallery: Tensor, probe_labels: Tensor, gallery_labels: Tensor) -> Tensor:
    """Cumulative match characteristic: share of probes with rank at most 1, 2, ..., I.

    Args and errors are those of ranks. Returns (I,) float64, rising to 1.
    """
    found = ranks(probes, gallery, probe_labels, gallery_labels)
    people = torch.unique(gallery_labels).numel()
    return torch.bincount(found - 1, minlength=people).cumsum(0).double() / found.numel()


def rank_k(probes: Tensor, gallery: Tensor, probe_labels: Tensor, gallery_labels: Tensor, ks: Sequence[int]) -> Tensor:
    """Share of probes whose own identity is among the k best, for each k.

    Args are those of ranks; each k in 1..I. Returns (len(ks),) float64.

    Raises:
        ValueError: as ranks; a k outside 1..I.
    """
    curve = cmc(probes, gallery, probe_labels, gallery_labels)
    outside = [k for k in ks if not 1 <= k <= curve.numel()]
    if outside:
        raise ValueError(f"ks: expected 1..{curve.numel()} (the identities enrolled), got {outside}")
    return curve[torch.tensor([k - 1 for k in ks], dtype=torch.long)]


def open_set(
    probes: Tensor,
    gallery: Tensor,
    probe_labels: Tensor,
    gallery_labels: Tensor,
    *,
    threshold: float,
    rank: int = 1,
) -> OpenSet:
    """FPIR and FNIR of searches that return at most `rank` people with scores >= threshold.

    Source: NIST FRTE 1:N, FPIR(N, T) and FNIR(N, R, T).

    Args:
        probes: (P, D), unit rows, of enrolled and of other people.
        gallery: (G, D), unit rows.
        probe_labels: (P,), integers.
        gallery_labels: (G,), integers.
        threshold: cosine a candidate must reach.
        rank: longest candidate list, at least 1.

    Raises:
        ValueError: shapes or types do not fit; rows are not of unit length; rank below 1.
    """
    if rank < 1:
        raise ValueError(f"rank: expected at least 1, got {rank}")
    alarms, misses, mated, n = 0, 0, 0, len(probes)
    for best, own in _searches(probes, gallery, probe_labels, gallery_labels):
        enrolled = own >= 0
        alarms += int((best[~enrolled].amax(1).double() >= threshold).sum())
        own_score = best[enrolled].gather(1, own[enrolled, None])
        listed = (best[enrolled] >= own_score).sum(1) <= rank
        misses += int((~(listed & (own_score[:, 0].double() >= threshold))).sum())
        mated += int(enrolled.sum())
    nan = float("nan")
    return OpenSet(alarms / (n - mated) if n > mated else nan, misses / mated if mated else nan, mated, n - mated)


def _searches(
    probes: Tensor, gallery: Tensor, probe_labels: Tensor, gallery_labels: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, per block of probes, (B, I) best score per identity and (B,) column of the own one or -1."""
    probes, probe_labels = checked_embeddings("probes", probes, probe_labels)
    gallery, gallery_labels = checked_embeddings("gallery", gallery, gallery_labels)
    if probes.shape[1] != gallery.shape[1] or probes.dtype != gallery.dtype:
        raise ValueError(
            f"probes, gallery: expected embeddings of one size and type, "
            f"got {probes.shape[1]} {probes.dtype}, {gallery.shape[1]} {gallery.dtype}"
        )
    people, column = torch.unique(gallery_labels, return_inverse=True)
    for block, labels in zip(torch.split(probes, BLOCK_ROWS), torch.split(probe_labels, BLOCK_ROWS), strict=True):
        scores = block @ gallery.T
        best = scores.new_full((len(block), len(people)), -torch.inf)
        best.scatter_reduce_(1, column.expand(len(block), -1), scores, "amax")
        at = torch.searchsorted(people, labels).clamp(max=len(people) - 1)
        yield best, torch.where(people[at] == labels, at, -1)

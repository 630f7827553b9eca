"""Verification: a pair is accepted when its score reaches a threshold measured on impostors.

Every function takes similarity scores (cosine, higher is more alike) and decides `score >= threshold`.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class ImpostorThreshold(NamedTuple):
    """A threshold and the impostors it was measured on.

    Attributes:
        threshold: lowest score that is accepted; exact in the scores' own floating type.
        far_measured: share of the impostor scores that reach the threshold, at most the FAR asked for.
        n_impostor: number of impostor scores.
        meaningful: whether n_impostor >= 1/far; where it is False no impostor may be accepted at all, the
            figure says nothing about that FAR, and whoever prints it has to say so.
    """

    threshold: float
    far_measured: float
    n_impostor: int
    meaningful: bool


class TarAtFar(NamedTuple):
    """TAR at a FAR, with all that is needed to judge it; fields as in ImpostorThreshold.

    Attributes:
        tar: share of the genuine scores that reach the threshold.
        n_genuine: number of genuine scores.
    """

    tar: float
    threshold: float
    far_measured: float
    n_genuine: int
    n_impostor: int
    meaningful: bool


class Rates(NamedTuple):
    """Accepted shares of the genuine (tar) and of the impostor (far) scores, with their numbers."""

    tar: float
    far: float
    n_genuine: int
    n_impostor: int


class Roc(NamedTuple):
    """A receiver operating characteristic: (K,) float64 each; thresholds fall, rates rise from 0 to 1."""

    far: Tensor
    tar: Tensor
    thresholds: Tensor


class FoldAccuracy(NamedTuple):
    """Cross-validated accuracy.

    Attributes:
        mean: mean of the folds' accuracies.
        std: their population standard deviation, as the field prints it.
        accuracies: (folds,) float64.
        thresholds: (folds,) float64, squared distances; as a cosine, 1 - threshold / 2.
    """

    mean: float
    std: float
    accuracies: Tensor
    thresholds: Tensor


def checked_scores(name: str, scores: Tensor) -> Tensor:
    """Return (N,) scores on the CPU, at least float32; ValueError unless some, floating and finite."""
    if scores.ndim != 1 or scores.numel() == 0 or not scores.is_floating_point():
        raise ValueError(f"{name}: expected a non-empty floating tensor (N,), got {scores.dtype} {tuple(scores.shape)}")
    scores = scores.detach().cpu()
    scores = scores if scores.dtype == torch.float64 else scores.float()
    bad = int(scores.isfinite().logical_not().sum())
    if bad:
        raise ValueError(f"{name}: expected finite scores, got {bad} of {scores.numel()} that are not")
    return scores


def admitted(far: float, n: int) -> int:
    """Return the largest number k of n impostors with k / n <= far; ValueError unless 0 < far < 1."""
    if not 0 < far < 1:
        raise ValueError(f"far: expected a fraction in (0, 1), got {far}")
    k = math.floor(far * n)
    # far * n may round across an integer (0.29 * 100 < 29): the quotient itself decides.
    if (k + 1) / n <= far:
        return k + 1
    return k if k / n <= far else k - 1


def just_above(score: Tensor) -> float:
    """Return the next larger number of the score's own floating type."""
    return float(torch.nextafter(score.cpu(), torch.tensor(math.inf, dtype=score.dtype)))


def threshold_at_far(impostor: Tensor, *, far: float) -> ImpostorThreshold:
    """Find the lowest threshold at which at most a share `far` of the impostors is accepted.

    It lies just above an impostor score (the next number of the scores' type), so impostors with equal
    scores are accepted together or not at all. Linear time: ten million scores take well under a second.

    Args:
        impostor: scores of different people's pairs, (N,), N >= 1/far to mean anything.
        far: false accept rate, a fraction in (0, 1): 1e-3, not 0.1.

    Raises:
        ValueError: scores empty, not 1-D, not floating or not finite; far outside (0, 1).
    """
    impostor = checked_scores("impostor", impostor)
    n = impostor.numel()
    k = admitted(far, n)
    # NumPy's selection stays linear on sorted scores, where torch.kthvalue turns quadratic.
    at = n - k - 1
    threshold = just_above(torch.from_numpy(np.partition(impostor.numpy(), at))[at])
    accepted = int((impostor >= threshold).sum())
    return ImpostorThreshold(threshold, accepted / n, n, meaningful=k >= 1)


def tar_at_far(genuine: Tensor, impostor: Tensor, *, far: float) -> TarAtFar:
    """Share of genuine pairs accepted at the lowest threshold whose measured FAR is at most `far`.

    Args:
        genuine: scores of same-person pairs, (P,).
        impostor: scores of different people's pairs, (N,), N >= 1/far to mean anything.
        far: false accept rate, a fraction in (0, 1).

    Raises:
        ValueError: scores empty, not 1-D, not floating or not finite; far outside (0, 1).

    Example:
        >>> genuine, impostor = torch.tensor([0.9, 0.8, 0.2]), torch.tensor([0.1, 0.3, 0.5, 0.7])
        >>> tar_at_far(genuine, impostor, far=0.25)[:3]
        (0.6666666666666666, 0.5000000596046448, 0.25)
    """
    at = threshold_at_far(impostor, far=far)
    rates = rates_at(genuine, impostor, at.threshold)
    return TarAtFar(rates.tar, at.threshold, rates.far, rates.n_genuine, rates.n_impostor, at.meaningful)


def rates_at(genuine: Tensor, impostor: Tensor, threshold: float) -> Rates:
    """Accepted shares of genuine (P,) and impostor (N,) scores at a threshold, e.g. one measured elsewhere.

    Raises:
        ValueError: scores empty, not 1-D, not floating or not finite; threshold not a number.
    """
    genuine, impostor = checked_scores("genuine", genuine), checked_scores("impostor", impostor)
    if math.isnan(threshold):
        raise ValueError("threshold: expected a number, got NaN")
    # In float64: torch would round the threshold to the scores' type first, and let its neighbour in.
    tar = int((genuine.double() >= threshold).sum()) / genuine.numel()
    far = int((impostor.double() >= threshold).sum()) / impostor.numel()
    return Rates(tar, far, genuine.numel(), impostor.numel())


def roc(genuine: Tensor, impostor: Tensor) -> Roc:
    """Rates at every distinct score of genuine (P,) and impostor (N,), from accepting none to accepting all.

    The first threshold is infinity (both rates 0), the last the lowest score (both rates 1).

    Raises:
        ValueError: scores empty, not 1-D, not floating or not finite.
    """
    genuine = checked_scores("genuine", genuine).double().sort().values
    impostor = checked_scores("impostor", impostor).double().sort().values
    scores = torch.unique(torch.cat([genuine, impostor])).flip(0)
    thresholds = torch.cat([scores.new_tensor([math.inf]), scores])

    def accepted(rising: Tensor) -> Tensor:
        return 1 - torch.searchsorted(rising, thresholds).double() / rising.numel()

    return Roc(accepted(impostor), accepted(genuine), thresholds)


def eer(genuine: Tensor, impostor: Tensor) -> float:
    """Equal error rate: where the ROC, its points joined by straight lines, has FAR = 1 - TAR.

    Nothing is binned. The straight line between two points is what tossing a coin for the pairs between them
    achieves (Fawcett, An introduction to ROC analysis, 2006, section 9).

    Args:
        genuine: scores of same-person pairs, (P,).
        impostor: scores of different people's pairs, (N,).

    Raises:
        ValueError: scores empty, not 1-D, not floating or not finite.
    """
    far, tar, _ = roc(genuine, impostor)
    frr = 1 - tar
    after = int((far >= frr).int().argmax())
    before = after - 1
    gap, next_gap = frr[before] - far[before], far[after] - frr[after]
    return float(far[before] + (far[after] - far[before]) * gap / (gap + next_gap))


def ten_fold_accuracy(cosines: Tensor, same: Tensor, *, folds: int = 10) -> FoldAccuracy:
    """Accuracy as the field reports it for LFW, CFP, AgeDB, CALFW and CPLFW.

    Folds are contiguous and never shuffled (LFW's list holds 300 genuine, then 300 impostor pairs per fold).
    On the other folds together the threshold of highest accuracy is picked, the lowest of several, from
    0, 0.01, ..., 3.99 on the squared distance 2 - 2 cos; a pair is called the same person if its distance is
    strictly below. That threshold is applied to the fold left out.
    Source: deepinsight/insightface, recognition/arcface_torch/eval/verification.py.

    Args:
        cosines: cosine of each pair's embeddings, (N,), in [-1, 1].
        same: whether a pair is of one person, (N,) bool, in the order of the official list.
        folds: number of folds, 2..N; the first N % folds of them are one pair longer.

    Raises:
        ValueError: cosines as in tar_at_far; same not bool or of another length; folds outside 2..N.
    """
    cosines = checked_scores("cosines", cosines)
    n = cosines.numel()
    if same.dtype != torch.bool or same.shape != cosines.shape:
        raise ValueError(f"same: expected a bool tensor ({n},), got {same.dtype} {tuple(same.shape)}")
    if not 2 <= folds <= n:
        raise ValueError(f"folds: expected 2..{n} (the number of pairs), got {folds}")
    grid = torch.arange(400, dtype=torch.float64) * 0.01
    correct = ((2 - 2 * cosines.double()) < grid[:, None]) == same.cpu()
    sizes = torch.tensor([n // folds + (fold < n % folds) for fold in range(folds)])
    fold_of = torch.arange(folds).repeat_interleave(sizes)
    hits = torch.zeros(len(grid), folds, dtype=torch.int64).index_add_(1, fold_of, correct.long())
    best = (hits.sum(1, keepdim=True) - hits).argmax(0)
    accuracies = hits.gather(0, best[None])[0].double() / sizes
    return FoldAccuracy(float(accuracies.mean()), float(accuracies.std(correction=0)), accuracies, grid[best])

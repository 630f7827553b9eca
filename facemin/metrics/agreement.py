"""Agreement of two labellings, with its permutation null."""

from typing import NamedTuple

import torch
from torch import Tensor


class Agreement(NamedTuple):
    """How two labellings of the same items agree.

    Attributes:
        hits: items on which they agree.
        expected: share on which they would agree if one were dealt out at random, in [0, 1]. Where most items are of
            one class this is high, so a high share of hits says little by itself.
        p: probability of as many hits or more under that, in (0, 1]; never below 1 / (draws + 1).
    """

    hits: int
    expected: float
    p: float


def permutation_test(said: Tensor, truth: Tensor, *, draws: int = 9999, seed: int = 0) -> Agreement:
    """Compare two labellings with what dealing one of them out at random gives.

    Unlike agreement beside the commonest class's share, it notices somebody who finds the few items of a rare class.

    Source: Phipson and Smyth 2010 (permutation p-values should never be zero), equation 2.

    Args:
        said: (N,) integers, N >= 1.
        truth: (N,) integers.
        draws: random orders tried.
        seed: of them.

    Raises:
        ValueError: labels that do not fit, or fewer than one draw.
    """
    if said.ndim != 1 or said.shape != truth.shape or not len(said) or draws < 1:
        raise ValueError(
            f"said, truth, draws: expected labels of one shape (N,), N >= 1, and a draw at least, "
            f"got {tuple(said.shape)}, {tuple(truth.shape)}, {draws}"
        )
    if said.is_floating_point() or truth.is_floating_point():
        raise ValueError(f"said, truth: expected integers, got {said.dtype}, {truth.dtype}")
    said, truth = said.cpu(), truth.cpu()
    generator = torch.Generator().manual_seed(seed)
    hits = int((said == truth).sum())
    dealt = torch.stack([said[torch.randperm(len(said), generator=generator)] for _ in range(draws)])
    as_good = int(((dealt == truth).sum(1) >= hits).sum())
    classes = torch.unique(torch.cat([said, truth]))
    shares = [(labels == classes[:, None]).double().mean(1) for labels in (said, truth)]
    return Agreement(hits, float(shares[0] @ shares[1]), (1 + as_good) / (draws + 1))

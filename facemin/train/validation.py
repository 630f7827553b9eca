"""Validation of a network in training: verification of held-out people."""

from __future__ import annotations

import itertools
import math
import random
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional as F

from facemin.autograd.pixels import to_unit
from facemin.evaluation.pairs import VerificationSet, fold_order
from facemin.evaluation.photo_reader import LoadedFace
from facemin.evaluation.verify import face_batches
from facemin.metrics import eer, pair_scores, ten_fold_accuracy

if TYPE_CHECKING:
    from torch import Tensor, nn

    from facemin.train.data.sources import FaceSource
    from facemin.train.data.split import Split


class Validation(NamedTuple):
    """Figures in the midst of a run: shares in [0, 1], and on how many pairs."""

    accuracy: float
    """Over ten folds, see `facemin.metrics.ten_fold_accuracy`."""
    eer: float
    pairs: int


def held_out_pairs(source: FaceSource, split: Split, *, count: int, seed: int) -> VerificationSet:
    """Pairs of the people held out: as many impostor as genuine ones, none twice.

    Each person gives the same number of genuine pairs, or all there are, so that nobody with hundreds of photos
    decides the figure. Impostor pairs are of two people drawn evenly.

    Args:
        source: the faces.
        split: says who is held out.
        count: genuine pairs at most.
        seed: of the drawing.

    Raises:
        ValueError: fewer than two people, or too few pairs for ten folds.
    """
    by_person: dict[int, list[int]] = {}
    for place, person in enumerate(split.held_out_identities.tolist()):
        by_person.setdefault(person, []).append(place)
    if len(by_person) < 2:
        raise ValueError(f"data.held_out: expected at least 2 people to form pairs of, got {len(by_person)}")
    generator = random.Random(seed)  # noqa: S311  (a choice of samples, no secret)
    groups = [by_person[person] for person in sorted(by_person)]
    genuine = _genuine(groups, count, generator)
    impostor = _impostor(groups, len(genuine), generator)
    pairs = torch.tensor(genuine + impostor, dtype=torch.int64).view(-1, 2)
    same = torch.arange(len(pairs)) < len(genuine)
    used, index = torch.unique(pairs, return_inverse=True)
    images = split.held_out_images[used].tolist()
    order = fold_order(same)
    return VerificationSet(
        source=f"{len(genuine)} genuine and {len(impostor)} impostor pairs of {len(groups)} people held out",
        images=len(images),
        read=lambda at: LoadedFace(to_unit(source.read(images[at])), True),
        pairs=index[order],
        same=same[order],
        people=split.held_out_identities[used],
    )


def validate(
    network: nn.Module, pairs: VerificationSet, *, device: torch.device, batch: int = 64, workers: int = 2
) -> Validation:
    """Measure a network on pairs; its mode and its weights are as they were before.

    Args:
        network: faces (B, 3, 112, 112) in [0, 1] to embeddings (B, D).
        pairs: of people it has not seen.
        device: where the network is.
        batch: faces embedded at once.
        workers: threads that read them.

    Raises:
        ValueError: an image that cannot be read, or embeddings that are not finite.
    """
    scores = pair_scores(*embed(network, pairs, device=device, batch=batch, workers=workers)[pairs.pairs].unbind(1))
    accuracy = ten_fold_accuracy(scores, pairs.same).mean
    return Validation(accuracy, eer(scores[pairs.same], scores[~pairs.same]), len(pairs.same))


def embed(
    network: nn.Module, pairs: VerificationSet, *, device: torch.device, batch: int = 64, workers: int = 2
) -> Tensor:
    """Unit embeddings (M, D) of a set's images in eval mode; arguments as for `validate`."""
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            rows = [
                F.normalize(network(faces.to(device))).float().cpu()
                for faces, _ in face_batches(pairs, batch=batch, workers=workers)
            ]
    finally:
        network.train(was_training)
    return torch.cat(rows)


def _genuine(groups: list[list[int]], count: int, generator: random.Random) -> list[tuple[int, int]]:
    possible = [math.comb(len(group), 2) for group in groups]
    quota = [0] * len(groups)
    # shares are filled up level by level: who has few pairs gives all, and the others share what is left
    left = min(count, sum(possible))
    open_groups = [at for at, pairs in enumerate(possible) if pairs]
    while left and open_groups:
        level = max(1, left // len(open_groups))
        generator.shuffle(open_groups)
        for at in open_groups:
            taken = min(level, possible[at] - quota[at], left)
            quota[at] += taken
            left -= taken
        open_groups = sorted(at for at in open_groups if quota[at] < possible[at])
    drawn = [
        (group[first], group[second])
        for group, number, pairs in zip(groups, quota, possible, strict=True)
        for first, second in (_unrank(rank) for rank in sorted(generator.sample(range(pairs), number)))
    ]
    generator.shuffle(drawn)
    return drawn


def _impostor(groups: list[list[int]], count: int, generator: random.Random) -> list[tuple[int, int]]:
    sizes = [len(group) for group in groups]
    possible = (sum(sizes) ** 2 - sum(size * size for size in sizes)) // 2
    if possible <= 2 * count:
        crossed = [pair for a, b in itertools.combinations(groups, 2) for pair in itertools.product(a, b)]
        return generator.sample(crossed, min(count, possible))
    drawn: dict[tuple[int, int], None] = {}
    attempts = 0
    while len(drawn) < count:
        attempts += 1
        # evenly over people as long as that finds new pairs, then over images, so that it ends
        counts = None if attempts < 20 * count else sizes
        first, second = generator.sample(groups, 2, counts=counts)
        if first is not second:
            a, b = sorted((generator.choice(first), generator.choice(second)))
            drawn[a, b] = None
    return list(drawn)


def _unrank(rank: int) -> tuple[int, int]:
    """Pair number `rank` in the order (1,0), (2,0), (2,1), (3,0), ..."""
    later = (1 + math.isqrt(1 + 8 * rank)) // 2
    return later, rank - later * (later - 1) // 2

"""Comparison scores: cosines of paired rows, and of all pairs of different people."""

from collections.abc import Iterator

import torch
from torch import Tensor

from facemin.metrics.verification import ImpostorThreshold, admitted, just_above

# Rows of embeddings compared at once with all later ones: 512 x 13,233 float32 scores are 27 MB.
BLOCK_ROWS = 512


def pair_scores(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of each row of a with the same row of b.

    Args:
        a: embeddings, (N, D); need not be of unit length.
        b: embeddings, (N, D).

    Returns:
        (N,) float64 in [-1, 1].

    Raises:
        ValueError: shapes differ or are not (N, D); a row is zero or not finite.
    """
    return named_cosines("a", a, "b", b)


def named_cosines(a_name: str, a: Tensor, b_name: str, b: Tensor) -> Tensor:
    """pair_scores whose errors call its inputs by the names they have where they came from."""
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(f"{a_name}, {b_name}: expected the same shape (N, D), got {tuple(a.shape)}, {tuple(b.shape)}")
    units: list[Tensor] = []
    for name, rows in ((a_name, a), (b_name, b)):
        wide = rows.detach().cpu().double()
        norms = wide.norm(dim=1, keepdim=True)
        bad = int((norms.isfinite() & (norms > 0)).logical_not().sum())
        if bad:
            raise ValueError(f"{name}: expected finite rows that are not zero, got {bad} others")
        units.append(wide / norms)
    cosines: Tensor = (units[0] * units[1]).sum(1)
    return cosines.clamp(-1, 1)


def checked_embeddings(name: str, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return (N, D) unit rows, at least float32, and (N,) integer labels on their device; else ValueError."""
    if embeddings.ndim != 2 or not embeddings.is_floating_point() or embeddings.shape[0] == 0:
        raise ValueError(
            f"{name}: expected floating embeddings (N, D), N >= 1, got {embeddings.dtype} {tuple(embeddings.shape)}"
        )
    if labels.shape != embeddings.shape[:1] or labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(
            f"{name}: expected {embeddings.shape[0]} integer labels, got {labels.dtype} {tuple(labels.shape)}"
        )
    embeddings = embeddings.detach()
    embeddings = embeddings if embeddings.dtype == torch.float64 else embeddings.float()
    off = (embeddings.norm(dim=1) - 1).abs()
    # Written so that NaN fails it too; 1e-2 leaves room for embeddings stored as float16.
    if not bool((off <= 1e-2).all()):
        raise ValueError(f"{name}: expected rows of unit length, got one off by {float(off.max()):.3g}")
    return embeddings, labels.to(embeddings.device)


def cross_identity_scores(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Impostor scores: the cosine of every unordered pair of rows with different labels, each once.

    LFW's 13,233 images give 87 million scores, 350 MB; where only a threshold is wanted
    cross_identity_threshold needs a fraction of that.

    Args:
        embeddings: (N, D), unit rows.
        labels: identity of each row, (N,), integers.

    Returns:
        (M,) in the embeddings' type (at least float32) and on their device; M may be 0.

    Raises:
        ValueError: shapes or types do not fit; rows are not of unit length.
    """
    embeddings, labels = checked_embeddings("embeddings", embeddings, labels)
    scores = embeddings.new_empty(_number_of_pairs(labels))
    filled = 0
    for block in _blocks(embeddings, labels):
        scores[filled : filled + block.numel()] = block
        filled += block.numel()
    return scores


def cross_identity_threshold(embeddings: Tensor, labels: Tensor, *, far: float) -> ImpostorThreshold:
    """threshold_at_far over cross_identity_scores, without ever holding all of those scores.

    Only about twice the share `far` of the scores is kept, and one block of 512 rows.

    Args:
        embeddings: (N, D), unit rows.
        labels: identity of each row, (N,), integers.
        far: false accept rate, a fraction in (0, 1).

    Raises:
        ValueError: as cross_identity_scores; far outside (0, 1); all rows have one label.
    """
    embeddings, labels = checked_embeddings("embeddings", embeddings, labels)
    n = _number_of_pairs(labels)
    if n == 0:
        raise ValueError(f"labels: expected at least two identities, got one for all {len(labels)} rows")
    k = admitted(far, n)
    top = embeddings.new_empty(0)
    floor = embeddings.new_tensor(-torch.inf)
    for block in _blocks(embeddings, labels):
        top = torch.cat([top, block[block > floor]])
        if top.numel() > 2 * (k + 1):
            top = top.topk(k + 1, sorted=False).values
            floor = top.min()
    top = top.topk(k + 1, sorted=False).values
    refused = top.min()
    return ImpostorThreshold(just_above(refused), int((top > refused).sum()) / n, n, meaningful=k >= 1)


def _number_of_pairs(labels: Tensor) -> int:
    n = labels.numel()
    sizes = torch.unique(labels, return_counts=True)[1]
    return n * (n - 1) // 2 - int((sizes * (sizes - 1) // 2).sum())


def _blocks(embeddings: Tensor, labels: Tensor) -> Iterator[Tensor]:
    for start in range(0, len(labels), BLOCK_ROWS):
        stop = start + BLOCK_ROWS
        scores = embeddings[start:stop] @ embeddings[start:].T
        different = labels[start:stop, None] != labels[None, start:]
        yield scores[different.triu(1)]

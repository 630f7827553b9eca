"""Classification heads that train a recogniser: softmax, SphereFace, CosFace and ArcFace.

A head is called with embeddings (B, D), not normalised, and labels (B,), and gives each face's loss (B,). Where a
face is a mixture of people (AHM), its loss is the weighted sum of the head's losses, one call a person: the margin is
then that person's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import cos, isfinite, pi, sin
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facemin.runtime.ranges import ranges

if TYPE_CHECKING:
    from collections.abc import Callable

WEIGHT_STD = 0.01
LEAST_SQUARED_SINE = 1e-6
"""Below it, a thousandth of a radian from 0 or pi, the sine's slope over the cosine, infinite at the end, is 0."""


@dataclass(frozen=True, kw_only=True)
class SoftmaxSettings:
    """Plain softmax over a linear layer.

    Args:
        bias: whether each class has one.
    """

    bias: bool = True


@dataclass(frozen=True, kw_only=True)
@ranges({"integer [1, 16]": "margin", "[0, inf)": "annealing_start annealing_rate annealing_least"})
class SphereFaceSettings:
    """Angular margin by a factor on the angle.

    Source: Liu et al. 2017 (SphereFace), section 3.3; the annealing of appendix G, with the numbers of the authors'
    published training file.

    Args:
        margin: m, an integer of 1 or more; the paper's is 4.
        annealing_start: lambda at step 0.
        annealing_rate: lambda at step t is start / (1 + rate * t), but no less than `annealing_least`.
        annealing_least: what lambda stays at.

    Raises:
        ValueError: a setting outside its range.
    """

    margin: int = 4
    annealing_start: float = 1000.0
    annealing_rate: float = 0.12
    annealing_least: float = 5.0


@dataclass(frozen=True, kw_only=True)
@ranges({"(0, inf)": "scale", "[0, 2)": "margin"})
class CosFaceSettings:
    """Margin subtracted from the cosine.

    Source: Wang et al. 2018 (CosFace), equation 4; Wang et al. 2018b (AM-Softmax), equation 6, is the same.

    Args:
        scale: s, above 0; factor on cosines.
        margin: m, in [0, 2).

    Raises:
        ValueError: a setting outside its range.
    """

    scale: float = 64.0
    margin: float = 0.35


@dataclass(frozen=True, kw_only=True)
@ranges({"(0, inf)": "scale", "[0, pi)": "margin"})
class ArcFaceSettings:
    """Margin added to the angle.

    Source: Deng et al. 2019 (ArcFace), equation 3.

    Args:
        scale: s, above 0; factor on cosines.
        margin: m in radians, in [0, pi).
        easy_margin: apply the margin to angles below pi/2 only, and none to others. Eases a start from scratch, but
            the logit then jumps up by s sin m where an angle passes pi/2.

    Raises:
        ValueError: a setting outside its range.
    """

    scale: float = 64.0
    margin: float = 0.5
    easy_margin: bool = False


class Head(nn.Module, ABC):
    """What all heads share: one weight row a class, and the loss.

    Args:
        embedding_size: length of an embedding, D.
        classes: number of people, C.

    Raises:
        ValueError: a size below 1.
    """

    def __init__(self, embedding_size: int, classes: int) -> None:
        super().__init__()
        if embedding_size < 1 or classes < 1:
            raise ValueError(f"expected an embedding_size and classes of 1 or more, got {embedding_size}, {classes}")
        self.weight = nn.Parameter(torch.empty(classes, embedding_size))
        nn.init.normal_(self.weight, std=WEIGHT_STD)

    def annealing(self, step: int) -> float:
        """The lambda of a training step (from 0) that `forward` wants; 0 for heads without a schedule."""
        del step
        return 0.0

    @abstractmethod
    def logits(self, embeddings: Tensor, labels: Tensor, *, annealing: float = 0.0) -> Tensor:
        """Logits (B, C) of embeddings (B, D), with the margin on each row's own label.

        Args:
            embeddings: (B, D), not normalised.
            labels: (B,), integers in [0, C).
            annealing: lambda, 0 or more: the label's logit is the mean of the one without a margin, weighted lambda,
                and the one with it, weighted 1. At 0 the margin is whole.

        Raises:
            ValueError: shapes, types or labels other than these. Labels on a GPU are not looked at, since that would
                stop it at every step; one that is out of range is torch's own error there.
        """

    def forward(self, embeddings: Tensor, labels: Tensor, *, annealing: float = 0.0) -> Tensor:
        """Cross-entropy in nats of each row, (B,); arguments and errors as for `logits`."""
        return F.cross_entropy(self.logits(embeddings, labels, annealing=annealing), labels, reduction="none")

    def check(self, embeddings: Tensor, labels: Tensor, annealing: float) -> None:
        """Raises ValueError as `logits` says."""
        classes, size = self.weight.shape
        if embeddings.dim() != 2 or embeddings.shape[1] != size:
            raise ValueError(f"embeddings: expected shape (B, {size}), got {tuple(embeddings.shape)}")
        if labels.shape != embeddings.shape[:1] or labels.dtype != torch.int64:
            raise ValueError(
                f"labels: expected shape ({embeddings.shape[0]},) and int64, got {tuple(labels.shape)}, {labels.dtype}"
            )
        if labels.device.type == "cpu" and bool(((labels < 0) | (labels >= classes)).any()):
            raise ValueError(
                f"labels: expected values from 0 to {classes - 1}, got {int(labels.min())} to {labels.max()}"
            )
        if not (isfinite(annealing) and annealing >= 0):
            raise ValueError(f"annealing: expected a finite number of 0 or more, got {annealing!r}")


class Softmax(Head):
    """Linear layer and softmax; see `SoftmaxSettings`. It has no margin, so labels and annealing change nothing."""

    def __init__(self, embedding_size: int, classes: int, settings: SoftmaxSettings | None = None) -> None:
        super().__init__(embedding_size, classes)
        self.settings = settings or SoftmaxSettings()
        self.bias = nn.Parameter(torch.zeros(classes)) if self.settings.bias else None

    def logits(self, embeddings: Tensor, labels: Tensor, *, annealing: float = 0.0) -> Tensor:
        """Logits (B, C); see `Head.logits`."""
        self.check(embeddings, labels, annealing)
        return F.linear(embeddings, self.weight, self.bias)


class MarginHead(Head):
    """A head on the cosines between embeddings and class weights, with a margin on the label's."""

    @abstractmethod
    def with_margin(self, cosines: Tensor) -> Tensor:
        """Cosines of rows to their own class, (B,) in [-1, 1] up to rounding, made harder; may fall below -1."""

    @abstractmethod
    def lengths(self, embeddings: Tensor) -> Tensor | float:
        """The factor on the cosines: one number, or one a row, (B, 1)."""

    def logits(self, embeddings: Tensor, labels: Tensor, *, annealing: float = 0.0) -> Tensor:
        """Logits (B, C); see `Head.logits`."""
        self.check(embeddings, labels, annealing)
        # times 64, what bfloat16 rounds off a cosine is as large as a logit that matters
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings = embeddings.to(torch.promote_types(embeddings.dtype, self.weight.dtype))
            cosines = F.linear(F.normalize(embeddings), F.normalize(self.weight))
            own = cosines.gather(1, labels[:, None])
            harder = (annealing * own + self.with_margin(own)) / (1 + annealing)
            return self.lengths(embeddings) * cosines.scatter(1, labels[:, None], harder)


class SphereFace(MarginHead):
    """Angle times m, on embeddings of any length; see `SphereFaceSettings`.

    The paper's psi(theta) = (-1)^k cos(m theta) - 2 k for theta in [k pi / m, (k + 1) pi / m] falls all the way from
    0 to pi. cos(m theta) is computed as a polynomial in cos(theta) (Chebyshev's), so its slope is finite everywhere.
    Without annealing it seldom learns: pass `annealing(step)`.
    """

    def __init__(self, embedding_size: int, classes: int, settings: SphereFaceSettings | None = None) -> None:
        super().__init__(embedding_size, classes)
        self.settings = settings or SphereFaceSettings()

    def annealing(self, step: int) -> float:
        """Lambda at a training step, from 0 on."""
        settings = self.settings
        return max(settings.annealing_least, settings.annealing_start / (1 + settings.annealing_rate * step))

    def with_margin(self, cosines: Tensor) -> Tensor:
        """psi(theta); (B, 1) -> (B, 1)."""
        margin = self.settings.margin
        multiple, before = cosines, torch.ones_like(cosines)
        for _ in range(margin - 1):
            multiple, before = 2 * cosines * multiple - before, multiple
        angles = torch.acos(cosines.detach().clamp(-1, 1))
        turns = (angles * (margin / pi)).floor().clamp(max=margin - 1)
        return (1 - 2 * (turns % 2)) * multiple - 2 * turns

    def lengths(self, embeddings: Tensor) -> Tensor:
        """The embeddings' own lengths, (B, 1)."""
        lengths: Tensor = torch.linalg.vector_norm(embeddings, dim=1, keepdim=True)
        return lengths


class CosFace(MarginHead):
    """Cosine minus m; see `CosFaceSettings`."""

    def __init__(self, embedding_size: int, classes: int, settings: CosFaceSettings | None = None) -> None:
        super().__init__(embedding_size, classes)
        self.settings = settings or CosFaceSettings()

    def with_margin(self, cosines: Tensor) -> Tensor:
        """cos(theta) - m; (B, 1) -> (B, 1)."""
        return cosines - self.settings.margin

    def lengths(self, embeddings: Tensor) -> float:
        """The scale."""
        del embeddings
        return self.settings.scale


class ArcFace(MarginHead):
    """Angle plus m; see `ArcFaceSettings`.

    Past theta + m = pi the cosine would rise again and reward a wrong angle. There the logit is cos(theta) - m sin(m),
    as in the authors' code: it keeps falling in theta, and lies below what it was before the turn.
    """

    def __init__(self, embedding_size: int, classes: int, settings: ArcFaceSettings | None = None) -> None:
        super().__init__(embedding_size, classes)
        self.settings = settings or ArcFaceSettings()

    def with_margin(self, cosines: Tensor) -> Tensor:
        """cos(theta + m) where that falls; (B, 1) -> (B, 1)."""
        margin = self.settings.margin
        sines = (1 - cosines.square()).clamp_min(LEAST_SQUARED_SINE).sqrt()
        added = cosines * cos(margin) - sines * sin(margin)
        if self.settings.easy_margin:
            return torch.where(cosines > 0, added, cosines)
        return torch.where(cosines >= -cos(margin), added, cosines - margin * sin(margin))

    def lengths(self, embeddings: Tensor) -> float:
        """The scale."""
        del embeddings
        return self.settings.scale


HEADS: dict[str, Callable[..., Head]] = {
    "softmax": Softmax,
    "sphereface": SphereFace,
    "cosface": CosFace,
    "arcface": ArcFace,
}
"""Heads by name; each is made of an embedding's length, the number of classes and, where wanted, its settings."""

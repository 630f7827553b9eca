"""P3-Mask: one personalised mask learnt across a person's photos, within a bound and a budget of visible change.

Source: Chow, Hu, Huang and Liu, Personalized Privacy Protection Mask Against Unauthorized Facial Recognition, 2024
(Chameleon): minimise -sum_m arccos<f_m(x), f_m(x + P)> + lambda * max(0, DSIM(x, x + P) - tau), DSIM = (1 - SSIM) / 2,
by steps of the gradient's sign over the person's photos, lambda halved and doubled as DSIM lies below or above tau.

Ours, and not the paper's: photos mirrored and masks displaced while learning (`mirrored`, `jitter`), without which a
mask of few photos holds on those few; the fading border (`taper`); the end, where a mask that is still too visible is
scaled down until its mean DSIM is within tau; and the angle taken from the chord, whose slope does not vanish at first.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch

from facemin.cloak.mask_file import Mask
from facemin.cloak.surrogates import Team
from facemin.cloak.universal import Ascent, displaced, grey_levels, person_faces, plain_embeddings, started, window
from facemin.metrics import ssim
from facemin.runtime.compute import Compute

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.models import Recogniser

_POLE = 1 - 1e-4
"""Beyond this sine the slope of the arc is all but infinite."""
_TINY = 1e-12
_LAMBDA = 129.0
"""Outside [1 / 129, 129] lambda starts again at 1."""
_HALVINGS = 12


@dataclass(frozen=True, kw_only=True)
class P3Mask:
    """Fit a personalised privacy protection mask.

    Args:
        epsilon: bound of every value, grey levels.
        tau: DSIM, (1 - SSIM) / 2, that costs nothing; 0.03 is an SSIM of 0.94.
        step: of the gradient's sign, grey levels.
        epochs: passes over the photos.
        together: photos a step.
        taper: pixels over which the mask fades at the crop's border; 0 for the paper's.
        jitter: pixels by which the mask is displaced anew at each step; ours, 0 for the paper's.
        mirrored: learn from each photo's mirror image too; ours.
        momentum: of the gradients; ours, 0 for the paper's.
    """

    product: ClassVar[Literal["photo"]] = "photo"

    epsilon: int = 16
    tau: float = 0.03
    step: float = 0.255
    epochs: int = 50
    together: int = 4
    taper: int = 6
    jitter: float = 1.0
    mirrored: bool = True
    momentum: float = 0.9

    def __post_init__(self) -> None:
        if not (1 <= self.epsilon <= 32 and 0 < self.tau < 1 and self.step > 0 and 0 <= self.taper <= 56):
            raise ValueError(
                "P3Mask: expected epsilon in [1, 32], tau in (0, 1), step above 0 and taper in [0, 56], "
                f"got {self.epsilon}, {self.tau}, {self.step}, {self.taper}"
            )
        if not (0 <= self.jitter <= 16 and 0 <= self.momentum <= 1):
            raise ValueError(
                f"P3Mask: expected jitter in [0, 16] pixels and momentum in [0, 1], got {self.jitter}, {self.momentum}"
            )
        if self.epochs < 1 or self.together < 1:
            raise ValueError(f"P3Mask: expected epochs and together of at least 1, got {self.epochs}, {self.together}")

    def fit(
        self,
        faces: NDArray[np.uint8],
        surrogates: Sequence[Recogniser],
        *,
        seed: int = 0,
        compute: Compute | None = None,
        on_step: Callable[[int, int], None] | None = None,
    ) -> Mask:
        """Learn a person's mask.

        Args:
            faces: aligned, of one person, uint8 RGB (N, 112, 112, 3); many different ones carry over better.
            surrogates: recognisers to be led astray.
            seed: of the start and the order, in [0, 2^128).
            compute: where and in which precision.
            on_step: told before each epoch how many were taken, and of how many.

        Raises:
            ValueError: no face or surrogate, or another shape or type.
        """
        plain = person_faces(faces, mirrored=self.mirrored)
        team = Team.on(surrogates, compute or Compute())
        features = plain_embeddings(team, plain)
        plain, weight = plain.to(team.device), window(self.taper).to(team.device)
        change = started(self.step / 255, seed).to(team.device)
        dice = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 1])))
        climb = Ascent(step=self.step / 255, bound=self.epsilon / 255, momentum=self.momentum)
        penalty = 1.0
        for epoch in range(self.epochs):
            if on_step is not None:
                on_step(epoch, self.epochs)
            seen = []
            for rows in torch.split(torch.from_numpy(dice.permutation(len(plain))), self.together):
                change.requires_grad_()
                cloaked = (plain[rows] + displaced(change * weight, len(rows), self.jitter, dice)).clamp(0, 1)
                angle = _angle(team(cloaked), [own[rows] for own in features])
                visible = dsim(cloaked, plain[rows])
                seen.append(visible.detach())
                gain = (angle - penalty * (visible - self.tau).clamp_min(0)).mean()
                change = climb(change, gain)
            penalty = _adapted(penalty, float(torch.cat(seen).mean()), self.tau)
        return Mask.make(
            grey_levels(self._within_budget(change * weight, plain)),
            method="p3-mask",
            epsilon=self.epsilon,
            photos=len(faces),
            surrogates=team.described,
            settings=asdict(self),
        )

    def _within_budget(self, change: Tensor, plain: Tensor) -> Tensor:
        """The change itself where its mean DSIM is within tau, else as much of it as is."""
        with torch.no_grad():
            if self._visible(change, plain) <= self.tau:
                return change
            low, high = 0.0, 1.0
            for _ in range(_HALVINGS):
                middle = (low + high) / 2
                low, high = (middle, high) if self._visible(middle * change, plain) <= self.tau else (low, middle)
            return low * change

    def _visible(self, change: Tensor, plain: Tensor) -> float:
        rounded = (change * 255).round() / 255
        return float(dsim((plain + rounded).clamp(0, 1), plain).mean())


def dsim(cloaked: Tensor, plain: Tensor) -> Tensor:
    """Structural dissimilarity (B,) of images (B, 3, H, W) in [0, 1]: (1 - SSIM) / 2, Gaussian window."""
    return (1 - ssim(cloaked, plain, window="gaussian")) / 2


def _angle(moved: Sequence[Tensor], features: Sequence[Tensor]) -> Tensor:
    """Angles between moved and plain features, added over the team, (B,)."""
    return torch.stack(
        [2 * (_chord(row, own) / 2).clamp_max(_POLE).arcsin() for row, own in zip(moved, features, strict=True)]
    ).sum(0)


def _chord(moved: Tensor, plain: Tensor) -> Tensor:
    # as the arc cosine of the product, but with a slope where they are nearly the same, which is where all masks begin
    return ((moved - plain).square().sum(1) + _TINY).sqrt()


def _adapted(penalty: float, visible: float, tau: float) -> float:
    if visible <= 0.9 * tau:
        penalty /= 2
    elif visible >= 1.1 * tau:
        penalty *= 2
    return penalty if 1 / _LAMBDA <= penalty <= _LAMBDA else 1.0

"""P3-Mask: one personalised mask learnt across a person's photos, within a bound and a budget of visible change.

Source: Chow, Hu, Huang and Liu, Personalized Privacy Protection Mask Against Unauthorized Facial Recognition, 2024
(Chameleon): minimise -sum_m arccos<f_m(x), f_m(x + P)> + lambda * max(0, DSIM(x, x + P) - tau), DSIM = (1 - SSIM) / 2,
by steps of the gradient's sign over the person's photos, lambda halved and doubled as DSIM lies below or above tau.

Ours, and not the paper's: mirror images among the photos (`mirrored`), since a mask of few photos holds on those few;
the fading border (`taper`); the end, where a mask is scaled, up or down, until its mean DSIM is tau, so that few steps
leave nothing of the budget unused; and the angle taken from the chord, whose slope does not vanish at the start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from facemin.cloak.universal import PersonSeen, UniversalMask, climb
from facemin.metrics import ssim
from facemin.runtime.ranges import ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

_POLE = 1 - 1e-4
"""Beyond this sine the slope of the arc is all but infinite."""
_TINY = 1e-12
_LAMBDA = 129.0
"""Outside [1 / 129, 129] lambda starts again at 1."""
_HALVINGS = 14
_LARGEST_SCALE = 4.0


@dataclass(frozen=True, kw_only=True)
@ranges({"[1, 32]": "epsilon", "(0, 1)": "tau", "(0, inf)": "step", "[1, inf)": "epochs together", "[0, 56]": "taper"})
class P3Mask(UniversalMask):
    """Fit a personalised privacy protection mask.

    Args:
        epsilon: bound of every value, grey levels.
        tau: DSIM, (1 - SSIM) / 2, that costs nothing; 0.03 is an SSIM of 0.94.
        step: of the gradient's sign, grey levels.
        epochs: passes over the photos.
        together: photos a step.
        taper: pixels over which the mask fades at the crop's border; 0 for the paper's.
        mirrored: learn from each photo's mirror image too; ours, False for the paper's.
    """

    epsilon: int = 16
    tau: float = 0.03
    step: float = 0.255
    epochs: int = 50
    together: int = 4
    taper: int = 6
    mirrored: bool = True

    def _learnt(
        self, seen: PersonSeen, change: Tensor, weight: Tensor, seed: int, on_step: Callable[[int, int], None]
    ) -> Tensor:
        order = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 1])))
        penalty = 1.0
        for epoch in range(self.epochs):
            on_step(epoch, self.epochs)
            visible_so_far = []
            for rows in torch.split(torch.from_numpy(order.permutation(len(seen.plain))), self.together):
                change.requires_grad_()
                cloaked = (seen.plain[rows] + change * weight).clamp(0, 1)
                angle = _angle(seen.team(cloaked), [own[rows] for own in seen.features])
                visible = dsim(cloaked, seen.plain[rows])
                visible_so_far.append(visible.detach())
                gain = (angle - penalty * (visible - self.tau).clamp_min(0)).mean()
                change = climb(change, gain, step=self.step / 255, bound=self.epsilon / 255)
            penalty = _adapted(penalty, float(torch.cat(visible_so_far).mean()), self.tau)
        return self._to_budget(change * weight, seen.plain)

    @property
    def name(self) -> str:
        """Of the method."""
        return "p3-mask"

    def _to_budget(self, change: Tensor, plain: Tensor) -> Tensor:
        """As much of the change, or as many times it, as has a mean DSIM of tau; never beyond the bound."""
        bound = self.epsilon / 255
        with torch.no_grad():
            low, high = 0.0, _LARGEST_SCALE
            for _ in range(_HALVINGS):
                middle = (low + high) / 2
                visible = self._visible((middle * change).clamp(-bound, bound), plain)
                low, high = (middle, high) if visible <= self.tau else (low, middle)
            return (low * change).clamp(-bound, bound)

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

"""The objective of PMT and MR-PMT: the protected image's features equal the plain face's, for every key."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Literal

import torch
from torch.nn import functional as F

from facemin.autograd.distance import relative_distance
from facemin.protection.pmt import separable as linear_maps
from facemin.protection.pmt.jpeg import jpeg
from facemin.protection.pmt.optimise import ROWS_AT_LEAST, LossAndEstimate, StepContext

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from facemin.autograd.module import OnnxModule
    from facemin.keys.key import Key
    from facemin.protection.pmt.transforms import Transform

Target = Literal["plain", "same", "apart"]
"""Whether T acts on the protected image alone, or on the face as well: by the same draw, or by one of its own."""

APART = 1 << 128
"""Above every seed: turns an image's seed into that of its face's own draws."""

PERIOD = 10
"""Steps between two looks at the residuals of an image under T, which may cost as much as a step."""


class FeatureMatching:
    """Weighted sum over keys of the relative feature distance ||f_i(x~) - f_i(x)|| / ||f_i(x)||.

    Source: PMT Eq. 7 for one key, Eq. 8 for several, Algorithm 2, lines 5 to 9, with a transform. Dividing by the
    plain face's norm makes keys with features of different size count alike; for one key it changes nothing, since
    every step rule is scale-free.

    Args:
        keys: at least one.
        residual: the distance to reach for every key; each key's own when None.
        device: where to compute.
        weights: one a key, above 0; all alike when None.
        transform: T, drawn anew for each image and step; None for none. An image then ends when its residual is met
            by the worst of `CHECKS`.
        target: "same" applies T to the face too, as Algorithm 2 has it; "apart" as well, by a draw of its own each
            step, which Algorithm 2 does not rule out; "plain" keeps the plain face's features.
        pool: side of the grid that layers are averaged to before they are compared; None for whole layers.
        precision: what the shallow models compute gradients in; residuals are float32 always.

    Raises:
        ValueError: when there is no key, or a setting is out of range.
    """

    @torch.inference_mode(mode=False)
    def __init__(
        self,
        keys: Sequence[Key],
        *,
        residual: float | None,
        device: torch.device,
        weights: Sequence[float] | None = None,
        transform: Transform | None = None,
        target: Target = "plain",
        pool: int | None = None,
        precision: torch.dtype = torch.float32,
    ) -> None:
        if not keys:
            raise ValueError("keys: expected at least one provider key, got none")
        if residual is not None and not 0 <= residual <= 2:
            raise ValueError(f"residual: expected in [0, 2], got {residual}")
        weights = [1.0] * len(keys) if weights is None else list(weights)
        if len(weights) != len(keys) or not all(0 < weight < float("inf") for weight in weights):
            raise ValueError(f"weights: expected {len(keys)} numbers above 0, one a key, got {weights}")
        if pool is not None and pool < 1:
            raise ValueError(f"pool: expected a side of at least 1, or none, got {pool}")
        self.shallow = tuple(_on(key.shallow, device) for key in keys)
        self.quick = tuple(_in(shallow, precision) for shallow in self.shallow)
        limits = [key.manifest.residual if residual is None else residual for key in keys]
        self.limits = torch.tensor(limits, device=device, dtype=torch.float32)
        self.weights = torch.tensor(weights, device=device, dtype=torch.float32)
        self.transform, self.target, self.pool, self.precision = transform, target, pool, precision
        self.period = 1 if transform is None else PERIOD

    def targets(self, faces: Tensor) -> tuple[Tensor, ...]:
        """Each key's features of plain faces (B, 3, 112, 112), and the faces where T will act on them."""
        features = self._features(self.shallow, faces)
        return features if self.transform is None or self.target == "plain" else (*features, faces)

    def __call__(self, images: Tensor, targets: tuple[Tensor, ...], moment: StepContext) -> LossAndEstimate:
        """See `optimise.Objective`."""
        if self.transform is None:
            distances = self._distances(images, targets)
            return LossAndEstimate(distances @ self.weights, distances.detach())
        plain = targets
        if self.target != "plain":
            drawn = moment if self.target == "same" else _apart(moment)
            with torch.no_grad():
                targets = self._features(self.quick, self.transform(targets[-1], drawn).to(self.precision))
        loss = self._distances(self.transform(images, moment), targets) @ self.weights
        return LossAndEstimate(loss, self._screen(images.detach(), plain, moment))

    @torch.no_grad()
    def _screen(self, images: Tensor, targets: tuple[Tensor, ...], moment: StepContext) -> Tensor:
        """Estimated residuals of rows that are looked at now, (B, M); infinite for others and for those that fail.

        The probes come one after another, so that a row which fails the first costs nothing more.
        """
        worst = torch.full((len(images), len(self.limits)), torch.inf, device=images.device)
        rows = ((moment.steps % self.period == 0) & (moment.steps > 0)).nonzero().flatten()
        found = torch.zeros(len(rows), len(self.limits), device=images.device)
        for probe in CHECKS.values():
            if not len(rows):
                return worst
            # a batch of one would differ in its last bits, and by them from the same row among others
            padded = rows if len(rows) >= ROWS_AT_LEAST else rows.expand(ROWS_AT_LEAST)
            own = tuple(target[padded] for target in targets)
            found = torch.maximum(found, self._distances(probe(images[padded]), own)[: len(rows)])
            kept = (found <= self.limits).all(1)
            rows, found = rows[kept], found[kept]
        worst[rows] = found
        return worst

    def residuals(self, images: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
        """See `optimise.Objective`; with a transform the largest distance under any of `CHECKS`."""
        probes = CHECKS.values() if self.transform is not None else (CHECKS["none"],)
        found = [self._compared(self._features(self.shallow, probe(images)), targets) for probe in probes]
        return torch.stack(found).amax(0)

    def _distances(self, images: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
        return self._compared(self._features(self.quick, images.to(self.precision)), targets)

    def _features(self, modules: tuple[OnnxModule, ...], images: Tensor) -> tuple[Tensor, ...]:
        """What is compared, one float32 tensor a key."""
        return tuple(self._aggregated(module.layers(images)) for module in modules)

    def _aggregated(self, layers: tuple[Tensor, ...]) -> Tensor:
        if len(layers) == 1 and self.pool is None:
            return layers[0].float()
        kept = [layer.float() for layer in layers]
        if self.pool is not None:
            kept = [F.adaptive_avg_pool2d(layer, self.pool) if layer.dim() == 4 else layer for layer in kept]
        return torch.cat([layer.flatten(1) for layer in kept], 1)

    @staticmethod
    def _compared(features: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
        # targets may hold the faces, last
        pairs = zip(features, targets, strict=False)
        return torch.stack([relative_distance(own, target) for own, target in pairs], 1)


def _apart(moment: StepContext) -> StepContext:
    return moment._replace(seeds=tuple(seed ^ APART for seed in moment.seeds))


def _mapped(images: Tensor, matrix: Tensor) -> Tensor:
    both = matrix.to(images).expand(len(images), -1, -1)
    return linear_maps.apply(images, both, both)


CHECKS: dict[str, Callable[[Tensor], Tensor]] = {
    "blur-1": lambda images: _mapped(images, linear_maps.blur_matrix(1.0)),
    "none": lambda images: images,
    "resize-0.75": lambda images: _mapped(images, linear_maps.resize_matrix(84)),
    "jpeg-75": lambda images: jpeg(images, torch.full((len(images),), 75, device=images.device)),
}
"""What an image has to withstand before it counts as finished under T; the hardest first."""


def _on(shallow: OnnxModule, device: torch.device) -> OnnxModule:
    """The module there; a copy where it would have to move, since a key may serve several devices at once."""
    at_home = all(buffer.device == device for buffer in shallow.buffers())
    return shallow if at_home else copy.deepcopy(shallow).to(device)


def _in(shallow: OnnxModule, precision: torch.dtype) -> OnnxModule:
    return shallow if precision == torch.float32 else copy.deepcopy(shallow).to(precision)

"""Perceptual distance: how far apart a network's feature maps of two images lie.

The distance belongs to the network and the channel weights it was computed with, and so does its name. Only the
published networks with their published weights make it LPIPS; every other figure is called after its own network.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

# As in the published LPIPS: keeps the division finite, and changes nothing but features that are all but zero.
EPSILON = 1e-10


def feature_distance(
    images: Sequence[Tensor], reference: Sequence[Tensor], *, weights: Sequence[Tensor] | None = None
) -> Tensor:
    """Sum over layers of the mean over places of the weighted squared difference of unit feature vectors.

    Each place of a feature map is a vector over channels, scaled to unit length. Without weights a layer adds the
    mean of 2 - 2 cos, between 0 and 4 (2 after a ReLU). A vector of zeros stays zero and gets no gradient.

    Source: Zhang, Isola, Efros, Shechtman and Wang, The unreasonable effectiveness of deep features as a perceptual
    metric, 2018, equation 1 (whose squared weights are the weights here, as in its published code).

    Args:
        images: feature maps, one per layer, (B, C_l, H_l, W_l) each.
        reference: feature maps of the same layers, shaped alike or with a first dimension of 1, which is compared
            with every image.
        weights: per layer (C_l,), not negative; None weighs every channel 1.

    Returns:
        (B,), 0 where all features are equal; in the features' type and on their device.

    Raises:
        ValueError: no layers, or their numbers differ; shapes or types do not fit; a feature is not finite; a weight
            is negative or not finite.
    """
    if not images or len(reference) != len(images) or (weights is not None and len(weights) != len(images)):
        raise ValueError(
            f"images, reference, weights: expected as many layers in each, at least one, "
            f"got {len(images)}, {len(reference)}, {'none' if weights is None else len(weights)}"
        )
    layers: list[Tensor] = []
    for layer, (x, y) in enumerate(zip(images, reference, strict=True)):
        _check_layer(layer, x, y, len(layers[0]) if layers else None)
        per_channel = (_unit(x) - _unit(y)).square().mean((2, 3))
        if weights is None:
            layers.append(per_channel.sum(1))
        else:
            layers.append(per_channel @ _checked_weights(layer, weights[layer], per_channel))
    total = torch.stack(layers).sum(0)
    bad = int(total.isfinite().logical_not().sum())
    if bad:
        raise ValueError(f"images, reference: expected finite features, got others in {bad} of {len(total)} images")
    return total


def _unit(features: Tensor) -> Tensor:
    norms = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    # Where all channels are 0 the slope of the division would be 1 / EPSILON.
    return features * torch.where(norms > 0, 1 / (norms + EPSILON), 0)


def _check_layer(layer: int, x: Tensor, y: Tensor, batch: int | None) -> None:
    if x.ndim != 4 or x.numel() == 0 or batch not in (None, len(x)):
        first = "B" if batch is None else batch
        raise ValueError(f"images[{layer}]: expected ({first}, C, H, W), none of them 0, got {tuple(x.shape)}")
    if y.shape[1:] != x.shape[1:] or len(y) not in (1, len(x)):
        raise ValueError(
            f"reference[{layer}]: expected {tuple(x.shape)} or 1 in place of {len(x)}, got {tuple(y.shape)}"
        )
    if not x.is_floating_point() or y.dtype != x.dtype:
        raise ValueError(f"images[{layer}], reference[{layer}]: expected one floating type, got {x.dtype}, {y.dtype}")


def _checked_weights(layer: int, weights: Tensor, per_channel: Tensor) -> Tensor:
    channels = per_channel.shape[1]
    if weights.shape != (channels,):
        raise ValueError(f"weights[{layer}]: expected ({channels},), got {tuple(weights.shape)}")
    if not bool((weights.isfinite() & (weights >= 0)).all()):
        raise ValueError(f"weights[{layer}]: expected finite numbers, none negative, got others")
    return weights.to(per_channel)

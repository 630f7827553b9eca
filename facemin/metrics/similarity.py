"""Image similarity: SSIM and PSNR, for whole batches and with a gradient.

Neither says that a face is hidden: a protected face with an SSIM of 0.24 may be one that anybody recognises. Print
the floors (floors.py) beside every figure.
"""

from typing import Literal

import torch
from torch import Tensor

Window = Literal["uniform", "gaussian"]
"""What SSIM averages over: 7 x 7 pixels alike, or 11 x 11 weighted by a Gaussian with sigma 1.5 pixels."""

SIDES: dict[Window, int] = {"uniform": 7, "gaussian": 11}
SIGMA = 1.5
C1 = 0.01**2
C2 = 0.03**2


def checked_images(name: str, images: Tensor) -> Tensor:
    """Return images as they are; ValueError unless (B, 3, H, W), B >= 1, float32 or float64, all in [0, 1]."""
    if images.ndim != 4 or images.shape[1] != 3 or images.numel() == 0:
        raise ValueError(f"{name}: expected (B, 3, H, W), none of them 0, got {tuple(images.shape)}")
    if images.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name}: expected float32 or float64 in [0, 1], got {images.dtype}")
    low, high = images.detach().aminmax()
    # Written so that NaN fails it too.
    if not bool((low >= 0) & (high <= 1)):
        raise ValueError(f"{name}: expected values in [0, 1] and no NaN, got {float(low):.6g} to {float(high):.6g}")
    return images


def psnr(images: Tensor, reference: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image, the peak being 1.

    Args:
        images: (B, 3, H, W) in [0, 1].
        reference: (B, 3, H, W) in [0, 1], or (1, 3, H, W), with which every image is compared.

    Returns:
        (B,) dB, in the images' type and on their device; infinity, and no usable gradient, where both are equal.

    Raises:
        ValueError: shapes, types or devices do not fit; a value is outside [0, 1].
    """
    _check_pair(images, reference)
    return -10 * (images - reference).square().mean((1, 2, 3)).log10()


def ssim(images: Tensor, reference: Tensor, *, window: Window = "uniform") -> Tensor:
    """Structural similarity of each image: mean over the three channels and all windows wholly inside the image.

    "uniform" is scikit-image's default (sample covariances), "gaussian" the weighting of Wang et al. (population
    covariances), which they applied to luminance and to large images only after shrinking them. Figures of the two
    must not be compared: "gaussian" is the one papers usually mean, "uniform" what their code often computes.

    Source: Wang, Bovik, Sheikh and Simoncelli, Image quality assessment: from error visibility to structural
    similarity, 2004, equation 13; K1 = 0.01, K2 = 0.03, L = 1.

    Args:
        images: (B, 3, H, W) in [0, 1]; H and W at least 7 ("uniform") or 11 ("gaussian").
        reference: (B, 3, H, W) in [0, 1], or (1, 3, H, W), with which every image is compared.
        window: over which pixels local means and covariances are taken.

    Returns:
        (B,) in [-1, 1], 1 where both are equal; in the images' type and on their device. In float32 rounding moves it
        by up to 1e-4 where both images are almost flat.

    Raises:
        ValueError: shapes, types or devices do not fit; a value is outside [0, 1]; an image is smaller than the
            window; the window is unknown.
    """
    if window not in SIDES:
        raise ValueError(f"window: expected one of {sorted(SIDES)}, got {window!r}")
    _check_pair(images, reference)
    side = SIDES[window]
    height, width = images.shape[2:]
    if min(height, width) < side:
        raise ValueError(
            f"images: expected at least {side} x {side} pixels for window {window!r}, got {height} x {width}"
        )
    weights = _weights(window).to(images)
    down, across = _band(weights, height), _band(weights, width).T

    def local(values: Tensor) -> Tensor:
        return down @ values @ across

    # Covariances do not change when a constant is taken away, and fewer of their digits cancel in float32 then.
    shift_x, shift_y = (each.detach().mean((2, 3), keepdim=True) for each in (images, reference))
    x, y = images - shift_x, reference - shift_y
    mean_x, mean_y = local(x), local(y)
    covariance = local(x * y).sub_(mean_x * mean_y)
    # SSIM needs only the sum of the two variances, so one filter does for both.
    variances = local(x.square().addcmul_(y, y)).sub_(mean_x.square().addcmul_(mean_y, mean_y))
    mean_x, mean_y = mean_x + shift_x, mean_y + shift_y
    # The factor n / (n - 1) of sample covariances cancels everywhere but at the constant beside them.
    c2 = C2 * (1 - 1 / side**2) if window == "uniform" else C2
    alike = (mean_x * mean_y).mul_(2).add_(C1) * covariance.mul_(2).add_(c2)
    return (alike / (mean_x.square().addcmul_(mean_y, mean_y).add_(C1) * variances.add_(c2))).mean((1, 2, 3))


def _check_pair(images: Tensor, reference: Tensor) -> None:
    checked_images("images", images)
    checked_images("reference", reference)
    if reference.shape[1:] != images.shape[1:] or len(reference) not in (1, len(images)):
        b, _, h, w = images.shape
        raise ValueError(f"reference: expected ({b}, 3, {h}, {w}) or (1, 3, {h}, {w}), got {tuple(reference.shape)}")
    if reference.dtype != images.dtype or reference.device != images.device:
        raise ValueError(
            f"reference: expected {images.dtype} on {images.device} as the images, "
            f"got {reference.dtype} on {reference.device}"
        )


def _weights(window: Window) -> Tensor:
    side = SIDES[window]
    if window == "uniform":
        return torch.full((side,), 1 / side, dtype=torch.float64)
    offsets = torch.arange(side, dtype=torch.float64) - side // 2
    weights = torch.exp(-offsets.square() / (2 * SIGMA**2))
    return weights / weights.sum()


def _band(weights: Tensor, length: int) -> Tensor:
    """Return the matrix (length - side + 1, length) that filters a column without padding.

    For faces of 112 pixels a product with it takes a third of the time of a pooling or a depthwise convolution on a
    CPU, or less; and on a GPU it stays in full float32, where a convolution would by default round to TF32.
    """
    band = weights.new_zeros(length - len(weights) + 1, length)
    for offset, weight in enumerate(weights):
        band.diagonal(offset).fill_(weight)
    return band

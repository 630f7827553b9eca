"""A face as frequencies: YCbCr, eightfold upsampling, the DCT of 8 x 8 blocks, one channel a frequency; and back.

All of it is linear but for one constant, so it is never carried out as written. Along one axis, upsampling and the DCT
of block i are one map from 112 pixels to 8 numbers; with A_u, (112, 112), the rows of all blocks for frequency u, a
plane X has the channel A_u X A_v^T for frequencies (u, v). Each row of A_u touches three pixels at most: 112 blocks of
eight samples lie within 112 pixels, so a block is about one pixel, its DC about the pixel itself, and its low AC
coefficients are about local slopes. Dropping DC therefore hides little; see docs/ahm.md.

Source: Ji et al. 2022 (Privacy-Preserving Face Recognition with Learnable Privacy Budgets in Frequency Domain), whose
published code fixes upsampling (bilinear, corners aligned), colour and order of channels. Their coefficients are of
grey levels; ours, of pixels in [0, 1], are theirs over 255.
"""

from __future__ import annotations

import warnings
from functools import cache
from math import cos, pi, sqrt
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Sequence

FACE = 112
"""Side of an aligned face, in pixels, and of the grid of blocks."""

BLOCK = 8
FREQUENCIES = BLOCK * BLOCK
CHANNELS = 3 * FREQUENCIES
"""Channel 64 c + 8 u + v: colour c of Y, Cb, Cr; u cycles down, v across. A colour's first is its DC."""

DC = (0, FREQUENCIES, 2 * FREQUENCIES)

_MIDDLE = 128 / 255
# ITU-R BT.601, full range, as JPEG has it
_LUMA = (0.299, 0.587, 0.114)


def to_ycbcr(faces: Tensor) -> Tensor:
    """RGB in [0, 1] to Y - 128/255, Cb, Cr, which lie about 0; (B, 3, H, W) to the same shape.

    Source: ITU-T T.871 (JPEG File Interchange Format), section 7.
    """
    planes = torch.einsum("dc,bchw->bdhw", _colours(faces.dtype, faces.device)[0], faces)
    return planes - planes.new_tensor((_MIDDLE, 0, 0)).view(3, 1, 1)


def to_rgb(planes: Tensor) -> Tensor:
    """The inverse of `to_ycbcr`; nothing is clipped."""
    shifted = planes + planes.new_tensor((_MIDDLE, 0, 0)).view(3, 1, 1)
    return torch.einsum("dc,bchw->bdhw", _colours(planes.dtype, planes.device)[1], shifted)


def block_dct(planes: Tensor) -> Tensor:
    """The orthonormal two-dimensional DCT-II of 8 x 8 blocks side by side, as a convolution of stride 8.

    Args:
        planes: (B, C, H, W), sides multiples of 8.

    Returns:
        (B, 64 C, H / 8, W / 8), channel 64 c + 8 u + v.

    Raises:
        ValueError: other sides.
    """
    _check_sides(planes)
    kernel = _kernel(planes.dtype, planes.device)
    batch, colours, height, width = planes.shape
    found = F.conv2d(planes.reshape(-1, 1, height, width), kernel, stride=BLOCK)
    return found.view(batch, FREQUENCIES * colours, height // BLOCK, width // BLOCK)


def inverse_block_dct(coefficients: Tensor) -> Tensor:
    """The inverse of `block_dct`: (B, 64 C, h, w) to (B, C, 8 h, 8 w).

    Raises:
        ValueError: a number of channels that 64 does not divide.
    """
    batch, channels, height, width = coefficients.shape
    if channels % FREQUENCIES:
        raise ValueError(f"coefficients: expected a multiple of 64 channels, got {channels}")
    kernel = _kernel(coefficients.dtype, coefficients.device)
    blocks = coefficients.reshape(-1, FREQUENCIES, height, width)
    planes = F.conv_transpose2d(blocks, kernel, stride=BLOCK)
    return planes.view(batch, channels // FREQUENCIES, BLOCK * height, BLOCK * width)


def to_frequencies(
    faces: Tensor, channels: Sequence[int] | None = None, *, every: int = 1, out: Tensor | None = None
) -> Tensor:
    """The channels of faces that are asked for, and no others; exact and differentiable.

    Args:
        faces: (B, 3, 112, 112), RGB in [0, 1], float32 or float64.
        channels: which, in 0..191, in the order wanted; all when None.
        every: take every block, or every second, fourth, ... of each row and column.
        out: where to write them; new memory of 9.6 MB a face takes a CPU as long as the arithmetic.

    Returns:
        (B, K, 112 / every, 112 / every); DC within [-8, 8] x 128/255.

    Raises:
        ValueError: faces of another shape, channels that do not exist, or a stride that does not divide 112; an
            `out` that does not fit, or with faces that want a gradient.
    """
    check_faces(faces)
    wanted = tuple(range(CHANNELS)) if channels is None else tuple(channels)
    if not wanted or not all(0 <= channel < CHANNELS for channel in wanted):
        raise ValueError(f"channels: expected some of 0..{CHANNELS - 1}, got {wanted}")
    if every < 1 or FACE % every:
        raise ValueError(f"every: expected a divisor of {FACE}, got {every}")
    planes = to_ycbcr(faces)
    if out is None:
        found: Tensor = _Channels.apply(planes, wanted, every)  # type: ignore[no-untyped-call]
        return found
    shape = (len(faces), len(wanted), FACE // every, FACE // every)
    if tuple(out.shape) != shape or out.dtype != faces.dtype or faces.requires_grad:
        raise ValueError(
            f"out: expected {shape}, {faces.dtype}, and faces without a gradient, got {tuple(out.shape)}, {out.dtype}"
        )
    if not out.is_contiguous():
        # the sparse product writes rows that lie behind one another
        return out.copy_(channels_of(planes, wanted, every=every))
    _write_channels(planes, wanted, every, out)
    return out


def from_frequencies(coefficients: Tensor) -> Tensor:
    """The faces whose channels these are: the exact inverse of `to_frequencies` with all channels.

    Where the channels are no face's, it is the face whose upsampled planes are nearest: A's pseudo-inverse.

    Args:
        coefficients: (B, 192, 112, 112).

    Returns:
        (B, 3, 112, 112), RGB; a face's own are in [0, 1] up to rounding, others' may be outside.

    Raises:
        ValueError: another shape.
    """
    if coefficients.dim() != 4 or tuple(coefficients.shape[1:]) != (CHANNELS, FACE, FACE):
        raise ValueError(f"coefficients: expected (B, {CHANNELS}, {FACE}, {FACE}), got {tuple(coefficients.shape)}")
    inverse = _inverse(coefficients.dtype, coefficients.device)
    blocks = coefficients.view(-1, 3, BLOCK, BLOCK, FACE, FACE)
    rows = torch.einsum("uxi,bcuvij->bcvxj", inverse, blocks)
    return to_rgb(torch.einsum("vyj,bcvxj->bcxy", inverse, rows))


def channels_of(planes: Tensor, channels: Sequence[int], *, every: int = 1) -> Tensor:
    """The linear part of `to_frequencies`: planes (B, 3, 112, 112) as `to_ycbcr` gives them, to (B, K, h, h)."""
    found: Tensor = _Channels.apply(planes, tuple(channels), every)  # type: ignore[no-untyped-call]
    return found


def transposed(coefficients: Tensor, channels: Sequence[int], *, every: int = 1) -> Tensor:
    """The transpose of `channels_of`: (B, K, h, h) to planes (B, 3, 112, 112)."""
    maps = axis_maps(coefficients.dtype, coefficients.device)[:, ::every]
    index = torch.tensor(channels, device=coefficients.device)
    across = coefficients @ maps[index % BLOCK]
    down = across.new_zeros(len(across), 3 * BLOCK, *across.shape[2:]).index_add(1, index // BLOCK, across)
    planes = torch.einsum("uix,bcuiy->bcxy", maps, down.view(-1, 3, BLOCK, *across.shape[2:]))
    return planes.contiguous()


def check_faces(faces: Tensor) -> None:
    """Raises ValueError unless faces are (B, 3, 112, 112), float32 or float64."""
    if faces.dim() != 4 or tuple(faces.shape[1:]) != (3, FACE, FACE):
        raise ValueError(f"faces: expected (B, 3, {FACE}, {FACE}), got {tuple(faces.shape)}")
    if faces.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"faces: expected float32 or float64, got {faces.dtype}")


class _Channels(torch.autograd.Function):
    """YCbCr planes to channels; by hand, because only so each result is written once, where it belongs."""

    @staticmethod
    def forward(ctx: Any, planes: Tensor, channels: tuple[int, ...], every: int) -> Tensor:
        ctx.channels, ctx.every = channels, every
        found = planes.new_empty(len(planes), len(channels), FACE // every, FACE // every)
        _write_channels(planes, channels, every, found)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return transposed(gradients[0], ctx.channels, every=ctx.every), None, None


def _write_channels(planes: Tensor, channels: tuple[int, ...], every: int, found: Tensor) -> None:
    """Write channels (B, K, h, h) of planes (B, 3, 112, 112)."""
    maps = axis_maps(planes.dtype, planes.device)[:, ::every]
    across = torch.matmul(planes.unsqueeze(2), maps.transpose(1, 2))
    down = _down(channels, every, planes.dtype, planes.device)
    side = FACE // every
    for face, columns in zip(found.view(len(found), -1, side), across.view(len(planes), -1, side), strict=True):
        torch.addmm(face, down, columns, beta=0, out=face)


@cache
def _down(channels: tuple[int, ...], every: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A_u of each channel below one another, sparse, (K h, 3 x 8 x 112): it reads the rows that A_v has left."""
    number = torch.tensor(channels)
    maps = _axis_maps()[number % FREQUENCIES // BLOCK, ::every]
    place, block, pixel = maps.nonzero(as_tuple=True)
    plane = number // FREQUENCIES * BLOCK + number % BLOCK
    starts = torch.zeros(len(channels) * maps.shape[1] + 1, dtype=torch.int32)
    starts[1:] = maps.count_nonzero(2).flatten().cumsum(0)
    with warnings.catch_warnings():
        # torch calls the layout a beta; multiplying by it is all that is done here
        warnings.filterwarnings("ignore", message="Sparse CSR", category=UserWarning)
        found = torch.sparse_csr_tensor(
            starts,
            (plane[place] * FACE + pixel).int(),
            maps[place, block, pixel].to(dtype),
            size=(len(starts) - 1, 3 * BLOCK * FACE),
            check_invariants=True,
        )
    return found.to(device)


def axis_maps(dtype: torch.dtype, device: torch.device) -> Tensor:
    """A_u of the module's docstring for each frequency u, (8, 112, 112): blocks by pixels."""
    return _axis_maps().to(device, dtype)


@cache
def dct_matrix() -> Tensor:
    """The orthonormal DCT-II of 8 numbers, (8, 8) float64: frequencies by samples."""
    scale = [sqrt((1 if u == 0 else 2) / BLOCK) for u in range(BLOCK)]
    rows = [[scale[u] * cos(pi * (2 * t + 1) * u / (2 * BLOCK)) for t in range(BLOCK)] for u in range(BLOCK)]
    return torch.tensor(rows, dtype=torch.float64)


@cache
def upsampling() -> Tensor:
    """Linear interpolation of 112 pixels at 896 places, first and last on first and last, (896, 112) float64."""
    places = torch.arange(BLOCK * FACE, dtype=torch.float64) * (FACE - 1) / (BLOCK * FACE - 1)
    return (1 - (places[:, None] - torch.arange(FACE, dtype=torch.float64)).abs()).clamp(min=0)


@cache
def _axis_maps() -> Tensor:
    return torch.einsum("ut,itx->uix", dct_matrix(), upsampling().view(FACE, BLOCK, FACE)).contiguous()


@cache
def _axis_inverse() -> Tensor:
    """The pseudo-inverse of all A_u together, (8, 112, 112): frequencies by pixels by blocks."""
    inverse: Tensor = torch.linalg.pinv(_axis_maps().reshape(BLOCK * FACE, FACE))
    return inverse.view(FACE, BLOCK, FACE).transpose(0, 1).contiguous()


def _inverse(dtype: torch.dtype, device: torch.device) -> Tensor:
    return _axis_inverse().to(device, dtype)


@cache
def _ycbcr() -> Tensor:
    red, green, blue = _LUMA
    luma = torch.tensor(_LUMA, dtype=torch.float64)
    units = torch.eye(3, dtype=torch.float64)
    assert abs(red + green + blue - 1) < 1e-12
    return torch.stack([luma, (units[2] - luma) / (2 * (1 - blue)), (units[0] - luma) / (2 * (1 - red))])


def _colours(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    forward = _ycbcr()
    return forward.to(device, dtype), torch.linalg.inv(forward).to(device, dtype)


def _kernel(dtype: torch.dtype, device: torch.device) -> Tensor:
    matrix = dct_matrix()
    return torch.einsum("ut,vs->uvts", matrix, matrix).reshape(FREQUENCIES, 1, BLOCK, BLOCK).to(device, dtype)


def _check_sides(planes: Tensor) -> None:
    if planes.dim() != 4 or planes.shape[2] % BLOCK or planes.shape[3] % BLOCK:
        raise ValueError(f"planes: expected (B, C, H, W), sides multiples of {BLOCK}, got {tuple(planes.shape)}")

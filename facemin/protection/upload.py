"""Uploading features instead of images: case 1 of the paper, where E_c(x~) is sent.

Source: PMT section 4 (uploading facial features) and Algorithm 1, which returns the feature beside the image.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from facemin.autograd.pixels import to_unit
from facemin.protection.pmt.optimise import ROWS_AT_LEAST

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.keys.key import Key
    from facemin.keys.manifest import Manifest

TENSOR = "feature"
FORMAT = "facemin-feature-1"


def feature_of(pixels: Tensor, key: Key) -> Tensor:
    """The protected feature E_c(x~) of a protected image.

    Args:
        pixels: uint8 (3, 112, 112).
        key: whose shallow model to use.

    Returns:
        float32, the shape that the key's manifest names.
    """
    with torch.no_grad():
        faces = to_unit(pixels).expand(ROWS_AT_LEAST, -1, -1, -1)
        feature: Tensor = key.shallow(faces.to(next(key.shallow.buffers(), pixels).device))[0].cpu()
    return feature.contiguous()


def encode_feature(feature: Tensor, key: Key) -> bytes:
    """A protected feature as a safetensors file with the key's id and cut.

    Raises:
        ValueError: when the feature has not the key's shape.
    """
    _check(feature, key.manifest, "feature")
    metadata = {"format": FORMAT, "key_id": key.manifest.key_id, "cut": key.manifest.cut}
    return save({TENSOR: feature.contiguous()}, metadata)


def decode_feature(data: bytes, manifest: Manifest, *, name: str = "feature") -> Tensor:
    """Read an uploaded feature, as the provider does: everything is checked against the provider's own manifest.

    Args:
        data: the file's bytes.
        manifest: of the key that the upload claims to be for.
        name: what to call the upload in an error.

    Returns:
        float32, the manifest's shape, finite.

    Raises:
        ValueError: when it is no such file, or was made for another key, cut, shape or type.
    """
    most = 4 * torch.Size(manifest.features).numel() + 4096
    if len(data) > most:
        raise ValueError(f"{name}: expected at most {most} bytes for a feature {manifest.features}, got {len(data)}")
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{name}: expected a safetensors file, got {len(data)} other bytes: {error}") from None
    metadata = header.get("__metadata__", {})
    expected = {"format": FORMAT, "key_id": manifest.key_id, "cut": manifest.cut}
    if metadata != expected or set(tensors) != {TENSOR}:
        raise ValueError(f"{name}: expected {expected} and one tensor {TENSOR!r}, got {metadata} and {sorted(tensors)}")
    _check(tensors[TENSOR], manifest, name)
    return tensors[TENSOR]


def _check(feature: Tensor, manifest: Manifest, name: str) -> None:
    if feature.dtype != torch.float32 or tuple(feature.shape) != manifest.features:
        raise ValueError(
            f"{name}: expected float32 {manifest.features} for key {manifest.key_id}, "
            f"got {feature.dtype} {tuple(feature.shape)}"
        )
    if not bool(feature.isfinite().all()):
        raise ValueError(f"{name}: expected finite values, got some that are not")

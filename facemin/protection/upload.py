"""Feature uploads: case 1 of the paper, where E_c(x~) is sent; and targets under a pseudonym.

Source: PMT section 4 (uploading facial features) and Algorithm 1, which returns the feature beside the image.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from facemin.keys.key import Key
    from facemin.keys.manifest import Manifest

TENSOR = "feature"
FORMAT = "facemin-feature-1"
PSEUDONYM = "pseudonym"
LONGEST_EPOCH = 16
"""Digits: as many as numbers that JavaScript keeps whole."""
UNIT_TOLERANCE = 1e-4
"""How far from 1 the length of an uploaded target may be, float32 included."""


class PseudonymFeature(NamedTuple):
    """An uploaded target.

    Attributes:
        values: Q e, (D,) float32 of unit length.
        epoch: that Q was made for.
    """

    values: NDArray[np.float32]
    epoch: int


def feature_of(pixels: Tensor, key: Key) -> Tensor:
    """The protected feature E_c(x~) of a protected image.

    Args:
        pixels: uint8 (3, 112, 112).
        key: whose shallow model to use.

    Returns:
        float32, the shape that the key's manifest names.
    """
    import torch

    from facemin.autograd.pixels import to_unit
    from facemin.protection.pmt.optimise import ROWS_AT_LEAST

    with torch.no_grad():
        faces = to_unit(pixels).expand(ROWS_AT_LEAST, -1, -1, -1)
        feature: Tensor = key.shallow(faces.to(next(key.shallow.buffers(), pixels).device))[0].cpu()
    return feature.contiguous()


def encode_feature(feature: ArrayLike, key: Key) -> bytes:
    """A protected feature as a safetensors file with the key's id and cut.

    Args:
        feature: float32, the key's shape.
        key: that it was made for.

    Raises:
        ValueError: when the feature has not the key's shape.
    """
    values = np.ascontiguousarray(feature)
    _check(values, key.manifest, "feature")
    return _saved(values, _metadata(key.manifest))


def encode_pseudonym(target: NDArray[np.float32], key: Key, *, epoch: int) -> bytes:
    """A target Q e as a safetensors file: the format of features, with the pseudonym's public values beside the key's.

    Args:
        target: (D,) float32 of unit length.
        key: whose space it lies in.
        epoch: that Q was made for.

    Raises:
        ValueError: another shape, length or type, or a key without a space.
    """
    values = np.ascontiguousarray(target)
    _check(values, key.manifest, "target")
    _check_unit(values, "target")
    return _saved(values, _metadata(key.manifest) | _of_pseudonym(key.manifest, epoch))


def decode_feature(data: bytes, manifest: Manifest, *, name: str = "feature") -> NDArray[np.float32]:
    """Read an uploaded feature, as the provider does: everything is checked against the provider's own manifest.

    A target under a pseudonym may say so (`encode_pseudonym`) or not (`encode_feature`).

    Args:
        data: the file's bytes.
        manifest: of the key that the upload claims to be for.
        name: what to call the upload in an error.

    Returns:
        float32, the manifest's shape, finite.

    Raises:
        ValueError: when it is no such file, or was made for another key, cut, shape or type.
    """
    values, metadata = _read(data, manifest, name)
    of_pseudonym = manifest.space_id is not None and metadata.get("kind") == PSEUDONYM
    # what a device wrote to a file is sent as it is; the request says the same again, and its word is signed
    expected = _of_pseudonym(manifest, _epoch(metadata, name)) if of_pseudonym else {}
    _expect(metadata, _metadata(manifest) | expected, name)
    _check(values, manifest, name)
    return values


def decode_pseudonym(data: bytes, key: Key, *, name: str = "feature") -> PseudonymFeature:
    """Read an uploaded target, as the provider does: everything but the epoch is checked against the provider's key.

    Args:
        data: the file's bytes.
        key: that the upload claims to be for.
        name: what to call the upload in an error.

    Raises:
        ValueError: when it is no such file, or was made for another key, cut, space, shape, length or type.
    """
    values, metadata = _read(data, key.manifest, name)
    epoch = _epoch(metadata, name)
    _expect(metadata, _metadata(key.manifest) | _of_pseudonym(key.manifest, epoch), name)
    _check(values, key.manifest, name)
    _check_unit(values, name)
    return PseudonymFeature(values, epoch)


def _saved(values: NDArray[np.float32], metadata: dict[str, str]) -> bytes:
    """The same bytes for the same content: the library puts metadata in an order that it draws anew each time."""
    data = save({TENSOR: values}, metadata)
    size = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:size]), sort_keys=True, separators=(",", ":")).encode()
    return data[:8] + header.ljust(size - 8) + data[size:]


def _metadata(manifest: Manifest) -> dict[str, str]:
    return {"format": FORMAT, "key_id": manifest.key_id, "cut": manifest.cut}


def _of_pseudonym(manifest: Manifest, epoch: int) -> dict[str, str]:
    if manifest.space_id is None:
        raise ValueError(f"key {manifest.key_id}: expected one with a space, got one without")
    return {"kind": PSEUDONYM, "space": manifest.space_id.hex(), "epoch": str(epoch)}


def _epoch(metadata: dict[str, Any], name: str) -> int:
    text = str(metadata.get("epoch", ""))
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_EPOCH):
        raise ValueError(f"{name}: expected an epoch from 0 on, got {text!r:.40}")
    return int(text)


def _read(data: bytes, manifest: Manifest, name: str) -> tuple[NDArray[np.float32], dict[str, Any]]:
    most = 4 * math.prod(manifest.features) + 4096
    if len(data) > most:
        raise ValueError(f"{name}: expected at most {most} bytes for a feature {manifest.features}, got {len(data)}")
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    # a type that NumPy lacks is a KeyError
    except (SafetensorError, ValueError, KeyError) as error:
        raise ValueError(f"{name}: expected a safetensors file, got {len(data)} other bytes: {error}") from None
    if set(tensors) != {TENSOR}:
        raise ValueError(f"{name}: expected one tensor {TENSOR!r}, got {sorted(tensors)!r:.200}")
    return tensors[TENSOR], header.get("__metadata__", {})


def _expect(metadata: dict[str, Any], expected: dict[str, str], name: str) -> None:
    if metadata != expected:
        raise ValueError(f"{name}: expected {expected}, got {metadata!r:.500}")


def _check(feature: NDArray[Any], manifest: Manifest, name: str) -> None:
    if feature.dtype != np.float32 or feature.shape != manifest.features:
        raise ValueError(
            f"{name}: expected float32 {manifest.features} for key {manifest.key_id}, "
            f"got {feature.dtype} {feature.shape}"
        )
    if not bool(np.isfinite(feature).all()):
        raise ValueError(f"{name}: expected finite values, got some that are not")


def _check_unit(values: NDArray[np.float32], name: str) -> None:
    length = float(np.linalg.norm(values.astype(np.float64)))
    if values.ndim != 1 or not abs(length - 1) < UNIT_TOLERANCE:
        raise ValueError(f"{name}: expected a vector of length 1, got {values.shape} of length {length:.6g}")

"""Protecting many faces once, for attacks that need pairs of them."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

import safetensors.torch
import torch

from facemin.autograd.pixels import to_unit
from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from facemin.keys.key import Key
    from facemin.protection.pmt.method import PMT


def protected_faces(method: PMT, key: Key, faces: Tensor, *, seed: int, cache: Path | None) -> Tensor:
    """Protect uint8 faces (N, 3, 112, 112), or read what an earlier run made of the same ones; uint8 as well."""
    path = None if cache is None else place_of(method, key, faces, seed=seed, cache=cache)
    if path is not None and path.is_file():
        return safetensors.torch.load(path.read_bytes())["pixels"]
    began = time.perf_counter()
    done = method(to_unit(faces), [key], seed=seed)
    pixels = torch.stack([image.pixels for image in done])
    print(f"protected {len(pixels)} faces in {time.perf_counter() - began:.0f} s", flush=True)
    if path is not None:
        write_atomically(path, safetensors.torch.save({"pixels": pixels}))
    return pixels


def place_of(method: PMT, key: Key, faces: Tensor, *, seed: int, cache: Path) -> Path:
    """Where the cache has what such a run made, if it does."""
    digest = hashlib.sha256(repr((method, key.manifest.sha256, seed)).encode() + faces.numpy().tobytes()).hexdigest()
    return cache / f"{digest[:32]}.safetensors"

"""The contract of every protector, as functions of its name: what the registry's tests and a new one's test run."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from facemin.protection import PROTECTORS, Compute, Protected
from facemin.protection.contract import as_protected
from facemin.runtime.compute import Compute as _Compute

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.keys.key import Key

CPU = Compute(device="cpu", precision="float32")


def quick(name: str) -> Any:
    """A row's method, cut short where it takes steps."""
    method = PROTECTORS[name]
    takes_steps = is_dataclass(method) and "steps" in {each.name for each in fields(method)}
    return replace(method, steps=3) if takes_steps else method


def protected(method: Any, faces: Tensor, keys: list[Key], *, seed: int, compute: _Compute = CPU) -> list[Protected]:
    """Results in the faces' order."""
    done = method.stream(iter(faces), keys, seed=seed, compute=compute)
    return sorted((as_protected(one, keys, method) for one in done), key=lambda one: one.index)


def check_protector(name: str, faces: Tensor, keys: list[Key]) -> None:
    """Images on the 8-bit grid, one a face, the same in any batch and again; nothing touched that is not its own."""
    method, before = quick(name), faces.clone()
    weights = [buffer.clone() for key in keys for buffer in key.shallow.buffers()]
    state = torch.get_rng_state()
    whole = protected(method, faces[:3], keys, seed=3)
    assert [one.index for one in whole] == [0, 1, 2]
    for one in whole:
        assert one.pixels is not None
        assert (one.pixels.dtype, one.pixels.shape) == (np.dtype(np.uint8), (112, 112, 3))
        assert one.pixels.flags.c_contiguous
        assert len(one.residuals) == len(one.check.limits) == len(keys)
        assert one.steps >= 0
    for other in (
        protected(method, faces[:3], keys, seed=3),
        protected(method, faces[:3], keys, seed=3, compute=replace(CPU, batch=1)),
    ):
        assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(whole, other, strict=True))  # type: ignore[arg-type]
        assert [one.residuals for one in whole] == [one.residuals for one in other]
    assert torch.equal(faces, before)
    assert all(torch.equal(a, b) for a, b in zip(weights, (b for k in keys for b in k.shallow.buffers()), strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def check_description(name: str) -> None:
    """JSON, the same for equal settings, other for others."""
    method = PROTECTORS[name]
    described = method.describe()
    assert json.loads(json.dumps(described)) == json.loads(json.dumps(replace(method).describe()))
    assert isinstance(method.takes_gradients, bool)
    assert not {"device", "batch", "precision"} & set(described)

"""Keywords of protectors and cloaks: what no method knows is refused, and not passed over."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from facemin.ahm.masking.frequency_mask import FrequencyMask
from facemin.cloak.makeup.method import Makeup
from facemin.cloak.opom import OPOM
from facemin.cloak.p3_mask import P3Mask
from facemin.protection import PMT, OnePassProtector
from facemin.protection.carrier import FaceCarrier
from facemin.runtime.compute import Compute
from tests.space_keys import space_key

RUNS: dict[str, Callable[..., Any]] = {
    "pmt, faces": lambda **run: PMT().stream(iter(()), [space_key()], **run),
    "pmt, targets": lambda **run: PMT().aim(iter(()), [space_key()], **run),
    "frequency-mask": lambda **run: FrequencyMask().stream(iter(()), [space_key()], **run),
    "carrier": lambda **run: FaceCarrier().aim(iter(()), [space_key()], **run),
    "one-pass": lambda **run: OnePassProtector().aim(iter(()), [space_key()], **run),
}
FACES = np.zeros((1, 112, 112, 3), np.uint8)


@pytest.mark.parametrize("name", RUNS)
def test_a_protector_refuses_a_keyword_that_it_does_not_know(name: str) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'batch'"):
        list(RUNS[name](seed=0, compute=Compute(device="cpu"), batch=4))


@pytest.mark.parametrize("name", RUNS)
def test_a_protector_asks_for_a_seed(name: str) -> None:
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'seed'"):
        list(RUNS[name]())


@pytest.mark.parametrize("cloak", [P3Mask(), OPOM(), Makeup()], ids=lambda cloak: type(cloak).__name__)
def test_a_cloak_refuses_a_keyword_that_it_does_not_know(cloak: Any) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'epochs'"):
        cloak.fit(FACES, [], epochs=2)

"""What dlib's network has to see in a carrier: the target inside of the space, the base beside it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from facemin.protection.carrier.base import base_of  # noqa: E402 - behind the skip
from facemin.protection.carrier.canvas import of_frame  # noqa: E402
from facemin.protection.carrier.services.networks import RADIUS, DlibNetwork, dlib_map  # noqa: E402
from facemin.protection.carrier.services.pipelines import crops  # noqa: E402
from facemin.protection.carrier.settings import Pipelines  # noqa: E402

if TYPE_CHECKING:
    from torch import Tensor


@cache
def bases() -> Tensor:
    """Two bases as dlib's users crop them."""
    crop, side = DlibNetwork().views[0]
    canvases = torch.stack([of_frame(base_of(bytes([number] * 32)).frame) for number in (1, 2)])
    return crops(Pipelines(), canvases, crop, side, None)


def targets(*numbers: int) -> Tensor:
    rows = np.stack([np.random.default_rng(number).standard_normal(66) for number in numbers])
    found: Tensor = torch.from_numpy((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))
    return found


def split(difference: Tensor) -> tuple[float, float]:
    """Lengths of an embedding's parts inside of the space and beside it."""
    inside, _ = np.linalg.qr(dlib_map()[1].astype(np.float64))
    row = difference.numpy().astype(np.float64)
    seen = inside @ (inside.T @ row)
    return float(np.linalg.norm(seen)), float(np.linalg.norm(row - seen))


def test_targets_decide_inside_of_the_space_and_bases_beside_it() -> None:
    network = DlibNetwork()
    one_base = network.wanted(bases()[:1].expand(2, -1, -1, -1), targets(1, 2))
    inside, beside = split(one_base[0] - one_base[1])
    assert inside > RADIUS
    assert beside < 1e-4
    one_target = network.wanted(bases(), targets(1, 1))
    inside, beside = split(one_target[0] - one_target[1])
    assert inside < 1e-4
    assert beside == pytest.approx(split(torch.sub(*network.embedded(bases()).detach()))[1], rel=1e-3)
    assert beside > 0.05


def test_what_is_missing_is_a_distance_in_radii() -> None:
    network = DlibNetwork()
    with torch.no_grad():
        seen = network.embedded(bases())
        assert network.missing(bases(), seen).tolist() == pytest.approx([0, 0], abs=1e-4)
        moved = seen + RADIUS * torch.nn.functional.one_hot(torch.tensor([3, 70]), 128)
        assert network.missing(bases(), moved).tolist() == pytest.approx([1, 1], abs=1e-3)

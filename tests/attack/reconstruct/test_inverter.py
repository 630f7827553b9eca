"""RecFace at small scale: on unprotected features it must beat every floor by far."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from facemin.attack import PURIFIERS
from facemin.attack.datasets import HeldPairs
from facemin.attack.features import features_of
from facemin.attack.geometry import Geometry
from facemin.attack.reconstruct.inverter import Inverter
from facemin.attack.reconstruct.train_inverter import InverterTraining, KeyInverter, train_inverter, train_key_inverter
from facemin.attack.training import Fitting
from facemin.keys.key import Key
from facemin.metrics import mean_face, ssim
from tests.attack.conftest import draw, seen

QUICK = InverterTraining(width=12, fitting=Fitting(epochs=8, batch=8, rate=4e-3, flip=True))
TRAIN = draw(24, 2, seed=1).faces
TEST = draw(6, 1, seed=2).faces
VALIDATION = draw(4, 1, seed=3).faces
FLOOR = float(ssim(seen(mean_face(TRAIN)).expand(6, -1, -1, -1), seen(TEST)).mean())


@pytest.fixture(scope="module")
def inverter(key: Key) -> KeyInverter:
    return train_key_inverter(
        key, HeldPairs(TRAIN, TRAIN), settings=QUICK, validation=HeldPairs(VALIDATION, VALIDATION)
    )


def recovered(faces: Tensor) -> float:
    return float(ssim(seen(faces), seen(TEST)).mean())


def test_recovers_faces_from_unprotected_features(inverter: KeyInverter) -> None:
    with torch.no_grad():
        likeness = recovered(inverter(TEST))
    assert likeness > 0.75, "an inverter that fails on unprotected features is broken"
    assert likeness > FLOOR + 0.2


def test_takes_caught_features_as_well(inverter: KeyInverter, key: Key) -> None:
    with torch.no_grad():
        torch.testing.assert_close(inverter.inverter(features_of(key, TEST)[-1]), inverter(TEST), atol=1e-4, rtol=0)


def test_batch_equals_one_by_one(inverter: KeyInverter) -> None:
    with torch.no_grad():
        together, alone = inverter(TEST), torch.cat([inverter(face[None]) for face in TEST])
    torch.testing.assert_close(together, alone, atol=2e-5, rtol=0)
    assert 0 <= together.min() <= together.max() <= 1


def test_trains_from_stored_features(key: Key) -> None:
    pairs = HeldPairs(features_of(key, TRAIN[:16])[-1], TRAIN[:16])
    settings = replace(QUICK, fitting=replace(QUICK.fitting, epochs=2, flip=False))
    network = train_inverter(pairs, settings=settings)
    with torch.no_grad():
        assert network(pairs.inputs[:2]).shape == (2, 3, 112, 112)


def test_trained_on_images_it_purifies_them() -> None:
    noisy = [(faces + 0.25 * torch.randn(faces.shape, generator=torch.Generator().manual_seed(4))).clamp(0, 1)
             for faces in (TRAIN, TEST)]  # fmt: skip
    settings = replace(QUICK, fitting=replace(QUICK.fitting, epochs=12))
    denoise = train_inverter(HeldPairs(noisy[0], TRAIN), settings=settings).requires_grad_(False)
    after, before = recovered(denoise(noisy[1])), recovered(noisy[1])
    assert after > before + 0.3
    assert after > max(recovered(PURIFIERS[name](noisy[1]).clamp(0, 1)) for name in ("blur-1", "blur-2"))
    torch.testing.assert_close(denoise(noisy[1])[:1], denoise(noisy[1][:1]), atol=2e-5, rtol=0)


def test_resumed_is_bit_equal(key: Key, tmp_path: Path) -> None:
    pairs = HeldPairs(TRAIN[:16], TRAIN[:16])
    settings = InverterTraining(width=4, fitting=Fitting(epochs=2, batch=8))
    whole = train_key_inverter(key, pairs, settings=settings).state_dict()
    path = tmp_path / "checkpoint.pt"
    train_key_inverter(key, pairs, settings=settings, checkpoint=path, stop=lambda: True)
    resumed = train_key_inverter(key, pairs, settings=settings, checkpoint=path).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize(
    "shape", [(3, 112, 112), (4, 72, 72), (4, 35, 35), (4, 56, 48), (5, 17, 17), (6, 5, 5), (7,)], ids=str
)
def test_any_shape_becomes_a_face(shape: tuple[int, ...]) -> None:
    network = Inverter(shape, width=4)
    inputs = torch.rand(3, *shape)
    network.standardise(inputs)
    faces = network(inputs)
    assert faces.shape == (3, 3, 112, 112)
    faces.square().sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())


def test_standardises_each_channel() -> None:
    network = Inverter((2, 14, 14), width=4)
    network.standardise(torch.stack([torch.full((14, 14), 3.0), torch.arange(196.0).view(14, 14)])[None])
    assert network.mean.flatten().tolist() == pytest.approx([3.0, 97.5])
    assert float(network.scale[1]) == pytest.approx(1 / 56.725, rel=1e-3)


def test_refuses_other_inputs() -> None:
    with pytest.raises(ValueError, match=r"inputs: expected \(B, 4, 14, 14\), got \(2, 4, 7, 7\)"):
        Inverter((4, 14, 14), width=4)(torch.zeros(2, 4, 7, 7))
    with pytest.raises(ValueError, match="shape: expected"):
        Inverter((4, 14))
    with pytest.raises(ValueError, match="width, depth"):
        Inverter((4, 14, 14), width=0)
    with pytest.raises(ValueError, match=r"pairs: expected faces \(3, 112, 112\), got \(3, 56, 56\)"):
        train_inverter(HeldPairs(torch.zeros(4, 2, 7, 7), torch.zeros(4, 3, 56, 56)))
    with pytest.raises(ValueError, match="structure"):
        InverterTraining(structure=-1)


def test_geometry_decides_where_detail_goes() -> None:
    assert Inverter((2, 35, 35), geometry=Geometry(24, 9, 2.7, 2.7), width=4).grid.shape[1] == 56
    assert Inverter((2, 72, 72), geometry=Geometry(22, 8, 1.34, 1.34), width=4).grid.shape[1] == 112

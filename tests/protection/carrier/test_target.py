"""Targets of carriers: under a pseudonym, or not at all."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import facemin
from facemin.protection.carrier import CarrierRefused, FaceCarrier, PseudonymTarget
from facemin.protection.carrier.open import NETWORKS, key_of_network
from facemin.pseudonym import Context, Pseudonym
from tests.protection.carrier.test_base import SECRET, pseudonym
from tests.space_keys import D, person, space_key

WHY = "passing as that person unnoticed"
ROW = np.linspace(-1, 1, D)


def test_a_target_is_the_rotated_embedding() -> None:
    own = pseudonym()
    target = PseudonymTarget(pseudonym=own, embedding=ROW)
    assert np.allclose(target.vector, own.targets(ROW[None])[0], atol=1e-7)
    assert target.vector.dtype == np.float32


def test_what_an_object_says_its_rotation_is_does_not_count() -> None:
    forged = pseudonym()
    forged.__dict__["matrix"] = np.eye(D)
    target = PseudonymTarget(pseudonym=forged, embedding=ROW)
    assert np.allclose(target.vector, pseudonym().targets(ROW[None])[0], atol=1e-7)


def test_another_class_is_no_pseudonym() -> None:
    @dataclass(frozen=True, kw_only=True, repr=False, eq=False)
    class Mine(Pseudonym):
        pass

    for wrong in (Mine(secret=SECRET, context=pseudonym().context), None, np.eye(D)):
        with pytest.raises(CarrierRefused, match=WHY):
            PseudonymTarget(pseudonym=wrong, embedding=ROW)  # type: ignore[arg-type]


def test_the_identity_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for matrix in (np.eye(D), -np.eye(D)):
        monkeypatch.setattr("facemin.protection.carrier.target.haar", lambda *_, made=matrix: made)
        with pytest.raises(CarrierRefused, match="unlike the identity.*" + WHY):
            PseudonymTarget(pseudonym=pseudonym(), embedding=ROW)


def test_no_rotation_that_a_secret_makes_is_refused() -> None:
    for epoch in range(300):
        PseudonymTarget(pseudonym=pseudonym(epoch=epoch, dimension=8), embedding=np.ones(8))


def test_an_embedding_of_another_space() -> None:
    with pytest.raises(ValueError, match=r"expected \(12,\), got \(13,\)"):
        PseudonymTarget(pseudonym=pseudonym(), embedding=np.ones(D + 1))


@pytest.mark.parametrize("wrong", [[ROW.astype(np.float32)], ROW.astype(np.float32), [], None])
def test_plain_targets_are_refused(wrong: object) -> None:
    with pytest.raises(CarrierRefused, match=WHY):
        next(FaceCarrier().aim([wrong], [space_key()], seed=0))  # type: ignore[list-item]


def test_a_target_of_another_space_than_the_key() -> None:
    with pytest.raises(ValueError, match="of the keys' spaces"):
        next(FaceCarrier().aim([[PseudonymTarget(pseudonym=pseudonym(), embedding=ROW)]], [space_key()], seed=0))


def test_no_carrier_without_a_secret() -> None:
    with pytest.raises(CarrierRefused, match=f"expected a secret, got none: .*{WHY}"):
        facemin.protect(person(0), secret=None, carrier="face", network="dlib-resnet29")
    with pytest.raises(CarrierRefused, match=f"expected a secret, got none: .*{WHY}"):
        facemin.protect(person(0), secret=None, method=FaceCarrier(), network="dlib-resnet29")


def test_no_carrier_for_a_service_whose_network_is_unknown() -> None:
    wrong: tuple[dict[str, Any], ...] = ({}, {"network": "facenet"})
    for asked in wrong:
        with pytest.raises(CarrierRefused, match="to a network that it was not made for, a carrier is its base"):
            facemin.protect(person(0), secret=SECRET, carrier="face", **asked)
    with pytest.raises(CarrierRefused, match="expected none beside keys"):
        facemin.protect(person(0), secret=SECRET, carrier="face", keys=[space_key()], network="dlib-resnet29")
    assert all(key_of_network(name).space is not None for name in NETWORKS)


def test_what_a_carrier_is_not_asked_for_with() -> None:
    network: dict[str, Any] = {"network": "dlib-resnet29"}
    refused: tuple[tuple[dict[str, Any], str], ...] = (
        ({"upload": "features"}, "expected upload 'image', got 'features'"),
        ({"method": "robust"}, "expected no method beside it"),
        ({"method": FaceCarrier(look="drawing")}, "got settings of look 'drawing'"),
    )
    for asked, told in refused:
        with pytest.raises(CarrierRefused, match=told):
            facemin.protect(person(0), secret=SECRET, carrier="face", **network, **asked)
    with pytest.raises(ValueError, match="expected one of face, drawing, got 'mask'"):
        facemin.protect(person(0), secret=SECRET, carrier="mask", **network)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="network: expected with a carrier"):
        facemin.protect(person(0), secret=SECRET, **network)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"side": 255}, "expected 256 to 1024 pixels, got 255"),
        ({"side": 1025}, "got 1025"),
        ({"side": 300.0}, "got 300.0"),
        ({"format": "GIF"}, "expected PNG or JPEG, got 'GIF'"),
        ({"look": "cat"}, "expected 'photo' or 'drawing', got 'cat'"),
    ],
)
def test_settings_out_of_range(asked: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        FaceCarrier(**asked)  # type: ignore[arg-type]


def test_contexts_are_as_the_key_has_them() -> None:
    key = space_key()
    assert key.space is not None
    context = Context(origin="local", space=key.space.id, dimension=D, purpose="main")
    made = PseudonymTarget(pseudonym=Pseudonym(secret=SECRET, context=context), embedding=ROW)
    other = PseudonymTarget(pseudonym=Pseudonym(secret=SECRET, context=replace(context, epoch=1)), embedding=ROW)
    assert abs(float(made.vector @ other.vector)) < 0.95

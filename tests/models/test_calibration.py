"""Shipped calibrations belong to their model, and say where they come from."""

import json
from pathlib import Path

import pytest

from facemin.keys.default import DEFAULT_SPACE, calibrated_key, default_key, plain_key, stopping_residual
from facemin.models import MODELS, SPACE_MODEL, Recogniser, load_recogniser
from facemin.models.calibration import read_calibration, shipped_calibration
from facemin.pseudonym import stranger_far


@pytest.mark.parametrize("name", MODELS)
def test_every_shipped_model_is_calibrated(name: str) -> None:
    recogniser = load_recogniser(name)
    calibration = shipped_calibration(recogniser)
    assert calibration is not None
    for threshold in calibration.thresholds:
        assert threshold.far_measured <= threshold.far
        # fewer impostor pairs than 1/FAR say nothing about that FAR
        assert threshold.impostor_pairs >= 1 / threshold.far
        assert -1 < threshold.threshold < 1
    ordered = sorted(calibration.thresholds, key=lambda value: value.far)
    assert [t.threshold for t in ordered] == sorted((t.threshold for t in ordered), reverse=True)
    assert calibration.residual(MODELS[name].default_cut) == stopping_residual(recogniser, MODELS[name].default_cut)


def test_unmeasured_operating_points_are_refused() -> None:
    calibration = shipped_calibration(load_recogniser("dlib-resnet29"))
    assert calibration is not None
    with pytest.raises(ValueError, match=r"0\.123"):
        calibration.threshold(0.123)
    with pytest.raises(ValueError, match="conv999"):
        calibration.residual("conv999")


def test_another_model_of_that_name_is_refused() -> None:
    other = Recogniser(load_recogniser("dlib-resnet29").shallow_graph("conv32.1"), name="dlib-resnet29")
    with pytest.raises(ValueError, match="dlib-resnet29"):
        shipped_calibration(other)


def test_unknown_models_have_none() -> None:
    other = Recogniser(load_recogniser("dlib-resnet29").shallow_graph("conv32.1"), name="nobody")
    assert shipped_calibration(other) is None
    with pytest.raises(ValueError, match="nobody"):
        stopping_residual(other, "conv7")


def test_the_default_keys_are_the_same_on_every_machine() -> None:
    assert plain_key().fingerprint == calibrated_key("dlib-resnet29").fingerprint
    assert plain_key().manifest.sha256 == "d1ee3705207261f29963632528aa2ed16f2261a920d82f46fa44d95b3a76870f"
    assert plain_key().space is None
    # another graph would be another space, in which nobody is enrolled: these two never change
    assert default_key().manifest.sha256 == "78f8fdc9396a696d7f33adad655fef146ae70ba85f8102afe055c4117763407e"
    space = default_key().space
    assert space is not None
    assert space.id.hex() == DEFAULT_SPACE == "554a7ccca1ab3614208451ced9e2219a32a1f26313c964ce6c11d462ef2fcbde"
    assert (space.dimension, space.declaration.views) == (66, "face+mirror")


def test_a_key_of_another_space_is_not_taken_for_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facemin.keys.default.DEFAULT_SPACE", "0" * 64)
    with pytest.raises(ValueError, match="expected the space 0000"):
        default_key.__wrapped__()


def test_thresholds_under_a_pseudonym_are_of_averaged_views() -> None:
    recogniser = load_recogniser(SPACE_MODEL)
    one, averaged = shipped_calibration(recogniser), shipped_calibration(recogniser, "pseudonym")
    assert one is not None
    assert averaged is not None
    assert averaged.residuals == ()
    assert [t.far for t in averaged.thresholds] == [t.far for t in one.thresholds]
    # a stranger meets any of them far less often than a thief of the secret
    for threshold in averaged.thresholds:
        assert stranger_far(threshold.threshold, 66) < threshold.far / 2
    assert shipped_calibration(load_recogniser("dlib-resnet29"), "pseudonym") is None


@pytest.mark.parametrize("change", [{"fingerprint": "x"}, {"thresholds": []}, {"more": 1}])
def test_refuses_what_is_no_calibration(change: dict[str, object], tmp_path: Path) -> None:
    calibration = shipped_calibration(load_recogniser("dlib-resnet29"))
    assert calibration is not None
    path = tmp_path / "c.json"
    path.write_text(json.dumps(calibration.model_dump() | change))
    with pytest.raises(ValueError, match=next(iter(change))):
        read_calibration(path)

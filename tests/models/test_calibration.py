"""Shipped calibrations belong to their model, and say where they come from."""

import json
from pathlib import Path

import pytest

from facemin.keys.default import calibrated_key, default_key, stopping_residual
from facemin.models import MODELS, Recogniser, load_recogniser
from facemin.models.calibration import read_calibration, shipped_calibration


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


def test_default_key_is_the_same_on_every_machine() -> None:
    assert default_key().fingerprint == calibrated_key().fingerprint


@pytest.mark.parametrize("change", [{"fingerprint": "x"}, {"thresholds": []}, {"more": 1}])
def test_refuses_what_is_no_calibration(change: dict[str, object], tmp_path: Path) -> None:
    calibration = shipped_calibration(load_recogniser("dlib-resnet29"))
    assert calibration is not None
    path = tmp_path / "c.json"
    path.write_text(json.dumps(calibration.model_dump() | change))
    with pytest.raises(ValueError, match=next(iter(change))):
        read_calibration(path)

"""Thresholds of pseudonyms: measured, never below that of strangers, and sets of older versions."""

import pytest

from facemin.autograd.opening import open_model
from facemin.models import SPACE_MODEL
from facemin.pseudonym import stranger_far, stranger_threshold
from facemin.service.making import default_thresholds
from facemin.service.provider import has_space
from facemin.service.recognition.thresholds import PairThreshold, ThresholdSet, pseudonym_thresholds
from tests.service.test_parts import threshold_set


def entry(far: float, threshold: float) -> PairThreshold:
    return PairThreshold(
        pair="pseudonym-pseudonym",
        far=far,
        threshold=threshold,
        far_measured=far,
        impostor_pairs=10,
        genuine_pairs=10,
        tar=0.5,
    )


def pseudonyms(*entries: PairThreshold) -> ThresholdSet:
    held = threshold_set()
    return held.model_copy(update={"thresholds": (*held.thresholds, *entries)})


def test_a_set_without_pseudonyms_loads_and_holds_for_the_rest() -> None:
    held = ThresholdSet.model_validate_json(threshold_set().model_dump_json())
    held.check(1e-3)
    with pytest.raises(ValueError, match="measured for pseudonym-pseudonym"):
        held.find("pseudonym", "pseudonym", 1e-3)


@pytest.mark.parametrize("kind", ["plain", "protected"])
def test_a_pseudonym_has_a_threshold_with_no_other_kind(kind: str) -> None:
    with pytest.raises(ValueError, match="compared with each other"):
        pseudonyms(entry(1e-3, 0.5)).find("pseudonym", kind, 1e-3)  # type: ignore[arg-type]


def test_a_far_has_to_be_measured_for_pseudonyms_too_where_any_was() -> None:
    with pytest.raises(ValueError, match="pseudonym-pseudonym"):
        pseudonyms(entry(1e-4, 0.6)).check(1e-3)


def test_no_threshold_is_below_that_of_random_rotations() -> None:
    low, high = pseudonyms(entry(1e-3, 0.1), entry(1e-4, 0.9)).above_strangers(66).thresholds[-2:]
    assert low.threshold == stranger_threshold(1e-3, 66)
    assert stranger_far(low.threshold, 66) <= 1e-3
    assert not low.measured
    assert (high.threshold, high.measured) == (0.9, True)


def test_a_renewal_is_decided_at_a_tenth_or_less() -> None:
    held = pseudonyms(entry(1e-2, 0.3), entry(1e-3, 0.4), entry(1e-5, 0.6))
    assert held.stricter(1e-2) == 1e-3
    assert held.stricter(1e-3) == 1e-5
    with pytest.raises(ValueError, match="far: expected one of 1e-06 or less"):
        held.stricter(1e-5)


def test_the_default_model_has_measured_thresholds_of_pseudonyms_at_its_output_only() -> None:
    recogniser = open_model(SPACE_MODEL)
    output = recogniser.graph.graph.output[0].name
    held = default_thresholds(recogniser, output, 0.3)
    held.check(1e-3)
    found = held.find("pseudonym", "pseudonym", 1e-3)
    assert found.measured
    assert found.threshold >= stranger_threshold(1e-3, recogniser.embedding_size)
    assert not has_space(recogniser, recogniser.cuts[0].name)


def test_an_uncalibrated_space_takes_plain_thresholds_above_random_rotations() -> None:
    from facemin.models.calibration import shipped_calibration

    calibration = shipped_calibration(open_model(SPACE_MODEL))
    assert calibration is not None
    found = pseudonym_thresholds(calibration, dimension=8, measured=False)
    assert all(each.threshold >= stranger_threshold(each.far, 8) for each in found)
    assert not any(each.measured for each in found)

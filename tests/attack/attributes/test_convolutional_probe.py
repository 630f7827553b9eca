"""A convolutional probe: it finds a pattern that is there, on people it has not seen, and none that is not."""

import pytest
import torch

from facemin.attack.attributes.convolutional_probe import ConvolutionalProbe
from facemin.attack.training import Fitting
from facemin.metrics import permutation_test

PEOPLE = torch.arange(80)
LABELS = PEOPLE % 2
QUICK = ConvolutionalProbe(folds=2, width=8, fitting=Fitting(epochs=12, batch=16, rate=5e-3))


def images(*, shown: bool) -> torch.Tensor:
    """Noise, and where it is shown a faint coarse stripe for one of the classes."""
    made = torch.rand(len(PEOPLE), 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    if shown:
        made[LABELS == 1, :, 40:60] += 0.12
    return made


def test_finds_what_is_there() -> None:
    said = QUICK.classes(images(shown=True), LABELS, PEOPLE)
    assert permutation_test(said, LABELS).p < 0.001


def test_finds_nothing_where_nothing_is() -> None:
    said = QUICK.classes(images(shown=False), LABELS, PEOPLE)
    assert permutation_test(said, LABELS).p > 0.01


def test_refuses_other_shapes_and_settings() -> None:
    with pytest.raises(ValueError, match="images, labels, people"):
        QUICK.classes(images(shown=False), LABELS[:4], PEOPLE)
    with pytest.raises(ValueError, match="folds: expected an integer of at least 2, got 1"):
        ConvolutionalProbe(folds=1)

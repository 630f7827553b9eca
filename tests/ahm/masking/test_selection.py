"""Learnt channels: those that tell people apart win, and of two alike the one that shows less."""

import pytest
import torch

from facemin.ahm.masking.selection import Selection


def test_what_tells_people_apart_is_kept_and_what_shows_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 4
    channels = torch.randn(60, 192, 7, 7, generator=generator)
    patterns = torch.randn(4, 7, 7, generator=generator)
    for channel in (5, 90):
        channels[:, channel] = patterns[labels] + 0.3 * channels[:, channel]
    energy = torch.ones(192)
    energy[5] = 60.0
    scores = Selection(steps=120, penalty=5e-3)(channels, labels, energy)
    assert scores.shape == (192,)
    assert int(scores.argmax()) == 90
    assert scores[5] < scores.median()
    free = Selection(steps=120, penalty=0.0)(channels, labels, energy)
    assert float(free[[5, 90]].min()) > float(free.quantile(0.9))
    assert torch.equal(free, Selection(steps=120, penalty=0.0)(channels, labels, energy))


def test_wrong_shapes_and_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="192"):
        Selection()(torch.zeros(2, 64, 7, 7), torch.zeros(2, dtype=torch.int64), torch.ones(192))
    with pytest.raises(ValueError, match="steps"):
        Selection(steps=0)

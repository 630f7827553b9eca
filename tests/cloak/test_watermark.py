"""The watermark: bound, bits that training makes readable, and a training that goes on where it ended."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from facemin.cloak.surrogates import Team
from facemin.cloak.watermark.network import Watermarker, WatermarkNetwork, read_bits
from facemin.cloak.watermark.training import TrainedWatermark, WatermarkTraining, train_watermark
from facemin.experiments.cloaks.photos import unit
from facemin.models import Recogniser
from facemin.runtime.compute import Compute


@pytest.fixture(scope="module")
def team(dlib: Recogniser) -> Team:
    return Team.on([dlib], Compute(device="cpu", precision="float32"))


def quick(**settings: float) -> WatermarkTraining:
    return WatermarkTraining(**({"steps": 4, "batch": 2, "bits": 4, "width": 8, "begin": 2} | settings))  # type: ignore[arg-type]


def test_bits_become_readable_and_a_wrong_decoder_reads_chance(
    portraits: NDArray[np.uint8], team: Team, tmp_path: Path
) -> None:
    settings = quick(steps=60, batch=4, bits=2, begin=60, rate=3e-3)
    trained = train_watermark(portraits, team, settings, checkpoint=tmp_path / "a.pt")
    assert trained.finished
    right, wrong = [], []
    torch.manual_seed(5)
    stranger = WatermarkNetwork(bits=2, width=8)
    for seed in range(8):
        person = Watermarker.drawn(trained.network, seed)
        changes = person.changes(portraits)
        assert np.abs(changes).max() <= 16
        cloaked = unit((portraits + changes).clip(0, 255).astype(np.uint8))
        bits = torch.from_numpy(person.identity)
        right.append((read_bits(trained.network, cloaked) == bits).float().mean())
        wrong.append((read_bits(stranger, cloaked) == bits).float().mean())
    assert np.mean(right) > 0.75
    assert np.mean(wrong) < 0.7


def test_a_training_that_was_ended_goes_on_to_the_same_weights(
    portraits: NDArray[np.uint8], team: Team, tmp_path: Path
) -> None:
    whole = train_watermark(portraits, team, quick(), checkpoint=tmp_path / "whole.pt")
    taken: list[int] = []

    def on_step(now: TrainedWatermark) -> None:
        taken.append(now.step)

    file = tmp_path / "parts.pt"
    part = train_watermark(portraits, team, quick(), checkpoint=file, on_step=on_step, stop=lambda: len(taken) == 3)
    assert not part.finished
    rest = train_watermark(portraits, team, quick(), checkpoint=file, on_step=on_step)
    assert taken == [1, 2, 3, 4]
    assert rest.finished
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, rest.network.state_dict()[name]), name


def test_a_checkpoint_of_another_training_is_refused(portraits: NDArray[np.uint8], team: Team, tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    train_watermark(portraits, team, quick(steps=1), checkpoint=file)
    with pytest.raises(ValueError, match="same settings"):
        train_watermark(portraits, team, quick(steps=2), checkpoint=file)
    file.write_bytes(b"damaged")
    with pytest.raises(ValueError, match="checkpoint"):
        train_watermark(portraits, team, quick(steps=2), checkpoint=file)


def test_settings_out_of_range_are_named() -> None:
    for wrong in ({"steps": 0}, {"batch": 0}, {"begin": -1}):
        with pytest.raises(ValueError, match="WatermarkTraining"):
            WatermarkTraining(**wrong)
    with pytest.raises(ValueError, match="WatermarkNetwork"):
        WatermarkNetwork(bits=0)

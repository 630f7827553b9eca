"""Masks: which channels, in which order, standardised how, and what their file refuses."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from facemin.ahm.masking.frequency import DC, to_frequencies
from facemin.ahm.masking.mask import (
    KEPT,
    Mask,
    Statistics,
    choose_channels,
    decode_mask,
    make_mask,
    measure_statistics,
    raw_channels,
    zigzag,
)


@pytest.fixture(scope="module")
def statistics(faces: Tensor) -> Statistics:
    return measure_statistics(torch.split(faces, 3), every=4)


def test_statistics_are_those_of_all_values(faces: Tensor, statistics: Statistics) -> None:
    found = to_frequencies(faces, every=4).double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(statistics.mean, found.mean(1), rtol=0, atol=1e-8)
    torch.testing.assert_close(statistics.deviation, found.std(1, correction=0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(statistics.energy, found.square().mean(1))


def test_statistics_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="got none"):
        measure_statistics([])


def test_zigzag_is_jpegs() -> None:
    # ITU-T T.81, figure 5, its first two rows and its last
    assert zigzag()[:16] == [0, 1, 5, 6, 14, 15, 27, 28, 2, 4, 7, 13, 16, 26, 29, 42]
    assert zigzag()[56:] == [35, 36, 48, 49, 57, 58, 62, 63]


class TestChoice:
    def test_36_a_colour_without_dc(self, statistics: Statistics) -> None:
        for choice in ("zigzag", "energy"):
            kept = choose_channels(choice, statistics)
            assert len(kept) == 3 * KEPT == 108
            assert not set(kept) & set(DC)
            assert [sum(64 * colour <= each < 64 * (colour + 1) for each in kept) for colour in range(3)] == [36] * 3

    def test_channels_are_chosen_by_rule(self, statistics: Statistics) -> None:
        assert choose_channels("zigzag", statistics, kept=3) == (1, 8, 16, 65, 72, 80, 129, 136, 144)
        assert choose_channels("zigzag", statistics, kept=1, dc=True) == DC
        strongest = 64 + 1 + int(statistics.energy[65:128].argmax())
        assert choose_channels("energy", statistics, kept=1)[1] == strongest
        assert choose_channels(-torch.arange(192.0), statistics, kept=2) == (1, 2, 65, 66, 129, 130)

    def test_refusals(self, statistics: Statistics) -> None:
        with pytest.raises(ValueError, match="got 64"):
            choose_channels("zigzag", statistics, kept=64)
        with pytest.raises(ValueError, match="'alphabet'"):
            choose_channels("alphabet", statistics)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"\(64,\)"):
            choose_channels(torch.zeros(64), statistics)


class TestMask:
    def test_standardises_its_channels(self, faces: Tensor, statistics: Statistics) -> None:
        mask = make_mask((3, 70, 140), statistics, secret=9, every=4)
        found = mask(faces)
        assert found.shape[1:] == mask.shape == (3, 28, 28)
        torch.testing.assert_close(found.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-4)
        torch.testing.assert_close(found.std((0, 2, 3), correction=0), torch.ones(3), rtol=1e-4, atol=0)
        raw = raw_channels(faces, mask.channels, blocks="upsampled", every=4)
        torch.testing.assert_close(mask.unstandardise(found), raw, rtol=0, atol=1e-6)
        kept = torch.empty_like(found)
        assert torch.equal(mask(faces, out=kept), found)

    def test_plain_blocks(self, faces: Tensor) -> None:
        plain = measure_statistics([faces], blocks="plain")
        mask = make_mask((1, 2), plain, secret=None, blocks="plain")
        assert mask(faces).shape[1:] == mask.shape == (2, 14, 14)

    def test_mixing_commutes_with_masking(self, faces: Tensor, statistics: Statistics) -> None:
        """The mask is affine and the weights sum to one: MixUp of frequencies is MixUp of pixels."""
        mask = make_mask(choose_channels("zigzag", statistics), statistics, secret=1, every=4)
        weights = torch.tensor([0.5, 0.3, 0.15, 0.05])
        mixed = torch.einsum("k,kcij->cij", weights, mask(faces))
        pixels = torch.einsum("k,kcij->cij", weights, faces)
        torch.testing.assert_close(mask(pixels[None])[0], mixed, rtol=0, atol=1e-3)

    @given(secret=st.integers(0, 2**128 - 1))
    @settings(max_examples=30, deadline=None)
    def test_secret_reorders_and_nothing_else(self, statistics: Statistics, secret: int) -> None:
        kept = choose_channels("zigzag", statistics)
        mask = make_mask(kept, statistics, secret=secret)
        assert tuple(sorted(mask.channels)) == kept
        assert make_mask(kept, statistics, secret=secret).channels == mask.channels
        assert make_mask(kept, statistics, secret=secret ^ (1 << 127)).channels != mask.channels
        torch.testing.assert_close(mask.mean.double(), statistics.mean[list(mask.channels)])

    def test_a_mask_file_is_read_back(self, faces: Tensor, statistics: Statistics) -> None:
        mask = make_mask(choose_channels("energy", statistics), statistics, secret=2, every=4)
        read = decode_mask(mask.encode())
        assert (read.channels, read.blocks, read.every) == (mask.channels, "upsampled", 4)
        assert torch.equal(read(faces), mask(faces))
        assert read.fingerprint == mask.fingerprint

    def test_refusals(self, statistics: Statistics) -> None:
        one = torch.ones(1)
        with pytest.raises(ValueError, match="different ones"):
            Mask(channels=(5, 5), mean=torch.ones(2), deviation=torch.ones(2))
        with pytest.raises(ValueError, match="mean"):
            Mask(channels=(5,), mean=one / 0, deviation=one)
        with pytest.raises(ValueError, match="deviation"):
            Mask(channels=(5,), mean=one, deviation=-one)
        with pytest.raises(ValueError, match="every"):
            Mask(channels=(5,), mean=one, deviation=one, every=5)
        with pytest.raises(ValueError, match="every"):
            Mask(channels=(5,), mean=one, deviation=one, blocks="plain", every=2)
        with pytest.raises(ValueError, match="128"):
            make_mask((1,), statistics, secret=2**128)

    def test_damaged_files_are_refused(self, statistics: Statistics) -> None:
        data = make_mask((1, 2), statistics, secret=0).encode()
        for damaged in (b"", data[:40], data.replace(b"facemin-mask-1", b"facemin-mask-2"), data.replace(b"[", b"[7")):
            with pytest.raises(ValueError, match="mine: expected a file of format facemin-mask-1"):
                decode_mask(damaged, name="mine")

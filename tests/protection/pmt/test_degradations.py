"""Which operation a row gets and how strong it is, told from what came out."""

import math
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from torch import Tensor

from facemin.protection import ProviderOperations
from facemin.protection.pmt import separable as linear_maps
from facemin.protection.pmt.degradations import GRID
from facemin.protection.pmt.jpeg import jpeg
from facemin.protection.pmt.optimise import StepContext

NONE = ProviderOperations(blur=0, resize=1, jpeg=0, noise=0, shift=0)
IMAGE, OTHER = (torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(8)) * 255).round() / 255
MIDDLE = (..., slice(40, 72), slice(40, 72))

Results = Mapping[Hashable, Tensor]
"""What an image becomes, by strength."""


def changed(operations: ProviderOperations, image: Tensor, rows: int = 120) -> Tensor:
    """One image under many draws, (rows, 3, 112, 112)."""
    seeds = tuple(range(2**255, 2**255 + rows))
    return operations(image.expand(rows, -1, -1, -1), StepContext(seeds, torch.full((rows,), 3.0)))


def told(rows: Tensor, results: Results) -> list[Any]:
    """Which of the results each row is, None where it is none of them."""
    names, images = list(results), torch.stack(list(results.values()))
    off = torch.cdist(rows[MIDDLE].flatten(1), images[MIDDLE].flatten(1).float(), p=torch.inf)
    return [names[best] if row[best] < 1e-5 else None for row, best in zip(off, off.argmin(1).tolist(), strict=True)]


def strengths(operations: ProviderOperations, results: Mapping[Any, Results]) -> list[Any]:
    """The strengths of the rows that changed, the same for two images; about half, since the other choice is none."""
    one, other = (told(changed(operations, image), {"none": image, **results[image]}) for image in (IMAGE, OTHER))
    assert one == other
    assert None not in one
    assert 0.35 < one.count("none") / len(one) < 0.65
    return [strength for strength in one if strength != "none"]


def blurred(image: Tensor) -> Results:
    sigmas = [steps * GRID for steps in range(1, 40)]
    return {
        sigma: torch.from_numpy(ndimage.gaussian_filter(image, (0, sigma, sigma), mode="nearest")) for sigma in sigmas
    }


def resized(image: Tensor) -> Results:
    matrices = {side: linear_maps.resize_matrix(side) for side in range(40, 112)}
    return {side: matrix @ image @ matrix.T for side, matrix in matrices.items()}


def coded(image: Tensor) -> Results:
    qualities = torch.arange(60, 101)
    return dict(zip(qualities.tolist(), jpeg(image.expand(len(qualities), -1, -1, -1), qualities), strict=True))


def shifted(image: Tensor) -> Results:
    places = {pixels: np.clip(np.arange(112) - pixels, 0, 111) for pixels in range(-3, 4)}
    pairs = [(down, right) for down in places for right in places if (down, right) != (0, 0)]
    return {(down, right): image[:, places[down]][:, :, places[right]] for down, right in pairs}


def both(results: Any) -> dict[Tensor, Results]:
    return {image: results(image) for image in (IMAGE, OTHER)}


def test_blur_is_scipys_from_a_third_of_the_largest_on() -> None:
    found = strengths(replace(NONE, blur=1.5), both(blurred))
    assert 0.499 < min(found) < 0.6
    assert 1.4 < max(found) < 1.501
    assert len(set(found)) > 15


def test_resizing_goes_from_the_smallest_factor_to_0_95() -> None:
    found = strengths(replace(NONE, resize=0.5), both(resized))
    assert 56 <= min(found) < 60
    assert 103 < max(found) <= 106


def test_resizing_may_be_weaker_than_that() -> None:
    assert set(strengths(replace(NONE, resize=0.97), both(resized))) == {109}


def test_jpeg_goes_from_the_lowest_quality_to_95() -> None:
    found = strengths(replace(NONE, jpeg=80), both(coded))
    assert {80, 95} <= set(found) <= set(range(80, 96))


def test_shift_is_by_whole_pixels_along_each_axis() -> None:
    found = set(strengths(replace(NONE, shift=2), both(shifted)))
    assert {abs(pixels) for pair in found for pixels in pair} == {0, 1, 2}
    assert len(found) > 15


def test_noise_is_uniform_in_strength_and_not_clipped() -> None:
    one, other = (changed(replace(NONE, noise=0.2), image) - image for image in (IMAGE, OTHER))
    torch.testing.assert_close(one, other, atol=1e-6, rtol=0)
    deviations = one.flatten(1).std(1).numpy()
    assert 0.35 < (deviations == 0).mean() < 0.65
    assert stats.kstest(deviations[deviations > 0], "uniform", args=(0, 0.2)).pvalue > 0.001
    assert (one + IMAGE).min() < 0


def test_each_operation_has_the_same_chance() -> None:
    operations = ProviderOperations(shift=3)
    makers = {"blur": blurred, "resize": resized, "jpeg": coded, "shift": shifted}
    results: dict[Hashable, Tensor] = {("none", 0): IMAGE}
    for name, make in makers.items():
        results |= {(name, strength): image for strength, image in make(IMAGE).items()}
    found = told(changed(operations, IMAGE, rows=360), results)
    drawn = Counter("noise" if result is None else result[0] for result in found)
    assert set(drawn) == set(operations.names)
    # 60 of each are expected; 40 and 80 are nearly three deviations away
    assert 40 <= min(drawn.values()) <= max(drawn.values()) <= 80


@pytest.mark.parametrize(
    ("off", "name"), [({"blur": 0}, "blur"), ({"resize": 1}, "resize"), ({"jpeg": 0}, "jpeg"), ({"noise": 0}, "noise")]
)
def test_names_lack_what_has_no_strength(off: dict[str, Any], name: str) -> None:
    assert set(ProviderOperations().names) - set(ProviderOperations(**off).names) == {name}


def test_names_of_nothing() -> None:
    assert ProviderOperations().names == ("none", "blur", "resize", "jpeg", "noise", "shift")
    assert ProviderOperations(shift=0).names == ("none", "blur", "resize", "jpeg", "noise")
    assert NONE.names == ("none",)
    assert torch.equal(changed(NONE, IMAGE, rows=5), IMAGE.expand(5, -1, -1, -1))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"blur": -0.1}, "blur: .*-0.1"),
        ({"blur": 9}, "blur: .*9"),
        ({"blur": math.nan}, "blur: .*nan"),
        ({"resize": 0.05}, "resize: .*0.05"),
        ({"resize": 1.1}, "resize: .*1.1"),
        ({"jpeg": -1}, "jpeg: .*-1"),
        ({"jpeg": 96}, "jpeg: .*96"),
        ({"jpeg": 70.5}, "jpeg: .*integer.*70.5"),
        ({"noise": 1.1}, "noise: .*1.1"),
        ({"shift": -1}, "shift: .*-1"),
        ({"shift": 57}, "shift: .*57"),
        ({"shift": 1.5}, "shift: .*integer.*1.5"),
    ],
)
def test_refuses_settings_out_of_range(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"ProviderOperations {words}"):
        ProviderOperations(**settings)

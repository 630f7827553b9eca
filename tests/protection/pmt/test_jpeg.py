"""JPEG against Pillow's encoder, and its surrogate gradient against one made of scipy's transforms."""

from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.fft import dctn, idctn
from skimage.data import astronaut
from torch import Tensor

from facemin.protection.pmt.jpeg import CHROMINANCE, LUMINANCE, TO_YCBCR, jpeg, step_sizes

Array = np.ndarray[Any, Any]

PHOTO = astronaut()


def crops(count: int, seed: int) -> Array:
    """Pieces of the photo, (count, 112, 112, 3), uint8."""
    corners = np.random.default_rng(seed).integers(0, 512 - 112, (count, 2))
    return np.stack([PHOTO[top : top + 112, left : left + 112] for top, left in corners])


def unit(pixels: Array) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def levels(images: Tensor) -> Array:
    result: Array = images.permute(0, 2, 3, 1).double().numpy() * 255
    return result


def saved(pixels: Array, quality: int) -> Image.Image:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return Image.open(file)


def pillow(pixels: Array, quality: int) -> Array:
    return np.stack([np.asarray(saved(one, quality)) for one in pixels]).astype(float)


def all_at(quality: int, images: Tensor) -> Tensor:
    return jpeg(images, torch.full((len(images),), quality))


@pytest.mark.parametrize("quality", [30, 37, 42, 49, 50, 58, 66, 70, 75, 81, 88, 92, 95])
def test_result_is_pillows_within_rounding(quality: int) -> None:
    pixels = crops(5, seed=quality)
    ours, oracle = levels(all_at(quality, unit(pixels))), pillow(pixels, quality)
    for one, coded, plain in zip(ours, oracle, pixels, strict=True):
        off = np.abs(one - coded).mean()
        assert off < 1.6
        assert off < 0.75 * np.abs(one - plain).mean()


# with coarser tables, a mean near the middle of two steps may be rounded either way
@pytest.mark.parametrize("quality", [75, 95])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255), (30, 200, 90)])
def test_flat_colours_are_pillows(colour: tuple[int, int, int], quality: int) -> None:
    pixels = np.full((1, 112, 112, 3), colour, np.uint8)
    assert np.abs(levels(all_at(quality, unit(pixels))) - pillow(pixels, quality)).max() < 2


def test_tables_are_libjpegs_at_every_quality() -> None:
    grey = np.full((16, 16, 3), 128, np.uint8)
    for quality in range(1, 101):
        tables = saved(grey, quality).quantization  # type: ignore[attr-defined]
        for number, table in enumerate((LUMINANCE, CHROMINANCE)):
            ours = step_sizes(torch.tensor(table, dtype=torch.float32), torch.tensor([quality]))
            assert ours.flatten().tolist() == tables[number], f"quality {quality}, table {number}"


def test_each_row_has_its_own_quality() -> None:
    images, qualities = unit(crops(6, seed=1)), torch.tensor([30, 95, 70, 71, 45, 88])
    together = jpeg(images, qualities)
    for row in range(6):
        twice = torch.tensor([row, row])
        assert torch.equal(jpeg(images[twice], qualities[twice])[0], together[row])
        torch.testing.assert_close(jpeg(images[row : row + 1], qualities[row : row + 1])[0], together[row])


def test_lower_quality_keeps_less() -> None:
    images = unit(crops(3, seed=2))
    lost = [(all_at(quality, images) - images).abs().mean().item() for quality in (95, 75, 50, 30, 10)]
    assert lost == sorted(lost)


def test_range_and_input_are_kept() -> None:
    images = (unit(crops(2, seed=3)) > 0.5).float()
    before = images.clone()
    result = all_at(30, images)
    assert (result.min().item(), result.max().item()) == (0, 1)
    assert torch.equal(images, before)


class TestSlope:
    """A coefficient that survives passes the gradient on, one that becomes zero blocks it."""

    IMAGES = 0.25 + 0.5 * unit(crops(2, seed=4)).double()

    def slope(self, weights: Tensor, quality: int, images: Tensor) -> Tensor:
        leaf = images.clone().requires_grad_()
        result = all_at(quality, leaf)
        # nothing is clipped, which would block as well
        assert 0 < result.min() <= result.max() < 1
        (found,) = torch.autograd.grad((result * weights).sum(), leaf)
        return found

    @pytest.mark.parametrize("quality", [30, 75, 95])
    def test_equals_one_of_scipys_transforms(self, quality: int) -> None:
        random = np.random.default_rng(quality)
        weights = random.normal(size=self.IMAGES.shape)
        found = self.slope(torch.from_numpy(weights), quality, self.IMAGES).numpy()
        tables = [np.reshape(table, (8, 8)) for table in saved(crops(1, 0)[0], quality).quantization.values()]  # type: ignore[attr-defined]
        for image, weight, slope in zip(self.IMAGES.numpy(), weights, found, strict=True):
            for _ in range(3):
                direction = random.normal(size=image.shape)
                expected = (passed(image, direction, tables) * weight).sum()
                assert (slope * direction).sum() == pytest.approx(expected, rel=1e-4, abs=1e-2)

    def test_blocks_what_a_flat_image_has_not(self) -> None:
        grey = torch.full((1, 3, 112, 112), 0.4)
        stripes = torch.tensor([1.0, -1.0]).repeat(56).expand(1, 3, 112, 112)
        assert self.slope(stripes, 95, grey).abs().max() < 1e-6
        # a block's mean survives: shared among its 64 pixels, and among colours as luminance has them
        shares = torch.tensor(TO_YCBCR[0]).view(1, 3, 1, 1).expand_as(grey) * 3
        torch.testing.assert_close(self.slope(torch.ones_like(grey), 95, grey), shares)

    def test_is_there_after_a_first_use_in_inference_mode(self) -> None:
        jpeg.__globals__["_dct"].cache_clear()
        with torch.inference_mode():
            all_at(75, self.IMAGES.float())
        assert self.slope(torch.ones(1), 75, self.IMAGES.float()).abs().sum() > 0


def passed(image: Array, direction: Array, tables: list[Array]) -> Array:
    """How the decoded image (3, 112, 112) moves with the image, where only surviving coefficients move."""
    colour = np.array(TO_YCBCR)
    (light, *chroma), moved = (np.einsum("cd,dhw->chw", colour, part) for part in (image * 255, direction))
    planes = [surviving(light - 128, moved[0], tables[0])]
    for plane, change in zip(chroma, moved[1:], strict=True):
        small = surviving(halved(plane), halved(change), tables[1])
        planes.append(doubled(doubled(small).T).T)
    result: Array = np.einsum("cd,dhw->chw", np.linalg.inv(colour), np.stack(planes))
    return result


def surviving(plane: Array, change: Array, table: Array) -> Array:
    side = plane.shape[0]
    dct, back = (partial(transform, axes=(1, 3), norm="ortho") for transform in (dctn, idctn))
    plane, change = (part.reshape(side // 8, 8, side // 8, 8) for part in (plane, change))
    lives = np.rint(dct(plane) / table[:, None]) != 0
    result: Array = back(dct(change) * lives).reshape(side, side)
    return result


def halved(plane: Array) -> Array:
    result: Array = plane.reshape(56, 2, 56, 2).mean((1, 3))
    return result


def doubled(plane: Array) -> Array:
    before, after = plane[[0, *range(55)]], plane[[*range(1, 56), 55]]
    result: Array = np.stack([0.75 * plane + 0.25 * before, 0.75 * plane + 0.25 * after], 1).reshape(112, -1)
    return result

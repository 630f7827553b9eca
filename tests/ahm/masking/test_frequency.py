"""The frequency front end against scipy, torch's own interpolation, and itself backwards."""

import pytest
import torch
from scipy.fft import dctn, idctn
from torch import Tensor
from torch.nn import functional as F

from facemin.ahm.masking.frequency import (
    CHANNELS,
    DC,
    axis_maps,
    block_dct,
    from_frequencies,
    inverse_block_dct,
    to_frequencies,
    to_rgb,
    to_ycbcr,
    transposed,
)


def by_scipy(faces: Tensor) -> Tensor:
    """As the source writes it down, in double precision: colour, upsampling, one block after another."""
    red, green, blue = (faces.double() * 255).unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = torch.stack([luma, 128 + (blue - luma) / 1.772, 128 + (red - luma) / 1.402], 1) - 128
    large = F.interpolate(planes, scale_factor=8, mode="bilinear", align_corners=True)
    blocks = large.view(len(faces), 3, 112, 8, 112, 8).permute(0, 1, 2, 4, 3, 5).numpy()
    found = torch.from_numpy(dctn(blocks, axes=(4, 5), norm="ortho"))
    return found.permute(0, 1, 4, 5, 2, 3).reshape(len(faces), CHANNELS, 112, 112) / 255


class TestToFrequencies:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_coefficients_equal_scipys(self, faces: Tensor, dtype: torch.dtype) -> None:
        found = to_frequencies(faces.to(dtype))
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), by_scipy(faces), rtol=0, atol=1e-5)

    def test_channels_and_blocks_that_are_asked_for(self, faces: Tensor) -> None:
        whole = to_frequencies(faces)
        wanted = (191, 0, 66, 65, 3, 64)
        torch.testing.assert_close(to_frequencies(faces, wanted), whole[:, wanted], rtol=0, atol=1e-6)
        strided = to_frequencies(faces, wanted, every=4)
        torch.testing.assert_close(strided, whole[:, wanted, ::4, ::4], rtol=0, atol=1e-6)

    def test_flat_face_has_dc_alone(self) -> None:
        found = to_frequencies(torch.full((1, 3, 112, 112), 0.75, dtype=torch.float64))
        expected = torch.zeros_like(found)
        expected[:, 0] = 8 * (0.75 - 128 / 255)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)

    def test_a_block_is_three_pixels_at_most(self) -> None:
        maps = axis_maps(torch.float64, torch.device("cpu"))
        blocks, pixels = torch.meshgrid(torch.arange(112), torch.arange(112), indexing="ij")
        assert bool((maps[:, (blocks - pixels).abs() > 1] == 0).all())

    def test_rows_do_not_depend_on_the_batch(self, faces: Tensor) -> None:
        assert torch.equal(to_frequencies(faces)[1:], to_frequencies(faces[1:]))

    def test_gradient(self, faces: Tensor) -> None:
        near = faces[:1].double().requires_grad_()
        some, direction = (70, 1, 9), torch.randn(1, 3, 28, 28, dtype=torch.float64)
        scalar = (to_frequencies(near, some, every=4) * direction).sum()
        (found,) = torch.autograd.grad(scalar, near)
        step = torch.randn_like(found)
        # the map is affine, so a finite difference is exact
        change = to_frequencies(near.detach() + step, some, every=4) - to_frequencies(near.detach(), some, every=4)
        torch.testing.assert_close((found * step).sum(), (change * direction).sum(), rtol=1e-10, atol=0)

    def test_gradcheck(self) -> None:
        generator = torch.Generator().manual_seed(0)
        patch = torch.rand(1, 3, 2, 2, dtype=torch.float64, generator=generator, requires_grad=True)
        torch.autograd.gradcheck(
            lambda patch: to_frequencies(F.pad(patch, (30, 80, 50, 60)), (1, 72, 130))[..., 49:53, 29:33], (patch,)
        )

    def test_transpose(self, faces: Tensor) -> None:
        generator = torch.Generator().manual_seed(5)
        some = (3, 64, 190, 65)
        channels = torch.randn(2, 4, 56, 56, dtype=torch.float64, generator=generator)
        planes = torch.randn(2, 3, 112, 112, dtype=torch.float64, generator=generator)
        mid = to_rgb(torch.zeros_like(planes))
        applied = to_frequencies(to_rgb(planes), some, every=2) - to_frequencies(mid, some, every=2)
        back = (transposed(channels, some, every=2) * planes).sum()
        torch.testing.assert_close(back, (applied * channels).sum(), rtol=1e-10, atol=1e-8)

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [(torch.zeros(3, 112, 112), r"\(3, 112, 112\)"), (torch.zeros(1, 3, 112, 112, dtype=torch.uint8), "uint8")],
    )
    def test_refuses_other_faces(self, wrong: Tensor, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            to_frequencies(wrong)

    def test_refuses_other_channels_and_strides(self, faces: Tensor) -> None:
        with pytest.raises(ValueError, match="192"):
            to_frequencies(faces, (0, 192))
        with pytest.raises(ValueError, match="got 3"):
            to_frequencies(faces, every=3)

    def test_writes_where_told(self, faces: Tensor) -> None:
        kept = torch.empty(len(faces), 2, 56, 56)
        assert to_frequencies(faces, (5, 99), every=2, out=kept) is kept
        strided = kept.clone().contiguous(memory_format=torch.channels_last).zero_()
        assert to_frequencies(faces, (5, 99), every=2, out=strided) is strided
        assert torch.equal(strided, kept)
        assert torch.equal(kept, to_frequencies(faces, (5, 99), every=2))
        with pytest.raises(ValueError, match="out"):
            to_frequencies(faces, (5,), out=kept)


class TestFromFrequencies:
    def test_round_trip(self, faces: Tensor) -> None:
        assert float((from_frequencies(to_frequencies(faces)) - faces).abs().max()) < 0.1 / 255
        exact = faces.double()
        torch.testing.assert_close(from_frequencies(to_frequencies(exact)), exact, rtol=0, atol=1e-11)

    def test_other_channels_give_the_nearest_face(self, faces: Tensor) -> None:
        """The pseudo-inverse: what is left has nothing that a face could explain."""
        channels = torch.randn(1, CHANNELS, 112, 112, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        rest = channels - to_frequencies(from_frequencies(channels))
        assert float(transposed(rest, range(CHANNELS)).abs().max()) < 1e-9

    def test_refuses_other_shapes(self) -> None:
        with pytest.raises(ValueError, match="108"):
            from_frequencies(torch.zeros(1, 108, 112, 112))


def test_block_dct_is_scipys() -> None:
    planes = torch.rand(2, 3, 16, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = block_dct(planes)
    assert found.shape == (2, 192, 2, 3)
    for colour in range(3):
        expected = torch.from_numpy(dctn(planes[1, colour, 8:, 16:].numpy(), norm="ortho"))
        torch.testing.assert_close(found[1, 64 * colour : 64 * (colour + 1), 1, 2].view(8, 8), expected)
        back = torch.from_numpy(idctn(expected.numpy(), norm="ortho"))
        torch.testing.assert_close(inverse_block_dct(found)[1, colour, 8:, 16:], back)
    single = inverse_block_dct(block_dct(planes.float()))
    torch.testing.assert_close(single.double(), planes, rtol=0, atol=1e-5)


def test_block_dct_refuses_other_sides() -> None:
    with pytest.raises(ValueError, match="20"):
        block_dct(torch.zeros(1, 3, 20, 16))
    with pytest.raises(ValueError, match="100"):
        inverse_block_dct(torch.zeros(1, 100, 2, 2))


def test_colours_by_hand_and_back(faces: Tensor) -> None:
    red = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64).view(1, 3, 1, 1)
    expected = torch.tensor([0.299 - 128 / 255, -0.299 / 1.772, 0.5], dtype=torch.float64).view(1, 3, 1, 1)
    torch.testing.assert_close(to_ycbcr(red), expected)
    torch.testing.assert_close(to_rgb(to_ycbcr(faces)), faces)


def test_first_of_a_colour_is_dc(faces: Tensor) -> None:
    assert DC == (0, 64, 128)
    channels = to_frequencies(faces).abs().mean((0, 2, 3)).view(3, 64)
    assert bool((channels[0].argmax() == 0) & (channels[0, 0] > 5 * channels[0, 1:].amax()))

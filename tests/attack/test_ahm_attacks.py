"""Attacks on masked and mixed training: each succeeds where it must, and fails where there is nothing to find."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facemin.ahm.attacks.conditional_gan import ConditionalGAN, GeneratorLoss
from facemin.ahm.attacks.integrate import Integration
from facemin.ahm.attacks.model_inversion import ModelInversion
from facemin.ahm.attacks.unmix import SameFace, Unmixing
from facemin.ahm.masking.mask import choose_channels, make_mask, measure_statistics
from facemin.metrics import psnr
from facemin.runtime.compute import Compute
from tests.pictures import smooth_faces


@pytest.fixture(scope="module")
def faces() -> Tensor:
    return (smooth_faces(6, cells=8, generator=torch.Generator().manual_seed(0)) * 255).round() / 255


def embed(faces: Tensor) -> Tensor:
    """A stand-in recogniser whose embedding is a centred thumbnail: what inverts it has to paint the thumbnail."""
    small = F.adaptive_avg_pool2d(faces, 4).flatten(1)
    return F.normalize(small - small.mean(1, keepdim=True))


class TestIntegration:
    def test_missing_dc_comes_back_but_for_an_offset(self, faces: Tensor) -> None:
        statistics = measure_statistics([faces], every=2)
        mask = make_mask(choose_channels("zigzag", statistics), statistics, secret=7, every=2)
        # each colour's mean over the face is known, so that the offset is too
        flat = faces.mean((2, 3), keepdim=True).expand_as(faces)
        found = Integration()(mask(faces), mask, mean=flat)
        assert float(psnr(found, faces).min()) > 25 > 15 > float(psnr(flat, faces).max())
        # what holds no slopes gives none
        assert float((Integration()(mask(flat), mask, mean=flat) - flat).abs().max()) < 0.01

    def test_with_all_blocks_one_step_is_enough(self, faces: Tensor) -> None:
        statistics = measure_statistics([faces])
        mask = make_mask(choose_channels("zigzag", statistics), statistics, secret=7)
        flat = faces.mean((2, 3), keepdim=True).expand_as(faces)
        assert float(psnr(Integration(steps=3)(mask(faces), mask, mean=flat), faces).min()) > 30

    def test_refuses_plain_blocks_and_other_shapes(self, faces: Tensor) -> None:
        statistics = measure_statistics([faces], blocks="plain")
        plain = make_mask((1, 2), statistics, secret=None, blocks="plain")
        with pytest.raises(ValueError, match="upsampled"):
            Integration()(plain(faces), plain, mean=faces[:1])
        upsampled = make_mask((1, 2), measure_statistics([faces], every=4), secret=None, every=4)
        with pytest.raises(ValueError, match=r"\(B, 2, 28, 28\)"):
            Integration()(plain(faces), upsampled, mean=faces[:1])


class TestUnmixing:
    def test_known_weights_give_all_faces_back(self, faces: Tensor) -> None:
        generator = torch.Generator().manual_seed(1)
        weights = torch.rand(20, 6, generator=generator) * (torch.rand(20, 6, generator=generator) > 0.5)
        weights = weights / weights.sum(1, keepdim=True)
        mixes = torch.einsum("tn,nchw->tchw", weights, faces)
        found = Unmixing(ridge=1e-8)(mixes, weights)
        torch.testing.assert_close(found, faces, rtol=0, atol=1e-3)
        with pytest.raises(ValueError, match=r"\(20, N\)"):
            Unmixing()(mixes, weights[:3])

    def test_the_face_that_mixes_share(self) -> None:
        generator = torch.Generator().manual_seed(2)
        own, others = torch.randn(3, 16, 16, generator=generator), torch.randn(200, 3, 16, 16, generator=generator)
        shares = 0.2 + 0.4 * torch.rand(200, 1, 1, 1, generator=generator)
        mixes = shares * own + (1 - shares) * others
        found = SameFace()(mixes, mean=torch.zeros(3, 16, 16), share=0.4)
        assert float(F.cosine_similarity(found.flatten(), own.flatten(), dim=0)) > 0.97
        one = SameFace()(mixes[:1], mean=torch.zeros(3, 16, 16), share=0.4)
        assert float(F.cosine_similarity(one.flatten(), own.flatten(), dim=0)) < 0.9
        with pytest.raises(ValueError, match="share"):
            SameFace()(mixes, mean=torch.zeros(3, 16, 16), share=0.0)


class TestModelInversion:
    def test_finds_what_the_recogniser_looks_for(self, faces: Tensor) -> None:
        mean = faces.mean(0, keepdim=True)
        attack = ModelInversion(steps=40, rate=0.05, total_variation=0.1, closeness=0.1, shift=1)
        # a mirrored thumbnail is another one, so targets are symmetric
        targets = embed((faces + faces.flip(3)) / 2)
        found = attack(embed, targets, mean=mean, compute=ON_CPU)
        before = (embed(mean) * targets).sum(1)
        assert found.images.shape == faces.shape
        assert float(found.images.min()) >= 0
        assert float(found.images.max()) <= 1
        assert float(found.cosines.min()) > 0.9 > float(before.max())

    def test_rows_do_not_depend_on_the_batch(self, faces: Tensor) -> None:
        attack = ModelInversion(steps=5)
        mean, targets = faces.mean(0, keepdim=True), embed(faces[:2])
        alone = torch.cat([attack(embed, target[None], mean=mean, compute=ON_CPU).images for target in targets])
        torch.testing.assert_close(attack(embed, targets, mean=mean, compute=ON_CPU).images, alone, rtol=0, atol=1e-4)

    def test_refuses_bad_targets_and_settings(self, faces: Tensor) -> None:
        with pytest.raises(ValueError, match="finite rows"):
            ModelInversion()(embed, torch.full((1, 48), torch.nan), mean=faces[:1])
        with pytest.raises(ValueError, match="steps"):
            ModelInversion(steps=0)


ON_CPU = Compute(device="cpu", precision="float32")
GAN = ConditionalGAN(epochs=6, batch=8, width=6, noise=2, rate=3e-3)


@pytest.fixture(scope="module")
def flat() -> Tensor:
    """Faces of one of two colours, whatever else."""
    colours = torch.tensor([[0.9, 0.2, 0.2], [0.1, 0.3, 0.9]])
    return (colours[torch.arange(32) % 2][:, :, None, None].expand(-1, -1, 112, 112) * 255).to(torch.uint8)


class Reddish(nn.Module):
    def forward(self, faces: Tensor) -> Tensor:
        means = faces.mean((2, 3))
        return F.normalize(torch.stack([means[:, 0], means[:, 2]], 1))


class TestConditionalGAN:
    def test_learns_what_a_condition_means_and_serves_the_white_box(self, flat: Tensor) -> None:
        errors: list[float] = []
        conditions = F.one_hot(torch.arange(32) % 2, 2).float()
        generator = GAN(conditions, flat, compute=ON_CPU, on_epoch=lambda done, error: errors.append(error))
        assert len(errors) == 6
        assert errors[-1] < 0.5 * errors[0]
        painted = generator(torch.eye(2)).mean((2, 3))
        assert painted[0, 0] > painted[0, 2] + 0.2
        assert painted[1, 2] > painted[1, 0] + 0.2
        grey = torch.full((1, 3, 112, 112), 0.5)
        found = ModelInversion(steps=8)(Reddish(), torch.eye(2), mean=grey, generator=generator, compute=ON_CPU)
        assert found.images[0, 0].mean() > found.images[0, 2].mean()
        assert found.images[1, 2].mean() > found.images[1, 0].mean()

    def test_same_seed_same_weights(self, flat: Tensor) -> None:
        gan = ConditionalGAN(epochs=1, batch=8, width=4)
        conditions = torch.rand(32, 3, generator=torch.Generator().manual_seed(1))
        one, two = (gan(conditions, flat, compute=ON_CPU) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))

    def test_refuses_too_few(self, flat: Tensor) -> None:
        with pytest.raises(ValueError, match="at least 8"):
            GAN(torch.rand(4, 2), flat[:4])

    @pytest.mark.parametrize("wrong", [{"epochs": 0}, {"rate": 0.0}, {"noise": -1}, {"width": 1.5}])
    def test_refuses_settings_out_of_range(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=f"ConditionalGAN {next(iter(wrong))}: expected"):
            ConditionalGAN(**wrong)

    def test_refuses_negative_weights(self) -> None:
        with pytest.raises(ValueError, match="GeneratorLoss adversarial: expected"):
            GeneratorLoss(adversarial=-0.1)

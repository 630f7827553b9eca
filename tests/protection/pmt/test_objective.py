"""The objective of PMT against sums by hand, and when an image under a transform ends."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from facemin.keys.key import Key
from facemin.protection import (
    PMT,
    Compute,
    GaussianBlur,
    Mix,
    OptimisedImage,
    ProviderOperations,
    RandomNoise,
    Transform,
)
from facemin.protection.pmt.objective import CHECKS, PERIOD, FeatureMatching
from facemin.protection.pmt.optimise import StepContext

CPU = torch.device("cpu")
MOMENT = StepContext(tuple(range(4)), torch.arange(4.0))


def objective(*keys: Key, **settings: Any) -> FeatureMatching:
    return FeatureMatching(keys, residual=settings.pop("residual", 0.3), device=CPU, **settings)


def off(features: Tensor, targets: Tensor) -> Tensor:
    """Relative distance of each row, in double precision."""
    features, targets = features.double().flatten(1), targets.double().flatten(1)
    return ((features - targets).square().sum(1) / targets.square().sum(1)).sqrt()


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def images(faces: Tensor) -> Tensor:
    noise = torch.randn(faces.shape, generator=torch.Generator().manual_seed(4))
    return ((faces + 0.1 * noise).clamp(0, 1) * 255).round() / 255


class TestLoss:
    def test_is_the_weighted_sum_over_keys(self, faces: Tensor, images: Tensor, dlib_keys: dict[str, Key]) -> None:
        early, late = dlib_keys.values()
        each = [off(key.shallow(images), key.shallow(faces)) for key in (early, late)]
        for weights in (None, (1.0, 1.0), (0.5, 3.0), (2, 1)):
            matched = objective(early, late, weights=weights)
            progress = matched(images, matched.targets(faces), MOMENT)
            first, second = weights or (1.0, 1.0)
            close(progress.loss, first * each[0] + second * each[1])
            assert progress.estimates is not None
            close(progress.estimates, torch.stack(each, 1))

    def test_with_layers_is_the_distance_of_all_their_values(
        self, faces: Tensor, images: Tensor, layered_key: Key
    ) -> None:
        matched = objective(layered_key)
        found, wanted = (
            torch.cat([layer.flatten(1) for layer in layered_key.shallow.layers(x)], 1) for x in (images, faces)
        )
        close(matched(images, matched.targets(faces), MOMENT).loss, off(found, wanted))

    def test_with_a_pool_is_the_distance_of_means(self, faces: Tensor, images: Tensor, layered_key: Key) -> None:
        matched = objective(layered_key, pool=1)
        found, wanted = (
            torch.cat([layer.mean((2, 3)) for layer in layered_key.shallow.layers(x)], 1) for x in (images, faces)
        )
        assert found.shape == (4, 32 + 32 + 32)
        close(matched(images, matched.targets(faces), MOMENT).loss, off(found, wanted))

    def test_pool_is_a_grid_of_tiles(self, faces: Tensor, images: Tensor, dlib_keys: dict[str, Key]) -> None:
        key = dlib_keys["conv32.1"]
        matched = objective(key, pool=5)
        found, wanted = (key.shallow(x).reshape(4, 32, 5, 7, 5, 7).mean((3, 5)) for x in (images, faces))
        close(matched(images, matched.targets(faces), MOMENT).loss, off(found, wanted))

    @pytest.mark.parametrize("transform", [Mix(), ProviderOperations()], ids=repr)
    def test_plain_target_compares_with_the_face_as_it_is(
        self, transform: Transform, faces: Tensor, images: Tensor, dlib_keys: dict[str, Key]
    ) -> None:
        key = dlib_keys["conv32.1"]
        matched = objective(key, transform=transform)
        progress = matched(images, matched.targets(faces), MOMENT)
        close(progress.loss, off(key.shallow(transform(images, MOMENT)), key.shallow(faces)))

    @pytest.mark.parametrize("transform", [Mix(), ProviderOperations()], ids=repr)
    def test_same_target_changes_the_face_alike(
        self, transform: Transform, faces: Tensor, images: Tensor, dlib_keys: dict[str, Key]
    ) -> None:
        key = dlib_keys["conv32.1"]
        matched = objective(key, transform=transform, target="same")
        targets = matched.targets(faces)
        expected = off(key.shallow(transform(images, MOMENT)), key.shallow(transform(faces, MOMENT)))
        close(matched(images, targets, MOMENT).loss, expected)
        assert (matched(faces, targets, MOMENT).loss < 1e-6).all()

    def test_target_apart_changes_the_face_by_a_draw_of_its_own(
        self, faces: Tensor, images: Tensor, dlib_keys: dict[str, Key]
    ) -> None:
        key, transform = dlib_keys["conv32.1"], Mix()
        matched = objective(key, transform=transform, target="apart")
        targets = matched.targets(faces)
        own = StepContext(tuple(seed + 2**128 for seed in MOMENT.seeds), MOMENT.steps)
        expected = off(key.shallow(transform(images, MOMENT)), key.shallow(transform(faces, own)))
        close(matched(images, targets, MOMENT).loss, expected)
        # two draws differ, even of one image
        assert (matched(faces, targets, MOMENT).loss > 1e-3).all()

    @pytest.mark.parametrize("target", ["plain", "same", "apart"])
    def test_passes_gradients_to_the_image_alone(
        self, target: str, faces: Tensor, images: Tensor, layered_key: Key
    ) -> None:
        matched = objective(layered_key, transform=Mix(), target=target, pool=4)
        leaf, plain = images.clone().requires_grad_(), faces.clone().requires_grad_()
        slopes = torch.autograd.grad(
            matched(leaf, matched.targets(plain.detach()), MOMENT).loss.sum(), (leaf, plain), allow_unused=True
        )
        assert slopes[0] is not None
        assert (slopes[0].flatten(1).abs().sum(1) > 0).all()
        assert slopes[1] is None


class TestBfloat16:
    def test_estimates_are_near_and_residuals_exact(
        self, faces: Tensor, images: Tensor, dlib_keys: dict[str, Key]
    ) -> None:
        key = dlib_keys["conv32.1"]
        exact, quick = objective(key), objective(key, precision=torch.bfloat16)
        targets = quick.targets(faces)
        estimates, truth = (one(images, targets, MOMENT).estimates for one in (quick, exact))
        assert estimates is not None
        assert truth is not None
        assert estimates.dtype == torch.float32
        assert not torch.equal(estimates, truth)
        torch.testing.assert_close(estimates, truth, rtol=0.03, atol=0)
        assert torch.equal(quick.residuals(images, targets), exact.residuals(images, targets))

    def test_the_key_stays_float32(self, dlib_keys: dict[str, Key]) -> None:
        key = dlib_keys["conv32.1"]
        (quick,) = objective(key, precision=torch.bfloat16).quick
        assert all(buffer.dtype == torch.bfloat16 for buffer in quick.buffers() if buffer.is_floating_point())
        assert all(buffer.dtype == torch.float32 for buffer in key.shallow.buffers() if buffer.is_floating_point())

    def test_gradient_points_the_same_way(self, faces: Tensor, images: Tensor, dlib_keys: dict[str, Key]) -> None:
        slopes = []
        for precision in (torch.float32, torch.bfloat16):
            matched = objective(dlib_keys["conv32.1"], precision=precision)
            leaf = images.clone().requires_grad_()
            (slope,) = torch.autograd.grad(matched(leaf, matched.targets(faces), MOMENT).loss.sum(), leaf)
            slopes.append(slope.flatten(1))
        assert (torch.cosine_similarity(slopes[0], slopes[1]) > 0.95).all()


class TestEstimates:
    """With a transform: the residuals where a look is due and may succeed, infinite elsewhere."""

    STEPS = torch.tensor([0.0, PERIOD, PERIOD + 1, 2 * PERIOD])

    def estimates(self, matched: FeatureMatching, images: Tensor, faces: Tensor, rows: list[int]) -> Tensor:
        moment = StepContext(tuple(MOMENT.seeds[row] for row in rows), self.STEPS[rows])
        found = matched(images[rows], tuple(target[rows] for target in matched.targets(faces)), moment).estimates
        assert found is not None
        assert not found.requires_grad
        return found

    @pytest.mark.parametrize("target", ["plain", "same", "apart"])
    def test_are_the_residuals_once_a_period(
        self, target: str, faces: Tensor, images: Tensor, dlib_keys: dict[str, Key]
    ) -> None:
        matched = objective(*dlib_keys.values(), residual=0.8, transform=Mix(), target=target)
        found = self.estimates(matched, images, faces, [0, 1, 2, 3])
        assert found[[0, 2]].isinf().all()
        residuals = matched.residuals(images, matched.targets(faces))
        torch.testing.assert_close(found[[1, 3]], residuals[[1, 3]], rtol=1e-4, atol=0)

    def test_are_infinite_where_a_probe_fails(self, faces: Tensor, images: Tensor, dlib_keys: dict[str, Key]) -> None:
        worst = objective(dlib_keys["conv32.1"], transform=Mix()).residuals(
            images, (dlib_keys["conv32.1"].shallow(faces),)
        )
        between = worst[[1, 3]].mean().item()
        matched = objective(dlib_keys["conv32.1"], residual=between, transform=Mix())
        found = self.estimates(matched, images, faces, [0, 1, 2, 3])
        assert found.isfinite().flatten().tolist() == [row in (1, 3) and bool(worst[row] < between) for row in range(4)]
        assert found.isfinite().sum() == 1

    @pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
    def test_do_not_depend_on_the_rows_beside(
        self, precision: torch.dtype, faces: Tensor, images: Tensor, dlib_keys: dict[str, Key]
    ) -> None:
        matched = objective(*dlib_keys.values(), residual=0.8, transform=Mix(), precision=precision)
        together = self.estimates(matched, images, faces, [0, 1, 2, 3])
        assert torch.equal(self.estimates(matched, images, faces, [2, 1]), together[[2, 1]])
        assert torch.equal(self.estimates(matched, images, faces, [3, 3]), together[[3, 3]])


class TestResiduals:
    def test_without_a_transform_are_the_distances(
        self, faces: Tensor, images: Tensor, dlib_keys: dict[str, Key]
    ) -> None:
        matched = objective(*dlib_keys.values(), weights=(3, 5))
        expected = [off(key.shallow(images), key.shallow(faces)) for key in dlib_keys.values()]
        close(matched.residuals(images, matched.targets(faces)), torch.stack(expected, 1))

    @pytest.mark.parametrize("target", ["plain", "same", "apart"])
    def test_with_one_are_the_worst_over_the_probes(
        self, target: str, faces: Tensor, images: Tensor, dlib_keys: dict[str, Key]
    ) -> None:
        matched = objective(*dlib_keys.values(), transform=RandomNoise(), target=target)
        found = matched.residuals(images, matched.targets(faces))
        every = [
            torch.stack([off(key.shallow(probe(images)), key.shallow(faces)) for key in dlib_keys.values()], 1)
            for probe in CHECKS.values()
        ]
        close(found, torch.stack(every).amax(0))
        assert (found[:, 0] > every[0][:, 0] + 1e-3).all()

    def test_limits_are_each_keys_own_or_the_one_given(self, dlib_keys: dict[str, Key]) -> None:
        assert objective(*dlib_keys.values(), residual=None).limits.tolist() == pytest.approx([0.45, 0.24])
        assert objective(*dlib_keys.values(), residual=0.1).limits.tolist() == pytest.approx([0.1, 0.1])


class TestProbes:
    def test_are_what_their_names_say(self, images: Tensor) -> None:
        def pillow(change: Any) -> Tensor:
            pictures = [Image.fromarray(one) for one in (images * 255).round().byte().permute(0, 2, 3, 1).numpy()]
            changed = [np.asarray(change(picture)) for picture in pictures]
            return torch.from_numpy(np.stack(changed)).permute(0, 3, 1, 2) / 255

        def coded(picture: Image.Image) -> Image.Image:
            file = BytesIO()
            picture.save(file, "JPEG", quality=75)
            return Image.open(file)

        def resized(picture: Image.Image) -> Image.Image:
            bilinear = Image.Resampling.BILINEAR
            return picture.resize((84, 84), bilinear).resize((112, 112), bilinear)

        assert set(CHECKS) == {"none", "blur-1", "resize-0.75", "jpeg-75"}
        assert CHECKS["none"](images) is images
        blurred = ndimage.gaussian_filter(images.numpy(), (0, 0, 1, 1), mode="nearest")
        torch.testing.assert_close(CHECKS["blur-1"](images), torch.from_numpy(blurred), atol=1e-5, rtol=0)
        assert (CHECKS["resize-0.75"](images) - pillow(resized)).abs().max() <= 2 / 255
        lost = (pillow(coded) - images).abs().mean()
        assert (CHECKS["jpeg-75"](images) - pillow(coded)).abs().mean() < 0.3 * lost


def recomputed(done: OptimisedImage, face: Tensor, key: Key, names: tuple[str, ...]) -> dict[str, float]:
    """The float32 residual of an 8-bit image after each of the probes."""
    sent, target = (done.pixels.float() / 255).expand(2, -1, -1, -1), key.shallow(face.expand(2, -1, -1, -1))
    return {name: off(key.shallow(CHECKS[name](sent)), target)[0].item() for name in names}


class TestEnd:
    """When an image is done, and what it then says of itself."""

    @pytest.mark.parametrize("precision", ["float32", "bfloat16"])
    def test_under_a_transform_the_worst_probe_decides_at_every_look(
        self, precision: Any, faces: Tensor, dlib_keys: dict[str, Key]
    ) -> None:
        key = dlib_keys["conv32.1"]
        method = PMT(
            transform=RandomNoise(most=0.02),
            start=GaussianBlur(sigma=3),
            residual=0.3,
            steps=5 * PERIOD + 5,
        )
        compute = Compute(device="cpu", precision=precision)
        ended = method(faces, [key], seed=2, compute=compute)
        assert {done.reached for done in ended} == {True}
        for done, face in zip(ended, faces, strict=True):
            worst = max(recomputed(done, face, key, tuple(CHECKS)).values())
            assert done.residuals[0] == pytest.approx(worst, abs=1e-5)
            assert worst <= 0.3
            assert done.steps % PERIOD == 0
            assert done.steps > 0
            # at the look before, the worst was beyond the limit; or hardly within, where bfloat16 chose when to look
            (before,) = replace(method, steps=done.steps - PERIOD)(face[None], [key], seed=2, compute=compute)
            assert before.steps == done.steps - PERIOD
            worst = max(recomputed(before, face, key, tuple(CHECKS)).values())
            assert worst > (0.3 if precision == "float32" else 0.29)
            assert before.reached == (worst <= 0.3)

    def test_steps_may_run_out_between_two_looks(self, faces: Tensor, dlib_keys: dict[str, Key]) -> None:
        method = PMT(transform=RandomNoise(), residual=0.01, steps=PERIOD + 2)
        for done in method(faces[:2], [dlib_keys["conv32.1"]], seed=2):
            assert (done.steps, done.reached) == (PERIOD + 2, False)

    @pytest.mark.parametrize("precision", ["float32", "bfloat16"])
    @pytest.mark.parametrize("steps", [2, 5, 40])
    def test_reached_is_what_float32_says_of_the_bytes(
        self, steps: int, precision: Any, faces: Tensor, dlib_keys: dict[str, Key]
    ) -> None:
        key = dlib_keys["conv32.1"]
        method = PMT(steps=steps, residual=0.35)
        compute = Compute(device="cpu", precision=precision)
        for done, face in zip(method(faces, [key], seed=2, compute=compute), faces, strict=True):
            truth = recomputed(done, face, key, ("none",))["none"]
            assert done.residuals[0] == pytest.approx(truth, abs=1e-6)
            assert done.reached == (truth <= 0.35)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"residual": -0.1}, "residual: .*-0.1"),
        ({"residual": 2.1}, "residual: .*2.1"),
        ({"weights": (1.0,)}, r"weights: expected 2 .*\[1.0\]"),
        ({"weights": (1.0, 0.0)}, r"weights: .*0.0"),
        ({"weights": (1.0, -1.0)}, r"weights: .*-1.0"),
        ({"weights": (1.0, float("nan"))}, r"weights: .*nan"),
        ({"weights": (1.0, float("inf"))}, r"weights: .*inf"),
        ({"pool": 0}, "pool: .*0"),
    ],
)
def test_refuses_settings_out_of_range(settings: dict[str, Any], words: str, dlib_keys: dict[str, Key]) -> None:
    with pytest.raises(ValueError, match=words):
        objective(*dlib_keys.values(), **settings)


def test_refuses_no_keys() -> None:
    with pytest.raises(ValueError, match=r"keys: .*none"):
        objective()

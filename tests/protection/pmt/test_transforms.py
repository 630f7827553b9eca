"""The contract of every transform, as one table, and each one's strength."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from facemin.protection import Mix, ProviderOperations, RandomAffine, RandomNoise, Transform
from facemin.protection.pmt.optimise import StepContext
from facemin.protection.pmt.transforms import TRANSFORMS

LINEAR: list[Transform] = [RandomNoise(), RandomAffine(), Mix(), ProviderOperations(jpeg=0)]
CASES: list[Transform] = [*LINEAR, ProviderOperations()]
IMAGES = torch.rand(24, 3, 112, 112, generator=torch.Generator().manual_seed(5))
OTHERS = torch.rand(24, 3, 112, 112, generator=torch.Generator().manual_seed(6))
SEEDS = tuple(2**255 + 977 * row for row in range(24))
MOMENT = StepContext(SEEDS, torch.arange(24.0) // 3)


def moment(*rows: int) -> StepContext:
    return StepContext(tuple(SEEDS[row] for row in rows), MOMENT.steps[list(rows)])


def test_every_transform_that_has_a_name_is_tested_here() -> None:
    assert {type(case) for case in CASES} >= set(TRANSFORMS.values())


@pytest.mark.parametrize("transform", CASES, ids=repr)
class TestEveryTransform:
    def test_row_changes_by_its_own_seed_and_step_alone(self, transform: Transform) -> None:
        together = transform(IMAGES, MOMENT)
        assert together.shape == IMAGES.shape
        for row in range(0, 24, 2):
            # as in the loop, where a lone image runs as two equal rows
            alone = transform(IMAGES[[row, row]], moment(row, row))
            assert torch.equal(alone[0], together[row])
        some = [17, 4, 9]
        assert torch.equal(transform(IMAGES[some], moment(*some)), together[some])

    def test_lone_row_is_the_same_to_rounding(self, transform: Transform) -> None:
        together = transform(IMAGES, MOMENT)
        for row in range(24):
            torch.testing.assert_close(transform(IMAGES[row : row + 1], moment(row))[0], together[row])

    def test_other_seeds_and_other_steps_change_otherwise(self, transform: Transform) -> None:
        first = transform(IMAGES, MOMENT)
        for other in (
            StepContext(tuple(seed + 1 for seed in SEEDS), MOMENT.steps),
            StepContext(SEEDS, MOMENT.steps + 1),
        ):
            same = (transform(IMAGES, other) == first).flatten(1).all(1)
            # an operation may be "none" twice
            assert same.sum() < 6

    def test_equal_rows_with_different_seeds_change_differently(self, transform: Transform) -> None:
        changed = transform(IMAGES[:1].expand(24, -1, -1, -1), StepContext(SEEDS, torch.zeros(24)))
        assert len({row.numpy().tobytes() for row in changed}) > 12

    def test_leaves_its_input_and_global_randomness_alone(self, transform: Transform) -> None:
        before, state = IMAGES.clone(), torch.get_rng_state()
        transform(IMAGES, MOMENT)
        assert torch.equal(IMAGES, before)
        assert torch.equal(torch.get_rng_state(), state)

    def test_passes_gradients_row_by_row(self, transform: Transform) -> None:
        leaf = IMAGES.clone().requires_grad_()
        weights = torch.zeros(24, 1, 1, 1)
        weights[::2] = 1
        (slope,) = torch.autograd.grad((transform(leaf, MOMENT) * weights).sum(), leaf)
        assert slope.isfinite().all()
        assert (slope[::2].flatten(1).abs().sum(1) > 0).all()
        assert (slope[1::2] == 0).all()


@pytest.mark.parametrize("transform", LINEAR, ids=repr)
class TestLinearTransforms:
    def test_same_moment_changes_another_image_alike(self, transform: Transform) -> None:
        # x -> A x + b with the same A and b: then halves add up
        both = (transform(IMAGES, MOMENT) + transform(OTHERS, MOMENT)) / 2
        torch.testing.assert_close(transform((IMAGES + OTHERS) / 2, MOMENT), both, atol=1e-5, rtol=0)

    def test_gradient(self, transform: Transform) -> None:
        images = IMAGES[:4].double().requires_grad_()
        assert torch.autograd.gradcheck(lambda x: transform(x, moment(0, 1, 2, 3)), images, fast_mode=True)


class TestRandomNoise:
    ROWS = 300

    def noise(self, most: float) -> Tensor:
        seen = StepContext(tuple(range(2**255, 2**255 + self.ROWS)), torch.zeros(self.ROWS))
        return RandomNoise(most=most)(torch.zeros(self.ROWS, 3, 112, 112), seen)

    def test_strength_is_uniform_up_to_the_most(self) -> None:
        strengths = self.noise(0.3).flatten(1).double().std(1).numpy()
        assert stats.kstest(strengths, "uniform", args=(0, 0.3)).pvalue > 0.001
        assert strengths.max() < 0.302

    def test_shape_is_gaussian(self) -> None:
        noise = self.noise(0.3).flatten(1).double()
        for row in noise[:10] / noise[:10].std(1, keepdim=True):
            assert stats.kstest(row.numpy(), "norm").pvalue > 0.001

    def test_same_noise_lands_on_another_image(self) -> None:
        transform = RandomNoise()
        torch.testing.assert_close(transform(IMAGES, MOMENT) - IMAGES, transform(OTHERS, MOMENT) - OTHERS)

    def test_none_changes_nothing(self) -> None:
        assert torch.equal(RandomNoise(most=0)(IMAGES, MOMENT), IMAGES)


class TestRandomAffine:
    """Images whose values are their own coordinates show where each pixel came from."""

    ROWS = 200

    def found(self, transform: RandomAffine) -> dict[str, np.ndarray[Any, Any]]:
        """Turn in degrees, change of size and shift of the centre in pixels, fitted to what came out."""
        places = (torch.arange(112.0) - 55.5) / 112
        down, right = torch.meshgrid(places, places, indexing="ij")
        images = torch.stack([right, down, torch.zeros(112, 112)]).double().expand(self.ROWS, -1, -1, -1)
        seen = StepContext(tuple(range(2**255, 2**255 + self.ROWS)), torch.ones(self.ROWS))
        middle = slice(36, 76)
        came = transform(images, seen)[:, :2, middle, middle].flatten(2).numpy() * 112
        here = images[0, :2, middle, middle].flatten(1).numpy() * 112
        design = np.vstack([here, np.ones(here.shape[1])])
        fits = np.stack([np.linalg.lstsq(design.T, row.T, rcond=None)[0].T for row in came])
        np.testing.assert_allclose(fits @ design, came, atol=1e-3)
        matrix = fits[:, :, :2]
        np.testing.assert_allclose(matrix[:, 0, 0], matrix[:, 1, 1], atol=1e-5)
        np.testing.assert_allclose(matrix[:, 0, 1], -matrix[:, 1, 0], atol=1e-5)
        return {
            "degrees": np.degrees(np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0])),
            "scale": 1 / np.hypot(matrix[:, 0, 0], matrix[:, 1, 0]) - 1,
            "right": fits[:, 0, 2],
            "down": fits[:, 1, 2],
        }

    @pytest.mark.parametrize(
        "transform", [RandomAffine(), RandomAffine(degrees=10, shift=1, scale=0.2)], ids=["default", "other"]
    )
    def test_turn_size_and_shift_are_uniform_within_their_bounds(self, transform: RandomAffine) -> None:
        bounds = {"degrees": transform.degrees, "scale": transform.scale, "right": transform.shift}
        found = self.found(transform)
        for name, bound in (*bounds.items(), ("down", transform.shift)):
            assert np.abs(found[name]).max() <= bound + 1e-3
            assert stats.kstest(found[name], "uniform", args=(-bound, 2 * bound)).pvalue > 0.001

    def test_none_changes_nothing(self) -> None:
        still = RandomAffine(degrees=0, shift=0, scale=0)
        torch.testing.assert_close(still(IMAGES, MOMENT), IMAGES, atol=1e-4, rtol=0)

    def test_border_is_repeated(self) -> None:
        moved = RandomAffine(degrees=0, shift=50, scale=0)(torch.ones(24, 3, 112, 112), MOMENT)
        torch.testing.assert_close(moved, torch.ones_like(moved))


def test_mix_is_affine_then_noise() -> None:
    mix = Mix(affine=RandomAffine(degrees=10), noise=RandomNoise(most=0.3))
    assert torch.equal(mix(IMAGES, MOMENT), mix.noise(mix.affine(IMAGES, MOMENT), MOMENT))
    assert torch.equal(Mix(noise=RandomNoise(most=0))(IMAGES, MOMENT), RandomAffine()(IMAGES, MOMENT))


@pytest.mark.parametrize(
    ("transform", "settings", "words"),
    [
        (RandomNoise, {"most": -0.1}, "most: .*-0.1"),
        (RandomNoise, {"most": 1.5}, "most: .*1.5"),
        (RandomNoise, {"most": math.nan}, "most: .*nan"),
        (RandomAffine, {"degrees": 181}, "degrees: .*181"),
        (RandomAffine, {"shift": -1}, "shift: .*-1"),
        (RandomAffine, {"scale": 1.0}, "scale: .*1.0"),
    ],
)
def test_refuses_settings_out_of_range(transform: type, settings: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=f"{transform.__name__} {words}"):
        transform(**settings)

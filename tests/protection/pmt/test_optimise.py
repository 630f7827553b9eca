"""The shared loop, on an objective whose optimum is known: x equals the face."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from facemin.protection.pmt.optimise import Job, LossAndEstimate, OptimisedImage, StepContext, descend
from facemin.protection.pmt.step_rules import L1, RULES, Adam, Sign, StepRule

CPU = torch.device("cpu")


class Nearest:
    """Mean absolute distance to the face itself."""

    def __init__(self, limit: float) -> None:
        self.limits, self.period = torch.tensor([limit]), 1
        self.rows: list[int] = []
        self.judged: list[int] = []
        self.moments: list[tuple[tuple[int, ...], tuple[float, ...]]] = []

    def targets(self, faces: Tensor) -> tuple[Tensor, ...]:
        return (faces.clone(),)

    def __call__(self, images: Tensor, targets: tuple[Tensor, ...], moment: StepContext) -> LossAndEstimate:
        self.rows.append(len(images))
        self.moments.append((moment.seeds, tuple(moment.steps.tolist())))
        distance = (images - targets[0]).abs().flatten(1).mean(1)
        return LossAndEstimate(distance, distance.detach()[:, None])

    def residuals(self, images: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
        self.judged.append(len(images))
        return (images - targets[0]).abs().flatten(1).mean(1)[:, None]


def job(start: float, goal: float = 0.5) -> Job:
    return Job(torch.full((3, 112, 112), goal), torch.full((3, 112, 112), start), seed=round(start * 255))


def run(
    jobs: list[Job], objective: Nearest, *, rule: StepRule | None = None, steps: int = 100, batch: int = 4
) -> list[OptimisedImage]:
    done = descend(jobs, objective, rule=rule or Sign(step=1), steps=steps, batch=batch, device=CPU)
    return sorted(done, key=lambda image: image.index)


def test_sign_rule_takes_as_many_steps_as_there_are_grey_levels() -> None:
    goal = 128 / 255
    done = run([job((128 - away) / 255, goal) for away in (0, 3, 10)], Nearest(limit=0.4 / 255))
    assert [image.steps for image in done] == [0, 3, 10]
    assert all(image.reached for image in done)
    assert all((image.pixels == 128).all() for image in done)


def test_finished_images_leave_and_others_take_their_rows() -> None:
    objective = Nearest(limit=0.4 / 255)
    done = run([job((128 - away) / 255, 128 / 255) for away in (30, 2, 2, 2, 2, 2)], objective, batch=2)
    assert [image.steps for image in done] == [30, 2, 2, 2, 2, 2]
    # two rows all the way: the slow image and, beside it, the quick ones in turn; a lone one runs as two
    assert set(objective.rows) == {2}
    assert len(objective.rows) == 31


def test_each_row_knows_its_seed_and_its_step() -> None:
    objective = Nearest(limit=0.4 / 255)
    run([job((128 - away) / 255, 128 / 255) for away in (3, 1, 2)], objective, batch=2)
    seen = [pair for seeds, steps in objective.moments for pair in zip(seeds, steps, strict=True)]
    for away in (3, 1, 2):
        own = [step for seed, step in seen if seed == 128 - away]
        assert sorted(set(own)) == list(range(away + 1))


class Seldom(Nearest):
    """Looks at its residuals every `period` steps, where its estimates do not stand in the way."""

    def __init__(self, limit: float, period: int, estimate: float | None) -> None:
        super().__init__(limit)
        self.period, self.estimate = period, estimate

    def __call__(self, images: Tensor, targets: tuple[Tensor, ...], moment: StepContext) -> LossAndEstimate:
        loss = super().__call__(images, targets, moment).loss
        return LossAndEstimate(loss, None if self.estimate is None else torch.full((len(images), 1), self.estimate))


def away(*levels: int) -> list[Job]:
    return [job((128 - level) / 255, 128 / 255) for level in levels]


@pytest.mark.parametrize("estimate", [None, 0.0])
def test_residuals_are_looked_at_once_a_period(estimate: float | None) -> None:
    objective = Seldom(0.4 / 255, 4, estimate)
    done = run(away(0, 1, 4, 5), objective)
    assert [image.steps for image in done] == [0, 4, 4, 8]
    assert all(image.reached for image in done)
    # four rows at 0 steps, three at 4, and the last, as two equal ones, at 8
    assert objective.judged == [4, 3, 2]


def test_period_is_counted_from_each_images_own_start() -> None:
    done = run(away(1, 5, 2, 7, 4), Seldom(0.4 / 255, 4, None), batch=2)
    assert [image.steps for image in done] == [4, 8, 4, 8, 4]


def test_last_look_is_when_steps_run_out() -> None:
    objective = Seldom(0.4 / 255, 4, None)
    near, far = run(away(5, 7), objective, steps=6)
    assert (near.steps, near.reached, near.unmet) == (6, True, ())
    assert (far.steps, far.reached, far.unmet) == (6, False, (0,))
    assert far.residuals[0] == pytest.approx(1 / 255, rel=1e-4)


def test_estimates_out_of_the_limits_spare_the_look() -> None:
    objective = Seldom(0.4 / 255, 1, 1.0)
    done = run(away(0, 3), objective, steps=7)
    assert [(image.steps, image.reached) for image in done] == [(7, True), (7, True)]
    assert objective.judged == [2]


def test_estimates_within_the_limits_do_not_decide() -> None:
    done = run(away(3), Seldom(0.4 / 255, 1, 0.0))
    assert [(image.steps, image.reached) for image in done] == [(3, True)]
    assert done[0].residuals[0] < 0.4 / 255


class Lost(Nearest):
    """Cannot say how far it is."""

    def residuals(self, images: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
        return torch.full((len(images), 1), torch.nan)


def test_residual_that_is_no_number_is_not_reached() -> None:
    (done,) = run(away(0), Lost(0.4 / 255), steps=2)
    assert (done.steps, done.reached, done.unmet) == (2, False, (0,))


def test_jobs_are_drawn_only_when_a_row_is_free() -> None:
    drawn = []

    def jobs() -> Iterator[Job]:
        for number in range(6):
            drawn.append(number)
            yield job(0.5 - (number + 1) / 255, 0.5)

    stream = descend(jobs(), Nearest(limit=0.6 / 255), rule=Sign(step=1), steps=50, batch=2, device=CPU)
    next(stream)
    assert drawn == [0, 1]
    assert len(list(stream)) == 5


def test_steps_run_out() -> None:
    (done,) = run([job(0.0)], Nearest(limit=0.0), steps=5)
    assert (done.steps, done.reached) == (5, False)
    assert done.residuals[0] > 0.4


def test_starts_outside_the_range_are_clipped() -> None:
    low, high = run([job(-3.0), job(7.0)], Nearest(limit=0.0), steps=0)
    assert (low.pixels == 0).all()
    assert (high.pixels == 255).all()


@pytest.mark.parametrize("rule", [Sign(step=2), L1(step=2), Adam(step=2)], ids=repr)
def test_every_rule_arrives(rule: StepRule) -> None:
    (done,) = run([job(0.2, 0.6)], Nearest(limit=2 / 255), rule=rule, steps=200)
    assert done.reached


def test_every_registered_rule_is_tested_above() -> None:
    assert set(RULES.values()) == {Sign, L1, Adam}


def test_adam_equals_torch_adam() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.rand(2, 3, 112, 112, generator=generator)
    gradients = [torch.randn(2, 3, 112, 112, generator=generator) for _ in range(5)]
    rule = Adam(step=6, beta1=0.7, beta2=0.99, epsilon=1e-12)
    ours, state = start.clone(), rule.buffers(start)
    theirs = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([theirs], lr=6 / 255, betas=(0.7, 0.99), eps=1e-12)
    for number, gradient in enumerate(gradients, 1):
        rule.update_(ours, gradient.clone(), state, torch.full((2,), float(number)))
        theirs.grad = gradient.clone()
        optimiser.step()
    torch.testing.assert_close(ours, theirs.detach(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("rule", [Sign(), L1(), Adam()], ids=repr)
def test_rules_are_scale_free(rule: StepRule) -> None:
    gradient = torch.randn(1, 3, 112, 112, generator=torch.Generator().manual_seed(1))
    moved = []
    for scale in (1.0, 1e-6):
        image = torch.zeros(1, 3, 112, 112)
        rule.update_(image, gradient * scale, rule.buffers(image), torch.ones(1))
        moved.append(image)
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-4, atol=1e-6)


def test_l1_moves_the_average_value_by_one_step() -> None:
    image = torch.zeros(2, 3, 112, 112)
    L1(step=4).update_(image, torch.randn(2, 3, 112, 112), (), torch.ones(2))
    torch.testing.assert_close(image.abs().mean((1, 2, 3)), torch.full((2,), 4 / 255))


@pytest.mark.parametrize(("steps", "batch", "words"), [(-1, 4, "steps: .*-1"), (5, 0, "batch: .*0")])
def test_refuses_settings_out_of_range(steps: int, batch: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        list(descend([], Nearest(0), rule=Sign(), steps=steps, batch=batch, device=CPU))


@pytest.mark.parametrize(
    ("rule", "setting"), [(Sign, {"step": 0}), (L1, {"step": float("nan")}), (Adam, {"beta1": 1.0})]
)
def test_refuses_rules_out_of_range(rule: type[StepRule], setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        rule(**setting)

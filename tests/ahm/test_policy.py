"""The strategy network: its gradient against the exact one, and a problem whose best answer is known."""

import math

import numpy as np
import pytest
import torch

from facemin.ahm.policy import Baseline, Multiplier, Policy, Standards, reinforce, sample


def test_begins_with_all_counts_alike() -> None:
    logits = Policy(7)(torch.randn(3, 7, 28, 28))
    assert logits.shape == (3, 5)
    assert torch.equal(logits, torch.zeros(3, 5))


def test_samples_follow_the_probabilities() -> None:
    shares = torch.tensor([0.1, 0.2, 0.3, 0.15, 0.25])
    drawn = sample(shares.log().expand(40_000, 5), np.random.default_rng(0))
    found = torch.bincount(drawn, minlength=5) / len(drawn)
    # four standard deviations of the widest
    torch.testing.assert_close(found, shares, rtol=0, atol=4 * math.sqrt(0.3 * 0.7 / 40_000))


def test_gradient_is_that_of_the_expected_reward() -> None:
    """Summed over all choices, each weighted by its probability, it is exact; the baseline drops out."""
    rewards = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    logits = torch.tensor([0.3, -0.4, 0.9], dtype=torch.float64, requires_grad=True)
    bonus = 0.3
    shares = torch.softmax(logits, 0)
    entropy = -(shares * shares.log()).sum()
    (expected,) = torch.autograd.grad(-(shares * rewards).sum() - bonus * entropy, logits)
    for baseline in (0.0, 5.0):
        found = torch.zeros_like(logits)
        for choice, (share, reward) in enumerate(zip(shares.tolist(), rewards.tolist(), strict=True)):
            loss = reinforce(
                logits[None], torch.tensor([choice]), torch.tensor([reward - baseline]), entropy_bonus=bonus
            ).loss
            found += share * torch.autograd.grad(loss, logits)[0]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_entropy_is_reported() -> None:
    found = reinforce(torch.zeros(4, 5), torch.zeros(4, dtype=torch.int64), torch.zeros(4), entropy_bonus=0.0)
    torch.testing.assert_close(found.entropy, torch.tensor(math.log(5)))


def test_baseline_is_a_moving_average() -> None:
    baseline = Baseline(momentum=0.75)
    torch.testing.assert_close(baseline.advantages(torch.tensor([1.0, 3.0])), torch.tensor([-1.0, 1.0]))
    assert baseline.value == 2.0
    torch.testing.assert_close(baseline.advantages(torch.tensor([6.0])), torch.tensor([4.0]))
    assert baseline.value == 3.0


def test_learns_which_image_wants_which_count() -> None:
    """Bright images are rewarded for the last choice, dark ones for the second; anything else is worth less."""
    torch.manual_seed(0)
    policy, baseline, generator = Policy(2), Baseline(), np.random.default_rng(1)
    optimiser = torch.optim.Adam(policy.parameters(), lr=0.01)
    best = torch.tensor([4, 1] * 16)
    images = (torch.tensor([1.0, -1.0] * 16)[:, None, None, None] + 0.1 * torch.randn(32, 2, 14, 14)).contiguous()
    for _ in range(150):
        logits = policy(images)
        choices = sample(logits, generator)
        rewards = -(choices - best).abs().float()
        loss = reinforce(logits, choices, baseline.advantages(rewards), entropy_bonus=0.01).loss
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    shares = torch.softmax(policy(images), 1).gather(1, best[:, None])
    assert float(shares.detach().min()) > 0.9


class TestStandards:
    def test_no_choice_is_better_by_itself(self) -> None:
        """Rewards that rise with the choice alone are all nothing; what differs within a choice stays."""
        standards, generator = Standards(5), torch.Generator().manual_seed(0)
        choices = torch.randint(5, (400,), generator=generator)
        noise = torch.randn(400, generator=generator)
        standards(3.0 * choices + noise, choices)
        found = standards(3.0 * choices + noise, choices)
        means = torch.stack([found[choices == choice].mean() for choice in range(5)])
        assert float(means.abs().max()) < 0.1
        assert float(torch.corrcoef(torch.stack([found, noise]))[0, 1]) > 0.95

    def test_a_first_reward_says_nothing(self) -> None:
        assert Standards(3)(torch.tensor([7.0]), torch.tensor([1])).tolist() == [0]


def test_multiplier_rises_while_the_floor_is_missed_and_never_below_nothing() -> None:
    multiplier = Multiplier(floor=0.6, rate=0.5)
    assert multiplier.step(0.2) == pytest.approx(0.2)
    assert multiplier.step(0.6) == pytest.approx(0.2)
    assert multiplier.step(1.0) == 0
    assert multiplier.step(1.0) == 0


def test_a_floor_holds_the_number_of_faces_where_it_is_kept() -> None:
    """A made-up recogniser is recognised in 0.9 of cases at k = 2 and in 0.1 less with each face: 0.7 is at k = 4."""
    torch.manual_seed(0)
    policy, baseline, generator = Policy(2), Baseline(), np.random.default_rng(1)
    multiplier, optimiser = Multiplier(floor=0.7, rate=0.03), torch.optim.Adam(policy.parameters(), lr=0.01)
    images, means = torch.randn(32, 2, 14, 14), []
    for _ in range(600):
        logits = policy(images)
        choices = sample(logits, generator)
        cost = multiplier.step(float(0.9 - 0.1 * choices.double().mean()))
        rewards = (1 - cost) * choices / 4
        loss = reinforce(logits, choices, baseline.advantages(rewards), entropy_bonus=0.2).loss
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        means.append(float(choices.double().mean()))
    assert sum(means[300:]) / 300 == pytest.approx(2, abs=0.3)

"""The strategy network: its gradient against the exact one, and a problem whose best answer is known."""

import math

import numpy as np
import torch

from facemin.ahm.policy import Baseline, Policy, reinforce, sample


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

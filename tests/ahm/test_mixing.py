"""MixUp against cases computed by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facemin.ahm.mixing import (
    HEAVIEST,
    MOST,
    Mixture,
    draw_partners,
    draw_weights,
    heaviest,
    label_entropy,
    mix,
    mixed_loss,
)
from facemin.train.heads import ArcFace, ArcFaceSettings, CosFace, CosFaceSettings


class TestWeights:
    @given(st.lists(st.integers(1, MOST), min_size=1, max_size=20), st.integers(0, 2**31))
    @settings(max_examples=40, deadline=None)
    def test_sum_to_one_and_none_is_too_heavy(self, counts: list[int], seed: int) -> None:
        found = draw_weights(torch.tensor(counts), np.random.default_rng(seed))
        torch.testing.assert_close(found.sum(1), torch.ones(len(counts)))
        for row, count in zip(found, counts, strict=True):
            assert bool((row[:count] > 0).all())
            assert bool((row[count:] == 0).all())
            assert count == 1 or float(row.max()) <= HEAVIEST + 1e-6

    def test_are_the_absolute_normals_that_pass(self) -> None:
        """Three draws of two: the first two have a weight above 0.65, so the third counts."""

        class Scripted(np.random.Generator):
            draws = iter([np.array([3.0, -1.0]), np.array([0.1, 0.9]), np.array([-1.2, 0.8])])

            def standard_normal(self, *args: object, **kwargs: object) -> np.ndarray:  # type: ignore[override]
                return next(self.draws)

        found = draw_weights(torch.tensor([2]), Scripted(np.random.PCG64(0)))
        torch.testing.assert_close(found, torch.tensor([[0.6, 0.4, 0, 0, 0, 0]]))

    def test_refuses_other_counts(self) -> None:
        for wrong in ([0], [7]):
            with pytest.raises(ValueError, match=f"{wrong[0]}"):
                draw_weights(torch.tensor(wrong), np.random.default_rng(0))


class TestPartners:
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])

    @pytest.mark.parametrize("partners", ["any", "between", "within"])
    def test_are_others_of_the_right_people(self, partners: str) -> None:
        places, counts = torch.tensor([0, 4, 8] * 20), torch.tensor([3, 2, 1] * 20)
        found = draw_partners(
            places,
            self.labels,
            counts,
            np.random.default_rng(1),
            partners=partners,  # type: ignore[arg-type]
        )
        for row, place, count in zip(found.tolist(), places.tolist(), counts.tolist(), strict=True):
            assert row[0] == place
            assert len(set(row[:count])) == count
            assert set(row[count:]) <= {place}
            same = [self.labels[other] == self.labels[place] for other in row[1:count]]
            assert partners == "any" or all(same) == (partners == "within") or not same
        first = {row[1] for row, place in zip(found.tolist(), places.tolist(), strict=True) if place == 0}
        assert len(first) > 1

    def test_refuses_what_cannot_be_drawn(self) -> None:
        with pytest.raises(ValueError, match="got 2"):
            draw_partners(
                torch.tensor([0]), self.labels, torch.tensor([4]), np.random.default_rng(0), partners="within"
            )
        with pytest.raises(ValueError, match="'near'"):
            draw_partners(
                torch.tensor([0]),
                self.labels,
                torch.tensor([2]),
                np.random.default_rng(0),
                partners="near",  # type: ignore[arg-type]
            )


def test_mix_by_hand() -> None:
    pool = torch.tensor([0, 100, 255], dtype=torch.uint8)[:, None, None, None].expand(3, 3, 112, 112)
    mixture = Mixture(
        torch.tensor([[1, 2, 0, 1, 1, 1], [2, 2, 2, 2, 2, 2]]),
        torch.tensor([[0.5, 0.3, 0.2, 0, 0, 0], [1.0, 0, 0, 0, 0, 0]]),
    )
    found = mix(pool, mixture)
    assert found.shape == (2, 3, 112, 112)
    torch.testing.assert_close(found[0], torch.full((3, 112, 112), (0.5 * 100 + 0.3 * 255) / 255))
    torch.testing.assert_close(found[1], torch.ones(3, 112, 112))


class TestLoss:
    def test_cosface_by_hand(self) -> None:
        """Two classes on the axes, an embedding at 0.6, 0.8: each term has the margin on its own class."""
        head = CosFace(2, 2, CosFaceSettings(scale=2.0, margin=0.1))
        with torch.no_grad():
            head.weight.copy_(torch.eye(2) * 3)
        embeddings = torch.tensor([[0.6, 0.8]]) * 5
        labels = torch.tensor([[1, 0, 1, 1, 1, 1]])
        weights = torch.tensor([[0.7, 0.3, 0, 0, 0, 0]])
        first = -math.log(math.exp(2 * 0.7) / (math.exp(2 * 0.7) + math.exp(2 * 0.6)))
        second = -math.log(math.exp(2 * 0.5) / (math.exp(2 * 0.5) + math.exp(2 * 0.8)))
        found = mixed_loss(head, embeddings, labels, weights)
        torch.testing.assert_close(found, torch.tensor([0.7 * first + 0.3 * second]))

    def test_one_label_is_the_heads_own_loss(self) -> None:
        head = ArcFace(4, 3, ArcFaceSettings(scale=8.0))
        embeddings = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
        labels = torch.tensor([0, 1, 2, 1, 0])
        alone = torch.tensor([[1.0, 0, 0, 0, 0, 0]]).expand(5, -1)
        shared = torch.tensor([[0.5, 0.25, 0.25, 0, 0, 0]]).expand(5, -1)
        for weights in (alone, shared):
            found = mixed_loss(head, embeddings, labels[:, None].expand(5, 6), weights)
            torch.testing.assert_close(found, head(embeddings, labels))

    def test_gradient_reaches_embeddings_and_head(self) -> None:
        head = CosFace(4, 3, CosFaceSettings(scale=8.0))
        embeddings = torch.randn(2, 4, requires_grad=True)
        labels, weights = torch.tensor([[0, 1, 2, 0, 0, 0]] * 2), torch.tensor([[0.4, 0.3, 0.3, 0, 0, 0]] * 2)
        mixed_loss(head, embeddings, labels, weights).sum().backward()  # type: ignore[no-untyped-call]
        assert embeddings.grad is not None
        assert head.weight.grad is not None
        assert float(embeddings.grad.abs().sum()) > 0
        assert float(head.weight.grad.abs().sum()) > 0


class TestLabelEntropy:
    LABELS = torch.tensor([0, 0, 1, 2, 3])

    def test_is_what_a_perfect_recogniser_ends_on(self) -> None:
        weights = torch.tensor([[0.5, 0.3, 0.2, 0, 0, 0], [0.6, 0.4, 0, 0, 0, 0]])
        places = torch.tensor([[0, 2, 3, 0, 0, 0], [2, 4, 2, 2, 2, 2]])
        found = label_entropy(Mixture(places, weights), self.LABELS)
        expected = [-sum(w * math.log(w) for w in row) for row in ((0.5, 0.3, 0.2), (0.6, 0.4))]
        assert found.tolist() == pytest.approx(expected, abs=1e-6)
        # the cross-entropy of soft labels is least where the prediction equals them
        soft = torch.tensor([0.5, 0.3, 0.2])
        best = -(soft * soft.log()).sum()
        assert float(found[0]) == pytest.approx(float(best), abs=1e-6)

    def test_two_faces_of_one_person_are_one_label(self) -> None:
        weights = torch.tensor([[0.5, 0.5, 0, 0, 0, 0]])
        assert float(label_entropy(Mixture(torch.tensor([[0, 1, 0, 0, 0, 0]]), weights), self.LABELS)) == 0

    def test_heaviest_is_a_place_in_the_pool(self) -> None:
        weights = torch.tensor([[0.3, 0.6, 0.1, 0, 0, 0]])
        assert heaviest(Mixture(torch.tensor([[4, 2, 3, 4, 4, 4]]), weights)).tolist() == [2]

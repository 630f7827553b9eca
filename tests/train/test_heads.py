"""Heads: hand-computed cases, slopes by finite differences, limits and the ends of the cosine."""

from collections.abc import Callable
from math import acos, cos, log, pi, sin

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from facemin.train.heads import (
    HEADS,
    LEAST_SQUARED_SINE,
    ArcFace,
    ArcFaceSettings,
    CosFace,
    CosFaceSettings,
    Head,
    MarginHead,
    Softmax,
    SoftmaxSettings,
    SphereFace,
    SphereFaceSettings,
)

MARGINS: dict[str, Callable[[], MarginHead]] = {
    "sphereface-1": lambda: SphereFace(3, 4, SphereFaceSettings(margin=1)),
    "sphereface-2": lambda: SphereFace(3, 4, SphereFaceSettings(margin=2)),
    "sphereface-3": lambda: SphereFace(3, 4, SphereFaceSettings(margin=3)),
    "sphereface-4": lambda: SphereFace(3, 4),
    "cosface": lambda: CosFace(3, 4),
    "arcface": lambda: ArcFace(3, 4),
    "arcface-wide": lambda: ArcFace(3, 4, ArcFaceSettings(margin=2.0)),
    "arcface-easy": lambda: ArcFace(3, 4, ArcFaceSettings(easy_margin=True)),
}
MONOTONIC = [name for name in MARGINS if name != "arcface-easy"]


def on_a_circle(head: Head, *angles: float) -> None:
    """Class weights at these angles in the plane, of unequal lengths."""
    rows = [[(i + 1) * cos(angle), (i + 1) * sin(angle)] for i, angle in enumerate(angles)]
    with torch.no_grad():
        head.weight.copy_(torch.tensor(rows))


# one embedding of length 2 at angle 0; its own class at 0.7 rad, the other at a right angle
EMBEDDING = torch.tensor([[2.0, 0.0]])
OWN = 0.7


@pytest.mark.parametrize(
    ("head", "own", "other"),
    [
        (CosFace(2, 2, CosFaceSettings(scale=10, margin=0.3)), 10 * (cos(OWN) - 0.3), 0.0),
        (ArcFace(2, 2, ArcFaceSettings(scale=10, margin=0.4)), 10 * cos(OWN + 0.4), 0.0),
        (ArcFace(2, 2, ArcFaceSettings(scale=10, margin=3.0)), 10 * (cos(OWN) - 3 * sin(3)), 0.0),
        (ArcFace(2, 2, ArcFaceSettings(scale=10, margin=0.4, easy_margin=True)), 10 * cos(OWN + 0.4), 0.0),
        (SphereFace(2, 2, SphereFaceSettings(margin=1)), 2 * cos(OWN), 0.0),
        # 2 * 0.7 lies in [0, pi], so k = 0; 4 * 0.7 = 2.8 too; 5 * 0.7 = 3.5 in [pi, 2 pi], so k = 1
        (SphereFace(2, 2, SphereFaceSettings(margin=2)), 2 * cos(1.4), 0.0),
        (SphereFace(2, 2, SphereFaceSettings(margin=4)), 2 * cos(2.8), 0.0),
        (SphereFace(2, 2, SphereFaceSettings(margin=5)), 2 * (-cos(3.5) - 2), 0.0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Head) else f"{value:.2f}",
)
def test_by_hand(head: Head, own: float, other: float) -> None:
    on_a_circle(head, pi / 2, OWN)
    label = torch.tensor([1])
    expected = torch.tensor([[other, own]])
    torch.testing.assert_close(head.logits(EMBEDDING, label), expected, atol=1e-5, rtol=1e-5)
    loss = log(sum(torch.exp(expected[0].double() - own).tolist()))
    torch.testing.assert_close(head(EMBEDDING, label), torch.tensor([loss], dtype=torch.float32), atol=1e-5, rtol=1e-5)


def test_softmax_by_hand() -> None:
    head = Softmax(2, 2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0.0], [3.0, 1.0]]))
        assert head.bias is not None
        head.bias.copy_(torch.tensor([0.5, -1.0]))
    torch.testing.assert_close(head.logits(EMBEDDING, torch.tensor([0])), torch.tensor([[2.5, 5.0]]))
    torch.testing.assert_close(head(EMBEDDING, torch.tensor([0])), torch.log1p(torch.tensor([2.5]).exp()))
    assert Softmax(2, 2, SoftmaxSettings(bias=False)).bias is None


def random_case(head: Head, rows: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        head.weight.normal_(generator=generator)
    embeddings = 3 * torch.randn(rows, head.weight.shape[1], generator=generator)
    return embeddings, torch.randint(head.weight.shape[0], (rows,), generator=generator)


class TestLimits:
    @pytest.mark.parametrize(
        "head",
        [
            CosFace(3, 4, CosFaceSettings(scale=16, margin=0)),
            ArcFace(3, 4, ArcFaceSettings(scale=16, margin=0)),
            ArcFace(3, 4, ArcFaceSettings(scale=16, margin=0, easy_margin=True)),
        ],
        ids=["cosface", "arcface", "arcface-easy"],
    )
    def test_no_margin_is_normalised_softmax(self, head: Head) -> None:
        embeddings, labels = random_case(head)
        expected = 16 * F.linear(F.normalize(embeddings), F.normalize(head.weight))
        torch.testing.assert_close(head.logits(embeddings, labels), expected)

    def test_sphereface_of_margin_one_is_softmax_on_unit_weights(self) -> None:
        head = SphereFace(3, 4, SphereFaceSettings(margin=1))
        embeddings, labels = random_case(head)
        torch.testing.assert_close(head.logits(embeddings, labels), F.linear(embeddings, F.normalize(head.weight)))

    @pytest.mark.parametrize("name", MARGINS)
    def test_annealing_mixes_the_label_with_and_without_margin(self, name: str) -> None:
        head = MARGINS[name]()
        embeddings, labels = random_case(head)
        whole, none = head.logits(embeddings, labels), head.logits(embeddings, labels, annealing=1e9)
        cosines = head.lengths(embeddings) * F.linear(F.normalize(embeddings), F.normalize(head.weight))
        torch.testing.assert_close(none, cosines)
        torch.testing.assert_close(head.logits(embeddings, labels, annealing=3.0), (3 * none + whole) / 4)

    def test_spherefaces_schedule(self) -> None:
        head = SphereFace(3, 4)
        assert head.annealing(0) == 1000
        assert head.annealing(100) == pytest.approx(1000 / 13)
        assert head.annealing(100_000) == 5
        assert CosFace(3, 4).annealing(0) == ArcFace(3, 4).annealing(0) == Softmax(3, 4).annealing(0) == 0


@pytest.mark.parametrize("name", MARGINS)
class TestEveryMargin:
    def test_harms_the_own_class_only(self, name: str) -> None:
        head = MARGINS[name]()
        embeddings, labels = random_case(head, rows=50)
        got, plain = head.logits(embeddings, labels), head.logits(embeddings, labels, annealing=1e9)
        own = F.one_hot(labels, 4).bool()
        torch.testing.assert_close(got[~own], plain[~own])
        assert bool((got[own] <= plain[own] + 1e-4).all())

    def test_slopes_agree_with_finite_differences(self, name: str) -> None:
        head = MARGINS[name]().double()
        embeddings, labels = random_case(head)
        embeddings = embeddings.double().requires_grad_()

        def loss(rows: Tensor, weight: Tensor) -> Tensor:
            parameters = {"weight": weight}
            value = torch.func.functional_call(head, parameters, (rows, labels), {"annealing": 0.5})
            assert isinstance(value, Tensor)
            return value

        assert torch.autograd.gradcheck(loss, (embeddings, head.weight), eps=1e-7, atol=1e-5)

    @pytest.mark.parametrize("cosine", [1.0, -1.0, 1 + 1e-7, -1 - 1e-7, 1 - 1e-7, 0.0])
    def test_slope_of_the_margin_is_finite_at_the_ends(self, name: str, cosine: float) -> None:
        value = torch.tensor([[cosine]], requires_grad=True)
        harder = MARGINS[name]().with_margin(value)
        (slope,) = torch.autograd.grad(harder.sum(), value)
        assert bool(harder.isfinite().all())
        assert abs(float(slope)) <= 16 * 1000

    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_no_nan_where_embedding_and_weight_are_parallel_or_zero(self, name: str, sign: float) -> None:
        head = MARGINS[name]()
        embeddings, labels = random_case(head)
        embeddings = (sign * 3 * head.weight.detach())[labels]
        embeddings[0] = 0
        embeddings.requires_grad_()
        head(embeddings, labels).sum().backward()
        for tensor in (embeddings.grad, head.weight.grad):
            assert tensor is not None
            assert bool(tensor.isfinite().all())


@pytest.mark.parametrize("name", MONOTONIC)
@settings(max_examples=60, deadline=None)
@given(angles=st.tuples(*[st.floats(0, pi)] * 2).map(sorted))
def test_wider_angles_never_score_higher(name: str, angles: list[float]) -> None:
    near, far = MARGINS[name]().double().with_margin(torch.tensor(angles, dtype=torch.float64).cos())
    # Within a thousandth of a radian of the ends the sine is held, which bends the curve by its square at most.
    assert float(far) <= float(near) + LEAST_SQUARED_SINE


@settings(max_examples=60, deadline=None)
@given(angle=st.floats(0, pi), margin=st.integers(1, 16))
def test_psi_is_the_papers(angle: float, margin: int) -> None:
    angle = acos(cos(angle))
    turns = min(int(angle * margin / pi), margin - 1)
    expected = (-1) ** turns * cos(margin * angle) - 2 * turns
    head = SphereFace(2, 2, SphereFaceSettings(margin=margin))
    got = head.with_margin(torch.tensor([cos(angle)], dtype=torch.float64))
    assert float(got) == pytest.approx(expected, abs=1e-7)


def test_psi_is_continuous_where_it_turns() -> None:
    head = SphereFace(2, 2)
    for turn in range(1, 4):
        angles = torch.tensor([turn * pi / 4 - 1e-6, turn * pi / 4 + 1e-6], dtype=torch.float64)
        before, after = head.with_margin(angles.cos()).tolist()
        assert before == pytest.approx(after, abs=1e-4)
    assert head.with_margin(torch.tensor([1.0, -1.0])).tolist() == [1.0, -7.0]


def test_easy_margin_spares_obtuse_angles() -> None:
    head = ArcFace(2, 2, ArcFaceSettings(easy_margin=True))
    cosines = torch.tensor([0.3, -0.3])
    torch.testing.assert_close(head.with_margin(cosines), torch.tensor([cos(acos(0.3) + 0.5), -0.3]))


@pytest.mark.parametrize("name", HEADS)
class TestEveryHead:
    def test_mixed_faces_take_each_persons_margin(self, name: str) -> None:
        head = HEADS[name](3, 4)
        embeddings, labels = random_case(head)
        others = (labels + 1) % 4
        mixed = 0.7 * head(embeddings, labels) + 0.3 * head(embeddings, others)
        for row in range(len(labels)):
            one = embeddings[row : row + 1]
            first, second = labels[row : row + 1], others[row : row + 1]
            a, b = (F.log_softmax(head.logits(one, label), dim=1)[0, label] for label in (first, second))
            torch.testing.assert_close(mixed[row], -(0.7 * a + 0.3 * b).squeeze())

    def test_learns_to_tell_people_apart(self, name: str) -> None:
        torch.manual_seed(0)
        head = HEADS[name](8, 3)
        embeddings = torch.randn(30, 8, requires_grad=True)
        labels = torch.arange(30) % 3
        optimiser = torch.optim.Adam([embeddings, *head.parameters()], lr=0.05)
        for step in range(60):
            optimiser.zero_grad()
            head(embeddings, labels, annealing=head.annealing(step)).mean().backward()
            optimiser.step()
        guess = head.logits(embeddings, labels, annealing=1e9).argmax(dim=1)
        assert torch.equal(guess, labels)

    def test_half_precision_embeddings(self, name: str) -> None:
        head = HEADS[name](3, 4)
        embeddings, labels = random_case(head)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = head(embeddings.bfloat16(), labels)
        if isinstance(head, MarginHead):
            torch.testing.assert_close(loss, head(embeddings.bfloat16().float(), labels))
        assert bool(loss.isfinite().all())

    def test_refuses_what_does_not_fit(self, name: str) -> None:
        head = HEADS[name](3, 4)
        embeddings, labels = random_case(head)
        with pytest.raises(ValueError, match=r"embeddings: expected shape \(B, 3\), got \(6, 2\)"):
            head.logits(embeddings[:, :2], labels)
        with pytest.raises(ValueError, match=r"labels: expected shape \(6,\) and int64, got \(5,\)"):
            head(embeddings, labels[:5])
        with pytest.raises(ValueError, match=r"labels: .*torch\.float32"):
            head(embeddings, labels.float())
        with pytest.raises(ValueError, match="labels: expected values from 0 to 3, got -1 to 4"):
            head(embeddings, torch.tensor([0, 1, 4, -1, 0, 0]))
        with pytest.raises(ValueError, match=r"annealing: .*got -1\.0"):
            head(embeddings, labels, annealing=-1.0)
        with pytest.raises(ValueError, match="1 or more, got 3, 0"):
            HEADS[name](3, 0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SphereFaceSettings(margin=0), "margin: expected an integer"),
        (lambda: SphereFaceSettings(margin=1.5), "margin: expected an integer"),  # type: ignore[arg-type]
        (lambda: SphereFaceSettings(annealing_least=-1), "annealing"),
        (lambda: CosFaceSettings(margin=-0.1), "margin"),
        (lambda: CosFaceSettings(scale=0), "scale"),
        (lambda: ArcFaceSettings(margin=pi), "margin"),
        (lambda: ArcFaceSettings(scale=float("inf")), "scale"),
    ],
)
def test_settings_out_of_range_are_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()

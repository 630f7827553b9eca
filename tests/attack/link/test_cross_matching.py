"""Data abuse by hand: recognisers of block means, faces that are patterns."""

import pytest
import torch

from facemin.attack import PURIFIERS
from facemin.attack.link.cross_matching import CrossMatching, Faces, Match, MatchingJudge, Side, worst
from facemin.models import Recogniser
from facemin.models.onnx.graph import read_graph
from facemin.models.preprocess import BYTE_RANGE, prepend_preprocessing
from tests.models.test_store import tiny_graph

DRAW = torch.Generator().manual_seed(0)
COARSE = torch.rand(6, 3, 4, 4, generator=DRAW)
FACES = COARSE.repeat_interleave(28, 2).repeat_interleave(28, 3)
AGAIN = (FACES + 0.05 * torch.randn(FACES.shape, generator=DRAW)).clamp(0, 1)
NOISE = torch.rand(6, 3, 112, 112, generator=DRAW)
PEOPLE = torch.arange(6)
FEW = {name: PURIFIERS[name] for name in ("none", "blur-1")}


@pytest.fixture(scope="module")
def tiny() -> Recogniser:
    return Recogniser(prepend_preprocessing(read_graph(tiny_graph(), name="tiny"), BYTE_RANGE), name="tiny")


def run(tiny: Recogniser, probes: Faces, gallery: Faces, people: torch.Tensor = PEOPLE) -> list[Match]:
    return list(
        CrossMatching(purifiers=FEW)({"tiny": MatchingJudge(tiny, 0.9)}, probes=probes, gallery=gallery, people=people)
    )


def test_scores_every_cell_for_which_there_are_faces(tiny: Recogniser) -> None:
    found = run(tiny, Faces(FACES, NOISE), Faces(AGAIN, None))
    assert [(one.probe, one.gallery, one.purifier) for one in found] == [
        ("plain", "plain", "none"),
        ("protected", "plain", "none"),
        ("protected", "plain", "blur-1"),
    ]
    rows, others = tiny(FACES), tiny(AGAIN)
    scores = rows @ others.T
    torch.testing.assert_close(found[0].genuine, scores.diagonal().double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(found[0].impostor, scores[~torch.eye(6, dtype=torch.bool)].double())
    blurred = tiny(PURIFIERS["blur-1"](NOISE)) @ others.T
    torch.testing.assert_close(found[2].genuine, blurred.diagonal().double(), atol=1e-5, rtol=0)
    assert found[0].accepted.all()


def test_four_cells_and_the_protected_link_to_one_another(tiny: Recogniser) -> None:
    # "protection" that turns faces over hides them from plain references, and links to itself
    turned, turned_again = FACES.flip(2), AGAIN.flip(2)
    found = run(tiny, Faces(FACES, turned), Faces(AGAIN, turned_again))
    assert len(found) == 1 + 2 * 3
    cells = {(one.probe, one.gallery): one for one in found if one.purifier == "none"}
    assert not cells["protected", "plain"].accepted.all()
    assert not cells["plain", "protected"].accepted.all()
    assert cells["protected", "protected"].accepted.all()
    top = worst(found)
    assert top is not None
    assert bool(top.accepted.all())


def test_pairs_of_one_person_are_no_impostors(tiny: Recogniser) -> None:
    found = run(tiny, Faces(FACES, None), Faces(AGAIN, None), torch.tensor([0, 0, 1, 1, 2, 2]))
    assert len(found[0].impostor) == 36 - 12
    alone = run(tiny, Faces(FACES[:1], None), Faces(AGAIN[:1], None), PEOPLE[:1])
    assert len(alone[0].impostor) == 0


def test_other_people_are_further_impostors_of_the_protected_side(tiny: Recogniser) -> None:
    attack = CrossMatching(purifiers={"none": PURIFIERS["none"]})
    people = torch.zeros(6, dtype=torch.int64)
    found = {
        (one.probe, one.gallery): one
        for one in attack(
            {"tiny": MatchingJudge(tiny, 0.9)},
            probes=Faces(FACES, NOISE),
            gallery=Faces(AGAIN, NOISE.flip(3)),
            people=people,
            strangers=AGAIN[:2],
        )
    }
    rows = tiny(AGAIN[:2])
    hidden_sides: dict[tuple[Side, Side], torch.Tensor] = {
        ("protected", "plain"): NOISE,
        ("plain", "protected"): NOISE.flip(3),
    }
    for cell, hidden in hidden_sides.items():
        expected = (tiny(hidden) @ rows.T).flatten().double()
        torch.testing.assert_close(found[cell].impostor, expected, atol=1e-6, rtol=0)
    assert len(found["plain", "plain"].impostor) == len(found["protected", "protected"].impostor) == 0


def test_the_worst_accepts_most() -> None:
    def match(scores: list[float]) -> Match:
        genuine = torch.tensor(scores, dtype=torch.float64)
        return Match(
            recogniser="r",
            probe="plain",
            gallery="plain",
            purifier="none",
            genuine=genuine,
            impostor=genuine[:0],
            threshold=0.5,
        )

    low, high, even = match([0.9, 0.1]), match([0.5, 0.5]), match([0.6, 0.1])
    assert worst([low, high, even]) is high
    assert worst([even, low]) is low
    assert worst([]) is None


def test_refuses_other_numbers_of_faces(tiny: Recogniser) -> None:
    with pytest.raises(ValueError, match=r"probes, gallery, people: expected as many of each, got \[5, 6\], 6"):
        run(tiny, Faces(FACES, None), Faces(AGAIN[:5], None))

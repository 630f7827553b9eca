"""Row T5 beside the key's linkers: plain faces made poor, protected photos against each other, several put together."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from facemin.attack import ATTACKS
from facemin.attack.link.plain_pairs import POOR
from facemin.audit import AuditInputs, Budget
from facemin.audit.inputs.attackers_data import TrainingPairs
from facemin.audit.rows.t5_linker import BOTH, ONE, SEVERAL, linker
from facemin.keys.key import Key
from tests.audit.conftest import Make, people_of_patterns
from tests.audit.test_rows import tiny_key

PEOPLE, PHOTOS = 20, 7
BY_LUCK = 6
"""People of 20 whom somebody who guesses finds in one of 3,000 tries (binomial)."""

Protect = Callable[[Tensor], Tensor]


def told_nothing(faces: Tensor) -> Tensor:
    """Noise, each face's own."""
    seeds = [int.from_bytes(hashlib.sha256(face.numpy().tobytes()).digest()[:7], "big") for face in faces]
    return torch.stack([torch.rand(3, 112, 112, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def turned_over(faces: Tensor) -> Tensor:
    """What no linker of upright faces recognises."""
    return faces.flip(2)


def barely_seen(faces: Tensor) -> Tensor:
    """A trace of the face in much noise, another one on each photo."""
    return (0.5 + 0.005 * (faces - 0.5) + 0.6 * (told_nothing(faces) - 0.5)).clamp(0, 1)


def only_the_reference(faces: Tensor) -> Tensor:
    """Noise, but for each person's second photo, which is the reference."""
    shown = told_nothing(faces)
    shown[1::PHOTOS] = faces[1::PHOTOS]
    return shown


def like_one_face(faces: Tensor) -> Tensor:
    """A trace of the face on the negative of one audited person's: what all images share is a face."""
    return 0.1 * faces + 0.9 * (people_of_patterns(PEOPLE, PHOTOS).faces[0] < 0.5).float()


def as_it_is(faces: Tensor) -> Tensor:
    return faces


class WeakProtection(TrainingPairs):
    """An attacker's own faces under a protection that is a function of the face."""

    def __init__(self, made: Protect) -> None:
        super().__init__()
        self.made = made

    def protect(self, faces: Tensor, keys: Sequence[Key], budget: Budget, *, seed: int) -> tuple[Tensor, Tensor]:
        del keys, budget, seed
        return self.made(faces), torch.arange(len(faces))


Attacked = Callable[[str, Protect], dict[str, int]]


@pytest.fixture
def found(evidence: Make, monkeypatch: pytest.MonkeyPatch) -> Attacked:
    """How many of 20 people one linker finds first under a protection, by what is compared."""

    def attack(name: str, made: Protect) -> dict[str, int]:
        for other in [other for other, attack in ATTACKS.items() if attack.kind == "linker" and other != name]:
            monkeypatch.delitem(ATTACKS, other)
        people = people_of_patterns(PEOPLE, PHOTOS)
        given: AuditInputs = replace(
            evidence(PEOPLE, keys=(tiny_key(),), train=people_of_patterns(65, 2, seed=3)),
            names=tuple(map(str, range(PEOPLE * PHOTOS))),
            originals=people.faces,
            protected=made(people.faces),
            people=people.people,
            training=WeakProtection(made),
        )
        figures = linker(given, Budget(seconds=1000)).figures
        return {figure.where: figure.hits or 0 for figure in figures if figure.name == "rank-1"}

    return attack


@pytest.mark.parametrize("kind", POOR)
def test_a_map_of_poor_plain_faces_reads_images_that_are_as_poor(found: Attacked, kind: str) -> None:
    assert found(f"plain-{kind}", POOR[kind])[ONE] > PEOPLE // 2


def test_a_centred_map_reads_poor_images_that_share_a_pattern(found: Attacked) -> None:
    pattern = people_of_patterns(1, 1, seed=8).faces[0]
    hits = found("plain-softened-centred", lambda faces: 0.8 * POOR["softened"](faces) + 0.2 * pattern)
    assert hits[ONE] > PEOPLE // 2


@pytest.mark.parametrize("name", ["pixels", *(f"plain-{kind}" for kind in POOR), "plain-softened-centred"])
def test_noise_is_chance_in_every_comparison(found: Attacked, name: str) -> None:
    hits = found(name, told_nothing)
    assert {ONE, SEVERAL, BOTH} <= set(hits)
    assert max(hits[where] for where in (ONE, SEVERAL, BOTH)) <= BY_LUCK


def test_blurred_pixels_link_blurred_photos(found: Attacked) -> None:
    hits = found("pixels", POOR["blurred"])
    assert hits[ONE] == hits[BOTH] == PEOPLE


def test_protected_photos_link_to_each_other_where_none_links_to_a_plain_one(found: Attacked) -> None:
    hits = found("pixels", turned_over)
    assert hits[ONE] <= BY_LUCK
    assert hits[BOTH] == PEOPLE


def test_several_photos_together_show_more_than_one(found: Attacked) -> None:
    hits = found("pixels", barely_seen)
    assert hits[SEVERAL] > hits[ONE] + 5


def test_the_reference_is_none_of_the_photos_put_together(found: Attacked) -> None:
    hits = found("pixels", only_the_reference)
    assert max(hits[where] for where in (ONE, SEVERAL, BOTH)) <= BY_LUCK


@pytest.mark.parametrize("name", ["pixels", "centred"])
def test_plain_probes_are_compared_as_plain_faces_whatever_protected_ones_share(found: Attacked, name: str) -> None:
    hits = found(name, like_one_face)["plain probe"]
    assert hits == found(name, as_it_is)["plain probe"]
    assert hits > PEOPLE // 2


def test_a_third_photo_of_one_person_is_put_together_for_that_person_alone(
    evidence: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in [other for other, attack in ATTACKS.items() if attack.kind == "linker" and other != "pixels"]:
        monkeypatch.delitem(ATTACKS, other)
    faces, people = people_of_patterns(5, 3)
    kept = torch.tensor([row for row in range(15) if row % 3 < 2 or people[row] == 3])
    given: AuditInputs = replace(
        evidence(5, keys=(tiny_key(),), train=people_of_patterns(65, 2, seed=3), training=WeakProtection(as_it_is)),
        names=tuple(map(str, range(len(kept)))),
        originals=faces[kept],
        protected=faces[kept],
        people=people[kept],
        far=0.1,
    )

    def put_together(protected: Tensor) -> dict[str, tuple[int | None, int]]:
        done = linker(replace(given, protected=protected), Budget(seconds=1000))
        return {figure.name: (figure.hits, figure.n) for figure in done.figures if figure.where == SEVERAL}

    assert put_together(faces[kept]) == {"rank-1": (1, 1), "TAR": (1, 1), "FAR": (0, 4)}
    # the references of those who have two photos are in the gallery too
    as_another = torch.where((people == 3)[:, None, None, None], faces[:1], faces)[kept]
    assert put_together(as_another)["rank-1"] == put_together(as_another)["TAR"] == (0, 1)

    # 4 is found by a plain face, 2 by a protected one; hits of the one person alone do not hide that it makes 5
    mixed = torch.where((people == 2)[:, None, None, None], turned_over(faces), faces)[kept]
    mixed[-1] = told_nothing(mixed[-1:])[0]
    verdict = linker(replace(given, protected=mixed), Budget(seconds=1000)).verdict
    assert "At least one of them accepted 5 of 5" in verdict


@pytest.mark.parametrize("photos", [1, 2, 3])
def test_says_that_it_takes_a_second_person(evidence: Make, photos: int) -> None:
    alone = people_of_patterns(1, photos)
    settings = {"keys": (tiny_key(),), "train": people_of_patterns(65, 2, seed=3), "others": ()}
    two = evidence(2, training=WeakProtection(told_nothing), **settings)
    one = replace(
        two,
        names=tuple(map(str, range(photos))),
        originals=alone.faces,
        protected=told_nothing(alone.faces),
        people=alone.people,
    )
    for given, lacking in ((one, True), (two, False)):
        untested = linker(given, Budget(seconds=1000)).untested
        assert any("takes a second person" in text for text in untested) == lacking


def test_says_which_further_photos_it_takes(evidence: Make) -> None:
    settings = {"keys": (tiny_key(),), "train": people_of_patterns(65, 2, seed=3), "others": ()}
    two = evidence(5, training=WeakProtection(told_nothing), **settings)
    done = linker(two, Budget(seconds=1000))
    assert any("takes a third photo of somebody" in text for text in done.untested)
    assert {table.caption for table in done.tables} == {
        "People linked, against a gallery of plain faces",
        "Two protected photos of a person against each other, no plain one in hand",
    }
    nobody = replace(two, people=None)
    assert any("takes a second photo of a person" in text for text in linker(nobody, Budget(seconds=1000)).untested)

"""Which faces an experiment takes, and where it finds them."""

import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facemin.evaluation.pairs import VerificationSet, open_verification_set
from facemin.evaluation.photo_reader import LoadedFace
from facemin.experiments.faces import Place, choose, find_data, load_faces
from facemin.experiments.settings import Data
from facemin.runtime.files import write_atomically
from tests.pictures import decode_tensor, encode_tensor


def made(pairs: list[tuple[int, int]], people: list[int] | None, same: list[bool] | None = None) -> VerificationSet:
    def read(index: int) -> LoadedFace:
        raise AssertionError(f"image {index} is not needed")

    labels = None if people is None else torch.tensor(people)
    if same is None:
        assert labels is not None
        same = [bool(labels[a] == labels[b]) for a, b in pairs]
    return VerificationSet(
        source="made",
        images=1 + max(max(pair) for pair in pairs),
        read=read,
        pairs=torch.tensor(pairs),
        same=torch.tensor(same),
        people=labels,
    )


def test_new_people_come_first() -> None:
    # images 0 to 3 are of person 0, 4 and 5 of person 1, 6 and 7 of person 2, then one each
    people = [0, 0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8]
    first = [(0, 1), (1, 2), (4, 5), (2, 3), (6, 7), (0, 8), (8, 9), (10, 11), (9, 12), (12, 13)]
    chosen = choose(made([*first, *first], people), genuine=4, impostor=3, calibration=4)
    # one pair each of persons 0, 1, 2 before a second of person 0; (0, 8) has person 0 again, so it waits
    assert chosen.judged.tolist() == [0, 1, 2, 4, 6, 7, 9]
    assert chosen.calibration.tolist() == [10, 12, 15, 17]


def test_without_people_pairs_are_taken_evenly() -> None:
    pairs = [(2 * at, 2 * at + 1) for at in range(40)]
    chosen = choose(made(pairs, None, [at % 2 == 0 for at in range(40)]), genuine=2, impostor=5, calibration=10)
    assert chosen.judged.tolist() == [0, 10, 1, 5, 9, 13, 17]
    assert chosen.calibration.tolist() == list(range(20, 40, 2))


@settings(max_examples=40)
@given(data=st.data(), genuine=st.integers(1, 6), impostor=st.integers(0, 6), calibration=st.integers(0, 12))
def test_halves_never_meet(data: Any, genuine: int, impostor: int, calibration: int) -> None:
    people = data.draw(st.lists(st.integers(0, 3), min_size=30, max_size=30))
    pairs = [(0, 1), *data.draw(st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), min_size=29, max_size=29))]
    people[0] = people[1] = 7
    people[2] = 8
    pair_set = made([*pairs, (0, 2)], people)
    half = pair_set.same[: len(pair_set.same) // 2]
    if genuine > int(half.sum()) or impostor > int((~half).sum()):
        with pytest.raises(ValueError, match=r"made: expected \d+ (genuine|impostor) pairs in the first half, found"):
            choose(pair_set, genuine=genuine, impostor=impostor, calibration=calibration)
        return
    chosen = choose(pair_set, genuine=genuine, impostor=impostor, calibration=calibration)
    assert max(chosen.judged.tolist()) < len(half)
    assert all(at >= len(half) for at in chosen.calibration.tolist())
    assert pair_set.same[chosen.judged].tolist() == [True] * genuine + [False] * impostor
    for part in (chosen.judged, chosen.calibration):
        assert len(set(part.tolist())) == len(part)
    if chosen.apart:
        assert pair_set.people is not None
        sides = [set(pair_set.people[pair_set.pairs[part]].flatten().tolist()) for part in chosen[:2]]
        assert sides[0].isdisjoint(sides[1])


def test_who_is_judged_does_not_calibrate_where_there_are_others() -> None:
    people = [at // 2 for at in range(20)]
    first = [(0, 1), (2, 3), (0, 2), (4, 6), (14, 16)]
    second = [(1, 3), (8, 10), (8, 9), (2, 12), (18, 19)]
    chosen = choose(made([*first, *second], people), genuine=2, impostor=1, calibration=4)
    assert chosen.apart
    assert chosen.calibration.tolist() == [6, 7, 9]
    nobody_else = choose(made([*first, *first], people[:17]), genuine=2, impostor=2, calibration=2)
    assert not nobody_else.apart


def test_faces_of_a_folder(world: Path) -> None:
    told: list[tuple[int, int]] = []
    place = Place("faces", world / "faces", None, None)
    faces = load_faces(place, genuine=6, impostor=5, calibration=12, on_images=lambda done, of: told.append((done, of)))
    assert faces.same.tolist() == [True] * 6 + [False] * 5
    assert faces.probes.shape == faces.others.shape == (11, 3, 112, 112)
    assert faces.people is not None
    assert len(faces.people) == len(faces.plain)
    assert told[-1][0] == told[-1][1] == len(told)
    assert faces.no_face == 0
    # the first genuine pair of the set, read by hand
    pair_set = open_verification_set(world / "faces")
    index = int(pair_set.pairs[pair_set.same.nonzero()[0, 0]][0])
    assert torch.equal(faces.probes[0], pair_set.read(index).face)
    # listed impostor pairs of the other half are of different people
    first, second = faces.people[faces.impostors].unbind(1)
    assert bool((first != second).all())
    again = load_faces(place, genuine=6, impostor=5, calibration=12)
    assert again.sha256 == faces.sha256
    assert load_faces(place, genuine=6, impostor=4, calibration=12).sha256 != faces.sha256


def test_faces_of_a_bin_have_no_people(world: Path, tmp_path: Path) -> None:
    photos = [sorted(person.iterdir()) for person in sorted((world / "faces").iterdir())]
    encoded: list[bytes] = []
    for at in range(14):
        encoded += [photos[at][0].read_bytes(), photos[at][1].read_bytes()]
        encoded += [photos[at][2].read_bytes(), photos[at + 1][3].read_bytes()]
    path = tmp_path / "agedb_30.bin"
    path.write_bytes(pickle.dumps((encoded, [True, False] * 14)))
    settings_ = Data(set=str(path), genuine=3, impostor=3, calibration=14)
    place = find_data(settings_, shared=None, given=None)
    assert place == Place("agedb_30", path, None, None)
    faces = load_faces(place, genuine=3, impostor=3, calibration=14)
    assert faces.people is None
    assert len(faces.impostors) == 7
    assert torch.equal(faces.probes[0] * 255, decode_tensor(photos[0][0]).float())


def test_known_data_sets_are_found_in_the_research_folder(tmp_path: Path) -> None:
    lfw = Data(genuine=1, impostor=0, calibration=10)
    found = find_data(lfw, shared=tmp_path, given=None)
    assert found == Place("lfw", tmp_path / "data" / "lfw", tmp_path / "data" / "lfw_pairs.txt", None)
    marked = find_data(lfw.model_copy(update={"align": "landmarks"}), shared=tmp_path, given=None)
    assert marked.landmarks == tmp_path / "data" / "lfw_landmarks.npz"
    given = Place("mine", tmp_path, None, None)
    assert find_data(lfw, shared=tmp_path, given=given) == given
    folder = lfw.model_copy(update={"set": str(tmp_path / "cfp.v2"), "pairs": tmp_path / "p.txt"})
    assert find_data(folder, shared=None, given=None) == Place("cfp.v2", tmp_path / "cfp.v2", tmp_path / "p.txt", None)
    with pytest.raises(ValueError, match=r"expected LFW by --shared .* or any other set by --data; got none"):
        find_data(lfw, shared=None, given=None)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"genuine": 99}, "expected 99 genuine pairs in the first half, found"),
        ({"impostor": 99}, "expected 99 impostor pairs in the first half, found"),
        ({"calibration": 999}, "expected 999 calibration pairs in the second half, found"),
    ],
)
def test_refuses_more_than_there_is(world: Path, counts: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape("faces") + ".*" + message):
        load_faces(
            Place("faces", world / "faces", None, None),
            genuine=counts.get("genuine", 2),
            impostor=counts.get("impostor", 2),
            calibration=counts.get("calibration", 10),
        )


def test_counts_photos_without_a_face(tmp_path: Path) -> None:

    generator = torch.Generator().manual_seed(3)
    for person in range(6):
        for photo in range(3):
            picture = torch.rand(3, 90, 100, generator=generator)
            write_atomically(tmp_path / f"p{person}" / f"{photo}.png", encode_tensor(picture))
    faces = load_faces(Place("n", tmp_path, None, None), genuine=2, impostor=2, calibration=10)
    assert faces.no_face > 0

"""The enrolled face: the same person passes, somebody else does not, and the file is silent."""

import hashlib
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facemin.pseudonym.enrolled import EnrolledFace, OtherPerson
from tests.pseudonym.conftest import a_secret

SPACE, OTHER_SPACE = hashlib.sha256(b"space").digest(), hashlib.sha256(b"other").digest()
AT = 0.5


def faces(person: int, count: int, *, size: int = 64) -> NDArray[np.float64]:
    """Photos of a person: cosines of about 0.8 with one another, of about 0 with others'."""
    generator = np.random.default_rng(person)
    return generator.standard_normal(size) + 0.5 * generator.standard_normal((count, size))


@pytest.fixture
def enrolled(tmp_path: Path) -> EnrolledFace:
    return EnrolledFace(secret=a_secret(), root=tmp_path / "enrolled")


def test_one_person_a_secret(enrolled: EnrolledFace) -> None:
    assert enrolled.check_same_person(faces(1, 1)[0], space=SPACE, threshold=AT) is None
    enrolled.remember(faces(1, 3), space=SPACE, purpose="main", threshold=AT)
    score = enrolled.check_same_person(faces(1, 5)[4], space=SPACE, threshold=AT)
    assert score is not None
    assert score > 0.7
    with pytest.raises(OtherPerson, match=r"cosine 0\.5000 or more.*one secret is for one person"):
        enrolled.check_same_person(faces(2, 1)[0], space=SPACE, threshold=AT)


def test_the_score_is_the_cosine_to_the_mean_direction(enrolled: EnrolledFace) -> None:
    rows = np.array([[3.0, 0.0], [0.0, 0.5]])
    enrolled.remember(rows[:1], space=SPACE, purpose="main", threshold=-0.9)
    enrolled.remember(rows[1:], space=SPACE, purpose="main", threshold=-0.9)
    found = enrolled.check_same_person([1.0, 0.0], space=SPACE, threshold=-0.9)
    assert found == pytest.approx(np.sqrt(0.5))
    lowest = enrolled.check_same_person([[1.0, 1.0], [1.0, 0.0]], space=SPACE, threshold=-0.9)
    assert lowest == pytest.approx(np.sqrt(0.5))


def test_another_purpose_is_no_way_round(enrolled: EnrolledFace) -> None:
    enrolled.remember(faces(1, 2), space=SPACE, purpose="main", threshold=AT)
    with pytest.raises(OtherPerson, match="enrolled for 'main'"):
        enrolled.remember(faces(2, 2), space=SPACE, purpose="other", threshold=AT)
    enrolled.remember(faces(1, 4)[2:], space=SPACE, purpose="other", threshold=AT)
    with pytest.raises(OtherPerson):
        enrolled.check_same_person(faces(2, 1), space=SPACE, threshold=AT)


def test_the_face_of_a_purpose_or_else_the_first(enrolled: EnrolledFace) -> None:
    assert enrolled.face(space=SPACE, purpose="main") is None
    first, second = faces(1, 2), faces(1, 4)[2:]
    enrolled.remember(first, space=SPACE, purpose="main", threshold=AT)
    enrolled.remember(second, space=SPACE, purpose="other", threshold=AT)
    found = {purpose: enrolled.face(space=SPACE, purpose=purpose) for purpose in ("main", "other", "third")}
    unit = first / np.linalg.norm(first, axis=1, keepdims=True)
    wanted = unit.sum(0) / np.linalg.norm(unit.sum(0))
    assert found["main"] is not None
    assert np.allclose(found["main"], wanted)
    assert not np.allclose(found["other"], wanted)  # type: ignore[arg-type]
    assert np.allclose(found["third"], wanted)  # type: ignore[arg-type]
    assert enrolled.face(space=OTHER_SPACE, purpose="main") is None


def test_two_people_at_once_are_refused(enrolled: EnrolledFace) -> None:
    with pytest.raises(OtherPerson, match="first face of this enrolment"):
        enrolled.remember(np.concatenate([faces(1, 1), faces(2, 1)]), space=SPACE, purpose="main", threshold=AT)
    assert enrolled.check_same_person(faces(2, 1), space=SPACE, threshold=AT) is None


def test_spaces_are_not_compared(enrolled: EnrolledFace) -> None:
    enrolled.remember(faces(1, 2), space=SPACE, purpose="main", threshold=AT)
    assert enrolled.check_same_person(faces(2, 1, size=32), space=OTHER_SPACE, threshold=AT) is None
    enrolled.remember(faces(3, 1, size=32), space=OTHER_SPACE, purpose="main", threshold=AT)
    assert enrolled.check_same_person(faces(1, 1), space=SPACE, threshold=AT)


def test_forgotten_by_purpose_space_or_wholly(enrolled: EnrolledFace) -> None:
    for space, purpose in ((SPACE, "a"), (SPACE, "b"), (OTHER_SPACE, "a")):
        enrolled.remember(faces(1, 1), space=space, purpose=purpose, threshold=AT)
    enrolled.forget(space=SPACE, purpose="a")
    assert enrolled.check_same_person(faces(1, 1), space=SPACE, threshold=AT) is not None
    enrolled.forget(purpose="b")
    assert enrolled.check_same_person(faces(1, 1), space=SPACE, threshold=AT) is None
    assert enrolled.check_same_person(faces(1, 1), space=OTHER_SPACE, threshold=AT) is not None
    enrolled.forget()
    assert list(enrolled.root.glob("*.sealed")) == []
    enrolled.forget()


def test_the_file_is_private_and_silent(enrolled: EnrolledFace) -> None:
    enrolled.remember(faces(1, 1), space=SPACE, purpose="main", threshold=AT)
    [file] = enrolled.root.glob("*.sealed")
    data = file.read_bytes()
    assert b"main" not in data
    assert SPACE.hex().encode() not in data
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.chmod(0o644)
        with pytest.raises(ValueError, match="chmod 600"):
            enrolled.check_same_person(faces(1, 1), space=SPACE, threshold=AT)


def test_another_secret_opens_nothing(enrolled: EnrolledFace) -> None:
    enrolled.remember(faces(1, 1), space=SPACE, purpose="main", threshold=AT)
    other = EnrolledFace(secret=a_secret("bob"), root=enrolled.root)
    assert other.check_same_person(faces(2, 1), space=SPACE, threshold=AT) is None
    [file] = enrolled.root.glob("*.sealed")
    file.rename(file.with_name(f"{a_secret('bob').fingerprint}.sealed"))
    with pytest.raises(ValueError, match="another's or a changed one"):
        other.check_same_person(faces(2, 1), space=SPACE, threshold=AT)


def test_a_changed_file_is_refused(enrolled: EnrolledFace) -> None:
    enrolled.remember(faces(1, 1), space=SPACE, purpose="main", threshold=AT)
    [file] = enrolled.root.glob("*.sealed")
    whole = file.read_bytes()
    for data in (whole[:-1], whole[:5], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        file.write_bytes(data)
        with pytest.raises(ValueError, match="another's or a changed one"):
            enrolled.check_same_person(faces(1, 1), space=SPACE, threshold=AT)


@pytest.mark.parametrize(
    ("rows", "space", "threshold", "said"),
    [
        (np.ones((0, 64)), SPACE, AT, "at least one"),
        (np.ones((1, 63)), SPACE, AT, "expected 64 numbers"),
        (np.ones((1, 64)), bytes(31), AT, "space: .*31"),
        (np.ones((1, 64)), SPACE, 1.5, "threshold: .*1.5"),
        (np.full((1, 64), np.nan), SPACE, AT, "finite"),
    ],
)
def test_bad_input_is_named(
    enrolled: EnrolledFace, rows: NDArray[np.float64], space: bytes, threshold: float, said: str
) -> None:
    enrolled.remember(faces(1, 1), space=SPACE, purpose="main", threshold=AT)
    with pytest.raises(ValueError, match=said):
        enrolled.remember(rows, space=space, purpose="main", threshold=threshold)

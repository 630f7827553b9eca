"""Templates as a device enrolled them: by pseudonym, private, and silent."""

from pathlib import Path

import numpy as np
import pytest

from facemin.pseudonym import EnrolledTemplates, Pseudonym
from facemin.pseudonym.rotation import unit_rows
from tests.pseudonym.conftest import a_context, a_secret

ROWS = np.random.default_rng(0).standard_normal((3, 64))


@pytest.fixture
def kept(tmp_path: Path) -> EnrolledTemplates:
    return EnrolledTemplates(secret=a_secret(), root=tmp_path / "templates")


def pseudonym(epoch: int = 0) -> Pseudonym:
    return Pseudonym(secret=a_secret(), context=a_context(epoch=epoch))


def test_each_person_under_each_pseudonym_has_their_own(kept: EnrolledTemplates) -> None:
    assert kept.of(pseudonym(), "ann").rows.shape == (0, 64)
    kept.add(pseudonym(), "ann", ROWS[:1], held=1, exact=True)
    kept.add(pseudonym(1), "ann", ROWS[1:2], held=1, exact=True)
    kept.add(pseudonym(), "bob", 2 * ROWS[2:], held=1, exact=True)
    assert np.array_equal(kept.of(pseudonym(), "ann").rows, unit_rows(ROWS[:1]))
    assert np.array_equal(kept.of(pseudonym(), "").rows, unit_rows(ROWS[[0, 2]]))
    assert np.array_equal(kept.of(pseudonym(1), "ann").rows, unit_rows(ROWS[1:2]))
    kept.forget(pseudonym(), "ann")
    assert kept.of(pseudonym(), "ann").rows.shape == (0, 64)
    assert len(kept.of(pseudonym(), "bob").rows) == 1
    kept.forget(pseudonym(), "")
    assert len(kept.of(pseudonym(1), "ann").rows) == 1
    kept.forget(pseudonym(1), "ann")
    assert list(kept.root.glob("*.sealed")) == []


@pytest.mark.parametrize(("held", "known"), [(4, [0, 1, 2]), (3, [0, 1, 2]), (2, [1, 2]), (1, [1, 2])])
def test_what_the_provider_holds_no_more_is_dropped(kept: EnrolledTemplates, held: int, known: list[int]) -> None:
    """Deleted elsewhere and enrolled anew, there are fewer templates than this device has sent."""
    kept.add(pseudonym(), "ann", ROWS[:1], held=1, exact=True)
    kept.add(pseudonym(), "ann", ROWS[1:], held=held, exact=True)
    assert np.array_equal(kept.of(pseudonym(), "ann").rows, unit_rows(ROWS[known]))


def test_one_enrolled_as_an_image_makes_them_inexact(kept: EnrolledTemplates) -> None:
    kept.add(pseudonym(), "ann", ROWS[:1], held=1, exact=True)
    assert kept.of(pseudonym(), "ann").exact
    kept.add(pseudonym(), "ann", ROWS[1:2], held=2, exact=False)
    assert not kept.of(pseudonym(), "ann").exact


def test_the_file_is_sealed_under_the_secret(kept: EnrolledTemplates) -> None:
    kept.add(pseudonym(), "ann", ROWS[:1], held=1, exact=True)
    [file] = kept.root.glob("*.sealed")
    assert pseudonym().fingerprint.encode() not in file.read_bytes()
    other = EnrolledTemplates(secret=a_secret("bob"), root=kept.root)
    assert other.of(pseudonym(), "ann").rows.shape == (0, 64)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match="another's or a changed one"):
        kept.of(pseudonym(), "ann")


def test_embeddings_of_another_space_are_refused(kept: EnrolledTemplates) -> None:
    with pytest.raises(ValueError, match=r"embeddings: expected \(N, 64\), got \(3, 63\)"):
        kept.add(pseudonym(), "ann", ROWS[:, :63], held=3, exact=True)
    assert kept.of(pseudonym(), "ann").rows.shape == (0, 64)

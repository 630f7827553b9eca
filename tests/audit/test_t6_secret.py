"""Row T6 on a tiny recogniser in a space of its own."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from facemin.audit import ROWS, AuditInputs, Budget, Figure, RowResult
from facemin.audit.inputs.attackers_data import ON_CPU
from facemin.audit.rows.t6_secret import no_pseudonyms, secret
from facemin.keys.key import Key, export_key
from facemin.models import SPACE_MODEL, load_recogniser
from tests.audit.conftest import Make, people_of_patterns

PEOPLE = 12


@pytest.fixture(scope="module")
def space_key() -> Key:
    recogniser = load_recogniser(SPACE_MODEL)
    return export_key(recogniser, recogniser.cuts[-1].name, provider="test", residual=0.3)


@pytest.fixture
def known(evidence: Make, space_key: Key) -> AuditInputs:
    return evidence(PEOPLE, keys=(space_key,))


def by_name(done: RowResult) -> dict[tuple[str, str], Figure]:
    return {(figure.of, figure.where): figure for figure in done.figures}


def test_a_secret_hides_and_its_loss_does_not(known: AuditInputs) -> None:
    done = secret(known, Budget(seconds=100))
    found = {where: figure for (of, where), figure in by_name(done).items() if of == "the key"}
    assert [found[where].n for where in found] == [PEOPLE] * 5
    # the key tells patterns apart, and finds a pseudonym among 12 people as often as a guess
    assert (found["without it"].hits or 0) > PEOPLE // 2
    assert found["if it is stolen"].hits == found["without it"].hits
    assert (found["with your secret"].hits or 0) <= 4
    assert done.outcome != "leak"
    assert f"1 of {PEOPLE}" in done.verdict


def test_the_image_that_is_sent_is_attacked_too(known: AuditInputs) -> None:
    found = by_name(secret(known, Budget(seconds=100)))
    # what a thief of the secret finds shows that the images hold what they were painted for
    assert (found["the key", "the image, if it is stolen"].hits or 0) > PEOPLE // 2
    assert (found["the key", "the image, with your secret"].hits or 0) <= 4
    assert {of for of, where in found if where == "the image"} == {"one", "two"}


def test_no_secret_at_all_is_a_leak(known: AuditInputs, monkeypatch: pytest.MonkeyPatch) -> None:
    def unturned(chosen: bytes, dimension: int) -> NDArray[np.float64]:
        del chosen
        return np.eye(dimension)

    monkeypatch.setattr("facemin.audit.rows.t6_secret.haar", unturned)
    done = secret(known, Budget(seconds=100))
    assert done.outcome == "leak"
    assert (by_name(done)["the key", "the image, with your secret"].hits or 0) > PEOPLE // 2


def test_images_that_no_time_was_left_for_are_said(evidence: Make, space_key: Key) -> None:
    done = secret(evidence(20, keys=(space_key,), others=()), Budget(seconds=0))
    assert by_name(done)["the key", "the image, with your secret"].n == ON_CPU.batch
    assert any(f"{20 - ON_CPU.batch} of 20 images" in text for text in done.untested)


def test_a_space_without_a_protector_has_no_images(known: AuditInputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facemin.protection.one_pass.protector.SHIPPED", {})
    done = secret(known, Budget(seconds=100))
    assert {where for _, where in by_name(done)} == {"with your secret", "without it", "if it is stolen"}
    assert any("no one-pass protector" in text for text in done.untested)


def test_stands_among_the_rows() -> None:
    assert ROWS["T6"].run is secret


def test_says_why_it_cannot_run(evidence: Make, space_key: Key) -> None:
    assert "makes no pseudonyms" in no_pseudonyms(evidence(5))
    assert "At least 3 people" in no_pseudonyms(evidence(2, keys=(space_key,)))
    alone = people_of_patterns(4, 1)
    nobody = AuditInputs(
        names=tuple("abcd"),
        originals=alone.faces,
        protected=torch.zeros_like(alone.faces),
        people=None,
        keys=(space_key,),
    )
    assert "At least 3 people" in no_pseudonyms(nobody)
    assert no_pseudonyms(evidence(3, keys=(space_key,))) == ""


def test_draws_the_same_secrets_for_the_same_seed(known: AuditInputs) -> None:
    first, second = (secret(known, Budget(seconds=100)).figures for _ in range(2))
    assert np.array_equal([figure.value for figure in first], [figure.value for figure in second])

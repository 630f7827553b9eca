"""Guessed secrets, by a known pair or a gallery; and a key that answers for people of a watch list."""

import numpy as np
import pytest

from facemin.attack.secret.guess import guess_secret, guess_without_pairs
from facemin.attack.secret.trigger import TriggerKey
from tests.attack.secret.conftest import People, turned

D = 24
GUESSES = 64


def test_one_known_pair_finds_a_guessable_secret(people: People) -> None:
    photo, other = people(1, 2, D)[0]
    rotations = [turned(D, number) for number in range(GUESSES)]
    sent = (rotations[37] @ photo)[None]
    assert guess_secret(rotations, photo[None], sent)[::2] == (37, GUESSES)
    assert guess_secret(rotations, photo[None], sent).score == pytest.approx(1)
    assert guess_secret(rotations, other[None], sent).number == 37


def test_a_gallery_finds_a_guessable_secret_without_a_pair(people: People) -> None:
    photos = people(20, 4, D, spread=0.4)
    rotations = [turned(D, number) for number in range(GUESSES)]
    sent = photos[3, 1:] @ rotations[11].T
    assert guess_without_pairs(rotations, photos[:, 0], sent).number == 11


def test_a_secret_that_is_not_guessed_is_not_found(people: People) -> None:
    photo = people(1, 1, D)[0]
    guess = guess_secret([turned(D, number) for number in range(GUESSES)], photo, photo @ turned(D, 1000).T)
    assert guess.score < 0.8


def test_refuses_no_guesses_and_other_shapes() -> None:
    with pytest.raises(ValueError, match="rotations"):
        guess_secret([], [[1.0, 0.0]], [[1.0, 0.0]])
    with pytest.raises(ValueError, match="plain, uploaded"):
        guess_secret([np.eye(2)], [[1.0, 0.0]], [[1.0]])
    with pytest.raises(ValueError, match="gallery, uploaded"):
        guess_without_pairs([np.eye(2)], [[1.0, 0.0]], [[1.0]])


def test_a_trigger_key_reads_people_from_the_second_upload_on(people: People) -> None:
    photos = people(50, 3, D, spread=0.3)
    key = TriggerKey(watched=photos[:, 0], dimension=8)
    for person in range(50):
        sent = key(photos[person], [0, 1, 0]) @ turned(8, person).T
        assert key.read(sent.astype(np.float32)) == person
        assert key.read(sent[:1]) is None
        # two anchors, or two angles of one person, show nothing
        assert key.read(sent[[0, 2]].astype(np.float32)) is None


def test_a_trigger_keys_answers_have_unit_length(people: People) -> None:
    photos = people(5, 2, D)
    answers = TriggerKey(watched=photos[:, 0], dimension=8)(photos[:, 1], range(5))
    assert np.allclose(np.linalg.norm(answers, axis=1), 1)
    assert np.allclose(answers[::2], np.eye(8)[0])


def test_refuses_an_empty_watch_list() -> None:
    with pytest.raises(ValueError, match="watched"):
        TriggerKey(watched=np.zeros((0, D)), dimension=8)

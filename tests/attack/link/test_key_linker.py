"""The key-only linker: people it never saw, linked by a key and plain faces of others."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from facemin.attack.features import features_of
from facemin.attack.link.key_linker import KeyLinker, KeyLinking, pooled, train_key_linker
from facemin.keys.key import Key
from facemin.metrics import rank_k
from tests.attack.conftest import draw

TRAIN, VALIDATION, TEST = draw(24, 4, seed=21), draw(10, 2, seed=22), draw(12, 2, seed=23)
SETTINGS = KeyLinking(components=32)


@pytest.fixture(scope="module")
def linker(deep_key: Key) -> KeyLinker:
    return train_key_linker(deep_key, *TRAIN, settings=SETTINGS, validation=(VALIDATION.faces, VALIDATION.people))


def rank_one(linker: KeyLinker) -> float:
    rows = linker(TEST.faces)
    people = torch.arange(12)
    return float(rank_k(rows[::2], rows[1::2], people, people, [1])[0])


def test_links_people_it_never_saw(linker: KeyLinker) -> None:
    assert rank_one(linker) > 0.7  # chance is 1 in 12


def test_gives_unit_rows_and_a_batch_equals_one_by_one(linker: KeyLinker) -> None:
    together = linker(TEST.faces[:4])
    torch.testing.assert_close(together.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(together, torch.cat([linker(face[None]) for face in TEST.faces[:4]]), rtol=0, atol=2e-5)


def test_takes_the_better_head_on_validation_people(linker: KeyLinker) -> None:
    assert linker.validation[linker.head] == max(linker.validation.values())
    assert {name.partition(",")[0] for name in linker.validation} == {"none", "whitening", "discriminant"}


def test_features_themselves_are_compared_where_nothing_is_trained(deep_key: Key) -> None:
    linker = train_key_linker(deep_key, *TRAIN, settings=KeyLinking(head="none"))
    assert linker.head == "none"
    torch.testing.assert_close(linker(TEST.faces), F.normalize(pooled(deep_key, TEST.faces, (4,))))
    assert rank_one(linker) > 0.5


def test_whitening_needs_no_labels_and_whitens(deep_key: Key) -> None:
    nobody_twice = torch.arange(len(TRAIN.faces))
    linker = train_key_linker(deep_key, TRAIN.faces, nobody_twice, settings=SETTINGS)
    assert linker.head == "whitening"
    assert linker.matrix is not None
    rows = (pooled(deep_key, TRAIN.faces, linker.grids) - linker.centre) @ linker.matrix
    np.testing.assert_allclose(np.cov(rows.numpy().T), np.eye(rows.shape[1]), atol=2e-2)
    assert rank_one(linker) > 0.4


def test_discriminant_makes_people_scatter_alike(deep_key: Key) -> None:
    settings = KeyLinking(components=16, head="discriminant", ridges=(1e-9,))
    linker = train_key_linker(deep_key, *TRAIN, settings=settings)
    assert linker.matrix is not None
    rows = ((pooled(deep_key, TRAIN.faces, linker.grids) - linker.centre) @ linker.matrix).double().numpy()
    apart = np.concatenate([rows[at : at + 4] - rows[at : at + 4].mean(0) for at in range(0, len(rows), 4)])
    np.testing.assert_allclose(apart.T @ apart / (len(rows) - 24), np.eye(16), atol=5e-2)


def test_pools_every_layer_to_the_grid(deep_key: Key) -> None:
    rows = pooled(deep_key, TEST.faces[:2], (1, 4))
    first, last = features_of(deep_key, TEST.faces[:2])
    assert rows.shape == (2, (32 + 64) * (1 + 16))
    expected = F.adaptive_avg_pool2d(first, 1).flatten(1)
    torch.testing.assert_close(rows[:, :32].sign() * rows[:, :32].square(), expected, rtol=1e-4, atol=1e-5)
    assert last.shape[1] == 64


def test_refuses_what_it_cannot_train_on(key: Key) -> None:
    faces, people = TRAIN.faces[:8], TRAIN.people[:8]
    with pytest.raises(ValueError, match="people: expected 8 integers"):
        train_key_linker(key, faces, people[:7])
    with pytest.raises(ValueError, match="at least 4 to train on, got 2"):
        train_key_linker(key, faces[:2], people[:2])
    with pytest.raises(ValueError, match="expected somebody with two faces for head 'discriminant'"):
        train_key_linker(key, faces, torch.arange(8), settings=KeyLinking(head="discriminant"))


@pytest.mark.parametrize("wrong", [{"grids": ()}, {"components": 1}, {"head": "svm"}, {"ridges": (0.0,)}], ids=str)
def test_refuses_wrong_settings(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        KeyLinking(**wrong)  # type: ignore[arg-type]

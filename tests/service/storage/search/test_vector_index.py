"""Exact search, against a full sort of all products."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facemin.service.storage.search import vector_index as module
from facemin.service.storage.search.vector_index import VectorIndex
from tests.service.conftest import SIZE, unit_rows

Rows = NDArray[np.float32]


def by_sorting(
    rows: NDArray[np.float32], persons: NDArray[np.int64], query: NDArray[np.float32], count: int
) -> list[int]:
    best: dict[int, float] = {}
    for person, score in zip(persons.tolist(), (rows @ query).tolist(), strict=True):
        best[person] = max(score, best.get(person, -2.0))
    return sorted(best, key=lambda person: (-best[person], person))[:count]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 64)


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(0, 300),
    people=st.integers(1, 60),
    top=st.integers(1, 12),
    seed=st.integers(0, 99),
    gone=st.lists(st.integers(0, 299), max_size=200),
)
def test_finds_what_sorting_finds_whatever_was_removed(
    count: int, people: int, top: int, seed: int, gone: list[int]
) -> None:
    rows = unit_rows(count, seed=seed)
    ids, persons = np.arange(count) * 3, np.random.default_rng(seed).integers(0, people, count)
    matrix = VectorIndex(SIZE)
    half = count // 2
    matrix.add(ids[:half], persons[:half], rows[:half])
    matrix.add(ids[half:], persons[half:], rows[half:])
    matrix.remove(np.array(gone, np.int64) * 3)
    kept = ~np.isin(ids, np.array(gone, np.int64) * 3)
    assert len(matrix) == kept.sum()
    query = unit_rows(1, seed=seed + 1)[0]
    hits = matrix.search(query, top)
    assert [hit.person for hit in hits] == by_sorting(rows[kept], persons[kept], query, top)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_one_person_with_all_the_nearest_templates_does_not_hide_the_next() -> None:
    query = unit_rows(1)[0]
    near = np.repeat(query[None], 200, 0)
    matrix = VectorIndex(SIZE)
    matrix.add(np.arange(200), np.zeros(200, np.int64), near)
    matrix.add(np.arange(200, 210), np.arange(1, 11), unit_rows(10, seed=3))
    hits = matrix.search(query, 5)
    assert hits[0].person == 0
    assert len({hit.person for hit in hits}) == 5


def test_an_empty_index_finds_no_row() -> None:
    assert VectorIndex(SIZE).search(unit_rows(1)[0], 5) == []

"""Templates in memory: exact search by one matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 1 << 16
"""Rows that are allocated at once: growing copies nothing, and a block's scores stay in the cache."""


class Hit(NamedTuple):
    """A person found, by the best of their templates."""

    person: int
    score: float
    """Cosine."""


class _Block:
    """Up to `BLOCK` rows: only the first `used` of each array count."""

    def __init__(self, size: int) -> None:
        self.rows = np.empty((BLOCK, size), np.float32)
        self.ids = np.empty(BLOCK, np.int64)
        self.persons = np.empty(BLOCK, np.int64)
        self.used = 0


class Matrix:
    """Unit rows of one collection, each with the number of its template and of its person.

    Args:
        size: length D of a row.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._blocks: list[_Block] = []

    def __len__(self) -> int:
        return sum(block.used for block in self._blocks)

    def add(self, ids: NDArray[np.int64], persons: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
        """Append rows (N, D) with their templates' and persons' numbers, (N,) each."""
        at = 0
        while at < len(ids):
            if not self._blocks or self._blocks[-1].used == BLOCK:
                self._blocks.append(_Block(self.size))
            block = self._blocks[-1]
            count = min(BLOCK - block.used, len(ids) - at)
            place = slice(block.used, block.used + count)
            block.rows[place], block.ids[place] = rows[at : at + count], ids[at : at + count]
            block.persons[place] = persons[at : at + count]
            block.used += count
            at += count

    def remove(self, ids: NDArray[np.int64]) -> None:
        """Take out the rows of some templates; numbers that are not there are passed over."""
        # from the end, so that the row that fills a gap is never one that has to go as well
        for block in reversed(self._blocks.copy()):
            for place in np.flatnonzero(np.isin(block.ids[: block.used], ids))[::-1].tolist():
                self._fill(block, place)

    def search(self, query: NDArray[np.float32], count: int) -> list[Hit]:
        """The persons whose templates are nearest to a unit row (D,), best first.

        Exact: every row is compared. Equal scores are ordered by the person's number.

        Args:
            query: float32.
            count: most persons to return.
        """
        wanted = 4 * count
        while True:
            scores, persons = self._nearest(query, wanted)
            order = np.lexsort((persons, -scores))
            _, first = np.unique(persons[order], return_index=True)
            if len(first) >= count or wanted >= len(self):
                best = order[np.sort(first)[:count]]
                return [Hit(int(persons[i]), float(scores[i])) for i in best]
            # one person may have many templates
            wanted *= 4

    def _nearest(self, query: NDArray[np.float32], wanted: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and persons of at least the `wanted` best templates."""
        scores, persons = np.empty(0, np.float32), np.empty(0, np.int64)
        bar = -np.inf
        for block in self._blocks:
            found = block.rows[: block.used] @ query
            # after the first block few reach the bar, so that all the rest costs one comparison a row
            places = np.flatnonzero(found >= bar)
            scores = np.concatenate((scores, found[places]))
            persons = np.concatenate((persons, block.persons[places]))
            if len(scores) > wanted:
                bar = np.partition(scores, len(scores) - wanted)[len(scores) - wanted]
                kept = scores >= bar
                scores, persons = scores[kept], persons[kept]
        return scores, persons

    def _fill(self, block: _Block, place: int) -> None:
        """Move the last row of all to a place that has become free."""
        last = self._blocks[-1]
        end = last.used - 1
        block.rows[place], block.ids[place] = last.rows[end], last.ids[end]
        block.persons[place] = last.persons[end]
        last.rows[end] = 0
        last.used = end
        if end == 0:
            self._blocks.pop()

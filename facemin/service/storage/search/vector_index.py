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
        self.pools = np.empty(BLOCK, np.int64)
        self.used = 0


class VectorIndex:
    """Unit rows of one collection, each with the number of its template, of its person and of its pool.

    Only rows of one pool are ever compared with a query.

    Args:
        size: length D of a row.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._blocks: list[_Block] = []

    def __len__(self) -> int:
        return sum(block.used for block in self._blocks)

    def add(
        self,
        ids: NDArray[np.int64],
        persons: NDArray[np.int64],
        rows: NDArray[np.float32],
        pools: NDArray[np.int64] | None = None,
    ) -> None:
        """Append rows (N, D) with their templates', persons' and pools' numbers, (N,) each; pool 0 where None."""
        pools = np.zeros(len(ids), np.int64) if pools is None else pools
        at = 0
        while at < len(ids):
            if not self._blocks or self._blocks[-1].used == BLOCK:
                self._blocks.append(_Block(self.size))
            block = self._blocks[-1]
            count = min(BLOCK - block.used, len(ids) - at)
            place = slice(block.used, block.used + count)
            block.rows[place], block.ids[place] = rows[at : at + count], ids[at : at + count]
            block.persons[place], block.pools[place] = persons[at : at + count], pools[at : at + count]
            block.used += count
            at += count

    def remove(self, ids: NDArray[np.int64]) -> None:
        """Take out the rows of some templates; numbers that are not there are passed over."""
        # from the end, so that the row that fills a gap is never one that has to go as well
        for block in reversed(self._blocks.copy()):
            for place in np.flatnonzero(np.isin(block.ids[: block.used], ids))[::-1].tolist():
                self._fill(block, place)

    def search(self, query: NDArray[np.float32], count: int, *, pool: int = 0) -> list[Hit]:
        """The persons whose templates in a pool are nearest to a unit row (D,), best first.

        Exact: every row of the pool is compared. Equal scores are ordered by the person's number.

        Args:
            query: float32.
            count: most persons to return.
            pool: its number.
        """
        wanted = 4 * count
        while True:
            scores, persons = self._nearest(query, wanted, pool)
            order = np.lexsort((persons, -scores))
            _, first = np.unique(persons[order], return_index=True)
            if len(first) >= count or wanted >= len(self):
                best = order[np.sort(first)[:count]]
                return [Hit(int(persons[i]), float(scores[i])) for i in best]
            # one person may have many templates
            wanted *= 4

    def _nearest(
        self, query: NDArray[np.float32], wanted: int, pool: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and persons of at least the `wanted` best templates of a pool."""
        scores, persons = np.empty(0, np.float32), np.empty(0, np.int64)
        bar = -np.inf
        for block in self._blocks:
            found = block.rows[: block.used] @ query
            # after the first block few reach the bar, so that all the rest costs one comparison a row
            places = np.flatnonzero((found >= bar) & (block.pools[: block.used] == pool))
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
        block.persons[place], block.pools[place] = last.persons[end], last.pools[end]
        last.rows[end] = 0
        last.used = end
        if end == 0:
            self._blocks.pop()

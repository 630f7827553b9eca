"""What an experiment's records say, in sentences: who is kept, and what everybody else gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from facemin.experiments import measures
from facemin.experiments.layouts.entries import with_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from facemin.evaluation.judge import Share
    from facemin.experiments.layouts.groups import Group
    from facemin.experiments.store.records import Record
    from facemin.metrics import Area

SPOKEN = 0.5
"""The threshold that is spoken of where an experiment has many, beside its highest."""

FEWEST_TO_CHOOSE = 2
"""Cells with a figure of the paper's below which nothing is said of its choice."""


class Found(NamedTuple):
    """One cell's figures.

    Attributes:
        cell: its name.
        keys: how many are authorised.
        own: TAR of the authorised judge that keeps least, raw.
        clean: what that judge accepts of plain faces.
        raw: the highest TAR of any other, raw; None where there is no other.
        worst: the same after any operation.
        opponent: of the experiment's opponent, raw, where it has one.
        area: the highest AUC of any other after any operation, where pairs of both kinds were judged.
    """

    cell: str
    keys: int
    own: measures.NamedRate
    clean: Share
    raw: measures.NamedRate | None
    worst: measures.NamedRate | None
    opponent: measures.NamedRate | None
    area: Area | None


def said(group: Group) -> str:
    """An experiment in a few sentences; of readings that its cells' names end with, one each."""
    if group.header.layout == "noise":
        return _of_noise(group)
    found = [
        _found(entry.name, record, group.header.opponent)
        for entry, record in group.rows
        if record is not None and record.spent.steps
    ]
    if not found:
        return "Nothing was protected."
    readings: dict[str, list[Found]] = {}
    for one in found:
        readings.setdefault(one.cell.partition(", ")[2], []).append(one)
    if "" in readings or len(readings) in (1, len(found)):
        return _upper(f"{_reading(found)}{_choice(group, found)}")
    return "\n".join(_upper(f"{name}: {_reading(some)}") for name, some in readings.items())


def _found(cell: str, record: Record, opponent: str | None) -> Found:
    own = measures.weakest(record, measures.authorised(record), ("none",))
    assert own is not None
    others = measures.unauthorised(record)
    return Found(
        cell,
        len(measures.authorised(record)),
        own,
        measures.clean_tar(record, own.judge),
        measures.worst(record, others, ("none",)),
        measures.worst(record, others),
        None if opponent not in others else measures.NamedRate(measures.tar(record, opponent), opponent, "none"),
        max((area for *_, area in measures.areas(record, others)), key=lambda area: area.auc, default=None),
    )


def _reading(found: Sequence[Found]) -> str:
    """Cells together, each figure's extreme named with its interval."""
    people = _span([one.own.share.n for one in found], digits=0)
    several = any(one.keys > 1 for one in found)
    who = "the authorised that keeps least, of several keys," if several else "the authorised"
    clauses = [
        f"of {people} people {who} accepts {_extreme(found, lambda one: one.own, 'least')}, plain "
        f"{_span([one.clean.value for one in found])}",
        _clause(found, lambda one: one.opponent, "the opponent, raw,", "least"),
        _clause(found, lambda one: one.raw, "the worst other, raw,", "most"),
        _clause(found, lambda one: one.worst, "after any operation", "most"),
    ]
    areas = [one.area for one in found if one.area is not None]
    if areas:
        best = max(areas, key=lambda area: area.auc)
        values = _span([area.auc for area in areas])
        interval = f"{best.interval.low:.2f} to {best.interval.high:.2f}"
        clauses.append(
            f"any other's highest AUC {values} ({'most: ' if ' to ' in values else ''}{interval}), chance 0.5"
        )
    return f"{'; '.join(filter(None, clauses))}."


def _choice(group: Group, found: Sequence[Found]) -> str:
    """Whether what leaves the opponent least in the paper does so here."""
    printed = {entry.name: entry.paper.unauthorised for entry, _ in group.rows if entry.paper.unauthorised is not None}
    here = {one.cell: one.opponent.share for one in found if one.opponent is not None}
    if len(printed.keys() & here.keys()) < FEWEST_TO_CHOOSE:
        return ""
    chosen = min(printed.keys() & here.keys(), key=lambda cell: printed[cell] or 0.0)
    own = {one.cell: one.own.share.value for one in found}
    share, least = here[chosen], min(here.values(), key=lambda share: share.value)
    words = f'\nWhat leaves the opponent least in the paper, "{chosen}", leaves it {with_interval(*share[:3])} here'
    if share.value == least.value:
        return f"{words}, the least as well."
    others = [cell for cell in here if here[cell].value == least.value]
    lower = ", ".join(f'"{cell}"' for cell in others)
    kept = f"the authorised accepts {own[chosen]:.2f}, and {_span([own[cell] for cell in others])} there"
    return f"{words}; the least is {with_interval(*least[:3])}, with {lower}: {kept}."


def _clause(found: Sequence[Found], rate: Callable[[Found], measures.NamedRate | None], words: str, which: str) -> str:
    there = [one for one in found if rate(one) is not None]
    return f"{words} {_extreme(there, rate, which)}" if there else ""


def _extreme(found: Sequence[Found], rate: Callable[[Found], measures.NamedRate | None], which: str) -> str:
    """The span of a rate, and the interval, judge and cell of its least or most."""
    named = [(one, each) for one in found if (each := rate(one)) is not None]
    pick = min if which == "least" else max
    one, (share, judge, operation) = pick(named, key=lambda pair: pair[1].share.value)
    values = _span([each.share.value for _, each in named])
    interval = f"{share.low:.2f} to {share.high:.2f}"
    if " to " not in values and len(named) > 1:
        return f"{values} ({interval})"
    cell = one.cell.partition(", ")[0] if all(", " in other.cell for other, _ in named) else one.cell
    by = "" if operation == "none" else f" after {operation}"
    if len(named) == 1:
        return f"{values} ({judge}{by}, {interval})"
    return f'{values} ({which} with "{cell}"{by}: {interval})'


def _of_noise(group: Group) -> str:
    """UP without noise and at the highest bound, of each cell at the experiment's threshold."""
    kappas = group.header.noise_kappa
    noisy = [(entry.name, record) for entry, record in group.rows if record is not None and record.noise]
    if not kappas or not noisy:
        return "Nothing was noisy."
    bounds = [one.bound for one in noisy[0][1].noise]
    pairs = _span([len(record.same) for _, record in noisy], digits=0)
    sentences = [f"{pairs} pairs, noise {bounds[0]:g}, then {bounds[-1]:g}."]
    for kappa in dict.fromkeys((min(kappas, key=lambda one: abs(one - SPOKEN)), max(kappas))):
        trades = {
            cell: found
            for cell, record in noisy
            if (found := measures.trades(record, measures.authorised(record)[0], kappa=kappa))
        }
        words = "; ".join(_traded(cell, found) for cell, found in trades.items())
        sentences.append(f"At the threshold {kappa:g}: {words}{_highest(trades)}.")
    return "\n".join(sentences)


def _traded(cell: str, trades: Sequence[measures.Trade]) -> str:
    first, last = trades[0], trades[-1]
    utility = f"utility {first.utility.value:.2f}, then {last.utility.value:.2f}"
    if first.privacy.n == 0:
        return f"{cell} {utility}"
    return f"{cell} UP {first.total:.2f}, then {last.total:.2f} ({utility})"


def _highest(trades: Mapping[str, Sequence[measures.Trade]]) -> str:
    """Which cells have the highest UP at either end, as it is printed; nothing where there is no choice."""
    if len(trades) < FEWEST_TO_CHOOSE or any(found[0].privacy.n == 0 for found in trades.values()):
        return ""
    ends = []
    for end in (0, -1):
        printed = {cell: f"{found[end].total:.2f}" for cell, found in trades.items()}
        best = [cell for cell, value in printed.items() if value == max(printed.values(), key=float)]
        ends.append("all alike" if len(best) == len(printed) else " and ".join(f'"{cell}"' for cell in best))
    first, last = ends
    then = "both times" if first == last else f"then {last}"
    return f". Highest UP: {first}, {then}"


def _upper(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}"


def _span(values: Iterable[float], *, digits: int = 2) -> str:
    found = sorted(values)
    low, high = (f"{value:.{digits}f}" for value in (found[0], found[-1]))
    return low if low == high else f"{low} to {high}"

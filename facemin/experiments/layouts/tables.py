"""Report layouts as tables: by rows, as a matrix, and after each operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from facemin.experiments import measures
from facemin.experiments.layouts.entries import (
    NONE,
    UNRUN,
    named_entry,
    paper_entry,
    paper_title,
    residual_entry,
    steps_entry,
)
from facemin.report.page import Entry, paragraph, shown, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facemin.evaluation.judge import Share
    from facemin.experiments.layouts.groups import Group
    from facemin.experiments.settings import Beside
    from facemin.experiments.store.records import Header, Record

    Column: TypeAlias = tuple[str, Callable[[Record], Entry | str]]
    PaperColumn: TypeAlias = tuple[str, Callable[[Beside], float | None]]


def by_rows(group: Group) -> list[str]:
    """Authorised and unauthorised beside the paper's figures, a row a cell (Tables III to V and X)."""
    kappa, opponent, paper = group.header.kappa, group.header.opponent, paper_title(group)
    beside = opponent or "mean of all others"

    def others(record: Record) -> tuple[str, ...]:
        return measures.unauthorised(record) if opponent is None else (opponent,)

    columns: list[Column] = [
        ("authorised: acc at own threshold", lambda r: shown(measures.strict(r, _own(r)), mark="own", below=_own(r))),
        (f"authorised: acc at {kappa:g}", lambda r: shown(measures.strict(r, _own(r), kappa=kappa))),
        ("authorised: TAR, raw", lambda r: shown(measures.tar(r, _own(r)), mark="own")),
        ("its clean TAR", lambda r: shown(measures.clean_tar(r, _own(r)))),
        (f"{beside}: acc at own threshold", lambda r: shown(measures.mean_strict(r, others(r)))),
        (f"{beside}: acc at {kappa:g}", lambda r: shown(measures.mean_strict(r, others(r), kappa=kappa))),
        ("worst other TAR, raw", lambda r: named_entry(measures.worst(r, measures.unauthorised(r), ("none",)))),
        ("worst other TAR, any operation", lambda r: named_entry(measures.worst(r, measures.unauthorised(r)))),
        *_trade_columns(group),
        ("pairs", lambda r: str(len(r.same))),
        ("steps", lambda r: steps_entry(r)),
        ("residual", lambda r: residual_entry(r)),
    ]
    figures: list[PaperColumn] = [
        (f"authorised, {paper}", lambda beside: beside.authorised),
        (f"unauthorised, {paper}", lambda beside: beside.unauthorised),
    ]
    if any(row.entry.paper.up is not None for row in group.rows):
        figures.append((f"UP, {paper}", lambda beside: beside.up))
    return [by_columns(group, "Accuracy (PMT, equation 10) and TAR", figures, columns)]


def by_columns(group: Group, caption: str, figures: Sequence[PaperColumn], columns: Sequence[Column]) -> str:
    """A row a cell: its name, the paper's figures, then ours, or that it was not run."""
    rows: list[list[Entry | str]] = [
        [
            entry.name,
            *(paper_entry(group, pick(entry.paper)) for _, pick in figures),
            *(UNRUN if record is None else figure(record) for _, figure in columns),
        ]
        for entry, record in group.rows
    ]
    return table(caption, ["cell", *(title for title, _ in (*figures, *columns))], rows)


def _own(record: Record) -> str:
    """The authorised judge that keeps least."""
    found = measures.weakest(record, measures.authorised(record), ("none",))
    assert found is not None
    return found.judge


def _trade_columns(group: Group) -> list[Column]:
    """Both terms of UP at the last bound of noise and the first threshold."""
    if not group.header.noise_kappa:
        return []
    kappa = group.header.noise_kappa[0]

    def last(record: Record) -> measures.Trade:
        return measures.trades(record, _own(record), kappa=kappa)[-1]

    at = f"({last(group.records[0]).bound:g}, {kappa:g})"
    return [
        (f"utility {at}", lambda r: shown(last(r).utility)),
        (f"privacy {at}", lambda r: shown(last(r).privacy)),
        (f"UP {at}", lambda r: shown(measures.utility_privacy(r, _own(r), bound=last(r).bound, kappa=kappa))),
    ]


class Counted(NamedTuple):
    """A way to count in a matrix.

    Attributes:
        caption: of its table.
        of: a record's share of one judge.
        clean: the same of plain faces.
        together: what all others come to, in words, and as a share.
        paper: whether the paper counts so.
    """

    caption: str
    of: Callable[[Record, str], Share]
    clean: Callable[[Record, str], Share]
    together: tuple[str, Callable[[Record], Share]]
    paper: bool = False


def as_matrix(group: Group) -> list[str]:
    """Authorised cells by judges, as Tables VII and IX have them, once for each way to count."""
    kappa = group.header.kappa

    def strict(caption: str, at: float | None) -> Counted:
        return Counted(
            caption,
            lambda record, judge: measures.strict(record, judge, kappa=at),
            lambda record, judge: measures.clean_strict(record, judge, kappa=at),
            ("mean of others", lambda record: measures.mean_strict(record, measures.unauthorised(record), kappa=at)),
            paper=True,
        )

    def hardest(record: Record, judge: str) -> Share:
        pick = measures.weakest if judge in measures.authorised(record) else measures.worst
        found = pick(record, (judge,))
        return measures.NONE if found is None else found.share

    ways = [
        Counted(
            "TAR, raw",
            measures.tar,
            measures.clean_tar,
            ("mean of others", lambda record: measures.mean_tar(record, measures.unauthorised(record))),
        ),
        Counted(
            "TAR after the operation that is worst for us: the lowest for authorised, the highest for others",
            hardest,
            measures.clean_tar,
            ("any other at all", lambda record: measures.union(record, measures.unauthorised(record))),
        ),
    ]
    if not all(group.records[0].same):
        own = strict("acc (PMT, equation 10) at each judge's own threshold", None)
        ways = [own, strict(f"acc at the paper's threshold, {kappa:g}", kappa), *ways]
    return [_matrix(group, way) for way in ways]


def _matrix(group: Group, way: Counted) -> str:
    judges = group.judges
    title = paper_title(group)
    words, together = way.together
    head = ["authorised", *judges, words, "worst other"]
    head += [f"authorised, {title}", f"mean of others, {title}"] if way.paper else []
    head += ["n", "steps", "residual"]
    first = [way.clean(group.records[0], judge) for judge in judges]
    rows: list[list[Entry | str]] = [
        ["clean", *map(shown, first), *[NONE] * (len(head) - len(judges) - 4), str(first[0].n), NONE, NONE]
    ]
    for entry, record in group.rows:
        beside = [paper_entry(group, entry.paper.authorised), paper_entry(group, entry.paper.unauthorised)]
        figures = beside if way.paper else []
        if record is None:
            rows.append([entry.name, *[UNRUN] * (len(judges) + 2), *figures, *[UNRUN] * 3])
            continue
        found = {judge: way.of(record, judge) for judge in judges}
        others = [found[judge] for judge in measures.unauthorised(record)]
        own = measures.authorised(record)
        rows.append(
            [
                entry.name,
                *(shown(share, mark="own" if judge in own else "") for judge, share in found.items()),
                shown(together(record)),
                shown(max(others, key=lambda share: share.value)) if others else UNRUN,
                *figures,
                str(found[own[0]].n),
                steps_entry(record),
                residual_entry(record),
            ]
        )
    return table(way.caption, head, rows)


def over_operations(group: Group) -> list[str]:
    """TAR of the authorised recogniser, and the highest of any other, after each operation."""
    names = measures.operations(group.records[0])
    if len(names) == 1:
        return []
    rows: list[list[Entry | str]] = []
    for entry, record in group.rows:
        if record is None:
            rows.append([entry.name, *[UNRUN] * (len(names) + 2)])
            continue
        for judge in measures.authorised(record):
            cells = [shown(measures.tar(record, judge, name), mark="own") for name in names]
            rows.append([entry.name, judge, shown(measures.clean_tar(record, judge)), *cells])
        others = measures.unauthorised(record)
        clean = [measures.NamedRate(measures.clean_tar(record, judge), judge, "none") for judge in others]
        worst = [max(clean, key=lambda named: named.share.value, default=None)]
        worst += [measures.worst(record, others, (name,)) for name in names]
        rows.append([entry.name, "worst other", *map(named_entry, worst)])
    return [
        table("TAR after what a provider or an adversary does to the image", ["cell", "judge", "clean", *names], rows)
    ]


def paper_table(header: Header) -> list[str]:
    """The paper's own table as it is printed."""
    paper = header.paper
    if paper is None or not paper.rows:
        return []
    rows: list[list[Entry | str]] = [
        [Entry(value if isinstance(value, str) else f"{value:.3f}", mark="paper") for value in row]
        for row in paper.rows
    ]
    remark = [paragraph(paper.remark, "quiet")] if paper.remark else []
    return [table(f"The paper's own figures ({paper.set})", paper.columns, rows), *remark]

"""Tables of measured cloaks, in Markdown: shares with intervals over people, made of records alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from facemin.metrics import identity_bootstrap_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facemin.experiments.cloaks.records import CloakRecord, LookedUp


def interval(flags: Sequence[bool], per_person: int) -> str:
    """A share with its 95 % interval, people drawn again: "0.93 (0.90-0.96)"."""
    values = torch.tensor([float(flag) for flag in flags], dtype=torch.float64)
    people = torch.arange(len(values)) // per_person
    low, high = identity_bootstrap_mean(values, people, generator=torch.Generator().manual_seed(0))
    return f"{float(values.mean()):.2f} ({low:.2f}-{high:.2f})"


def protection_table(records: Sequence[CloakRecord], *, far: str, conditions: Sequence[str] | None = None) -> str:
    """Protection, the share of photos not accepted at their own threshold, by condition and judge.

    A judge that was a surrogate is marked with an asterisk.

    Args:
        records: one a cloak.
        far: as records have it, "0.001".
        conditions: rows; all when None.
    """
    return _table(records, lambda looked: [not flag for flag in looked.accepted[far]], conditions)


def hits_table(records: Sequence[CloakRecord], *, rank: int, conditions: Sequence[str] | None = None) -> str:
    """Share of photos whose person is among the first `rank` of the gallery, by condition and judge."""
    return _table(records, lambda looked: [place <= rank for place in looked.ranks], conditions)


def quality_table(records: Sequence[CloakRecord]) -> str:
    """Means of how alike cloaked and plain faces look, and of the time a person's fit took."""
    names = list(dict.fromkeys(name for record in records for name in record.quality))
    lines = ["| method | people | " + " | ".join(names) + " | fit, s |"]
    lines.append("|" + " --- |" * (len(names) + 3))
    for record in records:
        means = [f"{sum(record.quality[name]) / len(record.quality[name]):.4f}" for name in names]
        seconds = sum(record.fit_seconds) / len(record.fit_seconds)
        lines.append(f"| {record.cloak['name']} | {record.people} | {' | '.join(means)} | {seconds:.1f} |")
    return "\n".join(lines)


def _table(
    records: Sequence[CloakRecord], share: Callable[[LookedUp], list[bool]], conditions: Sequence[str] | None
) -> str:
    judges = list(dict.fromkeys(judge for record in records for judge in record.looked_up))
    lines = ["| method | n | condition | " + " | ".join(judges) + " |", "|" + " --- |" * (len(judges) + 3)]
    for record in records:
        shown = list(dict.fromkeys(name for each in record.looked_up.values() for name in each))
        for condition in shown if conditions is None else [name for name in conditions if name in shown]:
            cells, counted = [], 0
            for judge in judges:
                looked = record.looked_up.get(judge, {}).get(condition)
                counted = counted if looked is None else len(looked.ranks) // record.probes
                mark = "*" if judge in record.cloak["surrogates"] else ""
                cells.append("" if looked is None else interval(share(looked), record.probes) + mark)
            lines.append(f"| {record.cloak['name']} | {counted} | {condition} | {' | '.join(cells)} |")
    return "\n".join(lines)

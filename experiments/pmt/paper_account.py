"""How docs/paper.md's figures were computed: precision of gradients, and core-hours."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from facemin.experiments.common import RESULTS
from facemin.experiments.store.core_hours import hours_by_folder, spendings
from facemin.experiments.store.documents import read_documents

if TYPE_CHECKING:
    from facemin.experiments.layouts.groups import Group


def precisions(groups: dict[str, Group]) -> str:
    """In which precision each experiment's gradients were computed."""
    by: dict[str, list[str]] = {}
    for name, group in groups.items():
        protected = [record.resolved["method"] for record in group.records if record.spent.steps]
        for kind in sorted({str(method["precision"]) for method in protected}):
            by.setdefault(kind, []).append(name)
    listed = [f"{kind} for {', '.join(names)}" for kind, names in sorted(by.items())]
    return f"Gradients were computed in {'; in '.join(listed)}."


def hours() -> str:
    """What the records say that they cost, and which say nothing."""
    spent = spendings(read_documents(RESULTS))
    by = hours_by_folder(spent)
    silent: dict[str, list[str]] = {}
    for one in spent:
        if not one.stated:
            path = PurePosixPath(one.file)
            silent.setdefault(str(path.parent), []).append(path.stem)
    listed = ", ".join(f"{name} {value:.1f}" for name, value in by.items())
    unsaid = "; ".join(f"{folder}: {', '.join(names)}" for folder, names in silent.items())
    return (
        f"Core-hours that records state, of protecting, training and attacks, each run once: {sum(by.values()):.1f} "
        f"({listed}). Runs of one thread, most of them on a shared machine, so that an idle core takes less. Cells "
        "of `results/pmt` state protecting alone, and not judging.\n\n"
        f"State no time: {unsaid}."
    )

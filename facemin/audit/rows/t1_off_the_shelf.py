"""T1: recognisers and attribute estimators off the shelf, on protected faces as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facemin.attack.purify.registry import PURIFIERS
from facemin.audit.figures import percent
from facemin.audit.inputs.judges import ADD
from facemin.audit.result import AuditRow, RowResult
from facemin.audit.rows.attributes import MARGIN, read_traits
from facemin.audit.rows.identity import judged, match_all, raw_table
from facemin.audit.sample_size import strongest

if TYPE_CHECKING:
    from facemin.attack.budget import Budget
    from facemin.audit.inputs.audit_inputs import AuditInputs

OFF_THE_SHELF = AuditRow(
    row="T1",
    title="An off-the-shelf recogniser or attribute estimator",
    knows="the protected image",
)
RAW = {"none": PURIFIERS["none"]}


def no_recogniser(evidence: AuditInputs) -> str:
    """Why no other recogniser judges: none is here, or those that are lack a threshold."""
    others = evidence.panel.others
    if not others:
        return f"No other recogniser is here: {ADD}."
    names = ", ".join(one.name for one in others)
    count = "1 other recogniser is" if len(others) == 1 else f"{len(others)} other recognisers are"
    return f"{count} here ({names}), but cannot judge without a threshold: {others[0].missing}."


def no_judges(evidence: AuditInputs) -> str:
    """Why nothing off the shelf can judge; empty when something can."""
    if evidence.panel.judges or evidence.panel.estimators:
        return ""
    return f"{no_recogniser(evidence)} No attribute estimator is here either."


def off_the_shelf(evidence: AuditInputs, budget: Budget) -> RowResult:
    """Verify protected faces at every other recogniser, at its own threshold, and read attributes from them."""
    identity = match_all(evidence, RAW, budget) if evidence.panel.judges else None
    traits = read_traits(evidence, RAW, budget)
    outcomes, words, untested = [traits.outcome], list(traits.words), []
    figures, tables = traits.figures, traits.tables
    if identity is None:
        words.insert(0, no_recogniser(evidence))
    else:
        found = judged(identity, evidence)
        outcomes.append(found.outcome)
        words.insert(0, f"{evidence.pairs.words} {found.words}")
        figures, tables = found.figures + figures, (raw_table(identity, evidence.panel.judges), *tables)
        if evidence.pairs.own:
            untested.append("Protected faces against one another: that takes a second photo of a person.")
        if evidence.pairs.own and evidence.people is None and evidence.train is None:
            untested.append(
                "Whether a recogniser that accepts a protected face accepts strangers too: that takes other people's "
                "plain faces (--train)."
            )
    if traits.outcome == "bounded":
        words.append(f"Attributes agree at most {percent(MARGIN)} more often than somebody who saw no face.")
    if not evidence.panel.estimators:
        untested.append("Attributes: no estimator is here.")
    return OFF_THE_SHELF.result(strongest(outcomes), " ".join(words), figures=figures, tables=tables, untested=untested)

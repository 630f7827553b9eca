"""T2: the same behind purifiers, the worst of which counts, and a probe trained on protected faces."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

from facemin.attack.purify.chain import CHAINS
from facemin.attack.purify.registry import PURIFIERS
from facemin.audit.figures import counted
from facemin.audit.inputs.attackers_data import knowledge_of
from facemin.audit.result import AuditRow, Figure, RowResult, Table
from facemin.audit.rows.attributes import beside, class_outcome, read_traits
from facemin.audit.rows.fitted import fitted
from facemin.audit.rows.identity import judged, match_all, purified_table
from facemin.audit.rows.t1_off_the_shelf import no_recogniser
from facemin.audit.sample_size import strongest
from facemin.metrics import permutation_test

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from facemin.attack.budget import Budget
    from facemin.attack.contract import FittedProber
    from facemin.attack.purify.registry import Purifier
    from facemin.audit.inputs.audit_inputs import AuditInputs
    from facemin.audit.sample_size import Outcome

BEHIND_PURIFIERS = AuditRow(
    row="T2",
    title="The same behind a purifier",
    knows="the protected image, how to clean images, and, for the probe, the key and protected faces of others",
)
IN_A_ROW: dict[str, Purifier] = {name.replace(", ", " then "): chain for name, chain in CHAINS.items()}
PURIFIED = {name: purify for name, purify in PURIFIERS.items() if name != "none"} | IN_A_ROW
"""Each alone, then some one after the other."""
FEWEST_FOR_A_PROBE = 40
"""Faces below which nothing can be trained and tested."""


def behind_purifiers(evidence: AuditInputs, budget: Budget) -> RowResult:
    """Clean protected faces in every known way, then do as T1; and train a probe of attributes on them."""
    outcomes: list[Outcome] = []
    words: list[str] = []
    untested: list[str] = []
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    unreached: dict[str, tuple[str, ...]] = {}
    if evidence.panel.judges:
        identity = match_all(evidence, PURIFIED, budget.part(0.6))
        found = judged(identity, evidence)
        outcomes.append(found.outcome)
        words.append(found.words)
        figures, tables = found.figures, (purified_table(identity, evidence.panel.judges),)
        unreached["recognisers"] = identity.unreached
    else:
        words.append(no_recogniser(evidence))
    if evidence.panel.estimators:
        traits = read_traits(evidence, PURIFIED, budget.part(0.7))
        outcomes.append(traits.outcome)
        words += traits.words
        figures, tables = figures + traits.figures, tables + traits.tables
        unreached["estimators"] = traits.unreached
        outcome, text, probed, absent = probe(evidence, budget)
        outcomes.append(outcome)
        words += text
        figures += tuple(probed)
        untested += absent
    else:
        untested.append("Attributes: no estimator is here.")
    for who, names in unreached.items():
        if names:
            untested.append(f"Purifiers that no time was left for, before the {who}: {', '.join(sorted(names))}.")
            words.append(f"Time was left for {len(PURIFIED) - len(names)} of {len(PURIFIED)} before the {who}.")
            outcomes.append("cannot tell")
    untested.append("A trained denoiser as a purifier: it is tried as an inverter, in T4.")
    return BEHIND_PURIFIERS.result(
        strongest(outcomes), " ".join(words), figures=figures, tables=tables, untested=untested
    )


def probe(evidence: AuditInputs, budget: Budget) -> tuple[Outcome, list[str], list[Figure], list[str]]:
    """Train a linear probe on protected faces for each estimator's classes; people are never in training and test."""
    what = "An attribute probe trained on protected faces"
    if evidence.people is None:
        return "not tested", [], [], [f"{what}: nobody said who is on the photos, so people cannot be kept apart."]
    rows = evidence.pairs.probes
    people = evidence.people[rows]
    if len(torch.unique(people)) < FEWEST_FOR_A_PROBE:
        more = FEWEST_FOR_A_PROBE - len(torch.unique(people))
        return "not tested", [], [], [f"{what}: needs {more} more people."]
    hidden = evidence.protected[rows]
    probes = _fitted_probes(evidence, budget)
    tasks = [(one, attribute) for one in evidence.panel.estimators for attribute in one.attributes if attribute.classes]
    cells = len(tasks) * len(probes)
    with torch.inference_mode():
        plain = {one.name: one(evidence.originals[rows]) for one in evidence.panel.estimators}
    outcomes: list[Outcome] = []
    words: list[str] = []
    figures: list[Figure] = []
    absent: list[str] = []
    for estimator, attribute in tasks:
        of = f"{attribute.name} as {estimator.name} has it"
        if budget.over and figures:
            absent.append(f"{what}, {of}: no time was left for it.")
            continue
        labels = plain[estimator.name][attribute.name].argmax(1).clone()
        floor = int(torch.bincount(labels).max()) / len(labels)
        if floor == 1:
            continue
        for name, apply in probes.items():
            said = apply(hidden.clone(), labels, people)
            figure = counted(said == labels, name="probe agreement", of=of, where=name)
            figures.append(figure)
            agreement = permutation_test(said, labels)
            outcome = class_outcome(agreement, figure, floor=floor, cells=cells)
            outcomes.append(outcome)
            if outcome == "leak":
                words.append(
                    f"A probe trained on the {name} of other people's protected faces reads {of}: "
                    f"{beside(figure, agreement, floor)}."
                )
    return strongest(outcomes), words, figures, absent


def _fitted_probes(evidence: AuditInputs, budget: Budget) -> dict[str, Callable[..., Tensor]]:
    """The registry's probes by what they read; those that hold a key, of each key."""
    found: dict[str, Callable[..., Tensor]] = {}
    for key in evidence.keys or (None,):
        for one in fitted("T2", "prober", knowledge_of(evidence, key=key), budget):
            if one.made is not None:
                made = cast("FittedProber", one.made)
                found[made.words] = made.apply
    return found

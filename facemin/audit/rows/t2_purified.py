"""T2: the same behind purifiers, the worst of which counts, and a probe trained on protected faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import adaptive_avg_pool2d

from facemin.attack.attributes.probe import AttributeProbe
from facemin.attack.features import features_of
from facemin.attack.purify.registry import PURIFIERS
from facemin.audit.figures import counted
from facemin.audit.result import Figure, RowResult, Table
from facemin.audit.rows.attributes import beside, class_outcome, read_traits
from facemin.audit.rows.identity import judged, match_all, purified_table
from facemin.audit.rows.t1_off_the_shelf import nobody
from facemin.audit.sample_size import strongest
from facemin.metrics import permutation_test

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.audit.audit_inputs import Evidence
    from facemin.audit.budget import Budget
    from facemin.audit.sample_size import Outcome

TITLE = "The same behind a purifier"
KNOWS = "the protected image, how to clean images, and, for the probe, the key and protected faces of others"
PURIFIED = {name: purify for name, purify in PURIFIERS.items() if name != "none"}
FEWEST_FOR_A_PROBE = 40
"""Faces below which nothing can be trained and tested."""

COARSE, GRID = 28, 7
"""Sides of the thumbnails, and of a key's maps, that a probe reads."""


def behind_purifiers(evidence: Evidence, budget: Budget) -> RowResult:
    """Clean protected faces in every known way, then do as T1; and train a probe of attributes on them."""
    outcomes: list[Outcome] = []
    words: list[str] = []
    untested: list[str] = []
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    unreached: dict[str, tuple[str, ...]] = {}
    if evidence.judges:
        identity = match_all(evidence, PURIFIED, budget.part(0.6))
        found = judged(identity, evidence)
        outcomes.append(found.outcome)
        words.append(found.words)
        figures, tables = found.figures, (purified_table(identity, evidence.judges),)
        unreached["recognisers"] = identity.unreached
    else:
        words.append(nobody(evidence))
    if evidence.estimators:
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
    return RowResult(
        row="T2",
        title=TITLE,
        knows=KNOWS,
        outcome=strongest(outcomes),
        verdict=" ".join(words),
        figures=figures,
        tables=tables,
        untested=tuple(untested),
    )


def probe(evidence: Evidence, budget: Budget) -> tuple[Outcome, list[str], list[Figure], list[str]]:
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
    inputs: dict[str, Tensor] = {"image": adaptive_avg_pool2d(hidden, COARSE).flatten(1)}
    for key in evidence.keys:
        inputs[f"key {key.manifest.key_id}"] = _pooled(features_of(key, hidden)[-1])
    tasks = [(one, attribute) for one in evidence.estimators for attribute in one.attributes if attribute.classes]
    cells = len(tasks) * len(inputs)
    with torch.inference_mode():
        plain = {one.name: one(evidence.originals[rows]) for one in evidence.estimators}
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
        for name, features in inputs.items():
            said = AttributeProbe(seed=evidence.seed).classes(features.clone(), labels, people)
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


def _pooled(features: Tensor) -> Tensor:
    """Maps averaged to a small grid: a linear model of more columns takes minutes and reads no more."""
    return (adaptive_avg_pool2d(features, GRID) if features.dim() == 4 else features).flatten(1)

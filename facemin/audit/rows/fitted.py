"""Attacks of the registry fitted for a row of an audit, one after another, each within its share of the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from facemin.attack.contract import FitError
from facemin.attack.registry import ATTACKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facemin.attack.budget import Budget
    from facemin.attack.contract import Attack, Kind, Knowledge, Row
    from facemin.audit.inputs.audit_inputs import AuditInputs

FEWEST = 100
"""Other people's plain faces below which nothing is learnt that a verdict could rest on."""


def no_key(evidence: AuditInputs) -> str:
    """Why there is nothing to attack with; empty when there is a key."""
    return "" if evidence.keys else "No key was given: give it with --key."


def other_keys(evidence: AuditInputs) -> list[str]:
    """What rows that hold a key leave out: they attack with the first one."""
    first, *more = evidence.keys
    names = ", ".join(key.manifest.key_id for key in more)
    return [f"The other keys, {names}: {first.manifest.key_id} alone was used."] if more else []


def nothing_to_train_on(evidence: AuditInputs) -> str:
    """Why nothing can be trained; empty when something can."""
    have = 0 if evidence.train is None else len(evidence.train.faces)
    if have >= FEWEST:
        return no_key(evidence)
    return (
        f"It trains on plain faces of other people, at least {FEWEST}; {have} were given. Give them with --train, in "
        "one folder per person."
    )


class Fitted(NamedTuple):
    """An attack of the registry, its fitted form or why there is none, and the time that it has."""

    name: str
    attack: Attack
    made: object | None
    reason: str
    budget: Budget


def attacks_of(row: Row, kind: Kind) -> dict[str, Attack]:
    """The registry's attacks of a kind that a row of an audit tries, the cheap ones first as they stand there."""
    return {name: attack for name, attack in ATTACKS.items() if attack.kind == kind and attack.audit_row == row}


def fitted(row: Row, kind: Kind, knowledge: Knowledge, budget: Budget) -> Iterator[Fitted]:
    """Fit each attack of a row; one that knows too little, or has too little time, is said to have failed and why."""
    attacks = attacks_of(row, kind)
    for place, (name, attack) in enumerate(attacks.items()):
        slot = budget.part(1 / (len(attacks) - place))
        try:
            yield Fitted(name, attack, attack.method.fit(knowledge, slot), "", slot)
        except FitError as error:
            yield Fitted(name, attack, None, f"{attack.words[0].upper()}{attack.words[1:]}: {error}.", slot)

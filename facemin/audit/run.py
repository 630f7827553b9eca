"""An audit: the rows asked for, within the time there is, and everything that was left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from facemin.audit.authorised import still_recognises
from facemin.audit.result import RowResult
from facemin.audit.rows import ROWS
from facemin.evaluation.provenance import conditions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facemin.attack.budget import Budget
    from facemin.attack.contract import Row
    from facemin.audit.inputs.audit_inputs import AuditInputs

ORDER: tuple[Row, ...] = ("T0", "T1", "T2", "T6", "T5", "T3", "T4")
"""Rows in the order they run: a linker of the key alone takes seconds, and an inverter as much time as there is."""

RESERVE = 2.0
"""Seconds kept for writing the page."""

STOPPED = "Ctrl-C ended the audit before it was done."


@dataclass(frozen=True, kw_only=True, eq=False)
class Audit:
    """What an audit found.

    Attributes:
        evidence: what it was of.
        authorised: whether the provider still recognises.
        rows: of the threat model, in order.
        seconds: it took.
        minutes: it was given.
        stopped: whether Ctrl-C ended it.
    """

    evidence: AuditInputs
    authorised: RowResult
    rows: tuple[RowResult, ...]
    seconds: float
    minutes: float
    stopped: bool = False

    def values(self) -> dict[str, Any]:
        """As JSON has it: no image, and no path of this machine."""
        evidence = self.evidence
        people = evidence.people
        return {
            "version": 1,
            "faces": len(evidence.names),
            "people": None if people is None else len(torch.unique(people)),
            "pairs": len(evidence.pairs.probes),
            "compared_with_own_photo": evidence.pairs.own,
            "keys": [
                {
                    "key_id": key.manifest.key_id,
                    "provider": key.manifest.provider,
                    "recogniser": key.manifest.recogniser,
                    "cut": key.manifest.cut,
                    "fingerprint": key.fingerprint,
                }
                for key in evidence.keys
            ],
            "recognisers": [
                {
                    "name": one.name,
                    "authorised": one in evidence.panel.authorised,
                    "fingerprint": one.recogniser.fingerprint,
                    "threshold": one.at and one.at.threshold,
                    "far": one.at and one.at.far,
                    "measured_on": one.at and one.at.source,
                }
                for one in (*evidence.panel.authorised, *evidence.panel.others)
            ],
            "authorised": self.authorised.values(),
            "rows": [row.values() for row in self.rows],
            "remarks": list(evidence.remarks),
            "untested": list(self.untested),
            "minutes": self.minutes,
            "stopped": self.stopped,
            "seconds": self.seconds,
            **conditions(),
        }

    @property
    def untested(self) -> tuple[str, ...]:
        """Everything that was left out, and why."""
        own = [f"{row.row}: {text}" for row in self.rows for text in row.untested]
        whole = [f"{row.row}: {row.verdict}" for row in self.rows if row.outcome == "not tested"]
        return (*self.evidence.untested, *whole, *own)


def audit(
    evidence: AuditInputs, rows: Sequence[Row], budget: Budget, *, tell: Callable[[str], None] | None = None
) -> Audit:
    """Run rows of the threat model.

    A row that fails is reported as not tested, with the reason, and the others go on.

    Args:
        evidence: what there is.
        rows: of `ROWS`; they run in `ORDER`.
        budget: for all of them.
        tell: told what is being done.

    Raises:
        ValueError: an unknown row, or none.
    """
    rows = known_rows(rows)
    say = tell or (lambda _: None)
    say("Asking the provider's recogniser")
    authorised = still_recognises(evidence)
    asked = {name: test for name, test in ROWS.items() if name in rows}
    unready = {name: test.unready(evidence) for name, test in asked.items()}
    weights = {name: 0.0 if unready[name] else test.weight for name, test in asked.items()}
    found: list[RowResult] = []
    stopped = False
    for place, name in enumerate(order := [name for name in ORDER if name in asked]):
        test = asked[name]
        if stopped:
            found.append(_skipped(name, STOPPED))
            continue
        if unready[name]:
            found.append(_skipped(name, unready[name]))
            continue
        after = sum(weights[other] for other in order[place:])
        if budget.left <= RESERVE:
            found.append(_skipped(name, "Time ran out before it; give more with --minutes."))
            continue
        say(f"{name}: {test.title}")
        slot = budget.part(test.weight / after)
        try:
            result = test.run(evidence, slot)
        except KeyboardInterrupt:
            # what other rows found is written all the same; a second Ctrl-C ends at once
            stopped = True
            result = _skipped(name, STOPPED)
        except Exception as error:  # noqa: BLE001 - hours of other rows must not be lost, whatever fails in this one
            result = _skipped(name, f"It failed: {type(error).__name__}: {error}")
        found.append(replace(result, seconds=slot.spent))
    left_out = [_skipped(name, "It was not asked for (--rows).") for name in ROWS if name not in rows]
    together = sorted([*found, *left_out], key=lambda row: str(row.row))
    return Audit(
        evidence=evidence,
        authorised=authorised,
        rows=tuple(together),
        seconds=budget.spent,
        minutes=budget.seconds / 60,
        stopped=stopped,
    )


def known_rows(names: Sequence[str]) -> list[Row]:
    """Rows of the threat model by their names.

    Raises:
        ValueError: an unknown row, or none.
    """
    unknown = [name for name in names if name not in ROWS]
    if unknown or not names:
        raise ValueError(f"rows: expected some of {', '.join(ROWS)}, got {', '.join(unknown) or 'none'}")
    return [row for row in ROWS if row in names]


def _skipped(name: Row, reason: str) -> RowResult:
    return RowResult(row=name, title=ROWS[name].title, knows="", outcome="not tested", verdict=reason)

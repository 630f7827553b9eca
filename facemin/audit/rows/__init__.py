"""The rows of the threat model, by name, in the order in which an audit runs them: the cheap ones first."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from facemin.audit.rows.fitted import no_key, nothing_to_train_on
from facemin.audit.rows.reconstruction import INVERTER, WHITE_BOX, trained_inverter, white_box
from facemin.audit.rows.t0_eye import EYE, look
from facemin.audit.rows.t1_off_the_shelf import OFF_THE_SHELF, no_judges, off_the_shelf
from facemin.audit.rows.t2_purified import BEHIND_PURIFIERS, behind_purifiers
from facemin.audit.rows.t5_linker import LINKER, linker, nothing_to_link_by
from facemin.audit.rows.t6_secret import ON_THE_SECRET, no_pseudonyms, secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from facemin.attack.budget import Budget
    from facemin.attack.contract import Row
    from facemin.audit.inputs.audit_inputs import AuditInputs
    from facemin.audit.result import RowResult


class RowTest(NamedTuple):
    """How a row is tested."""

    title: str
    run: Callable[[AuditInputs, Budget], RowResult]
    weight: float
    """Of the time that is left, against the weights of the rows that run after it."""
    unready: Callable[[AuditInputs], str]
    """Why it cannot run on this evidence, in words; empty when it can."""


def _always(evidence: AuditInputs) -> str:
    del evidence
    return ""


ROWS: dict[Row, RowTest] = {
    "T0": RowTest(EYE.title, look, 1, _always),
    "T1": RowTest(OFF_THE_SHELF.title, off_the_shelf, 1, no_judges),
    "T2": RowTest(BEHIND_PURIFIERS.title, behind_purifiers, 3, no_judges),
    "T3": RowTest(WHITE_BOX.title, white_box, 4, no_key),
    "T4": RowTest(INVERTER.title, trained_inverter, 6, nothing_to_train_on),
    "T5": RowTest(LINKER.title, linker, 6, nothing_to_link_by),
    "T6": RowTest(ON_THE_SECRET.title, secret, 1, no_pseudonyms),
}
"""Tests by row."""

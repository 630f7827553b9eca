"""The rows of the threat model, by name, in the order in which an audit runs them: the cheap ones first."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from facemin.audit.rows.fitted import no_key, nothing_to_train_on
from facemin.audit.rows.t0_eye import TITLE as EYE
from facemin.audit.rows.t0_eye import look
from facemin.audit.rows.t1_off_the_shelf import TITLE as OFF_THE_SHELF
from facemin.audit.rows.t1_off_the_shelf import no_judges, off_the_shelf
from facemin.audit.rows.t2_purified import TITLE as PURIFIED
from facemin.audit.rows.t2_purified import behind_purifiers
from facemin.audit.rows.t3_white_box import TITLE as WHITE_BOX
from facemin.audit.rows.t3_white_box import white_box
from facemin.audit.rows.t4_inverter import TITLE as INVERTER
from facemin.audit.rows.t4_inverter import trained_inverter
from facemin.audit.rows.t5_linker import TITLE as LINKER
from facemin.audit.rows.t5_linker import linker, nothing_to_link_by
from facemin.audit.rows.t6_secret import TITLE as SECRET
from facemin.audit.rows.t6_secret import no_pseudonyms, secret

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
    "T0": RowTest(EYE, look, 1, _always),
    "T1": RowTest(OFF_THE_SHELF, off_the_shelf, 1, no_judges),
    "T2": RowTest(PURIFIED, behind_purifiers, 3, no_judges),
    "T3": RowTest(WHITE_BOX, white_box, 4, no_key),
    "T4": RowTest(INVERTER, trained_inverter, 6, nothing_to_train_on),
    "T5": RowTest(LINKER, linker, 6, nothing_to_link_by),
    "T6": RowTest(SECRET, secret, 1, no_pseudonyms),
}
"""Tests by row."""

"""T4, a trained inverter: a network learns from pairs to turn protected faces back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facemin.audit.rows.reconstruction import reconstruct

if TYPE_CHECKING:
    from facemin.attack.budget import Budget
    from facemin.audit.inputs.audit_inputs import AuditInputs
    from facemin.audit.result import RowResult

TITLE = "A trained inverter"
KNOWS = "the key, the protected image, and pairs of faces and what became of them"


def trained_inverter(evidence: AuditInputs, budget: Budget) -> RowResult:
    """Train inverters on plain pairs (the paper's level 1), and on protected ones, which it left out."""
    return reconstruct(
        "T4",
        evidence,
        budget,
        title=TITLE,
        knows=KNOWS,
        untested=("Inverters of more pairs and longer training: use facemin.attack, on a GPU.",),
    )

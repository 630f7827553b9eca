"""T3, a white box: an image is optimised until the key sees in it what it sees in the protected one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facemin.audit.rows.reconstruction import reconstruct

if TYPE_CHECKING:
    from facemin.attack.budget import Budget
    from facemin.audit.inputs.audit_inputs import AuditInputs
    from facemin.audit.result import RowResult

TITLE = "A white box"
KNOWS = "the protected image and the key"


def white_box(evidence: AuditInputs, budget: Budget) -> RowResult:
    """Reconstruct faces from protected ones with the key in hand, as many and as long as time allows."""
    return reconstruct(
        "T3",
        evidence,
        budget,
        title=TITLE,
        knows=KNOWS,
        untested=("Restarts, an untrained network as a prior, and generators of faces: use facemin.attack.",),
    )

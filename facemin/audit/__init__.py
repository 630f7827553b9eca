"""The audit: what adversaries of every row of the threat model get out of given protected faces."""

from facemin.attack.budget import Budget
from facemin.attack.contract import PublicFaces
from facemin.audit.inputs.audit_inputs import AuditInputs, Judge, Operating, Pairs, Panel
from facemin.audit.inputs.faces import Protecting, read_faces, read_training
from facemin.audit.inputs.judges import find_panel
from facemin.audit.inputs.prepare import Request, prepare
from facemin.audit.page import render
from facemin.audit.result import Figure, Grid, RowResult, Table
from facemin.audit.rows import ROWS
from facemin.audit.run import Audit, audit, known_rows

__all__ = [
    "ROWS",
    "Audit",
    "AuditInputs",
    "Budget",
    "Figure",
    "Grid",
    "Judge",
    "Operating",
    "Pairs",
    "Panel",
    "Protecting",
    "PublicFaces",
    "Request",
    "RowResult",
    "Table",
    "audit",
    "find_panel",
    "known_rows",
    "prepare",
    "read_faces",
    "read_training",
    "render",
]

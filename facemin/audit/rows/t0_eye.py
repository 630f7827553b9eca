"""Row T0, an eye: the pictures, and similarities beside baselines without the face."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facemin.attack.link.cross_matching import purified
from facemin.attack.purify.registry import PURIFIERS
from facemin.audit.figures import FEWEST_FOR_A_MEAN, averaged, rows_of
from facemin.audit.result import AuditRow, Grid, RowResult
from facemin.audit.similarity import FLOOR, closeness, floors, similarities, similarity_table

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.attack.budget import Budget
    from facemin.audit.inputs.audit_inputs import AuditInputs
    from facemin.audit.sample_size import Outcome

EYE = AuditRow(
    row="T0",
    title="An eye",
    knows="the protected image",
)
SHOWN = 6
"""Faces in a grid."""

CAUTION = "Low similarity alone is not privacy: noise that anybody can blur away has it too. Look at the pictures."


def look(evidence: AuditInputs, budget: Budget) -> RowResult:
    """Measure how like their photos protected faces look, raw and behind the purifier that brings them nearest."""
    rows = evidence.pairs.probes
    hidden = evidence.protected[rows]
    nearest, best, unreached = "none", hidden, []
    values = closeness(hidden, evidence, rows)
    for name, purify in PURIFIERS.items():
        if name != "none" and budget.over:
            unreached.append(name)
            continue
        images = purified(purify, hidden)
        found = closeness(images, evidence, rows)
        if float(found.mean()) > float(values.mean()):
            nearest, best, values = name, images, found
    figures = similarities(hidden, evidence, rows, of="protected")
    if nearest != "none":
        figures += similarities(best, evidence, rows, of=f"protected, {nearest}")
    empty, absent = floors(evidence, rows)
    for floor in empty:
        figures += similarities(floor.images, evidence, rows, of=FLOOR + floor.name)
    highest = max(empty, key=lambda floor: float(closeness(floor.images, evidence, rows).mean()))
    gap = values - closeness(highest.images, evidence, rows)
    outcome, words = _said(gap, nearest, float(values.mean()), highest.name)
    titles = [("photo", evidence.originals), ("protected", evidence.protected)]
    grid = [(title, rows_of(images, rows, SHOWN)) for title, images in titles]
    blurred = purified(PURIFIERS["blur-2"], hidden[:SHOWN])
    grid.append(("protected, blurred by 2 px", blurred))
    if nearest not in ("none", "blur-2"):
        grid.append((f"protected, {nearest} (nearest to the photo)", best[:SHOWN]))
    skipped = (f"Purifiers that no time was left for: {', '.join(unreached)}.",) if unreached else ()
    return EYE.result(
        outcome,
        f"{words} {CAUTION}",
        figures=figures,
        tables=[similarity_table(figures)],
        pictures=[Grid(caption="What an eye sees", rows=tuple(grid))],
        untested=(*absent, *skipped, "People: nobody was asked to recognise anyone."),
    )


def _said(gap: Tensor, nearest: str, value: float, floor: str) -> tuple[Outcome, str]:
    """Above a picture that knows nobody is a finding; at or below it is none of either kind."""
    figure = averaged(gap, name="gap", of="", where="")
    how = "raw" if nearest == "none" else f"behind {nearest}"
    words = (
        f"The protected face has an SSIM of {value:.2f} with the photo, {how}; "
        f"the floor is {value - figure.value:.2f} ({floor})."
    )
    if figure.n < FEWEST_FOR_A_MEAN:
        return "look", f"{words} So few faces ({figure.n}) give no interval: no number decides."
    if figure.low > 0:
        return "leak", f"{words} It shows more of the face than a picture that knows nobody."
    if figure.high > 0:
        return "look", f"{words} {figure.n} faces cannot tell which of the two is more like the photo."
    return "look", f"{words} It is no more like the photo than a picture that knows nobody."

"""Authorised recognition of the protected faces: the other half of the claim, no row of the threat model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facemin.attack.link.cross_matching import embed
from facemin.audit.figures import counted, entry, interval
from facemin.audit.result import AuditRow, Figure, Line, RowResult, Table
from facemin.metrics import pair_scores
from facemin.report.page import Entry

if TYPE_CHECKING:
    from facemin.audit.inputs.audit_inputs import AuditInputs

PROVIDER = AuditRow(
    row=None,
    title="The provider, with the whole recogniser",
    knows="everything it should: recognising is its job",
)


def still_recognises(evidence: AuditInputs) -> RowResult:
    """Verify protected faces at the recognisers whose keys were used."""
    judges = [one for one in evidence.panel.authorised if one.at is not None]
    if not judges:
        return PROVIDER.result("not tested", _absent(evidence))
    pairs = evidence.pairs
    words: list[str] = []
    figures: list[Figure] = []
    rows: list[Line] = []
    for one in judges:
        assert one.at is not None
        reference = embed(one.recogniser, evidence.originals[pairs.references])
        scores = {
            name: pair_scores(embed(one.recogniser, faces[pairs.probes]), reference)
            for name, faces in (("plain", evidence.originals), ("protected", evidence.protected))
        }
        found = {
            name: counted(values >= one.at.threshold, name="TAR", of=one.name, where=f"{name} probe")
            for name, values in scores.items()
            if name == "protected" or not pairs.own
        }
        figures += found.values()
        text = f"{one.name} accepts {interval(found['protected'])} of the protected faces"
        words.append(text + (f", and {interval(found['plain'])} of the plain ones." if "plain" in found else "."))
        rows.append(
            (
                one.name,
                entry(found.get("plain")),
                entry(found["protected"], mark="own"),
                f"{one.at.threshold:.3f}",
                Entry(one.at.source, mark="text"),
            )
        )
    table = Table(
        caption="Accepted as the person",
        head=("recogniser", "plain probe", "protected probe", "threshold", "where it comes from"),
        rows=tuple(rows),
    )
    return PROVIDER.result("look", f"{pairs.words} {' '.join(words)}", figures=figures, tables=[table])


def _absent(evidence: AuditInputs) -> str:
    """Why nobody can say whether the provider still recognises."""
    if not evidence.panel.authorised:
        names = ", ".join(sorted({key.manifest.recogniser for key in evidence.keys}))
        if not names:
            return "No key was given, so nobody knows which recogniser should recognise them."
        return f"The recogniser whose key was used ({names}) is not on this machine."
    first = evidence.panel.authorised[0]
    names = ", ".join(one.name for one in evidence.panel.authorised)
    return f"{names}, whose key was used, is here, but cannot judge without a threshold: {first.missing}."

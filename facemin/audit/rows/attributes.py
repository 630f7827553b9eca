"""Attribute inference by estimators: the shared part of rows T1 and T2."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from facemin.attack.attributes.findings import age_findings, class_findings
from facemin.attack.link.cross_matching import purified
from facemin.audit.figures import averaged, counted, entry, interval, percent
from facemin.audit.result import Figure, Line, Table
from facemin.audit.sample_size import CHANCE, Outcome, strongest
from facemin.metrics import permutation_test

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facemin.attack.budget import Budget
    from facemin.attack.purify.registry import Purifier
    from facemin.audit.inputs.audit_inputs import AuditInputs
    from facemin.metrics import Agreement

MARGIN = 0.1
"""An estimator that agrees at most so much more often than the commonest class says it alone tells almost nothing."""

FEWEST = 10
"""Faces below which no share of attributes is worth a verdict."""


class Traits(NamedTuple):
    """What estimators read."""

    outcome: Outcome
    words: tuple[str, ...]
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]
    unreached: tuple[str, ...]


def read_traits(evidence: AuditInputs, purifiers: Mapping[str, Purifier], budget: Budget) -> Traits:
    """Compare what estimators say of protected and of plain faces, and with what anybody says who saw neither.

    No truth is known, so agreement with the estimator's own answer on the plain face stands for it.
    """
    if not evidence.panel.estimators:
        return Traits("not tested", (), (), (), ())
    best: dict[tuple[str, str], AttributeReading] = {}
    tried: list[str] = []
    rows = evidence.pairs.probes
    with torch.inference_mode():
        plain = {one.name: one(evidence.originals[rows]) for one in evidence.panel.estimators}
        for name, purify in purifiers.items():
            if tried and budget.over:
                break
            tried.append(name)
            images = purified(purify, evidence.protected[rows])
            for one in evidence.panel.estimators:
                said = one(images)
                for attribute in one.attributes:
                    place = one.name, attribute.name
                    new = _read(*place, name, said[attribute.name], plain[one.name][attribute.name])
                    best[place] = max(best.get(place, new), new, key=_told)
    cells = len(best) * len(tried)
    settled = {place: _settled(*place, found, cells=cells) for place, found in best.items()}
    words = [text for _, text in settled.values() if text]
    open_ = [place[1] for place, (outcome, _) in settled.items() if outcome == "cannot tell"]
    if open_:
        few = "1 face is" if len(rows) == 1 else f"{len(rows)} faces are"
        words.append(f"{few} too few to tell what is read of {', '.join(dict.fromkeys(open_))}.")
    table = Table(
        caption="Attributes, each behind the purifier after which most was read",
        head=(
            *("estimator", "attribute", "purifier", "agrees with the plain face", "the commonest class says"),
            *("cosine (PMT, eq. 11)", "cosine of the others' mean", "age differs by, years", "the others' median age"),
        ),
        rows=tuple(_row(place, found) for place, found in best.items()),
    )
    figures = tuple(figure for found in best.values() for figure in found.figures)
    return Traits(
        strongest([outcome for outcome, _ in settled.values()]),
        tuple(words),
        figures,
        (table,),
        tuple(set(purifiers) - set(tried)),
    )


class AttributeReading(NamedTuple):
    """What one estimator read of one attribute behind one purifier: its figures first, then the floors'."""

    figures: tuple[Figure, ...]
    agreement: Agreement | None
    """Beside labels dealt out at random; None for an age."""


def class_outcome(agreement: Agreement, figure: Figure, *, floor: float, cells: int) -> Outcome:
    """What agreement with classes says.

    A leak where labels dealt out at random agree so often in fewer than one of twenty audits, over all cells tried;
    so that finding the few of a rare class counts, though the commonest class alone agrees more often. Bounded only
    where the interval ends near what knowing no face gives, and below 1: where nearly all are of one class, no share
    of agreement can be told from that.

    Args:
        agreement: with what was to be found.
        figure: the same as a share with its interval.
        floor: share of the commonest class.
        cells: attempts of which this is one.
    """
    if floor == 1:
        # anybody is right
        return "not tested"
    if cells * agreement.p < CHANCE:
        return "leak"
    near = max(floor, agreement.expected) + MARGIN
    return "bounded" if figure.high <= near < 1 else "cannot tell"


def _read(estimator: str, attribute: str, purifier: str, said: torch.Tensor, plain: torch.Tensor) -> AttributeReading:
    of = f"{estimator}, {attribute}"
    if said.ndim == 1:
        ages = age_findings(said, plain)
        return AttributeReading(
            (
                averaged(ages.error, name="age difference", of=of, where=purifier),
                averaged(ages.floor, name="age difference", of=of, where="the others' median"),
            ),
            None,
        )
    found = class_findings(said, plain)
    floor = found.majority
    return AttributeReading(
        (
            counted(found.correct, name="agreement", of=of, where=purifier),
            Figure(name="agreement", of=of, where="commonest class", value=floor, low=floor, high=floor, n=len(said)),
            averaged(found.cosine, name="cosine", of=of, where=purifier),
            averaged(found.cosine_floor, name="cosine", of=of, where="the others' mean"),
        ),
        permutation_test(said.argmax(1), plain.argmax(1)),
    )


def _told(found: AttributeReading) -> float:
    """How much was read: less likely by chance and, between equals, agreeing more often; or years less of error."""
    if found.agreement is None:
        return -found.figures[0].value
    return -found.agreement.p + 1e-6 * found.figures[0].value


def _settled(estimator: str, attribute: str, found: AttributeReading, *, cells: int) -> tuple[Outcome, str]:
    """Against what somebody says who saw no face; words only for a leak."""
    first, floor = found.figures[:2]
    of = f"{attribute} ({estimator}, {first.where})"
    if first.n < FEWEST:
        return "cannot tell", ""
    if found.agreement is None:
        if first.high < floor.low:
            return "leak", f"{of}: off by {first.value:.1f} years, where the others' median is by {floor.value:.1f}."
        return ("bounded" if first.low > floor.value - 1 else "cannot tell"), ""
    outcome = class_outcome(found.agreement, first, floor=floor.value, cells=cells)
    return outcome, f"{of}: agrees for {beside(first, found.agreement, floor.value)}." if outcome == "leak" else ""


def beside(figure: Figure, agreement: Agreement, floor: float) -> str:
    """A share of agreement, in a sentence, with what somebody gets who saw nothing."""
    return (
        f"{interval(figure)}, where the same answers dealt out at random have {percent(agreement.expected)} and the "
        f"commonest class alone {percent(floor)}"
    )


def _row(place: tuple[str, str], read: AttributeReading) -> Line:
    found = read.figures
    where = found[0].where
    if found[0].hits is None:
        return (*place, where, "", "", "", "", entry(found[0], digits=1), entry(found[1], digits=1))
    floor = f"{found[1].value:.2f}"
    return (
        *place,
        where,
        entry(found[0], digits=2),
        floor,
        entry(found[2], digits=2),
        entry(found[3], digits=2),
        "",
        "",
    )

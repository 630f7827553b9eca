"""Decisions from scores, each at a threshold measured for what was compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from facemin.service.api.errors import conflict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from facemin.service.recognition.thresholds import PairThreshold, ThresholdSet
    from facemin.service.storage.records import Binding, Kind, Person


class Verdict(NamedTuple):
    """What one person's templates say of a probe."""

    accepted: bool
    score: float
    """Cosine with the template that decided."""
    threshold: PairThreshold
    kind: Kind
    """Of that template."""


def judge(
    probe: NDArray[np.float32],
    kind: Kind,
    person: Person,
    thresholds: ThresholdSet,
    *,
    far: float,
    binding: Binding | None = None,
) -> Verdict:
    """Compare a probe with those of a person's templates that it can be compared with.

    The one that clears its threshold by most decides. A pseudonym is compared with templates of the same binding and
    with nothing else.

    Args:
        probe: unit float32 (D,).
        kind: what the probe was made from.
        person: whose templates.
        thresholds: of the recogniser.
        far: a false accept rate that was measured.
        binding: of the probe, where its kind is "pseudonym".

    Raises:
        ServiceError: there is no such template of the present model (409).
        ValueError: the FAR was not measured.
    """
    verdicts = []
    for template in person.templates:
        if template.row is not None and template.binding == binding:
            threshold = thresholds.find(kind, template.kind, far)
            score = float(template.row @ probe)
            verdicts.append(Verdict(score >= threshold.threshold, score, threshold, template.kind))
    if not verdicts:
        raise conflict(
            "needs_enrolment",
            "person: expected a template of the present model and of the same kind as the upload (under its pseudonym, "
            "or under none), got only others; enrol them anew",
        )
    return max(verdicts, key=lambda verdict: verdict.score - verdict.threshold.threshold)

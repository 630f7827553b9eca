"""Probes as a client sends them: no more of a face than the decision on it by this device's templates needs."""

from __future__ import annotations

import secrets
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

from facemin.pseudonym import EnrolledTemplates, score_preserving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facemin.client.answers import Challenge
    from facemin.client.pseudonymous import Faces, Form, Sender
    from facemin.pseudonym.probes.templates import Templates

MARGIN: dict[Form, float] = {"feature": 0.01, "image": 0.2}
"""How far above the threshold a score is kept, so that neither rounding nor a painted image changes a decision: by the
less exact of the forms in which the probe goes and the templates went."""

SCORE_TOLERANCE: dict[Form, float] = {"feature": 0.01, "image": 0.15}
"""How far a provider's score lies below the probe's own, at most, where both have the same templates; as above."""


class OtherTemplatesWarning(UserWarning):
    """A provider compared with other templates than this device enrolled."""


def of_probe(
    sender: Sender, faces: Sequence[Faces], ask: Challenge, form: Form, *, person: str, exact: bool = False
) -> list[Faces]:
    """Faces with all of their embeddings drawn anew but what the provider's decision needs.

    As they are where this device knows of no template under the pseudonym, as one that has only the secret does; of
    many people under one secret, and in carriers, too.

    Args:
        sender: whose pseudonym they go under, and what of them is sent.
        faces: as read.
        ask: epoch of the pseudonym, and threshold of the decision.
        form: in which they are sent.
        person: with whose templates they are compared; empty for everybody's.
        exact: keep all cosines with the templates, for a decision by another threshold than the one told.

    Raises:
        ValueError: a damaged file of templates.
        OSError: it cannot be read.
    """
    templates = _templates(sender, ask.epoch, person)
    if templates is None:
        return list(faces)
    most = None
    if sender.probe == "decision" and ask.threshold is not None and not exact:
        most = min(max(ask.threshold + MARGIN[_least_exact(form, templates)], 0.0), 1.0)
    found = []
    for each in faces:
        seeds = [secrets.token_bytes(32) for _ in each.embeddings]
        rows = score_preserving(each.embeddings, templates.rows, seeds, most=most)
        found.append(replace(each, embeddings=rows))
    return found


def check_templates(sender: Sender, faces: Faces, epoch: int, form: Form, score: float, *, person: str) -> None:
    """Forget templates with which a refused probe has a higher score than the provider's.

    Another device has put others in their place under the same epoch, so that probes made for the old ones are refused
    whoever sends them. The next one is the whole embedding.

    Args:
        sender: as for `of_probe`.
        faces: as `of_probe` made them.
        epoch: of the pseudonym.
        form: in which it was sent.
        score: of the provider.
        person: as for `of_probe`.

    Warns:
        OtherTemplatesWarning: so it is.

    Raises:
        ValueError: a damaged file of templates.
        OSError: it cannot be read or written.
    """
    templates = _templates(sender, epoch, person)
    if templates is None:
        return
    missing = float((faces.embeddings @ templates.rows.T).max()) - score
    if missing <= SCORE_TOLERANCE[_least_exact(form, templates)]:
        return
    EnrolledTemplates(secret=sender.secret).forget(sender.pseudonym(epoch), person)
    warnings.warn(
        f"{sender.collection}: expected the provider to compare with what this device enrolled, got a score of "
        f"{score:.3f} with something else: it was enrolled elsewhere. Try another photo, whose embedding is sent whole",
        OtherTemplatesWarning,
        stacklevel=3,
    )


def _templates(sender: Sender, epoch: int, person: str) -> Templates | None:
    """What probes are made for; None where they are not."""
    if sender.probe == "embedding" or sender.purpose is not None or sender.carrier is not None:
        return None
    found = EnrolledTemplates(secret=sender.secret).of(sender.pseudonym(epoch), person)
    return found if len(found.rows) else None


def _least_exact(form: Form, templates: Templates) -> Form:
    """The form of the side that misses most of its target."""
    return "feature" if form == "feature" and templates.exact else "image"

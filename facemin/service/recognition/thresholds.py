"""Thresholds for protected probes: measured artefacts, each with an id that answers carry.

What a score means depends on what was compared: a protected probe scores lower against its person than a plain one,
and impostors spread differently. So each pair of kinds has its own thresholds.
"""

from __future__ import annotations

import hashlib
import math
from importlib import resources
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from pydantic_core import to_json

from facemin.models.calibration import Measurement, Threshold
from facemin.pseudonym import stranger_threshold

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from facemin.models.calibration import Calibration
    from facemin.service.storage.records import Kind

Pair = Literal["protected-protected", "protected-plain", "plain-plain", "pseudonym-pseudonym"]
PAIRS: dict[frozenset[str], Pair] = {
    frozenset({"protected"}): "protected-protected",
    frozenset({"protected", "plain"}): "protected-plain",
    frozenset({"plain"}): "plain-plain",
    frozenset({"pseudonym"}): "pseudonym-pseudonym",
}
"""By the kinds of the two that are compared; which of them is the probe makes no difference to a cosine. A pseudonym
is compared with no other kind."""
PSEUDONYMS: Pair = "pseudonym-pseudonym"

FARS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


class PairThreshold(Threshold):
    """The lowest cosine that is accepted at a false accept rate, for one pair of kinds."""

    pair: Pair
    measured: bool = True
    """False where plain pairs' threshold stands in, or that of strangers, since this pair's own was not measured."""


class ThresholdSet(Measurement):
    """Everything measured of one recogniser and cut."""

    cut: str
    residual: float
    """At which the protected images were finished."""
    thresholds: tuple[PairThreshold, ...] = Field(min_length=1)

    def find(self, one: Kind, other: Kind, far: float) -> PairThreshold:
        """The threshold for two kinds at a FAR.

        Raises:
            ValueError: it was not measured; the message lists the FARs that were.
        """
        pair = PAIRS.get(frozenset({one, other}))
        if pair is None:
            raise ValueError(f"kinds: expected two that are compared with each other, got {one} and {other}")
        here = self._of(pair)
        for entry in here:
            if entry.far == far:
                return entry
        raise ValueError(f"far: expected one measured for {pair} ({_listed(here)}), got {far:g}")

    def of_pseudonyms(self, far: float) -> float | None:
        """The cosine that decides on pseudonyms at a FAR; None where that was not measured."""
        return next((entry.threshold for entry in self._of(PSEUDONYMS) if entry.far == far), None)

    def _of(self, pair: Pair) -> list[PairThreshold]:
        return [entry for entry in self.thresholds if entry.pair == pair]

    def check(self, far: float) -> None:
        """Raises ValueError unless every pair of kinds has a threshold at this FAR.

        Pseudonyms need one where the set has any of theirs: a recogniser without a space has none.
        """
        for kinds, pair in PAIRS.items():
            if pair == PSEUDONYMS and not self._of(pair):
                continue
            self.find(min(kinds), max(kinds), far)  # type: ignore[arg-type]

    def id_of(self, entry: PairThreshold) -> str:
        """Names a threshold for good: it changes with the model, the cut, the data or the value."""
        # the order in which ids that are out there were made
        value = to_json({"pair": entry.pair, **entry.model_dump()}).decode()
        text = f"{self.fingerprint} {self.cut} {self.residual!r} {self.data} {value}"
        return f"{entry.pair}.far{entry.far:.0e}.{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def stricter(self, far: float) -> float:
        """The FAR that a renewal is decided at: the laxest measured for pseudonyms that is a tenth of `far` or less.

        Raises:
            ValueError: none is.
        """
        here = self._of(PSEUDONYMS)
        found = [entry.far for entry in here if entry.far <= far / 10 * (1 + 1e-9)]
        if not found:
            raise ValueError(
                f"far: expected one of {far / 10:g} or less, measured for {PSEUDONYMS}, got {_listed(here)}"
            )
        return max(found)

    def above_strangers(self, dimension: int) -> ThresholdSet:
        """The same with no threshold of pseudonyms below that of strangers at its FAR, which is known exactly.

        Args:
            dimension: D of the space.
        """
        return self.model_copy(
            update={"thresholds": tuple(_above_strangers(entry, dimension) for entry in self.thresholds)}
        )


def _above_strangers(entry: PairThreshold, dimension: int) -> PairThreshold:
    if entry.pair != PSEUDONYMS:
        return entry
    least = stranger_threshold(entry.far, dimension)
    return entry if entry.threshold >= least else entry.model_copy(update={"threshold": least, "measured": False})


def pseudonym_thresholds(calibration: Calibration, *, dimension: int, measured: bool) -> tuple[PairThreshold, ...]:
    """Thresholds of pseudonyms: the FAR of somebody who stole the secret, never below that of strangers.

    Args:
        calibration: of pseudonyms in the recogniser's space, or of plain pairs where that was not measured.
        dimension: D of the space.
        measured: whether it is of pseudonyms.
    """
    entries = _of_pair(PSEUDONYMS, calibration, measured=measured)
    return tuple(_above_strangers(entry, dimension) for entry in entries)


def _of_pair(pair: Pair, calibration: Calibration, *, measured: bool) -> list[PairThreshold]:
    return [PairThreshold(pair=pair, measured=measured, **entry.model_dump()) for entry in calibration.thresholds]


def measure_pair(pair: Pair, genuine: Tensor, impostor: Tensor, fars: Iterable[float] = FARS) -> list[PairThreshold]:
    """Thresholds from scores; a FAR for which there are too few impostor pairs is left out.

    Args:
        pair: what was compared.
        genuine: cosines of the same people's pairs, (P,).
        impostor: cosines of different people's pairs, (N,); a FAR needs N >= 1 / FAR.
        fars: asked for.
    """
    # measuring is the workshop's; what was measured is read without it
    from facemin.metrics import rates_at, threshold_at_far

    found = []
    for far in fars:
        at = threshold_at_far(impostor, far=far)
        if at.meaningful:
            rates = rates_at(genuine, impostor, at.threshold)
            entry = PairThreshold(
                pair=pair,
                far=far,
                threshold=at.threshold,
                far_measured=at.far_measured,
                impostor_pairs=at.n_impostor,
                genuine_pairs=rates.n_genuine,
                tar=rates.tar,
            )
            found.append(entry)
    return found


def impostor_scores(a: Tensor, b: Tensor, people_a: Tensor, people_b: Tensor) -> Tensor:
    """Cosines of all pairs of different people.

    Args:
        a: unit rows (N, D).
        b: unit rows (M, D); when it is `a` itself each pair is taken once.
        people_a: numbers of the people, (N,).
        people_b: numbers of the people, (M,).
    """
    parts = []
    for at, (row, person) in enumerate(zip(a, people_a, strict=True)):
        first = at + 1 if b is a else 0
        parts.append((b[first:] @ row)[people_b[first:] != person])
    import torch

    return torch.cat(parts)


def shipped_thresholds(model: str, fingerprint: str, *, cut: str, residual: float) -> ThresholdSet | None:
    """What comes with facemin for this very model, cut and stopping residual, or None."""
    file = resources.files("facemin") / "calibrations" / "protected" / f"{model}.{cut}.json"
    if not file.is_file():
        return None
    found = ThresholdSet.model_validate_json(file.read_bytes())
    fits = found.fingerprint == fingerprint and math.isclose(found.residual, residual)
    return found if fits else None


def plain_thresholds(calibration: Calibration, *, cut: str, residual: float) -> ThresholdSet:
    """A set for a model of which only plain pairs were measured; they stand in for the others and say so."""
    entries = [
        entry
        for pair in PAIRS.values()
        if pair != PSEUDONYMS
        for entry in _of_pair(pair, calibration, measured=pair == "plain-plain")
    ]
    return ThresholdSet(
        model=calibration.model,
        fingerprint=calibration.fingerprint,
        cut=cut,
        residual=residual,
        data=calibration.data,
        command=calibration.command,
        thresholds=tuple(entries),
    )


def _listed(entries: list[PairThreshold]) -> str:
    return ", ".join(f"{entry.far:g}" for entry in entries) or "none"

"""Result of a verification: accuracy, EER, TAR at FAR, and thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from facemin.models.calibration import Calibration, Threshold

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.metrics import FoldAccuracy, Interval, TarAtFar

FARS = {"1e-1": 1e-1, "1e-2": 1e-2, "1e-3": 1e-3, "1e-4": 1e-4, "1e-5": 1e-5, "1e-6": 1e-6}
"""False accept rates reported, by the name they have in the JSON."""


class OperatingPoint(NamedTuple):
    """TAR at a FAR with its 95 % intervals; `people` where identities are known."""

    at: TarAtFar
    wilson: Interval
    """Of the TAR, as if the genuine pairs were independent."""
    people: Interval | None
    """Of the TAR at this threshold, when people are drawn again."""

    def values(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            **self.at._asdict(),
            "wilson": list(self.wilson),
            "identity_bootstrap": list(self.people) if self.people else None,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """What was measured.

    Attributes:
        model: the recogniser's name.
        fingerprint: `Recogniser.fingerprint` of it.
        data: the set's source, and what was done to its images.
        flip: whether embeddings of mirrored images were added; thresholds are then for such sums only.
        scores: cosine of each pair, (N,) float64.
        same: (N,) bool.
        accuracy: over ten folds.
        accuracy_wilson: 95 % interval of the share of pairs called rightly.
        accuracy_people: likewise, when people are drawn again; None without identities.
        eer: equal error rate.
        listed: operating points, thresholds from the set's own impostor pairs.
        cross_identity: thresholds from all pairs of different people among the images; None without identities.
        n: numbers of pairs, images, people, and of images in which no face was found.
    """

    model: str
    fingerprint: str
    data: str
    flip: bool
    scores: Tensor
    same: Tensor
    accuracy: FoldAccuracy
    accuracy_wilson: Interval
    accuracy_people: Interval | None
    eer: float
    listed: dict[str, OperatingPoint]
    cross_identity: dict[str, OperatingPoint] | None
    n: dict[str, int | None]

    def report(self) -> dict[str, Any]:
        """The JSON document: accuracy, eer, tar, thresholds, n."""
        cross = self.cross_identity
        return {
            "accuracy": {
                "mean": self.accuracy.mean,
                "std": self.accuracy.std,
                "folds": self.accuracy.accuracies.tolist(),
                "wilson": list(self.accuracy_wilson),
                "identity_bootstrap": list(self.accuracy_people) if self.accuracy_people else None,
            },
            "eer": self.eer,
            "tar": {name: point.values() for name, point in self.listed.items()},
            "thresholds": {
                "model": self.model,
                "fingerprint": self.fingerprint,
                "data": self.data,
                "flip": self.flip,
                "listed": {name: point.at.threshold for name, point in self.listed.items()},
                "cross_identity": cross and {name: point.values() for name, point in cross.items()},
            },
            "n": self.n,
        }

    def calibration(self, *, command: str) -> Calibration:
        """The thresholds that mean something, of all pairs of different people where identities are known.

        Args:
            command: repeats the measurement.

        Raises:
            ValueError: there are too few impostor pairs for any, or the embeddings are sums over a flip, which
                no single image's embedding may be compared by.
        """
        if self.flip:
            raise ValueError(f"{self.model}: expected thresholds of plain embeddings to save, got those with --flip")
        points = self.cross_identity or self.listed
        split = "all pairs of different people" if self.cross_identity else "its own impostor pairs"
        thresholds = tuple(
            Threshold(
                far=FARS[name],
                threshold=point.at.threshold,
                far_measured=point.at.far_measured,
                impostor_pairs=point.at.n_impostor,
                genuine_pairs=point.at.n_genuine,
                tar=point.at.tar,
            )
            for name, point in points.items()
            if point.at.meaningful
        )
        if not thresholds:
            raise ValueError(f"{self.data}: expected at least 10 impostor pairs to calibrate on, got fewer")
        return Calibration(
            model=self.model,
            fingerprint=self.fingerprint,
            data=f"{self.data}; impostors: {split}",
            command=command,
            thresholds=thresholds,
            residuals=(),
        )

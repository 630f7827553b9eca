"""Threshold of the device's own check that a face is the enrolled person's."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from facemin.keys.trust import shipped_graphs
from facemin.models.calibration import Calibration
from facemin.pseudonym import stranger_threshold

if TYPE_CHECKING:
    from facemin.models.space import Space

SAME_PERSON_FAR = 1e-2
"""At which a device takes a face for the enrolled one: laxer than any provider, for whom the decision is. At 1e-3 one
own photo in ten would be refused, and what the check prevents needs dozens of faces of others."""
UNMEASURED_FAR = 1e-3
"""Of points drawn at random, in a space that nothing was measured for. Faces of strangers are more alike than such
points: in the default space the 0.32 measured at 1e-2 lies between the points' 0.29 at 1e-2 and 0.37 at 1e-3."""


def same_person_threshold(space: Space) -> float:
    """Cosine from which a face is taken for the enrolled one: as calibrated for a listed network, else by dimension.

    Thresholds of faces compared under one pseudonym, views averaged, which is what is compared here.
    """
    for graph in shipped_graphs():
        file = resources.files("facemin") / "calibrations" / "pseudonym" / f"{graph.name}.json"
        if graph.graph_sha256 == space.graph_sha256 and file.is_file():
            return Calibration.model_validate_json(file.read_bytes()).threshold(SAME_PERSON_FAR).threshold
    return stranger_threshold(UNMEASURED_FAR, space.dimension)

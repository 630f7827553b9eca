"""Photo reader: photos of a folder as aligned faces, by given landmarks or the face nearest to the centre."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facemin.autograd.pixels import to_tensor, to_unit
from facemin.face import SIDE, TEMPLATE, Border, Detector, align_unrounded, is_aligned, nearest_to_centre
from facemin.image import decode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

# The crop's side as a share of a photo's shorter side, and where its centre lies, for a photo in which no face is
# found: the mean place of LFW's faces (deep-funneled, 250 x 250), measured with landmarks given for all of them.
_CENTRAL_SIDE = 0.53


class LoadedFace(NamedTuple):
    """An aligned face (3, 112, 112) RGB in [0, 1]; and whether a face was found, or only the photo's centre taken."""

    face: Tensor
    found: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoReader:
    """Loads photos of a folder as aligned faces.

    A photo of 112 x 112 is taken as aligned, where no landmarks are given. Otherwise the face nearest to the
    photo's centre is; without a face it is the photo's central square.

    Args:
        root: the folder.
        paths: of the photos, relative to it.
        points: landmarks (5, 2) by path; None to detect.
        detector: finds faces where no landmarks are given.
        border: what lies outside a photo, as `align` has it.
    """

    root: Path
    paths: Sequence[str]
    points: Mapping[str, Tensor] | None = None
    detector: Detector | None = None
    border: Border = "zero"

    def __call__(self, index: int) -> LoadedFace:
        """Load the photo at that place of `paths`.

        Raises:
            ValueError: a file that is no photo.
            OSError: a file that is not there.
        """
        pixels = decode(self.root / self.paths[index]).pixels
        found = True
        if self.points is not None:
            points = self.points[self.paths[index]].numpy()
        elif is_aligned(pixels):
            return LoadedFace(to_unit(to_tensor(pixels)), True)
        elif self.detector is not None and (faces := self.detector(pixels)):
            points = nearest_to_centre(faces, *pixels.shape[:2]).points
        else:
            points, found = central_points(*pixels.shape[:2]), False
        return LoadedFace(to_tensor(align_unrounded(pixels, points[None], border=self.border)[0]), found)


def central_points(height: int, width: int) -> NDArray[np.float64]:
    """Landmarks (5, 2) float64 that align a photo's central square, of 0.53 of its shorter side."""
    scale = _CENTRAL_SIDE * min(height, width) / SIDE
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    points: NDArray[np.float64] = (TEMPLATE - (SIDE - 1) / 2) * scale + middle
    return points

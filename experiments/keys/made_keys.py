"""Keys that a provider may publish: honest ones of deep cuts, and such that ask for the face itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from onnx import helper

from facemin.experiments.foreign_key import foreign_key
from facemin.keys.key import Key, export_key
from facemin.models import load_recogniser

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def dlib(cut: str, residual: float) -> Key:
    """The default recogniser at another cut."""
    return export_key(load_recogniser("dlib-resnet29"), cut, provider="measurement", residual=residual)


def mobilefacenet(shared: Path, name: str, side: int | None = None) -> Key:
    """A MobileFaceNet up to its last map of so many rows, 1 being pooled features; the embedding alone when None."""
    recogniser = load_recogniser(str(shared / "models" / f"{name}.onnx"))
    maps = {cut.name: cut.shape for cut in recogniser.cuts}
    features = recogniser.cuts[-1].shape[0]
    fit = [
        cut
        for cut, shape in maps.items()
        if side is None or (shape[0] > features if side == 1 and math.prod(shape[1:]) == 1 else shape[1:2] == (side,))
    ]
    return export_key(recogniser, fit[-1], provider="measurement", residual=0.12)


def average(count: int) -> Key:
    """Averages of so many pixels a side."""
    pool = helper.make_node("AveragePool", ["faces"], ["mean"], kernel_shape=[count] * 2, strides=[count] * 2)
    return foreign_key([pool], ["mean"])


def identity(*, and_pool: bool = False) -> Key:
    """The face; and, last, three numbers, which are all that whoever counts values looks at."""
    nodes = [helper.make_node("Relu", ["faces"], ["same"])]
    return foreign_key(nodes, ["same", "coarse"], pool=112) if and_pool else foreign_key(nodes, ["same"])


def plane(number: int) -> Key:
    """One colour alone."""
    weights = {"plane": np.eye(3, dtype=np.float32)[number].reshape(1, 3, 1, 1)}
    return foreign_key([helper.make_node("Conv", ["faces", "plane"], ["one"], kernel_shape=[1, 1])], ["one"], weights)


def folded() -> Key:
    """Distance from mid-grey: every pixel may be inverted."""
    weights = {"half": np.array(0.5, np.float32)}
    nodes = [helper.make_node("Sub", ["faces", "half"], ["centred"]), helper.make_node("Abs", ["centred"], ["folded"])]
    return foreign_key(nodes, ["folded"], weights)


MOBILEFACENETS = (
    "mobilefacenet-ms1m-arcface",
    "mobilefacenet-casia-arcface-b",
    "mobilefacenet-vggface2-amsoftmax",
    "mobilefacenet-y1-ms1m-arcface",
    "mobilefacenet-casia-arcface",
    "mobileface-v3",
)


def honest(shared: Path) -> dict[str, Callable[[], Key]]:
    """Deep cuts of the default recogniser, and six other networks, whole and, where they pool, up to that."""
    return {
        "dlib conv256.1": lambda: dlib("conv256.1", 0.12),
        "dlib conv256.4": lambda: dlib("conv256.4", 0.12),
        **{f"{name}, whole": lambda name=name: mobilefacenet(shared, name) for name in MOBILEFACENETS},  # type: ignore[misc]
        **{
            f"{name}, pooled": lambda name=name: mobilefacenet(shared, name, 1)  # type: ignore[misc]
            for name in MOBILEFACENETS
            if name != "mobileface-v3"
        },
    }


def strongest(shared: Path) -> dict[str, Callable[[], Key]]:
    """Honest keys that ask for the most: the judge's limit comes from their images and those of whole networks."""
    return {
        f"{name}, last map": lambda name=name: mobilefacenet(shared, name, 4 if name == "mobileface-v3" else 7)  # type: ignore[misc]
        for name in MOBILEFACENETS
    }


HOSTILE: dict[str, Callable[[], Key]] = {
    "identity": identity,
    "identity and pool": lambda: identity(and_pool=True),
    "average of 2": lambda: average(2),
    "average of 4": lambda: average(4),
    "average of 8": lambda: average(8),
    "green alone": lambda: plane(1),
    "folded at mid-grey": folded,
    "dlib conv7": lambda: dlib("conv7", 0.2),
    "dlib conv32.1": lambda: dlib("conv32.1", 0.2),
    "dlib conv64.1": lambda: dlib("conv64.1", 0.25),
    "dlib conv64.4": lambda: dlib("conv64.4", 0.25),
    "dlib conv128.1": lambda: dlib("conv128.1", 0.25),
}


def between(shared: Path) -> dict[str, Callable[[], Key]]:
    """Keys neither deep enough for nothing to be seen, nor so shallow that an eye knows the face."""
    return {
        "dlib conv128.3": lambda: dlib("conv128.3", 0.25),
        **strongest(shared),
        **{
            f"{name}, map of {side} px": lambda name=name, side=side: mobilefacenet(shared, name, side)  # type: ignore[misc]
            for name in MOBILEFACENETS[:1]
            for side in (28, 14)
        },
    }

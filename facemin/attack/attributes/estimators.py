"""Attribute estimators: networks that read age, gender, race or expression from a face (rows T1 and T2)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn import functional as F

from facemin.autograd.module import OnnxModule
from facemin.models.onnx.graph import read_graph

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

BATCH = 32
YEARS: tuple[str, ...] = ()
"""Classes of an attribute that is a number: the age."""


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """What an estimator says of a face.

    Attributes:
        name: "age", "gender", ...
        classes: their names, in the order of the probabilities; none for a number.
    """

    name: str
    classes: tuple[str, ...] = YEARS


class Estimator(Protocol):
    """A network that reads attributes; faces go in as everywhere in facemin."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """What it estimates, in order."""
        ...

    def __call__(self, faces: Tensor) -> dict[str, Tensor]:
        """Faces (N, 3, 112, 112), RGB in [0, 1], to each attribute by name: (N, classes), or (N,) for a number."""
        ...


_GENDER = Attribute(name="gender", classes=("male", "female"))

ESTIMATORS: dict[str, dict[str, Attribute]] = {
    "attributes-age-gender": {"age": Attribute(name="age"), "male_female": _GENDER},
    "attributes-expression": {
        "expression": Attribute(
            name="expression", classes=("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
        )
    },
    "attributes-gear": {
        "race": Attribute(name="race", classes=("white", "black", "asian", "indian", "other")),
        "gender": _GENDER,
    },
}
"""What the outputs of known estimators are, by the stem of their ONNX file; each takes RGB in [0, 255]."""


class OnnxEstimator:
    """An estimator in an ONNX file, differentiable with respect to the faces.

    Its graph takes one face, RGB in [0, 255], of any size: faces are scaled to it, bilinear.

    Args:
        file: the graph.
        outputs: what each of its outputs is, by name, in the order wanted; as `ESTIMATORS` has it when None.

    Raises:
        ValueError: not a graph, one without those outputs, or a stem that is not known.
        FileNotFoundError: when the file does not exist.
    """

    def __init__(self, file: Path, *, outputs: Mapping[str, Attribute] | None = None) -> None:
        if outputs is None and file.stem not in ESTIMATORS:
            raise ValueError(f"{file}: expected an estimator among {', '.join(ESTIMATORS)}, got {file.stem!r}")
        named = outputs or ESTIMATORS[file.stem]
        self.name, self.attributes = file.stem, tuple(named.values())
        self.sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        self._network = OnnxModule(read_graph(file), outputs=tuple(named)).eval()
        for attribute, shape in zip(self.attributes, self._network.output_shapes, strict=True):
            wanted = len(attribute.classes) or 1
            if shape != (wanted,):
                raise ValueError(f"{file}: {attribute.name}: expected {wanted} values a face, got shape {shape}")

    def __call__(self, faces: Tensor) -> dict[str, Tensor]:
        """Faces (N, 3, 112, 112) in [0, 1] to (N, classes) probabilities, or (N,) years, by attribute."""
        parts = [self._network.layers(self._scaled(part)) for part in torch.split(faces, BATCH)]
        whole = [torch.cat(outputs) for outputs in zip(*parts, strict=True)]
        return {
            attribute.name: values if attribute.classes else values.reshape(len(faces))
            for attribute, values in zip(self.attributes, whole, strict=True)
        }

    def _scaled(self, faces: Tensor) -> Tensor:
        size = self._network.input_shapes[0][1:]
        if tuple(faces.shape[2:]) != tuple(size):
            faces = F.interpolate(faces, size=tuple(size), mode="bilinear", align_corners=False)
        return faces * 255


def find_estimators(folder: Path) -> list[OnnxEstimator]:
    """The known estimators that lie in a folder, in the order of `ESTIMATORS`.

    Raises:
        ValueError: a file of a known name that is not that estimator.
    """
    files = [folder / f"{stem}.onnx" for stem in ESTIMATORS]
    return [OnnxEstimator(file) for file in files if file.is_file()]

"""DeepFace's attribute estimators, where that package is installed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch

from facemin.attack.attributes.estimators import Attribute
from facemin.autograd.pixels import to_array

if TYPE_CHECKING:
    from torch import Tensor

ACTIONS: dict[str, Attribute] = {
    "age": Attribute(name="age"),
    "gender": Attribute(name="gender", classes=("Man", "Woman")),
    "race": Attribute(name="race", classes=("asian", "indian", "black", "white", "middle eastern", "latino hispanic")),
    "emotion": Attribute(name="emotion", classes=("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")),
}
"""What DeepFace analyses, under its own names."""


class DeepFaceEstimator:
    """DeepFace's `analyze` on faces that are aligned already; weights come from wherever DeepFace keeps them.

    The paper's table VIII names no estimator; its four attributes are those of this package.

    Raises:
        ValueError: DeepFace is not installed, or cannot be imported.
    """

    name = "deepface"
    attributes = tuple(ACTIONS.values())

    def __init__(self) -> None:
        try:
            package: Any = import_module("deepface")
            self._analyze = import_module("deepface.DeepFace").analyze
        except ImportError as error:
            raise ValueError(
                f"deepface: expected the package to be installed (pip install deepface): {error}"
            ) from error
        self.version = str(getattr(package, "__version__", "unknown"))

    def __call__(self, faces: Tensor) -> dict[str, Tensor]:
        """Faces (N, 3, 112, 112) in [0, 1] to (N, classes) probabilities, or (N,) years, by attribute."""
        found: dict[str, list[Any]] = {name: [] for name in ACTIONS}
        for face in faces.detach().cpu():
            said = self._said(face)
            for name, attribute in ACTIONS.items():
                if not attribute.classes:
                    found[name].append(float(said[name]))
                    continue
                # percentages under the class's own name
                shares = said[name]
                found[name].append([float(shares[one]) / 100 for one in attribute.classes])
        shapes = {
            name: (len(faces), len(one.classes)) if one.classes else (len(faces),) for name, one in ACTIONS.items()
        }
        return {name: torch.tensor(values).reshape(shapes[name]) for name, values in found.items()}

    def _said(self, face: Tensor) -> dict[str, Any]:
        # it takes blue, green, red, as OpenCV does
        pixels = to_array(face.clamp(0, 1).flip(0))
        said = self._analyze(
            pixels, actions=tuple(ACTIONS), detector_backend="skip", enforce_detection=False, silent=True
        )
        one: dict[str, Any] = said[0] if isinstance(said, list) else said
        return one

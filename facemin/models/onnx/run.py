"""Forward runs of a graph by onnxruntime; NumPy in, NumPy out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto

from facemin.models.onnx.analysis.shapes import graph_shapes
from facemin.models.onnx.limits import GraphLimits
from facemin.runtime.inference_session import inference_session

if TYPE_CHECKING:
    from numpy.typing import NDArray

FACE = (112, 112, 3)
_BATCH = 32
"""Faces at once: more take memory and no less time."""


class FloatRunner:
    """A graph of one input, run without torch.

    The graph has to come from `read_graph` or a `Key`, which checked it: nothing is checked of it here.

    Args:
        graph: an ONNX file's bytes; takes (batch, ...) float32.
        threads: that one run may use.

    Raises:
        ValueError: the graph takes something else, or onnxruntime cannot run it.
    """

    def __init__(self, graph: bytes, *, threads: int = 1) -> None:
        if threads < 1:
            raise ValueError(f"threads: expected at least 1, got {threads}")
        try:
            session = inference_session(graph, threads=threads)
        except Exception as error:  # noqa: BLE001 - its errors derive from nothing narrower
            raise ValueError(f"graph: expected one that onnxruntime runs, got: {error}") from None
        inputs = session.get_inputs()
        self.shapes = [tuple(each.shape[1:]) for each in inputs]
        if len(inputs) != 1 or inputs[0].type != "tensor(float)":
            raise ValueError(f"graph: expected one input of float32, got {self.shapes}")
        self._session, self._input = session, inputs[0].name
        self._rows = _BATCH if _batches(graph) else 1
        self._outputs = [output.name for output in session.get_outputs()]

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The graph's last output for values (N, ...) float32, as (N, ...); NaN where it has none."""
        return self.outputs(values, last=True)[0]

    def outputs(self, values: NDArray[np.float32], *, last: bool = False) -> tuple[NDArray[np.float32], ...]:
        """Every output in order, or the last alone.

        Raises:
            ValueError: values of another shape, or a result without a row for each of them.
        """
        names = self._outputs[-1:] if last else self._outputs
        try:
            parts = [
                self._session.run(names, {self._input: values[at : at + self._rows]})
                for at in range(0, len(values), self._rows)
            ]
        except Exception as error:  # noqa: BLE001 - its errors derive from nothing narrower
            raise ValueError(f"graph: expected one that onnxruntime runs on {values.shape}, got: {error}") from None
        made = tuple(np.concatenate(rows) for rows in zip(*parts, strict=True))
        for features in made:
            if len(features) != len(values):
                raise ValueError(f"graph: expected features of {len(values)} images, got {features.shape}")
        return made


class FaceRunner:
    """A graph from aligned faces to features, such as a key's, run without torch.

    The graph has to come from `read_graph` or a `Key`, which checked it: nothing is checked of it here but that it is
    one of faces.

    Args:
        graph: an ONNX file's bytes; takes (batch, 3, 112, 112), RGB in [0, 1]. Its last output is the one returned.
        threads: that one run may use.

    Raises:
        ValueError: the graph takes something else, or onnxruntime cannot run it.
    """

    def __init__(self, graph: bytes, *, threads: int = 1) -> None:
        self._runner = FloatRunner(graph, threads=threads)
        if self._runner.shapes != [(FACE[2], *FACE[:2])]:
            raise ValueError(f"graph: expected one input of faces (batch, 3, 112, 112), got {self._runner.shapes}")

    def __call__(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features of aligned faces.

        Args:
            faces: RGB, uint8, (N, 112, 112, 3).

        Returns:
            (N, ...) float32, as the graph's last output gives them.

        Raises:
            ValueError: another shape or type, no face, or features that are not finite.
        """
        return self._all(faces, last=True)[0]

    def layers(self, faces: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        """The same, of every output of the graph in order.

        Raises:
            ValueError: as for a call.
        """
        return self._all(faces, last=False)

    def _all(self, faces: NDArray[np.uint8], *, last: bool) -> tuple[NDArray[np.float32], ...]:
        if faces.dtype != np.uint8 or faces.ndim != 4 or faces.shape[1:] != FACE or len(faces) == 0:
            raise ValueError(f"faces: expected uint8 (N, 112, 112, 3) with N > 0, got {faces.dtype} {faces.shape}")
        planes = np.ascontiguousarray(faces.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)
        made = self._runner.outputs(planes, last=last)
        if not all(np.isfinite(features).all() for features in made):
            raise ValueError(f"graph: expected finite features of {len(faces)} faces, got others")
        return made


def _batches(graph: bytes) -> bool:
    """Whether images of one batch are independent of each other, whatever their number."""
    try:
        return graph_shapes(ModelProto.FromString(graph), limits=GraphLimits()).batches
    except (ValueError, DecodeError):
        return False

"""Space fitting: centring, projection and whitening of embeddings, and their graph nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from facemin.models.space import Isotropy
from facemin.pseudonym.rotation import unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

OUTPUT = "space"
"""Name of the value that a graph with a space gives."""


@dataclass(frozen=True, kw_only=True)
class Whitening:
    """Settings of a fit.

    Args:
        dimension: of the space, at most the embedding's.
        exponent: principal axis k is scaled by its variance to the power -exponent / 2: 0 leaves the variances, 1
            makes them equal.
        shrinkage: part of the first axis's variance that is added to every variance before that, in [0, 1]; it keeps
            axes that hardly vary from being blown up.

    Raises:
        ValueError: a value out of its range.
    """

    dimension: int
    exponent: float = 1.0
    shrinkage: float = 0.0

    def __post_init__(self) -> None:
        if self.dimension < 1:
            raise ValueError(f"dimension: expected at least 1, got {self.dimension}")
        if not 0 <= self.exponent <= 1:
            raise ValueError(f"exponent: expected 0 to 1, got {self.exponent}")
        if not 0 <= self.shrinkage <= 1:
            raise ValueError(f"shrinkage: expected 0 to 1, got {self.shrinkage}")


@dataclass(frozen=True, kw_only=True, eq=False)
class SpaceMap:
    """A recogniser's embeddings e, at unit length, to the space: unit(matrix (unit(e) - mean)).

    Attributes:
        mean: (C,) float32.
        matrix: (D, C) float32.
    """

    mean: NDArray[np.float32]
    matrix: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or self.mean.shape != self.matrix.shape[1:]:
            raise ValueError(f"space: expected mean (C,), matrix (D, C), got {self.mean.shape}, {self.matrix.shape}")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.matrix).all()):
            raise ValueError("space: expected finite numbers in mean and matrix")

    @property
    def dimension(self) -> int:
        """Of the space, D."""
        return len(self.matrix)

    def __call__(self, embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
        """Embeddings (N, C), of any length, to rows (N, D) of unit length, float64."""
        return unit_rows((unit_rows(embeddings) - self.mean) @ self.matrix.T.astype(np.float64))


def fit(embeddings: NDArray[np.floating], settings: Whitening) -> SpaceMap:
    """Fit a space to embeddings of faces; none of these people should be recognised in it later.

    Args:
        embeddings: (N, C), of any length; mirror images count as faces of their own.
        settings: how many axes are kept, and how they are scaled.

    Raises:
        ValueError: fewer embeddings than the dimension asks for, or a dimension above theirs.
    """
    rows = unit_rows(embeddings)
    if settings.dimension > rows.shape[1] or len(rows) <= settings.dimension:
        raise ValueError(
            f"dimension: expected at most {min(rows.shape[1], len(rows) - 1)} "
            f"({len(rows)} embeddings of {rows.shape[1]} numbers), got {settings.dimension}"
        )
    mean = rows.mean(0)
    variances, axes = _principal_axes(rows)
    floor = settings.shrinkage * variances[0]
    kept = variances[: settings.dimension] + floor
    if kept[-1] <= 0:
        raise ValueError(f"dimension: expected one with variance in every axis, got {settings.dimension} without")
    matrix = (axes[:, : settings.dimension] * (kept / (variances[0] + floor)) ** (-settings.exponent / 2)).T
    return SpaceMap(mean=mean.astype(np.float32), matrix=np.ascontiguousarray(matrix, dtype=np.float32))


def spectrum(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """Eigenvalues of the covariance of embeddings (N, C) at unit length, falling, (C,)."""
    return _principal_axes(unit_rows(embeddings))[0]


def measure_isotropy(embeddings: NDArray[np.floating]) -> Isotropy:
    """How evenly embeddings (N, D) of faces, at unit length, are spread; of people not fitted on.

    Raises:
        ValueError: no more embeddings than dimensions: their covariance would say nothing.
    """
    if len(embeddings) <= embeddings.shape[-1]:
        raise ValueError(f"embeddings: expected more than {embeddings.shape[-1]}, got {len(embeddings)}")
    variances = spectrum(embeddings)
    return Isotropy(
        mean=round(float(np.linalg.norm(unit_rows(embeddings).mean(0))), 4),
        last_over_first=round(float(max(variances[-1], 0) / variances[0]), 4),
        effective_dimension=round(float(variances.sum() ** 2 / np.square(variances).sum()), 2),
        faces=len(embeddings),
    )


def append_space(graph: ModelProto, fitted: SpaceMap) -> ModelProto:
    """A recogniser's graph with a space after its embedding, as graph nodes; the output is called `space`.

    Args:
        graph: of one output, the embedding (batch, C) or (batch, C, 1, 1); left as it is.
        fitted: the map, of C numbers.

    Raises:
        ValueError: the graph has several outputs, or already a value of the names that are used here.
    """
    outputs = [output.name for output in graph.graph.output]
    if len(outputs) != 1:
        raise ValueError(f"graph: expected one output, the embedding, got {outputs}")
    made = {OUTPUT, *(f"{OUTPUT}.{part}" for part in ("flat", "unit", "centred", "projected", "mean", "matrix"))}
    used = {name for node in graph.graph.node for name in (*node.input, *node.output)}
    taken = made & (used | {tensor.name for tensor in graph.graph.initializer})
    if taken:
        raise ValueError(f"graph: expected one without a space, got one that has {', '.join(sorted(taken))}")
    longer = ModelProto()
    longer.CopyFrom(graph)
    longer.graph.initializer.append(numpy_helper.from_array(fitted.mean, f"{OUTPUT}.mean"))
    longer.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(fitted.matrix.T), f"{OUTPUT}.matrix"))
    longer.graph.node.extend(
        (
            helper.make_node("Flatten", outputs, [f"{OUTPUT}.flat"], axis=1),
            helper.make_node("LpNormalization", [f"{OUTPUT}.flat"], [f"{OUTPUT}.unit"], axis=1, p=2),
            helper.make_node("Sub", [f"{OUTPUT}.unit", f"{OUTPUT}.mean"], [f"{OUTPUT}.centred"]),
            helper.make_node("MatMul", [f"{OUTPUT}.centred", f"{OUTPUT}.matrix"], [f"{OUTPUT}.projected"]),
            helper.make_node("LpNormalization", [f"{OUTPUT}.projected"], [OUTPUT], axis=1, p=2),
        )
    )
    del longer.graph.output[:]
    shape: list[str | int | None] = ["batch", fitted.dimension]
    longer.graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape))
    return longer


def ends_in_unit_length(graph: ModelProto) -> bool:
    """Whether a graph's last output is made by a normalisation of each row to Euclidean length one."""
    output = graph.graph.output[-1].name
    for node in graph.graph.node:
        if output in node.output:
            settings = {attribute.name: attribute.i for attribute in node.attribute}
            return (
                node.op_type == "LpNormalization" and settings.get("p", 2) == 2 and settings.get("axis", -1) in (-1, 1)
            )
    return False


def _principal_axes(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variances (C,), falling, and axes (C, C) in columns, each with its largest entry positive."""
    variances, axes = np.linalg.eigh(np.cov(rows, rowvar=False))
    variances, axes = variances[::-1], axes[:, ::-1]
    # a solver's sign is its own choice
    signs = np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    return np.maximum(variances, 0), axes * signs

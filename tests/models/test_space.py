"""Spaces: identity, views, fit, and graph nodes."""

import hashlib
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto

from facemin.models.onnx.run import FaceRunner
from facemin.models.space import (
    Isotropy,
    Space,
    SpaceDeclaration,
    mirrored,
    space_id,
)
from facemin.models.space_fit import (
    SpaceMap,
    Whitening,
    append_space,
    ends_in_unit_length,
    fit,
    measure_isotropy,
    spectrum,
)
from facemin.pseudonym.rotation import unit_rows
from facemin.runtime.inference_session import inference_session
from tests.models.test_store import SIZE, tiny_graph

ISOTROPY = Isotropy(mean=0.1, last_over_first=0.5, effective_dimension=9.0, faces=100)


def declared(**changes: object) -> SpaceDeclaration:
    return SpaceDeclaration(**{"dimension": 10, "isotropy": ISOTROPY, "fitted": "noise"} | changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def cloud() -> NDArray[np.float64]:
    """Embeddings (500, 16) that lie to one side and vary by a hundred between axes."""
    rng = np.random.default_rng(0)
    turned, _ = np.linalg.qr(rng.standard_normal((SIZE, SIZE)))
    rows: NDArray[np.float64] = 3 + (rng.standard_normal((500, SIZE)) * np.geomspace(1, 0.1, SIZE)) @ turned
    return rows


def test_a_space_makes_directions_even(cloud: NDArray[np.float64]) -> None:
    before = measure_isotropy(unit_rows(cloud))
    whole = fit(cloud, Whitening(dimension=SIZE))
    after = measure_isotropy(whole(cloud))
    assert (before.mean > 0.9, before.last_over_first < 0.03) == (True, True)
    assert (after.mean < 0.1, after.last_over_first > 0.5) == (True, True)
    assert np.allclose(np.linalg.norm(whole(cloud), axis=1), 1, atol=1e-12)
    # before the last normalisation the covariance is a multiple of the identity
    flat = (unit_rows(cloud) - whole.mean) @ whole.matrix.T.astype(np.float64)
    covariance = np.cov(flat, rowvar=False)
    assert np.allclose(covariance / covariance[0, 0], np.eye(SIZE), atol=1e-3)


def test_exponent_and_shrinkage_scale_each_axis_as_they_say(cloud: NDArray[np.float64]) -> None:
    variances = spectrum(cloud)
    for exponent, shrinkage in ((0.7, 0.0), (1.0, 0.06), (0.0, 0.5)):
        fitted = fit(cloud, Whitening(dimension=9, exponent=exponent, shrinkage=shrinkage))
        floor = shrinkage * variances[0]
        wanted = ((variances[:9] + floor) / (variances[0] + floor)) ** (-exponent / 2)
        assert np.allclose(np.linalg.norm(fitted.matrix, axis=1), wanted, rtol=1e-4)


def test_what_cannot_be_fitted_is_refused(cloud: NDArray[np.float64]) -> None:
    for rows, dimension, words in (
        (cloud, SIZE + 1, "at most 16"),
        (cloud[:8], 8, "at most 7"),
        (np.ones((50, SIZE)), 3, "with variance"),
    ):
        with pytest.raises(ValueError, match=words):
            fit(rows, Whitening(dimension=dimension))
    for values in ({"dimension": 0}, {"exponent": 1.5}, {"shrinkage": -0.1}, {"exponent": float("nan")}):
        with pytest.raises(ValueError, match=next(iter(values))):
            Whitening(**{"dimension": 4} | values)
    with pytest.raises(ValueError, match=r"embeddings: .* row 1 near 0"):
        unit_rows(np.array([[1.0, 0], [0, 0]]))
    with pytest.raises(ValueError, match=r"embeddings: .* in row 0"):
        unit_rows(np.array([[np.nan, 0]]))
    with pytest.raises(ValueError, match="more than 16"):
        measure_isotropy(cloud[:16])


def test_the_appended_nodes_compute_the_map(cloud: NDArray[np.float64]) -> None:
    graph = ModelProto.FromString(tiny_graph())
    before = graph.SerializeToString(deterministic=True)
    fitted = fit(cloud, Whitening(dimension=10))
    longer = append_space(graph, fitted)
    assert graph.SerializeToString(deterministic=True) == before
    assert (ends_in_unit_length(longer), ends_in_unit_length(graph)) == (True, False)
    faces = np.random.default_rng(1).integers(0, 256, (40, 112, 112, 3), dtype=np.uint8)
    plain, ours = FaceRunner(before)(faces), FaceRunner(longer.SerializeToString())(faces)
    assert np.allclose(ours, fitted(plain), atol=1e-5)
    with pytest.raises(ValueError, match="without a space"):
        append_space(longer, SpaceMap(mean=np.zeros(10, np.float32), matrix=np.eye(10, dtype=np.float32)))


def test_a_runner_takes_8_bit_faces_and_nothing_else() -> None:
    runner = FaceRunner(tiny_graph(), threads=2)
    faces = np.random.default_rng(1).integers(0, 256, (70, 112, 112, 3), dtype=np.uint8)
    session = inference_session(tiny_graph(), threads=1)
    wanted = session.run(None, {"image": faces.transpose(0, 3, 1, 2).astype(np.float32) / 255})[0]
    assert np.allclose(runner(faces), wanted, atol=1e-5)
    wrong: Any
    for wrong in (faces.astype(np.float32), faces[0], faces.transpose(0, 3, 1, 2), faces[:0]):
        with pytest.raises(ValueError, match="faces: expected uint8"):
            runner(wrong)
    with pytest.raises(ValueError, match="graph: expected"):
        FaceRunner(b"\x00nothing")
    with pytest.raises(ValueError, match="threads"):
        FaceRunner(tiny_graph(), threads=0)


def test_a_device_averages_the_views_that_are_declared() -> None:
    faces = np.random.default_rng(2).integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
    runner = FaceRunner(tiny_graph())
    one, other = unit_rows(runner(faces)), unit_rows(runner(np.ascontiguousarray(faces[:, :, ::-1])))
    declaration = declared(dimension=SIZE)
    space = Space(id=bytes(32), graph_sha256="0" * 64, declaration=declaration, name="tiny")
    assert np.allclose(space.embed(runner, faces), unit_rows(one + other), atol=1e-12)
    alone = Space(id=bytes(32), graph_sha256="0" * 64, declaration=declared(dimension=SIZE, views="face"), name="tiny")
    assert np.allclose(alone.embed(runner, faces), one, atol=1e-12)
    frames = space.embed(runner, faces, mirrored(faces))
    assert np.allclose(frames, space.embed(runner, faces), atol=1e-12)
    with pytest.raises(ValueError, match=r"embeddings: expected \(N, 10\)"):
        Space(id=bytes(32), graph_sha256="0" * 64, declaration=declared(), name="tiny").embed(runner, faces)


def test_an_identity_changes_with_all_that_changes_what_is_computed() -> None:
    base: dict[str, object] = {"declaration": declared(), "input_convention": "face", "output": "space"}
    texts = ("facemin space v1", "a" * 64, "face", "space", "10", "face+mirror")
    wanted = hashlib.sha256(b"".join(len(t).to_bytes(4, "big") + t.encode() for t in texts)).digest()
    assert space_id("a" * 64, **base) == wanted  # type: ignore[arg-type]
    changes: tuple[dict[str, object], ...] = (
        {"declaration": declared(views="face")},
        {"declaration": declared(dimension=11)},
        {"input_convention": "other"},
        {"output": "spac"},
        {"input_convention": "fac", "output": "espace"},
    )
    ids = [wanted, space_id("b" * 64, **base)] + [space_id("a" * 64, **base | change) for change in changes]  # type: ignore[arg-type]
    assert all(one != other for one, other in combinations(ids, 2))
    # what was measured of a space does not change it
    assert space_id("a" * 64, **base | {"declaration": declared(fitted="else")}) == wanted  # type: ignore[arg-type]

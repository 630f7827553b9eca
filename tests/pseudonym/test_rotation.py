"""Rotations: orthogonal, uniform by their statistics, of unit length, and silent about themselves."""

import hashlib
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import beta, ks_2samp, kstest, ortho_group

from facemin.pseudonym import Pseudonym, average_views, haar
from facemin.pseudonym.derivation import normals
from tests.pseudonym.conftest import a_context, a_secret

Floats = NDArray[np.float64]


def seed(number: int) -> bytes:
    return hashlib.sha256(f"rotation {number}".encode()).digest()


def pseudonym(word: str = "ann", **changes: Any) -> Pseudonym:
    return Pseudonym(secret=a_secret(word), context=a_context(**changes))


def householder(matrix: Floats) -> Floats:
    """Q by the spec's own steps, in plain loops over columns."""
    upper, q = matrix.copy(), np.eye(len(matrix))
    for k in range(len(matrix)):
        v = upper[k:, k].copy()
        v[0] -= -np.linalg.norm(v) if v[0] > 0 else np.linalg.norm(v)
        v /= np.linalg.norm(v)
        upper[k:] -= 2 * np.outer(v, v @ upper[k:])
        q[:, k:] -= 2 * np.outer(q[:, k:] @ v, v)
    return np.asarray(q * np.sign(np.diagonal(upper)))


@pytest.mark.parametrize("dimension", [2, 3, 7, 64, 65, 128, 512])
def test_rotations_are_orthogonal(dimension: int) -> None:
    for number in range(3):
        q = haar(seed(number), dimension)
        assert np.abs(q.T @ q - np.eye(dimension)).max() < 1e-12
        assert np.abs(q @ q.T - np.eye(dimension)).max() < 1e-12


@pytest.mark.parametrize("dimension", [2, 7, 64, 128])
def test_it_is_the_q_of_the_spec(dimension: int) -> None:
    gaussian = normals(seed(1), dimension**2).reshape(dimension, dimension)
    q = haar(seed(1), dimension)
    assert np.abs(q - householder(gaussian)).max() < 1e-12
    upper = q.T @ gaussian
    assert np.abs(np.tril(upper, -1)).max() < 1e-12
    assert np.diagonal(upper).min() > 0


DRAWS, SIZE = 400, 8


@pytest.fixture(scope="module")
def ours() -> Floats:
    return np.stack([haar(seed(number), SIZE) for number in range(DRAWS)])


@pytest.fixture(scope="module")
def scipys() -> Floats:
    return np.asarray(ortho_group(SIZE, seed=np.random.default_rng(5)).rvs(DRAWS))


LEAST_P = 1e-3


def angles(matrices: Floats) -> Floats:
    return np.asarray(np.angle(np.linalg.eigvals(matrices)), np.float64).reshape(-1)


@pytest.mark.parametrize(
    "statistic",
    [
        lambda q: q[:, 0, 0],
        lambda q: q[:, 0, -1],
        lambda q: q[:, -1, 0],
        lambda q: q[:, -1, -1],
        lambda q: np.trace(q, axis1=1, axis2=2),
        lambda q: np.trace(q @ q, axis1=1, axis2=2),
        lambda q: np.abs(q).max((1, 2)),
        lambda q: q[:, 0, 0] * q[:, 1, 1] - q[:, 0, 1] * q[:, 1, 0],
        # of one angle a matrix, chosen without regard to it: those of one matrix repel one another
        lambda q: np.sort(np.abs(np.angle(np.linalg.eigvals(q))), 1)[:, SIZE // 2],
        lambda q: np.sort(np.angle(np.linalg.eigvals(q)), 1)[:, -1],
    ],
    ids=["first", "first row", "last row", "last", "trace", "trace 2", "largest", "minor", "middle angle", "end angle"],
)
def test_distributed_as_scipys_ortho_group(statistic: object, ours: Floats, scipys: Floats) -> None:
    assert callable(statistic)
    assert ks_2samp(statistic(ours), statistic(scipys)).pvalue > LEAST_P


def test_eigenvalue_angles_as_scipys(ours: Floats, scipys: Floats) -> None:
    assert ks_2samp(angles(ours), angles(scipys)).pvalue > LEAST_P


@pytest.mark.parametrize("place", [(0, 0), (3, 5), (SIZE - 1, SIZE - 1)])
def test_entries_have_their_exact_law(place: tuple[int, int], ours: Floats) -> None:
    """The square of a coordinate of a uniform point on the sphere is Beta(1/2, (D - 1)/2)."""
    entries = ours[:, place[0], place[1]]
    assert kstest(entries**2, beta(0.5, (SIZE - 1) / 2).cdf).pvalue > LEAST_P
    assert abs((entries > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(DRAWS)


def test_moments_of_the_trace(ours: Floats) -> None:
    """Of O(D): E tr = 0, E tr² = 1, E tr⁴ = 3 (Diaconis and Shahshahani 1994), E tr Q² = 1."""
    trace = np.trace(ours, axis1=1, axis2=2)
    for values, expected in ((trace, 0), (trace**2, 1), (trace**4, 3), (np.trace(ours @ ours, axis1=1, axis2=2), 1)):
        error = values.std() / np.sqrt(DRAWS)
        assert abs(values.mean() - expected) < 4 * error


def test_reflections_are_as_frequent(ours: Floats) -> None:
    assert abs((np.linalg.det(ours) > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(DRAWS)


def test_invariant_under_a_fixed_rotation(ours: Floats) -> None:
    """What Haar means: multiplied by any fixed matrix, from either side, the law is the same."""
    fixed = householder(np.random.default_rng(1).standard_normal((SIZE, SIZE)))
    law = beta(0.5, (SIZE - 1) / 2).cdf
    for moved in (fixed @ ours, ours @ fixed):
        assert kstest(moved[:, 0, 0] ** 2, law).pvalue > LEAST_P
        assert kstest(moved[:, 2, 1] ** 2, law).pvalue > LEAST_P


def test_without_the_signs_these_tests_would_fail() -> None:
    """LAPACK's bare Q is not uniform; the same statistic rejects it."""
    bare = np.stack([np.linalg.qr(normals(seed(n), SIZE * SIZE).reshape(SIZE, SIZE))[0] for n in range(DRAWS)])
    assert kstest(bare[:, 0, 0] ** 2, beta(0.5, (SIZE - 1) / 2).cdf).pvalue > LEAST_P
    assert (bare[:, 0, 0] > 0).mean() < 0.1


@pytest.mark.parametrize(
    "changes",
    [
        {"purpose": "other"},
        {"epoch": 4},
        {"origin": "https://other.example"},
        {"signer": b""},
        {"space": hashlib.sha256(b"other").digest()},
    ],
)
def test_another_context_gives_unrelated_targets(changes: dict[str, Any]) -> None:
    """Targets of one face under two rotations have a stranger's cosines: mean 0, deviation 1/8 in 64 dimensions."""
    embeddings = np.random.default_rng(2).standard_normal((200, 64))
    first, second = pseudonym().targets(embeddings), pseudonym(**changes).targets(embeddings)
    cosines = (first * second).sum(1)
    assert np.abs(cosines).max() < 0.6
    assert np.abs(pseudonym().matrix @ pseudonym(**changes).matrix.T - np.eye(64)).max() > 0.5


def test_scores_are_those_of_the_recogniser() -> None:
    rows = np.random.default_rng(3).standard_normal((50, 64)).astype(np.float32)
    unit = rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    targets = pseudonym().targets(rows)
    assert targets.dtype == np.float32
    assert np.abs(np.linalg.norm(targets.astype(np.float64), axis=1) - 1).max() < 1e-6
    assert np.abs(targets.astype(np.float64) @ targets.T - unit @ unit.T).max() < 1e-6
    assert np.abs(targets - unit @ pseudonym().matrix.T).max() < 1e-7


@given(st.floats(1e-5, 1e30), st.integers(0, 10**6))
@settings(deadline=None, max_examples=40)
def test_the_length_of_an_embedding_says_nothing(scale: float, number: int) -> None:
    """Not a bit of it: a recogniser that writes into the length writes for nobody."""
    rows = np.random.default_rng(number).standard_normal((3, 64))
    scale = 2.0 ** round(math.log2(scale))  # exact, so that the rows' directions are equal to the last bit
    made = pseudonym()
    assert made.targets(rows * scale).tobytes() == made.targets(rows).tobytes()


def test_nothing_in_nothing_out() -> None:
    assert pseudonym().targets(np.empty((0, 64))).shape == (0, 64)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (np.ones((2, 63)), r"expected \(N, 64\), got \(2, 63\)"),
        (np.ones(64), r"expected real numbers \(N, D\)"),
        (np.ones((1, 2, 64)), r"\(N, D\)"),
        (np.ones((1, 64), complex), "real"),
        (np.ones((1, 64), bool), "real"),
        ([["a"] * 64], "real"),
        (np.where(np.eye(3, 64) == 1, np.nan, 1.0), "finite numbers, got others in row 0"),
        (np.where(np.eye(3, 64, -1) == 1, np.inf, 1.0), "row 1"),
        (np.eye(3, 64)[[0, 1, 2]] * [[1], [0], [1]], "row 1 near 0"),
    ],
)
def test_bad_embeddings_are_named(rows: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pseudonym().targets(rows)  # type: ignore[arg-type]


def test_views_are_averaged_by_direction() -> None:
    face, mirror = np.array([[3.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 0.1], [0.0, 5.0]])
    half = np.sqrt(0.5)
    assert average_views([face, mirror]) == pytest.approx(np.array([[half, half], [0, 1]]))
    assert average_views([face]) == pytest.approx(np.array([[1.0, 0], [0, 1]]))
    assert average_views(list(np.stack([face, mirror]))) == pytest.approx(average_views([face, mirror]))


@pytest.mark.parametrize(
    ("views", "said"),
    [
        ([], "at least one"),
        ([np.ones((2, 4)), np.ones((3, 4))], r"\(3, 4\)"),
        ([np.ones((1, 4)), -np.ones((1, 4))], "mean of the views"),
        ([np.ones((1, 4)), np.full((1, 4), np.nan)], r"views\[1\]"),
    ],
)
def test_bad_views_are_named(views: list[Floats], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        average_views(views)


def test_it_is_described_by_fingerprints_only() -> None:
    made = pseudonym()
    shown = f"{made!r} {made.describe()}"
    assert made.secret.data.hex() not in shown
    assert repr(made.secret.data) not in shown
    assert f"{made.matrix[0, 0]:.6f}" not in shown
    assert made.describe() == {
        "secret": made.secret.fingerprint,
        "pseudonym": made.fingerprint,
        "origin": "https://id.example",
        "signer": made.context.signer.hex(),
        "space": made.context.space.hex(),
        "dimension": 64,
        "purpose": "main",
        "epoch": 3,
    }
    assert len({made.fingerprint, pseudonym("bob").fingerprint, pseudonym(epoch=4).fingerprint}) == 3


def test_it_cannot_be_changed() -> None:
    made = pseudonym()
    assert made.matrix is made.matrix
    with pytest.raises(ValueError, match="read-only"):
        made.matrix[0, 0] = 0


def test_a_new_secret_gives_unrelated_targets() -> None:
    rows = np.random.default_rng(4).standard_normal((1, 64))
    old, new = Pseudonym(secret=a_secret(), context=a_context()), Pseudonym(secret=a_secret("bob"), context=a_context())
    assert (old.targets(rows) @ new.targets(rows).T).item() < 0.7


@pytest.mark.parametrize("dimension", [0, 1, 1025, 2.0])
def test_other_dimensions_are_refused(dimension: int) -> None:
    with pytest.raises(ValueError, match=r"2\.\.1024"):
        haar(seed(0), dimension)

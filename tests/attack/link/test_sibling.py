"""Fine-tuned siblings: they move away from the original, and their graphs compute what they do."""

import pytest
import torch
from torch.nn import functional as F

from facemin.attack.link.sibling import as_recogniser, fine_tuned
from facemin.keys.key import export_key
from facemin.models import DEFAULT_MODEL, Recogniser, load_recogniser
from facemin.models.onnx.run import FaceRunner
from tests.attack.conftest import draw
from tests.models.test_store import tiny_graph

FACES, PEOPLE = draw(4, 4, seed=7)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Recogniser:
    path = tmp_path_factory.mktemp("models") / "tiny.onnx"
    path.write_bytes(tiny_graph(seed=3))
    return load_recogniser(path)


def spread(rows: torch.Tensor) -> float:
    """Mean cosine within people less that between them."""
    same = PEOPLE[:, None] == PEOPLE
    cosines = rows @ rows.T
    return float(cosines[same].mean() - cosines[~same].mean())


def test_learns_the_people_it_is_tuned_on(original: Recogniser) -> None:
    before = original(FACES)
    network = fine_tuned(original, FACES, PEOPLE, steps=100, rate=5e-2)
    with torch.no_grad():
        after = network(FACES)
    assert spread(after) > spread(before) + 0.1
    assert torch.equal(original(FACES), before)


def test_the_same_seed_gives_the_same_sibling_and_leaves_the_callers_randomness(original: Recogniser) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    rows = [fine_tuned(original, FACES, PEOPLE, steps=2, seed=seed)(FACES) for seed in (1, 1, 2)]
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])


def test_a_shipped_network_becomes_a_recogniser_with_keys_of_its_own() -> None:
    original = load_recogniser(DEFAULT_MODEL)
    network = fine_tuned(original, FACES, PEOPLE, steps=1, exportable=True)
    made = as_recogniser(network, original)
    with torch.no_grad():
        expected, before = network(FACES[:2]), original(FACES[:2])
    assert float(F.cosine_similarity(expected, before).max()) < 0.999
    torch.testing.assert_close(made(FACES[:2]), expected, atol=1e-5, rtol=1e-4)
    pixels = (FACES[:2] * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    rows = torch.from_numpy(FaceRunner(made.graph.SerializeToString())(pixels)).flatten(1)
    torch.testing.assert_close(F.normalize(rows), expected, atol=1e-4, rtol=1e-3)
    keys = [export_key(one, original.cuts[-1].name, provider="test", residual=0.1) for one in (original, made)]
    assert keys[0].manifest.sha256 != keys[1].manifest.sha256


def test_weights_that_the_graph_has_otherwise_are_refused() -> None:
    original = load_recogniser(DEFAULT_MODEL)
    network = fine_tuned(original, FACES, PEOPLE, steps=1)
    with pytest.raises(ValueError, match="expected changes of weights that dlib-resnet29 holds"):
        as_recogniser(network, original)


def test_refuses_one_person_alone(original: Recogniser) -> None:
    with pytest.raises(ValueError, match="at least two people"):
        fine_tuned(original, FACES, torch.zeros_like(PEOPLE), steps=1)
    with pytest.raises(ValueError, match="faces, people"):
        fine_tuned(original, FACES, PEOPLE[:3], steps=1)

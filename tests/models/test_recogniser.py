"""The recogniser contract (design, contract 1), over every recogniser there is."""

from pathlib import Path

import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor

from facemin.datasets import landmarks, lfw_pairs
from facemin.evaluation.photo_reader import PhotoReader
from facemin.metrics import pair_scores, tar_at_far
from facemin.models import MODELS, Recogniser, load_recogniser

SHARED = (
    "mobileface-v3",
    "mobilefacenet-casia-arcface",
    "mobilefacenet-casia-arcface-b",
    "mobilefacenet-ms1m-arcface",
    "mobilefacenet-vggface2-amsoftmax",
    "mobilefacenet-y1-ms1m-arcface",
)
FACES = torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=[*MODELS, *SHARED])
def recogniser(request: pytest.FixtureRequest) -> Recogniser:
    if request.param in MODELS:
        return load_recogniser(request.param)
    folder: Path = request.getfixturevalue("shared")
    return load_recogniser(folder / "models" / f"{request.param}.onnx")


class TestEveryRecogniser:
    def test_gives_unit_rows(self, recogniser: Recogniser) -> None:
        rows = recogniser(FACES)
        assert rows.shape == (3, recogniser.embedding_size)
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))

    def test_until_and_after_compose_to_the_whole(self, recogniser: Recogniser) -> None:
        whole = recogniser(FACES)
        names = [cut.name for cut in recogniser.cuts]
        for name in {names[0], names[len(names) // 3], names[len(names) // 2], names[-2]}:
            features = recogniser.front(name)(FACES)
            assert tuple(features.shape[1:]) == recogniser.cut(name).shape
            torch.testing.assert_close(recogniser.head(name)(features), whole, atol=1e-5, rtol=0)

    def test_cuts_run_from_the_input_on(self, recogniser: Recogniser) -> None:
        shares = [cut.share for cut in recogniser.cuts]
        assert shares == sorted(shares)
        assert 0 <= shares[0] <= shares[-1] <= 1
        assert len({cut.name for cut in recogniser.cuts}) == len(shares) >= 5

    def test_passes_gradients_to_the_image(self, recogniser: Recogniser) -> None:
        faces = FACES[:2].clone().requires_grad_()
        (slope,) = torch.autograd.grad(recogniser(faces)[:, 0].sum(), faces)
        assert slope.abs().sum() > 0

    def test_is_not_changed_by_use(self, recogniser: Recogniser) -> None:
        before = [buffer.clone() for buffer in recogniser.buffers()]
        recogniser.train()
        recogniser(FACES)
        assert not recogniser.training
        assert all(not value.requires_grad for value in [*recogniser.parameters(), *recogniser.buffers()])
        assert all(torch.equal(a, b) for a, b in zip(before, recogniser.buffers(), strict=True))

    def test_rows_do_not_depend_on_each_other(self, recogniser: Recogniser) -> None:
        torch.testing.assert_close(torch.cat([recogniser(face[None]) for face in FACES]), recogniser(FACES))

    def test_refuses_an_unknown_cut(self, recogniser: Recogniser) -> None:
        with pytest.raises(ValueError, match="no-such-cut"):
            recogniser.front("no-such-cut")


def test_fingerprint_is_that_of_the_weights(recogniser: Recogniser) -> None:
    assert len(recogniser.fingerprint) == 64
    if recogniser.name == "dlib-resnet29":
        again = Recogniser(recogniser.graph, name="other")
        assert again.fingerprint == recogniser.fingerprint


def softmax_twice(output: str, version: int) -> Recogniser:
    """Two candidates for an embedding, the second made of the first."""
    shape = [None, 3, 112, 112]
    nodes = [
        helper.make_node("Softmax", ["face"], ["first"], axis=1),
        helper.make_node("Relu", ["first"], ["second"]),
    ]
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info("face", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)])
    return Recogniser(model, name="two")


def test_fingerprint_says_which_value_is_the_embedding_and_what_operators_mean() -> None:
    kinds = [("second", 13), ("first", 13), ("second", 12)]
    assert len({softmax_twice(*kind).fingerprint for kind in kinds}) == 3
    assert softmax_twice("second", 13).fingerprint == softmax_twice("second", 14).fingerprint


def test_the_head_after_the_embedding_is_the_identity(recogniser: Recogniser) -> None:
    output = recogniser.graph.graph.output[0].name
    if output not in {cut.name for cut in recogniser.cuts}:
        pytest.skip("its embedding is no cut")
    with torch.inference_mode():
        rows = recogniser.head(output)(recogniser.front(output)(FACES))
        torch.testing.assert_close(rows, recogniser(FACES))


def test_unknown_model_is_refused() -> None:
    with pytest.raises(ValueError, match="dlib-resnet29"):
        load_recogniser("no-such-model")


def test_dlib_recognises_people_of_lfw(shared: Path) -> None:
    """200 official pairs; the whole protocol is in docs/recognisers.md."""
    places = landmarks(shared / "data" / "lfw_landmarks.npz")
    listed = lfw_pairs(shared / "data" / "lfw_pairs.txt")[:600]
    pairs = listed[:100] + listed[300:400]

    def faces(paths: list[str]) -> Tensor:
        reader = PhotoReader(root=shared / "data" / "lfw", paths=paths, points=places)
        return torch.stack([reader(at).face for at in range(len(paths))])

    recogniser = load_recogniser("dlib-resnet29")
    with torch.inference_mode():
        first, second = (
            torch.cat([recogniser(part) for part in torch.split(faces([getattr(p, side) for p in pairs]), 32)])
            for side in ("path_a", "path_b")
        )
    scores = pair_scores(first, second)
    same = torch.tensor([pair.same for pair in pairs])
    # 0.988 over all 6,000 pairs; a misread layer or a wrong geometry falls far below
    assert tar_at_far(scores[same], scores[~same], far=0.02).tar > 0.95

"""model add, list, show, cuts and remove, as a person runs them."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor
from torch.nn.functional import normalize

from facemin.autograd.opening import open_model
from facemin.autograd.pixels import to_unit
from facemin.image import encode
from facemin.keys.key import Key
from facemin.models import load_recogniser
from facemin.models.preprocess import Preprocess
from facemin.runtime.files import write_atomically
from facemin.train.families import FAMILIES, stages
from tests.cli.conftest import Call
from tests.models.test_store import SIZE, tiny_graph
from tests.pictures import decode_tensor, encode_tensor


def test_a_models_life(call: Call, file: Path, home: Path) -> None:
    flags = ("--scale", 255, "--mean", 127.5, 127.5, 127.5, "--std", 128, 128, 128, "--channels", "BGR")
    added = call("model", "add", file, "--licence", "MIT", "--source", "a friend", *flags, "--json")
    assert (added.returncode, added.stderr) == (0, "")
    entry = json.loads(added.stdout)
    assert (entry["name"], entry["licence"], entry["source"]) == ("tiny", "MIT", "a friend")
    assert (entry["embedding_size"], entry["calibration"]) == (SIZE, None)
    assert entry["preprocess"]["mean"] == [127.5] * 3
    listed = json.loads(call("model", "list", "--json").stdout)
    assert [(one["name"], one["default"]) for one in listed] == [
        ("dlib-resnet29", True),
        ("dlib-resnet29-space66", False),
        ("tiny", False),
    ]
    shown = json.loads(call("model", "show", "tiny", "--json").stdout)
    wanted = Preprocess(scale=255, mean=(127.5,) * 3, std=(128.0,) * 3, channels="BGR")
    assert shown == entry | {"fingerprint": load_recogniser(file, preprocess=wanted).fingerprint}
    text = call("model", "show", "tiny").stdout
    assert "licence         MIT\n" in text
    assert "not measured: facemin eval" in text
    taken = call("model", "add", file, "--licence", "MIT")
    assert taken.returncode == 2
    assert "--force" in taken.stderr
    assert call("model", "add", file, "--licence", "BSD", "--force").returncode == 0
    removed = call("model", "remove", "tiny", "--json")
    assert (removed.returncode, json.loads(removed.stdout)) == (0, {"removed": "tiny"})
    assert list((home / "models").iterdir()) == []
    assert call("model", "show", "tiny").returncode == 2


def test_what_is_refused_leaves_nothing(call: Call, file: Path, home: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.pt").write_bytes(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.")
    for arguments, words in (
        (("add", file, "--licence", "MIT", "--name", "A"), "name: expected"),
        (("add", file, "--licence", "MIT", "--size", 96, 112), "expected a graph that takes (3, 96, 112)"),
        (("add", file, "--licence", "MIT", "--std", 0, 1, 1), "std not 0"),
        (("add", tmp_path / "bad.pt", "--licence", "MIT"), "expected a family"),
        (("add", tmp_path / "missing.onnx", "--licence", "MIT"), "missing.onnx"),
        (
            ("cuts", "nobody"),
            "model: expected one of dlib-resnet29, dlib-resnet29-space66, or an .onnx file; got 'nobody'",
        ),
        (("remove", "../home"), "expected a stored one"),
        (("remove", "nobody", "--json"), "expected a stored one"),
    ):
        done = call("model", *arguments)
        assert done.returncode == 2
        assert words in done.stderr
        assert done.stdout == ""
    assert not home.exists()


def test_cuts_of_a_file_and_of_a_name(call: Call, file: Path) -> None:
    rows = json.loads(call("model", "cuts", file, "--scale", 1, "--json").stdout)
    assert [(row["name"], row["shape"], row["parameters"]) for row in rows] == [
        ("pooled", [3, 4, 4], 0),
        ("flat", [48], 0),
        ("embedding", [SIZE], 48 * SIZE),
    ]
    assert [row["share"] for row in rows] == [0, 0, 1]
    lines = call("model", "cuts", "dlib-resnet29").stdout.splitlines()
    cuts = load_recogniser("dlib-resnet29").cuts
    assert len(lines) == 1 + len(cuts)
    assert lines[0].split() == ["cut", "shape", "parameters", "computation"]
    assert lines[-1].split()[0] == cuts[-1].name
    assert lines[-1].split()[-2:] == [f"{cuts[-1].parameters:,}", "100.0%"]


def test_a_stored_model_makes_keys_and_verifies(call: Call, file: Path, photos: Path, tmp_path: Path) -> None:
    call("model", "add", file, "--licence", "MIT")
    out = tmp_path / "tiny.key.onnx"
    made = call(
        "key", "export", out, "--provider", "me", "--model", "tiny", "--cut", "flat", "--residual", 0.1, "--json"
    )
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["recogniser"] == "tiny"
    same = call("verify", photos / "one.png", photos / "one.png", "--model", "tiny", "--threshold", 0.9, "--json")
    assert same.returncode == 0, same.stderr
    torch.testing.assert_close(json.loads(same.stdout)["cosine"], 1.0, atol=1e-5, rtol=0)


def test_the_embedding_and_the_order_of_axes_are_named(call: Call, tmp_path: Path, home: Path) -> None:
    """A graph that takes channels last and gives a norm before the embedding."""
    model = onnx.load_from_string(tiny_graph())
    channels_last = onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, ["batch", 112, 112, 3])
    model.graph.input[0].CopyFrom(channels_last)
    model.graph.node.insert(0, onnx.helper.make_node("Transpose", ["pixels"], ["image"], perm=[0, 3, 1, 2]))
    model.graph.node.append(onnx.helper.make_node("ReduceL2", ["embedding"], ["norm"], axes=[1]))
    model.graph.output.insert(0, onnx.helper.make_tensor_value_info("norm", onnx.TensorProto.FLOAT, None))
    path = tmp_path / "two.onnx"
    path.write_bytes(model.SerializeToString())
    add = ("model", "add", path, "--licence", "MIT")
    for flags, words in (
        ((), "its channels come last (--layout NHWC)"),
        (("--layout", "NHWC"), "got norm, embedding: name it (--output NAME)"),
        (("--layout", "NHWC", "--output", "norm"), "two numbers or more"),
        (("--layout", "NHWC", "--output", "other"), "expected an output among ['norm', 'embedding'], got 'other'"),
    ):
        done = call(*add, *flags)
        assert done.returncode == 2
        assert words in " ".join(done.stderr.split())
    assert not (home / "models").exists()
    done = call(*add, "--layout", "NHWC", "--output", "embedding", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["embedding_size"] == SIZE
    cuts = json.loads(call("model", "cuts", "two", "--json").stdout)
    assert cuts[-1]["name"] == "embedding"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two aligned faces, for all that a random network knows: coarse patterns."""
    generator = torch.Generator().manual_seed(4)
    paths = tmp_path / "probe.png", tmp_path / "enrolment.png"
    for path in paths:
        pattern = torch.rand(3, 4, 4, generator=generator)
        path.write_bytes(encode_tensor(pattern.repeat_interleave(28, 1).repeat_interleave(28, 2)))
    return paths


def tensors(paths: tuple[Path, Path]) -> Tensor:
    return torch.stack([to_unit(decode_tensor(path)) for path in paths])


def test_a_bare_file_verifies_and_makes_keys_as_flags_say(
    call: Call, file: Path, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    flags = ("--mean", 127.5, 64, 64, "--std", 128, 128, 64, "--channels", "BGR")
    wanted = load_recogniser(
        file, preprocess=Preprocess(scale=255, mean=(127.5, 64.0, 64.0), std=(128.0, 128.0, 64.0), channels="BGR")
    )
    cosines = {}
    for name, given in (("plain", ()), ("flags", flags)):
        done = call("verify", *pair, "--model", file, "--threshold", -1, *given, "--json")
        assert done.returncode == 0, done.stderr
        cosines[name] = json.loads(done.stdout)["cosine"]
    probe, enrolment = wanted(tensors(pair))
    assert cosines["flags"] == pytest.approx(float(probe @ enrolment), abs=1e-5)
    assert abs(cosines["plain"] - cosines["flags"]) > 1e-3

    out = tmp_path / "tiny.key.onnx"
    export = ("key", "export", out, "--provider", "me", "--model", file, "--cut", "flat", "--residual", 0.1)
    made = call(*export, *flags, "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["file"] == str(out)
    faces = tensors(pair)
    torch.testing.assert_close(Key.load(out).shallow(faces), wanted.front("flat")(faces))


@pytest.mark.parametrize("verb", ["verify", "export"])
def test_flags_for_a_model_that_has_its_own_are_refused(
    call: Call, pair: tuple[Path, Path], tmp_path: Path, verb: str
) -> None:
    out = tmp_path / "no.key.onnx"
    start = ("verify", *pair) if verb == "verify" else ("key", "export", out, "--provider", "me")
    done = call(*start, "--channels", "BGR")
    assert done.returncode == 2
    assert "expected preprocessing for an .onnx file only, got it for 'dlib-resnet29'" in done.stderr
    assert not out.exists()


def test_a_checkpoint_of_a_family_embeds_as_the_family_does(
    call: Call, home: Path, pair: tuple[Path, Path], faces: Path, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    network = FAMILIES["mobilefacenet"]()
    for tensor in network.state_dict().values():
        if tensor.is_floating_point() and tensor.dim() == 1:
            tensor.uniform_(0.5, 1.5)  # as after training: no two statistics alike
    file = tmp_path / "mine.pt"
    torch.save({"state_dict": network.state_dict(), "epoch": 3}, file)
    refused = call("model", "add", file, "--family", "mobilenet", "--licence", "ours")
    assert refused.returncode == 2
    assert "expected a state dict with exactly the family's tensors" in refused.stderr
    assert not home.exists()

    added = call("model", "add", file, "--family", "mobilefacenet", "--licence", "ours", "--json")
    assert added.returncode == 0, added.stderr
    shown = json.loads(call("model", "show", "mine", "--json").stdout)
    assert (shown["family"], shown["embedding_size"]) == ("mobilefacenet", 128)
    assert shown["weights_sha256"] is not None
    cuts = [row["name"] for row in json.loads(call("model", "cuts", "mine", "--json").stdout)]
    assert set(stages(network)[1:]) <= set(cuts)

    with torch.no_grad():
        native = normalize(network.eval()(tensors(pair)))
        torch.testing.assert_close(open_model("mine")(tensors(pair)), native, rtol=1e-4, atol=1e-5)
    done = call("verify", *pair, "--model", "mine", "--threshold", -1, "--json")
    assert json.loads(done.stdout)["cosine"] == pytest.approx(float(native[0] @ native[1]), abs=1e-4)

    evaluated = call("eval", faces, "--model", "mine", "--json")
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["n"]["images"] == 24
    assert json.loads(call("model", "show", "mine", "--json").stdout)["calibration"]["model"] == "mine"


def test_a_graph_of_another_size_is_told_how_to_get_it(call: Call, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 198, 198])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 3])
    graph = helper.make_graph(nodes, "large", [image], [embedding])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "large.onnx").write_bytes(model.SerializeToString())
    refused = call("model", "add", tmp_path / "large.onnx", "--licence", "MIT")
    assert refused.returncode == 2
    assert "got (3, 198, 198); --size 198 198 resizes faces for it" in refused.stderr
    assert call("model", "add", tmp_path / "large.onnx", "--licence", "MIT", "--size", 198, 198).returncode == 0


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """28 people of three aligned photos each: blocks of a person's own colours, with noise."""
    root, rng = tmp_path_factory.mktemp("people"), np.random.default_rng(0)
    for person in range(28):
        blocks = rng.uniform(0.2, 0.8, (3, 4, 4)).repeat(28, 1).repeat(28, 2)
        for photo in range(3):
            noise = rng.normal(0, 0.03, (3, 4, 4)).repeat(28, 1).repeat(28, 2)
            path = root / f"p{person}" / f"{photo}.png"
            pixels = (255 * (blocks + noise).clip(0, 1)).round().astype(np.uint8).transpose(1, 2, 0)
            write_atomically(path, encode(pixels))
    return root


def test_a_space_is_fitted_chosen_and_reported_on_different_people(call: Call, file: Path, people: Path) -> None:
    call("model", "add", file, "--licence", "MIT", "--scale", 1)
    done = call("model", "isotropic", "tiny", "--data", people, "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["people"] == {"fit": 15, "choose": 8, "report": 5}
    dimension = made["space"]["dimension"]
    assert (made["name"], 8 <= dimension <= 16) == (f"tiny-space{dimension}", True)
    assert [(m["space"], m["views"]) for m in made["measured"]] == [
        (space, views) for space in (False, True) for views in ("face", "face+mirror")
    ]
    assert all(0 <= rate["low"] <= rate["tar"] <= rate["high"] <= 1 for m in made["measured"] for rate in m["rates"])
    assert (made["genuine_pairs"], made["impostor_pairs"]) == (5, 10 * 9)
    assert (len(made["spectrum"]["before"]), len(made["spectrum"]["after"])) == (16, dimension)
    opened = open_model(made["name"])
    assert opened.space is not None
    assert opened.space.model_dump(mode="json") == made["space"]
    assert str(people) not in made["space"]["fitted"]
    again = call("model", "isotropic", "tiny", "--data", people, "--dimension", 9, "--exponent", 1, "--shrinkage", 0)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("tiny-space9: 15 people of")
    assert open_model("tiny-space9").embedding_size == 9
    for arguments, words in (
        (("tiny", "--data", people, "--dimension", 9), "expected one that is free"),
        (("tiny", "--data", people, "--dimension", 17), "dimension: expected at most 16"),
        (("tiny-space9", "--data", people), "without a space"),
        (("nobody", "--data", people), "expected a stored one"),
        (("tiny", "--data", people / "p0"), "expected"),
    ):
        refused = call("model", "isotropic", *arguments)
        assert refused.returncode == 2
        assert words in refused.stderr

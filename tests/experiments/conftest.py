"""A small world to measure in: people of patterns, two tiny recognisers, and a distance of two images."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from facemin.experiments import Outcome, Place, Watch, read_experiment, run
from facemin.runtime.files import write_atomically
from tests.conftest import REPOSITORY
from tests.models.test_store import tiny_graph
from tests.pictures import patterned_people

PEOPLE, PHOTOS = 16, 4
FOLDERS = [REPOSITORY / "experiments", REPOSITORY / "benchmarks"]
"""Of scripts."""

TOML = """
title = "A small matrix"
source = "PMT, Table VII"
remark = "On patterns."
layout = "matrix"
operations = ["none", "blur-1", "jpeg-75"]

[data]
set = "faces"
genuine = 6
impostor = 5
calibration = 12

[quick]
genuine = 2
impostor = 2
calibration = 10
steps = 3

[judges]
names = ["one", "two"]
far = 0.02

[method]
preset = "pmt"
steps = 25
residual = 0.05

[[cell]]
name = "one"
keys = [{ recogniser = "one", cut = "flat" }]
paper = { authorised = 0.99, unauthorised = 0.077 }

[[cell]]
name = "both"
keys = [{ recogniser = "one", cut = "embedding" }, { recogniser = "two", cut = "embedding", residual = 0.2 }]
method = { steps = 8 }

[paper]
set = "LFW"
n = 104
columns = ["authorised", "MobileFace"]
rows = [["Clean", 0.994], ["MobileFace", 0.99]]
"""


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with faces/, models/ and the experiment small.toml."""
    root = tmp_path_factory.mktemp("bench")
    patterned_people(root / "faces", PEOPLE, PHOTOS, noise=0.4, name="person {person:02}/{photo}.png")
    write_atomically(root / "models" / "one.onnx", tiny_graph(seed=0))
    write_atomically(root / "models" / "two.onnx", tiny_graph(seed=1))
    write_atomically(root / "models" / "apart.onnx", distance_graph())
    write_atomically(root / "small.toml", TOML.encode())
    return root


def distance_graph() -> bytes:
    """Mean absolute difference of two images, in [0, 1] for images in [0, 255]."""
    nodes = [
        helper.make_node("Sub", ["image", "reference"], ["difference"]),
        helper.make_node("Abs", ["difference"], ["size"]),
        helper.make_node("ReduceMean", ["size"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Div", ["mean", "white"], ["distance"]),
    ]
    faces = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3, 112, 112])
        for name in ("image", "reference")
    ]
    out = [helper.make_tensor_value_info("distance", TensorProto.FLOAT, ["batch"])]
    white = numpy_helper.from_array(np.array(255, np.float32), "white")
    graph = helper.make_graph(nodes, "apart", faces, out, [white])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


Measure = Callable[..., Outcome]


def measured(
    world: Path,
    folder: Path,
    text: str = TOML,
    *,
    name: str = "small",
    quick: bool = False,
    place: Place | None = None,
    watch: Watch | None = None,
) -> Outcome:
    """Run an experiment's text on the world's faces; file and records go to a folder."""
    file = folder / f"{name}.toml"
    file.write_text(text, encoding="utf-8")
    return run(
        read_experiment(file),
        name=name,
        place=place or Place("faces", world / "faces", None, None),
        models=world / "models",
        out=folder / "out",
        quick=quick,
        device="cpu",
        watch=watch,
    )


@pytest.fixture
def measure(world: Path, tmp_path: Path) -> Measure:
    """`measured` in a folder of the test's own."""
    return partial(measured, world, tmp_path)


@pytest.fixture
def own_modules() -> Iterator[None]:
    """Modules beside a script are forgotten after it, since those of several folders have one name."""
    path, known = sys.path.copy(), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - known:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and any(Path(file).is_relative_to(folder) for folder in FOLDERS):
            del sys.modules[name]

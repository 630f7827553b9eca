"""The model store: what goes in comes out unchanged, or not at all."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from facemin.autograd.opening import open_model
from facemin.keys.key import export_key
from facemin.models import load_recogniser
from facemin.models.calibration import Calibration, Threshold
from facemin.models.preprocess import Preprocess
from facemin.models.space import Isotropy, SpaceDeclaration
from facemin.models.space_fit import SpaceMap
from facemin.models.store import ModelStore, calibration_of

SIZE = 16


def tiny_graph(*, seed: int = 0, size: int = SIZE) -> bytes:
    """A recogniser of 16 numbers: means of 28 x 28 blocks, then a random matrix."""
    matrix = np.random.default_rng(seed).standard_normal((48, size)).astype(np.float32)
    model = onnx.parser.parse_model(f"""
        <ir_version: 9, opset_import: ["": 17]>
        tiny (float[batch, 3, 112, 112] image) => (float[batch, {size}] embedding) {{
            pooled = AveragePool <kernel_shape = [28, 28], strides = [28, 28]> (image)
            flat = Flatten (pooled)
            embedding = Gemm (flat, matrix)
        }}
    """)
    model.graph.initializer.append(numpy_helper.from_array(matrix, "matrix"))
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def calibration(name: str, fingerprint: str) -> Calibration:
    threshold = Threshold(far=1e-3, threshold=0.3, far_measured=1e-3, impostor_pairs=9000, genuine_pairs=9, tar=0.9)
    return Calibration(
        model=name, fingerprint=fingerprint, data="d", command="c", thresholds=(threshold,), residuals=()
    )


@pytest.fixture
def store() -> ModelStore:
    return ModelStore()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_graph())
    return path


def files(store: ModelStore) -> list[str]:
    return sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file())


def test_a_model_comes_out_as_it_went_in(store: ModelStore, file: Path) -> None:
    assert (store.names(), "acme" in store) == ([], False)
    settings_ = Preprocess(scale=255.0, mean=(127.5, 127.5, 127.5), std=(128.0, 128.0, 128.0), channels="BGR")
    added = store.add(file, name="acme", licence=" MIT ", source="a friend", preprocess=settings_)
    assert store.names() == ["acme"]
    assert files(store) == ["acme/entry.json", "acme/model.onnx"]
    assert store.entry("acme") == added
    assert (added.licence, added.source, added.embedding_size, added.preprocess) == ("MIT", "a friend", SIZE, settings_)
    faces = torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    expected = load_recogniser(file, preprocess=settings_)
    opened = open_model("acme")
    assert opened.name == "acme"
    assert opened.fingerprint == expected.fingerprint
    assert torch.equal(opened(faces), expected(faces))


def test_names_are_checked(store: ModelStore, file: Path) -> None:
    for name in ("", "-a", ".a", "A", "a/b", "..", "a\n", "ä", "x" * 65, "a.onnx", "b.pt", "dlib-resnet29"):
        with pytest.raises(ValueError, match="name: expected"):
            store.add(file, name=name, licence="MIT")
    for name in ("a", "0", "a.b_c-d", "x" * 64):
        store.add(file, name=name, licence="MIT")
    assert store.names() == sorted(("a", "0", "a.b_c-d", "x" * 64))


@given(name=st.text(max_size=70))
@settings(max_examples=300)
def test_no_name_leads_out_of_the_store(name: str) -> None:
    # nothing is there, so whatever the text, it must be a refusal and never an access elsewhere
    store = ModelStore(root=Path(__file__).parent / "no such folder")
    assert name not in store
    for call in (store.entry, store.open, store.remove):
        with pytest.raises(ValueError, match="expected a stored one"):
            call(name)


def test_a_taken_name_needs_force(store: ModelStore, file: Path) -> None:
    before = store.add(file, name="acme", licence="MIT")
    file.write_bytes(tiny_graph(seed=1))
    with pytest.raises(ValueError, match="--force"):
        store.add(file, name="acme", licence="MIT")
    assert store.entry("acme") == before
    after = store.add(file, name="acme", licence="MIT", force=True)
    assert after.sha256 != before.sha256
    assert store.entry("acme") == after
    assert files(store) == ["acme/entry.json", "acme/model.onnx"]
    assert sorted(path.name for path in store.root.iterdir()) == ["acme"]


def test_a_model_that_lost_the_race_for_its_name_changes_nothing(
    store: ModelStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store.add(file, name="acme", licence="MIT")
    # as if the other process had added it between the look and the rename
    monkeypatch.setattr(ModelStore, "__contains__", lambda self, name: False)
    with pytest.raises(ValueError, match="expected one that is free"):
        store.add(file, name="acme", licence="other")
    monkeypatch.undo()
    monkeypatch.setenv("FACEMIN_HOME", str(store.root.parent))
    assert store.entry("acme") == before
    assert sorted(path.name for path in store.root.iterdir()) == ["acme"]


def test_a_refused_file_leaves_nothing(store: ModelStore, tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    for data in (b"", b"no graph", tiny_graph()[:-100]):
        bad.write_bytes(data)
        with pytest.raises(ValueError, match=r"bad\.onnx"):
            store.add(bad, name="acme", licence="MIT")
    bad.write_bytes(tiny_graph())
    with pytest.raises(ValueError, match="licence: expected"):
        store.add(bad, name="acme", licence=" ")
    with pytest.raises(ValueError, match="takes"):
        store.add(bad, name="acme", licence="MIT", preprocess=Preprocess(size=(100, 100)))
    with pytest.raises(ValueError, match="family"):
        store.add(bad, name="acme", licence="MIT", family="mobilefacenet")
    with pytest.raises(FileNotFoundError):
        store.add(tmp_path / "missing.onnx", name="acme", licence="MIT")
    assert store.names() == []
    assert not store.root.exists()


def test_a_full_disk_leaves_nothing(store: ModelStore, file: Path) -> None:
    resource = pytest.importorskip("resource", reason="a file-size limit is POSIX's")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="large"):
            store.add(file, name="acme", licence="MIT")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.names() == []
    assert list(store.root.iterdir()) == []


def test_an_add_that_was_killed_is_never_seen(store: ModelStore, file: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from facemin.models import store\n"
        "write = store.write_atomically\n"
        "def dying(path, data):\n"
        "    if path.name == 'entry.json': os._exit(9)\n"
        "    write(path, data)\n"
        "store.write_atomically = dying\n"
        "store.ModelStore().add(Path(sys.argv[1]), name='acme', licence='MIT')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], check=False)
    assert done.returncode == 9
    assert files(store) != []
    assert store.names() == []
    store.add(file, name="acme", licence="MIT")
    assert store.open("acme").name == "acme"


def test_changed_files_are_refused(store: ModelStore, file: Path) -> None:
    store.add(file, name="acme", licence="MIT")
    graph, entry = store.root / "acme" / "model.onnx", store.root / "acme" / "entry.json"
    text = entry.read_text()
    graph.write_bytes(tiny_graph(seed=1))
    with pytest.raises(ValueError, match="it was changed"):
        store.open("acme")
    graph.write_bytes(tiny_graph())
    for change, words in (
        ({"name": "other"}, "that of 'other'"),
        ({"embedding_size": 17}, "embeddings of 17"),
        ({"version": 2}, "version"),
        ({"surprise": 1}, "surprise"),
        ({"preprocess": {"scale": 0}}, "preprocess"),
    ):
        entry.write_text(json.dumps(json.loads(text) | change))
        with pytest.raises(ValueError, match=words):
            store.open("acme")
    entry.write_text("{")
    with pytest.raises(ValueError, match=r"entry\.json"):
        store.entry("acme")
    entry.unlink()
    with pytest.raises(ValueError, match="found none"):
        store.entry("acme")
    graph.unlink()
    store.remove("acme")
    assert store.names() == []


def test_a_removed_model_is_gone(store: ModelStore, file: Path) -> None:
    store.add(file, name="acme", licence="MIT")
    store.remove("acme")
    assert list(store.root.iterdir()) == []
    with pytest.raises(ValueError, match="there are none"):
        store.remove("acme")


def test_thresholds_stay_with_the_model_they_were_measured_on(store: ModelStore, file: Path) -> None:
    store.add(file, name="acme", licence="MIT")
    recogniser = store.open("acme")
    assert calibration_of(recogniser) is None
    with pytest.raises(ValueError, match="expected a calibration of this model"):
        store.calibrate("acme", calibration("acme", "0" * 64))
    measured = calibration("acme", recogniser.fingerprint)
    store.calibrate("acme", measured)
    assert store.entry("acme").calibration == measured
    assert calibration_of(store.open("acme")) == measured
    other = file.with_name("acme.onnx")
    other.write_bytes(tiny_graph(seed=1))
    assert calibration_of(open_model(other)) is None
    store.add(other, name="acme", licence="MIT", force=True)
    assert store.entry("acme").calibration is None


def test_open_model_looks_for_a_name_then_for_a_file(store: ModelStore, file: Path) -> None:
    assert open_model("dlib-resnet29").name == "dlib-resnet29"
    assert calibration_of(open_model("dlib-resnet29")) is not None
    assert open_model(file).name == "tiny"
    store.add(file, name="acme", licence="MIT")
    with pytest.raises(ValueError, match=r"dlib-resnet29, dlib-resnet29-space66, acme, or an \.onnx file; got 'acne'"):
        open_model("acne")
    for name in ("acme", "dlib-resnet29"):
        with pytest.raises(ValueError, match="has its own"):
            open_model(name, preprocess=Preprocess())
    with pytest.raises(FileNotFoundError):
        open_model(file.with_name("missing.onnx"))
    assert open_model(file, preprocess=Preprocess()).fingerprint != open_model(file).fingerprint


def test_a_model_is_stored_once_more_in_a_space(tmp_path: Path) -> None:
    store, graph = ModelStore(root=tmp_path / "models"), tmp_path / "tiny.onnx"
    graph.write_bytes(tiny_graph())
    scaled = Preprocess(scale=255)
    old = store.add(graph, name="tiny", licence="MIT", preprocess=scaled)
    fitted = SpaceMap(mean=np.full(SIZE, 0.1, np.float32), matrix=np.eye(12, SIZE, dtype=np.float32))
    isotropy = Isotropy(mean=0.1, last_over_first=0.5, effective_dimension=9.0, faces=100)
    declaration = SpaceDeclaration(dimension=12, isotropy=isotropy, fitted="noise")
    entry = store.add_space("tiny", fitted, declaration, new_name="tiny-space12")
    assert (entry.licence, entry.preprocess, entry.embedding_size) == ("MIT", scaled, 12)
    assert store.entry("tiny") == old
    opened = store.open("tiny-space12")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
    assert np.allclose(opened.embed(pixels), fitted(store.open("tiny").embed(pixels)), atol=1e-5)
    key = export_key(opened, "space", provider="Acme", residual=0.2)
    assert key.manifest.space == declaration
    for name, new_name, words in (
        ("tiny", "tiny-space12", "expected one that is free"),
        ("tiny", "tiny", "expected one that is free"),
        ("tiny", "dlib-resnet29", "comes with facemin"),
        ("tiny-space12", "again", "without a space"),
        ("nobody", "again", "expected a stored one"),
    ):
        with pytest.raises(ValueError, match=words):
            store.add_space(name, fitted, declaration, new_name=new_name)
    assert store.names() == ["tiny", "tiny-space12"]
    assert store.add_space("tiny", fitted, declaration, new_name="tiny-space12", force=True).sha256 == entry.sha256

"""The service and its client on the light install: where torch cannot be imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from facemin.autograd.pixels import to_tensor, to_unit
from facemin.cli.demo.run import another_day, astronaut
from facemin.evaluation.compare import verify
from facemin.face import Detector, align, faces_in
from facemin.image import Pixels, decode, encode
from facemin.keys.key import Key, export_key
from facemin.models import load_graph, load_recogniser
from facemin.protection.revealing.by_digest import by_graph
from facemin.protection.revealing.feature_inversion import _features, locality
from tests.cli.conftest import Done

SERVICE = """
import sys
sys.modules["torch"] = None
import threading, time, warnings
from pathlib import Path
import facemin
from facemin.cli import run
from facemin.client.client import prepare
from facemin.service.making import make_provider
from facemin.service.provider import Provider
from facemin.service.server import make_server

folder = Path(sys.argv[1])
assert run(["provider", "init", "--provider", "Acme", "--home", str(folder / "home")]) == 0
made = make_provider(
    folder / "open", provider="Acme", model="dlib-resnet29-space66", cut="space", residual=0.3, pseudonyms="allowed"
)
provider = Provider.open(folder / "open")
provider.store.warm()

def forget():
    # all photos here are made of one, whose capture would be refused the second time
    for file in Path(folder / "device" / "captures").glob("*.jsonl"):
        file.unlink()

server = make_server(provider, host="127.0.0.1", port=0)
thread = threading.Thread(target=server.run)
thread.start()
while not server.started:
    time.sleep(0.01)
url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
try:
    for upload in ("features", "image"):
        client = facemin.Client(url, made, secret=upload, upload=upload)
        forget()
        client.enrol(upload, [folder / "first.png"])
        forget()
        decision = client.verify(upload, folder / "second.png")
        assert decision.accepted and decision.enrolled_as == "pseudonym", decision
        forget()
        (found,) = client.identify(folder / "first.png")
        assert found[0].person == upload, found
    plain = facemin.Client(url, made, secret=None)
    try:
        plain.enrol("plain", [folder / "first.png"])
    except (ValueError, ImportError) as error:
        assert "facemin[torch]" in str(error), error
    else:
        raise AssertionError("protected by optimisation without torch")
    assert provider.plain(facemin.image.decode(folder / "face.png").pixels)
finally:
    server.should_exit = True
    thread.join()
print("served")
"""


@pytest.fixture(scope="module")
def photo() -> Pixels:
    return decode(astronaut()).pixels


@pytest.fixture(scope="module")
def face(photo: Pixels) -> Pixels:
    return np.asarray(align(photo, faces_in(photo, Detector(threads=1)).points[:1])[0])


def test_a_provider_serves_enrols_verifies_and_identifies(photo: Pixels, face: Pixels, tmp_path: Path) -> None:
    for name, pixels in (("first", photo), ("second", another_day(photo)), ("face", face)):
        (tmp_path / f"{name}.png").write_bytes(encode(pixels))
    done = subprocess.run(
        [sys.executable, "-c", SERVICE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"FACEMIN_HOME": str(tmp_path / "device")},
    )
    assert done.stdout.splitlines()[-1:] == ["served"], done.stderr


VERBS = """
import contextlib, io, json, sys
sys.modules["torch"] = None
from facemin.cli import run
for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run(arguments)
    print(json.dumps([status, out.getvalue(), err.getvalue()]))
"""


def without_torch(*commands: list[object], cwd: Path | None = None) -> list[Done]:
    """What commands say, one after the other, in a process where torch cannot be imported."""
    given = json.dumps([[*map(str, command)] for command in commands])
    done = subprocess.run([sys.executable, "-c", VERBS, given], capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return [Done(*json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.long
def test_the_command_line_s_client_sends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as a provider that is not there: every step before it needs no torch."""
    photo = tmp_path / "first.png"
    photo.write_bytes(astronaut().read_bytes())
    monkeypatch.setenv("FACEMIN_TOKEN", "t")
    verbs = (["enrol", "me"], ["verify", "me"], ["identify"], ["enrol", "me", "--device", "cuda"])
    *sent, gpu = without_torch(*(["client", *verb, photo, "--url", "http://127.0.0.1:9"] for verb in verbs))
    for done in sent:
        assert "torch" not in done.stderr, done.stderr
        assert "127.0.0.1:9" in done.stderr or "nothing listens" in done.stderr, done.stderr
    assert "facemin[torch]" in gpu.stderr


def test_verify_answers_as_with_torch(photo: Pixels, face: Pixels, tmp_path: Path) -> None:
    first, second = tmp_path / "first.png", tmp_path / "face.png"
    first.write_bytes(encode(another_day(photo)))
    second.write_bytes(encode(face))
    (done,) = without_torch(["verify", first, second])
    assert done.returncode == 0, done.stderr
    assert "accepted" in done.stdout
    ours = verify(first, second, recogniser=load_graph("dlib-resnet29")).cosine
    moved = faces_in(another_day(photo), Detector()).points[:1]
    rows = load_recogniser("dlib-resnet29")(to_unit(to_tensor(np.stack([align(another_day(photo), moved)[0], face]))))
    # one was rounded to 8 bits here and not there
    assert ours == pytest.approx(float(rows[0] @ rows[1]), abs=2e-3)


NEED_TORCH: dict[str, list[object]] = {
    "protect": ["protect", "face.png", "--out", "out", "--no-pseudonym"],
    "protect by optimisation": ["protect", "face.png", "--out", "out", "--method", "robust"],
    "protect by workers": ["protect", "face.png", "--out", "out", "--no-pseudonym", "--workers", "2"],
    "fit a protector": ["key", "fit-protector", "face.png", "--out", "p.onnx"],
    "eval": ["eval", "."],
    "audit": ["audit", "--out", "out"],
}


@pytest.fixture(scope="module")
def refused(face: Pixels, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """What each says, all in one process, whose imports take longest."""
    folder = tmp_path_factory.mktemp("refused")
    (folder / "face.png").write_bytes(encode(face))
    return dict(zip(NEED_TORCH, without_torch(*NEED_TORCH.values(), cwd=folder), strict=True))


@pytest.mark.parametrize("name", NEED_TORCH)
def test_verbs_that_need_torch_say_so(name: str, refused: dict[str, Done]) -> None:
    done = refused[name]
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stderr
    assert "facemin[torch]" in done.stderr


def test_names_of_the_workshop_say_what_they_need() -> None:
    code = "import sys; sys.modules['torch'] = None\nfrom facemin.protection import PROTECTORS"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'facemin[torch]'" in done.stderr.splitlines()[-1]


def test_features_of_drawn_faces_are_those_of_the_differentiable_model(face: Pixels) -> None:
    key: Key = export_key(load_recogniser("dlib-resnet29"), "conv64.4", provider="test", residual=0.3)
    values = np.asarray(np.moveaxis(face, -1, 0)[None] / np.float32(255), np.float32)
    with torch.no_grad():
        theirs = key.shallow(torch.from_numpy(values)).flatten(1).numpy()
    assert np.allclose(_features(key, values), theirs, rtol=1e-3, atol=1e-4)
    assert 0.7 < locality(by_graph(key)) <= 1

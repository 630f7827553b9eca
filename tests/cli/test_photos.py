"""demo, protect and verify, end to end on real photos."""

import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image

from facemin.cli.shared.options import FAILED
from facemin.image import decode, encode
from facemin.keys.default import plain_key
from facemin.keys.key import export_key
from facemin.models import load_recogniser
from tests.cli.conftest import Call, Run


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


RESULTS = {
    "one.protected.png",
    "one.protected.json",
    "deep/er/three.protected.png",
    "deep/er/three.2.protected.png",
    "deep/er/three.3.protected.png",
    "deep/er/three.protected.json",
}


@pytest.fixture
def copy(photos: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(photos, tmp_path / "photos"))


def protect(facemin: Run | Call, *arguments: object) -> tuple[int, dict[str, list[dict[str, object]]], str]:
    done = facemin("protect", *arguments, "--no-pseudonym", "--seed", 1, "--json")
    return done.returncode, json.loads(done.stdout), done.stderr


def test_a_folder_with_a_broken_file_no_face_and_three_faces(
    call: Call, copy: Path, loose_key: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    given = (copy, "--key", loose_key, "--out", out)
    status, report, errors = protect(call, *given)
    assert status == 1
    assert names(out) == RESULTS
    failed = {Path(str(entry["source"])).name: str(entry["reason"]) for entry in report["failed"]}
    assert set(failed) == {"broken.jpg", "coffee.png"}
    assert failed["coffee.png"] == "no face found"
    assert "broken.jpg" in failed["broken.jpg"]
    assert {entry["faces"] for entry in report["protected"]} == {1, 3}
    assert "Device: cpu" in errors
    assert "Traceback" not in errors
    for name in RESULTS:
        if name.endswith(".png"):
            photo = decode(out / name)
            assert photo.pixels.shape == (112, 112, 3)
            assert photo.exif is None
    record = json.loads((out / "deep/er/three.protected.json").read_bytes())
    sizes = [max(box[2] - box[0], box[3] - box[1]) for box in (face["box"] for face in record["faces"])]
    assert sizes == sorted(sizes, reverse=True)
    assert all(face["reached"] for face in record["faces"])
    assert record["faces"][0]["residuals"].keys() == {"loose"}

    # a rerun does nothing anew, and a missing result is made again
    before = {name: (out / name).stat().st_mtime_ns for name in RESULTS}
    status, report, _ = protect(call, *given)
    assert len(report["done_before"]) == 2
    assert report["protected"] == []
    assert {name: (out / name).stat().st_mtime_ns for name in RESULTS} == before
    again = (out / "one.protected.png").read_bytes()
    (out / "one.protected.png").unlink()
    _, report, _ = protect(call, *given)
    assert len(report["protected"]) == 1
    assert (out / "one.protected.png").read_bytes() == again


def test_protected_probe_is_accepted_and_another_person_is_not(
    facemin: Run, call: Call, copy: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    status, _, errors = protect(facemin, copy / "one.png", "--out", out)
    assert status == 0
    assert "default key" in errors
    record = json.loads((out / "one.protected.json").read_bytes())
    assert record["faces"][0]["residuals"].keys() == {plain_key().manifest.key_id}
    accepted = call("verify", out / "one.protected.png", copy / "one.png", "--json")
    verdict = json.loads(accepted.stdout)
    assert accepted.returncode == 0
    assert verdict["accepted"]
    assert verdict["cosine"] > verdict["threshold"]
    assert verdict["calibration"]["far"] == 1e-3
    noise = tmp_path / "noise.png"
    noise.write_bytes(encode(decode(out / "one.protected.png").pixels[:, ::-1]))
    refused = call("verify", noise, copy / "one.png")
    assert refused.returncode == 1
    assert "not accepted" in refused.stdout


def test_features_are_uploaded_and_accepted(call: Call, copy: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    status, _, _ = protect(call, copy / "one.png", "--out", out, "--upload", "features")
    assert status == 0
    assert names(out) == {"one.protected.safetensors", "one.protected.json"}
    done = call("verify", out / "one.protected.safetensors", copy / "one.png", "--json")
    assert json.loads(done.stdout)["accepted"]


def test_paste_changes_the_face_alone(call: Call, copy: Path, loose_key: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    photo = decode(copy / "one.png")
    status, _, _ = protect(call, copy / "one.png", "--key", loose_key, "--out", out, "--paste")
    assert status == 0
    pasted = decode(out / "one.pasted.png").pixels
    assert pasted.shape == photo.pixels.shape
    changed = (pasted != photo.pixels).any(2)
    assert 0.02 < changed.mean() < 0.5


def test_a_key_file_is_used_in_place_of_the_default(call: Call, copy: Path, tmp_path: Path) -> None:
    key, out = tmp_path / "acme.key.onnx", tmp_path / "out"
    ends = f"{date.today().year + 2}-01-01"
    assert call("key", "export", key, "--provider", "Acme", "--expires", ends).returncode == 0
    shown = json.loads(call("key", "show", key, "--json").stdout)
    assert (shown["provider"], shown["expires"][:10], shown["signer"]) == ("Acme", ends, None)
    status, _, errors = protect(call, copy / "one.png", "--key", key, "--out", out)
    assert status == 0
    assert "default key" not in errors
    record = json.loads((out / "one.protected.json").read_bytes())
    assert record["faces"][0]["residuals"].keys() == {shown["key_id"]}


def test_an_expired_key_is_shown_but_not_used(call: Call, copy: Path, tmp_path: Path) -> None:
    key = tmp_path / "old.key.onnx"
    years = [datetime(year, 1, 1, tzinfo=UTC) for year in (2019, 2020)]
    export_key(
        load_recogniser("dlib-resnet29"), "conv7", provider="Acme", residual=0.5, created=years[0], expires=years[1]
    ).save(key)
    assert json.loads(call("key", "show", key, "--json").stdout)["expired"]
    refused = call("protect", copy / "one.png", "--key", key, "--out", tmp_path / "out")
    assert refused.returncode == 2
    assert "expired" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_two_photos_of_one_name_are_not_mixed_up(call: Call, copy: Path, loose_key: Path, tmp_path: Path) -> None:
    twin = copy / "one.jpg"
    twin.write_bytes(encode(decode(copy / "one.png").pixels, format="JPEG"))
    status, report, _ = protect(call, copy / "one.png", twin, "--key", loose_key, "--out", tmp_path / "out")
    assert status == 1
    assert "one.png" in str(report["failed"][0]["reason"])
    assert len(report["protected"]) == 1


def test_results_in_the_same_folder_are_not_protected_again(call: Call, copy: Path, loose_key: Path) -> None:
    (copy / "broken.jpg").unlink()
    (copy / "coffee.png").unlink()
    shutil.copy(copy / "one.png", copy / "deep" / "er" / "three.png")
    assert protect(call, copy, "--key", loose_key, "--out", copy)[0] == 0
    status, report, _ = protect(call, copy, "--key", loose_key, "--out", copy)
    assert status == 0
    assert len(report["done_before"]) == 2
    assert report["protected"] == []


def test_asking_for_a_gpu_that_is_not_there_is_loud(call: Call, copy: Path, loose_key: Path, tmp_path: Path) -> None:
    options = ("--key", loose_key, "--out", tmp_path / "out", "--device", "cuda:9", "--no-pseudonym")
    done = call("protect", copy / "one.png", *options)
    assert done.returncode == 0
    assert "NO GPU" in done.stderr
    assert "cuda:9" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("protect", "--out", "x"), "at least one photo"),
        (("protect", "one.png", "--out", "x", "--device", "abacus"), "abacus"),
        (("protect", "one.png", "--out", "x", "--key", "missing.onnx"), "missing.onnx"),
        (("protect", "one.png", "--out", "x", "--key", "one.png"), "one.png"),
        (("protect", "one.png", "--out", "x", "--seed", "-1"), "seed"),
        (("protect", "one.png", "--out", "x", "--min-face", "0"), "min_face"),
        (("protect", "one.png", "--out", "x", "--signer", "abc"), "--signer"),
        (("verify", "one.png", "missing.png"), "missing.png"),
        (("verify", "one.png", "coffee.png"), "coffee.png"),
        (("verify", "one.png", "one.png", "--model", "no-such"), "no-such"),
        (("verify", "one.png", "one.png", "--far", "0.5"), "0.5"),
        (("key", "export", "k.onnx", "--provider", "A", "--cut", "conv999"), "conv999"),
        (("key", "export", "k.onnx", "--provider", "A", "--expires", "soon"), "soon"),
        (("key", "export", "k.onnx", "--provider", "A", "--expires", "2020-01-01"), "2020-01-01"),
        (("key", "show", "one.png"), "one.png"),
    ],
)
def test_wrong_input_is_named(
    call: Call, photos: Path, arguments: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    done = call(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (photos / "x").exists()
    assert not (photos / "k.onnx").exists()


def test_missing_photo_is_listed(call: Call) -> None:
    done = call("protect", "missing.png", "--out", "x")
    assert done.returncode == 1
    assert "missing.png" in done.stderr


def test_demo_writes_one_picture_and_ends_with_two_lines(call: Call, tmp_path: Path) -> None:
    # each time under another secret, which by chance is near enough to a face, or to the last one, once in thousands
    for _ in range(3):
        done = call("demo", "--out", "shown", "--seed", 3)
        if done.returncode != FAILED:
            break
    assert done.returncode == 0, done.stderr
    assert names(tmp_path / "shown") == {"demo.png", "demo.json", "astronaut.protected.png"}
    last = done.stdout.strip().splitlines()[-2:]
    assert last[0].startswith("Shown:")
    assert last[1].startswith("Not shown:")
    figures = json.loads((tmp_path / "shown/demo.json").read_bytes())
    answers = {(panel["title"], one["question"]): one for panel in figures["panels"] for one in panel["answers"]}
    assert answers["Sent another day", "the enrolled person?"]["accepted"]
    assert not answers["Sent another day", "the person in the photo?"]["accepted"]
    assert not answers["Under a renewed secret", "the enrolled person?"]["accepted"]
    assert figures["as_expected"]


def test_models_are_listed(call: Call) -> None:
    entries = json.loads(call("model", "list", "--json").stdout)
    assert [entry["name"] for entry in entries if entry["default"]] == ["dlib-resnet29"]


def test_signed_key_by_command_line(call: Call, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "provider.pem").write_bytes(pem)
    done = call("key", "export", "k.onnx", "--provider", "Acme", "--sign", "provider.pem", "--json")
    assert json.loads(done.stdout)["signer"] == private.public_key().public_bytes_raw().hex()


def test_skipped_files_and_repairs_are_reported(call: Call, photos: Path, loose_key: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.open(photos / "one.png").convert("RGB").save(folder / "one.jpg", quality=95)
    whole = (folder / "one.jpg").read_bytes()
    (folder / "one.jpg").write_bytes(whole[:-2])
    (folder / "clip.mov").touch()
    (folder / "gone.jpg").symlink_to(folder / "nothing.jpg")
    plain = ("protect", folder, "--key", loose_key, "--out", "out", "--no-pseudonym", "--method", "pmt")
    done = call(*plain, "--json", "--max-pixels", 1000)
    assert done.returncode == 1
    assert "max_pixels raises the limit" in json.loads(done.stdout)["failed"][0]["reason"]
    done = call(*plain)
    assert done.returncode == 0, done.stderr
    assert "one.jpg: the JPEG lacked its end marker" in done.stderr
    assert "1 file of no known kind: 1 .mov" in done.stderr
    assert "gone.jpg: link to nothing" in done.stderr

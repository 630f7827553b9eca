"""facemin protect under a pseudonym."""

import json
from pathlib import Path

import pytest

from facemin.image import encode
from tests.cli.conftest import Call
from tests.space_keys import person, protector_for, space_key


@pytest.fixture
def given(tmp_path: Path) -> tuple[object, ...]:
    """Two photos of a person, a key that nobody listed, and its protector."""
    key = space_key()
    key.save(tmp_path / "acme.key.onnx")
    protector_for(key).save(tmp_path / "acme.protector.onnx")
    (tmp_path / "in").mkdir()
    for number in range(2):
        (tmp_path / "in" / f"{number}.png").write_bytes(encode(person(1, number)))
    files = ("--key", tmp_path / "acme.key.onnx", "--protector", tmp_path / "acme.protector.onnx")
    return (tmp_path / "in", *files, "--aligned", "--json")


def test_protect_makes_a_pseudonym_by_default_and_needs_consent_for_an_unlisted_key(
    call: Call, given: tuple[object, ...], tmp_path: Path, home: Path
) -> None:
    refused = call("protect", *given, "--out", "out")
    assert refused.returncode == 2
    assert "a dishonest network can identify you from your second upload on" in refused.stderr
    assert not (home / "secrets").exists()
    done = call("protect", *given, "--out", "out", "--trust-key", "--for", "https://Acme.example/login")
    assert done.returncode == 0, done.stderr
    assert "made a new secret, default" in done.stderr
    assert "loses every enrolment made with it" in done.stderr
    record = json.loads((tmp_path / "out" / "0.protected.json").read_bytes())
    assert record["pseudonym"]["origin"] == "https://acme.example"
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"0.protected.png", "1.protected.png"}


def test_relinking_other_people_and_conflicting_options_are_refused(
    call: Call, given: tuple[object, ...], tmp_path: Path
) -> None:
    base = (*given, "--out", tmp_path / "out")
    assert call("protect", *base, "--trust-key").returncode == 0
    again = call("protect", *base)
    assert len(json.loads(again.stdout)["done_before"]) == 2
    other = call("protect", *base, "--purpose", "other")
    assert other.returncode == 1
    assert all("links them" in failed["reason"] for failed in json.loads(other.stdout)["failed"])
    (tmp_path / "in" / "2.png").write_bytes(encode(person(2)))
    stranger = call("protect", *base)
    (failed,) = json.loads(stranger.stdout)["failed"]
    assert "one secret is for one person" in failed["reason"]
    for arguments, words in (
        (("--exif",), "--no-pseudonym"),
        (("--allow-revealing",), "--no-pseudonym"),
        (("--no-pseudonym", "--trust-key"), "--trust-key: expected with a pseudonym"),
        (("--no-pseudonym",), "--protector: expected with a pseudonym"),
        (("--method", "robust"), "--protector: expected with --method auto"),
        (("--for", "ftp://acme.example"), "origin"),
        (("--key", space_file(tmp_path)), "one person"),
    ):
        refused = call("protect", *base, *arguments)
        assert (refused.returncode, words in refused.stderr) == (2, True), refused.stderr


def test_a_protector_that_would_not_be_used_is_refused(call: Call, given: tuple[object, ...], tmp_path: Path) -> None:
    own = tmp_path / "acme.protector.onnx"
    protector_for(space_key(seed=1)).save(tmp_path / "other.protector.onnx")
    base = (*given, "--out", tmp_path / "out", "--trust-key")
    for arguments, words in (
        (("--protector", tmp_path / "other.protector.onnx"), "got one for another space"),
        (("--protector", own), "got a second one"),
        (("--upload", "features"), "--protector: expected with --upload image"),
        (("--protector", "/dev/zero"), "/dev/zero: expected a protector of at most"),
    ):
        refused = call("protect", *base, *arguments)
        assert (refused.returncode, words in refused.stderr) == (2, True), refused.stderr
    plain = [each for each in given if each not in ("--protector", own)]
    refused = call("protect", *plain, "--out", "out", "--trust-key", "--upload", "features", "--method", "robust")
    assert "--method: expected with --upload image" in refused.stderr
    assert not (tmp_path / "out").exists()


def space_file(folder: Path) -> Path:
    space_key(seed=1).save(folder / "other.key.onnx")
    return folder / "other.key.onnx"


def test_no_pseudonym_says_what_it_gives_away(call: Call, given: tuple[object, ...], tmp_path: Path) -> None:
    arguments = ("--no-pseudonym", "--method", "pmt", "--out", tmp_path / "out")
    photos, option, key = given[:3]
    done = call("protect", photos, option, key, "--aligned", *arguments)
    assert "whoever has the key recognises the people" in done.stderr
    assert "rank one 0.94" in done.stderr

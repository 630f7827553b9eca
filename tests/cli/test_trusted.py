"""Trusted graphs on the command line: list, trust, distrust, and what the client makes of it."""

import json
from pathlib import Path

import pytest

from facemin.cli import run
from facemin.keys.default import default_key, plain_key
from facemin.keys.trust import TrustLog, shipped_graphs

OTHER = "ab" * 32
Captured = pytest.CaptureFixture[str]


def listed(capsys: Captured, *options: str) -> list[dict[str, str]]:
    capsys.readouterr()
    assert run(["key", "trusted", "--json", *options]) == 0
    found: list[dict[str, str]] = json.loads(capsys.readouterr().out)
    return found


def test_the_published_list_is_shown(capsys: Captured) -> None:
    (only,) = listed(capsys)
    assert only["graph_sha256"] == default_key().manifest.sha256
    assert run(["key", "trusted"]) == 0
    assert f"{only['graph_sha256']} {only['name']}: " in capsys.readouterr().out


def test_a_key_file_is_trusted_after_what_that_means_was_said(tmp_path: Path, capsys: Captured) -> None:
    key = plain_key()
    key.save(tmp_path / "acme.key.onnx")
    assert run(["key", "trust", str(tmp_path / "acme.key.onnx"), "--reason", "my own provider"]) == 0
    shown = capsys.readouterr()
    assert "a dishonest network can identify you from your second upload on" in shown.err.replace("\n", " ")
    assert shown.out == f"trusted: {key.manifest.sha256} ({key.manifest.recogniser})\n"
    found = TrustLog().find(key.manifest.sha256)
    assert found is not None
    assert found.reason == "my own provider"
    assert [each["graph_sha256"] for each in listed(capsys)] == [shipped_graphs()[0].graph_sha256, found.graph_sha256]


def test_a_hash_needs_a_name_once(capsys: Captured) -> None:
    assert run(["key", "trust", OTHER, "--reason", "r"]) == 2
    assert "--name: expected what the network is called" in capsys.readouterr().err
    assert run(["key", "trust", OTHER, "--reason", "r", "--name", "tiny"]) == 0
    assert run(["key", "distrust", OTHER, "--reason", "stolen", "--json"]) == 0
    assert TrustLog().find(OTHER) is None
    assert [each["action"] for each in listed(capsys, "--log")] == ["trust", "withdraw"]
    # known by the log now
    assert run(["key", "trust", OTHER, "--reason", "again"]) == 0
    assert {each["name"] for each in listed(capsys)} >= {"tiny"}


def test_a_shipped_graph_can_be_taken_off(capsys: Captured) -> None:
    assert run(["key", "distrust", shipped_graphs()[0].graph_sha256, "--reason", "no longer"]) == 0
    assert listed(capsys) == []
    assert run(["key", "trusted", "--log"]) == 0
    assert "withdraw" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "words"),
    [("nothing.onnx", "found nothing"), ("AB" * 32, "64 hexadecimal digits"), ("ab" * 31, "64 hexadecimal digits")],
)
def test_what_is_neither_is_refused(given: str, words: str, capsys: Captured) -> None:
    assert run(["key", "trust", given, "--reason", "r", "--name", "n"]) == 2
    assert words in capsys.readouterr().err.replace("\n", " ")
    assert TrustLog().decisions() == []

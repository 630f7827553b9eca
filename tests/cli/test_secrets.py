"""Verbs on secrets, within this process and once as a person runs them."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from facemin.cli.person.secrets import secret_in_use
from facemin.cli.shared.options import FAILED, WRONG_INPUT
from facemin.pseudonym import Secret, SecretStore
from tests.cli.conftest import GUARD, Call
from tests.conftest import PATIENCE
from tests.pseudonym.conftest import a_secret

Type = Callable[..., None]


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Type:
    def put(text: str, *, terminal: bool = False) -> None:
        stream = io.StringIO(text)
        stream.isatty = lambda: terminal  # type: ignore[method-assign]
        monkeypatch.setattr(sys, "stdin", stream)

    return put


def test_made_once_and_said_what_losing_it_means(call: Call, home: Path) -> None:
    done = call("secret", "new")
    assert done.returncode == 0
    assert "loses every enrolment made with it" in done.stderr
    assert SecretStore().load().data.hex() not in done.stdout + done.stderr
    assert SecretStore().entry().fingerprint in done.stdout
    assert (home / "secrets" / "default.json").is_file()
    again = call("secret", "new")
    assert (again.returncode, again.stdout) == (WRONG_INPUT, "")
    assert "never replaced" in again.stderr


def test_several_are_listed_and_shown_without_their_bytes(call: Call) -> None:
    assert json.loads(call("secret", "list", "--json").stdout) == []
    for name in ("work", "ann"):
        SecretStore().add(a_secret(name), name)
    listed = json.loads(call("secret", "list", "--json").stdout)
    assert [(entry["name"], entry["kept"]) for entry in listed] == [("ann", "file"), ("work", "file")]
    shown = json.loads(call("secret", "show", "work", "--json").stdout)
    assert shown == listed[1]
    assert set(shown) == {"name", "fingerprint", "made", "kept"}
    for done in (call("secret", "list"), call("secret", "show", "work")):
        assert a_secret("work").fingerprint in done.stdout
        assert a_secret("work").data.hex() not in done.stdout
    assert "'other'" in call("secret", "show", "other").stderr


def test_words_out_and_in(call: Call, type_in: Type, tmp_path: Path) -> None:
    SecretStore().add(a_secret())
    done = call("secret", "words")
    assert done.stdout.split() == a_secret().words.split()
    assert "whoever reads these words" in done.stderr
    assert json.loads(call("secret", "words", "--json").stdout)["words"] == a_secret().words.split()
    assert call("secret", "remove", "default", "--yes").returncode == 0
    type_in(done.stdout)
    assert json.loads(call("secret", "restore", "--json").stdout)["fingerprint"] == a_secret().fingerprint
    assert SecretStore().load() == a_secret()
    (tmp_path / "words").write_text(a_secret("bob").words.upper())
    assert call("secret", "restore", "bob", "--words", tmp_path / "words").returncode == 0
    assert SecretStore().load("bob") == a_secret("bob")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected 24, got 0"),
        (" ".join(["zzzz", *a_secret().words.split()[1:]]), "as word 1"),
        (" ".join(sorted(a_secret().words.split())), "checksum"),
    ],
)
def test_wrong_words_keep_nothing(call: Call, type_in: Type, text: str, said: str) -> None:
    type_in(text)
    done = call("secret", "restore")
    assert (done.returncode, done.stdout) == (WRONG_INPUT, "")
    assert said in done.stderr
    assert SecretStore().names() == []


def test_words_are_no_argument(call: Call, type_in: Type) -> None:
    """Arguments stand in the shell's history, and other users of the machine see them."""
    type_in("")
    assert call("secret", "restore", "default", *a_secret().words.split()).returncode == WRONG_INPUT
    assert SecretStore().names() == []


def test_words_in_another_encoding_are_named(call: Call, tmp_path: Path) -> None:
    (tmp_path / "words").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in call("secret", "restore", "--words", tmp_path / "words").stderr


def test_exported_and_imported(call: Call, tmp_path: Path) -> None:
    SecretStore().add(a_secret())
    out = tmp_path / "copy.json"
    done = call("secret", "export", out)
    assert done.returncode == 0
    assert a_secret().data.hex() not in done.stdout + done.stderr
    assert "delete it" in done.stderr
    assert call("secret", "export", out).returncode == WRONG_INPUT
    assert "that of 'default'" in call("secret", "import", out, "--name", "again").stderr
    call("secret", "remove", "default", "--yes")
    assert json.loads(call("secret", "import", out, "--json").stdout)["fingerprint"] == a_secret().fingerprint
    assert SecretStore().load() == a_secret()
    if os.name == "posix":
        out.chmod(0o644)
        assert "chmod 600" in call("secret", "import", out, "--name", "again").stderr


def test_removal_asks_for_confirmation(call: Call, type_in: Type) -> None:
    SecretStore().add(a_secret())
    type_in("")
    refused = call("secret", "remove", "default")
    assert refused.returncode == WRONG_INPUT
    assert "--yes" in refused.stderr
    for answer in ("no\n", "\n", "y\n"):
        type_in(answer, terminal=True)
        done = call("secret", "remove", "default")
        assert done.returncode == FAILED
        assert "loses every enrolment" in done.stderr
        assert SecretStore().names() == ["default"]
    type_in("default\n", terminal=True)
    assert call("secret", "remove", "default").returncode == 0
    assert SecretStore().names() == []


def test_a_verb_that_needs_one_makes_it_and_says_so(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    first = secret_in_use()
    said = capsys.readouterr().err
    assert "made a new secret, default" in said
    assert "loses every enrolment made with it" in said
    assert secret_in_use() == first
    assert capsys.readouterr().err == ""


def test_words_are_restored_through_a_pipe(home: Path, tmp_path: Path) -> None:
    """In a process of its own, with the words through a pipe."""
    secret = Secret.new()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", GUARD, "secret", "restore", "--json"],
        input=secret.words,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["fingerprint"] == secret.fingerprint
    assert SecretStore().load() == secret

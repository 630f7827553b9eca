"""Node.js with what `npm ci` installed for `web/`, and the networks as files."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from facemin.data import data_file

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js 20 or later, where `npm --prefix web ci` was run."""
    found = shutil.which("node")
    version = subprocess.run([found, "--version"], capture_output=True, text=True).stdout if found else "v0"
    if not found or int(version[1:].split(".")[0]) < 20:
        pytest.skip("needs Node.js 20 or later")
    if not (WEB / "node_modules" / "esbuild").is_dir():
        pytest.skip("needs what is installed by: npm --prefix web ci")
    return found


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with key.onnx, centerface.onnx and protector.onnx."""
    if data_file("centerface.onnx", package="facemin", path="data/centerface.onnx") is None:
        pytest.skip("needs facemin's data: pip install makes it")
    folder = tmp_path_factory.mktemp("networks")
    subprocess.run([sys.executable, ROOT / "spec" / "export_models.py", folder], check=True, cwd=ROOT)
    return folder

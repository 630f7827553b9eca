"""Provenance of a record: code, versions and hardware, without a path."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch

import facemin

PACKAGES = ("facemin", "torch", "numpy", "onnx", "onnxruntime", "pillow")
CODE = ("facemin", "experiments")
"""Folders of the repository that a result depends on."""


class CodeState(NamedTuple):
    """Which code ran; None where it was installed without its repository."""

    commit: str | None
    dirty: bool | None
    """Whether the code differs from that commit."""


def code_state() -> CodeState:
    """The commit that this code is of, and whether it was changed since."""
    root = Path(facemin.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return CodeState(None, None)
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return CodeState(None, None)
    return CodeState(commit, bool(_git(root, "status", "--porcelain", "--", *CODE)))


def versions() -> dict[str, str]:
    """Versions of the packages that compute."""
    return {name: version(name) for name in PACKAGES}


def machine() -> str:
    """Architecture and system; not the machine's name."""
    return f"{platform.machine()}, {platform.system()}"


def conditions() -> dict[str, Any]:
    """What a record says of the code and the machine it was made with."""
    code = code_state()
    return {
        "commit": code.commit,
        "dirty": code.dirty,
        "versions": versions(),
        "hardware": f"{machine()}, {torch.get_num_threads()} threads",
    }


def _git(root: Path, *command: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            ["git", "-C", str(root), *command],  # noqa: S607 - whichever git the person has
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()

"""The documented script, from a fresh install to a deleted person, against `facemin serve`."""

import os
import socket
import subprocess
import sys

import pytest

from tests.conftest import PATIENCE, REPOSITORY


@pytest.mark.long
def test_the_documented_script_does_what_it_says() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    script = REPOSITORY / "examples" / "provider_end_to_end.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        env=os.environ | {"FACEMIN_PORT": port},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        "verify first  with collins2.png accepted True",
        "verify first  with hopper2.png  accepted False",
        "nearest first, accepted True",
        "422 plain_face",
        "all as expected",
    ):
        assert line in done.stdout

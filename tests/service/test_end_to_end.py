"""The documented script, from a fresh install to a deleted person, against `facemin serve`."""

import os
import socket
import subprocess
import sys

import pytest

from tests.conftest import PATIENCE, REPOSITORY


@pytest.mark.long
def test_the_documented_script_does_what_it_says() -> None:
    script = REPOSITORY / "examples" / "provider_end_to_end.py"
    with socket.socket() as held:
        # bound for as long as it runs, so that no other test is given the port; who does not listen is in nobody's way
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        done = subprocess.run(
            [sys.executable, "-W", "error", str(script)],
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            env=os.environ | {"FACEMIN_PORT": str(held.getsockname()[1])},
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

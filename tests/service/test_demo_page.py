"""`facemin demo --page`: the page against a provider on loopback, in one command."""

import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import webbrowser
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest

from facemin.cli.demo.page import DAYS, page_demo, samples
from facemin.cli.demo.run import pseudonym_threshold
from facemin.face import Detector, crop
from facemin.models.store import open_graph
from facemin.pseudonym.capture_hash import SAME_CAPTURE, capture_hashes, hash_distance
from facemin.service.api.routes import site
from tests.conftest import PATIENCE, REPOSITORY
from tests.service.page_files import write_page


def test_sample_photos_are_of_two_people_above_and_below_the_threshold() -> None:
    found = samples()
    listed = json.loads(found["index.json"])
    assert {entry["file"] for entry in listed} == set(found) - {"index.json"}
    assert len({found[entry["file"]] for entry in listed}) == 2 * len(DAYS)
    detector = Detector(threads=1)
    crops = np.stack([crop(found[entry["file"]], detector) for entry in listed])
    rows = open_graph("dlib-resnet29-space66").embed(crops)
    cosines = rows @ rows.T
    same = np.array([[a["name"][:6] == b["name"][:6] for a in listed] for b in listed])
    assert cosines[same].min() > pseudonym_threshold() + 0.2
    assert cosines[~same].max() < pseudonym_threshold() - 0.2
    # nothing is sent twice, so that each has to be another capture
    hashes = capture_hashes(crops)
    assert min(hash_distance(a, b) for a, b in itertools.combinations(hashes, 2)) > SAME_CAPTURE + 0.05


def test_one_command_prints_an_address_that_works_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    folder = write_page(tmp_path)
    code = (
        "import sys, pathlib\n"
        "from facemin.service.api.routes import site\n"
        f"site.FOLDER = pathlib.Path({str(folder)!r})\n"
        "from facemin.cli import main\n"
        "sys.argv = ['facemin', 'demo', '--page', '--no-open', '--json']\n"
        "main()\n"
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        text = ""
        while not text.rstrip().endswith("}"):
            line = demo.stdout.readline()
            assert line, demo.stderr.read()
            text += line
        address = json.loads(text)["page"]
        parts = urlsplit(address)
        assert (parts.hostname, parts.path, parts.query) == ("127.0.0.1", "/", "")
        given = dict(parse_qsl(parts.fragment))
        assert (given["collection"], given["person"], given["samples"]) == ("main", "you", "1")
        connection = http.client.HTTPConnection("127.0.0.1", parts.port or 0, timeout=PATIENCE)
        for path, headers, status in (
            ("/", {"Accept": "text/html"}, 200),
            ("/samples/index.json", {}, 200),
            ("/samples/hopper-1.jpg", {}, 200),
            ("/v1/key", {}, 200),
            ("/v1/collections/main/persons/you", {"Authorization": f"Bearer {given['session']}"}, 404),
            ("/v1/collections/main/persons/other", {"Authorization": f"Bearer {given['session']}"}, 403),
        ):
            connection.request("GET", path, headers=headers)
            reply = connection.getresponse()
            reply.read()
            assert reply.status == status, path
        connection.close()
        assert list(tmp_path.glob("facemin-demo-*"))
        demo.send_signal(signal.SIGINT)
        assert demo.wait(PATIENCE) == 0
        assert "Traceback" not in demo.stderr.read()
    # nothing of the provider stays
    assert not list(tmp_path.glob("facemin-demo-*"))


def test_the_address_is_opened_in_the_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from facemin.cli.demo import demonstrate
    from facemin.cli.demo import page as demo_page

    monkeypatch.setattr(site, "FOLDER", write_page(tmp_path))
    opened = threading.Event()
    asked: list[str] = []

    def take(address: str) -> bool:
        asked.append(address)
        opened.set()
        return True

    monkeypatch.setattr(webbrowser, "open", take)
    # signals are the main thread's, which is the tests' own
    monkeypatch.setattr(demo_page, "ignore_end", lambda: None)
    monkeypatch.setattr(demo_page.PageDemo, "run", lambda _: opened.wait(PATIENCE) or None)
    assert demonstrate.demo(page=True) == 0
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/#session=fms_.+", asked[0])


def test_without_the_pages_files_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"found no index.html"), page_demo():
        raise AssertionError

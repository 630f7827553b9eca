"""The page against the Python client: the same score for the same photo, and how long everything takes.

    PYTHONPATH=. python experiments/page/against_python.py --people 50 --record results/page/against_python.jsonl

For each of LFW's first people with two photos, in alphabetical order: a secret, brought to the page by its words; the
first photo enrolled by the page; the second one verified by the page, and by the Python client under the same secret.
Both are decided on by one service, whose scores are compared, cut off as the page cuts them off. Needs Chromium, Node,
`npm --prefix web ci`, the page's runtime (`pip install .`) and LFW in ../shared. Photos and secrets are forgotten with
the run.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from facemin.client.client import Client
from facemin.client.probes import MARGIN
from facemin.datasets import LFW
from facemin.experiments.common import append_record, script_parser
from facemin.pseudonym.secret import Secret
from facemin.runtime.files import append_json
from facemin.service.api.routes.site import FOLDER, RUNTIME, asset
from tests.page.browser import Browser, Page, browsing
from tests.page.provider import address, serving_page, session
from tests.page.recorder import recording
from tests.service.running import Running

SECONDS = 300.0
NOTED = """
    $.answers = [];
    $.page.on("response", async (answer) => {
      if (answer.url().endsWith("/verify")) $.answers.push(await answer.json());
    });
"""


NO = "No: this does not look like|This looks like somebody else"


def pairs(root: Path, count: int) -> list[tuple[str, Path, Path]]:
    """People with their first two photos."""
    by_person: dict[str, list[Path]] = {}
    for photo in LFW(root):
        by_person.setdefault(photo.identity, []).append(root / photo.path)
    able = [(person, *paths[:2]) for person, paths in sorted(by_person.items()) if len(paths) > 1]
    return able[:count]


def take_secret(page: Page, secret: Secret) -> None:
    """Bring a secret by its words, in place of the one that is there."""
    page.unfold("I have one already")
    page.do("await $.page.getByLabel('Its 24 words').fill(value)", secret.words)
    page.click("button", "Use these words")
    page.read("Your secret is here now", seconds=SECONDS)


def open_session(server: Running, page: Page) -> None:
    """Open the page anew: a session ends with the deletion of its person."""
    page.open(address(server.url, session(server, "u-1", seconds=3600)))
    page.read("Ready after", seconds=SECONDS)


def drop_secret(page: Page) -> None:
    """Take it out again."""
    page.unfold("Words, file and code")
    page.click("button", "Remove it from this browser")
    page.click("button", "Remove it")
    page.read("The secret is gone from this browser", seconds=SECONDS)


def send(page: Page, photo: Path, button: str, words: str) -> float:
    """Send a photo; seconds from choosing it to the verdict."""
    began = time.perf_counter()
    page.choose("Choose a photo", photo)
    page.click("button", button, seconds=SECONDS)
    page.read(words, seconds=SECONDS)
    return time.perf_counter() - began


def loads(browser: Browser, where: str) -> dict[str, float]:
    """Seconds to a page that reads faces: by a new browser, and by one that was here before."""
    with browser.page() as page:
        found = {}
        for name in ("first", "again"):
            began = time.perf_counter()
            page.open(where)
            page.read("Ready after", seconds=SECONDS)
            found[name] = time.perf_counter() - began
    return found


def sizes() -> dict[str, dict[str, int]]:
    """Bytes of each part of the page, and of it as it is sent."""
    files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.is_file()}
    found = {}
    for name, data in files.items():
        packed = asset(name, data).packed
        found[name] = {"bytes": len(data), "sent": len(packed if packed is not None else data)}
    for name in RUNTIME:
        found[f"ort/{name}"] = {"sent": (FOLDER / "ort" / f"{name}.gz").stat().st_size}
    return found


def done_before(path: Path) -> dict[int, dict[str, Any]]:
    """Rows that an earlier run wrote, by number."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {row["number"]: row for row in map(json.loads, lines)}


def compare(
    server: Running, page: Page, people: list[tuple[str, Path, Path]], *, image: bool, kept: Path
) -> list[dict[str, Any]]:
    """The scores of each person's second photo, by the page and by the Python client; a rerun goes on."""
    rows = done_before(kept)
    for number, (_, first, second) in enumerate(people):
        if number in rows:
            continue
        secret = Secret.new()
        open_session(server, page)
        try:
            take_secret(page, secret)
            if image:
                page.choose("Choose a photo", first)
                page.click("radio", "an image", exact=False, seconds=SECONDS)
            enrol = send(page, first, "Enrol", "You are enrolled")
            verify = send(page, second, "Verify", f"Yes, it is you|{NO}")
            mine = page.do("return $.answers.pop()")
            with tempfile.TemporaryDirectory() as home:
                os.environ["FACEMIN_HOME"] = home
                upload = "image" if image else "features"
                client = Client(server.url, server.token("verify:main"), secret=secret, upload=upload)
                python = client.verify("u-1", second)
            rows[number] = {
                "browser": mine["score"] if mine else None,
                # the page knows what it enrolled, and sends no more of a score than the decision needs
                "python": min(python.score, python.threshold + MARGIN["image" if image else "feature"]),
                "enrol_s": enrol,
                "verify_s": verify,
                "accepted": bool(mine and mine["accepted"]),
                "python_accepted": python.accepted,
            }
        except Exception as error:  # noqa: BLE001 - the next person is tried, and this one counted as not done
            rows[number] = {"failed": re.sub(r"\x1b\[\d+m", "", str(error))[:200]}
        rows[number]["number"] = number
        append_json(kept, rows[number])
        print(json.dumps(rows[number]), flush=True)
        drop_secret(page)
        server("DELETE", "/v1/collections/main/persons/u-1")
    return [rows[number] for number in range(len(people))]


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What is told of them."""
    done = [row for row in rows if "failed" not in row]
    # the device that enrolled somebody sends no face that looks like somebody else's; another device cannot know
    scored = [row for row in done if row["browser"] is not None]
    apart = sorted(abs(row["browser"] - row["python"]) for row in scored)
    return {
        "people": len(scored),
        "not_sent_by_the_page": len(done) - len(scored),
        "failed": [row["failed"] for row in rows if "failed" in row],
        "apart_most": max(apart),
        "apart_median": statistics.median(apart),
        "decided_alike": sum(row["accepted"] == row["python_accepted"] for row in done),
        "accepted": sum(row["accepted"] for row in done),
        "verdict_s": {
            "median": statistics.median(row["verify_s"] for row in done),
            "least": min(row["verify_s"] for row in done),
            "most": max(row["verify_s"] for row in done),
        },
    }


def main() -> None:
    """Run it."""
    parser = script_parser(__doc__, shared=False, people=50, loads=5)
    parser.add_argument("--image", action="store_true", help="send images in place of numbers")
    parser.add_argument("--lfw", type=Path, default=Path("../shared/data/lfw"))
    parser.add_argument("--kept", type=Path, default=Path("runs/page_against_python.jsonl"), help="rows, for a rerun")
    parser.add_argument("--record", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving_page(Path(folder) / "home") as server, browsing() as browser:
        where = address(server.url, session(server, "u-1", seconds=3600))
        with recording(server.port) as recorder:
            first = [loads(browser, address(recorder.url, session(server, "u-1")))]
            received = recorder.received
        first += [loads(browser, where) for _ in range(given.loads - 1)]
        with browser.page() as page:
            page.do(NOTED)
            open_session(server, page)
            threads = page.read("Ready after")
            rows = compare(server, page, pairs(given.lfw, given.people), image=given.image, kept=given.kept)
    record = {
        "form": "image" if given.image else "numbers",
        **summary(rows),
        "load_s": {name: sorted(round(each[name], 2) for each in first) for name in ("first", "again")},
        "bytes_of_first_and_second_load": received,
        "sizes": sizes(),
        "page_says": threads,
        "load_average": os.getloadavg(),
        "cores": os.cpu_count(),
        "rows": rows,
    }
    print(json.dumps({name: value for name, value in record.items() if name != "rows"}, indent=1))
    if given.record is not None:
        append_record(given.record, record)


if __name__ == "__main__":
    main()

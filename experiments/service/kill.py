"""Kill the server with SIGKILL while people are enrolled, again and again, and look for what was lost.

    python experiments/service/kill.py --kills 100 --record results/service/kill.jsonl

After each kill: the database opens and passes its integrity check; everybody whose enrolment was acknowledged is there
with all their templates; nobody is there with a part of theirs; and each request that got no answer, sent again with
its idempotency key, ends in exactly one enrolment.
"""

from __future__ import annotations

import base64
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import torch
from loopback import make_provider, serve

from facemin.autograd.pixels import to_array
from facemin.client.transport import ProviderError, Transport
from facemin.experiments.common import append_record, script_parser
from facemin.image import encode

FACES = 3
WRITERS = 4


class Load:
    """Enrols people through several threads until the server is gone."""

    def __init__(self, send: Transport, key_id: str, seed: int) -> None:
        self.send, self.key_id = send, key_id
        self.acknowledged: set[str] = set()
        self.unanswered: dict[str, dict[str, Any]] = {}
        self.first = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work, args=(seed * WRITERS + n,)) for n in range(WRITERS)]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until all threads have met the end of the server."""
        for thread in self._threads:
            thread.join()

    def _work(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        while True:
            person = f"p-{uuid.uuid4().hex}"
            body = {"person": person, "uploads": [self._upload(generator) for _ in range(FACES)]}
            with self._lock:
                self.unanswered[person] = body
            try:
                enrol(self.send, body)
            except ProviderError as error:
                if error.status != 0:
                    raise
                return
            with self._lock:
                self.acknowledged.add(person)
                del self.unanswered[person]
            self.first.set()

    def _upload(self, generator: torch.Generator) -> dict[str, str]:
        pixels = torch.randint(0, 256, (3, 112, 112), generator=generator, dtype=torch.uint8)
        return {"key_id": self.key_id, "data": base64.b64encode(encode(to_array(pixels))).decode()}


def enrol(send: Transport, body: dict[str, Any]) -> None:
    """Enrol; the person's name is the idempotency key."""
    send("POST", "/v1/collections/main/persons", body, headers={"Idempotency-Key": body["person"]})


def faults(send: Transport, load: Load) -> list[str]:
    """What is wrong after a kill; repeats the unanswered requests first."""
    wrong = []
    for person, body in list(load.unanswered.items()):
        before = templates(send, person)
        if before not in (0, FACES):
            wrong.append(f"{person}: {before} of {FACES} templates")
        enrol(send, body)
        load.acknowledged.add(person)
    for person in load.acknowledged:
        found = templates(send, person)
        if found != FACES:
            wrong.append(f"{person}: {found} of {FACES} templates, acknowledged")
    return wrong


def templates(send: Transport, person: str) -> int:
    """How many templates a person has; 0 where there is no such person."""
    try:
        return len(send("GET", f"/v1/collections/main/persons/{person}").json()["templates"])
    except ProviderError as error:
        if error.code != "person_not_found":
            raise
        return 0


def main() -> None:
    """Run; ends with status 1 where something was lost."""
    parser = script_parser(__doc__, shared=False, kills=100)
    parser.add_argument("--record", type=Path, help="JSONL file to append to")
    arguments = parser.parse_args()
    chance, wrong, acknowledged, unanswered = random.Random(0), [], 0, 0  # noqa: S311 - when to kill, no secret
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        token = make_provider(home, "Kill")
        server, url = serve(home, within=60)
        for number in range(arguments.kills):
            key_id = Transport(url=url)("GET", "/v1/keys").json()[0]["key_id"]
            load = Load(Transport(url=url, token=token, tries=1), key_id, number)
            load.start()
            load.first.wait(60)
            time.sleep(chance.uniform(0, 0.5))
            server.send_signal(signal.SIGKILL)
            server.wait()
            load.join()
            acknowledged += len(load.acknowledged)
            unanswered += len(load.unanswered)
            server, url = serve(home, within=60)
            wrong += faults(Transport(url=url, token=token), load)
            print(
                f"kill {number + 1}: {acknowledged} acknowledged, {unanswered} unanswered, {len(wrong)} wrong",
                flush=True,
            )
        server.send_signal(signal.SIGTERM)
        graceful = server.wait(60) == 0
        check = [sys.executable, "-m", "facemin", "provider", "check", "--home", str(home)]
        checked = subprocess.run(check, capture_output=True, text=True)
    whole = checked.returncode == 0
    if arguments.record:
        record = {
            "kills": arguments.kills,
            "acknowledged": acknowledged,
            "unanswered": unanswered,
            "wrong": wrong,
            "check": checked.stdout.strip(),
            "graceful_end": graceful,
        }
        append_record(arguments.record, record)
    print(f"check: {checked.stdout.strip()}; ended gracefully: {graceful}; wrong: {wrong}")
    sys.exit(0 if whole and graceful and not wrong else 1)


if __name__ == "__main__":
    main()

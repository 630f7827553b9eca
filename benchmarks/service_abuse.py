"""Longest answer of /v1/health and peak memory of a provider's server under each of some attacks.

    python benchmarks/service_abuse.py --seconds 8 [--out RECORD.json]

A real server on loopback with the settings a new provider has. Each attack lasts so many seconds, one after another;
meanwhile a health check on a connection of its own, from another loopback address, is sent ten times a second, and the
server's resident memory is read from /proc (Linux). Nothing leaves this machine. The exit status is 1 where an answer
took more than a second or failed, or memory rose by more than 300 MiB above rest.
"""

from __future__ import annotations

import json
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "experiments" / "service"))
from loopback import serve
from measuring import mebibytes, script_parser, write_record

from facemin.autograd.opening import open_model
from facemin.keys.default import stopping_residual
from facemin.models import DEFAULT_MODEL, MODELS
from facemin.service.making import make_provider

MOST_SECONDS, MOST_MEBIBYTES = 1.0, 300.0
OTHER = "127.0.0.2"
"""Whence health is asked for: not the attacker's address."""
PERSONS = "/v1/collections/main/persons"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is attacked."""

    port: int
    token: str = field(repr=False)
    seconds: float

    def connect(self, *, buffer: int | None = None, source: str = "127.0.0.1") -> socket.socket:
        """A connection from one of this machine's addresses; the system keeps `buffer` bytes of what is received."""
        made = socket.socket()
        made.bind((source, 0))
        if buffer is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made.settimeout(self.seconds)
        made.connect(("127.0.0.1", self.port))
        return made

    def head(self, method: str, path: str, length: int | None = None, *, token: bool = True) -> bytes:
        """A request's head."""
        lines = [f"{method} {path} HTTP/1.1", "Host: x", "Content-Type: application/json"]
        lines += [f"Authorization: Bearer {self.token}"] if token else []
        lines += [f"Content-Length: {length}"] if length is not None else []
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def post(self, path: str, body: bytes, *, token: bool = True) -> None:
        """Send a whole request and read the beginning of its answer."""
        with suppress(OSError), self.connect() as made:
            made.sendall(self.head("POST", path, len(body), token=token) + body)
            made.recv(1 << 16)

    def again(self, work: Callable[[], object], threads: int) -> None:
        """Do something over and over in some threads."""
        end = time.monotonic() + self.seconds

        def run() -> None:
            while time.monotonic() < end:
                work()
                # the attackers share this machine, and this process, with what measures
                time.sleep(0.01)

        with ThreadPoolExecutor(threads) as pool:
            for _ in range(threads):
                pool.submit(run)

    def hold(self, count: int, first: bytes, *, trickle: bytes = b"", buffer: int | None = None) -> None:
        """Keep connections open that begin with `first` and then send a little each second; lost ones are replaced."""
        end, held = time.monotonic() + self.seconds, list[socket.socket]()
        while time.monotonic() < end:
            while len(held) < count and time.monotonic() < end:
                made = self.connect(buffer=buffer)
                with suppress(OSError):
                    made.sendall(first)
                held.append(made)
            time.sleep(1)
            for each in held.copy():
                try:
                    each.sendall(trickle)
                except OSError:
                    each.close()
                    held.remove(each)
        for each in held:
            each.close()


def unknown_fields(target: Target) -> None:
    """The body that stopped the first version: 7 MB of 750,000 unknown fields."""
    body = ("{" + ",".join(f'"{n:x}":0' for n in range(750_000)) + "}").encode()
    target.again(lambda: target.post(PERSONS, body), 4)


def unknown_fields_within(target: Target) -> None:
    """The same inside an upload, and where no upload is expected."""
    many = ",".join(f'"{n:x}":0' for n in range(500_000))
    nested = f'{{"uploads":[{{"data":"AAAA",{many}}}]}}'.encode()

    def both() -> None:
        target.post(PERSONS, nested)
        target.post("/v1/tokens", nested)

    target.again(both, 4)


def deep_json(target: Target) -> None:
    """7 MB of opening brackets."""
    target.again(lambda: target.post(PERSONS, b"[" * (7 << 20)), 4)


def long_uploads(target: Target) -> None:
    """8 MB that are one upload each, which is base64 and no picture."""
    body = b'{"uploads":[{"key_id":"x","data":"' + b"A" * (8_000_000) + b'"}]}'
    target.again(lambda: target.post(PERSONS, body), 12)


ATTACKS: dict[str, Callable[[Target], None]] = {
    "nothing": lambda target: time.sleep(target.seconds),
    "7 MB of 750,000 unknown fields": unknown_fields,
    "unknown fields in an upload and in /v1/tokens": unknown_fields_within,
    "7 MB of brackets": deep_json,
    "8 MB uploads, 12 at once": long_uploads,
    "300 idle connections": lambda target: target.hold(300, b""),
    "300 heads that never end": lambda target: target.hold(300, b"GET /v1/key HTTP/1.1\r\nX: ", trickle=b"a"),
    "300 slow bodies with a token": lambda target: target.hold(
        300, target.head("POST", PERSONS, 1 << 20), trickle=b" "
    ),
    "300 slow bodies without one": lambda target: target.hold(
        300, target.head("POST", PERSONS, 1 << 20, token=False), trickle=b" "
    ),
    "40 bodies of which 7 of 8 MB came": lambda target: target.hold(
        40, target.head("POST", PERSONS, 8 << 20) + b" " * (7 << 20)
    ),
    "100 readers of /v1/key who do not read": lambda target: target.hold(
        100, target.head("GET", "/v1/key", token=False), buffer=4096
    ),
    "wrong tokens": lambda target: target.again(lambda: target.post("/v1/challenges", b"", token=False), 8),
}
"""By what it is, something that ends by itself after `Target.seconds`."""


@dataclass
class Seen:
    """What health checks and /proc said during one attack."""

    times: list[float] = field(default_factory=list)
    failures: int = 0
    peak: float = 0.0


def watch(target: Target, process: int, done: threading.Event) -> Seen:
    """Ask for health and read the memory until the attack is over."""
    seen, ask = Seen(), target.head("GET", "/v1/health", token=False)
    asked = 0.0
    while not done.is_set():
        seen.peak = max(seen.peak, mebibytes("VmRSS", process))
        if time.monotonic() - asked >= 0.1:
            asked = time.monotonic()
            try:
                # connections are bounded by address, and an attacker's may run out
                with target.connect(source=OTHER) as made:
                    made.sendall(ask)
                    seen.failures += b" 200 " not in made.recv(1 << 12)
            except OSError:
                seen.failures += 1
            seen.times.append(time.monotonic() - asked)
        time.sleep(0.01)
    return seen


def main() -> None:
    """Attack, print a table and say whether it was withstood."""
    parser = script_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each attack")
    parser.add_argument("--only", help="part of an attack's name")
    arguments = parser.parse_args()
    cut = MODELS[DEFAULT_MODEL].default_cut
    residual = stopping_residual(open_model(DEFAULT_MODEL), cut)
    bad, rows = False, list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        token = make_provider(home, provider="Acme", model=DEFAULT_MODEL, cut=cut, residual=residual)
        server, url = serve(home, within=120)
        target = Target(port=int(url.rpartition(":")[2]), token=token, seconds=arguments.seconds)
        try:
            target.post(PERSONS, b"{}")
            for name, attack in ATTACKS.items():
                if arguments.only and arguments.only not in name:
                    continue
                time.sleep(2)
                rest, done = mebibytes("VmRSS", server.pid), threading.Event()
                with ThreadPoolExecutor(1) as pool:
                    watching = pool.submit(watch, target, server.pid, done)
                    attack(target)
                    done.set()
                    seen = watching.result()
                row = {
                    "attack": name,
                    "health_longest_s": round(max(seen.times), 3),
                    "health_median_s": round(statistics.median(seen.times), 4),
                    "health_checks": len(seen.times),
                    "health_failures": seen.failures,
                    "memory_above_rest_mib": round(seen.peak - rest, 1),
                    "rest_mib": round(rest, 1),
                }
                bad |= bool(seen.failures) or max(seen.times) > MOST_SECONDS or seen.peak - rest > MOST_MEBIBYTES
                rows.append(row)
                print(json.dumps(row), flush=True)
        finally:
            server.terminate()
            server.wait(60)
    write_record(arguments.out, "facemin service abuse 1", rows)
    sys.exit(int(bad))


if __name__ == "__main__":
    main()

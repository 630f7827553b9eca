"""Requests a second and latencies of verify and identify, and the search's speed beside a bare NumPy product.

    python benchmarks/service_load.py --sizes 1000 100000 1000000

A real server on loopback over a SQLite store filled with random unit templates, encrypted as always; clients in
threads of this process share the machine with it, so the figures are a floor. Uploads are protected features, which
cost the recogniser's last part only, and each request brings a challenge of its own, fetched outside the clock. The
last columns are of the search alone: its time a query over that of `rows @ query` on one contiguous array.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "experiments" / "service"))
from loopback import make_provider, serve
from measuring import Clock, mebibytes, medians, script_parser, timed, write_record

from facemin.client.transport import Transport
from facemin.keys.key import Key
from facemin.protection import encode_feature
from facemin.service.settings import DATABASE, MASTER, read_settings
from facemin.service.storage.crypto import Secrets, TemplateCipher
from facemin.service.storage.database import Database
from facemin.service.storage.sealing import owner
from facemin.service.storage.search.vector_index import VectorIndex
from facemin.service.storage.tables import collections, persons, templates

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 128
PART = 20_000


def unit_rows(count: int, seed: int) -> NDArray[np.float32]:
    """Random rows of unit length."""
    rows = np.random.default_rng(seed).standard_normal((count, SIZE), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def fill(home: Path, count: int) -> None:
    """Put random people, one template each, straight into a store."""
    settings = read_settings(home)
    cipher = TemplateCipher(secrets=Secrets.load(home / MASTER))
    database = Database(f"sqlite:///{home / DATABASE}")
    for start in range(0, count, PART):
        numbers = range(start + 1, min(start + PART, count) + 1)
        rows = unit_rows(len(numbers), seed=start)
        people = [{"id": n, "collection_id": 1, "name": f"p{n}", "created": 0.0} for n in numbers]
        sealed = [
            {
                "collection_id": 1,
                "person_id": n,
                "fingerprint": settings.fingerprint,
                "kind": "protected",
                "key_id": "k",
                "revision": 1,
                "created": 0.0,
                "sealed": cipher.seal(row, owner=owner(1, "main", n, f"p{n}", "protected", "k", settings.fingerprint)),
            }
            for n, row in zip(numbers, rows, strict=True)
        ]
        with database.writing() as connection:
            connection.execute(persons.insert(), people)
            connection.execute(templates.insert(), sealed)
    with database.writing() as connection:
        connection.execute(collections.update().values(revision=1))
    database.close()


def load(send: Transport, key: Key, action: str, requests: int, clients: int, people: int) -> dict[str, float]:
    """Requests a second and percentiles of the latency, seconds."""
    generator = torch.Generator().manual_seed(len(action))
    challenges = [send("POST", "/v1/challenges").json()["challenge"] for _ in range(requests)]

    def body(number: int) -> dict[str, Any]:
        feature = torch.rand(key.manifest.features, generator=generator)
        data = base64.b64encode(encode_feature(feature, key)).decode()
        upload = {"kind": "feature", "key_id": key.manifest.key_id, "data": data}
        if action == "verify":
            return {"person": f"p{number % people + 1}", "upload": upload, "challenge": challenges[number]}
        return {"uploads": [upload], "challenge": challenges[number]}

    bodies = [body(number) for number in range(requests)]

    def one(content: dict[str, Any]) -> float:
        return timed(lambda: send("POST", f"/v1/collections/main/{action}", content, again=False)).wall

    clock = Clock()
    with ThreadPoolExecutor(clients) as pool:
        times = sorted(pool.map(one, bodies))
    whole = clock.spent().wall
    at = {f"p{share}": times[min(len(times) - 1, int(len(times) * share / 100))] for share in (50, 95, 99)}
    return {"per_second": requests / whole} | at


def search_ratio(count: int, runs: int) -> dict[str, float]:
    """Speed of `VectorIndex.search` over that of a bare product, interleaved in one run."""
    rows = np.concatenate([unit_rows(min(PART, count - start), seed=start) for start in range(0, count, PART)])
    matrix = VectorIndex(SIZE)
    matrix.add(np.arange(count), np.arange(count), rows)
    query = unit_rows(1, seed=-1 % 2**31)[0]
    works = {"bare": lambda: rows @ query, "search": lambda: matrix.search(query, 5)}
    bare, ours = (spent.wall for spent in medians(works, rounds=runs).values())
    return {"bare_ms": 1000 * bare, "search_ms": 1000 * ours, "ratio": bare / ours}


def main() -> None:
    """Measure and print one line of JSON a size."""
    parser = script_parser(__doc__, requests=200, clients=4)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 100_000, 1_000_000])
    parser.add_argument("--runs", type=int, default=15, help="of the bare product and of the search")
    parser.add_argument("--search-only", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for count in arguments.sizes:
        line: dict[str, Any] = {"templates": count}
        if not arguments.search_only:
            line |= measured(count, arguments.requests, arguments.clients)
        line |= search_ratio(count, arguments.runs)
        rows.append({name: round(value, 4) for name, value in flat(line).items()})
        print(json.dumps(rows[-1]), flush=True)
    write_record(arguments.out, "facemin service load 1", rows)


def measured(count: int, requests: int, clients: int) -> dict[str, Any]:
    """One size through the whole server."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        token = make_provider(home, "Load")
        fill(home, count)
        clock = Clock()
        server, url = serve(home, within=3600)
        ready = clock.spent().wall
        try:
            key = Key.load(Transport(url=url)("GET", "/v1/key").data)
            send = Transport(url=url, token=token)
            found = {a: load(send, key, a, requests, clients, count) for a in ("verify", "identify")}
            peak = mebibytes("VmHWM", server.pid)
        finally:
            server.terminate()
            server.wait()
    return {"ready_seconds": ready, "server_peak_mib": peak, **found}


def flat(values: dict[str, Any]) -> dict[str, float]:
    """Nested names joined by a dot."""
    out: dict[str, float] = {}
    for name, value in values.items():
        out |= {f"{name}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
    return out


if __name__ == "__main__":
    main()

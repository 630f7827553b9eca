"""Refusals of honest and of hostile keys by `facemin.protection.check_revealing`, with 95 % intervals.

    python experiments/keys/revealing.py --shared ../shared --choose
    python experiments/keys/revealing.py --shared ../shared

LFW, one photo a person, aligned by the published landmarks, people dealt as everywhere (experiments/pseudonym). The
first command prints limits found on people who are not reported on: the highest value of any honest image times
`MARGIN`. The second measures on people to report on, at the limits that facemin has, and appends a record a
line to results/keys/revealing.jsonl. Protected images are kept in --cache, so that a run that was interrupted goes on.

Honest: the default key of plain protection, deep cuts of the default recogniser, whole MobileFaceNets; and another
person's plain photo. Hostile: keys that ask for the face, optimised with the default method, and forms that an image
may hold a face in, made without optimising. Every image is 8-bit, as it would be sent.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from faces import Sample, sample
from hostile_forms import FORMS, made
from made_keys import BETWEEN, HOSTILE, honest

from facemin.autograd.pixels import to_tensor, to_unit
from facemin.evaluation.provenance import conditions
from facemin.keys.default import plain_key
from facemin.metrics import wilson
from facemin.protection import DEFAULT_PROTECTOR, PROTECTORS, check_revealing
from facemin.protection.resemblance import LIMITS, likenesses
from facemin.runtime.files import append_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from facemin.keys.key import Key
    from facemin.protection import Revealing

    Pixels = NDArray[np.uint8]

RECORDS = Path(__file__).resolve().parents[2] / "results" / "keys" / "revealing.jsonl"
CHUNK = 50
STEPS = 40
"""Of every key but the default one, which has as many as it needs; what they leave unmet is harder to find."""
MARGIN = 1.5
STRANGERS = 100


def main() -> None:
    """Measure, write records and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=RECORDS.parents[3] / "shared")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "revealing")
    parser.add_argument("--count", type=int, default=550, help="faces of the default key, of every part")
    parser.add_argument("--faces", type=int, default=12, help="faces that each hostile form is made of")
    parser.add_argument("--only", choices=["honest", "keys", "forms"], help="a third of the measurement")
    parser.add_argument("--key", help="measure this key alone, by its name in made_keys.py")
    parser.add_argument("--choose", action="store_true", help="print limits instead of measuring")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    faces = sample(arguments.shared.resolve(), arguments.count)
    (choose if arguments.choose else report)(faces, arguments)


def choose(faces: Sample, arguments: argparse.Namespace) -> None:
    """Print, for each measure, the limit, and the highest value of honest images."""
    images = of_default_key(faces, arguments.cache)
    rows = np.flatnonzero(faces.parts[: len(images)] != "report")
    pairs = [(images[i], faces.faces[i]) for i in rows]
    for name, key in honest(arguments.shared).items():
        chosen = faces.of("choose", 8)
        pairs += zip(of_key(name, key(), faces, chosen, arguments.cache), faces.faces[chosen], strict=True)
    low = {name: limit / 2 for name, limit in LIMITS.items()}
    highest = dict.fromkeys(LIMITS, 0.0)
    for image, face in pairs:
        for likeness in likenesses(image, face, limits=low):
            highest[likeness.measure] = max(highest[likeness.measure], likeness.value)
    for name in LIMITS:
        if name.startswith(("template", "PSNR")):
            # the mean face's own value, beside which theirs is held, decides
            continue
        print(f'    "{name}": {limit_above(name, highest[name]):.2f},  # {highest[name]:.3f} of {len(pairs)}')


def limit_above(measure: str, highest: float) -> float:
    """A limit that what was seen stays clear of; a share of 1 cannot be exceeded, so its distance to 1 counts."""
    if measure == "histogram":
        return 1 - (1 - highest) / MARGIN
    return highest * MARGIN


def report(faces: Sample, arguments: argparse.Namespace) -> None:
    """Append a record for each key and form."""
    groups = {"honest": honest(arguments.shared), "hostile key": HOSTILE, "between": BETWEEN}
    if arguments.key is not None:
        for kind, keys in groups.items():
            report_keys(kind, {name: keys[name] for name in keys if name == arguments.key}, faces, arguments)
        return
    images = of_default_key(faces, arguments.cache)
    rows = faces.of("report")
    if arguments.only in (None, "honest"):
        report_honest(faces, images, rows, arguments)
    if arguments.only in (None, "keys"):
        report_keys("hostile key", HOSTILE, faces, arguments)
        report_keys("between", BETWEEN, faces, arguments)
    if arguments.only in (None, "forms"):
        key = HOSTILE["identity"]()
        few = rows[: arguments.faces]
        for name in FORMS:
            forms = (made(name, faces.faces[i], images[j], int(i)) for i, j in zip(few, np.roll(few, 1), strict=True))
            write(name, "hostile form", check(zip(forms, faces.faces[few], strict=True), key), arguments)


def report_honest(faces: Sample, images: Pixels, rows: NDArray[np.intp], arguments: argparse.Namespace) -> None:
    """The default key, strangers, and deep cuts."""
    key = plain_key()
    started = time.process_time()
    write("default key", "honest", check(zip(images[rows], faces.faces[rows], strict=True), key), arguments)
    print(f"{1000 * (time.process_time() - started) / len(rows):.0f} ms of one core a face")
    few = rows[:STRANGERS]
    strangers = zip(faces.faces[np.roll(few, 1)], faces.faces[few], strict=True)
    write("another person's plain photo", "stranger", check(strangers, key), arguments)
    report_keys("honest", honest(arguments.shared), faces, arguments)


def report_keys(kind: str, keys: dict[str, Callable[[], Key]], faces: Sample, arguments: argparse.Namespace) -> None:
    """Of each key 20 faces; of the default recogniser's early cuts, which take longest, 10."""
    for name, build in keys.items():
        few = faces.of("report", 10 if name.startswith("dlib") and kind != "honest" else 20)
        key = build()
        protected = of_key(name, key, faces, few, arguments.cache)
        write(name, kind, check(zip(protected, faces.faces[few], strict=True), key), arguments)


def check(pairs: Iterable[tuple[Pixels, Pixels]], key: Key) -> list[Revealing | None]:
    """What is found in each image of its face."""
    return [check_revealing(image, face, [key]) for image, face in pairs]


def write(name: str, kind: str, found: list[Revealing | None], arguments: argparse.Namespace) -> None:
    """Append a record, and print it."""
    refused, n = sum(each is not None for each in found), len(found)
    interval = wilson(refused, n)
    record: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": name,
        "kind": kind,
        "n": n,
        "refused": refused,
        "low": interval.low,
        "high": interval.high,
        "by": Counter(each.measure for each in found if each is not None),
        "of_limit": [None if each is None else round(each.value / each.limit, 3) for each in found],
        "arguments": {"count": arguments.count, "faces": arguments.faces, "steps": STEPS},
        **conditions(),
    }
    append_json(RECORDS, record)
    print(f"{kind}: {name}: {refused} of {n} refused ({interval.low:.3f} to {interval.high:.3f})", flush=True)


def of_default_key(faces: Sample, cache: Path) -> Pixels:
    """Images protected for the default key, as many as there are faces."""
    parts = [
        protected(
            faces.faces[first : first + CHUNK], plain_key(), cache / f"default key-{first}-{CHUNK}.npy", steps=None
        )
        for first in range(0, len(faces.faces), CHUNK)
    ]
    return np.concatenate(parts)


def of_key(name: str, key: Key, faces: Sample, rows: NDArray[np.intp], cache: Path) -> Pixels:
    """Images protected for another key."""
    part = faces.parts[rows[0]]
    return protected(faces.faces[rows], key, cache / f"{name}-{part}-{len(rows)}.npy", steps=STEPS)


def protected(faces: Pixels, key: Key, cache: Path, *, steps: int | None) -> Pixels:
    """Images protected by the default method, uint8 (N, 112, 112, 3), from the cache where they are there."""
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        method = PROTECTORS[DEFAULT_PROTECTOR]
        method = method if steps is None else replace(method, steps=steps)
        done = method(to_unit(to_tensor(faces)), [key], seed=0)
        whole = cache.with_suffix(".part.npy")
        np.save(whole, torch.stack([image.pixels for image in done]).numpy())
        whole.replace(cache)
    return np.ascontiguousarray(np.moveaxis(np.load(cache), 1, -1))


if __name__ == "__main__":
    main()

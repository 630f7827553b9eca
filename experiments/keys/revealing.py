"""Refusals of honest and of hostile keys by `facemin.protection.check_revealing`, with 95 % intervals.

    python experiments/keys/revealing.py --shared ../shared --choose
    python experiments/keys/revealing.py --shared ../shared

LFW, one photo a person, aligned by the published landmarks, people dealt as everywhere (experiments/pseudonym). The
first command prints limits found on people who are not reported on: the highest value of any honest image, and what
`limit_above` makes of it. The second measures on people to report on, at the limits that facemin has, and appends a
record a line to results/keys/revealing.jsonl. Protected images are kept in --cache; where --minutes end before all are
made, nothing is recorded, the exit status is 1, and the same command goes on.

Honest: the default key of plain protection, deep cuts of the default recogniser, six other networks whole and up to
their pooled features; and another person's plain photo. Hostile: keys that ask for the face, optimised with the default
method, and forms that an image may hold a face in, made without optimising. Every image is 8-bit, as it would be sent.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from coded_forms import CODED
from coded_keys import CODED_KEYS
from faces import Sample, sample
from hostile_forms import FORMS, made
from images import STEPS, Kept
from limits import honest_values, limit_above
from made_keys import HOSTILE, between, honest, strongest

from facemin.experiments.common import RESULTS, append_record, script_parser
from facemin.keys.default import plain_key
from facemin.metrics import wilson
from facemin.protection.revealing.check import JUDGE, JUDGED_FROM, judged_cosine, strongest_likeness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from facemin.image import Pixels
    from facemin.keys.key import Key
    from facemin.protection.revealing.resemblance import Likeness

    Keys = dict[str, Callable[[], Key]]

RECORDS = RESULTS / "keys" / "revealing.jsonl"
PARTS = ("default", "fresh", "strangers", "forms", "honest", "hostile", "between")
CHOSEN_ON = 10
"""Faces of part "choose" that a key's limits come from; of the default key `CHOSEN_ON_DEFAULT` are."""
CHOSEN_ON_DEFAULT = 200
CHOSEN_BESIDE = 150
"""Faces of part "choose", as they are and in grey, whose grey levels each image's are compared with."""
EARLY = 10
"""Faces of a key whose optimising takes long: codes, the default recogniser's early cuts, and those in between."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run measures on.

    Args:
        faces: and their parts.
        kept: protected images.
        shared: the research folder.
        count: faces of the default key.
        few: faces of every other key, and of strangers five times as many.
        forms: faces that each hostile form is made of.
        fresh: faces of the default key of people never looked at.
        key: pattern of the names of keys to measure.
    """

    faces: Sample
    kept: Kept
    shared: Path
    count: int
    few: int
    forms: int
    fresh: int
    key: str = "*"

    def of(self, part: str, count: int) -> Pixels:
        """The first faces of a part."""
        return self.faces.faces[self.faces.of(part, count)]

    def images(self, name: str, key: Callable[[], Key], count: int, part: str = "report") -> Pixels:
        """Protected images of the first faces of a part."""
        steps = None if name == "default key" else STEPS
        return self.kept.images(name, key, self.of(part, count), part, steps=steps)


def main() -> int:
    """Measure, write records and print."""
    parser = script_parser(__doc__)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "revealing")
    parser.add_argument("--count", type=int, default=2000, help="faces of the default key")
    parser.add_argument("--few", type=int, default=20, help="faces of every other key")
    parser.add_argument("--forms", type=int, default=12, help="faces that each hostile form is made of")
    parser.add_argument("--fresh", type=int, default=300, help="faces of the default key, people never looked at")
    parser.add_argument("--minutes", type=float, help="after which no further images are begun")
    parser.add_argument("--only", choices=PARTS, help="a part of the measurement")
    parser.add_argument("--key", default="*", help="of keys, those whose names match, say '*whole'")
    parser.add_argument("--choose", action="store_true", help="print limits instead of measuring")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    until = None if arguments.minutes is None else time.monotonic() + 60 * arguments.minutes
    run = Run(
        faces=sample(arguments.shared.resolve(), 10_000),
        kept=Kept(folder=arguments.cache, until=until),
        shared=arguments.shared.resolve(),
        count=arguments.count,
        few=arguments.few,
        forms=arguments.forms,
        fresh=arguments.fresh,
        key=arguments.key,
    )
    try:
        if arguments.choose:
            choose(run)
        else:
            for record in report(run, arguments.only):
                append_record(RECORDS, record)
    except TimeoutError as ended:
        print(ended, file=sys.stderr)
        return 1
    return 0


def choose(run: Run) -> None:
    """Print, for each measure, the limit, and the highest value of honest images.

    The judge's comes from whole networks and their last maps, which keep more than any honest key; the others' from the
    default recogniser's deep cuts and from whole networks.
    """
    faces = run.of("choose", CHOSEN_ON_DEFAULT)
    compared = [(run.images("default key", plain_key, CHOSEN_ON_DEFAULT, "choose"), faces)]
    judged = []
    for name, key in (honest(run.shared) | strongest(run.shared)).items():
        if name.endswith("pooled"):
            continue
        pairs = run.images(name, key, CHOSEN_ON, "choose"), faces[:CHOSEN_ON]
        if name not in strongest(run.shared):
            compared.append(pairs)
        if not name.startswith("dlib"):
            judged.append(pairs)
    found = honest_values(compared, run.of("choose", CHOSEN_BESIDE))
    found[JUDGE] = [judged_cosine(image, face) for images, of in judged for image, face in pairs_of(images, of)]
    for name, values in found.items():
        if name.startswith(("template", "PSNR")):
            # the mean face's own value, beside which theirs is held, decides
            continue
        print(f'    "{name}": {limit_above(name, max(values)):.3f},  # {max(values):.3f} of {len(values)}')


def report(run: Run, only: str | None) -> list[dict[str, Any]]:
    """A record for each key and form, all measured before any is written."""
    early = {*CODED_KEYS, *(name for name in HOSTILE if name.startswith("dlib"))}
    parts: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "default": lambda: of_keys("honest", {"default key": plain_key}, run.count, run),
        "fresh": lambda: [of_fresh(run)],
        "strangers": lambda: [of_strangers(run)],
        "forms": lambda: of_forms(run),
        "honest": lambda: [
            record
            for name, key in honest(run.shared).items()
            for record in of_keys("honest", {name: key}, EARLY if name.endswith("pooled") else run.few, run)
        ],
        "hostile": lambda: [
            record
            for name, key in (HOSTILE | CODED_KEYS).items()
            for record in of_keys("hostile key", {name: key}, EARLY if name in early else run.few, run)
        ],
        "between": lambda: of_keys("between", between(run.shared), EARLY, run),
    }
    return [record for name, made in parts.items() if only in (None, name) for record in made()]


def of_keys(kind: str, keys: Keys, count: int, run: Run) -> list[dict[str, Any]]:
    """A record of each key."""
    found = []
    for name, key in keys.items():
        if not fnmatch(name, run.key):
            continue
        images = run.images(name, key, count)
        found.append(recorded(kind, name, measure(pairs_of(images, run.of("report", count)), key()), run))
    return found


def of_fresh(run: Run) -> dict[str, Any]:
    """The default key's images of people whom nobody has chosen or reported on before."""
    images = run.images("default key", plain_key, run.fresh, "fresh")
    found = measure(pairs_of(images, run.of("fresh", run.fresh)), plain_key())
    return recorded("honest", "default key, fresh people", found, run)


def of_strangers(run: Run) -> dict[str, Any]:
    """Another person's plain photo in the place of a protected image."""
    faces = run.of("report", 5 * run.few)
    found = measure(pairs_of(np.roll(faces, 1, 0), faces), plain_key())
    return recorded("stranger", "another person's plain photo", found, run)


def of_forms(run: Run) -> list[dict[str, Any]]:
    """Forms that an image may hold a face in."""
    faces = run.of("report", run.forms)
    others = np.roll(run.images("default key", plain_key, -(-run.forms // run.kept.chunk) * run.kept.chunk), 1, 0)
    key, records = HOSTILE["identity"](), []
    for name, form in (FORMS | CODED).items():
        forms = [made(form, face, other, seed) for seed, (face, other) in enumerate(zip(faces, others, strict=False))]
        records.append(recorded("hostile form", name, measure(pairs_of(forms, faces), key), run))
    return records


def pairs_of(images: Iterable[Pixels], faces: Iterable[Pixels]) -> Iterable[tuple[Pixels, Pixels]]:
    """Images beside faces."""
    return zip(images, faces, strict=True)


def measure(pairs: Iterable[tuple[Pixels, Pixels]], key: Key) -> list[Likeness]:
    """The strongest measure of each image and its face."""
    return [strongest_likeness(image, face, [key]) for image, face in pairs]


def recorded(kind: str, name: str, found: list[Likeness], run: Run) -> dict[str, Any]:
    """A record, which is printed too."""
    refused = [each for each in found if each.share >= 1]
    interval = wilson(len(refused), len(found))
    print(
        f"{kind}: {name}: {len(refused)} of {len(found)} refused ({interval.low:.4f} to {interval.high:.4f})",
        flush=True,
    )
    return {
        "name": name,
        "kind": kind,
        "n": len(found),
        "refused": len(refused),
        "low": interval.low,
        "high": interval.high,
        "by": Counter(each.measure for each in refused),
        "of_limit": [round(each.share, 3) for each in found],
        "arguments": {"count": run.count, "few": run.few, "forms": run.forms, "fresh": run.fresh, "steps": STEPS},
        "judged_from": JUDGED_FROM,
    }


if __name__ == "__main__":
    sys.exit(main())

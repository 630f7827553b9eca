"""Uploads that attackers see, and what networks make of them: painted in one pass, kept in a cache folder as numbers.

    python experiments/pseudonym/uploads.py --shared ../shared --cache CACHE --secret 1

fills the cache, which takes minutes to an hour; attacks do the same where it is empty. The people, the same for every
attack: TEST, 300 people of `report`, one photo sent and another in the attacker's gallery (of the first SEEDED of them
the photo is sent SEEDS times); FIVE, 150 people of `report`, five photos sent and a sixth in the gallery; PAIRS, people
of `fit` and `choose`, one photo each, which attackers know with its upload. Everybody has an own rotation, or the
identity where there is no secret. The photos sent again, and the five, are seen by some of the networks only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from common import Lfw, load, protector_of, rotation
from embeddings import crops

from facemin.experiments.common import script_parser
from facemin.models import SPACE_MODEL, load_recogniser
from facemin.models.onnx.run import FaceRunner
from facemin.protection.one_pass.painter import CHECKS, OnePass, Painter
from facemin.protection.one_pass.protector_file import ProtectorFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from facemin.image import Pixels

    Rows = NDArray[np.float64]

TEST, FIVE, SEEDED, SEEDS, PHOTOS = 300, 150, 300, 16, 5
PAIRS = {True: 2000, False: 1000}
"""By whether there is a secret."""
OFF_THE_SHELF = (
    "mobilefacenet-ms1m-arcface",
    "mobilefacenet-casia-arcface",
    "mobilefacenet-vggface2-amsoftmax",
)
FEWER = {"seeds": (SPACE_MODEL,), "five": (SPACE_MODEL, "mobilefacenet-ms1m-arcface")}
"""Networks that look at a group, where not all do."""
BLURRED = (SPACE_MODEL, "mobilefacenet-ms1m-arcface")
"""Networks that look at the image after a blur of 1 px as well."""
THUMBNAIL = 16
CHUNK = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Cast:
    """Rows of the photos of each group.

    Attributes:
        sent: (TEST,), one photo each.
        gallery: (TEST,), another of the same people.
        sent_five: (FIVE, PHOTOS).
        gallery_five: (FIVE,).
        pairs: (P,), other people's.
    """

    sent: NDArray[np.int64]
    gallery: NDArray[np.int64]
    sent_five: NDArray[np.int64]
    gallery_five: NDArray[np.int64]
    pairs: NDArray[np.int64]


def cast(lfw: Lfw, *, pairs: int = PAIRS[True]) -> Cast:
    """The people of every table, in the split's fixed order."""
    two = np.stack(lfw.people("report", least=2, most=2))[:TEST]
    six = np.stack(lfw.people("report", least=PHOTOS + 1, most=PHOTOS + 1))[:FIVE]
    # both parts in turn, so that neither part's names come first
    parts = [lfw.people(part, least=1, most=1) for part in ("choose", "fit")]
    others = np.concatenate([*parts[0], *parts[1]])[:pairs]
    return Cast(sent=two[:, 0], gallery=two[:, 1], sent_five=six[:, :PHOTOS], gallery_five=six[:, PHOTOS], pairs=others)


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """What is computed of images, row by row.

    Attributes:
        features: by the network's name, and "blurred" after it; (N, C) each.
        thumbnails: (N, 768).
    """

    features: dict[str, Rows]
    thumbnails: Rows


@dataclass(frozen=True, kw_only=True, eq=False)
class Networks:
    """Networks on 8-bit images.

    Attributes:
        run: by name; the key's is `SPACE_MODEL`.
    """

    run: dict[str, FaceRunner]

    def __call__(self, images: Pixels, *, blurred: bool = True) -> Seen:
        """Features of images (N, 112, 112, 3), and by some networks of the same after a blur of 1 px."""
        features: dict[str, list[Rows]] = {}
        for start in range(0, len(images), CHUNK):
            some = images[start : start + CHUNK]
            softer = CHECKS["blur-1"](some)
            for name, run in self.run.items():
                features.setdefault(name, []).append(run(some).reshape(len(some), -1).astype(np.float64))
                if blurred and name in BLURRED:
                    rows = run(softer).reshape(len(some), -1).astype(np.float64)
                    features.setdefault(f"{name} blurred", []).append(rows)
        return Seen(features={name: np.concatenate(rows) for name, rows in features.items()}, thumbnails=small(images))


def networks(shared: Path, others: Iterable[str] = OFF_THE_SHELF) -> Networks:
    """The key's network and recognisers off the shelf."""
    graphs = {SPACE_MODEL: load_recogniser(SPACE_MODEL).graph}
    graphs |= {name: load_recogniser(shared / "models" / f"{name}.onnx").graph for name in others}
    return Networks(run={name: FaceRunner(graph.SerializeToString()) for name, graph in graphs.items()})


def small(images: Pixels) -> Rows:
    """Means over squares, (N, THUMBNAIL^2 x 3), in [0, 1]."""
    side = images.shape[1] // THUMBNAIL
    blocks = images.reshape(len(images), THUMBNAIL, side, THUMBNAIL, side, 3).astype(np.float64)
    return np.asarray(blocks.mean((2, 4)).reshape(len(images), -1) / 255)


def targets(rows: Rows, people: int, generator: np.random.Generator, *, secret: bool) -> NDArray[np.float32]:
    """Targets (N, D) of rows (N, D), `people` of whom follow one another with as many rows each."""
    if not secret:
        return rows.astype(np.float32)
    each = rows.reshape(people, -1, rows.shape[-1])
    turned = [some @ rotation(rows.shape[-1], generator).T for some in each]
    return np.concatenate(turned).astype(np.float32)


def uploads(
    lfw: Lfw, group: str, *, secret: bool, protector: ProtectorFile, looking: Networks, cache: Path, seed: int = 0
) -> tuple[NDArray[np.float32], Seen]:
    """Targets and what is seen of the images painted for them, of one group; from the cache where it is there.

    Args:
        lfw: the faces.
        group: "pairs", "test", "five", or "seeds" (SEEDED of TEST's photos, painted SEEDS times).
        secret: whether everybody has one.
        protector: that paints.
        looking: the networks.
        cache: a folder.
        seed: of rotations and noise.
    """
    who = cast(lfw, pairs=PAIRS[secret])
    rows = {"pairs": who.pairs, "test": who.sent, "five": who.sent_five.reshape(-1), "seeds": who.sent[:SEEDED]}[group]
    people = len(who.sent_five) if group == "five" else len(rows)
    run = {name: looking.run[name] for name in FEWER.get(group, looking.run)}
    words = f"{protector.manifest.sha256} {group} {secret} {seed} {sorted(run)} {rows.tolist()}"
    name = f"uploads-{group}-{'secret' if secret else 'plain'}-{hashlib.sha256(words.encode()).hexdigest()[:12]}.npz"
    file = cache / name
    # "test" and "seeds" are the same uploads' rotations
    order = {"pairs": 0, "test": 1, "seeds": 1, "five": 2}[group]
    generator = np.random.default_rng((seed, order))
    wanted = targets(lfw.both[rows], people, generator, secret=secret)
    if group == "seeds":
        wanted = np.repeat(wanted, SEEDS, 0)
    if not file.is_file():
        painter = Painter(protector, looking.run[SPACE_MODEL], OnePass(residual=0.3))
        noise = np.random.default_rng((seed, 7 + order)).integers(2**62, size=len(wanted)).tolist()
        seen = Networks(run=run)(painter.paint(wanted, noise), blurred=group not in FEWER)
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(file, thumbnails=seen.thumbnails, **seen.features)
    held = np.load(file)
    features = {name: held[name] for name in held.files if name != "thumbnails"}
    return wanted, Seen(features=features, thumbnails=held["thumbnails"])


def galleries(lfw: Lfw, looking: Networks, cache: Path) -> dict[str, dict[str, Rows]]:
    """Plain gallery photos of TEST and FIVE as the networks embed them."""
    who, found = cast(lfw), {}
    for group, rows in (("test", who.gallery), ("five", who.gallery_five)):
        words = f"{group} {sorted(looking.run)} {rows.tolist()}"
        file = cache / f"gallery-{group}-{hashlib.sha256(words.encode()).hexdigest()[:12]}.npz"
        if not file.is_file():
            seen = looking(crops(lfw.shared, [lfw.paths[row] for row in rows]), blurred=False)
            cache.mkdir(parents=True, exist_ok=True)
            np.savez(file, **seen.features)
        held = np.load(file)
        found[group] = {name: held[name] for name in held.files}
    return found


def main() -> None:
    """Fill the cache."""
    parser = script_parser(__doc__, cache="folder that keeps embeddings between runs")
    parser.add_argument("--protector", type=Path, help="file; the one that ships when none is named")
    parser.add_argument("--secret", type=int, choices=(0, 1), required=True)
    given = parser.parse_args()
    lfw, looking = load(given.shared, given.cache), networks(given.shared)
    protector = protector_of(given.protector)
    galleries(lfw, looking, given.cache)
    for group in ("test", "pairs", "five", "seeds"):
        uploads(lfw, group, secret=bool(given.secret), protector=protector, looking=looking, cache=given.cache)
        print(group, flush=True)


if __name__ == "__main__":
    main()

"""What leaks beside the target, and what a dishonest key or a short secret give away.

    python experiments/pseudonym/leaks.py --shared ../shared --cache CACHE

Norms: that of a recogniser that leaves it free, and what float32 leaves of a target's, against plain photos. Timing:
tries and seconds of one-pass painting, against those of another photo of the person under another rotation, and against
the plain embedding's norm. Trigger-anchor keys: people of `report` read after n uploads. Short secrets: 2^10 guesses,
30 people.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import CHORD, Lfw, as_images, load, protector_of, record, rotation, show, together

from facemin.attack.secret.guess import guess_secret, guess_without_pairs
from facemin.attack.secret.trigger import TriggerKey
from facemin.experiments.common import script_parser
from facemin.metrics import wilson
from facemin.models import SPACE_MODEL, load_recogniser
from facemin.models.onnx.run import FaceRunner
from facemin.protection.one_pass.painter import OnePass, Painter
from facemin.protection.one_pass.protector import CORRECTIONS
from facemin.protection.one_pass.protector_file import ProtectorFile
from facemin.pseudonym import haar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

TEST, TIMED, VICTIMS, GUESSES = 300, 100, 30, 1024
RESIDUAL = 0.15
"""Of the painting that is timed, once corrected: some images are painted again."""


def main() -> None:
    """Attack, print, record."""
    parser = script_parser(__doc__, cache="folder that keeps embeddings between runs", seed=0)
    parser.add_argument("--protector", type=Path, help="file; the one that ships when none is named")
    given = parser.parse_args()
    lfw = load(given.shared, given.cache)
    generator = np.random.default_rng(given.seed)
    protector = protector_of(given.protector)
    values = {
        "norm": norms(lfw, generator),
        "trigger": triggers(lfw, generator),
        "guesses": guesses(lfw, generator),
        "timing": timing(lfw, protector, generator),
        "protector_sha256": protector.manifest.sha256,
    }
    record("leaks", given, values)


def norms(lfw: Lfw, generator: np.random.Generator) -> list[dict[str, Any]]:
    """One number of an upload, one of a plain photo: how far apart."""
    two = np.stack(lfw.people("report", least=2, most=2))[:TEST]
    free = np.linalg.norm(lfw.raw[two], axis=-1)
    sent = np.stack([lfw.both[row] @ rotation(lfw.dimension, generator).T for row in two[:, 0]]).astype(np.float32)
    left = np.linalg.norm(sent.astype(np.float64), axis=1) - 1
    cases = {
        "a norm left free": _apart(free[:, 0], free[:, 1]),
        "what float32 leaves of a unit norm, against the plain norm": _apart(_scaled(left), _scaled(free[:, 1])),
    }
    rows = [{"attacker": name, **together([scores])} for name, scores in cases.items()]
    for row in rows:
        show(row["attacker"], row)
    return rows


def timing(lfw: Lfw, protector: ProtectorFile, generator: np.random.Generator) -> list[dict[str, Any]]:
    """Tries and seconds, photo against photo of the same people, everybody with two rotations."""
    two = np.stack(lfw.people("report", least=2, most=2))[:TIMED]
    runner = FaceRunner(load_recogniser(SPACE_MODEL).graph.SerializeToString())
    # one at a time: a batch's seconds are shared among its images
    painter = Painter(protector, runner, OnePass(residual=RESIDUAL, corrections=CORRECTIONS, batch=1))
    spent = []
    for side in (0, 1):
        targets = np.stack([lfw.both[row] @ rotation(lfw.dimension, generator).T for row in two[:, side]])
        seeds = generator.integers(2**62, size=len(two)).tolist()
        spent.append(painter(targets.astype(np.float32), seeds))
    tries, seconds = (
        np.array([[getattr(one, what) for one in side] for side in spent]) for what in ("tries", "seconds")
    )
    norm = np.linalg.norm(lfw.raw[two[:, 1]], axis=-1)
    cases = {
        "tries, against those of another photo": _apart(tries[0], tries[1]),
        "seconds, against those of another photo": _apart(np.log(seconds[0]), np.log(seconds[1])),
        "tries, against the plain norm": _apart(_scaled(tries[0]), _scaled(norm)),
    }
    mean = round(float(tries.mean()), 3)
    rows = [{"attacker": name, "mean tries": mean, **together([scores])} for name, scores in cases.items()]
    for row in rows:
        show(row["attacker"], row)
    return rows


def triggers(lfw: Lfw, generator: np.random.Generator) -> list[dict[str, Any]]:
    """A watch list of one plain photo a person; n other photos of each are uploaded, under an own rotation."""
    six = np.stack(lfw.people("report", least=6, most=6))
    key = TriggerKey(watched=lfw.both[six[:, 0]], dimension=lfw.dimension)
    # a fair bit of each photo, as a parity of its pixels is
    parity = np.array([hashlib.sha256(path.encode()).digest()[0] for path in lfw.paths])
    rows = []
    for chord in (0.0, CHORD):
        for n in (1, 2, 3, 4, 5):
            hits = 0
            for person, photos in enumerate(six[:, 1 : n + 1]):
                answers = key(lfw.both[photos], parity[photos])
                sent = (answers @ rotation(lfw.dimension, generator).T).astype(np.float32).astype(np.float64)
                hits += key.read(as_images(sent, chord, generator) if chord else sent) == person
            low, high = wilson(hits, len(six))
            rows.append({"uploads": n, "chord": chord, "people": len(six), "hits": hits})
            rows[-1] |= {"share": round(hits / len(six), 4), "interval": [round(low, 4), round(high, 4)]}
            print(f"trigger-anchor key, {n} uploads, chord {chord}: {hits} of {len(six)}", flush=True)
    return rows


def guesses(lfw: Lfw, generator: np.random.Generator) -> dict[str, Any]:
    """Secrets of ten bits: found by one known pair, by another photo, by a gallery; and what a guess costs."""
    began = time.process_time()
    rotations = [haar(hashlib.sha256(str(number).encode()).digest(), lfw.dimension) for number in range(GUESSES)]
    seconds = (time.process_time() - began) / GUESSES
    six = np.stack(lfw.people("report", least=6, most=6))
    gallery = lfw.both[six[:, 0]]
    found = dict.fromkeys(("the photo itself", "another photo", "a gallery, one upload", "a gallery, five uploads"), 0)
    for person in range(VICTIMS):
        number = int(generator.integers(GUESSES))
        sent = as_images(lfw.both[six[person, 1:]] @ rotations[number].T, CHORD, generator)
        tried = {
            "the photo itself": guess_secret(rotations, lfw.both[six[person, 1:2]], sent[:1]),
            "another photo": guess_secret(rotations, lfw.both[six[person, :1]], sent[:1]),
            "a gallery, one upload": guess_without_pairs(rotations, gallery, sent[:1]),
            "a gallery, five uploads": guess_without_pairs(rotations, gallery, sent),
        }
        for name, guess in tried.items():
            found[name] += guess.number == number
    for name, hits in found.items():
        print(f"secret of {GUESSES} values, images, {name}: {hits} of {VICTIMS}", flush=True)
    days = {f"2^{bits}": float(f"{2.0**bits * seconds / 86400:.3g}") for bits in (20, 32, 40, 64, 128, 256)}
    return {
        "values": GUESSES,
        "people": VICTIMS,
        "gallery": len(gallery),
        "chord": CHORD,
        "found": found,
        "seconds a rotation, one core": float(f"{seconds:.3g}"),
        "core days for all values": days,
    }


def _apart(first: Rows, second: Rows) -> Rows:
    return np.asarray(-np.abs(first[:, None] - second[None]))


def _scaled(values: Rows) -> Rows:
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-12))


if __name__ == "__main__":
    main()

"""Attribute probes against uploads under pseudonyms: gender of LFW's people; gender, age and race of UTKFace's.

    python experiments/pseudonym/attributes.py --shared ../shared --cache CACHE

Probes (multinomial logistic regression, the penalty chosen on a fifth of what teaches) learn from other people's
uploads under their own secrets whose attributes are known: LFW's on the pairs of uploads.py, judged on its 300 people;
UTKFace's on two thirds of the faces, judged on a third. Accuracy beside the commonest class's, and the permutation p
that labels dealt out at random agree as often. Then the same without a secret.
"""

from __future__ import annotations

import argparse
import csv
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from common import Lfw, arguments, images_for, load, protector_of, record, rotation, unit
from linkers import KEY, OTHERS, inputs
from uploads import PAIRS, Seen, cast, networks, small, uploads

from facemin.attack.attributes.probe import logistic
from facemin.face import Detector, align
from facemin.image import decode
from facemin.metrics import permutation_test, wilson
from facemin.models import SPACE_MODEL
from facemin.models.space import mirrored
from facemin.protection.one_pass.protector_file import ProtectorFile
from facemin.pseudonym.rotation import average_views

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from facemin.models.onnx.run import FaceRunner

    Rows = NDArray[np.float64]
    Labels = NDArray[np.int64]

PENALTIES = (1e-2, 1e-1, 1.0)
AGES = (25, 35, 50)
"""Upper ends of all classes but the last, in years."""


def main() -> None:
    """Attack, print, record."""
    given = arguments(__doc__, protector=True, utkface=450)
    lfw, protector = load(given.shared, given.cache), protector_of(given.protector)
    looking = networks(given.shared)
    faces = utkface(given, looking.run[SPACE_MODEL])
    rows: list[dict[str, Any]] = []
    for secret in (True, False):
        more = {"secret": secret}
        rows += [row | more for row in lfw_gender(lfw, protector, given, secret=secret)]
        run = looking.run[SPACE_MODEL]
        rows += [row | more for row in of_utkface(faces, protector, run, given.seed, secret=secret)]
    for row in rows:
        print(row, flush=True)
    record("attributes", given, {"rows": rows, "protector_sha256": protector.manifest.sha256})


def lfw_gender(lfw: Lfw, protector: ProtectorFile, given: argparse.Namespace, *, secret: bool) -> list[dict[str, Any]]:
    """Gender of 300 people, taught by other people's uploads; photos without a label are left out."""
    table = (given.shared / "data" / "lfw_gender.tsv").read_text()
    told = {file: int(gender == "male") for file, gender in csv.reader(table.splitlines(), delimiter="\t")}
    who, looking = cast(lfw, pairs=PAIRS[secret]), networks(given.shared)
    generator = np.random.default_rng((given.seed, 5))
    found: dict[str, tuple[Rows, Labels]] = {}
    seen: dict[str, Seen] = {}
    for group, photos in (("pairs", who.pairs), ("test", who.sent)):
        _, seen[group] = uploads(
            lfw, group, secret=secret, protector=protector, looking=looking, cache=given.cache, seed=given.seed
        )
        labels = np.array([told.get(lfw.paths[row].split("/")[1], -1) for row in photos])
        found[group] = photos, labels
    rows = []
    for name, see in (
        ("image: the key's features", lambda group: inputs(seen[group], KEY, thumbnails=False)),
        ("image: recognisers off the shelf and thumbnails", lambda group: inputs(seen[group], OTHERS, thumbnails=True)),
        ("feature", lambda group: sent(lfw.both[found[group][0]], generator, secret=secret)),
    ):
        taught, judged = (
            (see(group)[found[group][1] >= 0], found[group][1][found[group][1] >= 0]) for group in ("pairs", "test")
        )
        rows.append({"set": "LFW", "attribute": "gender", "attacker": name, **probed(*taught, *judged, given.seed)})
    return rows


class Faces(dict[str, "Rows"]):
    """Embeddings in the space, "rows", and labels by attribute."""


def utkface(given: argparse.Namespace, run: FaceRunner) -> Faces:
    """Faces of UTKFace from 16 years on, evenly over the files, in the space; from the cache where they are there."""
    file = given.cache / f"utkface-{given.utkface}.npz"
    if not file.is_file():
        paths = sorted((given.shared / "data" / "utkface").glob("*.jpg"))
        labelled = [
            (path, [int(part) for part in path.name.split("_")[:3]]) for path in paths if path.name.count("_") == 3
        ]
        adults = [(path, labels) for path, labels in labelled if labels[0] >= 16]
        detect, crops, kept = Detector(), [], []
        for place in np.linspace(0, len(adults) - 1, given.utkface).astype(int):
            pixels = decode(adults[place][0]).pixels
            faces = detect(pixels)
            if faces:
                crops.append(align(pixels, faces[0].points[None])[0])
                kept.append(adults[place][1])
        views = [run(view) for view in (np.stack(crops), mirrored(np.stack(crops)))]
        age, gender, race = np.array(kept).T
        np.savez(
            file,
            rows=average_views(views),
            gender=gender,
            race=race,
            age=np.searchsorted(AGES, age),
        )
    held = np.load(file)
    return Faces({name: held[name] for name in held.files})


def of_utkface(
    faces: Faces, protector: ProtectorFile, run: FaceRunner, seed: int, *, secret: bool
) -> list[dict[str, Any]]:
    """Attributes of a third of the faces, taught by the others."""
    generator = np.random.default_rng((seed, 6))
    features = sent(faces["rows"], generator, secret=secret)
    noise = generator.integers(2**62, size=len(features)).tolist()
    images = images_for(features.astype(np.float32), noise, protector, run)
    views = {
        "feature": features,
        "image: the key's features and thumbnails": np.concatenate([unit(run(images).astype(float)), small(images)], 1),
    }
    test = np.arange(len(features)) % 3 == 0
    rows = []
    for attribute in ("gender", "age", "race"):
        labels = faces[attribute].astype(np.int64)
        for name, view in views.items():
            found = probed(view[~test], labels[~test], view[test], labels[test], seed)
            rows.append({"set": "UTKFace", "attribute": attribute, "attacker": name, **found})
    return rows


def sent(rows: Rows, generator: np.random.Generator, *, secret: bool) -> Rows:
    """Features, each under an own rotation where there is a secret."""
    return np.stack([row @ rotation(rows.shape[1], generator).T for row in rows]) if secret else rows


def probed(taught: Rows, labels: Labels, judged: Rows, truth: Labels, seed: int) -> dict[str, Any]:
    """Accuracy of a probe, beside the class that is commonest among what taught it."""
    kinds = int(max(labels.max(), truth.max())) + 1
    held = np.random.default_rng(seed).permutation(len(labels)) % 5 == 0
    x, y = torch.from_numpy(taught), torch.from_numpy(labels)

    def fitted(rows: NDArray[np.bool_], penalty: float) -> Callable[[torch.Tensor], torch.Tensor]:
        return logistic(x[rows], y[rows], classes=kinds, penalty=penalty)

    right = {penalty: int((fitted(~held, penalty)(x[held]).argmax(1) == y[held]).sum()) for penalty in PENALTIES}
    best = max(PENALTIES, key=lambda penalty: (right[penalty], penalty))
    said = fitted(np.ones(len(labels), bool), best)(torch.from_numpy(judged)).argmax(1)
    found = permutation_test(said, torch.from_numpy(truth), draws=999, seed=seed)
    low, high = wilson(found.hits, len(truth))
    common = int(np.bincount(labels).argmax())
    return {
        "taught by": len(labels),
        "n": len(truth),
        "hits": found.hits,
        "accuracy": round(found.hits / len(truth), 4),
        "interval": [round(low, 4), round(high, 4)],
        "commonest class": round(float((truth == common).mean()), 4),
        "p": round(found.p, 4),
    }


if __name__ == "__main__":
    main()

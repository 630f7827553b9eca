"""Carriers at networks that they were not made for, as linkers and as attribute estimators see them.

    python experiments/carrier/panel.py --shared ../shared --cache CACHE

On the carriers that `make.py` left. Aligned as any service does, by a detector's landmarks. Collisions: share of pairs
of different people's carriers (and of two carriers of one person) that each network accepts at its threshold for FAR
1e-3 on plain faces of `choose`. Linking: the carrier against everybody's plain gallery photo, no training. Attributes:
mutual information between what an estimator says of the carrier and of the person's plain photo, beside its permutation
interval. At the service: how many carriers, bases and plain photos are taken for carriers.
"""

from __future__ import annotations

import json
import sys
from itertools import chain
from typing import Any

import numpy as np
import torch
from carriers import REPOSITORY, arguments, file_of, load, record, rows_of

from facemin.attack.attributes.estimators import find_estimators
from facemin.autograd.pixels import to_tensor, to_unit
from facemin.face import Detector, align
from facemin.image import decode
from facemin.models import load_graph
from facemin.models.onnx.run import FaceRunner
from facemin.protection.carrier.known import fineness, is_carrier, outside

sys.path.insert(0, str(REPOSITORY / "experiments" / "pseudonym"))

from common import together
from embeddings import crops
from people import photos

NETWORKS = (
    "mobilefacenet-casia-arcface",
    "mobilefacenet-casia-arcface-b",
    "mobilefacenet-y1-ms1m-arcface",
    "mobilefacenet-ms1m-arcface",
    "mobilefacenet-vggface2-amsoftmax",
    "mobileface-v3",
)
FAR = 1e-3
PERMUTATIONS = 999


def main() -> None:
    """Look, print, record."""
    given = arguments(__doc__, look="photo")
    lfw = load(given.shared, given.cache)
    rows = rows_of(lfw, "test", given.people)
    folder = given.cache / f"carriers-{given.look}-test"
    people = [n for n in range(given.first, len(rows)) if all(file_of(folder, n, photo).is_file() for photo in (0, 1))]
    files = [[decode(file_of(folder, n, photo)).pixels for photo in (0, 1)] for n in people]
    detector = Detector(threads=1)
    found = [[detector(image) for image in two] for two in files]
    kept = [at for at, two in enumerate(found) if all(two)]
    faces = [np.stack([align(files[at][p], found[at][p][0].points[None])[0] for at in kept]) for p in (0, 1)]
    names = [lfw.paths[rows[people[at], 1]] for at in kept]
    plain = crops(given.shared, names)
    values: dict[str, Any] = {
        "people": len(people),
        "found by CenterFace": {
            "carriers": sum(map(bool, chain.from_iterable(found))),
            "plain photos": sum(bool(detector(photo_of(given, lfw.paths[row]))) for row in rows[people].flat),
            "of": 2 * len(people),
        },
        "compared": len(kept),
        "networks": [network(given, name, faces, plain) for name in NETWORKS],
        "attributes": attributes(given, faces[0], plain),
        "service": service([image for two in files for image in two], given, names),
    }
    print(json.dumps(values, indent=1))
    record("panel", given, values)


def network(given: Any, name: str, faces: list[np.ndarray], plain: np.ndarray) -> dict[str, Any]:
    """Collisions and linking at one network."""
    run = FaceRunner(load_graph(given.shared / "models" / f"{name}.onnx").graph.SerializeToString())
    limit = threshold(given, name, run)
    first, second, gallery = (unit(run(each)) for each in (*faces, plain))
    scores = first @ second.T
    off = ~np.eye(len(scores), dtype=bool)
    linked = together([first @ gallery.T])
    return {
        "network": name,
        "different people accepted": round(float((scores[off] >= limit).mean()), 4),
        "the same person accepted": round(float((np.diag(scores) >= limit).mean()), 4),
        "own plain photo accepted": round(float((np.diag(first @ gallery.T) >= limit).mean()), 4),
        "AUC to plain photos": linked["auc"],
        "interval": linked["interval"],
        "rank 1": linked["rank 1"]["share"],
    }


def threshold(given: Any, name: str, run: FaceRunner) -> float:
    """Of a network at FAR, over all pairs of one photo each of `choose`; kept in the cache."""
    file = given.cache / "carrier-thresholds.npz"
    held = dict(np.load(file)) if file.is_file() else {}
    if name not in held:
        from embeddings import all_photos

        paths = [some[0] for some in photos("choose", all_photos(given.shared)).values()]
        rows = unit(
            np.concatenate([run(crops(given.shared, paths[at : at + 128])) for at in range(0, len(paths), 128)])
        )
        scores = (rows @ rows.T)[~np.eye(len(rows), dtype=bool)]
        np.savez(file, **held | {name: np.quantile(scores, 1 - FAR)})
        held = dict(np.load(file))
    return float(held[name])


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows (N, ...) at unit length, (N, D) float64."""
    wide = rows.reshape(len(rows), -1).astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def attributes(given: Any, carriers: np.ndarray, plain: np.ndarray) -> list[dict[str, Any]]:
    """Mutual information of what estimators say of a carrier with what they say of its owner's plain photo, in bits."""
    table = []
    for estimator in find_estimators(given.shared / "models"):
        with torch.inference_mode():
            ours, theirs = (estimator(to_unit(to_tensor(each))) for each in (carriers, plain))
        for attribute in estimator.attributes:
            a, b = (classes(said[attribute.name].numpy()) for said in (ours, theirs))
            generator = np.random.default_rng(0)
            null = [information(a, generator.permutation(b)) for _ in range(PERMUTATIONS)]
            bits = information(a, b)
            table.append(
                {
                    "estimator": estimator.name,
                    "attribute": attribute.name,
                    "bits": round(bits, 4),
                    "permuted, 2.5 to 97.5 %": [round(float(q), 4) for q in np.quantile(null, (0.025, 0.975))],
                    "p": round((1 + sum(value >= bits for value in null)) / (1 + PERMUTATIONS), 3),
                }
            )
    return table


def classes(said: np.ndarray) -> np.ndarray:
    """Classes of what was said; numbers in thirds."""
    if said.ndim == 2:
        return said.argmax(1)
    return np.searchsorted(np.quantile(said, (1 / 3, 2 / 3)), said)


def information(a: np.ndarray, b: np.ndarray) -> float:
    """Mutual information of two labellings, in bits."""
    joint = np.zeros((int(a.max()) + 1, int(b.max()) + 1))
    np.add.at(joint, (a, b), 1 / len(a))
    product = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log2(joint[there] / product[there])).sum())


def service(carriers: list[np.ndarray], given: Any, names: list[str]) -> dict[str, Any]:
    """How many are taken for carriers, with the extremes of both measures."""
    plain = [photo_of(given, name) for name in names]
    framed = plain_frames(given, names)
    told = {}
    for kind, images in (("carriers", carriers), ("plain photos", plain), ("plain photos, framed", framed)):
        told[kind] = {
            "taken": sum(map(is_carrier, images)),
            "of": len(images),
            "outside": [round(float(q), 3) for q in np.quantile([outside(image) for image in images], (0, 0.5, 1))],
            "fineness": [round(float(q), 3) for q in np.quantile([fineness(image) for image in images], (0, 0.5, 1))],
        }
    return told


def photo_of(given: Any, name: str) -> np.ndarray:
    """One of LFW's photos, as it is."""
    return decode(given.shared / "data" / "lfw" / name).pixels


def plain_frames(given: Any, names: list[str]) -> list[np.ndarray]:
    """Plain photos aligned as bases are: what a careless app would have to do to be taken for a carrier."""
    from components import frames

    return list(frames(given.shared, names))


if __name__ == "__main__":
    main()

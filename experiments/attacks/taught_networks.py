"""Convolutional networks taught by a thousand images: students, of protected or plain faces, and a gender probe.

    python experiments/attacks/taught_networks.py --shared ../shared --cache CACHE student one-pass pmt
    python experiments/attacks/taught_networks.py --shared ../shared --cache CACHE poor plain robust pmt
    python experiments/attacks/taught_networks.py --shared ../shared --cache CACHE gender plain one-pass pseudonym

The student begins from an ordinary recogniser and learns a stronger one's embedding of the plain face from protected
images of other people; whoever has no secret is the control that shows what it can do. One of poor faces learns it from
plain faces alone, each made poor in every way that we know, and reads images less the mean of protected ones; the
people's own poor faces are its control. The probe learns gender from protected images, each fold from other people's,
with plain faces as its control. Images: protections.py (optimised ones from the cache, as many as it has) and the
shipped one-pass protector, with a secret a person ("pseudonym") and without ("one-pass"). Appends a record for each to
results/attacks/taught_networks.jsonl; the tables of docs/attacks.md are a function of those records alone, and without
names it only writes them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from page import accepted, linked, read_lines, write_table
from painting import Studio, turned
from protections import PROTECTIONS, TEST, plain, uploads
from setting import DRAWS, lfw_photos
from students import poor_in_turn, poor_student, student

from facemin.attack.attributes.convolutional_probe import ConvolutionalProbe
from facemin.experiments.common import RESULTS, provenance, script_parser, table_head
from facemin.experiments.kinds.networks import GENDER, IMAGES, STUDENTS, images_of, latest
from facemin.metrics import permutation_test, wilson
from facemin.runtime.files import append_json

if TYPE_CHECKING:
    import argparse

    from protections import Plain
    from torch import Tensor

RECORDS = RESULTS / "attacks" / "taught_networks.jsonl"
PAIRS = 1000


def main() -> None:
    """Teach, record, write the tables."""
    parser = script_parser(__doc__, out=RECORDS, pairs=PAIRS, epochs=8)
    parser.add_argument("--cache", type=Path, default=None, help="folder of the images and of trainings begun")
    parser.add_argument("network", nargs="?", choices=["student", "poor", "gender"])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(IMAGES)}")
    given = parser.parse_args()
    if unknown := set(given.names) - set(IMAGES):
        parser.error(f"names: expected some of {', '.join(IMAGES)}, got {', '.join(sorted(unknown))}")
    if given.names and given.cache is None:
        parser.error("--cache is needed")
    if given.names:
        faces = plain(given.shared, train=given.pairs)
        for name in given.names:
            began = time.perf_counter()
            records = measured(name, faces, given)
            # of all of them together
            seconds = round((time.perf_counter() - began) / len(records), 1)
            for network, found in records.items():
                print(network, name, {key: value for key, value in found.items() if key != "scores"}, flush=True)
                values = {"network": network, "images": name, **found, "seconds": seconds}
                append_json(given.out, {**values, **provenance(given, given.shared)})
    write_table("networks", "taught_networks.py", table(read_lines(given.out)))


def protected(name: str, faces: Plain, given: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Images of the people tested and of those learnt from, uint8."""
    if name == "plain":
        return faces.test, faces.train
    if name in PROTECTIONS:
        made = uploads(PROTECTIONS[name](given.shared), faces, given.cache, shared=given.shared, budget=0)
        return made.test, made.train
    studio = Studio.shipped(0)
    places = [studio.places(part) for part in (faces.test, faces.train)]
    if name == "pseudonym":
        places = [turned(part, studio.secrets(len(part))) for part in places]
    test, train = (studio.paint(part) for part in places)
    return test, train


def measured(name: str, faces: Plain, given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What one network gets of one protection's images, by the name of the record's network."""
    test, train = protected(name, faces, given)
    if given.network == "student":
        return {"student": student(name, test, train, faces, given)}
    if given.network == "gender":
        return {"gender": gender(test, train, given)}
    if name == "plain":
        test, train = poor_in_turn(test), poor_in_turn(train)
    return poor_student(test, train, faces, given)


def gender(test: Tensor, train: Tensor, given: argparse.Namespace) -> dict[str, Any]:
    """Gender by a network taught other people's images, beside the commonest class."""
    labels = genders(given.shared, len(train))
    known = [at for at, label in enumerate(labels) if label >= 0]
    truth = torch.tensor([labels[at] for at in known])
    said = ConvolutionalProbe().classes(torch.cat([test, train])[known], truth, torch.arange(len(truth)))
    agreement, n = permutation_test(said, truth, draws=DRAWS), len(truth)
    recalls = [float((said[truth == kind] == kind).double().mean()) for kind in (0, 1)]
    return {
        "n": n,
        "hits": agreement.hits,
        "interval": [round(value, 4) for value in wilson(agreement.hits, n)],
        "balanced": round(sum(recalls) / 2, 4),
        "commonest": round(int(torch.bincount(truth).max()) / n, 4),
        "p": round(agreement.p, 4),
    }


def genders(shared: Path, train: int) -> list[int]:
    """Of the people tested, then of those trained on: 0 female, 1 male, -1 where nobody says."""
    lines = (shared / "data" / "lfw_gender.tsv").read_text(encoding="utf-8").splitlines()
    said = {line.split("\t")[0].rsplit("_", 1)[0]: line.split("\t")[1] == "male" for line in lines if "\t" in line}
    listed = lfw_photos(shared, test=TEST, train=train, photos=1)
    names = [path.split("/")[0] for path in (*listed.test, *listed.train)]
    return [int(said[name]) if name in said else -1 for name in names]


def table(stored: list[dict[str, Any]]) -> str:
    """Networks by images, as Markdown; Holm is over all of them."""
    records, adjusted = latest(stored)
    lines = []
    for learner, words in STUDENTS.items():
        lines += table_head("images", "images learnt from", words)
        for (network, images), record in records.items():
            if network == learner:
                found = f"{linked(record, adjusted[network, images])}; {accepted(record['scores'])}"
                lines.append(f"| {images_of(network, images)} | {record['pairs']:,} | {found} |")
        lines.append("")
    lines += table_head("images", "people", "gender, a network of convolutions")
    for (network, images), record in records.items():
        if network == GENDER:
            low, high = record["interval"]
            share = f"{record['hits'] / record['n']:.2f} ({low:.2f} to {high:.2f})"
            beside = f"commonest {record['commonest']:.2f}; mean of both kinds {record['balanced']:.2f} (chance 0.50)"
            found = f"{share}; {beside}; Holm {adjusted[network, images]:.2g}"
            lines.append(f"| {IMAGES[images]} | {record['n']} | {found} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

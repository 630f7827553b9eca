"""Adversary by protection: what everybody gets of the same people, however they were protected.

    python experiments/attacks/adversaries.py --shared ../shared --cache CACHE robust low-frequency pmt pseudonym

Protections and people: protections.py (`pseudonym` is painted in one pass under a secret a person). Everybody tested
has one protected photo and, in the attacker's gallery, another plain one, but where protected images are compared with
one another. Where an adversary has several forms (recognisers, purifiers, kinds of poor faces), the one of the highest
area stands in the table, beside its p among all forms of all adversaries of all protections (Holm over the whole
table). Appends a record for each protection to results/attacks/adversaries.jsonl, with every score of the forms shown
and the p of all; the table of docs/attacks.md is a function of those records alone, and `--table` only writes it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from adversary_forms import LOOKERS, START, TEACHER, Form, World, all_forms
from adversary_table import read, short, table
from page import README, write_table
from protections import PROTECTIONS, TEST, TRAIN, Plain, Uploads, plain, uploads
from setting import VALIDATION

from facemin import load_recogniser
from facemin.attack.attributes.convolutional_probe import ConvolutionalProbe
from facemin.attack.secret.ridge import fit_ridge
from facemin.datasets import genuine_pairs
from facemin.experiments.common import RESULTS, lfw_half, lfw_points, provenance, script_parser
from facemin.metrics import linkage, permutation_test, wilson
from facemin.models import SPACE_MODEL
from facemin.runtime.files import append_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

RECORDS = RESULTS / "attacks" / "adversaries.jsonl"
DRAWS = 9999


def main() -> None:
    """Attack, record, write the table."""
    parser = script_parser(__doc__, out=RECORDS)
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--collusion", action="store_true", help="put two providers' uploads together as well")
    parser.add_argument("--few", action="store_true", help="leave out chains, students, poor faces and attributes")
    parser.add_argument("--table", action="store_true", help="write the table from the records, measure nothing")
    known = (*PROTECTIONS, "pseudonym")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(known)}")
    given = parser.parse_args()
    if unknown := set(given.names) - set(known):
        parser.error(f"names: expected some of {', '.join(known)}, got {', '.join(sorted(unknown))}")
    if not given.table:
        if given.cache is None:
            parser.error("--cache is needed")
        faces = plain(given.shared)
        for name in given.names:
            attack(name, faces, given)
        if given.collusion:
            together(faces, given)
    records = read(given.out)
    write_table("adversaries", "adversaries.py", table(records))
    write_table("adversaries", "adversaries.py", short(records), page=README)


def attack(name: str, faces: Plain, given: argparse.Namespace) -> None:
    """All adversaries on one protection."""
    began = time.perf_counter()
    words, authorised, made = made_for(name, faces, given)
    names = tuple(dict.fromkeys([*LOOKERS, authorised, START]))
    networks = {one: load_recogniser(named(given.shared, one)) for one in names}
    groups = {"test": made.test, "train": made.train, "others": made.others}
    groups |= {f"plain {group}": images for group, images in vars(faces).items()}
    world = World(networks=networks, images={group: images for group, images in groups.items() if len(images)})
    # the space is dlib's network too
    others = tuple(one for one in LOOKERS if not authorised.startswith(one))
    forms = list(all_forms(world, made, others, authorised, few=given.few))
    values = {
        "protection": name,
        "words": words,
        "authorised": authorised,
        "pairs": len(made.train),
        **judged(forms),
        "attributes": None if given.few else attributes(made, given),
        "seconds": round(time.perf_counter() - began, 1),
        **provenance(given, given.shared),
    }
    append_json(given.out, values)


def judged(forms: list[Form]) -> dict[str, Any]:
    """Each adversary's best form, "rows", and the p of every form's area, "p_values"."""
    measured = [linkage(one.scores, draws=DRAWS, samples=400) for one in forms]
    rows = []
    for adversary in dict.fromkeys(one.adversary for one in forms):
        places = [at for at, one in enumerate(forms) if one.adversary == adversary]
        best = max(places, key=lambda at: measured[at].area.auc)
        one, got = forms[best], measured[best]
        rows.append(
            {
                "row": one.row,
                "adversary": adversary,
                "knows": one.knows,
                "form": one.form,
                "forms": len(places),
                "n": got.n,
                "auc": round(got.area.auc, 4),
                "interval": [round(value, 4) for value in got.area.interval],
                "p": round(got.area.p, 4),
                "place": best,
                "ranks": {str(r.k): [round(r.share, 4), round(r.chance, 4)] for r in got.ranks},
                "d_sys": [round(got.d_sys, 4), round(got.d_sys_null, 4)],
                "scores": np.round(one.scores, 3).tolist(),
            }
        )
        print(adversary, one.form, rows[-1]["auc"], rows[-1]["interval"], rows[-1]["ranks"], flush=True)
    return {"rows": rows, "p_values": [round(one.area.p, 4) for one in measured]}


def together(faces: Plain, given: argparse.Namespace) -> None:
    """Two providers who put the same people's uploads together: PMT's at one, the robust default's at the other."""
    first, second = (made_for(name, faces, given) for name in ("pmt", "robust"))
    names = (*LOOKERS, first[1])
    networks = {one: load_recogniser(named(given.shared, one)) for one in dict.fromkeys(names)}
    count = min(len(first[2].train), len(second[2].train))
    images = {f"plain {group}": part for group, part in vars(faces).items()}
    for place, (_, _, made) in enumerate((first, second)):
        images |= {f"test {place}": made.test, f"train {place}": made.train[:count]}
    world = World(networks=networks, images=images)
    keys = [
        (world(f"test {place}", one) @ world("plain others", one).T).double()
        for place, one in enumerate((first[1], second[1]))
    ]
    sums = sum((scores - scores.mean()) / scores.std() for scores in keys)
    forms = [Form("T5b", "two providers, their own keys", "both keys", "sum", sums.numpy())]
    others = tuple(one for one in LOOKERS if one not in (first[1], second[1]))
    wanted, taught = (world(group, TEACHER).double().numpy() for group in ("plain others", "plain train"))
    sides = {
        part: np.concatenate([world.inputs(f"{part} {place}", others) for place in (0, 1)], 1)
        for part in ("test", "train")
    }
    linker = fit_ridge(sides["train"], taught[:count])
    forms.append(
        Form("T5a", f"two providers, ridge map, {count} pairs", "pairs", "ridge", linker(sides["test"]) @ wanted.T)
    )
    append_json(
        given.out,
        {
            "protection": "collusion",
            "words": f"{first[0]}; {second[0]}",
            "pairs": count,
            **judged(forms),
            **provenance(given, given.shared),
        },
    )


def named(shared: Path, name: str) -> Path | str:
    """A recogniser's file in the folder of models, or the package's own by name."""
    path = shared / "models" / f"{name}.onnx"
    return path if path.is_file() else name


def made_for(name: str, faces: Plain, given: argparse.Namespace) -> tuple[str, str, Uploads]:
    """Words, the authorised recogniser, and the protected images."""
    if name == "pseudonym":
        from painting import painted

        return "pseudonyms, one pass, a secret a person", SPACE_MODEL, painted(faces)
    protection = PROTECTIONS[name](given.shared)
    return protection.words, protection.authorised, uploads(protection, faces, given.cache, budget=0)


def attributes(made: Uploads, given: argparse.Namespace) -> dict[str, Any]:
    """Gender by a convolutional network of protected images of other people, beside the commonest class."""
    labels = genders(given.shared)
    known = [at for at, label in enumerate(labels) if label >= 0 and at < len(made.test) + len(made.train)]
    images = torch.cat([made.test, made.train])[known]
    truth = torch.tensor([labels[at] for at in known])
    said = ConvolutionalProbe().classes(images, truth, torch.arange(len(truth)))
    agreement = permutation_test(said, truth)
    hits, n = agreement.hits, len(truth)
    commonest = int(torch.bincount(truth).max())
    found = {
        "attribute": "gender",
        "n": n,
        "hits": hits,
        "interval": [round(value, 4) for value in wilson(hits, n)],
        "commonest": round(commonest / n, 4),
        "p": round(agreement.p, 4),
    }
    print("gender", found, flush=True)
    return found


def genders(shared: Path) -> list[int]:
    """Of the people tested, then of those trained on: 0 female, 1 male, -1 where nobody says."""
    lines = (shared / "data" / "lfw_gender.tsv").read_text(encoding="utf-8").splitlines()
    said = {line.split("\t")[0].rsplit("_", 1)[0]: line.split("\t")[1] == "male" for line in lines if "\t" in line}
    listed = lfw_half(shared, "test")
    tested = [pair.name_a for pair in genuine_pairs(listed, TEST)]
    apart = {name for pair in listed for name in (pair.name_a, pair.name_b)}
    rest = sorted({path.split("/")[0] for path in lfw_points(shared)} - apart)
    np.random.default_rng(0).shuffle(rest)
    return [int(said[name]) if name in said else -1 for name in [*tested, *rest[VALIDATION : VALIDATION + TRAIN]]]


if __name__ == "__main__":
    main()

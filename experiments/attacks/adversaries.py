"""Adversary by protection: what everybody gets of the same people, however they were protected.

    python experiments/attacks/adversaries.py --shared ../shared --cache CACHE robust low-frequency pmt pseudonym

Protections and people: protections.py (`pseudonym` is painted in one pass under a secret a person). Everybody tested
has one protected photo and, in the attacker's gallery, another plain one, but where protected images are compared with
one another. Where an adversary has several forms (recognisers, purifiers, kinds of poor faces), the one of the highest
area stands in the table, beside the p of its rank among all forms of all adversaries of that protection (Holm). Appends
a record for each protection to results/attacks/adversaries.jsonl, with every score of the forms shown; the table of
docs/attacks.md is a function of those records alone, and `--table` only writes it.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from protections import PROTECTIONS, Plain, Uploads, plain, uploads
from setting import REPOSITORY, provenance

from facemin import load_recogniser
from facemin.attack import PURIFIERS
from facemin.attack.attributes.convolutional_probe import ConvolutionalProbe
from facemin.attack.link.centred import centred_scores
from facemin.attack.link.plain_pairs import POOR
from facemin.attack.link.student import StudentTraining, TaughtPairs, train_student
from facemin.attack.purify.chain import CHAINS
from facemin.attack.secret.ridge import fit_ridge
from facemin.attack.training import Fitting
from facemin.autograd.pixels import to_unit
from facemin.evaluation.judge import embed_all
from facemin.metrics import holm, linkage, permutation_test, wilson
from facemin.models import SPACE_MODEL
from facemin.runtime.files import append_json, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.models import Recogniser

    Rows = NDArray[np.float64]

RECORDS = REPOSITORY / "results" / "attacks" / "adversaries.jsonl"
PAGE = REPOSITORY / "docs" / "attacks.md"
BEGIN, END = "<!-- adversaries: begin, written by experiments/attacks/adversaries.py -->", "<!-- adversaries: end -->"
TEACHER = "mobilefacenet-ms1m-arcface"
"""The strongest of ours: whose embedding of a plain photo is looked for."""
LOOKERS = ("mobilefacenet-ms1m-arcface", "mobilefacenet-vggface2-amsoftmax", "dlib-resnet29")
START = "mobileface-v3"
SOFT = ("none", "blur-1")
"""Purifiers behind which training images are seen too."""
PURIFY = {**{name: PURIFIERS[name] for name in ("none", "blur-1", "blur-2")}, **CHAINS}
SIDE = 16
DRAWS = 199


class Form(NamedTuple):
    """One way in which an adversary scores probes, (N, N) against the gallery's people."""

    row: str
    adversary: str
    knows: str
    form: str
    scores: Rows


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """What the attacker computes of images: each network's look at each group, made when it is first asked for."""

    networks: dict[str, Recogniser]
    images: dict[str, Tensor]
    """uint8 (N, 3, 112, 112), by group."""
    kept: dict[tuple[str, str, str], Tensor] = field(default_factory=dict)

    def __call__(self, group: str, network: str, purifier: str = "none") -> Tensor:
        """Unit rows (N, D)."""
        place = (group, network, purifier)
        if place not in self.kept:
            images = PURIFY[purifier](to_unit(self.images[group])).clamp(0, 1)
            self.kept[place] = embed_all(self.networks[network], images)
        return self.kept[place]

    def inputs(self, group: str, names: tuple[str, ...], purifiers: tuple[str, ...] = SOFT) -> Rows:
        """What a ridge map reads: all looks, and thumbnails."""
        looks = [self(group, name, purifier).double().numpy() for name in names for purifier in purifiers]
        small = torch.nn.functional.adaptive_avg_pool2d(to_unit(self.images[group]), SIDE).flatten(1)
        return np.concatenate([*looks, small.double().numpy()], 1)


def main() -> None:
    """Attack, record, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=REPOSITORY.parent / "shared")
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=RECORDS)
    parser.add_argument("--collusion", action="store_true", help="put two providers' uploads together as well")
    parser.add_argument("--table", action="store_true", help="write the table from the records, measure nothing")
    parser.add_argument("names", nargs="*", choices=[*PROTECTIONS, "pseudonym"])
    given = parser.parse_args()
    if not given.table:
        if given.cache is None:
            parser.error("--cache is needed")
        faces = plain(given.shared)
        for name in given.names:
            attack(name, faces, given)
        if given.collusion:
            together(faces, given)
    text = PAGE.read_text(encoding="utf-8")
    before, found, rest = text.partition(BEGIN)
    if found:
        page = f"{before}{BEGIN}\n{table(read(given.out))}{END}{rest.partition(END)[2]}"
        write_atomically(PAGE, page.encode())


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
    forms = list(all_forms(world, made, others, authorised))
    rows = judged(forms)
    values = {
        "protection": name,
        "words": words,
        "authorised": authorised,
        "pairs": len(made.train),
        "rows": rows,
        "attributes": attributes(made, given),
        "seconds": round(time.perf_counter() - began, 1),
        **provenance(given.shared, given),
    }
    append_json(given.out, values)


def judged(forms: list[Form]) -> list[dict[str, Any]]:
    """Each adversary's best form; p of areas adjusted for all of them."""
    measured = [linkage(one.scores, draws=DRAWS, samples=400) for one in forms]
    adjusted = holm([one.area.p for one in measured])
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
                "holm": round(float(adjusted[best]), 4),
                "ranks": {str(r.k): [round(r.share, 4), round(r.chance, 4)] for r in got.ranks},
                "d_sys": [round(got.d_sys, 4), round(got.d_sys_null, 4)],
                "scores": np.round(one.scores, 3).tolist(),
            }
        )
        print(adversary, one.form, rows[-1]["auc"], rows[-1]["interval"], rows[-1]["ranks"], flush=True)
    return rows


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
    rows = judged(forms)
    append_json(
        given.out,
        {
            "protection": "collusion",
            "words": f"{first[0]}; {second[0]}",
            "pairs": count,
            "rows": rows,
            **provenance(given.shared, given),
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


def all_forms(world: World, made: Uploads, others: tuple[str, ...], authorised: str) -> Iterator[Form]:
    """Every form of every adversary, scores (N, N)."""

    def gallery(network: str) -> Tensor:
        return world("plain others", network)

    def cosines(probes: Tensor, network: str) -> Rows:
        return (probes @ gallery(network).T).double().numpy()

    key = world("test", authorised)
    yield Form("T5b", "the key itself", "the key", authorised, cosines(key, authorised))
    for network in others:
        for purifier in ("none", "blur-1", "blur-2"):
            scores = cosines(world("test", network, purifier), network)
            yield Form("T2", "a recogniser off the shelf", "-", f"{network}, {purifier}", scores)
        for purifier in CHAINS:
            scores = cosines(world("test", network, purifier), network)
            yield Form("T2", "the same behind purifiers in a chain", "-", f"{network}, {purifier}", scores)
        for purifier in SOFT:
            heap, public = world("train", network, purifier), world("plain train", network)
            scores = centred_scores(world("test", network, purifier), gallery(network), heap=heap, public=public)
            yield Form(
                "T5a", "the same, centred", "a heap of protected images", f"{network}, {purifier}", scores.numpy()
            )
    taught = world("plain train", TEACHER).double().numpy()[: len(made.train)]
    wanted = gallery(TEACHER).double().numpy()
    inputs = {group: world.inputs(group, others) for group in ("test", "train")}
    for count in sorted({len(taught) // 4, len(taught) // 2, len(taught)}):
        linker = fit_ridge(inputs["train"][:count], taught[:count])
        yield Form(
            "T5a", f"ridge map, {count} pairs", "pairs", f"ridge {linker.ridge:g}", linker(inputs["test"]) @ wanted.T
        )
    both = world.inputs("train", (*others, authorised)), world.inputs("test", (*others, authorised))
    yield Form(
        "T5b",
        f"ridge map with the key, {len(taught)} pairs",
        "pairs, the key",
        "ridge",
        fit_ridge(both[0], taught)(both[1]) @ wanted.T,
    )
    pairs = TaughtPairs(made.train, world("plain train", TEACHER)[: len(made.train)])
    student = train_student(
        pairs,
        teacher=world.networks[START],
        settings=StudentTraining(fitting=Fitting(epochs=10, batch=16, rate=1e-3, flip=False, device="cpu")),
    )
    seen = student(to_unit(made.test)).double().numpy()
    yield Form("T5a", f"convolutional student, {len(pairs)} pairs", "pairs", START, seen @ wanted.T)
    yield from poor(world, inputs["test"], others, wanted)
    yield from several(world, made, others, inputs["train"], taught, wanted)


def poor(world: World, probes: Rows, others: tuple[str, ...], wanted: Rows) -> Iterator[Form]:
    """Maps of plain faces that were made poor: nothing protected is learnt from."""
    everybody = world("plain train", TEACHER).double().numpy()
    for kind, make in POOR.items():
        group = f"poor {kind}"
        world.images[group] = (make(to_unit(world.images["plain train"])) * 255).round().to(torch.uint8)
        linker = fit_ridge(world.inputs(group, others), everybody)
        yield Form("T5a", "student of plain faces made poor", "public faces", kind, linker(probes) @ wanted.T)


def several(
    world: World, made: Uploads, others: tuple[str, ...], learnt: Rows, taught: Rows, wanted: Rows
) -> Iterator[Form]:
    """Several images of a person put together, and protected images against one another."""
    linker = fit_ridge(learnt, taught)
    if made.shots is not None:
        people, shots = made.shots.shape[:2]
        world.images["shots"] = made.shots.flatten(0, 1)
        mean = world.inputs("shots", others).reshape(people, shots, -1).mean(1)
        name = f"ridge map, {shots} images of a photo"
        yield Form("T5a", name, "pairs", f"{people} people", linker(mean) @ wanted[:people].T)
    if len(made.others) < len(made.test):
        return
    knows = "protected images of both photos"
    for network in others:
        for purifier in ("none", "blur-2"):
            scores = world("test", network, purifier) @ world("others", network, purifier).T
            yield Form("T5a", "protected against protected", knows, f"{network}, {purifier}", scores.double().numpy())
    if made.linked is not None:
        world.images["linked"] = made.linked
        for network in others:
            scores = world("test", network) @ world("linked", network).T
            name = "two uploads under one secret, which are meant to be linked"
            yield Form("T6", name, knows, network, scores.double().numpy())
    soft = [PURIFIERS["blur-2"](PURIFIERS["blur-2"](to_unit(part))).flatten(1) for part in (made.test, made.others)]
    parts = [part - part.mean(0) for part in soft]
    unit = [part / part.norm(dim=1, keepdim=True) for part in parts]
    yield Form(
        "T5a", "protected against protected", knows, "correlation after a blur", (unit[0] @ unit[1].T).double().numpy()
    )
    second = linker(world.inputs("others", others))
    first = linker(world.inputs("test", others))
    yield Form("T5a", "protected against protected, ridge map", "pairs", "ridge", first @ second.T)


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
    from protections import TEST, TRAIN
    from setting import HALF, VALIDATION

    from facemin.datasets import LFW, genuine_pairs, landmarks, lfw_pairs

    lines = (shared / "data" / "lfw_gender.tsv").read_text(encoding="utf-8").splitlines()
    said = {line.split("\t")[0].rsplit("_", 1)[0]: line.split("\t")[1] == "male" for line in lines if "\t" in line}
    listed = lfw_pairs(shared / "data" / "lfw_pairs.txt")[:HALF]
    tested = [pair.name_a for pair in genuine_pairs(listed, TEST)]
    apart = {name for pair in listed for name in (pair.name_a, pair.name_b)}
    marks = landmarks(shared / "data" / "lfw_landmarks.npz")
    rest = sorted({photo.identity for photo in LFW(shared / "data" / "lfw") if photo.path in marks} - apart)
    np.random.default_rng(0).shuffle(rest)
    return [int(said[name]) if name in said else -1 for name in [*tested, *rest[VALIDATION : VALIDATION + TRAIN]]]


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The latest record of each protection."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {record["protection"]: record for record in map(json.loads, lines)}


def table(records: dict[str, dict[str, Any]]) -> str:
    """The records as Markdown."""
    kept = [records[name] for name in ("pmt", "robust", "low-frequency", "pseudonym") if name in records]
    if not kept:
        return ""
    found = [{generic(row["adversary"]): row for row in record["rows"]} for record in kept]
    lines = [
        f"| row | adversary | {' | '.join(record['words'] for record in kept)} |",
        f"| --- | --- | {' | '.join('---' for _ in kept)} |",
    ]
    for name in dict.fromkeys(name for rows in found for name in rows):
        row = next(rows[name]["row"] for rows in found if name in rows)
        lines.append(f"| {row} | {name} | {' | '.join(cell(rows.get(name)) for rows in found)} |")
    genders_said = [
        f"{one['hits']} of {one['n']} ({one['interval'][0]:.2f} to {one['interval'][1]:.2f}), "
        f"commonest {one['commonest']:.2f}, p {one['p']:.2g}"
        for one in (record["attributes"] for record in kept)
    ]
    lines.append(f"| T2 | gender, a convolutional network | {' | '.join(genders_said)} |")
    return "\n".join(lines) + "\n"


def generic(name: str) -> str:
    """An adversary's name without how many pairs it had, which stands in the cell."""
    return name.partition(", ")[0] if name.endswith(" pairs") else name


def cell(row: dict[str, Any] | None) -> str:
    """AUC with its interval, rank one and ten beside chance, and the adjusted p."""
    if row is None:
        return "not measured"
    pairs = f"{row['adversary'].rpartition(', ')[2]}: " if row["adversary"].endswith(" pairs") else ""
    ranks = ", ".join(f"rank {k} {share:.2f} (chance {chance:.2f})" for k, (share, chance) in row["ranks"].items())
    low, high = row["interval"]
    return f"{pairs}{row['auc']:.2f} ({low:.2f} to {high:.2f}); {ranks}; n {row['n']}, Holm {row['holm']:.2g}"


if __name__ == "__main__":
    main()

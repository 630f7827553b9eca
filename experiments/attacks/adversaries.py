"""Adversary by protection: what everybody gets of the same people, however they were protected.

    python experiments/attacks/adversaries.py --shared ../shared --cache CACHE robust low-frequency pmt pseudonym

Protections and people: protections.py (`pseudonym` is painted in one pass under a secret a person). Everybody tested
has one protected photo and, in the attacker's gallery, another plain one, but where protected images are compared with
one another. Where an adversary has several forms (recognisers, purifiers, bands, kinds of poor faces), the one of the
highest area stands in the table, beside its p among all forms of all adversaries of all protections (Holm over the
whole table). What networks learn from a thousand images stands in taught_networks.py. Appends a record for each
protection to results/attacks/adversaries.jsonl, with every score of the forms shown and the p of all; the table of
docs/attacks.md is a function of those records alone, and `--table` only writes it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from adapted_forms import SIBLING, banded, several_photos, siblings
from adversary_forms import LOOKERS, TEACHER, Form, Looks, World, all_forms
from adversary_table import short, table
from page import README, read_lines, write_table
from protections import PROTECTIONS, Plain, Uploads, plain, uploads
from setting import load_named
from siblings import base_of, moved, sibling_of

from facemin import load_recogniser
from facemin.attack.secret.ridge import fit_ridge
from facemin.experiments.common import RESULTS, provenance, script_parser
from facemin.experiments.kinds.adversaries import protections
from facemin.metrics import linkage
from facemin.models import SPACE_MODEL
from facemin.runtime.files import append_json

if TYPE_CHECKING:
    from facemin.models import Recogniser

RECORDS = RESULTS / "attacks" / "adversaries.jsonl"
DRAWS = 19_999


def main() -> None:
    """Attack, record, write the table."""
    parser = script_parser(__doc__, out=RECORDS)
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--collusion", action="store_true", help="put two providers' uploads together as well")
    parser.add_argument("--table", action="store_true", help="write the table from the records, measure nothing")
    known = (*PROTECTIONS, "pseudonym")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(known)}")
    given = parser.parse_args()
    if unknown := set(given.names) - set(known):
        parser.error(f"names: expected some of {', '.join(known)}, got {', '.join(sorted(unknown))}")
    if not given.table:
        if given.cache is None:
            parser.error("--cache is needed")
        faces, looks = plain(given.shared), Looks()
        for name in given.names:
            attack(name, faces, given, looks)
        if given.collusion:
            together(faces, given)
    records = protections(read_lines(given.out))
    write_table("adversaries", "adversaries.py", table(records))
    write_table("adversaries", "adversaries.py", short(records), page=README)


def attack(name: str, faces: Plain, given: argparse.Namespace, looks: Looks) -> None:
    """All adversaries on one protection; looks at plain faces are kept for the next one."""
    began = time.perf_counter()
    words, authorised, made = made_for(name, faces, given)
    networks: dict[str, Recogniser] = {
        one: load_recogniser(load_named(given.shared, one)) for one in dict.fromkeys([*LOOKERS, authorised])
    }
    groups = {"test": made.test, "train": made.train, "others": made.others}
    groups |= {f"plain {group}": images for group, images in vars(faces).items() if group != "photos"}
    images = {group: part for group, part in groups.items() if len(part)}
    world = World(networks=networks, images=images, kept=dict(looks))
    # the space is dlib's network too
    others = tuple(one for one in LOOKERS if not authorised.startswith(one))
    forms = [*all_forms(world, made, others, authorised), *adapted(world, made, others, authorised, given.shared)]
    plainly = [place for place in world.kept if place[0].startswith(("plain", "poor")) and place[1] != SIBLING]
    looks |= {place: world.kept[place] for place in plainly}
    values = {
        "protection": name,
        "words": words,
        "authorised": authorised,
        "pairs": len(made.train),
        **judged(forms),
        "sibling": round(moved(given.shared, authorised), 4),
        "seconds": round(time.perf_counter() - began, 1),
        **provenance(given, given.shared),
    }
    append_json(given.out, values)


def adapted(world: World, made: Uploads, others: tuple[str, ...], authorised: str, shared: Path) -> list[Form]:
    """Adversaries who know more; the rest as `all_forms`."""
    world.networks[SIBLING] = sibling_of(shared, authorised)
    original = base_of(authorised)
    world.networks.setdefault(original, load_recogniser(load_named(shared, original)))
    forms = [*banded(world, made, others)]
    if made.photos is not None:
        world.images["photos"] = made.photos.flatten(0, 1)
        forms += several_photos(world, made, others)
    if made.retuned is not None:
        world.images["retuned"] = made.retuned
    return [*forms, *siblings(world, made, original)]


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
                "p": round(got.area.p, 6),
                "place": best,
                "ranks": {str(r.k): [round(r.share, 4), round(r.chance, 4)] for r in got.ranks},
                "d_sys": [round(got.d_sys, 4), round(got.d_sys_null, 4)],
                "scores": np.round(one.scores, 5).tolist(),
            }
        )
        print(adversary, one.form, rows[-1]["auc"], rows[-1]["interval"], rows[-1]["ranks"], flush=True)
    return {"rows": rows, "p_values": [round(one.area.p, 6) for one in measured]}


def together(faces: Plain, given: argparse.Namespace) -> None:
    """Two providers who put the same people's uploads together: PMT's at one, the robust default's at the other."""
    first, second = (made_for(name, faces, given) for name in ("pmt", "robust"))
    names = (*LOOKERS, first[1])
    networks = {one: load_recogniser(load_named(given.shared, one)) for one in dict.fromkeys(names)}
    count = min(len(first[2].train), len(second[2].train))
    images = {f"plain {group}": part for group, part in vars(faces).items() if group != "photos"}
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


def made_for(name: str, faces: Plain, given: argparse.Namespace) -> tuple[str, str, Uploads]:
    """Words, the authorised recogniser, and the protected images."""
    if name == "pseudonym":
        from painting import painted

        return "pseudonyms, one pass, a secret a person", SPACE_MODEL, painted(faces)
    protection = PROTECTIONS[name](given.shared)
    return (
        protection.words,
        protection.authorised,
        uploads(protection, faces, given.cache, shared=given.shared, budget=0),
    )


if __name__ == "__main__":
    main()

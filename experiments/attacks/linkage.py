"""Who can link protected images (row T5)? With the key alone at every cut, and with pairs of protected images.

    python experiments/attacks/linkage.py --shared ../shared --cuts conv32.1 conv128.3 conv256.3

The key-only attacks see no protected image in training: a linker on pooled features, and a student on the key's
features taught by an ordinary recogniser. The adaptive ones see pairs of a protected image and the teacher's
embedding of the face: FaceLinkGen's student, one on the key's features, and a linear map. Each probe, plain and
protected, is compared with the plain second photo of everybody tested; nobody tested was trained on. Appends a record
for each attack to results/attacks/linkage.jsonl. On one idle core a cut takes about a quarter of an hour.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from protecting import protected_faces
from setting import FAR, lfw_people, load_named

from facemin import export_key, load_recogniser
from facemin.attack import ATTACKS, Knowledge, PublicFaces
from facemin.experiments.attacks import choose_attacks, try_linkers
from facemin.experiments.common import RESULTS, provenance, script_parser
from facemin.protection import DEFAULT_PROTECTOR, PROTECTORS
from facemin.runtime.files import append_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from setting import People
    from torch import Tensor

    from facemin.attack import Attack, Budget
    from facemin.keys.key import Key
    from facemin.models import Recogniser

HELD_OUT = 0.85
"""People of the plain faces from this share on are kept to choose heads, ridges and epochs by."""


def main() -> None:
    """Measure every cut."""
    arguments = _arguments()
    # with room for those held out
    faces = round(max(arguments.public, *arguments.pairs, 0) / (HELD_OUT - 0.05))
    people = lfw_people(arguments.shared, test=arguments.test, train=faces)
    authorised = load_recogniser(load_named(arguments.shared, arguments.recogniser))
    known = [load_recogniser(load_named(arguments.shared, name)) for name in (arguments.teacher, arguments.start)]
    attacks = choose_attacks("linker", arguments.attacks)
    source = provenance(arguments, arguments.shared)
    for cut in arguments.cuts:
        key = export_key(authorised, cut, provider="measurement", residual=arguments.residual)
        method = replace(PROTECTORS[arguments.method], steps=arguments.steps)
        protect = partial(protected_faces, method, key, cache=arguments.cache)
        probes = {"plain": people.test, "protected": protect(people.test, seed=arguments.seed)}
        # an attacker's own seed: nobody knows those of the people attacked
        holding = partial(knowledge, people, known, partial(protect, seed=arguments.seed + 1), key=key)
        common = {"recogniser": arguments.recogniser, "cut": cut, "method": asdict(method), **source}
        groups = [({name: one for name, one in attacks.items() if not one.adversary.adaptive}, arguments.public)]
        adaptive = {name: one for name, one in attacks.items() if one.adversary.adaptive}
        groups += [(adaptive, count) for count in sorted(arguments.pairs)]
        for some, count in groups:
            lengthened = {name: _epochs(one, arguments, count) for name, one in some.items()}
            for tried in try_linkers(lengthened, holding(count=count), probes=probes, gallery=people.others, far=FAR):
                print(f"{cut} | {tried.name} | {tried.images}: {tried.found}, {tried.seconds:.0f} s", flush=True)
                settings: Any = getattr(lengthened[tried.name].method, "settings", lengthened[tried.name].method)
                append_json(
                    arguments.out,
                    {
                        "attack": tried.name,
                        "adversary": ATTACKS[tried.name].adversary.words,
                        "probe": tried.images,
                        "trained_on": tried.found.get("trained_on"),
                        "settings": asdict(settings) if is_dataclass(settings) else None,
                        "seconds": tried.seconds,
                        "found": tried.found,
                        **common,
                    },
                )


def knowledge(
    people: People, recognisers: list[Recogniser], protect: Callable[[Tensor], Tensor], *, key: Key, count: int
) -> Knowledge:
    """What attackers hold who have so many faces: those, other people's to choose by, the key, and the protection."""
    labels = people.train_people
    held = labels >= labels.max() * HELD_OUT
    rows = (~held).nonzero()[:count, 0]

    def protector(faces: Tensor, budget: Budget) -> tuple[Tensor, Tensor]:
        del budget
        return protect(faces), torch.arange(len(faces))

    return Knowledge(
        key=key,
        protector=protector,
        public=PublicFaces(people.train[rows], labels[rows]),
        validation=PublicFaces(people.train[held], labels[held]),
        recognisers=tuple(recognisers),
    )


def _epochs(attack: Attack, arguments: argparse.Namespace, count: int) -> Attack:
    """As many steps over few pairs as over the plain faces, for attacks that are trained by epochs."""
    settings: Any = getattr(attack.method, "settings", None)
    if settings is None or not hasattr(settings, "fitting"):
        return attack
    epochs = (
        max(4, round(arguments.epochs * arguments.public / count)) if attack.adversary.adaptive else arguments.epochs
    )
    fitting = replace(settings.fitting, epochs=epochs)
    return replace(attack, method=replace(attack.method, settings=replace(settings, fitting=fitting)))


def _arguments() -> argparse.Namespace:
    parser = script_parser(__doc__, out=RESULTS / "attacks" / "linkage.jsonl", seed=0)
    parser.add_argument("--recogniser", default="dlib-resnet29", help="authorised")
    parser.add_argument("--cuts", nargs="+", default=["conv256.3"])
    parser.add_argument("--method", choices=list(PROTECTORS), default=DEFAULT_PROTECTOR)
    parser.add_argument("--steps", type=int, default=100, help="of the protection, at most")
    parser.add_argument("--residual", type=float, default=0.24, help="the key's, at which protecting stops")
    parser.add_argument(
        "--attacks", nargs="*", default=[], choices=list(choose_attacks("linker")), help="all when none"
    )
    parser.add_argument("--teacher", default="mobilefacenet-ms1m-arcface", help="says who is on the attacker's faces")
    parser.add_argument("--start", default="mobileface-v3", help="whose weights the student begins from")
    parser.add_argument("--test", type=int, default=104, help="people")
    parser.add_argument("--public", type=int, default=1000, help="plain faces for the key-only attacks")
    parser.add_argument("--pairs", type=int, nargs="*", default=[256], help="of the adaptive attacker: the curve")
    parser.add_argument("--epochs", type=int, default=8, help="over the public faces; as many steps over pairs")
    parser.add_argument("--cache", type=Path, help="an uncommitted folder for protected faces, to be used again")
    return parser.parse_args()


if __name__ == "__main__":
    main()

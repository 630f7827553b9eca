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
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from protecting import protected_faces
from setting import FAR, REPOSITORY, lfw_people, load_named, provenance

from facemin import export_key, load_recogniser
from facemin.attack import ATTACKS
from facemin.attack.link.key_linker import FEWEST_TO_TRAIN, KeyLinking, train_key_linker
from facemin.attack.link.ridge_linker import train_ridge_linker
from facemin.attack.link.student import StudentTraining, TaughtPairs, teach, train_student
from facemin.attack.training import Fitting
from facemin.autograd.pixels import to_unit
from facemin.metrics import rank_k, threshold_at_far, wilson
from facemin.protection import DEFAULT_PROTECTOR, PROTECTORS
from facemin.runtime.files import append_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from setting import People
    from torch import Tensor

    from facemin.keys.key import Key
    from facemin.models import Recogniser

    Link = Callable[[Tensor], Tensor]


def main() -> None:
    """Measure every cut."""
    arguments = _arguments()
    people = lfw_people(arguments.shared, test=arguments.test, train=max(arguments.public, *arguments.pairs, 0))
    authorised = load_recogniser(load_named(arguments.shared, arguments.recogniser))
    teacher = load_recogniser(load_named(arguments.shared, arguments.teacher))
    start = load_recogniser(load_named(arguments.shared, arguments.start))
    source = provenance(arguments.shared, arguments)
    for cut in arguments.cuts:
        key = export_key(authorised, cut, provider="measurement", residual=arguments.residual)
        method = replace(PROTECTORS[arguments.method], steps=arguments.steps)
        protect = partial(protected_faces, method, key, cache=arguments.cache)
        probes = {"plain": people.test, "protected": protect(people.test, seed=arguments.seed)}
        common = {"recogniser": arguments.recogniser, "cut": cut, "method": asdict(method), **source}

        def record(
            name: str,
            link: Link,
            gallery: Link,
            settings: object,
            seconds: float,
            *,
            trained_on: int,
            probes: dict[str, Tensor] = probes,
            common: dict[str, object] = common,
        ) -> None:
            adversary = ATTACKS[name].adversary.words
            for probe, images in probes.items():
                found = linked(link(to_unit(images)), gallery(to_unit(people.others)))
                print(
                    f"{common['cut']} | {name}, {trained_on} | {probe}: TAR {found['tar']:.3f}, "
                    f"rank 1 {found['rank_1']:.3f}, {seconds:.0f} s",
                    flush=True,
                )
                append_json(
                    arguments.out,
                    {
                        "attack": name,
                        "adversary": adversary,
                        "probe": probe,
                        "trained_on": trained_on,
                        "settings": None if settings is None else asdict(settings),
                        "seconds": seconds,
                        "found": found,
                        **common,
                    },
                )

        _key_only(record, key, people, teacher, arguments)
        for count in sorted(arguments.pairs):
            made = [protect(faces, seed=arguments.seed + 1) for faces in (people.train[:count], people.validation)]
            _adaptive(record, key, people, made, teacher, start, arguments)


def linked(probes: Tensor, gallery: Tensor) -> dict[str, object]:
    """TAR at FAR 1e-3, the threshold over all of these probes' impostor scores, and rank 1; rows belong together."""
    scores = probes @ gallery.T
    same = torch.eye(len(scores), dtype=torch.bool)
    at = threshold_at_far(scores[~same], far=FAR)
    accepted, count = int((scores[same] >= at.threshold).sum()), len(scores)
    low, high = wilson(accepted, count)
    people = torch.arange(count)
    first = float(rank_k(probes, gallery, people, people, [1])[0])
    return {"tar": accepted / count, "n": count, "low": low, "high": high, "rank_1": first, "impostors": at.n_impostor}


def _key_only(
    record: Callable[..., None], key: Key, people: People, teacher: Recogniser, arguments: argparse.Namespace
) -> None:
    faces, labels = people.train[: arguments.public], people.train_people[: arguments.public]
    held = labels >= labels.max() * 0.85
    bare = KeyLinking(head="none")
    untrained = train_key_linker(key, to_unit(faces[:FEWEST_TO_TRAIN]), labels[:FEWEST_TO_TRAIN], settings=bare)
    record("key-linker", untrained, untrained, bare, 0.0, trained_on=0)
    settings = KeyLinking()
    began = time.perf_counter()
    linker = train_key_linker(
        key,
        to_unit(faces[~held]),
        labels[~held],
        settings=settings,
        validation=(to_unit(faces[held]), labels[held]),
    )
    record("key-linker", linker, linker, settings, time.perf_counter() - began, trained_on=len(faces))
    began = time.perf_counter()
    taught = StudentTraining(body="key", fitting=Fitting(epochs=arguments.epochs, batch=32, rate=2e-3, flip=True))
    student = train_student(
        TaughtPairs(faces, teach(teacher, faces)),
        key=key,
        settings=taught,
        validation=TaughtPairs(people.validation, teach(teacher, people.validation)),
    )
    seconds = time.perf_counter() - began
    record("student-key-only", student, partial(teach, teacher), taught, seconds, trained_on=len(faces))


def _adaptive(
    record: Callable[..., None],
    key: Key,
    people: People,
    made: list[Tensor],
    teacher: Recogniser,
    start: Recogniser,
    arguments: argparse.Namespace,
) -> None:
    count = len(made[0])
    pairs = TaughtPairs(made[0], teach(teacher, people.train[:count]))
    validation = TaughtPairs(made[1], teach(teacher, people.validation))
    epochs = max(4, round(arguments.epochs * arguments.public / count))
    students = {
        "student": StudentTraining(fitting=Fitting(epochs=epochs, batch=32, rate=1e-3)),
        "student-on-key": StudentTraining(body="key", fitting=Fitting(epochs=epochs, batch=32, rate=2e-3)),
    }
    gallery = partial(teach, teacher)
    for name, settings in students.items():
        began = time.perf_counter()
        student = train_student(pairs, teacher=start, key=key, settings=settings, validation=validation)
        record(name, student, gallery, settings, time.perf_counter() - began, trained_on=count)
    began = time.perf_counter()
    linker = train_ridge_linker(start, pairs, validation=validation)
    record("ridge-linker", linker, gallery, None, time.perf_counter() - began, trained_on=count)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=REPOSITORY.parent / "shared")
    parser.add_argument("--recogniser", default="dlib-resnet29", help="authorised")
    parser.add_argument("--cuts", nargs="+", default=["conv256.3"])
    parser.add_argument("--method", choices=list(PROTECTORS), default=DEFAULT_PROTECTOR)
    parser.add_argument("--steps", type=int, default=100, help="of the protection, at most")
    parser.add_argument("--residual", type=float, default=0.24, help="the key's, at which protecting stops")
    parser.add_argument("--teacher", default="mobilefacenet-ms1m-arcface", help="says who is on the attacker's faces")
    parser.add_argument("--start", default="mobileface-v3", help="whose weights the student begins from")
    parser.add_argument("--test", type=int, default=104, help="people")
    parser.add_argument("--public", type=int, default=1000, help="plain faces for the key-only attacks")
    parser.add_argument("--pairs", type=int, nargs="*", default=[256], help="of the adaptive attacker: the curve")
    parser.add_argument("--epochs", type=int, default=8, help="over the public faces; as many steps over pairs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="an uncommitted folder for protected faces, to be used again")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "results" / "attacks" / "linkage.jsonl")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""PMT's Table VIII and Figure 7: what attribute estimators read, with truth, floors, purifiers and a probe beside it.

    python experiments/attacks/table8.py --shared ../shared

Rows: plain; Gaussian noise of deviation 0.3 (the paper's "amplitude"); PMT as published, at the cut that stands for
the paper's; and facemin's default method and key. Columns as in the paper: cosine of the attribute vectors with the
plain face's (equation 11), for age the absolute difference; beside them agreement with the plain face, accuracy against
the truth where it is known (LFW: gender; UTKFace: age, gender, race), each raw and behind the purifier after which most
is read, and a linear probe trained on other people's protected faces (its thumbnails, and the key's features). Floors:
the commonest class, the median age, another person's vector. The paper names no estimator and no number of faces.

Appends a record for each row and set to results/attacks/table8.jsonl. The default sizes take about a quarter of an
hour on one idle core. With --pictures, Figure 7 is written into a folder of your own: it shows people.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from setting import add_paper_key, load_named

from facemin import export_key, load_recogniser
from facemin.attack import PURIFIERS
from facemin.attack.attributes.estimators import find_estimators
from facemin.attack.attributes.findings import age_findings, class_findings
from facemin.attack.attributes.probe import AttributeProbe
from facemin.attack.features import features_of
from facemin.attack.link.cross_matching import purified
from facemin.autograd.pixels import to_array, to_grid, to_unit
from facemin.evaluation.compare import load_face
from facemin.evaluation.judge import share
from facemin.experiments.common import RESULTS, landmark_faces, lfw_points, provenance, script_parser
from facemin.experiments.measures import mean
from facemin.face import Detector
from facemin.image import encode
from facemin.keys.default import plain_key
from facemin.metrics import attribute_cosine_rows, other_person_rows
from facemin.protection import PROTECTORS
from facemin.report.page import document, image, table
from facemin.runtime.files import append_json, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from facemin.attack.attributes.estimators import Attribute, Estimator
    from facemin.keys.key import Key

PAPER = {
    ("PMT", "lfw"): {"expression": 0.31, "race": 0.63, "gender": 0.83, "age": 8.93},
    ("noise", "lfw"): {"expression": 0.81, "race": 0.76, "gender": 0.90, "age": 5.10},
}
"""Cosines, and years for the age."""

TRIED = ("none", "blur-1", "blur-2", "jpeg-75", "resize-0.5", "median-5", "nonlocal-means", "tv-0.1")
"""Purifiers by default; all of `PURIFIERS` take twice the time."""

NOISE = 0.3
THUMBNAIL = 28
SHOWN = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelled:
    """Plain faces (N, 3, 112, 112) in [0, 1] on the 8-bit grid, one a person, and what is known of them."""

    name: str
    faces: Tensor
    truth: dict[str, Tensor]
    """By attribute: (N,) integers, the estimators' own order of classes, or years."""


def main() -> None:
    """Measure every row on both sets."""
    arguments = _arguments()
    estimators: list[Estimator] = [*find_estimators(arguments.shared / "models")]
    if not estimators:
        raise ValueError(f"{arguments.shared / 'models'}: expected attribute estimators, found none")
    common = {
        "estimators": {one.name: one.sha256 for one in find_estimators(arguments.shared / "models")},
        **provenance(arguments, arguments.shared),
    }
    shown = {}
    for people in (lfw(arguments.shared, arguments.lfw), utkface(arguments.shared, arguments.utkface)):
        with torch.no_grad():
            plain = {one.name: one(people.faces) for one in estimators}
        for row, images, key, settings in _rows(people, arguments):
            names = ["none"] if row == "plain" else arguments.purifiers
            found = list(_cells(people, images, estimators, plain, names))
            found += list(_probes(people, images, key, arguments.seed))
            paper = PAPER.get((row, people.name), {})
            for cell in found:
                cell["paper"] = paper.get(str(cell["attribute"])) if cell["purifier"] == "none" else None
            record = {"row": row, "set": people.name, "n": len(images), "settings": settings, "cells": found}
            append_json(arguments.out, {**record, **common})
            _print(row, people, found)
            if people.name == "lfw":
                shown[row] = images[:SHOWN]
    if arguments.pictures is not None:
        figure_7(arguments.pictures / "figure7.html", shown, estimators)


def lfw(shared: Path, count: int) -> Labelled:
    """The first photo of as many people of LFW, as many women as men as far as there are, by its landmarks."""
    points = lfw_points(shared)
    listed = [line.split("\t") for line in (shared / "data" / "lfw_gender.tsv").read_text().splitlines() if line]
    by_gender: dict[str, dict[str, str]] = {"male": {}, "female": {}}
    for name, gender in listed:
        person = name.rpartition("_")[0]
        if gender in by_gender and f"{person}/{name}" in points:
            by_gender[gender].setdefault(person, f"{person}/{name}")
    women = list(by_gender["female"].values())[: count // 2]
    men = list(by_gender["male"].values())[: count - len(women)]
    faces = landmark_faces(shared, [*men, *women])
    gender = torch.tensor([0] * len(men) + [1] * len(women))
    return Labelled(name="lfw", faces=_on_grid(faces), truth={"gender": gender})


def utkface(shared: Path, count: int) -> Labelled:
    """As many faces of UTKFace from 16 years on, evenly over the files; their names say age, gender and race."""
    files = sorted((shared / "data" / "utkface").glob("*.jpg"))
    labelled = [(path, [int(part) for part in path.name.split("_")[:3]]) for path in files if path.name.count("_") == 3]
    adults = [(path, labels) for path, labels in labelled if labels[0] >= 16]
    detector, faces, kept = Detector(), [], []
    for place in range(0, len(adults), max(1, len(adults) // (count + count // 4 + 1))):
        path, labels = adults[place]
        try:
            faces.append(torch.from_numpy(load_face(path, detector)))
        except ValueError:
            continue
        kept.append(labels)
        if len(faces) == count:
            break
    columns = torch.tensor(kept).T
    truth = {"age": columns[0].float(), "gender": columns[1], "race": columns[2]}
    return Labelled(name="utkface", faces=_on_grid(torch.stack(faces)), truth=truth)


def _rows(people: Labelled, arguments: argparse.Namespace) -> Iterator[tuple[str, Tensor, Key | None, object]]:
    """Each row's images as they are sent, with the key they were made for."""
    faces = people.faces
    yield "plain", faces, None, None
    draw = torch.Generator().manual_seed(arguments.seed)
    yield "noise", _on_grid((faces + NOISE * torch.randn(faces.shape, generator=draw)).clamp(0, 1)), None, NOISE
    recogniser = load_recogniser(load_named(arguments.shared, arguments.recogniser))
    layers = tuple(arguments.layers)
    paper_key = export_key(recogniser, arguments.cut, layers=layers, provider="measurement", residual=0.1)
    paper = replace(PROTECTORS["pmt-enhanced"], steps=arguments.steps, pool=arguments.pool or None, residual=0.0)
    for row, method, key in (("PMT", paper, paper_key), ("default", PROTECTORS["robust"], plain_key())):
        done = method(faces, [key], seed=arguments.seed)
        settings = {"method": asdict(method), "recogniser": key.manifest.recogniser, "cut": key.manifest.cut}
        yield row, to_unit(torch.stack([one.pixels for one in done])), key, settings


def _cells(
    people: Labelled,
    images: Tensor,
    estimators: list[Estimator],
    plain: dict[str, dict[str, Tensor]],
    purifiers: list[str],
) -> Iterator[dict[str, object]]:
    """Every estimator and attribute, raw and behind each purifier."""
    for purifier in purifiers:
        seen = purified(PURIFIERS[purifier], images)
        for one in estimators:
            with torch.no_grad():
                said = one(seen)
            for attribute in one.attributes:
                name = attribute.name
                values = _cell(attribute, said[name], plain[one.name][name], people.truth.get(name))
                yield {"estimator": one.name, "attribute": name, "purifier": purifier, **values}


def _cell(attribute: Attribute, said: Tensor, plain: Tensor, truth: Tensor | None) -> dict[str, object]:
    if not attribute.classes:
        differs = age_findings(said, plain)
        cell: dict[str, object] = {"age_difference": mean(differs.error)._asdict()}
        if truth is not None:
            off = age_findings(said, truth)
            cell |= {"age_error": mean(off.error)._asdict(), "age_error_of_median": mean(off.floor)._asdict()}
        return cell
    found = class_findings(said, plain)
    rows = other_person_rows(torch.arange(len(plain)))
    cell = {
        "cosine": mean(found.cosine)._asdict(),
        "cosine_of_another_person": mean(attribute_cosine_rows(plain[rows], plain))._asdict(),
        "agreement": share(found.correct)._asdict(),
        "agreement_of_commonest": found.majority,
    }
    if truth is not None:
        true = class_findings(said, plain, truth)
        cell |= {"accuracy": share(true.correct)._asdict(), "accuracy_of_commonest": true.majority}
    return cell


def _probes(people: Labelled, images: Tensor, key: Key | None, seed: int) -> Iterator[dict[str, object]]:
    """An adaptive linear probe for each known attribute, on people that it did not learn from."""
    inputs = {"image": torch.nn.functional.adaptive_avg_pool2d(images, THUMBNAIL).flatten(1)}
    if key is not None:
        maps = features_of(key, images)[-1]
        pooled = torch.nn.functional.adaptive_avg_pool2d(maps, 7) if maps.dim() == 4 and maps.shape[-1] > 7 else maps
        inputs["key"] = pooled.flatten(1)
    who = torch.arange(len(images))
    for name, truth in people.truth.items():
        for source, features in inputs.items():
            cell: dict[str, object] = {"estimator": f"probe of the {source}", "attribute": name, "purifier": "none"}
            if truth.is_floating_point():
                off = age_findings(AttributeProbe(seed=seed).numbers(features, truth, who).float(), truth)
                cell |= {"age_error": mean(off.error)._asdict(), "age_error_of_median": mean(off.floor)._asdict()}
            else:
                said = AttributeProbe(seed=seed).classes(features, truth, who)
                floor = int(torch.bincount(truth).max()) / len(truth)
                cell |= {"accuracy": share(said == truth)._asdict(), "accuracy_of_commonest": floor}
            yield cell


def figure_7(path: Path, shown: dict[str, Tensor], estimators: list[Estimator]) -> None:
    """Figure 7: a line of faces for each row, and what the estimators say of each."""
    parts = []
    for row, faces in shown.items():
        parts.append(image(encode(to_array(torch.cat(list(faces), 2))), media="image/png", alt=row))
        lines = []
        for one in estimators:
            with torch.no_grad():
                said = one(faces)
            for attribute in one.attributes:
                values = said[attribute.name]
                words = (
                    [attribute.classes[place] for place in values.argmax(1).tolist()]
                    if attribute.classes
                    else [f"{value:.0f}" for value in values.tolist()]
                )
                lines.append((f"{attribute.name} ({one.name})", *words))
        parts.append(table(row, ("attribute", *("" for _ in faces)), lines))
    write_atomically(path, document("PMT, Figure 7", parts).encode())


def _print(row: str, people: Labelled, cells: list[dict[str, object]]) -> None:
    """The paper's column, ours raw, and the most that is read behind any purifier."""
    print(f"\n{row}, {people.name}, {len(people.faces)} faces")
    places = dict.fromkeys((cell["estimator"], cell["attribute"]) for cell in cells)
    for place in places:
        here = [cell for cell in cells if (cell["estimator"], cell["attribute"]) == place]
        for measure, best in (
            ("cosine", max),
            ("agreement", max),
            ("accuracy", max),
            ("age_difference", min),
            ("age_error", min),
        ):
            values = {str(cell["purifier"]): cell[measure]["value"] for cell in here if measure in cell}  # type: ignore[index]
            if not values:
                continue
            top = best(values, key=lambda name: values[name])
            paper = here[0].get("paper") if measure in ("cosine", "age_difference") else None
            floor = next((here[0][name] for name in here[0] if name.startswith(f"{measure}_of")), None)
            print(
                f"  {place[1]!s:10} {place[0]!s:24} {measure:14} {values['none']:6.2f}"
                f"  worst {values[top]:6.2f} ({top})"
                + (f"  floor {floor['value'] if isinstance(floor, dict) else floor:.2f}" if floor is not None else "")
                + (f"  paper {paper:.2f}" if paper is not None else ""),
                flush=True,
            )


def _on_grid(faces: Tensor) -> Tensor:
    return to_unit(to_grid(faces))


def _arguments() -> argparse.Namespace:
    parser = script_parser(__doc__, out=RESULTS / "attacks" / "table8.jsonl", seed=0)
    parser.add_argument("--lfw", type=int, default=104, help="people")
    parser.add_argument("--utkface", type=int, default=80, help="faces")
    parser.add_argument("--purifiers", nargs="+", choices=list(PURIFIERS), default=list(TRIED))
    add_paper_key(parser)
    parser.add_argument("--steps", type=int, default=40, help="of PMT")
    parser.add_argument("--pool", type=int, default=14, help="of PMT; 0 for none")
    parser.add_argument("--pictures", type=Path, help="an uncommitted folder for Figure 7")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""The recognisers and estimators that are here to judge, each recogniser at a measured threshold."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import torch
from onnx.numpy_helper import to_array

from facemin.attack.attributes.deepface import DeepFaceEstimator
from facemin.attack.attributes.estimators import ESTIMATORS, Estimator, find_estimators
from facemin.attack.contract import PublicFaces
from facemin.attack.link.cross_matching import embed
from facemin.audit.inputs.audit_inputs import Judge, Operating, Panel
from facemin.autograd.opening import open_model
from facemin.evaluation.networks import Distance
from facemin.metrics import cross_identity_threshold
from facemin.models import MODELS, Recogniser, load_recogniser
from facemin.models.store import ModelStore, calibration_of
from facemin.runtime.errors import in_words, without_name

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence
    from pathlib import Path

    from facemin.attack.budget import Budget
    from facemin.keys.key import Key

PERCEPTUAL = "perceptual-squeezenet"
"""Stem of the perceptual distance's file."""

ADD = (
    "add some with `facemin model add FILE --name NAME --licence L` and calibrate them with `facemin eval`, or give "
    "a folder of ONNX recognisers with --models"
)

LEAST_WEIGHTS = 32
"""Values of a tensor that two networks do not share by chance."""

NO_TIME = "no time was left for it; give more with --minutes"


def find_panel(
    keys: Sequence[Key], *, models: Path | None, plain: Sequence[PublicFaces], far: float, budget: Budget | None = None
) -> Panel:
    """Open every recogniser that comes with facemin, is stored, or lies in a folder.

    Args:
        keys: whose recognisers are authorised.
        models: folder of ONNX files that take RGB in [0, 255]; None for none.
        plain: faces of known people, for thresholds that were not calibrated.
        far: false accept rate.
        budget: files of the folder that it leaves no time for are named as untested; all are opened when None.

    Raises:
        ValueError: a folder that is none.
    """
    if models is not None and not models.is_dir():
        raise ValueError(f"models: expected a folder of ONNX files, found none at {models}")
    untested: list[str] = []
    found = {recogniser.name: recogniser for recogniser in _recognisers(models, untested, budget)}
    owners = {key.manifest.recogniser for key in keys}
    untested += [
        f"Whether {name}, whose key was used, still recognises the protected faces: it is not on this machine."
        for name in sorted(owners - set(found))
    ]
    twins = _twins(found, first=owners)
    untested += [
        f"{name} as a judge of its own: it holds {of}'s network, which would be counted twice."
        for name, of in twins.items()
    ]
    seats = {
        name: calibrate_judge(recogniser, plain=plain, far=far, budget=budget)
        for name, recogniser in found.items()
        if name not in twins
    }
    others = tuple(one for name, one in seats.items() if name not in owners)
    untested += [f"{one.name}: {one.missing}" for one in seats.values() if one.at is None]
    if not others:
        untested.append(f"Other recognisers than the authorised one: none are here; {ADD}.")
    return Panel(
        authorised=tuple(one for name, one in seats.items() if name in owners),
        others=others,
        estimators=tuple(_estimators(models, untested)),
        distance=_distance(models),
        untested=tuple(untested),
    )


def _twins(found: Mapping[str, Recogniser], *, first: Container[str]) -> dict[str, str]:
    """Recognisers that hold the network of another, such as one with a space after it, with the other's name.

    Args:
        found: recognisers by name.
        first: names that stay, whatever network they hold; of the others, the first found of each network.
    """
    twins: dict[str, str] = {}
    kept: dict[str, frozenset[bytes]] = {}
    for name in sorted(found, key=lambda name: name not in first):
        weights = _weights(found[name])
        same = (one for one, held in kept.items() if 2 * len(held & weights) > max(len(held), len(weights)))
        twin = None if name in first else next(same, None)
        if twin is None:
            kept[name] = weights
        else:
            twins[name] = twin
    return twins


def _weights(recogniser: Recogniser) -> frozenset[bytes]:
    """Digests of the tensors that training made: biases and scales of a few values may be equal by chance."""
    arrays = (to_array(tensor) for tensor in recogniser.graph.graph.initializer)
    return frozenset(sha256(array.tobytes()).digest() for array in arrays if array.size >= LEAST_WEIGHTS)


def calibrate_judge(
    recogniser: Recogniser, *, plain: Sequence[PublicFaces], far: float, budget: Budget | None = None
) -> Judge:
    """A recogniser at its threshold: as calibrated, else as measured on all pairs of different people given."""
    calibration = calibration_of(recogniser)
    if calibration is not None and far in (one.far for one in calibration.thresholds):
        measured = calibration.threshold(far)
        source = f"calibrated on {measured.impostor_pairs:,} impostor pairs of {calibration.data}"
        return Judge(name=recogniser.name, recogniser=recogniser, at=Operating(measured.threshold, far, source))
    faces, people = joined(plain)
    pairs = impostor_pairs(people)
    if pairs * far < 1:
        needed = _people_for(far)
        missing = (
            f"no threshold was calibrated for FAR {far:g}, and {pairs:,} pairs of different people are too few to "
            f"measure one; run `facemin eval`, or give plain faces of {needed} people or more with --train"
        )
        return Judge(name=recogniser.name, recogniser=recogniser, at=None, missing=missing)
    if budget is not None and budget.over:
        return Judge(name=recogniser.name, recogniser=recogniser, at=None, missing=f"no threshold: {NO_TIME}")
    at = cross_identity_threshold(embed(recogniser, faces), people, far=far)
    source = f"measured here on {at.n_impostor:,} pairs of different people's plain faces"
    return Judge(name=recogniser.name, recogniser=recogniser, at=Operating(at.threshold, far, source))


def joined(plain: Iterable[PublicFaces]) -> PublicFaces:
    """Sets of plain faces as one; people of different sets are different."""
    faces, people, before = [torch.zeros(0, 3, 112, 112)], [torch.zeros(0, dtype=torch.int64)], 0
    for one in plain:
        number = torch.unique(one.people, return_inverse=True)[1]
        faces.append(one.faces)
        people.append(number + before)
        before += int(number.max()) + 1 if len(number) else 0
    return PublicFaces(torch.cat(faces), torch.cat(people))


def impostor_pairs(people: torch.Tensor) -> int:
    """Pairs of different people among faces whose people are (N,)."""
    sizes = torch.unique(people, return_counts=True)[1]
    return len(people) * (len(people) - 1) // 2 - int((sizes * (sizes - 1) // 2).sum())


def _people_for(far: float) -> int:
    """The fewest people, one photo each, whose pairs reach 1 / far."""
    people = 2
    while people * (people - 1) / 2 * far < 1:
        people += 1
    return people


def _recognisers(models: Path | None, untested: list[str], budget: Budget | None) -> Iterable[Recogniser]:
    for name in [*MODELS, *ModelStore().names()]:
        try:
            yield open_model(name)
        except (ValueError, OSError) as error:
            untested.append(f"{name}: {without_name(in_words(error), name)}")
    for file in sorted(models.glob("*.onnx")) if models is not None else ():
        if file.stem in ESTIMATORS or file.stem == PERCEPTUAL:
            continue
        if budget is not None and budget.over:
            untested.append(f"{file.name}: {NO_TIME}")
            continue
        try:
            yield load_recogniser(file)
        except ValueError as error:
            untested.append(f"{file.name}: expected a recogniser: {without_name(str(error), file.name)}")


def _estimators(models: Path | None, untested: list[str]) -> Iterable[Estimator]:
    found = find_estimators(models) if models is not None else []
    yield from found
    try:
        yield DeepFaceEstimator()
    except ValueError:
        if not found:
            untested.append(
                "Attribute estimators (age, gender, race, expression): none are here; put the ones that "
                "facemin.attack.attributes.estimators knows into the folder of --models, or install deepface."
            )


def _distance(models: Path | None) -> Distance | None:
    if models is None or not (models / f"{PERCEPTUAL}.onnx").is_file():
        return None
    return Distance(PERCEPTUAL, models)

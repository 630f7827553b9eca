"""Similarity of images to their photos beside baselines without the face: rows T0, T3 and T4."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from facemin.audit.figures import averaged, entry
from facemin.audit.result import Figure, Line, Table
from facemin.metrics import Window, grey, mean_face, other_person_rows, psnr, ssim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from facemin.audit.inputs.audit_inputs import AuditInputs

FLOOR = "floor: "
WINDOW: Window = "gaussian"
"""Of SSIM: the weighting that papers usually mean."""


class Floor(NamedTuple):
    """Images that know nothing of the face, each with the faces it stands beside."""

    name: str
    images: Tensor
    """(N, 3, 112, 112)."""


def floors(evidence: AuditInputs, rows: Tensor) -> tuple[list[Floor], list[str]]:
    """Images that know nothing of the faces in those rows, and which of them could not be had, and why."""
    originals = evidence.originals[rows]
    found, absent = [Floor("grey", grey(originals).expand_as(originals))], []
    strangers = evidence.train
    if strangers is not None:
        average = mean_face(strangers.faces)
        found.append(Floor("mean face", average.expand_as(originals)))
        places = torch.arange(len(originals)) % len(strangers.faces)
        found.append(Floor("another person", strangers.faces[places]))
    elif evidence.people is not None and len(torch.unique(evidence.people)) > 1:
        means = [mean_face(evidence.originals[evidence.people != person])[0] for person in evidence.people[rows]]
        found.append(Floor("mean face", torch.stack(means)))
        people = evidence.people
        if 2 * int(torch.unique(people, return_counts=True)[1].max()) <= len(people):
            found.append(Floor("another person", evidence.originals[other_person_rows(people)[rows]]))
    else:
        absent.append(
            "The floors mean face and another person's face: they need plain faces of other people (--train, or photos "
            "of several people in a folder each)."
        )
    return found, absent


def similarities(images: Tensor, evidence: AuditInputs, rows: Tensor, *, of: str) -> list[Figure]:
    """Mean similarity of images (K, 3, 112, 112) with the plain faces of those rows, (K,)."""
    faces = evidence.originals[rows]
    found = [
        averaged(ssim(images, faces, window=WINDOW), name="SSIM", of=of, where=""),
        averaged(psnr(images, faces), name="PSNR, dB", of=of, where=""),
    ]
    if evidence.panel.distance is not None:
        distance = evidence.panel.distance(images, faces)
        found.append(averaged(distance, name=evidence.panel.distance.name, of=of, where=""))
    return found


def closeness(images: Tensor, evidence: AuditInputs, rows: Tensor) -> Tensor:
    """SSIM of each image with its plain face, (K,)."""
    return ssim(images, evidence.originals[rows], window=WINDOW)


def similarity_table(figures: Sequence[Figure]) -> Table:
    """One row an image, one column a measure."""
    names = list(dict.fromkeys(figure.name for figure in figures))
    found = {(figure.of, figure.name): figure for figure in figures}
    rows: list[Line] = []
    for of in dict.fromkeys(figure.of for figure in figures):
        digits = {name: 1 if "dB" in name else 3 for name in names}
        rows.append((of, *(entry(found.get((of, name)), digits=digits[name]) for name in names)))
    return Table(caption="Similarity with the plain face", head=("image", *names), rows=tuple(rows))

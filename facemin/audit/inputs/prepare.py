"""Preparation of an audit: from a request to its inputs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch

from facemin.attack.contract import PublicFaces
from facemin.audit.inputs.attackers_data import TrainingPairs
from facemin.audit.inputs.audit_inputs import AuditInputs, Faces
from facemin.audit.inputs.faces import Protecting, named, read_faces, read_training
from facemin.audit.inputs.judges import find_panel, impostor_pairs
from facemin.keys.default import plain_key
from facemin.protection import DEFAULT_PROTECTOR, PROTECTORS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from facemin.attack.budget import Budget
    from facemin.keys.key import Key
    from facemin.protection import Protector

TRAINING_SHARE = 0.2
"""Of the time, at most, for reading plain faces of other people."""

TRAINING_FACES = 2000
TRAINING_RATE = 5.0
"""Other people's faces read for each second of the whole budget: what is trained on them takes time by their number."""

OPENING_SHARE = 0.25
"""Of the time that is left after reading, for opening recognisers and measuring thresholds."""

PUBLIC_KEY = (
    "No key was given: the default key was taken, which comes from a public model. It keeps nothing from whoever has "
    "that model."
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What shall be audited.

    Args:
        inputs: photos and what they became, or folders of them; photos alone are protected.
        out: folder for what is written.
        keys: that the protected images are for; the default key when empty.
        models: folder of ONNX recognisers and estimators.
        train: folder of plain faces of other people, one folder each.
        far: false accept rate at which recognisers judge, in (0, 1).
        most: people, or photos where nobody says who is on them.
        seed: of the protection and the attacks; drawn by the protection, and 0 for the attacks, when None.
        device: where to protect.
        method: of the protection, for photos without protected images and for attackers who protect faces of theirs.

    Raises:
        ValueError: no inputs, or a number out of range.
    """

    inputs: Sequence[Path]
    out: Path
    keys: Sequence[Key] = ()
    models: Path | None = None
    train: Path | None = None
    far: float = 1e-3
    most: int = 100
    seed: int | None = None
    device: str = "auto"
    method: Protector = PROTECTORS[DEFAULT_PROTECTOR]

    def __post_init__(self) -> None:
        if not self.inputs:
            raise ValueError("inputs: expected at least one photo or folder, got none")
        if self.most < 1 or not 0 < self.far < 1:
            raise ValueError(f"most, far: expected at least 1, and a rate in (0, 1), got {self.most}, {self.far}")


def apart(train: PublicFaces, audited: Tensor) -> tuple[PublicFaces | None, list[str]]:
    """Leave out everybody of whom a training photo is an audited one.

    Whoever trains on the people tested tests nothing; and two copies of one photo, taken for different people's, would
    raise every threshold.

    Args:
        train: plain faces of other people.
        audited: plain faces, (N, 3, 112, 112).

    Returns:
        The rest, None where nobody is left, and a remark for the page where anybody was left out.
    """
    known = {face.numpy().tobytes() for face in audited}
    same = torch.tensor([face.numpy().tobytes() in known for face in train.faces])
    if not same.any():
        return train, []
    both = torch.unique(train.people[same])
    kept = ~torch.isin(train.people, both)
    remark = f"{len(both)} of the people of --train are audited, by the same photos, and were left out of training."
    return (PublicFaces(train.faces[kept], train.people[kept]) if kept.any() else None), [remark]


def judged_by(faces: Faces, train: PublicFaces | None, *, far: float) -> tuple[list[PublicFaces], list[str]]:
    """PublicFaces faces to measure thresholds on: other people's alone where they suffice, for they are nobody judged.

    Returns:
        Sets of faces, and a remark for the page.
    """
    if train is not None and impostor_pairs(train.people) * far >= 1:
        return [train], ["Thresholds that were not calibrated before were measured on those other people."]
    known = [] if faces.people is None else [PublicFaces(faces.originals, faces.people)]
    remark = "Thresholds that were not calibrated before were measured on the audited people too: --train has too few."
    return known + ([] if train is None else [train]), [remark] if known else []


def prepare(request: Request, budget: Budget, *, tell: Callable[[str], None] | None = None) -> AuditInputs:
    """Read, and where needed protect, the faces, and open everything that will judge them.

    Args:
        request: what for.
        budget: reading training faces takes at most a fifth of it.
        tell: told what is being done.

    Raises:
        ValueError: inputs that hold nothing to audit, or a folder that is none.
        OSError: a file that cannot be read or written.
    """
    say = tell or (lambda _: None)
    keys = tuple(request.keys) or (plain_key(),)
    protecting = Protecting(
        keys=keys, out=request.out / "protected", seed=request.seed, device=request.device, method=request.method
    )
    faces = read_faces(request.inputs, protecting, most=request.most, tell=tell)
    remarks = list(faces.remarks) if request.keys else [PUBLIC_KEY, *faces.remarks]
    train = None
    if request.train is not None:
        say("Reading plain faces of other people")
        most = max(1, min(TRAINING_FACES, int(TRAINING_RATE * budget.seconds)))
        found, read = read_training(request.train, budget.part(TRAINING_SHARE), most=most)
        train, left_out = apart(found, faces.originals)
        remarks += [*read, *left_out]
        remarks.append(f"Attackers who train protect faces of their own by {named(request.method)}.")
    say("Opening recognisers")
    plain, whose = judged_by(faces, train, far=request.far)
    remarks += whose
    panel = find_panel(keys, models=request.models, plain=plain, far=request.far, budget=budget.part(OPENING_SHARE))
    told = {"remarks": tuple(remarks), "untested": (*faces.untested, *panel.untested)}
    return AuditInputs(
        **{each.name: getattr(faces, each.name) for each in fields(Faces) if each.init} | told,
        keys=keys,
        panel=panel,
        train=train,
        far=request.far,
        seed=request.seed or 0,
        training=TrainingPairs(request.method),
    )

"""Cell of an experiment: probes protected, judged and recorded."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from facemin.attack import PURIFIERS
from facemin.autograd.pixels import to_tensor
from facemin.evaluation import provenance
from facemin.experiments.methods import make_compute
from facemin.experiments.noise import feature_cosines, noisy_images
from facemin.experiments.store.kept import Kept, read_kept, write_kept
from facemin.experiments.store.records import (
    DataUsed,
    Hardware,
    KeyUsed,
    Likeness,
    NoisyScores,
    Record,
    ScoresOf,
    Spent,
    ThresholdUsed,
    digest,
    rounded,
)
from facemin.keys.key import export_key
from facemin.metrics import psnr, ssim
from facemin.protection.contract import as_protected
from facemin.runtime.device import describe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from facemin.evaluation.judge import Judge
    from facemin.evaluation.networks import Distance
    from facemin.experiments.experiment import Experiment
    from facemin.experiments.faces import Faces
    from facemin.experiments.settings import Cell, KeySettings
    from facemin.experiments.store.records import Header
    from facemin.keys.key import Key
    from facemin.models import Recogniser
    from facemin.protection import Protected, Protector
    from facemin.runtime.compute import Compute

# any time will do, as long as the same key has the same bytes
MADE = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """What all cells of a run share."""

    experiment: Experiment
    header: Header
    quick: bool
    device: torch.device
    faces: Faces
    judges: dict[str, Judge]
    distance: Distance | None
    weights: dict[str, str]
    code: provenance.CodeState
    kept: Path | None
    """Folder of protected images that cells share; None for none."""


class CellResult(NamedTuple):
    """A cell's record, and the images it is of, (N, 3, 112, 112) in [0, 1]."""

    record: Record
    images: Tensor


def measure_cell(setting: Setting, cell: Cell, *, identity: str, advance: Callable[[float], None]) -> CellResult:
    """Protect the probes for the cell's keys and let every judge see them.

    Args:
        setting: faces and judges.
        cell: method and keys.
        identity: for the record.
        advance: called with the share of the protecting that is done.
    """
    keys = [make_key(setting.judges[key.recogniser].recogniser, key, cell.method) for key in cell.keys]
    ended = _protected(setting, cell, keys, advance)
    images = setting.faces.probes if ended is None else ended.images
    spent = Spent(steps=(), residuals=(), unmet=(), seconds=0.0) if ended is None else ended.spent
    record = _record(setting, cell, keys, images, identity=identity, spent=spent)
    return CellResult(record, images)


def make_key(recogniser: Recogniser, settings: KeySettings, method: Protector | None) -> Key:
    """An authorised recogniser's key.

    Raises:
        ValueError: it has no such cut or layers.
    """
    # where the method has a residual of its own, the key's plays no part
    residual = settings.residual or getattr(method, "residual", None) or 1.0
    return export_key(
        recogniser, settings.cut, provider="bench", residual=residual, layers=settings.layers, created=MADE
    )


def resolved_settings(experiment: Experiment, cell: Cell, *, quick: bool, device: torch.device) -> dict[str, Any]:
    """Everything that decides a cell's figures beside the faces and the weights."""
    pairs = experiment.quick if quick else experiment.data
    return {
        **cell.resolved(str(device)),
        "seed": experiment.seed,
        "judges": {"names": list(experiment.judges.names), "far": experiment.judges.far},
        "operations": list(experiment.operations),
        "noise": experiment.noise and experiment.noise.model_dump(mode="json", exclude={"kappa"}),
        "distance": experiment.distance,
        "pairs": pairs.model_dump(mode="json", include={"genuine", "impostor", "calibration"}),
        "quick": quick,
    }


def _protected(setting: Setting, cell: Cell, keys: list[Key], advance: Callable[[float], None]) -> Kept | None:
    """The cell's probes, protected; None where nothing protects them. Of changed code nothing is kept."""
    if cell.method is None:
        return None
    folder = setting.kept if setting.code.commit is not None and not setting.code.dirty else None
    name = digest(
        [
            cell.resolved(str(setting.device)),
            [key.fingerprint for key in keys],
            sha256(setting.faces.probes.numpy().tobytes()).hexdigest(),
            setting.experiment.seed,
            setting.code.commit,
        ]
    )
    if folder is not None and (found := read_kept(folder, name)) is not None:
        return found
    compute = make_compute(cell.passed["method"], device=str(setting.device))
    made = _protect(setting, cell.method, keys, compute, advance)
    if folder is not None:
        write_kept(folder, name, made)
    return made


def _protect(
    setting: Setting, method: Protector, keys: list[Key], compute: Compute, advance: Callable[[float], None]
) -> Kept:
    began = time.perf_counter()
    ended: list[Protected] = []
    for image in method.stream(iter(setting.faces.probes), keys, seed=setting.experiment.seed, compute=compute):
        ended.append(as_protected(image, keys, method))
        advance(len(ended) / len(setting.faces.probes))
    ended.sort(key=lambda image: image.index)
    spent = Spent(
        steps=tuple(image.steps for image in ended),
        residuals=tuple(image.residuals for image in ended),
        unmet=tuple(image.unmet for image in ended),
        seconds=time.perf_counter() - began,
    )
    return Kept(torch.stack([to_tensor(image.pixels) for image in ended if image.pixels is not None]), spent)


def _record(setting: Setting, cell: Cell, keys: list[Key], images: Tensor, *, identity: str, spent: Spent) -> Record:
    faces, experiment, judges = setting.faces, setting.experiment, setting.judges
    return Record(
        identity=identity,
        experiment=setting.header,
        cell=cell.name,
        quick=setting.quick,
        passed=cell.passed,
        resolved=resolved_settings(experiment, cell, quick=setting.quick, device=setting.device),
        seed=experiment.seed,
        commit=setting.code.commit,
        dirty=setting.code.dirty,
        versions=provenance.versions(),
        hardware=Hardware(
            machine=provenance.machine(), device=describe(setting.device), python=platform.python_version()
        ),
        time=datetime.now(UTC).replace(microsecond=0),
        data=DataUsed(
            name=faces.name,
            source=faces.source,
            sha256=faces.sha256,
            genuine=int(faces.same.sum()),
            impostor=int((~faces.same).sum()),
            calibration_images=len(faces.plain),
            no_face=faces.no_face,
        ),
        weights=setting.weights,
        keys=tuple(_key_used(judges[key.manifest.recogniser].recogniser, key) for key in keys),
        same=tuple(faces.same.tolist()),
        thresholds={name: _threshold_used(judge, experiment.judges.far) for name, judge in judges.items()},
        clean={name: rounded(judge.clean) for name, judge in judges.items()},
        protected=_scores(setting, images),
        noise=_noise(setting, cell, keys, images),
        likeness=None if cell.method is None else _likeness(setting, images),
        spent=spent,
    )


def _scores(setting: Setting, images: Tensor) -> dict[str, dict[str, ScoresOf]]:
    found: dict[str, dict[str, ScoresOf]] = {name: {} for name in setting.judges}
    for operation in setting.experiment.operations:
        changed = PURIFIERS[operation](images)
        for name, judge in setting.judges.items():
            scores = judge.scores(changed)
            found[name][operation] = ScoresOf(original=rounded(scores.original), other=rounded(scores.other))
    return found


def _noise(setting: Setting, cell: Cell, keys: list[Key], images: Tensor) -> tuple[NoisyScores, ...]:
    noise, plain, seed = setting.experiment.noise, setting.faces.probes, setting.experiment.seed
    if noise is None:
        return ()
    found = []
    for bound in noise.bounds:
        if noise.on == "feature":
            owner = cell.keys[0].recogniser
            cosines = feature_cosines(
                images, plain, key=keys[0], judge=setting.judges[owner], bound=bound, kind=noise.kind, seed=seed
            )
            found.append(NoisyScores(bound=bound, cosines={owner: rounded(cosines)}, distance=None))
            continue
        both = noisy_images(images, plain, bound=bound, kind=noise.kind, seed=seed)
        found.append(
            NoisyScores(
                bound=bound,
                cosines={name: rounded(judge.compared(*both)) for name, judge in setting.judges.items()},
                distance=None if setting.distance is None else rounded(setting.distance(*both)),
            )
        )
    return tuple(found)


def _likeness(setting: Setting, images: Tensor) -> Likeness:
    plain = setting.faces.probes
    return Likeness(
        ssim=rounded(ssim(images, plain)),
        psnr=rounded(psnr(images, plain)),
        distance=None if setting.distance is None else rounded(setting.distance(images, plain)),
    )


def _key_used(recogniser: Recogniser, key: Key) -> KeyUsed:
    cut = recogniser.cut(key.manifest.cut)
    return KeyUsed(
        recogniser=key.manifest.recogniser,
        cut=cut.name,
        layers=key.manifest.layers[:-1],
        features=cut.shape,
        share=cut.share,
        sha256=key.fingerprint,
    )


def _threshold_used(judge: Judge, far: float) -> ThresholdUsed:
    return ThresholdUsed(
        threshold=judge.at.threshold,
        far=far,
        far_measured=judge.at.far_measured,
        impostor_pairs=judge.at.n_impostor,
        meaningful=judge.at.meaningful,
    )

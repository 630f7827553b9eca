"""From an experiment on cloaks to its records; fits and embeddings that were made before are taken up again."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import torch

from facemin.evaluation import provenance
from facemin.evaluation.networks import Distance, find_recogniser
from facemin.experiments.cloaks.face_cure import with_face_cure
from facemin.experiments.cloaks.measure import looked_up
from facemin.experiments.cloaks.photos import quality
from facemin.experiments.cloaks.records import CloakRecord, LookedUp, read_cloak_records
from facemin.experiments.cloaks.work import cloaked, described, fits, kept, photographs, plain_side
from facemin.experiments.store.records import digest, rounded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from facemin.experiments.cloaks.people import Photographs
    from facemin.experiments.cloaks.photos import Photos
    from facemin.experiments.cloaks.scoring import Lookup
    from facemin.experiments.cloaks.settings import CloakExperiment, CloakSettings
    from facemin.models import Recogniser


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an experiment finds things and leaves them.

    Attributes:
        shared: the research folder, with LFW and models.
        out: of the records; fits and embeddings lie in `work` below it.
        stop: asked between people; True ends the run with what there is, and the same call goes on.
        tell: told what is under way.
    """

    shared: Path
    out: Path
    stop: Callable[[], bool] = lambda: False
    tell: Callable[[str], None] = field(default=print)


def run_cloaks(experiment: CloakExperiment, place: Place, *, name: str) -> bool:
    """Measure the cloaks of an experiment that have no record yet.

    Args:
        experiment: what to measure.
        place: where things lie.
        name: of it; records go to `NAME.cloaks.jsonl` in `out`.

    Returns:
        Whether all are measured.

    Raises:
        ValueError: data or models that are not there, or records that cannot be read.
        OSError: a file that cannot be read or written.
    """
    file, models = place.out / f"{name}.cloaks.jsonl", place.shared / "models"
    known = {record.identity for record in read_cloak_records(file)}
    judges = {judge: find_recogniser(judge, models) for judge in experiment.judges}
    place.tell("reading faces")
    data = photographs(experiment, place)
    distance = None if experiment.distance is None else Distance(experiment.distance, models)
    cell = _Bench(experiment=experiment, place=place, name=name, data=data, judges=judges, distance=distance)
    finished = True
    for cloak in experiment.cloak:
        identity = cell.identity(cloak)
        if identity in known:
            continue
        record = cell.measured(cloak, identity)
        if record is None:
            finished = False
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as lines:
            lines.write(record.model_dump_json() + "\n")
    return finished


@dataclass(frozen=True, kw_only=True, eq=False)
class _Bench:
    """An experiment with its people and recognisers read."""

    experiment: CloakExperiment
    place: Place
    name: str
    data: Photographs
    judges: dict[str, Recogniser]
    distance: Distance | None

    @property
    def _prints(self) -> dict[str, str]:
        return {judge: network.fingerprint for judge, network in self.judges.items()}

    def identity(self, cloak: CloakSettings) -> str:
        """SHA-256 of what a cloak's record depends on."""
        experiment = self.experiment
        return digest([described(cloak), self.data.sha256, self._prints, experiment.seed, list(experiment.fars)])

    def measured(self, cloak: CloakSettings, identity: str) -> CloakRecord | None:
        """A cloak's record; None where the run was ended before it is measured."""
        experiment, place, data = self.experiment, self.place, self.data
        fitted = fits(cloak, data, experiment.seed, place)
        if fitted is None or place.stop():
            return None
        place.tell(f"{cloak.name}: measuring")
        removing = cloak.adaptive and len(fitted[0][0]) == 1
        photos = cloaked(place, identity, data, fitted[0], removing=cloak.attacked if removing else 0)
        found = self._looked_up(cloak, photos, identity)
        if found is None:
            return None
        code = provenance.code_state()
        return CloakRecord(
            identity=identity,
            experiment=self.name,
            cloak=described(cloak),
            people=len(fitted[0]),
            probes=experiment.data.probes,
            data=experiment.data.model_dump() | {"seed": experiment.seed, "sha256": data.sha256},
            judges=self._prints,
            quality={key: rounded(values) for key, values in quality(photos, self.distance).items()},
            fit_seconds=tuple(fitted[1]),
            looked_up=_recorded(found),
            commit=code.commit,
            dirty=code.dirty,
            versions=provenance.versions(),
            machine=f"{platform.machine()}, {torch.get_num_threads()} threads",
            time=datetime.now(UTC),
        )

    def _looked_up(self, cloak: CloakSettings, photos: Photos, identity: str) -> dict[str, dict[str, Lookup]] | None:
        """Every condition by judge; None where the run was ended."""
        fars, keep = self.experiment.fars, partial(kept, self.place, identity)
        plain = {judge: plain_side(network, self.data, self.place) for judge, network in self.judges.items()}
        found = looked_up(
            photos,
            self.judges,
            plain,
            fars=fars,
            purifiers=cloak.purifiers,
            attacked=cloak.attacked,
            adaptive=cloak.adaptive,
            keep=keep,
        )
        if found is None:
            return None
        for judge in cloak.face_cure:
            more = with_face_cure(
                judge,
                self.judges[judge],
                plain[judge],
                photos,
                self.data,
                attacked=cloak.attacked,
                fars=fars,
                keep=keep,
            )
            if more is None:
                return None
            found[judge] |= more
        return found


def _recorded(found: dict[str, dict[str, Lookup]]) -> dict[str, dict[str, LookedUp]]:
    return {
        judge: {
            condition: LookedUp(
                scores=rounded(looked.scores),
                accepted={far: tuple(flags.tolist()) for far, flags in looked.accepted.items()},
                ranks=tuple(looked.ranks.tolist()),
            )
            for condition, looked in conditions.items()
        }
        for judge, conditions in found.items()
    }

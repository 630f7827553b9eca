"""Command `verify`: two faces compared by a whole recogniser, on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from facemin.cli.shared.options import FAILED, Json, MaxPixels, Model
from facemin.cli.shared.output import print_json, tell
from facemin.cli.shared.preprocess import UNCHANGED, PreprocessFlags

if TYPE_CHECKING:
    from facemin.evaluation.compare import Verdict


def verify(
    probe: Annotated[Path, Parameter(help="A protected face, an uploaded feature, or a plain photo.")],
    enrolment: Annotated[Path, Parameter(help="The reference; likewise.")],
    /,
    *,
    model: Model = "",
    key: Annotated[Path | None, Parameter(help="The key that an uploaded feature was made for.")] = None,
    far: Annotated[float, Parameter(help="False accept rate whose calibrated threshold decides.")] = 1e-3,
    threshold: Annotated[float | None, Parameter(help="Cosine that decides instead.")] = None,
    preprocess: PreprocessFlags = UNCHANGED,
    max_pixels: MaxPixels = 64_000_000,
    as_json: Json = False,
) -> int:
    """Ask a whole recogniser whether two faces are the same person's.

    Exit status: 0 when accepted, 1 when not (or when no threshold is known), 2 on wrong input.
    """
    from facemin.evaluation.compare import verify as compare
    from facemin.keys.key import Key
    from facemin.models import DEFAULT_MODEL
    from facemin.models.store import open_graph

    recogniser = open_graph(model or DEFAULT_MODEL, preprocess=preprocess.given())
    manifest = Key.load(key).manifest if key else None
    verdict = compare(
        probe, enrolment, recogniser=recogniser, far=far, threshold=threshold, manifest=manifest, max_pixels=max_pixels
    )
    if as_json:
        values = asdict(verdict) | {"calibration": verdict.calibration and verdict.calibration.model_dump()}
        print_json(values | {"probe": str(probe), "enrolment": str(enrolment)})
    else:
        _print_verdict(verdict)
    return 0 if verdict.accepted else FAILED


def _print_verdict(verdict: Verdict) -> None:
    answer = {True: "accepted", False: "not accepted", None: "no verdict"}[verdict.accepted]
    tell(f"{answer}: cosine {verdict.cosine:.4f} by {verdict.model}")
    if verdict.calibration is not None:
        measured = verdict.calibration
        tell(
            f"threshold {measured.threshold:.4f} at FAR {measured.far:g}, measured on {measured.impostor_pairs:,} pairs"
        )
    elif verdict.threshold is not None:
        tell(f"threshold {verdict.threshold:.4f}, as given")
    else:
        tell("no threshold was calibrated for this model; give one with --threshold")

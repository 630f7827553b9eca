"""Command `eval`: verification accuracy of a recogniser."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.markup import escape

from facemin.cli.shared.bar import counting_bar
from facemin.cli.shared.options import Device, Json, Landmarks, Model
from facemin.cli.shared.output import available_device, errors, note, print_json, say, tell
from facemin.cli.shared.preprocess import UNCHANGED, PreprocessFlags

if TYPE_CHECKING:
    from facemin.evaluation.pairs import VerificationSet
    from facemin.evaluation.result import Evaluation, OperatingPoint
    from facemin.models import Recogniser


def evaluate(
    data: Annotated[Path, Parameter(help="An InsightFace .bin, or a folder with one folder per person, as LFW is.")],
    /,
    *,
    pairs: Annotated[
        Path | None,
        Parameter(help="LFW's pairs.txt, or lines 'path path 1' (one person) and 'path path 0'; else they are drawn."),
    ] = None,
    landmarks: Landmarks = None,
    model: Model = "",
    flip: Annotated[bool, Parameter(negative="", help="Add the mirrored image's embedding.")] = False,
    save: Annotated[
        bool | None,
        Parameter(help="Write the thresholds into the store; done by default for a stored model without --flip."),
    ] = None,
    plot: Annotated[Path | None, Parameter(help="Draw the ROC and the scores into this PNG file.")] = None,
    seed: Annotated[int, Parameter(help="Of the pairs drawn where none are listed.")] = 0,
    batch: Annotated[int, Parameter(help="Images embedded at once.")] = 64,
    workers: Annotated[int, Parameter(help="Threads that decode and align beside the network.")] = 2,
    device: Device = "auto",
    preprocess: PreprocessFlags = UNCHANGED,
    as_json: Json = False,
) -> int:
    """Measure how well a recogniser verifies: 10-fold accuracy, EER, TAR at FAR, and thresholds.

    Thresholds come from the listed impostor pairs and, where it is known who is in the photos, from all pairs of
    different people; the latter are saved. A photo without a face that is found counts as its central square.
    """
    from facemin.autograd.opening import open_model
    from facemin.evaluation.pairs import open_verification_set
    from facemin.models import DEFAULT_MODEL
    from facemin.models.store import ModelStore
    from facemin.runtime.files import write_atomically

    store, name = ModelStore(), model or DEFAULT_MODEL
    recogniser = open_model(name, preprocess=preprocess.given())
    keep = (name in store and not flip) if save is None else save
    if keep and name not in store:
        raise ValueError(f"--save: expected a stored model (facemin model add), got {name!r}")
    if keep and flip:
        raise ValueError("--save: expected no --flip, since thresholds are for single images' embeddings; got both")
    if plot is not None:
        _check_plot(plot)
    pair_set = open_verification_set(data, pairs=pairs, points=landmarks, seed=seed)
    done = _run(pair_set, recogniser, flip=flip, batch=batch, workers=workers, device=available_device(device))
    if plot is not None:
        from facemin.report.plots import plot_verification

        title = f"{done.model} on {done.data}"
        write_atomically(plot, plot_verification(done.scores[done.same], done.scores[~done.same], title=title))
    if keep:
        command = _command(data, pairs, landmarks, name, seed)
        store.calibrate(name, done.calibration(command=command))
        note(f"thresholds saved with {name}")
    if done.n["no_face"]:
        note(f"no face found in {done.n['no_face']} of {done.n['images']} photos; their central square was taken")
    if as_json:
        print_json(done.report())
    else:
        _print(done)
    return 0


def _check_plot(plot: Path) -> None:
    """Refuse before minutes of work what would fail after them."""
    from importlib.util import find_spec

    from facemin.cli.shared.places import check_file

    if find_spec("matplotlib") is None:
        raise ValueError("--plot: expected matplotlib, which comes with: pip install 'facemin[bench]'")
    if plot.suffix.lower() != ".png":
        raise ValueError(f"--plot: expected a file that ends in .png, got {str(plot)!r}")
    check_file("--plot", plot)


def _run(
    pair_set: VerificationSet, recogniser: Recogniser, *, flip: bool, batch: int, workers: int, device: str
) -> Evaluation:
    from facemin.evaluation.verify import evaluate as run

    console = errors()
    began = time.perf_counter()
    with counting_bar(console, worded=True) as progress:
        task = progress.add_task("Embedding", total=pair_set.images, text="")
        ended = began

        def advance(images: int) -> None:
            nonlocal ended
            ended = time.perf_counter()
            progress.update(task, completed=images, text=f"{images / (ended - began):.1f} images/s")

        done = run(pair_set, recogniser, flip=flip, batch=batch, workers=workers, device=device, on_images=advance)
    seconds = ended - began
    speed = f"{pair_set.images} images in {seconds:.1f} s, {pair_set.images / seconds:.1f} images/s"
    say(console, f"{escape(speed)}, on {escape(device)}")
    return done


def _command(data: Path, pairs: Path | None, landmarks: Path | None, name: str, seed: int) -> str:
    """The measurement without this machine's folders, as a calibration tells it."""
    options = [("--pairs", pairs and pairs.name), ("--landmarks", landmarks and landmarks.name)]
    if pairs is None and not data.is_file():
        options.append(("--seed", str(seed)))
    shown = [f"{flag} {value}" for flag, value in options if value]
    return " ".join(["facemin eval", data.name, *shown, "--model", name])


def _print(done: Evaluation) -> None:
    n, accuracy = done.n, done.accuracy
    low, high = done.accuracy_people or done.accuracy_wilson
    tell(f"{done.model} on {done.data}")
    tell(f"{n['pairs']:,} pairs ({n['genuine']:,} genuine) of {n['images']:,} images")
    tell(
        f"accuracy {100 * accuracy.mean:.2f} % +- {100 * accuracy.std:.2f} over 10 folds, "
        f"95 % interval {100 * low:.2f} to {100 * high:.2f}"
    )
    tell(f"EER      {100 * done.eer:.2f} %")
    _print_points("impostors: the listed pairs", done.listed)
    if done.cross_identity:
        _print_points("impostors: all pairs of different people", done.cross_identity)


def _print_points(title: str, points: dict[str, OperatingPoint]) -> None:
    n = next(iter(points.values())).at.n_impostor
    tell("", f"{title} ({n:,})", "  FAR    TAR %   95 % interval    threshold")
    for name, point in points.items():
        if not point.at.meaningful:
            tell(f"  {name}   too few impostor pairs to say")
            continue
        low, high = point.people or point.wilson
        tell(f"  {name}  {100 * point.at.tar:6.2f}   {100 * low:6.2f} to {100 * high:6.2f}   {point.at.threshold:.4f}")

"""Commands `cloak`: a person's mask fitted, applied to photos, and removed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter
from rich.console import Console
from rich.markup import escape

from facemin.cli.shared.bar import counting_bar
from facemin.cli.shared.options import FAILED, INTERRUPTED, Device, Json, MaxPixels
from facemin.cli.shared.output import available_device, errors, note, print_json, say, tell

if TYPE_CHECKING:
    from facemin.cloak.folder import CloakedPhoto, CloakJob, CloakPlan
    from facemin.protection.result import Failure

app = App(
    name="cloak",
    help="Photos that look like themselves and that recognisers mistake; see docs/cloaks.md for what remains.",
)

Photos = Annotated[Path, Parameter(help="Photos, and folders of photos (walked recursively).")]
MaskFile = Annotated[Path, Parameter(name="--mask", help="The person's mask, as facemin cloak fit wrote it.")]
Out = Annotated[Path, Parameter(help="Folder for the results.")]
Whom = Annotated[
    Literal["largest", "centre", "all"],
    Parameter(help="Whose face is the mask's person's: the largest, that nearest to the photo's centre, or all."),
]
Form = Annotated[
    Literal["png", "jpeg"], Parameter(name="--format", help="Of the results; png keeps what removing needs.")
]
Quality = Annotated[int | None, Parameter(help="Of JPEG, 1 to 100; 95 when not given.")]
Exif = Annotated[bool, Parameter(negative="", help="Keep the photo's EXIF (time, place, camera); dropped otherwise.")]
FEW = 5
"""Photos below which a mask is said to carry over badly."""
WARNING = (
    "a cloak is no secret from whoever trains on cloaked photos, and newer recognisers may see through it; "
    "docs/cloaks.md says what remains"
)


@app.command
def fit(
    *photos: Photos,
    out: Annotated[Path, Parameter(help="The mask file to write, say me.mask; mode 0600.")],
    method: Annotated[
        Literal["p3-mask", "opom-fi-uap", "opom-class-centre", "opom-affine-hull", "opom-convex-hull"],
        Parameter(help="How the mask is learnt."),
    ] = "p3-mask",
    surrogate: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help="A recogniser to lead astray, by its name in facemin model list; may be repeated. dlib-resnet29 alone "
            "when not given.",
        ),
    ] = (),
    whom: Annotated[
        Literal["largest", "centre"], Parameter(help="Which face of a photo is the person's, where there are several.")
    ] = "largest",
    seed: Annotated[int, Parameter(help="Of the mask's start.")] = 0,
    force: Annotated[
        bool, Parameter(negative="", help="Replace a mask that is there: it cannot be taken off then.")
    ] = False,
    max_pixels: MaxPixels = 64_000_000,
    device: Device = "auto",
    as_json: Json = False,
) -> int:
    """Learn a person's mask from several photos of that person, ten or more if there are (needs torch).

    Ctrl-C ends after the step at hand; nothing is written then.

    Exit status: 0 when done, 1 when done without some of the photos, which are listed, 2 on wrong input, 130 after
    Ctrl-C.
    """
    from facemin.cli.shared.places import check_file
    from facemin.cli.shared.signals import interruptible
    from facemin.cloak.gather import person_photos
    from facemin.cloak.mask_file import Mask
    from facemin.cloak.surrogates import DEFAULT_TEAM, open_surrogates
    from facemin.protection.registry import CLOAKS
    from facemin.runtime.compute import Compute

    check_file("--out", out)
    if out.exists() and not force:
        raise ValueError(f"--out: expected a file that is not there yet, got {out}; --force replaces it")
    if not photos:
        raise ValueError("photos: expected at least one photo or folder, got none")
    recognisers = open_surrogates(surrogate or DEFAULT_TEAM)
    console = errors()
    gathered = person_photos(photos, recognisers[0], whom=whom, max_pixels=max_pixels)
    for failure in gathered.failures:
        say(console, f"[red]failed:[/] {escape(failure.name)}: {escape(failure.reason)}")
    for remark in gathered.notes:
        note(remark)
    if not len(gathered.faces):
        raise ValueError("photos: expected at least one with a face, found none")
    if len(gathered.faces) < FEW:
        note(f"{len(gathered.faces)} photos: masks learnt from fewer than {FEW} carry over badly to further photos")
    compute = Compute(device=available_device(device))
    with interruptible() as interrupt, counting_bar(console) as bar:
        task = bar.add_task("Learning", total=None)

        def on_step(taken: int, of: int) -> None:
            interrupt.check()
            bar.update(task, completed=taken, total=of)

        mask = CLOAKS[method].fit(gathered.faces, recognisers, seed=seed, compute=compute, on_step=on_step)
    # the methods that may be named here all make masks
    assert isinstance(mask, Mask)
    mask.save(out)
    if as_json:
        print_json(
            {
                "file": out,
                "mask": mask.manifest.model_dump(mode="json"),
                "failed": [{"source": each.name, "reason": each.reason} for each in gathered.failures],
            }
        )
    else:
        tell(f"{out}: {method} of {len(gathered.faces)} photos against {', '.join(r.name for r in recognisers)}")
        note(f"keep {out} to yourself: it takes the mask off again")
        note(WARNING)
    return FAILED if gathered.failures else 0


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Laying:
    """How a mask is put on photos, or taken off."""

    mask: MaskFile
    out: Out
    whom: Whom = "largest"
    form: Form = "png"
    quality: Quality = None
    exif: Exif = False
    max_pixels: MaxPixels = 64_000_000

    def job(self, *, remove: bool) -> CloakJob:
        """What is to be done, with the mask loaded.

        Raises:
            ValueError: options that do not go together, or a mask that cannot be used.
        """
        from facemin.cli.shared.places import check_folder
        from facemin.cloak.folder import CloakJob
        from facemin.cloak.mask_file import Mask

        if self.quality is not None and self.form != "jpeg":
            raise ValueError(f"--quality: expected with --format jpeg, got it with {self.form}")
        check_folder("--out", self.out)
        quality = 95 if self.quality is None else self.quality
        return CloakJob(**vars(self) | {"mask": Mask.load(self.mask), "remove": remove, "quality": quality})


@app.command
def apply(*photos: Photos, given: Laying, as_json: Json = False) -> int:
    """Put a person's mask on photos: a/b.jpg becomes OUT/a/b.cloaked.png, at its own size.

    Faces of other people stay as they are, and so does one that carries the mask already. A rerun skips what is done;
    Ctrl-C ends after the photo at hand.

    Exit status: 0 when all is done, 1 when something was not, which is listed, 2 on wrong input, 130 after Ctrl-C.
    """
    return _run(photos, given, remove=False, as_json=as_json)


@app.command
def remove(*photos: Photos, given: Laying, as_json: Json = False) -> int:
    """Take a person's mask off cloaked photos: b.cloaked.png becomes OUT/b.uncloaked.png.

    Exact where b.cloaked.json still lies beside the photo, but for values that the mask had driven to black or white;
    else the mask itself says where; a photo that shows no trace of it stays as it is, and is listed. Of a folder, only
    *.cloaked.png and *.cloaked.jpg are taken.

    Exit status: as for apply.
    """
    return _run(photos, given, remove=True, as_json=as_json)


def _run(photos: tuple[Path, ...], given: Laying, *, remove: bool, as_json: bool) -> int:
    from facemin.cli.shared.places import clear_unfinished
    from facemin.cli.shared.signals import interruptible
    from facemin.cloak.folder import cloak_into, plan_cloaking
    from facemin.protection.result import Failure

    if not photos:
        raise ValueError("photos: expected at least one photo or folder, got none")
    job = given.job(remove=remove)
    plan = plan_cloaking(photos, job)
    clear_unfinished(plan.folders)
    console, failures, stopped = errors(), list(plan.failures), False
    made: list[CloakedPhoto] = []
    with interruptible() as interrupt, counting_bar(console) as bar:
        task = bar.add_task("Uncloaking" if remove else "Cloaking", total=len(plan.todo))
        try:
            for result in cloak_into(plan, job):
                if isinstance(result, Failure):
                    failures.append(result)
                else:
                    made.append(result)
                bar.advance(task)
                interrupt.check()
        except KeyboardInterrupt:
            stopped = True
    if as_json:
        print_json(_values(plan, made, failures, stopped=stopped))
    else:
        _tell(console, job, plan, made, failures, stopped=stopped)
    return INTERRUPTED if stopped else FAILED if failures else 0


def _values(plan: CloakPlan, made: list[CloakedPhoto], failures: list[Failure], *, stopped: bool) -> dict[str, object]:
    return {
        "made": [
            {"source": each.source, "file": each.file, "faces": each.faces, "others": each.others, "exact": each.exact}
            for each in made
        ],
        "done_before": plan.done,
        "failed": [{"source": each.name, "reason": each.reason} for each in failures],
        "skipped": [{"source": each.path, "reason": each.reason} for each in plan.skipped],
        "stopped": stopped,
    }


def _tell(
    console: Console,
    job: CloakJob,
    plan: CloakPlan,
    made: list[CloakedPhoto],
    failures: list[Failure],
    *,
    stopped: bool,
) -> None:
    from facemin.image import describe
    from facemin.runtime.errors import without_name

    faces = sum(each.faces for each in made)
    say(
        console,
        f"{len(made)} photos {job.word} ({faces} faces), {len(plan.done)} done before, {len(failures)} failed",
    )
    for each in made:
        name = escape(str(each.source))
        for remark in each.notes:
            say(console, f"[yellow]note:[/] {name}: {escape(remark)}")
        if each.others:
            say(console, f"[yellow]left plain:[/] {name}: {each.others} other faces")
        if job.remove and not each.exact:
            say(console, f"[yellow]note:[/] {name}: no record beside it, so that the mask may leave traces")
    for line in describe(plan.skipped):
        say(console, f"[yellow]not {job.word}:[/] {escape(line)}")
    for failure in failures:
        say(
            console,
            f"[red]failed:[/] {escape(failure.name)}: {escape(without_name(failure.reason, failure.name))}",
        )
    if stopped:
        left = len(plan.todo) - len(made) - (len(failures) - len(plan.failures))
        say(
            console,
            f"[yellow]stopped:[/] {left} of {len(plan.todo)} photos are not done; what is done is kept, and the same "
            "command goes on with the rest",
        )

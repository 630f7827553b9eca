"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document on standard output.")]
Device = Annotated[str, Parameter(help="auto, cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.")]
Seed = Annotated[int | None, Parameter(help="Seed of the noise; drawn from the system when not given. Keep it secret.")]
Model = Annotated[
    str,
    Parameter(
        name="--model",
        show_default=False,
        help="A recogniser's name, or an ONNX file that takes RGB in [0, 255]; dlib-resnet29 when not given.",
    ),
]
KeyFiles = Annotated[
    tuple[Path, ...], Parameter(negative="", help="A provider's key file; repeat it for several providers.")
]
MaxPixels = Annotated[
    int, Parameter(help="Most pixels that a photo may have; a 108-megapixel phone needs 108000000 or more.")
]

Landmarks = Annotated[
    Path | None, Parameter(help="Five points of each photo, .npz of names and pts; else faces are found.")
]
Models = Annotated[
    Path | None,
    Parameter(help="Folder of ONNX recognisers (audits: attribute estimators too) that take RGB in [0, 255]."),
]

FAILED, WRONG_INPUT, INTERRUPTED = 1, 2, 130
"""Exit statuses beside 0: some of the work failed, or a check said no; the input was wrong; Ctrl-C ended it."""

STATUSES = (
    "Exit status of every verb: 0 when all was done, every key reached and every check passed; 1 when something was "
    "not, which is listed; 2 on wrong input; 130 after Ctrl-C."
)
"""For the end of the help page."""

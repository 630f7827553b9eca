"""Command `audit`: attacks on protected faces, as one page and JSON."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.markup import escape

from facemin.cli.shared.options import FAILED, INTERRUPTED, Device, Json, KeyFiles, Models, Seed
from facemin.cli.shared.output import available_device, errors, print_json, say, tell
from facemin.cli.shared.places import check_folder

if TYPE_CHECKING:
    from facemin.audit import Audit

Quick = Annotated[bool, Parameter(negative="", help="A first look at up to four photos, in under two minutes.")]
Method = Annotated[
    str, Parameter(help="How photos are protected, here and by attackers who train: a method of facemin protect.")
]
QUICK_MINUTES, QUICK_MOST = 1.5, 4
MINUTES, MOST = 20.0, 100


def audit(
    *inputs: Annotated[
        Path, Parameter(help="Photos and what they became (b.protected.png), or folders; photos alone are protected.")
    ],
    out: Annotated[Path, Parameter(help="Folder for audit.html and audit.json.")],
    key: KeyFiles = (),
    rows: Annotated[str, Parameter(help="Rows of the threat model, separated by commas.")] = "T0,T1,T2,T3,T4,T5",
    minutes: Annotated[float | None, Parameter(help="Time for all of it; 20, with --quick 1.5.")] = None,
    quick: Quick = False,
    method: Method = "robust",
    models: Models = None,
    train: Annotated[
        Path | None, Parameter(help="Plain photos of other people, one folder each: for thresholds and attacks.")
    ] = None,
    far: Annotated[float, Parameter(help="False accept rate at which recognisers judge.")] = 1e-3,
    most: Annotated[
        int | None, Parameter(help="People (two photos each) or photos to audit; 100, with --quick 4.")
    ] = None,
    seed: Seed = None,
    device: Device = "auto",
    as_json: Json = False,
) -> int:
    """Attack protected faces in every way of the threat model, and say in plain words what each adversary got.

    Where photos lie in one folder per person, protected faces are compared with another photo of the person; else
    with their own. Nothing is called safe that too few images were there to show. The page shows the plain faces.

    Ctrl-C ends the row at hand; what the others found is written.

    Exit status: 0 when the audit is written, 1 when the authorised recogniser refused every face, or a photo that was
    given could not be audited, which is listed, 2 on wrong input, 130 after Ctrl-C.
    """
    given = minutes if minutes is not None else (QUICK_MINUTES if quick else MINUTES)
    if not given > 0:
        raise ValueError(f"--minutes: expected a number above 0, got {given}")
    check_folder("--out", out)
    began = time.monotonic()
    _tell("Loading")
    from facemin.audit import Budget, Request, known_rows, prepare, render
    from facemin.audit import audit as run
    from facemin.keys.key import Key
    from facemin.protection import PROTECTORS
    from facemin.runtime.files import write_atomically

    if method not in PROTECTORS:
        raise ValueError(f"--method: expected one of {', '.join(PROTECTORS)}, got {method!r}")
    chosen = known_rows([name.strip().upper() for name in rows.split(",") if name.strip()])
    request = Request(
        inputs=inputs,
        out=out,
        keys=[Key.load(path) for path in key],
        models=models,
        train=train,
        far=far,
        most=most if most is not None else (QUICK_MOST if quick else MOST),
        seed=seed,
        device=available_device(device),
        method=PROTECTORS[method],
    )
    # loading is part of the time that was promised
    budget = Budget(seconds=60 * given, before=time.monotonic() - began)
    done = run(prepare(request, budget, tell=_tell), chosen, budget, tell=_tell)
    page, record = out / "audit.html", out / "audit.json"
    write_atomically(page, render(done))
    write_atomically(record, json.dumps(done.values(), indent=1, allow_nan=False).encode())
    if as_json:
        print_json(done.values() | {"files": [str(page), str(record)]})
    else:
        _print(done, page, record)
    if done.stopped:
        return INTERRUPTED
    refused = [one for one in done.authorised.figures if one.where == "protected probe"]
    all_refused = bool(refused) and not any(one.hits for one in refused)
    return FAILED if all_refused or done.evidence.left_out else 0


def _tell(text: str) -> None:
    say(errors(), escape(text))


def _print(done: Audit, page: Path, record: Path) -> None:
    from facemin.audit.sample_size import WORDS

    tell(f"provider  {done.authorised.verdict}")
    for row in done.rows:
        tell(f"{row.row}        {WORDS[row.outcome]}: {row.verdict}")
        for text in row.untested:
            tell(f"          not tested: {text}")
    for text in (*done.evidence.remarks, *done.evidence.untested):
        tell(f"note      {text}")
    tell(str(page), str(record))

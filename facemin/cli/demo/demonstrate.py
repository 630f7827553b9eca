"""Command `demo`: protection and recognition, drawn or in a browser."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from facemin.cli.shared.options import FAILED, Json, Seed
from facemin.cli.shared.output import errors, print_json, say, tell

FOLDER = Path("facemin-demo")


def demo(
    *,
    out: Path = FOLDER,
    seed: Seed = None,
    page: Annotated[bool, Parameter(negative="")] = False,
    port: int = 0,
    no_open: Annotated[bool, Parameter(name="--no-open", negative="")] = False,
    as_json: Json = False,
) -> int:
    """Enrol and verify a real photo (NASA's astronaut) under a pseudonym, and draw what happened.

    With --page, do it yourself in your browser, until Ctrl-C: a provider on this machine, made for that and forgotten,
    and photos of two people. Nothing leaves the machine.

    Exit status: 0 when every answer is what it should be, 1 when not.

    Parameters
    ----------
    out: Path
        Folder for demo.png, demo.json and what was sent.
    page: bool
        Open the page in your browser instead.
    port: int
        For the page, on loopback; 0 takes a free one.
    no_open: bool
        Only print the page's address.
    """
    for name, given, with_page in (
        ("--out", out != FOLDER, False),
        ("--seed", seed is not None, False),
        ("--port", port != 0, True),
        ("--no-open", no_open, True),
    ):
        if given and page != with_page:
            raise ValueError(f"{name}: expected {'with' if with_page else 'without'} --page, got it the other way")
    if page:
        return _demo_page(port=port, opens=not no_open, as_json=as_json)
    from facemin.cli.shared.places import check_folder

    check_folder("--out", out)
    say(errors(), "Loading")
    from facemin.cli.demo.run import FAR, NOT_SHOWN, SHOWN, run_demo, summary

    console = Console(stderr=as_json)
    done = run_demo(out, seed=seed, tell=partial(say, errors()))
    if as_json:
        print_json(summary(done))
        return 0 if done.as_expected else FAILED
    for panel in done.panels:
        for answer in panel.answers:
            verdict = "[green]yes[/]" if answer.accepted else "[red]no[/]"
            say(console, f"  {panel.title:26} {answer.question:25} {verdict:15} cosine {answer.cosine:6.3f}")
    say(
        console,
        f"  yes from cosine {done.threshold:.3f} (FAR {FAR:g}); one face took {done.milliseconds:.0f} ms, "
        f"everything {done.seconds:.1f} s",
    )
    say(console, f"Picture: {escape(str(done.picture))}\n")
    say(console, SHOWN[done.as_expected])
    say(console, NOT_SHOWN)
    return 0 if done.as_expected else FAILED


def _demo_page(*, port: int, opens: bool, as_json: bool) -> int:
    say(errors(), "Making a provider for the demo")
    from facemin.cli.demo.page import ignore_end, open_soon, page_demo

    with page_demo(port=port) as shown:
        if as_json:
            # before it runs, for it runs until it is ended
            print_json({"page": shown.address, "identify": shown.identify})
        else:
            tell("Open this address, which is good for an hour; Ctrl-C ends the demo:", shown.address)
            tell("The same for identifying only:", shown.identify)
        if opens:
            open_soon(shown.address)
        ignore_end()
        shown.run()
    return 0

"""The command line: one thin function a verb. What a verb computes with is imported when it runs."""

from __future__ import annotations

import os
import sys
import warnings
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError
from rich.markup import escape

from facemin.cli import licences
from facemin.cli.demo import demonstrate
from facemin.cli.person import client, cloak, photos, secrets, verify
from facemin.cli.provider import keys, protector, provider, provider_keys, trusted
from facemin.cli.shared.extras import missing_extra
from facemin.cli.shared.options import FAILED, INTERRUPTED, STATUSES, WRONG_INPUT
from facemin.cli.shared.output import errors, note, say
from facemin.cli.workshop import audit, bench, evaluate, models, train
from facemin.runtime.errors import in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def _version() -> str:
    from facemin import __version__

    return __version__


app = App(
    name="facemin",
    version=_version,
    help="Facial data minimisation: a face photo becomes the least that one chosen recogniser needs.",
    help_epilogue=STATUSES,
)
OF_KEYS: dict[str, Callable[..., int]] = {
    "fit-protector": protector.fit_protector,
    "trust": trusted.key_trust,
    "distrust": trusted.key_distrust,
    "trusted": trusted.key_trusted,
}
OF_PROVIDERS: dict[str, Callable[..., int]] = {
    "keys": provider_keys.provider_keys,
    "rotate": provider_keys.provider_rotate,
    "protector": provider_keys.provider_protector,
    "switch": provider_keys.provider_switch,
    "revoke": provider_keys.provider_revoke,
}
"""Commands of a group that have files of their own."""
for group, commands in ((keys.app, OF_KEYS), (provider.app, OF_PROVIDERS)):
    for name, command in commands.items():
        group.command(command, name=name)
for verb in (demonstrate.demo, photos.protect, verify.verify, audit.audit, provider.serve, licences.licences):
    app.command(verb)
app.command(evaluate.evaluate, name="eval")
for part in (keys, models, secrets, train, bench, provider, client, cloak):
    app.command(part.app)
app.register_install_completion_command(
    help="Install completion for your shell (bash, zsh or fish), so that Tab completes verbs and options."
)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: as typed after `facemin`; the process's own when None.

    Returns:
        The exit status: that of the verb, 2 on wrong input, 130 after Ctrl-C.
    """
    try:
        status = app(arguments, result_action="return_value", exit_on_error=False)
    except CycloptsError:
        # said already; cyclopts would end with 1, which here means that work failed
        return WRONG_INPUT
    except BrokenPipeError:
        # whoever read our output has enough of it, as head has
        _close_output()
        return FAILED
    except (ValueError, OSError) as error:
        _refuse(in_words(error))
        return WRONG_INPUT
    except RecursionError:
        _refuse("input: expected values that are not nested so deeply")
        return WRONG_INPUT
    except MemoryError:
        _refuse("memory: expected more of it than there is; fewer or smaller inputs, or a smaller --batch, take less")
        return FAILED
    except ModuleNotFoundError as error:
        advice = missing_extra(error)
        if advice is None:
            raise
        _refuse(advice)
        return WRONG_INPUT
    except KeyboardInterrupt:
        note("stopped before it was done; nothing half-written was left. The same command starts again")
        return INTERRUPTED
    return status if isinstance(status, int) else 0


def _refuse(text: str) -> None:
    # a name with a line break in it begins no line that could pass for ours
    say(errors(), f"[bold red]facemin:[/] {escape(text.replace(chr(10), chr(10) + '  '))}")


def main() -> None:
    """Entry point of the command `facemin`."""
    warnings.showwarning = _warned
    status = run()
    try:
        # there is none where a program was started without it, as by `>&-`
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _close_output()
    except OSError as error:
        # else it was said already
        if status != WRONG_INPUT:
            _refuse(in_words(error))
        _close_output()
        status = status or WRONG_INPUT
    sys.exit(status)


def _warned(message: Warning | str, *_: object, **__: object) -> None:
    """Say a warning as a note: Python would print the file's name in it as it is, and a line of our source."""
    note(str(message))


def _close_output() -> None:
    """Send what is left of our output nowhere: at the end Python would complain that nobody takes it."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

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
    from collections.abc import Sequence


def _version() -> str:
    from facemin import __version__

    return __version__


app = App(
    name="facemin",
    version=_version,
    help="Facial data minimisation: a face photo becomes the least that one chosen recogniser needs.",
    help_epilogue=STATUSES,
)
app.command(demonstrate.demo)
app.command(photos.protect)
app.command(verify.verify)
keys.app.command(protector.fit_protector, name="fit-protector")
keys.app.command(trusted.key_trust, name="trust")
keys.app.command(trusted.key_distrust, name="distrust")
keys.app.command(trusted.key_trusted, name="trusted")
app.command(keys.app)
app.command(models.app)
app.command(secrets.app)
app.command(evaluate.evaluate, name="eval")
app.command(train.app)
app.command(audit.audit)
app.command(bench.app)
provider.app.command(provider_keys.provider_keys, name="keys")
provider.app.command(provider_keys.provider_rotate, name="rotate")
provider.app.command(provider_keys.provider_protector, name="protector")
provider.app.command(provider_keys.provider_switch, name="switch")
provider.app.command(provider_keys.provider_revoke, name="revoke")
app.command(provider.app)
app.command(provider.serve)
app.command(client.app)
app.command(cloak.app)
app.command(licences.licences)
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
        sys.stdout.flush()
    except BrokenPipeError:
        _close_output()
    sys.exit(status)


def _warned(message: Warning | str, *_: object, **__: object) -> None:
    """Say a warning as a note: Python would print the file's name in it as it is, and a line of our source."""
    note(str(message))


def _close_output() -> None:
    """Send what is left of our output nowhere: at the end Python would complain that nobody reads it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

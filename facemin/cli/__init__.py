"""The command line: one thin function a verb. What a verb computes with is imported when it runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError
from rich.markup import escape

from facemin.cli import licences
from facemin.cli.demo import demonstrate
from facemin.cli.person import client, cloak, photos, secrets, verify
from facemin.cli.provider import keys, protector, provider, provider_keys, trusted
from facemin.cli.shared.extras import missing_extra
from facemin.cli.shared.options import INTERRUPTED, STATUSES, WRONG_INPUT
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
    except (ValueError, OSError) as error:
        _refuse(in_words(error))
        return WRONG_INPUT
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
    sys.exit(run())

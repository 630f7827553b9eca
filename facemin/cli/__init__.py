"""The command line: one thin function a verb, imported as it is needed."""

from __future__ import annotations

import sys

from cyclopts import App
from rich.markup import escape

from facemin import __version__
from facemin.cli import audit, bench, client, evaluate, keys, models, photos, protector, provider, train
from facemin.cli.options import WRONG_INPUT
from facemin.cli.output import errors, say

app = App(
    name="facemin",
    version=__version__,
    help="Facial data minimisation: a face photo becomes the least that one chosen recogniser needs.",
)
app.command(photos.demo)
app.command(photos.protect)
app.command(photos.verify)
keys.app.command(protector.fit_protector, name="fit-protector")
app.command(keys.app)
app.command(models.app)
app.command(evaluate.evaluate, name="eval")
app.command(train.app)
app.command(audit.audit)
app.command(bench.app)
app.command(provider.app)
app.command(provider.serve)
app.command(client.app)


def main() -> None:
    """Entry point of the command `facemin`."""
    try:
        status = app(result_action="return_value")
    except (ValueError, OSError) as error:
        say(errors(), f"[bold red]facemin:[/] {escape(str(error))}")
        sys.exit(WRONG_INPUT)
    sys.exit(status if isinstance(status, int) else 0)

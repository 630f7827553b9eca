"""Command `demo`: options of its two forms."""

import pytest

from facemin.cli import app


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--page", "--out", "elsewhere"], "--out: expected without --page"),
        (["--page", "--seed", "3"], "--seed: expected without --page"),
        (["--port", "8000"], "--port: expected with --page"),
        (["--no-open"], "--no-open: expected with --page"),
    ],
)
def test_an_option_of_the_other_form_is_refused(options: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        app(["demo", *options], exit_on_error=False)

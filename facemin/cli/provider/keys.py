"""Commands `key`: export, show."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from facemin.cli.provider.cut import CALIBRATED, CutFlags
from facemin.cli.shared.options import Json, Model
from facemin.cli.shared.output import print_values
from facemin.cli.shared.preprocess import UNCHANGED, PreprocessFlags
from facemin.keys.provider_name import displayed

if TYPE_CHECKING:
    from facemin.keys.key import Key

app = App(
    name="key",
    help="Provider keys: export one from a recogniser, show what one says, say which networks you trust, train one "
    "that protects for a key.",
)


@app.command(name="export")
def key_export(
    out: Annotated[Path, Parameter(help="The key file to write, say acme.key.onnx.")],
    /,
    *,
    provider: Annotated[str, Parameter(help="Whose key it is.")],
    model: Model = "",
    split: CutFlags = CALIBRATED,
    key_id: Annotated[str | None, Parameter(help="Name of the key; by default the start of its graph's hash.")] = None,
    expires: Annotated[str | None, Parameter(help="End of validity, ISO 8601 with a time zone or a date.")] = None,
    sign: Annotated[Path | None, Parameter(help="Ed25519 private key (PEM, PKCS 8, unencrypted).")] = None,
    preprocess: PreprocessFlags = UNCHANGED,
    as_json: Json = False,
) -> int:
    """Write a provider key: the recogniser's part before a cut, with its manifest."""
    from facemin.cli.shared.places import check_file
    from facemin.keys.key import export_key, read_signing_key
    from facemin.models import DEFAULT_MODEL
    from facemin.models.store import open_graph

    check_file("OUT", out)
    name = model or DEFAULT_MODEL
    recogniser = open_graph(name, preprocess=preprocess.given())
    cut, residual = split.of(recogniser, name)
    made = export_key(
        recogniser,
        cut,
        provider=provider,
        residual=residual,
        key_id=key_id,
        expires=_time(expires) if expires else None,
        signing_key=read_signing_key(sign) if sign else None,
    )
    made.save(out)
    _print_key(made, out, as_json=as_json)
    return 0


@app.command(name="show")
def key_show(file: Annotated[Path, Parameter(help="The key file.")], /, *, as_json: Json = False) -> int:
    """Check a provider key and print its manifest; an expired key is shown as such."""
    from facemin.keys.key import Key

    _print_key(Key.load(file, allow_expired=True), file, as_json=as_json)
    return 0


def _time(text: str) -> datetime:
    """A moment with a time zone; a bare date or time is in UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"--expires: expected a date or time as 2027-01-31 or 2027-01-31T12:00Z, got {text!r}"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _print_key(key: Key, file: Path, *, as_json: bool) -> None:
    manifest = key.manifest
    expired = manifest.expires is not None and manifest.expires <= datetime.now(UTC)
    extra = {
        "file": str(file),
        "bytes": len(key.data),
        "fingerprint": key.fingerprint,
        "signer": key.signer.hex() if key.signer else None,
        "expired": expired,
    }
    values = manifest.model_dump(mode="json") | extra
    absent = {
        name: "none: unsigned" if name == "signer" else "never" for name, value in values.items() if value is None
    }
    shown = {name: displayed(value) if isinstance(value, str) else value for name, value in values.items()}
    print_values(values if as_json else shown | absent, as_json=as_json)

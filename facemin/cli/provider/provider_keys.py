"""Commands `provider` on keys: list, rotate, revoke, the one-pass network beside them, and another recogniser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from facemin.cli.provider.cut import CALIBRATED, CutFlags
from facemin.cli.provider.provider import Home, opened, revoked
from facemin.cli.shared.options import Json
from facemin.cli.shared.output import answer, print_values


def provider_keys(*, home: Home = None, as_json: Json = False) -> int:
    """List the provider's keys, the newest first."""
    from facemin.service.api.responses import key_out
    from facemin.service.provider_keys import Keyring

    with opened(home) as (database, _, settings):
        found = [
            key_out(key, state).model_dump(mode="json") for key, state in Keyring(database, settings.fingerprint).all()
        ]
    lines = (
        f"{key['key_id']:20} {key['state']:9} made {key['created']}, "
        f"ends {key['until'] or key['expires'] or 'never'}, {key['fingerprint'][:16]}"
        for key in found
    )
    answer(found, *lines, as_json=as_json)
    return 0


def provider_rotate(*, home: Home = None, as_json: Json = False) -> int:
    """Make a new key the current one; uploads for the old one are taken for the overlap that the settings name."""
    from facemin.models.store import open_graph
    from facemin.service.making import rotate

    with opened(home) as (database, folder, settings):
        made = rotate(database, folder, settings, open_graph(settings.model))
    print_values({"key_id": made.key_id, "number": made.number, "fingerprint": made.fingerprint}, as_json=as_json)
    return 0


def provider_switch(
    model: Annotated[str, Parameter(help="The new recogniser; by default the one with a space that ships.")] = "",
    /,
    *,
    home: Home = None,
    split: CutFlags = CALIBRATED,
    force: Annotated[
        bool, Parameter(negative="", help="Also where people are enrolled: they have to enrol anew.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Give a stopped provider another recogniser, so that an old one takes pseudonyms; its keys until now end."""
    from facemin.cli.provider.provider import plainly
    from facemin.models import SPACE_MODEL
    from facemin.models.store import open_graph
    from facemin.service.settings import provider_home
    from facemin.service.switching import switch_model

    name = model or SPACE_MODEL
    cut, residual = split.of(open_graph(name), name)
    with plainly():
        done = switch_model(provider_home(home), model=name, cut=cut, residual=residual, force=force)
    print_values(
        {"key_id": done.key_id, "templates_to_enrol_anew": done.templates, "pseudonyms_allowed": list(done.allowed)},
        as_json=as_json,
    )
    return 0


def provider_protector(
    file: Annotated[Path, Parameter(help="A one-pass network for the key's space (facemin key fit-protector).")],
    /,
    *,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Offer a one-pass network beside the key: makes a new key, of the same space, that names its SHA-256."""
    from facemin.models.store import open_graph
    from facemin.service.making import rotate

    with opened(home) as (database, folder, settings):
        made = rotate(database, folder, settings, open_graph(settings.model), protector=file.read_bytes())
    print_values({"key_id": made.key_id, "number": made.number, "fingerprint": made.fingerprint}, as_json=as_json)
    return 0


def provider_revoke(
    key_id: Annotated[str, Parameter(help="Of the key.")], /, *, home: Home = None, as_json: Json = False
) -> int:
    """Refuse uploads for a key from now on, and give it to nobody. Rotate first where it is the current one."""
    from facemin.service.provider_keys import revoke_key

    return revoked(home, "revoke_key", revoke_key, key_id, as_json=as_json)

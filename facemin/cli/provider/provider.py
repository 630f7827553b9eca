"""Commands `provider` and `serve`: init, tokens, back-up."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from facemin.cli.provider.cut import CALIBRATED, CutFlags
from facemin.cli.shared.options import FAILED, Json, Model
from facemin.cli.shared.output import answer, note, print_json, print_values, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from facemin.service.settings import Settings
    from facemin.service.storage.database import Database

DatabaseUrl = Annotated[
    str | None, Parameter(help="postgresql://USER:PASSWORD@HOST/NAME; by default SQLite in the folder.")
]
TokenId = Annotated[str, Parameter(help="The token's id (16 digits).")]
DAY = 86_400.0
app = App(name="provider", help="Run your own provider: make it, rotate its keys, give out tokens, back it up.")
token_app = App(name="token", help="Tokens of apps and people.")
app.command(token_app)

Home = Annotated[
    Path | None, Parameter(name="--home", help="The provider's folder; by default `provider` in $FACEMIN_HOME.")
]


@app.command(name="init")
def provider_init(
    *,
    provider: Annotated[str, Parameter(help="Whose service it is, for people.")],
    home: Home = None,
    model: Model = "",
    split: CutFlags = CALIBRATED,
    database: DatabaseUrl = None,
    search: Annotated[
        Literal["memory", "pgvector", "pgvector-hnsw"],
        Parameter(help="pgvector compares inside PostgreSQL, where templates then lie unencrypted."),
    ] = "memory",
    key_access: Annotated[Literal["open", "token"], Parameter(help="Who may fetch the key.")] = "open",
    key_days: Annotated[float, Parameter(help="Validity of a key, days.")] = 90,
    pseudonyms: Annotated[
        Literal["required", "allowed", "off"] | None,
        Parameter(help="Of the first collection; by default required where the key has a space, else off."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Make a provider: its secrets, its first key, the thresholds that decide, and an admin token.

    The token is printed once and can be read nowhere again.
    """
    from facemin.cli.shared.places import check_folder
    from facemin.models import SPACE_MODEL
    from facemin.models.store import open_graph
    from facemin.service.making import make_provider
    from facemin.service.provider import has_space
    from facemin.service.settings import provider_home

    name = model or SPACE_MODEL
    recogniser = open_graph(name)
    cut, residual = split.of(recogniser, name)
    folder = provider_home(home)
    check_folder("--home", folder)
    with plainly():
        token = make_provider(
            folder,
            provider=provider,
            model=name,
            cut=cut,
            residual=residual,
            database=database,
            search=search,
            key_access=key_access,
            key_days=key_days,
            pseudonyms=pseudonyms,
        )
        space = has_space(recogniser, cut)
    if as_json:
        print_json({"home": str(folder), "token": token, "space": space})
        return 0
    if not space:
        note(
            f"the key of {name} at {cut} has no space, so that no pseudonyms can be made for it: whoever has the key "
            "recognises people on what is sent"
        )
    tell(f"Provider made in {folder}. Start it with: facemin serve" + (f" --home {folder}" if home else ""))
    tell("Admin token, shown this once:", token)
    return 0


def serve(
    *,
    home: Home = None,
    host: Annotated[str, Parameter(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Port to listen on.")] = 8470,
    page: Annotated[
        bool, Parameter(negative="", help="Serve the page where people enrol and verify themselves at /.")
    ] = False,
    device: Literal["auto", "cpu"] = "auto",
    as_json: Json = False,
) -> int:
    """Run the provider's service; SIGTERM and Ctrl-C end it once running requests are answered."""
    from facemin.service.server import check_address
    from facemin.service.server import serve as run
    from facemin.service.settings import provider_home, read_settings

    # onnxruntime computes there; the option stays for scripts that name it
    del device

    if host not in ("127.0.0.1", "localhost", "::1"):
        note("the service speaks plain HTTP: put a reverse proxy with TLS in front of it (docs/service/deployment.md)")
    folder = provider_home(home)
    read_settings(folder)
    check_address(host, port)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    if as_json:
        # before it runs, for it runs until it is ended
        print_json({"home": str(folder), "url": url, "device": "cpu"})
    else:
        note(f"serving {folder} at {url}; Ctrl-C ends it")
    with plainly():
        run(folder, host=host, port=port, page=page)
    return 0


@app.command(name="collection")
def provider_collection(
    name: Annotated[str, Parameter(help="Of a collection that is there.")] = "main",
    /,
    *,
    pseudonyms: Annotated[
        Literal["required", "allowed", "off"] | None,
        Parameter(help="Whether uploads have to be under a pseudonym, may be, or must not be."),
    ] = None,
    carriers: Annotated[
        Literal["allowed", "off"] | None, Parameter(help="Whether faces of nobody are taken (docs/carriers.md).")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Show a collection, or change what it says of pseudonyms and carriers."""
    from facemin.models.store import open_graph
    from facemin.service.api.responses import collection_out
    from facemin.service.making import COMMAND_LINE
    from facemin.service.provider import checked_policy, has_space, open_store
    from facemin.service.settings import MASTER
    from facemin.service.storage.audit_log import record
    from facemin.service.storage.crypto import Secrets

    with opened(home) as (database, folder, settings):
        recogniser = open_graph(settings.model)
        store = open_store(database, Secrets.load(folder / MASTER), settings, recogniser.embedding_size)
        with database.writing() as connection:
            policy = pseudonyms and checked_policy(pseudonyms, space=has_space(recogniser, settings.cut))
            for what, value in (("pseudonyms", policy), ("carriers", carriers)):
                if value is not None:
                    store.change_collection(connection, name, **{what: value})
                    record(connection, "change_collection", what, request_id=COMMAND_LINE, collection=name)
            found = store.collection(connection, name)
            shown = collection_out(found, store.counts(connection, found)).model_dump(mode="json")
    print_values(shown, as_json=as_json)
    return 0


@token_app.command(name="add")
def token_add(
    name: Annotated[str, Parameter(help="What it is for.")],
    *grants: Annotated[
        str, Parameter(help="enrol, verify, identify, session or admin; with :COLLECTION or everywhere.")
    ],
    home: Home = None,
    days: Annotated[float | None, Parameter(help="Validity, days; for ever when not given.")] = None,
    as_json: Json = False,
) -> int:
    """Make a token, which is printed once."""
    from facemin.service.tokens import make_token, parse_grant

    parsed = frozenset(parse_grant(grant) for grant in grants)
    expires = time.time() + days * DAY if days is not None else None
    with logged(home, "make_token") as (connection, log):
        made, text = make_token(connection, name, parsed, expires=expires)
        log(made.id)
    answer({"id": made.id, "token": text}, text, as_json=as_json)
    return 0


@token_app.command(name="list")
def token_list(*, home: Home = None, as_json: Json = False) -> int:
    """List all tokens, without their secrets."""
    from facemin.service.api.responses import token_out
    from facemin.service.tokens import list_tokens

    with opened(home) as (database, _, _), database.reading() as connection:
        found = [token_out(token).model_dump(mode="json") for token in list_tokens(connection)]
    answer(found, *map(_token_line, found), as_json=as_json)
    return 0


def _token_line(token: dict[str, Any]) -> str:
    grants = " ".join(scope if place == "*" else f"{scope}:{place}" for scope, place in token["grants"])
    state = "revoked" if token["revoked"] else f"until {token['expires'] or 'revoked'}"
    return f"{token['id']}  {state:24}  {grants}  {token['name']}"


@token_app.command(name="revoke")
def token_revoke(token_id: TokenId, /, *, home: Home = None, as_json: Json = False) -> int:
    """Refuse a token from its next request on."""
    from facemin.service.tokens import revoke_token

    return revoked(home, "revoke_token", revoke_token, token_id, as_json=as_json)


@app.command(name="check")
def provider_check(*, home: Home = None, as_json: Json = False) -> int:
    """Check the settings, the keys, the master key and every page of the database.

    Exit status: 0 when all is whole, 1 when something is damaged.
    """
    from facemin.models.store import open_graph
    from facemin.service.provider import open_store
    from facemin.service.settings import MASTER
    from facemin.service.storage.crypto import Secrets

    with opened(home) as (database, folder, settings):
        wrong = database.check()
        if not wrong:
            open_store(
                database, Secrets.load(folder / MASTER), settings, open_graph(settings.model).embedding_size
            ).warm()
    answer({"wrong": wrong}, *(wrong or ["all is whole"]), as_json=as_json)
    return FAILED if wrong else 0


@app.command(name="backup")
def provider_backup(
    out: Annotated[Path, Parameter(help="The .tar file to write.")],
    /,
    *,
    home: Home = None,
    with_secrets: Annotated[
        bool, Parameter(negative="", help="Also the master key, which opens the templates, and the signing key.")
    ] = False,
    force: Annotated[bool, Parameter(negative="", help="Replace a file that is there.")] = False,
    as_json: Json = False,
) -> int:
    """Write database and settings to one file, while the service runs; a file that is there is not replaced.

    Without --with-secrets keep master.key and signing.pem elsewhere: the templates cannot be read without them.
    """
    from facemin.cli.shared.places import check_file
    from facemin.service.settings import provider_home
    from facemin.service.storage.backup import SECRET, back_up

    check_file("OUT", out)
    if out.exists() and not force:
        raise ValueError(f"{out}: expected nothing there yet, found a file; --force replaces it")
    held = back_up(provider_home(home), out, with_secrets=with_secrets)
    missing = [] if with_secrets else list(SECRET)
    if as_json:
        print_json({"file": str(out), "bytes": out.stat().st_size, "holds": held, "missing": missing})
        return 0
    tell(f"{out}: {out.stat().st_size:,} bytes, holds {', '.join(held)}")
    if missing:
        note(f"keep these elsewhere, the templates cannot be read without them: {', '.join(missing)}")
    return 0


@app.command(name="restore")
def provider_restore(
    file: Annotated[Path, Parameter(help="A back-up.")], /, *, home: Home = None, as_json: Json = False
) -> int:
    """Make a provider's folder from a back-up."""
    from facemin.cli.shared.places import check_folder
    from facemin.service.settings import provider_home
    from facemin.service.storage.backup import restore

    folder = provider_home(home)
    check_folder("--home", folder)
    missing = restore(file, folder)
    answer({"home": str(folder), "missing": missing}, f"restored to {folder}", as_json=as_json)
    if missing:
        note(f"not in the back-up, put them into {folder}: {', '.join(missing)}")
    return 0


@contextmanager
def opened(home: Path | None) -> Iterator[tuple[Database, Path, Settings]]:
    """The provider's database, closed again at the end."""
    from facemin.service.settings import database_url, make_private, provider_home, read_settings
    from facemin.service.storage.database import Database

    folder = provider_home(home)
    settings = read_settings(folder)
    make_private(folder)
    with plainly():
        database = Database(database_url(folder, settings))
        try:
            yield database, folder, settings
        finally:
            database.close()


@contextmanager
def logged(home: Path | None, action: str) -> Iterator[tuple[Connection, Callable[[str], None]]]:
    """A transaction of the provider's database, and what writes its outcome into the audit log."""
    from facemin.service.making import COMMAND_LINE
    from facemin.service.storage.audit_log import record

    with opened(home) as (database, _, _), database.writing() as connection:
        yield connection, lambda outcome: record(connection, action, outcome, request_id=COMMAND_LINE)


def revoked(
    home: Path | None, action: str, revoke: Callable[[Connection, str], object], what: str, *, as_json: bool
) -> int:
    """Revoke a key or a token, with a line in the audit log; the exit status."""
    with logged(home, action) as (connection, log):
        revoke(connection, what)
        log(what)
    print_values({"revoked": what}, as_json=as_json)
    return 0


@contextmanager
def plainly() -> Iterator[None]:
    """A service's refusal as the command line's wrong input."""
    from facemin.service.api.errors import ServiceError

    try:
        yield
    except ServiceError as error:
        raise ValueError(str(error)) from None

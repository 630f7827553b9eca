"""Commands `secret`: new, list, show, words, restore, export, import, remove."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from facemin.cli.shared.options import FAILED, Json
from facemin.cli.shared.output import answer, note, print_json, tell

if TYPE_CHECKING:
    from facemin.pseudonym import Secret, SecretEntry

app = App(
    name="secret",
    help="What only your devices have, and what makes your uploads pseudonyms: nobody else can link them to your face.",
)

Name = Annotated[str, Parameter(help="Of the secret.")]
Keep = Annotated[
    Literal["file", "keyring"],
    Parameter(help="Where: a file that only you may read, or the system's keyring (extra 'keyring')."),
]


@app.command(name="new")
def secret_new(name: Name = "default", /, *, keep: Keep = "file", as_json: Json = False) -> int:
    """Make a secret from the system's randomness. The first use of facemin with a provider does that by itself."""
    from facemin.pseudonym import LOSS, Secret, SecretStore

    entry = SecretStore().add(Secret.new(), name, kept=keep)
    _print([entry], as_json=as_json, one=True)
    note(LOSS)
    return 0


@app.command(name="list")
def secret_list(*, as_json: Json = False) -> int:
    """List the secrets on this machine by name and fingerprint."""
    from facemin.pseudonym import SecretStore

    store = SecretStore()
    _print([store.entry(name) for name in store.names()], as_json=as_json)
    return 0


@app.command(name="show")
def secret_show(name: Name = "default", /, *, as_json: Json = False) -> int:
    """Show what is known of a secret, never the secret itself."""
    from facemin.pseudonym import SecretStore

    _print([SecretStore().entry(name)], as_json=as_json, one=True)
    return 0


@app.command(name="words")
def secret_words(name: Name = "default", /, *, as_json: Json = False) -> int:
    """Print a secret as 24 words (BIP-39) to write on paper: whoever reads them has it."""
    from facemin.pseudonym import SecretStore

    secret = SecretStore().load(name)
    words = secret.words.split()
    note("whoever reads these words has the secret: write them on paper, by hand, and keep that where no camera looks")
    if as_json:
        print_json({"name": name, "fingerprint": secret.fingerprint, "words": words})
    else:
        for at in range(0, len(words), 4):
            tell(" ".join(words[at : at + 4]))
    return 0


@app.command(name="restore")
def secret_restore(
    name: Name = "default",
    /,
    *,
    words: Annotated[
        Path | None, Parameter(help="File that holds the words; standard input when not given. Never an argument.")
    ] = None,
    keep: Keep = "file",
    as_json: Json = False,
) -> int:
    """Bring a secret back from its 24 words; the first four letters of each will do."""
    from facemin.pseudonym import Secret

    if words is None and sys.stdin.isatty():
        note("type the 24 words, then Ctrl-D on a line of its own (Ctrl-Z on Windows)")
    try:
        text = sys.stdin.read() if words is None else words.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{words or 'standard input'}: expected 24 words in UTF-8, got other bytes") from None
    return _take(Secret.from_words(text), name, keep, as_json=as_json)


@app.command(name="export")
def secret_export(
    out: Annotated[Path, Parameter(help="The file to make, which only you may read.")],
    /,
    *,
    name: Name = "default",
    as_json: Json = False,
) -> int:
    """Write a secret to a file, for another device of yours: whoever reads the file has it."""
    from facemin.pseudonym import SecretStore

    entry = SecretStore().export(name, out)
    answer(
        entry.model_dump(mode="json") | {"file": str(out)},
        f"wrote the secret {name} ({entry.fingerprint}) to {out}",
        as_json=as_json,
    )
    note("whoever reads that file has the secret: delete it when the other device has it")
    return 0


@app.command(name="import")
def secret_import(
    file: Annotated[Path, Parameter(help="As export wrote it.")],
    /,
    *,
    name: Name = "default",
    keep: Keep = "file",
    as_json: Json = False,
) -> int:
    """Take a secret from a file that export wrote."""
    from facemin.pseudonym import read_exported

    return _take(read_exported(file), name, keep, as_json=as_json)


@app.command(name="remove")
def secret_remove(
    name: Annotated[str, Parameter(help="Of the secret.")],
    /,
    *,
    yes: Annotated[bool, Parameter(negative="", help="Do not ask.")] = False,
    as_json: Json = False,
) -> int:
    """Delete a secret from this machine: without its words or another device, every enrolment made with it is lost.

    Exit status: 0 when it was removed, 1 when the answer was no.
    """
    from facemin.pseudonym import SecretStore

    store = SecretStore()
    entry = store.entry(name)
    if not yes:
        note(
            f"removing the secret {name} ({entry.fingerprint}) loses every enrolment made with it, unless its words "
            "are on paper or another device has it"
        )
        if not sys.stdin.isatty():
            raise ValueError("remove: expected --yes, or a terminal to ask on")
        if input(f"Type its name to remove it ({name}): ").strip() != name:
            note("not removed")
            return FAILED
    store.remove(name)
    answer(entry.model_dump(mode="json") | {"removed": True}, f"removed {name} ({entry.fingerprint})", as_json=as_json)
    return 0


def secret_in_use(name: str = "default") -> Secret:
    """The secret for a verb that needs one: made at its first use, which is said on standard error.

    Raises:
        ValueError: it is damaged, or others may read it.
        OSError: it cannot be read or written.
    """
    from facemin.pseudonym import LOSS, SecretStore

    secret, made = SecretStore().load_or_make(name)
    if made:
        note(f"made a new secret, {name} ({secret.fingerprint}). {LOSS}")
    return secret


def _take(secret: Secret, name: str, keep: Literal["file", "keyring"], *, as_json: bool) -> int:
    from facemin.pseudonym import SecretStore

    _print([SecretStore().add(secret, name, kept=keep)], as_json=as_json, one=True)
    return 0


def _print(entries: list[SecretEntry], *, as_json: bool, one: bool = False) -> None:
    values = [entry.model_dump(mode="json", include={"name", "fingerprint", "made", "kept"}) for entry in entries]
    if as_json:
        print_json(values[0] if one else values)
        return
    for value in values:
        tell(f"{value['name']:16} {value['fingerprint']}  {value['kept']:8} made {value['made']}")

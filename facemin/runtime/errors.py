"""Errors that a person can act on, and the operating system's refusals in the project's own words."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class FaceminError(ValueError):
    """Something given to facemin is not as it has to be; the message names it, what was expected and what came."""


class InvalidPhoto(FaceminError):  # noqa: N818 - what happened, as for all below
    """A photo that cannot be read, or is none."""


class NoFace(InvalidPhoto):
    """A photo without a face that could be protected or compared."""


class InvalidKey(FaceminError):  # noqa: N818
    """A provider's key that is none, or must not be used."""


class KeyExpired(InvalidKey):
    """A provider's key whose validity has ended."""


class KeyChanged(InvalidKey):
    """A provider's key is not the one that was trusted, nor one that its signer made later."""


class NoSpace(InvalidKey):
    """A provider's key without the space that a pseudonym needs."""


class UntrustedKey(InvalidKey):
    """A key whose network is not known to be honest: from the second upload on it could identify a person."""


class InvalidModel(FaceminError):  # noqa: N818
    """A recogniser's file that is none, or does not fit its settings."""


@contextmanager
def told_as(kind: type[FaceminError]) -> Iterator[None]:
    """Give a `ValueError` from within this block, or this function, its kind; text and cause stay."""
    try:
        yield
    except kind:
        raise
    except ValueError as error:
        raise kind(str(error)) from error


REFUSALS: dict[int, str] = {
    errno.ENOENT: "expected a file, found nothing there",
    errno.EACCES: "expected to be allowed to read or write there, but the system does not allow it",
    errno.EPERM: "expected to be allowed to read or write there, but the system does not allow it",
    errno.EROFS: "expected a place that can be written, got one that is read-only",
    errno.EISDIR: "expected a file, got a folder",
    errno.ENOTDIR: "expected a folder on the way there, got a file",
    errno.EEXIST: "expected nothing there yet, found something",
    errno.ENOTEMPTY: "expected an empty folder, found something in it",
    errno.ENOSPC: "expected room for the file, but the disk is full",
    errno.EDQUOT: "expected room for the file, but the user's share of the disk is full",
    errno.EFBIG: "expected a file that the disk can hold, but it is too large",
    errno.ENAMETOOLONG: "expected a shorter name",
    errno.ELOOP: "expected a file or folder, got links that lead in a circle",
    errno.EADDRINUSE: "expected an address that is free, but another program listens there",
    errno.EADDRNOTAVAIL: "expected an address of this machine",
    errno.ECONNREFUSED: "nothing listens there",
    errno.ECONNRESET: "the connection was cut",
    errno.ETIMEDOUT: "there was no answer in time",
    errno.EHOSTUNREACH: "there is no way to that machine",
    errno.ENETUNREACH: "there is no network",
    errno.EIO: "expected a disk that can be read, but it reported a fault",
}
"""What the operating system's error numbers mean here."""


def in_words(error: BaseException) -> str:
    """What went wrong, as a person is told it: no error number, and the file first.

    Args:
        error: any; an `OSError` of the operating system is put into words, another error says what it says.
    """
    if not isinstance(error, OSError) or error.errno is None:
        return str(error) or type(error).__name__
    text = REFUSALS.get(error.errno, (error.strerror or "the system refused").lower())
    # Python names two files where one is moved onto another: the second is the one that was asked for
    file = error.filename2 if error.filename2 is not None else error.filename
    return text if file is None else f"{file}: {text}"


def without_name(text: str, name: str) -> str:
    """A reason without the name that is said before it anyway."""
    return text.removeprefix(f"{name}: ")

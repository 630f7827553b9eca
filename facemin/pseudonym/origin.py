"""Web origins in their canonical form."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

import idna

LOCAL = "local"
"""Stands for no provider: what is made with it stays on this machine, or goes to nobody known."""

_DEFAULT_PORTS = {"https": 443, "http": 80}
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")


def normalise_origin(url: str) -> str:
    """The origin of a URL: scheme, host in lower-case Punycode, and port where it is not the scheme's own.

    Path, query and fragment do not count. It agrees with `new URL(url).origin` of browsers for every host taken here.

    Source: RFC 6454, section 6.2; WHATWG URL (UTS 46, non-transitional; serialising IPv6).

    Args:
        url: of https or http, absolute; or `LOCAL`, which stays as it is.

    Raises:
        ValueError: another scheme, no host, a name or a password in it, or a host or port that is none.
    """
    if url == LOCAL:
        return LOCAL
    # urlsplit drops tabs and newlines in silence
    if any(ord(letter) <= 0x20 or ord(letter) == 0x7F for letter in url) or "\\" in url:
        raise ValueError(f"origin: expected a URL without blanks, control characters and backslashes, got {url!r:.200}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"origin: expected an absolute URL of https or http, got {url!r:.200}: {error}") from None
    if parts.scheme not in _DEFAULT_PORTS or not host:
        raise ValueError(f"origin: expected an absolute URL of https or http with a host, got {url!r:.200}")
    if "@" in parts.netloc:
        raise ValueError("origin: expected a URL without a name or a password in it, got one with '@'")
    where = _address(host, url) if "[" in parts.netloc else _name(host, url)
    return f"{parts.scheme}://{where}" + ("" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}")


def _name(host: str, url: str) -> str:
    """A host's name in Punycode, or an IPv4 address."""
    try:
        name = host if host.isascii() else idna.encode(host, uts46=True, transitional=False).decode()
    except idna.IDNAError as error:
        raise ValueError(f"origin: expected a host's name in {url!r:.200}, which is none: {error}") from None
    labels = name.lower().split(".")
    if len(name) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(
            f"origin: expected a host's name of letters, digits, '-' and '_' in labels of 1 to 63, got {url!r:.200}"
        )
    if _NUMERIC.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(".".join(labels)))
        except ipaddress.AddressValueError:
            # browsers read 127.1 and 0x7f000001 as addresses; two spellings of one host are refused instead
            raise ValueError(f"origin: expected an IPv4 address as four decimal numbers, got {url!r:.200}") from None
    return ".".join(labels)


def _address(host: str, url: str) -> str:
    """An IPv6 address in brackets: lower case, the first longest run of two zeros or more as '::'."""
    try:
        packed = ipaddress.IPv6Address(host)
    except ipaddress.AddressValueError as error:
        raise ValueError(f"origin: expected an IPv6 address in {url!r:.200}: {error}") from None
    if packed.scope_id is not None:
        raise ValueError(f"origin: expected an IPv6 address without a zone, got {url!r:.200}")
    groups = [f"{int.from_bytes(packed.packed[at : at + 2], 'big'):x}" for at in range(0, 16, 2)]
    runs = re.finditer(r"(?:\b0\b:?){2,}", text := ":".join(groups))
    longest = max(runs, key=lambda run: run.group().count("0"), default=None)
    if longest is not None:
        text = text[: longest.start()].removesuffix(":") + "::" + text[longest.end() :]
    return f"[{text}]"

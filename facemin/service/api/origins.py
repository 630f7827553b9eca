"""Requests of pages: other sites' are closed unless the provider names them, and none with a token that lives long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from facemin.service.api.errors import ServiceError
from facemin.service.settings import site_origin

if TYPE_CHECKING:
    from facemin.service.tokens import Token

_METHODS = "GET, POST, DELETE"
_SENT = "Authorization, Content-Type, Idempotency-Key, If-None-Match, X-Request-ID"
_READ = "ETag, Retry-After, X-Key-Id, X-Key-Number, X-Request-ID"
_SECONDS = 600


class Origins:
    """The sites whose pages may send requests and read the answers.

    Args:
        named: origins in their canonical form (`settings.site_origin`), say "https://app.example".
    """

    def __init__(self, named: tuple[str, ...]) -> None:
        self._named = frozenset(named)

    def headers(self, sent: dict[str, str]) -> list[tuple[bytes, bytes]]:
        """What lets the page at a named origin read the answer to a request with these headers; nothing for others.

        Where any origin is named every answer says that it depends on the origin, so that no cache gives one site's to
        another.
        """
        if not self._named:
            return []
        varies = [(b"vary", b"Origin")]
        if not self._names(sent):
            return varies
        return [
            *varies,
            (b"access-control-allow-origin", sent["origin"].encode("latin-1")),
            (b"access-control-expose-headers", _READ.encode()),
        ]

    def preflight(self, method: str, sent: dict[str, str]) -> Response | None:
        """The answer to a browser that asks before it sends; None where it is no such question, or of no named site."""
        asks = method == "OPTIONS" and "access-control-request-method" in sent
        if not asks or not self._names(sent):
            return None
        return Response(
            status_code=204,
            headers={
                "Access-Control-Allow-Methods": _METHODS,
                "Access-Control-Allow-Headers": _SENT,
                "Access-Control-Max-Age": str(_SECONDS),
            },
        )

    def _names(self, sent: dict[str, str]) -> bool:
        """Whether the page that sent this is of a named site; the same origin counts however it is written."""
        if not self._named:
            return False
        try:
            return site_origin(sent.get("origin", "")) in self._named
        except ValueError:
            # "null", of a page that hides its origin, or no origin at all
            return False


def is_of_a_page(method: str, scheme: str, sent: dict[str, str]) -> bool:
    """Whether a browser made a request for a page, by what pages cannot leave out; User-Agent is no proof of anything.

    Browsers name the page's origin with every method but GET and HEAD, its relation to this host (Sec-Fetch-Site) with
    every request over TLS or to this machine, and the page itself (Referer) unless it asks them not to. A GET in clear
    over a network may have none of the three. But it has Accept-Language, which a page may change and not remove, and
    which programs hardly send; Node's fetch does, together with Sec-Fetch-Mode, which browsers never send alone and no
    page can set.

    Source: WHATWG Fetch (sections 3.2 and 4.6, and forbidden request-headers); W3C Fetch Metadata, section 3.
    """
    if any(name in sent for name in ("origin", "sec-fetch-site", "referer")):
        return True
    bare = scheme != "https" and method in ("GET", "HEAD") and "sec-fetch-mode" not in sent
    return bare and "accept-language" in sent


def check_place(token: Token, method: str, scheme: str, sent: dict[str, str]) -> None:
    """Refuse a long-lived token that a browser's page sends: whoever opens the page could read it there.

    Args:
        token: of the caller.
        method: of the request.
        scheme: "http" or "https", as far as this server knows.
        sent: the request's headers, their names in lower case.

    Raises:
        ServiceError: it comes from a page (403).
    """
    if token.session is None and is_of_a_page(method, scheme, sent):
        raise ServiceError(
            403,
            "token_in_page",
            "token: expected a session (POST /v1/sessions, by the app's backend) from a page, got a long-lived token",
        )

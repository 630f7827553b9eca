"""Cross-origin requests: closed, unless the provider names the site; and never with a token that lives long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from facemin.service.api.errors import ServiceError

if TYPE_CHECKING:
    from facemin.service.tokens import Token

_METHODS = "GET, POST, DELETE"
_SENT = "Authorization, Content-Type, Idempotency-Key, If-None-Match, X-Request-ID"
_READ = "ETag, Retry-After, X-Key-Id, X-Key-Number, X-Request-ID"
_SECONDS = 600


class Origins:
    """The sites whose pages may send requests and read the answers.

    Args:
        named: origins as browsers write them, say "https://app.example".
    """

    def __init__(self, named: tuple[str, ...]) -> None:
        self._named = frozenset(origin.lower() for origin in named)

    def headers(self, sent: dict[str, str]) -> list[tuple[bytes, bytes]]:
        """What lets the page at a named origin read the answer to a request with these headers; nothing for others.

        Where any origin is named every answer says that it depends on the origin, so that no cache gives one site's to
        another.
        """
        if not self._named:
            return []
        varies = [(b"vary", b"Origin")]
        if sent.get("origin", "").lower() not in self._named:
            return varies
        return [
            *varies,
            (b"access-control-allow-origin", sent["origin"].encode("latin-1")),
            (b"access-control-expose-headers", _READ.encode()),
        ]

    def preflight(self, method: str, sent: dict[str, str]) -> Response | None:
        """The answer to a browser that asks before it sends; None where it is no such question, or of no named site."""
        asks = method == "OPTIONS" and "access-control-request-method" in sent
        if not asks or sent.get("origin", "").lower() not in self._named:
            return None
        return Response(
            status_code=204,
            headers={
                "Access-Control-Allow-Methods": _METHODS,
                "Access-Control-Allow-Headers": _SENT,
                "Access-Control-Max-Age": str(_SECONDS),
            },
        )


def check_place(token: Token, sent: dict[str, str]) -> None:
    """Refuse a long-lived token that a browser's page sends.

    Whoever opens the page could read it there. Browsers name the page's origin, or its relation to this one, in every
    such request, and no page can leave that out.

    Raises:
        ServiceError: it comes from a page (403).
    """
    if token.session is None and ("origin" in sent or "sec-fetch-site" in sent):
        raise ServiceError(
            403,
            "token_in_page",
            "token: expected a session (POST /v1/sessions, by the app's backend) from a page, got a long-lived token",
        )

"""Requests to a provider: over TLS, never redirected, tried again where that is safe."""

from __future__ import annotations

import json
import random
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from facemin.runtime.errors import in_words

if TYPE_CHECKING:
    from email.message import Message
    from http.client import HTTPResponse

LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
MOST_BYTES = 512 << 20
"""Longest answer: a provider key may have 256 MiB."""
AGAIN = frozenset({429, 502, 503, 504})
"""Statuses after which the same request is sent again."""
LONGEST_WAIT = 30.0


class ProviderError(OSError):
    """A provider refused a request, or could not be reached.

    Args:
        status: of the HTTP answer; 0 where there was none.
        code: the provider's word for the refusal, say "plain_face".
        message: in words.
        request_id: under which the provider's log has it; "" where there was no answer.
    """

    def __init__(self, status: int, code: str, message: str, request_id: str = "") -> None:
        where = f" (request {request_id})" if request_id else ""
        super().__init__(f"provider: {message}{where}")
        self.status, self.code, self.message, self.request_id = status, code, message, request_id


@dataclass(frozen=True)
class Reply:
    """An answer that was no refusal."""

    status: int
    headers: Message
    data: bytes = field(repr=False)

    def json(self) -> Any:
        """The answer as JSON.

        Raises:
            ProviderError: it is something else.
        """
        try:
            return json.loads(self.data)
        except ValueError:
            raise ProviderError(self.status, "no_json", "expected an answer in JSON, got something else") from None


@dataclass(frozen=True, kw_only=True)
class Transport:
    """Sends requests to one provider.

    Args:
        url: of the provider, https, or http on this machine.
        token: bearer token; None for what is open.
        timeout: seconds without an answer.
        tries: how often a request is sent at most.
        pause: seconds before the second try; each further pause is twice as long, shortened at random by up to half.

    Raises:
        ValueError: another kind of URL.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    timeout: float = 60.0
    tries: int = 4
    pause: float = 0.5

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL)
        if not secure or not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ValueError(
                f"url: expected https://HOST, or http:// on this machine, got {parts.scheme}://{parts.hostname}"
            )

    def __call__(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, again: bool = True
    ) -> Reply:
        """Send a request.

        Args:
            method: "GET", ...
            path: from the first slash on.
            body: sent as JSON; None for none.
            headers: further ones.
            again: whether sending it twice does no harm.

        Raises:
            ProviderError: refused, or not reached after all tries.
        """
        tries = self.tries if again else 1
        for number in range(1, tries + 1):
            try:
                return self._send(method, path, body, headers or {})
            except ProviderError as error:
                if number == tries or not (error.status == 0 or error.status in AGAIN):
                    raise
                wait = getattr(error, "retry_after", None) or self.pause * 2 ** (number - 1)
            time.sleep(min(LONGEST_WAIT, wait) * random.uniform(0.5, 1))  # noqa: S311 - spreads retries, no secret
        raise AssertionError("the last try returns or raises")

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Reply:
        data = None if body is None else json.dumps(body).encode()
        sent = {"Accept": "application/json, application/octet-stream", **headers}
        if data is not None:
            sent["Content-Type"] = "application/json"
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url.rstrip("/") + path, data, sent, method=method)  # noqa: S310 - checked
        try:
            with (_OPENER if request.type == "https" else _LOCAL_OPENER).open(request, timeout=self.timeout) as reply:
                return Reply(reply.status, reply.headers, _content(reply))
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 304:
                    return Reply(304, error.headers, b"")
                raise _refusal(error) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            reason = in_words(reason) if isinstance(reason, BaseException) else reason
            raise ProviderError(0, "unreachable", f"expected an answer from {self.url}, got: {reason}") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token, and a face, to somebody else."""

    def redirect_request(self, *arguments: Any, **more: Any) -> None:
        """Follow none."""


_OPENER = urllib.request.build_opener(_NoRedirect)
# plain http is for this machine alone: a proxy would be given the token and the face in clear
_LOCAL_OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


def _content(reply: HTTPResponse) -> bytes:
    data = reply.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ProviderError(reply.status, "too_long", f"expected an answer of at most {MOST_BYTES} bytes, got more")
    return data


def _refusal(error: urllib.error.HTTPError) -> ProviderError:
    try:
        said = json.loads(error.read(1 << 16))
        code, message, request_id = (str(said[name])[:500] for name in ("code", "message", "request_id"))
    except (ValueError, KeyError, TypeError, OSError):
        code, message, request_id = "refused", f"expected an answer, got HTTP status {error.code}", ""
    found = ProviderError(error.code, code, _printable(message), _printable(request_id))
    wait = error.headers.get("Retry-After", "")
    found.retry_after = float(wait) if wait.isascii() and wait.isdigit() else None  # type: ignore[attr-defined]
    return found


def _printable(text: str) -> str:
    """What a stranger wrote is shown on a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)

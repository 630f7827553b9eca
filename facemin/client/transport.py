"""Requests to a provider: over TLS, never redirected, bounded in time and length, tried again where that is safe."""

from __future__ import annotations

import json
import queue
import random
import ssl
import threading
import time
import weakref
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from facemin.runtime.errors import REFUSALS
from facemin.runtime.faults import first_fault
from facemin.runtime.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

_Form = TypeVar("_Form")

LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
MOST_BYTES, MOST_KEY_BYTES = 8 << 20, 257 << 20
"""Longest answer, in JSON and of a provider key, which may have 256 MiB."""
MOST_REFUSAL_BYTES = 1 << 16
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
        retry_after: seconds after which the provider asks to be tried again; None where it does not.

    Attributes:
        tries: how often the request was sent.

    All of it is safe to show on a terminal, whatever the provider wrote.
    """

    def __init__(
        self, status: int, code: str, message: str, request_id: str = "", *, retry_after: float | None = None
    ) -> None:
        self.status, self.retry_after = status, retry_after
        self.tries = 1
        self.code, self.message, self.request_id = printable(code), printable(message), printable(request_id)
        where = f" (request {self.request_id})" if request_id else ""
        super().__init__(f"provider: {self.message}{where}")


@dataclass(frozen=True)
class Reply:
    """An answer that was no refusal."""

    status: int
    headers: Mapping[str, str]
    """By name, upper or lower case."""
    data: bytes = field(repr=False)

    def json(self) -> Any:
        """The answer as JSON.

        Raises:
            ProviderError: it is something else.
        """
        try:
            return json.loads(self.data, parse_constant=_no_number)
        except (ValueError, RecursionError):
            raise ProviderError(self.status, "no_json", "expected an answer in JSON, got something else") from None

    def read(self, form: type[_Form]) -> _Form:
        """The answer as JSON of a certain form; fields that a later provider adds are passed over.

        Raises:
            ProviderError: it has another form.
        """
        try:
            read: _Form = _reader(cast("Any", form)).validate_python(self.json())
        except ValidationError as error:
            fault = first_fault(error, value=False)
            raise ProviderError(
                self.status, "wrong_answer", f"expected an answer of the documented form, got {fault}"
            ) from None
        return read


@cache
def _reader(form: Any) -> TypeAdapter[Any]:
    """Made at its first use: making one takes milliseconds."""
    return TypeAdapter(form)


class Transport:
    """Sends requests to one provider, over connections that are kept for the next one.

    Args:
        url: of the provider, https, or http on this machine.
        token: bearer token; None for what is open.
        timeout: seconds for a whole answer: finding the host, connecting, sending, waiting and reading together.
        tries: how often a request is sent at most.
        pause: seconds before the second try; each further pause is twice as long, shortened at random by up to half.
        transport: what carries the requests, say `httpx.MockTransport`; the network when None.

    Raises:
        ValueError: another kind of URL.
    """

    def __init__(
        self,
        *,
        url: str,
        token: str | None = None,
        timeout: float = 60.0,
        tries: int = 4,
        pause: float = 0.5,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL)
        if not secure or not parts.hostname or parts.username or parts.query or parts.fragment:
            got = f"{parts.scheme}://{parts.hostname}" if parts.scheme and parts.hostname else "no such address"
            raise ValueError(f"url: expected https://HOST, or http:// on this machine, got {got}")
        self.url, self.timeout, self.tries, self.pause = url, timeout, tries, pause
        self._token, self._transport = token, transport
        self._http = self._connect()

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        again: bool = True,
        most: int = MOST_BYTES,
    ) -> Reply:
        """Send a request.

        Args:
            method: "GET", ...
            path: from the first slash on.
            body: sent as JSON; None for none.
            headers: further ones.
            again: whether sending it twice does no harm.
            most: longest answer, bytes.

        Raises:
            ProviderError: refused, or not reached after all tries.
        """
        tries = self.tries if again else 1
        for number in range(1, tries + 1):
            try:
                return self._send(method, path, body, headers or {}, most)
            except ProviderError as error:
                error.tries = number
                if number == tries or not (error.status == 0 or error.status in AGAIN):
                    raise
                wait = error.retry_after or self.pause * 2 ** (number - 1)
            time.sleep(min(LONGEST_WAIT, wait) * random.uniform(0.5, 1))  # noqa: S311 - spreads retries, no secret
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self._renew(self._http)

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str], most: int) -> Reply:
        import httpx

        http = self._http
        sent = {"Accept": "application/json, application/octet-stream", **headers}
        if self._token is not None:
            sent["Authorization"] = f"Bearer {self._token}"
        content = None
        if body is not None:
            sent["Content-Type"], content = "application/json", json.dumps(body).encode()
        request = http.build_request(method, self.url.rstrip("/") + path, headers=sent, content=content)
        found: queue.SimpleQueue[Reply | ProviderError] = queue.SimpleQueue()
        late = threading.Event()

        def run() -> None:
            try:
                found.put(_exchange(http, request, most, late))
            except ProviderError as error:
                found.put(error)
            except httpx.TimeoutException:
                # a socket's own timeout is as long, and may come first
                found.put(self._too_slow())
            # whatever happens, the caller is told: httpx's own errors, a closed client, a resolver's refusal
            except Exception as error:  # noqa: BLE001
                reason = _reason(error)
                found.put(ProviderError(0, "unreachable", f"expected an answer from {self.url}, got: {reason}"))

        # in a thread, because no timeout of a socket bounds a name's look-up, or a head that comes byte by byte
        threading.Thread(target=run, name="facemin request", daemon=True).start()
        try:
            answer = found.get(timeout=self.timeout)
        except queue.Empty:
            late.set()
            self._renew(http)
            raise self._too_slow() from None
        if isinstance(answer, ProviderError):
            raise answer
        return answer

    def _too_slow(self) -> ProviderError:
        text = f"expected a whole answer from {self.url} within {self.timeout:g} s, got none"
        return ProviderError(0, "too_slow", text)

    def _connect(self) -> httpx.Client:
        # with the command line's packages beside it, importing it takes a fifth of the client's time
        import httpx

        https = self.url.startswith("https:")
        client = httpx.Client(
            transport=self._transport,
            # the system's own authorities, as other programs on this machine
            verify=ssl.create_default_context() if https and self._transport is None else False,
            # plain http is for this machine alone: a proxy would be given the token and the face in clear
            trust_env=https,
            # a redirect would carry the token, and a face, to somebody else
            follow_redirects=False,
            timeout=self.timeout,
            limits=httpx.Limits(keepalive_expiry=20.0),
            # nothing that a provider wants remembered is sent back to it; what is packed could unpack to any length
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"User-Agent": "facemin", "Accept-Encoding": "identity"},
        )
        weakref.finalize(self, client.close)
        return client

    def _renew(self, http: httpx.Client) -> None:
        """Close a client with all its connections, and take a new one; a transport that was given stays."""
        if self._transport is None and self._http is http:
            self._http = self._connect()
            http.close()


def _reason(error: BaseException) -> str:
    """Why no answer came, in our words where the operating system said it: httpx hands on its numbers."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in REFUSALS:
            return REFUSALS[cause.errno]
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__


def _exchange(http: httpx.Client, request: httpx.Request, most: int, late: threading.Event) -> Reply:
    reply = http.send(request, stream=True)
    try:
        if reply.headers.get("Content-Encoding", "identity") != "identity":
            raise ProviderError(
                reply.status_code, "encoded", "expected an answer as it is, got one with a Content-Encoding"
            )
        if reply.status_code == HTTPStatus.NOT_MODIFIED:
            return Reply(304, reply.headers, b"")
        if not reply.is_success:
            raise _refusal(reply, _content(reply, MOST_REFUSAL_BYTES, late))
        return Reply(reply.status_code, reply.headers, _content(reply, most, late))
    finally:
        reply.close()


def _content(reply: httpx.Response, most: int, late: threading.Event) -> bytes:
    parts, size = [], 0
    # a transport that was given may have read the answer already
    for part in reply.iter_bytes() if reply.is_stream_consumed else reply.iter_raw():
        parts.append(part)
        size += len(part)
        if size > most:
            raise ProviderError(
                reply.status_code, "too_long", f"expected an answer of at most {most} bytes, got a longer one"
            )
        if late.is_set():
            break
    return b"".join(parts)


def _refusal(reply: httpx.Response, content: bytes) -> ProviderError:
    try:
        said = json.loads(content)
        code, message, request_id = (str(said[name]) for name in ("code", "message", "request_id"))
    except (ValueError, KeyError, TypeError, RecursionError):
        code, message, request_id = "refused", f"expected an answer, got HTTP status {reply.status_code}", ""
    wait = reply.headers.get("Retry-After", "")
    seconds = float(wait) if wait.isascii() and wait.isdigit() and len(wait) < 10 else None
    return ProviderError(reply.status_code, code, message, request_id, retry_after=seconds)


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON")

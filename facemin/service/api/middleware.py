"""Request middleware: ids, authentication, rate and size limits."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from facemin.service.api.errors import ServiceError, problem_text
from facemin.service.api.limits.bodies import UPLOADS, Budget, longest_body
from facemin.service.api.limits.rate_limits import RateLimit
from facemin.service.api.origins import Origins, check_place
from facemin.service.api.routes.site import wants_html
from facemin.service.sessions import check_reach

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from facemin.service.api.routes.site import Site
    from facemin.service.provider import Provider
    from facemin.service.token_authenticator import Claim
    from facemin.service.tokens import Token

CONFIRM = re.compile(rf"{UPLOADS.pattern}|/v1/challenges/?")
"""POST to these: the endpoint's own transaction confirms the token (`dependencies.Claimed`)."""
OPEN = frozenset({"/v1/health", "/v1/ready", "/v1/version", "/v1/openapi.json"})
"""Paths that need no token."""
KEYS = ("/v1/key", "/v1/keys", "/v1/key/protector")
"""Paths that need one only where the provider says so."""

VISIT_FILES = 12
"""Files of the site that one visit asks for; as many requests for them count as one of an address."""
BODY_SECONDS = 30.0
"""How long a request's body may take to arrive."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LOG = logging.getLogger("facemin.service")


class Gate:
    """ASGI middleware around the whole application.

    The body is read here, up to its endpoint's limit and before the application sees the request, and counts towards
    one budget until it is answered, so memory is bounded whoever asks. What comes without a valid token is refused
    before its body is read.

    Args:
        app: the application.
        provider: whose service it is.
        site: its pages, which need no token.
    """

    def __init__(self, app: ASGIApp, provider: Provider, site: Site) -> None:
        self._app, self._provider, self._site = app, provider, site
        settings = provider.settings
        self._origins = Origins(settings.origins)
        self._by_token = RateLimit(settings.requests_per_minute)
        self._by_session = RateLimit(settings.session_requests_per_minute)
        self._by_address = RateLimit(settings.open_requests_per_minute)
        self._readers = RateLimit(VISIT_FILES * settings.open_requests_per_minute)
        self._refused = RateLimit(settings.refusals_per_minute)
        self._hashes = RateLimit(settings.refusals_per_minute)
        self._budget = Budget()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand on what is not HTTP."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request_id = _request_id(headers.get("x-request-id", ""))
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _headers(message.get("headers", []), request_id, self._origins.headers(headers))
            await send(message)

        state = scope.setdefault("state", {})
        state |= {"request_id": request_id, "token": None, "claim": None}
        held = _Held(self._budget, scope["client"][0] if scope.get("client") else "unknown")
        try:
            _check_framing(scope)
            if (granted := self._origins.preflight(scope["method"], headers)) is not None:
                self._by_address.take(held.name)
                await granted(scope, receive, answer)
                return
            await self._admit(scope, state, headers, held.name)
            if (known := _caller(state)) is not None:
                held.name = known.session.parent if known.session is not None else known.id
            most = longest_body(scope["method"], scope["path"], self._provider.settings.body_bytes)
            body = await _body(headers, receive, most, held)
            await self._app(scope, _once(body, receive), answer)
        except ServiceError as error:
            await self._refusal(error, request_id, headers)(scope, receive, answer)
        finally:
            held.release()
            self._tell(scope, state, status, time.perf_counter() - began)

    def _refusal(self, error: ServiceError, request_id: str, headers: dict[str, str]) -> Response:
        """A refusal as an answer: words for somebody who opened an address, JSON for everything else."""
        if "authorization" not in headers and wants_html(headers.get("accept", "")):
            return self._site.refusal(error, request_id)
        return problem(error, request_id)

    async def _admit(self, scope: Scope, state: dict[str, Any], headers: dict[str, str], address: str) -> None:
        """Put the caller's token into the state, or their claim to one."""
        given = headers.get("authorization")
        if given is None:
            if not self._is_open(scope["path"], headers):
                self._refused.take(address)
                raise ServiceError(401, "unauthorised", "Authorization: expected 'Bearer TOKEN', got none")
            # the cheapest answer there is, and a monitor must not be locked out by a stranger behind its address
            if scope["path"] != "/v1/health":
                seen = self._site.opens(scope["path"], headers.get("accept", ""))
                (self._readers if seen else self._by_address).take(address)
            return
        word, _, text = given.partition(" ")
        text = text.strip()
        deferred = scope["method"] == "POST" and CONFIRM.fullmatch(scope["path"]) is not None
        authenticator = self._provider.authenticator
        try:
            if word.lower() != "bearer":
                raise ServiceError(401, "unauthorised", "Authorization: expected 'Bearer TOKEN', got another scheme")
            if not deferred or authenticator.recognise(text) is None:
                before = partial(self._before_hashing, address)
                state["token"] = await run_in_threadpool(authenticator.admit, text, before)
        except ServiceError as error:
            # a right token is never refused for a stranger's wrong ones; those wait
            if error.status == 401:
                self._refused.take(address)
            raise
        if deferred:
            state["claim"], state["token"] = authenticator.recognise(text), None
        if (known := _caller(state)) is not None:
            self._count(known)
            check_place(known, scope["method"], scope.get("scheme", "http"), headers)
            if known.session is not None and not self._is_given(scope["path"], headers):
                check_reach(known.session, scope["method"], scope["path"])

    def _count(self, known: Token) -> None:
        """A session has a bucket of its own, and all sessions of one token share one beside that token's."""
        if known.session is None:
            self._by_token.take(known.id)
        else:
            self._by_session.take(known.id)
            self._by_token.take(f"sessions of {known.session.parent}")

    def _before_hashing(self, address: str, token_id: str) -> None:
        """An argon2 hash costs 19 MiB: so many guesses at one token, by one address."""
        self._hashes.take(f"{address} {token_id}")

    def _is_open(self, path: str, headers: dict[str, str]) -> bool:
        given = self._is_given(path, headers)
        return given and (not _is_key(path) or self._provider.settings.key_access == "open")

    def _is_given(self, path: str, headers: dict[str, str]) -> bool:
        """Whether it is for anybody, or for whoever holds any token or session."""
        return path in OPEN or _is_key(path) or self._site.opens(path, headers.get("accept", ""))

    def _tell(self, scope: Scope, state: dict[str, Any], status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        # a client may send any word as its method; each would be a series of its own
        method = scope["method"] if scope["method"] in ("GET", "POST", "PATCH", "DELETE") else "other"
        self._provider.telemetry.request(method, route, status, seconds)
        token = _caller(state)
        line = {
            "request_id": state["request_id"],
            "method": method,
            "route": route,
            "status": status,
            "milliseconds": round(1000 * seconds, 1),
            "token_id": token.id if token is not None else None,
        }
        _LOG.info(json.dumps(line))


class _Held:
    """What one request's body takes of the budget."""

    def __init__(self, budget: Budget, name: str) -> None:
        self._budget, self.name, self._size = budget, name, 0

    def take(self, size: int) -> None:
        self._budget.take(self.name, size)
        self._size += size

    def release(self) -> None:
        if self._size:
            self._budget.give(self.name, self._size)


def _check_framing(scope: Scope) -> None:
    """Refuse what a proxy in front might read otherwise than we do, or take for two requests (RFC 9112, 6.1)."""
    names = [name.lower() for name, _ in scope["headers"]]
    lengths, encodings = names.count(b"content-length"), names.count(b"transfer-encoding")
    if encodings and (lengths or encodings > 1 or scope["http_version"] == "1.0"):
        raise ServiceError(
            400,
            "bad_request",
            "request: expected one of Content-Length and Transfer-Encoding: chunked, got more",
        )
    for name in (b"authorization", b"host"):
        if names.count(name) > 1:
            raise ServiceError(400, "bad_request", f"{name.decode().capitalize()}: expected it once, got it twice")
    if b"%2f" in scope.get("raw_path", b"").lower():
        raise ServiceError(400, "bad_request", "path: expected no encoded slash, got one")
    coded = [value for name, value in scope["headers"] if name.lower() == b"content-encoding"]
    if any(value.strip().lower() not in (b"", b"identity") for value in coded):
        raise ServiceError(415, "unsupported_encoding", "Content-Encoding: expected none, since no body is unpacked")


async def _body(headers: dict[str, str], receive: Receive, most: int, held: _Held) -> bytes:
    too_long = ServiceError(413, "too_large", f"request: expected a body of at most {most} bytes, got a longer one")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise ServiceError(400, "bad_request", "Content-Length: expected a number, got something else")
    if int(length) > most:
        raise too_long
    parts: list[bytes] = []
    size, more = 0, True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ServiceError(400, "bad_request", "request: expected a whole body, got a part of one")
                parts.append(message.get("body", b""))
                held.take(len(parts[-1]))
                size += len(parts[-1])
                if size > most:
                    raise too_long
                more = message.get("more_body", False)
    except TimeoutError:
        raise ServiceError(408, "too_slow", f"request: expected its body within {BODY_SECONDS:g} s") from None
    return b"".join(parts)


def problem(error: ServiceError, request_id: str) -> Response:
    """A refusal as an answer."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after + 0.5)))
    return Response(problem_text(error, request_id), error.status, headers, "application/json")


def _request_id(given: str) -> str:
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _caller(state: dict[str, Any]) -> Token | None:
    """Who asks, or says they do; None without a token."""
    claim: Claim | None = state["claim"]
    token: Token | None = state["token"]
    return token if token is not None or claim is None else claim.token


def _is_key(path: str) -> bool:
    return path in KEYS or path.startswith(KEYS[1] + "/")


def _headers(
    given: Iterable[tuple[bytes, bytes]], request_id: str, more: list[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    headers = [*given, (b"x-request-id", request_id.encode()), (b"x-content-type-options", b"nosniff"), *more]
    if not any(name == b"cache-control" for name, _ in headers):
        headers.append((b"cache-control", b"no-store"))
    return headers


def _once(body: bytes, receive: Receive) -> Receive:
    """A receive that gives a body that was read already, and then what the server says."""
    given = False

    async def give() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give

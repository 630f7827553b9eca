"""Request bodies: size limits by endpoint, one memory budget, and JSON parsed outside the event loop.

FastAPI would parse a body on the event loop, and pydantic would collect an error for each unknown field of it: seven
megabytes of them stopped the server for 13 seconds and took 800 MB.
"""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from facemin.runtime.faults import fault_message
from facemin.service.api.errors import ServiceError
from facemin.service.api.fields import Unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.responses import Response

UPLOADS = re.compile(r"/v1/collections/[^/]+/(?:persons(?:/[^/]+/renew)?|verify|identify)/?")
"""Paths to which images are sent."""
SMALL_BYTES = 16 << 10
"""Longest body of every other request; the longest that any of them can use is a token's with a hundred grants."""
MOST_VALUES = 2048
"""Commas and colons in a body: a request for 64 uploads, the most there is, has about 400."""
BUDGET_BYTES = 32 << 20
"""Bodies in memory at once, of all requests together; parsing takes about three times as much."""


def longest_body(method: str, path: str, most: int) -> int:
    """Bytes that a request's body may have; `most` where there are uploads in it."""
    return most if method == "POST" and UPLOADS.fullmatch(path) else min(most, SMALL_BYTES)


class Budget:
    """Memory that requests' bodies share; one token or address gets half of it at most.

    Args:
        most: bytes.
    """

    def __init__(self, most: int = BUDGET_BYTES) -> None:
        self._most, self._used = most, 0
        self._by_name: dict[str, int] = {}

    def take(self, name: str, size: int) -> None:
        """Reserve bytes for a caller. Called on the event loop only.

        Raises:
            ServiceError: there is no room now (503).
        """
        mine = self._by_name.get(name, 0) + size
        if self._used + size > self._most or mine > self._most // 2:
            raise ServiceError(
                503, "busy", "server: expected room for another body, got too many at once", retry_after=2
            )
        self._used += size
        self._by_name[name] = mine

    def give(self, name: str, size: int) -> None:
        """Give reserved bytes back."""
        self._used -= size
        self._by_name[name] -= size
        if not self._by_name[name]:
            del self._by_name[name]


class ParsedRoute(APIRoute):
    """A route whose JSON body becomes its model in a worker thread, with bounded work whatever the body holds."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler that FastAPI made, given a request that parses itself."""
        handler = super().get_route_handler()
        model = self.body_field.field_info.annotation if self.body_field is not None else None
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return handler

        async def handle(request: Request) -> Response:
            return await handler(_SelfParsing(request, model))

        return handle


class _SelfParsing(Request):
    def __init__(self, request: Request, model: type[BaseModel]) -> None:
        super().__init__(request.scope, request.receive)
        self._model = model

    async def json(self) -> BaseModel | Unusable:
        """The body as its model; what FastAPI then validates is left as it is."""
        return await run_in_threadpool(parse, self._model, await self.body())


# large bodies one after another: each takes several times its length while it is parsed
_LARGE = threading.BoundedSemaphore(2)


def parse(model: type[BaseModel], body: bytes) -> BaseModel | Unusable:
    """A JSON body as its model, or what is wrong with it.

    The refusal is returned and not raised, so that a caller who may not ask at all is told that first.
    """
    if body.count(b",") + body.count(b":") > MOST_VALUES:
        return Unusable(f"body: expected at most {MOST_VALUES} commas and colons, got more")
    try:
        with _LARGE:
            made = model.model_validate_json(body)
            repeated = _repeated(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        # without the value: it may be an upload
        return Unusable(f"{'.'.join(map(str, ('body', *first['loc'])))}: {fault_message(first)}")
    if repeated is not None:
        return Unusable(f"body: expected each field once, got {repeated} again")
    return made


_LONG_TEXT = re.compile(rb'"[A-Za-z0-9+/=]{128,}"')


def _repeated(body: bytes) -> str | None:
    """A field that an object of valid JSON has twice: another reader, a proxy say, may take the other one."""
    found: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> None:
        names = [name for name, _ in pairs]
        found.extend(name for name in names if names.count(name) > 1)

    # an upload's text names no field; without it there is little to read
    json.loads(_LONG_TEXT.sub(b'""', body), object_pairs_hook=look)
    return found[0] if found else None

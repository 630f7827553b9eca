"""Application: routers, middleware, start and end."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from facemin import __version__
from facemin.service.api.endpoints import describe
from facemin.service.api.errors import ServiceError
from facemin.service.api.middleware import Gate, problem
from facemin.service.api.routes import admin, enrolment, recognition, sessions
from facemin.service.api.routes import collections as galleries
from facemin.service.api.routes.site import Site, make_site
from facemin.service.api.schemas import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from starlette.responses import Response

    from facemin.service.provider import Provider

REFUSALS = {
    400: "The request is no valid HTTP or JSON.",
    401: "No valid token.",
    403: "The token lacks the scope.",
    404: "There is no such thing.",
    409: "It does not fit what is there: a used challenge, a known upload, a taken name.",
    410: "The key is no longer in force.",
    413: "The body is too long.",
    422: "The request or an upload cannot be used; a plain face has the code plain_face.",
    429: "Too many requests; see Retry-After.",
    503: "The store does not answer, or there is no key in force.",
}

ROUTERS = (recognition.router, enrolment.router, galleries.router, sessions.router, admin.router)


def create_app(provider: Provider, *, samples: Mapping[str, bytes] | None = None) -> FastAPI:
    """The ASGI application of a provider; the provider is closed when the server ends.

    Args:
        provider: to serve.
        samples: photos to try the page with, by file name.

    Raises:
        ValueError: the page is turned on, and a file of it is missing.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        yield
        provider.close()

    app = FastAPI(
        title="facemin provider",
        version=__version__,
        description="Verifies and identifies people from protected faces; never needs a plain one.",
        openapi_url="/v1/openapi.json",
        # their pages load scripts from elsewhere
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses={status: {"model": Problem, "description": text} for status, text in REFUSALS.items()},
    )
    app.state.provider = provider
    # its redirects would be built from the Host header, which the caller chooses
    app.router.redirect_slashes = False
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(ServiceError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _failed)
    site = make_site(provider.settings, describe(app, ROUTERS), samples)
    for path in site.assets:
        # no part of the API, whose description they are not in
        app.router.routes.append(Route(path, _site_answer(site, path), methods=["GET"]))
    app.add_middleware(Gate, provider=provider, site=site)
    return app


def _site_answer(site: Site, path: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        sent = request.headers
        if not site.opens(path, sent.get("accept", "")):
            # a program, which was told so before there were pages
            raise HTTPException(404)
        return site.answer(path, accept_encoding=sent.get("accept-encoding", ""), known=sent.get("if-none-match"))

    return answer


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return problem(error, request.state.request_id)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    # without the value: it may be an upload
    return problem(ServiceError(422, "invalid_request", f"{where}: {first['msg']}"), request.state.request_id)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = problem(ServiceError(error.status_code, "bad_request", str(error.detail)), request.state.request_id)
    answer.headers.update(error.headers or {})
    return answer


async def _failed(request: Request, error: Exception) -> Response:
    del error
    failure = ServiceError(500, "internal", "server: expected no such failure; the log has it under this request's id")
    return problem(failure, request.state.request_id)

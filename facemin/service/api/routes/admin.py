"""Endpoints on the service itself: keys, thresholds, tokens, the audit log, health and metrics."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from starlette.responses import StreamingResponse

from facemin import __version__
from facemin.service.api.dependencies import Allowed, Caller, ProviderOf
from facemin.service.api.errors import ServiceError, not_found
from facemin.service.api.limits.bodies import ParsedRoute
from facemin.service.api.limits.chunks import chunks, is_known
from facemin.service.api.responses import audit_out, key_out, thresholds_out, token_out
from facemin.service.api.schemas import AuditEntry, Health, KeyOut, NewToken, Thresholds, TokenMade, TokenOut, Version
from facemin.service.provider import Provider
from facemin.service.provider_keys import HeldKey
from facemin.service.storage.audit_log import entries
from facemin.service.telemetry import CONTENT_TYPE
from facemin.service.tokens import list_tokens, make_token, parse_grant, revoke_token

DAY = 86_400.0

router = APIRouter(prefix="/v1", tags=["operations"], route_class=ParsedRoute)
Admin = Annotated[Caller, Depends(Allowed(("admin",), "everywhere"))]
Anybody = Annotated[Caller, Depends(Allowed((), "anywhere"))]
KeyId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match")]
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {}}, "description": "The key file (ONNX)."}
}

_KEPT = {"Cache-Control": "private, no-cache"}
"""A browser may keep a key, and asks each time whether it is still the one."""


@router.get("/key", response_class=Response, responses={**_FILE, 304: {"description": "Unchanged."}})
def current_key(provider: ProviderOf, if_none_match: IfNoneMatch = None) -> Response:
    """Get the provider key that faces should be protected for; its ETag is the file's SHA-256."""
    return _file(provider, provider.keyring.current(), if_none_match)


@router.get("/key/protector", response_class=Response, responses={**_FILE, 304: {"description": "Unchanged."}})
def current_protector(provider: ProviderOf, if_none_match: IfNoneMatch = None) -> Response:
    """Get the one-pass protector of the current key; its ETag is the SHA-256 that the key's manifest names."""
    key = provider.keyring.current()
    named = provider.keyring.manifest(key.key_id).protector
    if named is None:
        raise not_found("protector", key.key_id)
    return _answer(provider.keyring.protector(named), {"ETag": f'"{named}"', "X-Key-Id": key.key_id}, if_none_match)


@router.get("/keys", response_model=list[KeyOut])
def list_keys(provider: ProviderOf) -> list[KeyOut]:
    """List all keys with what they are good for, the newest first."""
    return [key_out(key, state) for key, state in provider.keyring.all()]


@router.get("/keys/{key_id}", response_class=Response, responses={**_FILE, 304: {"description": "Unchanged."}})
def get_key(key_id: KeyId, provider: ProviderOf, if_none_match: IfNoneMatch = None) -> Response:
    """Get one key that is in force."""
    for key, state in provider.keyring.all():
        if key.key_id == key_id:
            if state in ("revoked", "ended"):
                raise ServiceError(410, f"key_{state}", f"key: expected one in force, got {key_id}, which is {state}")
            return _file(provider, key, if_none_match)
    raise not_found("key", key_id)


@router.get("/thresholds", response_model=Thresholds)
def get_thresholds(caller: Anybody) -> Thresholds:
    """Show the measured thresholds that decide."""
    return thresholds_out(caller.provider)


@router.get("/tokens", response_model=list[TokenOut])
def get_tokens(caller: Admin) -> list[TokenOut]:
    """List all tokens, without their secrets."""
    with caller.provider.database.reading() as connection:
        return [token_out(token) for token in list_tokens(connection)]


@router.post("/tokens", response_model=TokenMade, status_code=201)
def new_token(body: NewToken, caller: Admin) -> TokenMade:
    """Make a token; its text is shown here and never again."""
    try:
        grants = frozenset(parse_grant(text) for text in body.grants)
    except ValueError as error:
        raise ServiceError(422, "invalid_request", str(error)) from None
    expires = time.time() + body.days * DAY if body.days is not None else None
    with caller.provider.database.writing() as connection:
        token, text = make_token(connection, body.name, grants, expires=expires)
        caller.note(connection, "make_token", token.id)
    return TokenMade(**token_out(token).model_dump(), token=text)


@router.delete("/tokens/{token_id}", status_code=204)
def end_token(token_id: Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")], caller: Admin) -> None:
    """Revoke a token; it is refused from the next request on."""
    with caller.provider.database.writing() as connection:
        revoke_token(connection, token_id)
        caller.note(connection, "revoke_token", token_id)


@router.get("/audit", response_model=list[AuditEntry])
def get_audit(
    caller: Admin,
    after: Annotated[int, Query(ge=0, le=2**62)] = 0,
    count: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[AuditEntry]:
    """Read the audit log, oldest first."""
    with caller.provider.database.reading() as connection:
        return [audit_out(entry) for entry in entries(connection, after=after, count=count)]


@router.get("/health", response_model=Health)
async def health() -> Health:
    """Say that the process answers."""
    # on the event loop, so that it waits for no worker thread
    return Health()


@router.get("/ready", response_model=Health)
def ready(provider: ProviderOf) -> Health:
    """Say that the database answers and there is a key (200), or what is wrong (503)."""
    provider.database.ping()
    provider.keyring.current()
    return Health()


@router.get("/version", response_model=Version)
def version(provider: ProviderOf) -> Version:
    """Say what runs here."""
    settings = provider.settings
    return Version(facemin=__version__, model=settings.model, fingerprint=settings.fingerprint, cut=settings.cut)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(caller: Admin) -> Response:
    """Counters and times for Prometheus."""
    return Response(caller.provider.telemetry.text(), media_type=CONTENT_TYPE)


def _file(provider: Provider, key: HeldKey, known: str | None) -> Response:
    headers = {"ETag": f'"{key.fingerprint}"', "X-Key-Id": key.key_id, "X-Key-Number": str(key.number)}
    headers |= _KEPT
    if is_known(headers["ETag"], known):
        # without the file, which may not have been read yet
        return Response(status_code=304, headers=headers)
    return _answer(provider.keyring.file(key), headers, None)


def _answer(data: bytes, headers: dict[str, str], known: str | None) -> Response:
    headers |= _KEPT
    if is_known(headers["ETag"], known):
        return Response(status_code=304, headers=headers)
    headers["Content-Length"] = str(len(data))
    return StreamingResponse(chunks(data), media_type="application/octet-stream", headers=headers)

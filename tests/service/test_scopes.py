"""Who may do what: every endpoint against every kind of token."""

import time
from datetime import UTC, datetime

import pytest
from fastapi.routing import APIRoute

from facemin.service.api.app import create_app
from facemin.service.tokens import SCOPES
from tests.service.running import Running

DAY = 86_400
"""Seconds."""
OPEN, ANY = "open", "any token"

RULES: dict[tuple[str, str], set[str]] = {
    ("GET", "/v1/health"): {OPEN},
    ("GET", "/v1/ready"): {OPEN},
    ("GET", "/v1/version"): {OPEN},
    ("GET", "/v1/key"): {OPEN},
    ("GET", "/v1/key/protector"): {OPEN},
    ("GET", "/v1/keys"): {OPEN},
    ("GET", "/v1/keys/{key_id}"): {OPEN},
    ("GET", "/v1/thresholds"): {ANY},
    ("GET", "/v1/collections"): {ANY},
    ("POST", "/v1/challenges"): {
        f"{scope}{where}" for scope in ("enrol", "verify", "identify") for where in ("", " here", " else")
    },
    ("GET", "/v1/collections/{collection}"): {f"{scope}{where}" for scope in SCOPES for where in ("", " here")},
    ("POST", "/v1/collections/{collection}/persons"): {"enrol", "enrol here"},
    ("POST", "/v1/collections/{collection}/verify"): {"verify", "verify here"},
    ("POST", "/v1/collections/{collection}/persons/{person}/renew"): {"verify", "verify here"},
    ("POST", "/v1/collections/{collection}/identify"): {"identify", "identify here"},
    ("PATCH", "/v1/collections/{collection}"): {"admin", "admin here"},
    ("GET", "/v1/collections/{collection}/persons"): {"admin", "admin here"},
    ("GET", "/v1/collections/{collection}/persons/{person}"): {"admin", "admin here"},
    ("GET", "/v1/collections/{collection}/persons/{person}/export"): {"admin", "admin here"},
    ("DELETE", "/v1/collections/{collection}/persons/{person}"): {"admin", "admin here"},
    ("POST", "/v1/collections"): {"admin"},
    ("DELETE", "/v1/collections/{collection}"): {"admin"},
    ("POST", "/v1/sessions"): {"session", "session here", "session else"},
    ("DELETE", "/v1/sessions/{session_id}"): {"session", "session here", "session else"},
    ("GET", "/v1/tokens"): {"admin"},
    ("POST", "/v1/tokens"): {"admin"},
    ("DELETE", "/v1/tokens/{token_id}"): {"admin"},
    ("GET", "/v1/audit"): {"admin"},
    ("GET", "/v1/metrics"): {"admin"},
}
"""By endpoint, which tokens are let in: a scope alone is granted everywhere, "here" in the path's collection."""

GRANTS = {
    f"{scope}{where}": f"{scope}{place}"
    for scope in SCOPES
    for where, place in (("", ""), (" here", ":main"), (" else", ":elsewhere"))
}
NOBODY = {
    "no token": None,
    "nonsense": "nonsense",
    "unknown": f"fmt_{'0' * 16}_{'a' * 43}",
    "revoked": "revoked",
    "expired": "expired",
    "wrong secret": "wrong",
}


@pytest.fixture(scope="module")
def tokens(server: Running) -> dict[str, str | None]:
    made: dict[str, str | None] = {name: server.token(grant) for name, grant in GRANTS.items()}
    revoked = server("POST", "/v1/tokens", {"name": "r", "grants": list(SCOPES)}).json()
    assert server("DELETE", f"/v1/tokens/{revoked['id']}").status == 204
    short = server("POST", "/v1/tokens", {"name": "e", "grants": list(SCOPES), "days": 2 / DAY}).json()
    right = server.token(*SCOPES)
    wrong = right[:-1] + ("a" if right[-1] != "a" else "b")
    ends = datetime.fromisoformat(short["expires"])
    while datetime.now(UTC) < ends:
        time.sleep(0.1)
    return made | NOBODY | {"revoked": revoked["token"], "expired": short["token"], "wrong secret": wrong}


def test_every_endpoint_has_a_rule(server: Running) -> None:
    routes = [route for route in create_app(server.provider).routes if isinstance(route, APIRoute)]
    paths = {
        (method, path)
        for path, by in create_app(server.provider).openapi()["paths"].items()
        for method in map(str.upper, by)
    }
    assert paths == set(RULES)
    assert {(method, route.path) for route in routes for method in route.methods or ()} <= set(RULES)


@pytest.mark.parametrize("who", [*GRANTS, *NOBODY])
def test_only_those_who_may_are_let_in(server: Running, tokens: dict[str, str | None], who: str) -> None:
    wrong = {}
    for (method, path), rule in RULES.items():
        filled = path.format(collection="main", person="nobody", key_id="none", token_id="0" * 16, session_id="0" * 16)
        # a body that no endpoint takes: whoever is let in is told so, and nothing happens
        body = {"no": "such field"} if method in ("POST", "PATCH") else None
        if (method, path) == ("POST", "/v1/challenges"):
            body = None
        if (method, path) == ("DELETE", "/v1/collections/{collection}"):
            filled = "/v1/collections/" + ("none" if "here" not in who else "main")
        status = server(method, filled, body, token=tokens[who]).status
        if rule == {OPEN}:
            expected = status not in (401, 403) if who in GRANTS or who == "no token" else status == 401
        elif who in NOBODY:
            expected = status == 401
        else:
            expected = (status not in (401, 403)) if rule == {ANY} or who in rule else status == 403
        if not expected:
            wrong[method, path] = status
    assert not wrong


def test_a_token_sees_only_its_collections(server: Running) -> None:
    server.collection("seen")
    listed = server("GET", "/v1/collections", token=server.token("verify:seen")).json()
    assert [collection["name"] for collection in listed] == ["seen"]


def test_a_key_behind_a_token_is_for_holders_of_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.service.running import running

    with running(tmp_path_factory.mktemp("closed") / "home", key_access="token") as closed:
        for path in ("/v1/key", "/v1/keys", f"/v1/keys/{closed.key_id}"):
            assert closed("GET", path, token=None).status == 401
            assert closed("GET", path, token=closed.token("verify:none")).status == 200
        assert closed("GET", "/v1/health", token=None).status == 200

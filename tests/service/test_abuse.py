"""Requests that follow the OpenAPI schema or do not, and uploads that are no uploads: refused, never a failure."""

import base64
import random
import resource
import socket
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

from facemin.keys.key import Key
from facemin.protection import encode_feature, feature_of
from tests.conftest import PATIENCE
from tests.pictures import encode_tensor
from tests.service.running import Running, noise

KINDS = ("application/json", "text/plain", "multipart/form-data", "")


def test_no_request_by_the_schema_or_against_it_fails_the_server(server: Running) -> None:
    # here and not above: its import takes longer than most tests, and every process of a run would pay for it
    import schemathesis
    from schemathesis import checks
    from schemathesis.core.result import Err
    from schemathesis.specs.openapi import checks as openapi_checks

    held = [
        checks.not_a_server_error,
        openapi_checks.status_code_conformance,
        openapi_checks.content_type_conformance,
        openapi_checks.response_schema_conformance,
    ]
    document = server("GET", "/v1/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    headers = {"Authorization": f"Bearer {server.admin}"}
    seen = set()
    for found in schema.get_all_operations():
        assert not isinstance(found, Err)
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=8,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: schemathesis.Case[Any]) -> None:
            reply = case.call(base_url=server.url, headers=headers)
            case.validate_response(reply, checks=held, headers=headers)

        ask()
        seen.add((operation.method.upper(), operation.path))
    assert len(seen) == sum(len(by) for by in document["paths"].values())


@pytest.fixture(scope="module")
def seeds(server: Running) -> list[tuple[str, bytes]]:
    key = Key.load(server("GET", "/v1/key", token=None).data)
    image = encode_tensor(noise(7000))
    feature = encode_feature(feature_of(noise(7000), key), key)
    jpeg = encode_tensor(noise(7000), format="JPEG", quality=90)
    return [("image", image), ("image", jpeg), ("feature", feature), ("feature", image), ("image", feature)]


def mangled(data: bytes, chance: random.Random) -> bytes:
    """Bytes flipped, cut out, doubled, or cut off."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.choice([chance.randrange(min(200, len(out))), chance.randrange(len(out))])
        kind = chance.randrange(5)
        if kind == 0:
            out[at] = chance.randrange(256)
        elif kind == 1:
            out[at : at + chance.randint(1, 64)] = b""
        elif kind == 2:
            out[at:at] = out[at : at + chance.randint(1, 64)]
        elif kind == 3:
            out[at : at + 4] = chance.choice([b"\xff" * 4, b"\x00" * 4, b"\x7f\xff\xff\xff", b"\x00\x00\x00\x01"])
        else:
            del out[max(1, at) :]
        if not out:
            out = bytearray(b"x")
    return bytes(out)


@pytest.mark.parametrize("what", ["enrol", "identify"])
def test_mangled_uploads_are_refused_or_taken_and_cost_no_memory(
    server: Running, seeds: list[tuple[str, bytes]], what: str
) -> None:
    chance = random.Random(what)
    server(*("POST", "/v1/collections", {"name": "fuzz"}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(60):
        kind, data = chance.choice(seeds)
        upload = {"kind": kind, "key_id": server.key_id, "data": base64.b64encode(mangled(data, chance)).decode()}
        if what == "enrol":
            answer = server("POST", "/v1/collections/fuzz/persons", {"uploads": [upload]})
        else:
            body = {"uploads": [upload], "challenge": server.challenge()}
            answer = server("POST", "/v1/collections/fuzz/identify", body)
        assert answer.status in (200, 201, 409, 422), answer.data
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    # kibibytes
    assert grown < 200 * 1024


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=st.binary(max_size=400), kind=st.sampled_from(KINDS))
def test_a_body_of_any_bytes_is_refused(server: Running, body: bytes, kind: str) -> None:
    answer = server("POST", "/v1/collections/main/persons", body, headers={"Content-Type": kind})
    assert answer.status in (400, 422)


@pytest.mark.parametrize(
    "body",
    [b"[" * 60_000, b'{"a":' * 30_000, b'{"person": "' + b"a" * 100_000 + b'"}', b"1e999999", b'"\\ud800"', b"NaN"],
)
def test_nested_and_endless_json_is_refused(server: Running, body: bytes) -> None:
    assert server("POST", "/v1/collections/main/persons", body).status in (400, 422)


def test_a_plain_face_is_refused_in_a_batch_and_nothing_of_it_is_done(server: Running, plain_face: Tensor) -> None:
    place = server.collection("batch")
    body = {"person": "a", "uploads": [server.upload(noise(7100)), server.upload(plain_face)]}
    assert server("POST", f"{place}/persons", body).json()["code"] == "plain_face"
    assert server("GET", place).json()["templates"] == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text[:40] + "\\n" + text[40:], "expected base64"),
        (lambda text: text.replace("A", "-", 1), "expected base64"),
        (lambda text: text + "====", "expected base64"),
        (lambda text: text.rstrip("=")[:-1] + "B", "expected base64"),
        (lambda text: "data:image/png;base64," + text, "expected base64"),
    ],
)  # fmt: skip
def test_one_upload_has_one_text(server: Running, change: Callable[[str], str], told: str) -> None:
    data = base64.b64encode(encode_tensor(noise(7)) + b"x" * 2).decode()
    body = '{"person":"x","uploads":[{"key_id":"k","data":"%s"}]}'
    reply = server("POST", "/v1/collections/main/persons", (body % change(data)).encode())
    assert reply.status == 422
    assert told in reply.json()["message"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"name":"first","name":"second"}', "each field once, got name again"),
        (b'{"name":"a","accept_plain":"yes"}', "body.accept_plain"),
        (b'{"name":"a","far":"0.001"}', "body.far"),
        (b'{"name":"a","far":true}', "body.far"),
        (b'{"name":"a","far":NaN}', "body.far"),
    ],
)  # fmt: skip
def test_a_body_is_read_in_one_way(server: Running, body: bytes, told: str) -> None:
    reply = server("POST", "/v1/collections", body)
    assert (reply.status, reply.json()["code"]) == (422, "invalid_request")
    assert told in reply.json()["message"]


@pytest.mark.parametrize("name", ["t\x1b[31m", "t\0", "\u202et", "a\nb"])
def test_a_token_s_name_shows_as_it_is(server: Running, name: str) -> None:
    assert server("POST", "/v1/tokens", {"name": name, "grants": ["verify"]}).status == 422


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Encoding: gzip", 415),
        (b"Content-Encoding: br", 415),
        (b"Content-Encoding: identity", 422),
        (b"Authorization: Bearer x", 400),
    ],
)  # fmt: skip
def test_what_a_proxy_might_read_otherwise_is_refused(server: Running, head: bytes, status: int) -> None:
    request = b"POST /v1/tokens HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\nContent-Length: 2\r\n\r\n{}"
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as line:
        line.sendall(request % (server.admin.encode(), head))
        assert line.recv(12) == b"HTTP/1.1 %d" % status
    assert server("GET", "/v1/collections/main%2Fpersons").status == 400

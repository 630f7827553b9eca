"""Rates, sizes, and bodies that are no good."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from facemin.service.api.errors import ServiceError
from facemin.service.api.limits.rate_limits import RateLimit
from tests.conftest import PATIENCE
from tests.service.running import Running, running


def test_a_bucket_empties_and_fills_again() -> None:
    limit = RateLimit(60)
    for _ in range(60):
        limit.take("a", now=0.0)
    with pytest.raises(ServiceError, match="at most 60 requests a minute") as caught:
        limit.take("a", now=0.0)
    assert caught.value.retry_after == pytest.approx(1.0)
    limit.take("b", now=0.0)
    limit.take("a", now=1.01)
    with pytest.raises(ServiceError):
        limit.take("a", now=1.02)


def test_names_beyond_the_most_are_forgotten() -> None:
    limit = RateLimit(1, most=2)
    for name in ("a", "b", "c"):
        limit.take(name, now=0.0)
    limit.take("a", now=0.0)
    with pytest.raises(ServiceError):
        limit.take("c", now=0.0)


pytestmark = pytest.mark.usefixtures("stopped_clock")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = {"body_bytes": 1 << 16, "batch": 2, "requests_per_minute": 40, "refusals_per_minute": 5}
    with running(tmp_path_factory.mktemp("narrow") / "home", **settings) as made:
        yield made


def test_a_long_body_is_refused(narrow: Running) -> None:
    token = narrow.token("enrol")
    answer = narrow("POST", "/v1/collections/main/persons", b" " * (1 << 17), token=token)
    assert (answer.status, answer.json()["code"]) == (413, "too_large")


def test_a_long_body_that_does_not_say_so_is_refused(narrow: Running) -> None:
    token = narrow.token("enrol")
    with socket.create_connection(("127.0.0.1", narrow.port), timeout=PATIENCE) as connection:
        head = f"POST /v1/collections/main/persons HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(40):
            connection.sendall(b"1000\r\n" + b" " * 4096 + b"\r\n")
        assert b" 413 " in connection.recv(4096)


def test_too_many_uploads_are_refused(narrow: Running) -> None:
    small = {"data": "AAAA", "key_id": narrow.key_id}
    answer = narrow("POST", "/v1/collections/main/persons", {"uploads": [small] * 3})
    assert (answer.status, answer.json()["code"]) == (422, "too_many_uploads")


def test_a_decompression_bomb_is_refused_by_its_header(narrow: Running) -> None:
    bomb = narrow.upload(torch.zeros(3, 3000, 3000, dtype=torch.uint8))
    assert len(bomb["data"]) < 60_000
    answer = narrow("POST", "/v1/collections/main/persons", {"uploads": [bomb]})
    assert answer.status == 422
    assert "3000 x 3000" in answer.json()["message"]


def test_a_refused_body_is_not_repeated(narrow: Running) -> None:
    answer = narrow("POST", "/v1/collections/main/persons", {"uploads": [{"data": "c2VjcmV0", "kind": "nonsense"}]})
    assert answer.status == 422
    assert b"c2VjcmV0" not in answer.data
    assert b"secret" not in answer.data


def test_wrong_tokens_make_an_address_wait(narrow: Running) -> None:
    statuses = [narrow("GET", "/v1/tokens", token=f"fmt_{'0' * 16}_{'a' * 43}").status for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    stranger = narrow("GET", "/v1/tokens", token=f"fmt_{'1' * 16}_{'b' * 43}")
    assert stranger.status == 429
    assert int(stranger.headers["retry-after"]) >= 1


def test_wrong_tokens_do_not_lock_out_a_valid_token(tmp_path: Path) -> None:
    with running(tmp_path / "home", refusals_per_minute=5) as made:
        token = made.token("verify")
        assert made("GET", "/v1/thresholds", token=token).status == 200
        new = made.token("verify")
        statuses = [made("GET", "/v1/thresholds", token=f"fmt_{'0' * 16}_{'a' * 43}").status for _ in range(7)]
        assert statuses[-1] == 429
        assert made("GET", "/v1/thresholds", token=token).status == 200
        # nor the holder of one that this process never saw
        assert made("GET", "/v1/thresholds", token=new).status == 200


def test_a_token_has_its_rate_and_others_theirs(tmp_path: Path) -> None:
    with running(tmp_path / "home", requests_per_minute=10) as made:
        token = made.token("verify")
        statuses = [made("GET", "/v1/thresholds", token=token).status for _ in range(11)]
        assert statuses == [200] * 10 + [429]
        assert made("GET", "/v1/thresholds").status == 200

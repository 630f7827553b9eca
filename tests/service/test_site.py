"""What a browser gets at a provider's address, and what programs go on getting."""

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from facemin.cli import run
from facemin.face.centerface import network
from facemin.service.api.app import create_app
from facemin.service.api.middleware import VISIT_FILES
from facemin.service.api.origins import Origins
from facemin.service.api.routes import site
from facemin.service.making import make_provider
from facemin.service.sessions import REACHABLE
from facemin.service.settings import Settings, read_settings, write_settings
from facemin.service.tokens import SCOPES
from tests.html_page import HtmlPage
from tests.service.page_files import write_page
from tests.service.running import Running, running
from tests.service.test_scopes import OPEN, RULES

STORED = Path(__file__).parent / "stored" / "clients.json"
"""Answers of version 0.2, before there were pages, to requests that name no HTML (commit 54af62f)."""
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Encoding": "gzip, br"}
ISOLATED = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = write_page(tmp_path_factory.mktemp("page"))
    before, site.FOLDER = site.FOLDER, folder
    yield folder
    site.FOLDER = before


@pytest.fixture(scope="module")
def shown(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("shown") / "home", page=True) as made:
        yield made


@pytest.fixture
def provider_home(tmp_path: Path, server: Running) -> Path:
    """Another provider's home, from the settings of one that is there."""
    folder = tmp_path / "home"
    values = server.provider.settings.model_dump(exclude={"version", "fingerprint"})
    make_provider(folder, **values)
    return folder


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/octet-stream"])
def test_api_answers_are_those_recorded_before_there_were_pages(server: Running, accept: str | None) -> None:
    changed = []
    for said in json.loads(STORED.read_text()):
        headers = {"X-Request-ID": "golden"} | ({"Accept": accept} if accept else {})
        reply = server(said["method"], said["path"], said["body"], token=said["token"], headers=headers)
        got = {name: reply.headers[name] for name in said["headers"] if name in reply.headers}
        body = reply.data.decode() if got["content-type"].startswith("application/json") else ""
        # the two things that were meant to change: keys may be kept and asked for again, and there is one scope more
        body = body.replace("admin, session, with", "admin, with")
        # the same provider may have rotated its key for another test
        body = re.sub(r"'([0-9a-f]{8})-\d+'", r"'\1-1'", body)
        if said["path"] == "/v1/key":
            got["cache-control"] = got["cache-control"].replace("private, no-cache", "no-store")
        if (reply.status, got, body) != (said["status"], said["headers"], said["text"]):
            changed.append((said, reply.status, got, body))
    assert not changed


def opened(server: Running, path: str) -> HtmlPage:
    reply = server("GET", path, token=None, headers=BROWSER)
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers.items() >= ISOLATED.items()
    return HtmlPage(gzip.decompress(reply.data).decode())


@pytest.mark.parametrize("path", ["/", "/about"])
def test_a_browser_at_the_address_gets_the_landing_page(server: Running, path: str) -> None:
    html = opened(server, path)
    assert "Acme" in html.words
    assert "without being sent their photos" in html.words
    assert not html.inline
    assert not html.all("style")
    assert {*html.values("src"), *html.values("href", "link")} <= {"/site.css", "data:,"}
    for link in html.values("href", "a"):
        assert server("GET", link, token=None, headers=BROWSER).status == 200, link


def test_the_api_page_has_every_endpoint_with_who_may(server: Running) -> None:
    html = opened(server, "/api")
    text = re.sub(r"\s+", " ", html.words)
    for (method, path), rule in RULES.items():
        (who,) = re.findall(rf"{method} {re.escape(path)} [A-Z][^/]*?Who may: ([^.]*)\.", text)
        assert (who == "open") == (rule == {OPEN}), (method, path)
        if rule == {"admin"}:
            assert who == "admin everywhere"
        for scope in {name.split()[0] for name in rule} - {OPEN, "any"}:
            assert scope in who or len(rule) == 2 * len(SCOPES)
        reached = [each for each, places in REACHABLE.items() if (method, path) in places]
        assert who.partition("a session of scope ")[2] == " or ".join(reached)
    assert not html.inline
    assert not html.all("style")


def test_each_anchor_of_the_api_page_is_there_once(server: Running) -> None:
    html = gzip.decompress(server("GET", "/api", token=None, headers=BROWSER).data).decode()
    links, ids = re.findall(r'href="#([^"]+)"', html), re.findall(r' id="([^"]+)"', html)
    assert sorted(links) == sorted(set(ids)) == sorted(ids)


@pytest.mark.parametrize("path", ["/v1/collections", "/nothing", "/v1/metrics"])
def test_a_browser_without_a_token_is_refused_in_words(server: Running, path: str) -> None:
    reply = server("GET", path, token=None, headers=BROWSER | {"X-Request-ID": "mine"})
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert reply.headers.items() >= ISOLATED.items()
    assert "for programs that have a token" in reply.data.decode()
    assert "mine" in reply.data.decode()
    with_token = server("GET", "/nothing", token="admin", headers=BROWSER)
    assert with_token.json()["code"] == "bad_request"


def test_a_path_and_a_header_are_escaped_on_error_pages(server: Running) -> None:
    reply = server("GET", "/%3Cscript%3E", token=None, headers=BROWSER | {"X-Request-ID": "<b>"})
    assert b"<script" not in reply.data
    assert b"<b>" not in reply.data


def test_a_providers_name_is_text_on_its_pages(server: Running) -> None:
    settings = server.provider.settings.model_copy(update={"provider": "<img src=x onerror=alert(1)>"})
    made = site.make_site(settings, [])
    assert b"<img" not in made.assets["/about"].data
    assert b"&lt;img" in made.assets["/about"].data


def test_the_policy_lets_a_browser_run_nothing_but_what_lies_here() -> None:
    rules = dict(rule.strip().partition(" ")[::2] for rule in site.POLICY.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert rules["style-src"] == rules["connect-src"] == rules["worker-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe-inline" not in site.POLICY
    assert "'unsafe-eval'" not in site.POLICY
    assert "http" not in site.POLICY
    assert "*" not in site.POLICY
    assert "camera=(self)" in site.HEADERS["Permissions-Policy"]


def test_the_page_is_at_the_root_where_it_is_turned_on(shown: Running, page: Path) -> None:
    for path in ("/", "/index.html"):
        reply = shown("GET", path, token=None, headers=BROWSER)
        assert gzip.decompress(reply.data) == (page / "index.html").read_bytes()
        assert reply.headers["content-security-policy"] == site.POLICY
    assert shown("GET", "/", token=None).status == 401
    assert "Open the page" in opened(shown, "/about").words


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/engine.js", "text/javascript; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/ort/ort.wasm.min.mjs", "text/javascript; charset=utf-8"),
        ("/ort/ort-wasm-simd-threaded.wasm", "application/wasm"),
        ("/models/centerface.onnx", "application/octet-stream"),
        ("/models/protectors/dlib-resnet29-space66.onnx", "application/octet-stream"),
    ],
)
def test_a_file_of_the_page_is_open_typed_kept_and_packed(shown: Running, path: str, kind: str) -> None:
    plain, packed = (
        shown("GET", path, token=None, headers={"Accept-Encoding": coding}) for coding in ("identity", "gzip")
    )
    assert plain.headers["content-type"] == packed.headers["content-type"] == kind
    assert plain.headers.items() >= ISOLATED.items()
    unpacked = gzip.decompress(packed.data) if "content-encoding" in packed.headers else packed.data
    assert unpacked == plain.data
    if path == "/models/centerface.onnx":
        assert hashlib.sha256(plain.data).digest() == hashlib.sha256(network()).digest()
    for reply, coding in ((plain, "identity"), (packed, "gzip")):
        # a spoilt one that nothing checks must not stay
        small = path in ("/", "/page.js", "/page.css")
        assert reply.headers["cache-control"] == ("no-store" if small else "no-cache")
        assert reply.headers["etag"] == f'"{hashlib.sha256(reply.data).hexdigest()}"'
        again = shown(
            "GET", path, token=None, headers={"Accept-Encoding": coding, "If-None-Match": reply.headers["etag"]}
        )
        assert (again.status, again.data) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/ort/", "/ort/secret.mjs", "/../page.js", "/%2e%2e/provider.json", "/page/index.html", "/samples/x.jpg"]
)
def test_nothing_else_of_the_folder_can_be_had(shown: Running, path: str) -> None:
    assert shown("GET", path, token=None).status == 401


def test_no_file_of_the_page_is_open_where_it_is_off(server: Running, page: Path) -> None:
    for path in ("/page.js", "/index.html", "/ort/ort.wasm.min.mjs", "/models/centerface.onnx"):
        assert server("GET", path, token=None).status == 401
        assert server("GET", path).status == 404


def test_serve_says_which_files_of_the_page_are_missing(
    provider_home: Path, page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare"
    (bare / "ort").mkdir(parents=True)
    for name in ("index.html", "page.js", "page.css"):
        (bare / name).write_text("")
    monkeypatch.setattr(site, "FOLDER", bare)
    assert run(["serve", "--home", str(provider_home), "--page", "--port", "0"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "ort-wasm-simd-threaded.wasm" in said
    assert "onnxruntime-web could not be fetched" in said
    write_settings(provider_home, read_settings(provider_home).model_copy(update={"page": True}))
    assert run(["serve", "--home", str(provider_home), "--port", "0"]) == 2


@pytest.mark.usefixtures("stopped_clock")
def test_an_address_may_read_files_of_many_visits_and_no_more(page: Path, tmp_path: Path) -> None:
    with running(tmp_path / "home", page=True, open_requests_per_minute=2) as server:
        files = [server("GET", "/page.css", token=None).status for _ in range(2 * VISIT_FILES + 1)]
        assert files == [200] * 2 * VISIT_FILES + [429]
        # which takes nothing from what programs without a token may ask
        assert [server("GET", "/v1/version", token=None).status for _ in range(3)] == [200, 200, 429]


def test_serve_turns_the_page_on_for_one_run(provider_home: Path, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real start, up to where the server would wait for requests."""
    import signal

    shown: list[bool] = []

    def run_until(self: uvicorn.Server) -> None:
        site_paths = {getattr(route, "path", "") for route in self.config.app.routes}  # type: ignore[union-attr]
        shown.append("/page.js" in site_paths)

    monkeypatch.setattr(uvicorn.Server, "run", run_until)
    monkeypatch.setattr(signal, "signal", lambda *args: None)
    for arguments in (["--page"], []):
        assert run(["serve", "--home", str(provider_home), "--port", "0", *arguments]) == 0
    assert shown == [True, False]
    assert read_settings(provider_home).page is False


def test_samples_are_there_only_where_they_are_given(shown: Running) -> None:
    app = create_app(shown.provider, samples={"index.json": b"[]", "a.jpg": b"jpeg"})
    paths = {getattr(route, "path", "") for route in app.routes}
    assert {"/samples/index.json", "/samples/a.jpg"} <= paths


NAMED, OTHER = "https://app.example", "https://evil.example"


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("named") / "home", origins=(NAMED,)) as made:
        yield made


def preflight(server: Running, origin: str, path: str = "/v1/challenges") -> Any:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x"}
    return server("OPTIONS", path, token=None, headers=headers)


def session(server: Running) -> str:
    made = server("POST", "/v1/sessions", {"collection": "main", "person": "a"}, token=server.token("session:main"))
    token: str = made.json()["token"]
    return token


def test_other_sites_are_closed_by_default(server: Running) -> None:
    assert preflight(server, NAMED).status == 401
    for origin in (NAMED, "null", server.url):
        reply = server("POST", "/v1/challenges", token=session(server), headers={"Origin": origin})
        assert reply.status == 201
        assert not [name for name in reply.headers if name.startswith("access-control")]


def test_a_named_site_may_ask_and_read_with_a_session(named: Running) -> None:
    asked = preflight(named, NAMED)
    assert asked.status == 204
    assert asked.headers["access-control-allow-origin"] == NAMED
    assert "authorization" in asked.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in asked.headers
    for method, path in (("POST", "/v1/challenges"), ("GET", "/v1/key"), ("POST", "/v1/nothing")):
        reply = named(method, path, token=session(named), headers={"Origin": NAMED})
        assert reply.headers["access-control-allow-origin"] == NAMED
        assert "Origin" in reply.headers["vary"]


@pytest.mark.parametrize("origin", [OTHER, "null", "https://app.example.evil.example", "http://app.example", "*"])
def test_other_sites_than_the_named_may_not(named: Running, origin: str) -> None:
    assert preflight(named, origin).status == 401
    reply = named("GET", "/v1/key", token=None, headers={"Origin": origin})
    assert not [name for name in reply.headers if name.startswith("access-control")]
    assert reply.headers["vary"] == "Origin"


BARE = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": NAMED},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Referer": "http://192.168.1.5:8470/app"},
        BARE | {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "cors"},
    ],
)
def test_no_page_gets_in_with_a_long_lived_token(named: Running, headers: dict[str, str]) -> None:
    for method, path in (("POST", "/v1/challenges"), ("GET", "/v1/tokens"), ("GET", "/v1/key")):
        reply = named(method, path, headers=headers)
        assert (reply.status, reply.json()["code"]) == (403, "token_in_page")
        assert named(method, path).status in (200, 201)


@pytest.mark.parametrize("language", ["en-GB,en;q=0.9", "*", ""])
def test_a_browser_get_over_plain_http_cannot_use_a_long_lived_token(named: Running, language: str) -> None:
    """A same-origin GET at an address of the network, whose page asked for no Referer and changed what it may."""
    for path in ("/v1/tokens", "/v1/key", "/v1/collections/main/persons"):
        reply = named("GET", path, headers=BARE | {"Accept-Language": language})
        assert (reply.status, reply.json()["code"]) == (403, "token_in_page")
    assert named("GET", "/v1/key", token=session(named), headers=BARE | {"Accept-Language": language}).status == 200


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}),
        # Node's fetch, and Deno's where it posts
        ("GET", {"Accept-Language": "*", "Sec-Fetch-Mode": "cors", "User-Agent": "node"}),
        ("POST", {"Accept-Language": "*", "User-Agent": "Deno/2"}),
        # an app of iOS behind a proxy that says how it was reached
        ("GET", {"Accept-Language": "en-GB", "X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}),
    ],
)
def test_programs_may_use_long_lived_tokens(named: Running, method: str, headers: dict[str, str]) -> None:
    path = "/v1/tokens" if method == "GET" else "/v1/challenges"
    assert named(method, path, headers=headers).status in (200, 201)


@pytest.mark.parametrize(
    "origin",
    [
        *("*", "app.example", "https://a.example, https://b.example", "https://a.example/path", "https://a.example?x"),
        *(
            "https://*.example",
            "null",
            "local",
            "https://me@a.example",
            "https://a.example:99999",
            "https://a.example//",
        ),
    ],
)
def test_settings_refuse_what_is_no_origin(server: Running, origin: str) -> None:
    values = server.provider.settings.model_dump() | {"origins": [origin]}
    with pytest.raises(ValueError, match="origins"):
        Settings.model_validate(values)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://app.example:443", "https://app.example"),
        ("http://x:80", "http://x"),
        ("HTTPS://App.Example", "https://app.example"),
        ("https://app.example/", "https://app.example"),
        ("https://app.example:8443/", "https://app.example:8443"),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
        ("http://[2001:DB8:0:0:0:0:0:1]:80", "http://[2001:db8::1]"),
    ],
)
def test_origins_are_normalised_in_the_settings(server: Running, written: str, sent: str) -> None:
    settings = Settings.model_validate(server.provider.settings.model_dump() | {"origins": [written]})
    assert settings.origins == (sent,)
    origins = Origins(settings.origins)
    asked = {"origin": sent, "access-control-request-method": "POST"}
    assert (b"access-control-allow-origin", sent.encode()) in origins.headers(asked)
    assert origins.preflight("OPTIONS", asked) is not None
    other = asked | {"origin": sent.replace("http", "https", 1) if sent.startswith("http:") else f"{sent}1"}
    assert origins.preflight("OPTIONS", other) is None


@pytest.mark.parametrize("sent", ["https://app.example:443", "HTTPS://APP.example"])
def test_cors_echoes_a_named_origin_as_it_was_sent(named: Running, sent: str) -> None:
    assert preflight(named, sent).headers["access-control-allow-origin"] == sent

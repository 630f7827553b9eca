"""The page behind a connection that corrupts or drops responses: nothing corrupted stays, nothing lost is an error."""

from pathlib import Path

from facemin.service.api.routes import site
from tests.page.browser import Browser, Page
from tests.page.faulty_proxy import FaultyProxy, faulty_proxy
from tests.page.provider import address, link, session
from tests.page.test_page import LOAD, begin, begin_enrolled, choose_image, in_another_tab, ready, verdict
from tests.service.running import Running

KEY, DETECTOR, PROTECTOR = "/v1/key", "/models/centerface.onnx", "/models/protectors/dlib-resnet29-space66.onnx"
RUNTIME = tuple(f"/ort/{name}" for name in site.RUNTIME)


def asked(proxy: FaultyProxy, path: str) -> list[int]:
    return [status for method, where, status in proxy.asked if (method, where) == ("GET", path)]


def cached(page: Page, what: str) -> bool:
    """Whether the browser keeps that file of the provider."""
    names: list[str] = page.evaluate("""new Promise((done) => {
        const asked = indexedDB.open("facemin");
        asked.onsuccess = () => {
            const names = asked.result.transaction("kept").objectStore("kept").getAllKeys();
            names.onsuccess = () => { asked.result.close(); done(names.result); };
        };
    })""")
    return any(name.startswith("file/") and name.endswith(what) for name in names)


def test_a_corrupted_download_is_fetched_again(browser: Browser, page_server: Running) -> None:
    where = session(page_server, "corrupted")
    files = (KEY, DETECTOR, "/engine.js", *RUNTIME)
    with faulty_proxy(page_server.port) as proxy, browser.page() as page:
        proxy.corrupt = dict.fromkeys(files, 1)
        ready(page, address(proxy.url, where, "corrupted"))
        assert set(proxy.corrupt.values()) == {0}
        # the worker and the runtime are asked for anew by what runs them, and are still what was checked
        assert asked(proxy, KEY) == [200, 200]
        assert asked(proxy, DETECTOR) == [200, 200]
        ready(page, address(proxy.url, where, "corrupted"))
        assert asked(proxy, KEY) == [200, 200, 304]
        assert asked(proxy, DETECTOR) == [200, 200, 304]


def test_a_key_corrupted_twice_is_refused_and_not_cached(browser: Browser, page_server: Running) -> None:
    where = address("", session(page_server, "again"), "again")
    with faulty_proxy(page_server.port) as proxy, browser.page() as page:
        proxy.corrupt = {KEY: 2}
        page.open(proxy.url + where)
        page.read("A file came damaged", seconds=LOAD)
        assert not cached(page, KEY)
        ready(page, proxy.url + where)
        assert cached(page, KEY)


def test_a_corrupted_cached_file_is_dropped_and_fetched_again(
    browser: Browser, page_server: Running, photos: dict[str, Path]
) -> None:
    """As earlier versions may have kept it: whatever the server says of its own."""
    where = session(page_server, "kept")
    with faulty_proxy(page_server.port) as proxy, browser.page() as page:
        begin(page, address(proxy.url, where, "kept"))
        choose_image(page, photos["collins-1"])
        page.read("An image painted for those numbers", seconds=LOAD)
        for path in (KEY, DETECTOR, PROTECTOR):
            assert cached(page, path)
            name = f"file/{proxy.url}{path}"
            change = f"""get("{name}").onsuccess = (event) => {{
                const file = event.target.result;
                file.data[file.data.length >> 1] ^= 0x55;
                change.objectStore("kept").put(file, "{name}");
            }}"""
            in_another_tab(page, change)
        ready(page, address(proxy.url, where, "kept"))
        choose_image(page, photos["collins-1"])
        page.read("An image painted for those numbers", seconds=LOAD)
        for path in (KEY, DETECTOR, PROTECTOR):
            assert asked(proxy, path) == [200, 304, 200], path


def test_a_corrupted_script_or_style_is_not_cached(browser: Browser, page_server: Running) -> None:
    where = address("", session(page_server, "script"), "script")
    with faulty_proxy(page_server.port) as proxy, browser.page() as page:
        for path in ("/page.js", "/page.css"):
            proxy.corrupt = {path: 1}
            page.open(proxy.url + where)
            assert proxy.corrupt == {path: 0}
            ready(page, proxy.url + where)
            assert page.evaluate("getComputedStyle(document.querySelector('.card')).borderStyle") == "solid"


def test_a_delete_retried_after_a_lost_response_succeeds(
    browser: Browser, page_server: Running, photos: dict[str, Path]
) -> None:
    with faulty_proxy(page_server.port) as proxy, browser.page() as page:
        begin_enrolled(page, link(page_server, "lost", url=proxy.url), photos["collins-1"])
        proxy.drop = {"DELETE lost": 1}
        page.click("button", "Delete me")
        page.click("button", "Delete everything of me")
        verdict(page, "The provider holds nothing of you any more")
        assert [status for method, _, status in proxy.asked if method == "DELETE"] == [204, 401]
        # nor is there anything left to do in this session
        assert not page.sees("button", "Enrol")
        assert page.faults() == []
    assert "lost" not in page_server("GET", "/v1/collections/main/persons?count=1000").json()["persons"]

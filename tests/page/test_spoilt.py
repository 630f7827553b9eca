"""Connections that spoil or lose what they carry: no file is kept that is not whole, and what is gone is said to be."""

from pathlib import Path

from facemin.service.api.routes import site
from tests.page.browser import Browser, Page
from tests.page.provider import address, session
from tests.page.spoiling import Spoiling, spoiling
from tests.page.test_page import LOAD, begin, in_another_tab, ready, send, verdict
from tests.service.running import Running

KEY, DETECTOR, PROTECTOR = "/v1/key", "/models/centerface.onnx", "/models/protectors/dlib-resnet29-space66.onnx"
RUNTIME = tuple(f"/ort/{name}" for name in site.RUNTIME)


def asked(proxy: Spoiling, path: str) -> list[int]:
    return [status for method, where, status in proxy.asked if (method, where) == ("GET", path)]


def kept(page: Page, what: str) -> bool:
    """Whether the browser keeps that file of the provider."""
    names: list[str] = page.evaluate("""new Promise((done) => {
        const asked = indexedDB.open("facemin");
        asked.onsuccess = () => {
            const names = asked.result.transaction("kept").objectStore("kept").getAllKeys();
            names.onsuccess = () => { asked.result.close(); done(names.result); };
        };
    })""")
    return any(name.startswith("file/") and name.endswith(what) for name in names)


def test_files_that_are_spoilt_on_their_way_are_fetched_once_more(browser: Browser, page_server: Running) -> None:
    where = session(page_server, "spoilt")
    files = (KEY, DETECTOR, "/engine.js", *RUNTIME)
    with spoiling(page_server.port) as proxy, browser.page() as page:
        proxy.left = dict.fromkeys(files, 1)
        ready(page, address(proxy.url, where, "spoilt"))
        assert set(proxy.left.values()) == {0}
        # the worker and the runtime are asked for anew by what runs them, and are still what was checked
        assert asked(proxy, KEY) == [200, 200]
        assert asked(proxy, DETECTOR) == [200, 200]
        ready(page, address(proxy.url, where, "spoilt"))
        assert asked(proxy, KEY) == [200, 200, 304]
        assert asked(proxy, DETECTOR) == [200, 200, 304]


def test_a_key_that_is_spoilt_again_and_again_is_refused_and_not_kept(browser: Browser, page_server: Running) -> None:
    where = address("", session(page_server, "again"), "again")
    with spoiling(page_server.port) as proxy, browser.page() as page:
        proxy.left = {KEY: 2}
        page.open(proxy.url + where)
        page.read("A file came damaged", seconds=LOAD)
        assert not kept(page, KEY)
        ready(page, proxy.url + where)
        assert kept(page, KEY)


def test_a_kept_file_that_is_spoilt_is_dropped_and_fetched_anew(
    browser: Browser, page_server: Running, photos: dict[str, Path]
) -> None:
    """As earlier versions may have kept it: whatever the server says of its own."""
    where = session(page_server, "kept")
    with spoiling(page_server.port) as proxy, browser.page() as page:
        begin(page, address(proxy.url, where, "kept"))
        page.choose("Choose a photo", photos["collins-1"])
        page.click("radio", "an image", exact=False, seconds=LOAD)
        page.read("An image painted for those numbers", seconds=LOAD)
        for path in (KEY, DETECTOR, PROTECTOR):
            assert kept(page, path)
            name = f"file/{proxy.url}{path}"
            change = f"""get("{name}").onsuccess = (event) => {{
                const file = event.target.result;
                file.data[file.data.length >> 1] ^= 0x55;
                change.objectStore("kept").put(file, "{name}");
            }}"""
            in_another_tab(page, change)
        ready(page, address(proxy.url, where, "kept"))
        page.choose("Choose a photo", photos["collins-1"])
        page.click("radio", "an image", exact=False, seconds=LOAD)
        page.read("An image painted for those numbers", seconds=LOAD)
        for path in (KEY, DETECTOR, PROTECTOR):
            assert asked(proxy, path) == [200, 304, 200], path


def test_a_script_or_style_that_was_spoilt_is_not_there_at_the_next_visit(
    browser: Browser, page_server: Running
) -> None:
    where = address("", session(page_server, "script"), "script")
    with spoiling(page_server.port) as proxy, browser.page() as page:
        for path in ("/page.js", "/page.css"):
            proxy.left = {path: 1}
            page.open(proxy.url + where)
            assert proxy.left == {path: 0}
            ready(page, proxy.url + where)
            assert page.evaluate("getComputedStyle(document.querySelector('.card')).borderStyle") == "solid"


def test_a_deletion_whose_answer_is_lost_is_a_deletion(
    browser: Browser, page_server: Running, photos: dict[str, Path]
) -> None:
    with spoiling(page_server.port) as proxy, browser.page() as page:
        begin(page, address(proxy.url, session(page_server, "lost"), "lost"))
        send(page, photos["collins-1"], "Enrol", "You are enrolled")
        proxy.dropped = {"lost": 1}
        page.click("button", "Delete me")
        page.click("button", "Delete everything of me")
        verdict(page, "The provider holds nothing of you any more")
        assert [status for method, _, status in proxy.asked if method == "DELETE"] == [204, 401]
        # nor is there anything left to do in this session
        assert not page.sees("button", "Enrol")
        assert page.faults() == []
    assert "lost" not in page_server("GET", "/v1/collections/main/persons?count=1000").json()["persons"]

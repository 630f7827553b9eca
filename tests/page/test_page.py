"""The page as people use it, in Chromium, against a real provider: every way in, and what leaves the device."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from facemin.face import Detector, crop
from facemin.image import decode
from facemin.service.making import rotate
from tests.page.browser import DESKTOP, PHONE, Browser, Page
from tests.page.leaks import Subject, leaks
from tests.page.provider import address, link, serving_page, session
from tests.page.recorder import Recorder, recording
from tests.service.running import Running

DEVICES: dict[str, dict[str, Any]] = {"desktop": DESKTOP, "phone": PHONE}
LOAD = 90.0
"""Seconds after which something is wrong, also beside much other work; how long it takes is measured elsewhere."""
ENDPOINTS = re.compile(
    r"/v1/(?:key|challenges|collections/main/(?:persons|verify))|/(?:ort|models)/|/[a-z]*(?:\.js|\.css)?$"
)


def ready(page: Page, where: str) -> None:
    """Open the page, until photos can be read."""
    page.open(where)
    page.read("Ready after", seconds=LOAD)


def begin(page: Page, where: str) -> None:
    """The same for somebody who comes for the first time."""
    ready(page, where)
    page.click("button", "Make my secret")
    page.read("Your secret was made", seconds=LOAD)


def verdict(page: Page, words: str) -> str:
    """What the page says, once it is this."""
    return page.read(words, seconds=LOAD)


def send(page: Page, photo: Path, button: str, words: str) -> str:
    page.choose("Choose a photo", photo)
    page.click("button", button, seconds=LOAD)
    return verdict(page, words)


def choose_image(page: Page, photo: Path) -> None:
    """A photo of which an image is to be sent and not numbers."""
    page.choose("Choose a photo", photo)
    page.click("radio", "an image", exact=False, seconds=LOAD)


def begin_enrolled(page: Page, where: str, photo: Path) -> None:
    """A first visit, up to the enrolment by a photo."""
    begin(page, where)
    send(page, photo, "Enrol", "You are enrolled")


def show_code(page: Page) -> None:
    """The secret of an enrolled person as a QR code."""
    page.unfold("Words, file and code")
    page.click("button", "Show it as a code for my phone")
    page.see("img", "Your secret as a QR code")


def subjects(photos: dict[str, Path], *names: str) -> list[Subject]:
    detector = Detector(threads=1)
    found = []
    for name in names:
        found.append(Subject(f"photo {name}", decode(photos[name]).pixels))
        found.append(Subject(f"face {name}", crop(photos[name], detector)))
    return found


def check_traffic(recorder: Recorder, elsewhere: list[str], pictures: list[Subject]) -> list[bytes]:
    """Nothing of the pictures, nothing for other hosts, and no token but the session's; the bodies that were sent."""
    requests = recorder.requests()
    for request in requests:
        assert ENDPOINTS.match(request.target.partition("?")[0]), request.target
        assert len(request.target) < 200
        assert "session" not in request.target
        headers = json.dumps(request.headers).encode()
        assert len(headers) < 2000
        assert b"fmt_" not in headers
        assert leaks(request.body, pictures) == []
    # and nothing beside the requests: what is sent is what was looked through
    assert sum(len(sent) for sent in recorder.sent) < 2000 * len(requests) + sum(len(each.body) for each in requests)
    assert elsewhere == []
    return [request.body for request in requests if request.body]


@pytest.mark.parametrize("device", DEVICES)
def test_a_person_enrols_is_verified_renews_and_is_deleted(
    browser: Browser,
    page_server: Running,
    photos: dict[str, Path],
    elsewhere: list[str],
    device: str,
    tmp_path: Path,
) -> None:
    person = f"whole-{device}"
    where = session(page_server, person)
    with recording(page_server.port) as recorder, browser.page(DEVICES[device]) as page:
        begin(page, address(recorder.url, where, person))
        # the token is nowhere in the page's address any more
        assert page.evaluate("location.href") == recorder.url + "/"
        assert page.evaluate("self.crossOriginIsolated") is True
        for photo, button, words in (
            ("collins-1", "Enrol", "You are enrolled"),
            ("collins-2", "Verify", "Yes, it is you"),
        ):
            send(page, photos[photo], button, words)
            assert page.overflow() <= 0
        page.read("One enrolled pseudonym, epoch 0")
        assert page.faults() == []
        page.choose("Choose a photo", photos["collins-3"])
        page.click("button", "Renew", seconds=LOAD)
        page.picture(tmp_path / "renewing.png")
        # a photo that was never sent takes its place; the page sends none twice
        page.choose("Choose a photo", photos["collins-1"])
        page.read("This photo was sent before", seconds=LOAD)
        send(page, photos["collins-4"], "Finish the renewal", "Renewed: you are enrolled under epoch 1")
        page.read("One enrolled pseudonym, epoch 1")
        page.click("button", "Delete me")
        page.click("button", "Delete everything of me")
        verdict(page, "The provider holds nothing of you any more")
        assert page.faults() == []
    assert page.said == []
    bodies = check_traffic(recorder, elsewhere, subjects(photos, "collins-1", "collins-2", "collins-3", "collins-4"))
    assert len(bodies) == 3
    people = page_server("GET", "/v1/collections/main/persons?count=1000").json()["persons"]
    assert person not in people


def test_protected_images_sent_in_place_of_features_do_not_show_the_face(
    browser: Browser, page_server: Running, photos: dict[str, Path], elsewhere: list[str]
) -> None:
    token = session(page_server, "image")
    with recording(page_server.port) as recorder, browser.page() as page:
        begin(page, address(recorder.url, token, "image"))
        choose_image(page, photos["collins-1"])
        page.click("button", "Enrol", seconds=LOAD)
        verdict(page, "You are enrolled")
        send(page, photos["collins-2"], "Verify", "Yes, it is you")
        # what was sent stays in sight, beside the face that stays
        assert page.sees("img", "The image that is sent in place of your face")
        assert page.sees("img", "Your face, which stays on this device")
    assert page.said == []
    bodies = check_traffic(recorder, elsewhere, subjects(photos, "collins-1", "collins-2"))
    uploads = [json.loads(body) for body in bodies]
    kinds = [each["kind"] for body in uploads for each in body.get("uploads", [body.get("upload")])]
    assert kinds == ["image", "image"]


def test_another_person_is_refused_with_the_same_secret_and_with_their_own(
    browser: Browser, page_server: Running, photos: dict[str, Path]
) -> None:
    """Somebody else with the person's own device, and somebody else with their own."""
    with browser.page() as page:
        begin_enrolled(page, link(page_server, "ann"), photos["collins-1"])
        page.choose("Choose a photo", photos["hopper-1"])
        page.click("button", "Verify", seconds=LOAD)
        verdict(page, "No: this does not look like|This looks like somebody else")
    with browser.page() as page:
        begin(page, link(page_server, "ann"))
        page.choose("Choose a photo", photos["collins-2"])
        page.click("button", "Verify", seconds=LOAD)
        verdict(page, "The provider does not know your secret")
        # nor can they put themselves in her place
        send(page, photos["hopper-2"], "Enrol", "Enrolled here is another secret|somebody else")


def test_the_secret_goes_to_another_device_by_its_words_and_its_file(
    browser: Browser, page_server: Running, photos: dict[str, Path], tmp_path: Path
) -> None:
    where = link(page_server, "two")
    with browser.page() as page:
        begin_enrolled(page, where, photos["collins-1"])
        page.unfold("Words, file and code")
        page.click("button", "Show its words")
        words = page.see("list", "Your secret in 24 words, for paper").split()
        words = [word for word in words if word.isalpha()]
        assert len(words) == 24
        page.click("button", "Hide the words")
        show_code(page)
        assert page.faults() == []
        code = (
            "const [down] = await Promise.all([$.page.waitForEvent('download'),"
            "$.page.getByRole('button', {name: 'Save it as a file'}).click()]); await down.saveAs(value)"
        )
        page.do(code, str(tmp_path / "secret.json"))
    for way in ("words", "file"):
        with browser.page(PHONE) as page:
            ready(page, where)
            page.unfold("I have one already")
            assert page.overflow() <= 0
            assert page.faults() == []
            if way == "words":
                page.do("await $.page.getByLabel('Its 24 words').fill(value)", " ".join(words))
                page.click("button", "Use these words")
            else:
                page.choose("Its file", tmp_path / "secret.json")
            verdict(page, "Your secret is here now")
            send(page, photos["collins-2" if way == "words" else "collins-3"], "Verify", "Yes, it is you")


def test_what_is_wrong_with_a_photo_is_said_and_nothing_is_sent(
    browser: Browser, page_server: Running, photos: dict[str, Path]
) -> None:
    with recording(page_server.port) as recorder, browser.page(PHONE) as page:
        begin(page, link(page_server, "wrong", url=recorder.url))
        for photo, words in (
            ("nobody", "No face was found"),
            ("both", "There are two people"),
            ("dark", "It is too dark"),
            ("bright", "It is too bright"),
            ("small", "Your face is small"),
            ("text", "This is no photo that the browser can read"),
        ):
            page.choose("Choose a photo", photos[photo])
            page.read(words, seconds=LOAD)
            assert page.faults() == []
        assert not page.do("return await $.page.getByRole('button', {name: 'Enrol', exact: true}).isEnabled()")
    # a challenge tells under which epoch; it is asked for with nothing
    assert {request.method for request in recorder.requests()} <= {"GET", "POST"}
    assert [request for request in recorder.requests() if request.body] == []


def test_an_identify_session_finds_the_enrolled_person(
    browser: Browser, page_server: Running, photos: dict[str, Path]
) -> None:
    with browser.page() as page:
        begin_enrolled(page, link(page_server, "found"), photos["collins-1"])
        ready(page, link(page_server, None))
        assert not page.sees("button", "Enrol")
        send(page, photos["collins-2"], "Identify", "This is found")


def test_a_session_that_has_ended_is_said_to_have(
    browser: Browser, page_server: Running, photos: dict[str, Path]
) -> None:
    backend = page_server.token("session:main")
    made = page_server("POST", "/v1/sessions", {"collection": "main", "person": "gone"}, token=backend).json()
    with browser.page() as page:
        begin(page, address(page_server.url, made["token"], "gone"))
        assert page_server("DELETE", f"/v1/sessions/{made['id']}", token=backend).status == 204
        page.choose("Choose a photo", photos["collins-1"])
        verdict(page, "Your session has ended")
    with browser.page() as page:
        ready(page, page_server.url + "/")
        page.read("This page was opened without a session")
        assert not page.sees("button", "Enrol")


def test_another_link_in_the_same_tab_begins_its_own_session(browser: Browser, page_server: Running) -> None:
    links = {person: link(page_server, person) for person in ("first", "second")}
    with browser.page() as page:
        page.open(links["first"])
        page.read("You are here as first")
        # what a browser makes of a link that differs in its fragment alone
        page.evaluate(f"void (location.href = {json.dumps(links['second'])})")
        page.read("You are here as second")
        assert page.evaluate("location.href") == page_server.url + "/"
        assert not page.do("return await $.page.getByText('You are here as first').count()")


def in_another_tab(page: Page, change: str) -> None:
    """Change what the browser keeps, under a page that is open."""
    code = """new Promise((done) => {
        const asked = indexedDB.open("facemin");
        asked.onsuccess = () => {
            const change = asked.result.transaction("kept", "readwrite");
            change.objectStore("kept").CHANGE;
            change.oncomplete = () => { asked.result.close(); done(true); };
        };
    })"""
    assert page.evaluate(code.replace("CHANGE", change))


def test_a_secret_that_another_tab_put_is_the_one_that_counts(
    browser: Browser, page_server: Running, photos: dict[str, Path]
) -> None:
    where = link(page_server, "tabs")
    with browser.page() as page:
        begin(page, where)
        page.choose("Choose a photo", photos["collins-1"])
        page.read(r"\d+ numbers, \d+ bytes", seconds=LOAD)
        data = list(hashlib.sha256(b"another secret").digest())
        in_another_tab(page, f'put(new Uint8Array({data}), "secret/default")')
        page.click("button", "Enrol", seconds=LOAD)
        verdict(page, "You are enrolled")
        ready(page, where)
        send(page, photos["collins-2"], "Verify", "Yes, it is you")


def test_a_changed_key_stops_everything_until_the_person_says_so(
    browser: Browser, page_server: Running, photos: dict[str, Path], tmp_path: Path
) -> None:
    """A new key of the same signer is followed; one of another signer at the same address is not."""
    token = session(page_server, "pinned")
    with recording(page_server.port) as recorder, browser.page() as page:
        begin_enrolled(page, address(recorder.url, token, "pinned"), photos["collins-1"])
        provider = page_server.provider
        rotate(provider.database, page_server.home, provider.settings, provider.recogniser)
        ready(page, address(recorder.url, token, "pinned"))
        send(page, photos["collins-2"], "Verify", "Yes, it is you")
        with serving_page(tmp_path / "other") as other:
            recorder.move(other.port)
            before = len(recorder.requests())
            page.open(link(other, "pinned", url=recorder.url))
            page.see("heading", "This is not the key you know", seconds=LOAD)
            assert page.faults() == []
            assert page.overflow() <= 0
            assert not page.do("return await $.page.getByRole('button', {name: 'Trust the new key'}).isEnabled()")
            assert {request.method for request in recorder.requests()[before:]} == {"GET"}
            page.do("await $.page.getByLabel('I asked, and the provider confirmed the change').check()")
            page.click("button", "Trust the new key")
            page.read("Ready after", seconds=LOAD)
            send(page, photos["collins-3"], "Enrol", "You are enrolled")


def test_the_page_can_be_used_by_keyboard_alone_and_a_button_that_fails_says_so(
    browser: Browser, page_server: Running
) -> None:
    with browser.page() as page:
        ready(page, link(page_server, "keys"))
        reached = page.do("""
            const names = [];
            for (let i = 0; i < 25; i++) {
              await $.page.keyboard.press("Tab");
              names.push(await $.page.evaluate(() => document.activeElement.labels?.[0]?.innerText
                ?? document.activeElement.innerText));
            }
            return names;
        """)
        assert {"Make my secret", "Delete me"} <= set(reached)
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"
        page.click("button", "Make my secret", seconds=LOAD)
        page.unfold("Words, file and code")
        # as another tab would
        in_another_tab(page, 'delete("secret/default")')
        page.click("button", "Show its words")
        page.read("expected one in this browser, got none yet")


MEGABYTES = 45.0
"""Of a first visit: the recogniser and the protector are most of it."""
REQUESTS = 20
PAINT = 10.0
"""Seconds to the first thing that can be seen, beside other work."""
SHIFT = 0.1
"""Cumulative layout shift that Lighthouse calls good."""


def test_a_visit_costs_no_more_than_it_may(browser: Browser, page_server: Running) -> None:
    observed = """
        new Promise((done) => {
          let shift = 0;
          new PerformanceObserver((list) => { for (const each of list.getEntries()) shift += each.value; })
            .observe({type: "layout-shift", buffered: true});
          setTimeout(() => done({shift, paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
            nodes: document.querySelectorAll("*").length}), 500);
        })
    """
    where = session(page_server, "visit")
    with recording(page_server.port) as recorder, browser.page(PHONE) as page:
        for visit, megabytes in (("first", MEGABYTES), ("second", 1.0)):
            before, received = len(recorder.requests()), recorder.received
            ready(page, address(recorder.url, where, "visit"))
            seen = page.evaluate(observed)
            assert (recorder.received - received) / 1e6 <= megabytes, visit
            assert len(recorder.requests()) - before <= REQUESTS
            assert seen["shift"] <= SHIFT, visit
            assert seen["paint"] <= 1000 * PAINT
            assert seen["nodes"] <= 500

"""The secret in the page: renewed together with the enrolment, and removed without forgetting what was sent."""

from pathlib import Path

import pytest

from tests.page.browser import PHONE, Browser, Page
from tests.page.faulty_proxy import faulty_proxy
from tests.page.provider import address, link
from tests.page.test_page import DEVICES, LOAD, begin, begin_enrolled, ready, send, verdict
from tests.service.running import Running


def words_of(page: Page, name: str) -> list[str]:
    return [word for word in page.see("list", name).split() if word.isalpha()]


def own_words(page: Page) -> list[str]:
    page.unfold("Words, file and code")
    page.click("button", "Show its words")
    return words_of(page, "Your secret in 24 words, for paper")


def begin_renewal(page: Page, probe: Path) -> list[str]:
    """Up to its second photo, with a next secret; its words."""
    page.choose("Choose a photo", probe)
    page.click("button", "Renew", seconds=LOAD)
    page.click("radio", "Change my secret too", exact=False)
    return words_of(page, "Your next secret in 24 words, for paper")


def enrolled(server: Running, person: str) -> list[tuple[int, str]]:
    """Epoch and possession key of each of a person's templates."""
    held = server("GET", f"/v1/collections/main/persons/{person}").json()["templates"]
    return [(template["epoch"], template["possession"]) for template in held]


@pytest.mark.parametrize("device", DEVICES)
def test_renewal_under_a_new_secret_shows_its_words(
    browser: Browser, page_server: Running, photos: dict[str, Path], device: str, tmp_path: Path
) -> None:
    person = f"renews-{device}"
    with browser.page(DEVICES[device]) as page:
        begin_enrolled(page, link(page_server, person), photos["collins-1"])
        old, [(_, key)] = own_words(page), enrolled(page_server, person)
        words = begin_renewal(page, photos["collins-2"])
        assert len(words) == 24
        assert words != old
        assert page.faults() == []
        assert page.overflow() <= 0
        page.picture(tmp_path / f"renewing-{device}.png")
        # whoever changes their mind meets the same words again
        page.click("radio", "Keep my secret", exact=False)
        assert not page.sees("list", "Your next secret in 24 words, for paper")
        page.click("radio", "Change my secret too", exact=False)
        assert words_of(page, "Your next secret in 24 words, for paper") == words
        send(page, photos["collins-3"], "Finish the renewal", "Renewed under your new secret.*epoch 1")
        assert own_words(page) == words
        [(epoch, renewed)] = enrolled(page_server, person)
        assert (epoch, renewed != key) == (1, True)
        # a photo that was sent under the old secret is not sent under the new one
        page.choose("Choose a photo", photos["collins-1"])
        page.read("This photo was sent before", seconds=LOAD)
        send(page, photos["collins-4"], "Verify", "Yes, it is you")
    assert page.said == []
    if device == "phone":
        # what follows is of another device, whichever the first was
        return
    with browser.page(PHONE) as page:
        ready(page, link(page_server, person))
        page.unfold("I have one already")
        page.do("await $.page.getByLabel('Its 24 words').fill(value)", " ".join(old))
        page.click("button", "Use these words")
        send(page, photos["collins-4"], "Verify", "The provider does not know your secret")


@pytest.mark.parametrize("asked_at", ["once", "the next visit"])
def test_a_renewal_with_a_lost_response_takes_the_new_secret(
    browser: Browser, page_server: Running, photos: dict[str, Path], asked_at: str
) -> None:
    person = f"unheard-{asked_at[:4].strip()}"
    with faulty_proxy(page_server.port) as proxy, browser.page() as page:
        where = link(page_server, person, url=proxy.url)
        begin_enrolled(page, where, photos["collins-1"])
        old = own_words(page)
        words = begin_renewal(page, photos["collins-2"])
        page.choose("Choose a photo", photos["collins-3"])
        # the browser tries more often than the page does
        proxy.drop = {"renew": 1000}
        if asked_at == "the next visit":
            proxy.drop[person] = 1000
        page.click("button", "Finish the renewal", seconds=LOAD)
        if asked_at == "the next visit":
            verdict(page, "The provider cannot be reached")
            page.open("about:blank")
            proxy.drop.clear()
            ready(page, where)
        # asked what it holds, the provider shows that the next secret is in place
        verdict(page, "Renewed under your new secret: you are enrolled under epoch 1")
        assert own_words(page) == words != old
        send(page, photos["collins-4"], "Verify", "Yes, it is you")


def test_a_refused_renewal_keeps_the_old_secret(
    browser: Browser, page_server: Running, photos: dict[str, Path]
) -> None:
    with browser.page() as page:
        begin(page, link(page_server, "refused"))
        # nobody is enrolled who could renew
        old = own_words(page)
        words = begin_renewal(page, photos["collins-1"])
        send(page, photos["collins-2"], "Finish the renewal", "Nobody is enrolled here yet")
        assert own_words(page) == old != words


def test_a_sent_photo_stays_refused_after_its_secret_is_removed(
    browser: Browser, page_server: Running, photos: dict[str, Path]
) -> None:
    with browser.page() as page:
        begin_enrolled(page, link(page_server, "removes"), photos["collins-1"])
        page.unfold("Words, file and code")
        page.click("button", "Remove it from this browser")
        assert page.faults() == []
        page.click("button", "Remove it", exact=True)
        page.click("button", "Make my secret")
        page.read("Your secret was made", seconds=LOAD)
        page.choose("Choose a photo", photos["collins-1"])
        page.read("This photo was sent before", seconds=LOAD)
        assert not page.do("return await $.page.getByRole('button', {name: 'Verify', exact: true}).isEnabled()")
        page.choose("Choose a photo", photos["collins-2"])
        page.read("Your face was found", seconds=LOAD)


def test_a_long_lived_token_in_a_link_is_refused_before_any_request(browser: Browser, page_server: Running) -> None:
    with faulty_proxy(page_server.port) as proxy, browser.page() as page:
        page.open(address(proxy.url, page_server.admin, "u-1"))
        page.read("This link holds a token that must never lie in a page", seconds=LOAD)
        assert page.evaluate("location.href") == proxy.url + "/"
        assert not [each for each in proxy.asked if each[1].startswith("/v1/")]
        assert page_server.admin not in page.evaluate("document.documentElement.outerHTML")

"""Pages are whole, can be jumped about in, and read without colour, in the dark and on a phone."""

import re

from facemin.report.page import Entry, document, image, listing, number, paragraph, section, table
from tests.html_page import HtmlPage

ROWS: list[list[Entry | str]] = [["a", Entry("1 of 4", "0.1 to 0.7", "own"), Entry("It got something", mark="leak")]]


def page() -> str:
    parts = [
        section("Results & <more>", [paragraph("Said.", "warn"), table("Counts", ["who", "count", "outcome"], ROWS)]),
        section("Results & <more>", [listing("Left out", ["<b>x</b>"]), number_table()]),
    ]
    return document("A title", parts, introduction=("What it is.", "How to read it."))


def number_table() -> str:
    return table("Numbers", ["name", "value"], [["x", number(float("nan"))]])


def test_has_an_introduction_a_main_part_and_captions() -> None:
    html = HtmlPage(page())
    assert len(html.all("main")) == 1
    assert len(html.all("caption")) == len(html.all("table")) == 2
    assert {given["scope"] for given in html.all("th")} == {"row", "col"}
    assert html.words.index("What it is.") < html.words.index("Said.")
    assert "not run" in html.words
    assert "<b>x</b>" in html.words


def test_every_heading_can_be_jumped_to() -> None:
    html = HtmlPage(page())
    links = html.values("href")
    assert links == ["#results-more", "#results-more-2"]
    assert html.values("id") == [link[1:] for link in links]
    assert len(html.all("h2")) == len(links)


def test_every_table_scrolls_by_itself() -> None:
    html = page()
    assert len(re.findall(r'<div class="scroll" role="region" aria-label="[^"]+" tabindex="0"><table>', html)) == 2


def test_is_made_for_phones_and_for_the_dark() -> None:
    html = page()
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert "prefers-color-scheme: dark" in html
    assert "color-scheme: light dark" in html
    assert "max-width: 480px" in html


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_stands_out_in_both_modes() -> None:
    """WCAG 2.2, contrast of 4.5 for text."""
    light, dark = re.findall(r":root \{(.*?)\}", page(), flags=re.DOTALL)[:2]
    pairs = [
        ("ink", "paper"),
        ("quiet", "paper"),
        ("link", "paper"),
        ("note", "paper"),
        ("ink", "own"),
        ("ink", "head"),
    ]
    pairs += [(f"{kind}-ink", kind) for kind in ("warn", "leak", "bounded", "open", "look", "missing")]
    for mode in (light, dark):
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", mode))
        for text, back in pairs:
            high, low = sorted((luminance(colours[text]), luminance(colours[back])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, back)


def test_pictures_have_words_and_may_be_wide() -> None:
    html = image(b"<svg/>", media="image/svg+xml", alt='a "curve"', caption="Below.", wide=True)
    assert '<figure class="wide"><img alt="a &#34;curve&#34;" src="data:image/svg+xml;base64,' in html
    assert "<figcaption>Below.</figcaption>" in html


def test_tables_of_words_are_stacked_on_a_phone() -> None:
    assert '<table class="stacked">' in table("Words", ["a", "b"], [["x", "y"]], stacked=True)
    assert 'class="stacked"' not in number_table()

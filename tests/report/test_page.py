"""Pages are whole, can be jumped about in, and read without colour, in the dark and on a phone."""

import re
from html.parser import HTMLParser

from facemin.report.page import Entry, document, image, listing, number, paragraph, section, table


class Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [str(given["id"])] if "id" in given else []
        self.links += [str(given["href"])] if "href" in given else []
        if tag == "th":
            assert given["scope"] in ("row", "col")
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


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
    reader = Reader(page())
    assert reader.tags.count("main") == 1
    assert reader.tags.count("caption") == reader.tags.count("table") == 2
    assert reader.text.index("What it is.") < reader.text.index("Said.")
    assert "not run" in reader.text
    assert "<b>x</b>" in reader.text


def test_every_heading_can_be_jumped_to() -> None:
    reader = Reader(page())
    assert reader.links == ["#results-more", "#results-more-2"]
    assert reader.ids == [link[1:] for link in reader.links]
    assert reader.tags.count("h2") == len(reader.ids)


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

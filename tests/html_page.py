"""HTML as the tests read it: elements, words, and what would run; every element is closed where it was opened."""

from html.parser import HTMLParser

VOID = {"br", "hr", "img", "input", "link", "meta", "source"}

Attributes = dict[str, str | None]


class HtmlPage(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, Attributes]] = []
        self.inline: list[str] = []
        """Handlers, styles and scripts that stand in the page itself."""
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def all(self, *tags: str) -> list[Attributes]:
        """Attributes of the elements of these names, in order."""
        return [given for tag, given in self.elements if tag in tags]

    def values(self, attribute: str, *tags: str) -> list[str]:
        """What an attribute is, where it is given; of all elements where none are named."""
        named = self.all(*tags) if tags else [given for _, given in self.elements]
        return [str(given[attribute]) for given in named if attribute in given]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.elements.append((tag, given))
        self.inline += [f"{tag} {name}" for name in given if name.startswith("on") or name == "style"]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in VOID or self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            self.inline += [data] if data.strip() else []
        else:
            self.words += data

"""The page is whole, needs nothing from elsewhere, and says everything the JSON says."""

import base64
import json
from html.parser import HTMLParser

import pytest
import torch

from facemin.audit import Budget, Grid, audit, render
from facemin.audit.page import GAP, picture
from tests.audit.conftest import Make
from tests.pictures import decode_tensor

VOID = {"meta", "img"}


class Reader(HTMLParser):
    """Checks nesting; collects images, links and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert str(given.get("href", "#")).startswith("#")
        assert tag != "script"
        if tag == "img":
            assert given["alt"]
            self.images.append(str(given["src"]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def page(evidence: Make) -> tuple[Reader, dict[str, object]]:
    done = audit(evidence(6, remarks=("<b>People & co</b>",)), ["T0", "T1"], Budget(seconds=60))
    reader = Reader()
    html = render(done).decode()
    assert html.startswith("<!doctype html>")
    reader.feed(html.partition("\n")[2])
    return reader, json.loads(json.dumps(done.values(), allow_nan=False))


def test_is_well_formed_and_self_contained(page: tuple[Reader, dict[str, object]]) -> None:
    reader, _ = page
    assert reader.open == []
    assert len(reader.images) == 1
    for source in reader.images:
        kind, _, data = source.partition(",")
        assert kind == "data:image/png;base64"
        assert decode_tensor(base64.b64decode(data)).shape[2] == 6 * (112 + GAP)


def test_says_every_verdict_and_everything_untested(page: tuple[Reader, dict[str, object]]) -> None:
    reader, values = page
    rows = values["rows"]
    assert isinstance(rows, list)
    assert [row["row"] for row in rows] == ["T0", "T1", "T2", "T3", "T4", "T5", "T6"]
    for row in rows:
        assert row["verdict"] in reader.text
    untested = values["untested"]
    assert isinstance(untested, list)
    assert all(text in reader.text for text in untested)
    assert "<b>People & co</b>" in reader.text
    assert "with no hit at all that takes 73 pairs" in reader.text
    assert "Cannot tell yet" in reader.text


def test_a_grid_keeps_its_rows() -> None:
    faces = torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    shown = decode_tensor(picture(Grid(caption="c", rows=(("a", faces), ("b", 1 - faces)))))
    assert shown.shape == (3, 2 * (112 + GAP), 3 * (112 + GAP))
    expected = ((1 - faces[1]) * 255).round().to(torch.uint8)
    assert torch.equal(shown[:, 116:228, 116:228], expected)

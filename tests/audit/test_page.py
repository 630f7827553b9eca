"""The page is whole, needs nothing from elsewhere, and says everything the JSON says."""

import base64
import json

import pytest
import torch

from facemin.audit import Budget, Grid, audit, render
from facemin.audit.page import GAP, picture
from tests.audit.conftest import Make
from tests.html_page import HtmlPage
from tests.pictures import decode_tensor


@pytest.fixture
def page(evidence: Make) -> tuple[HtmlPage, dict[str, object]]:
    done = audit(evidence(6, remarks=("<b>People & co</b>",)), ["T0", "T1"], Budget(seconds=60))
    html = render(done).decode()
    assert html.startswith("<!doctype html>")
    return HtmlPage(html), json.loads(json.dumps(done.values(), allow_nan=False))


def test_is_well_formed_and_self_contained(page: tuple[HtmlPage, dict[str, object]]) -> None:
    html, _ = page
    assert all(link.startswith("#") for link in html.values("href"))
    assert not html.all("script")
    assert all(html.values("alt", "img"))
    sources = html.values("src", "img")
    assert len(sources) == len(html.all("img")) == len(html.values("alt", "img")) == 1
    for source in sources:
        kind, _, data = source.partition(",")
        assert kind == "data:image/png;base64"
        assert decode_tensor(base64.b64decode(data)).shape[2] == 6 * (112 + GAP)


def test_says_every_verdict_and_everything_untested(page: tuple[HtmlPage, dict[str, object]]) -> None:
    html, values = page
    rows = values["rows"]
    assert isinstance(rows, list)
    assert [row["row"] for row in rows] == ["T0", "T1", "T2", "T3", "T4", "T5", "T6"]
    for row in rows:
        assert row["verdict"] in html.words
    untested = values["untested"]
    assert isinstance(untested, list)
    assert all(text in html.words for text in untested)
    assert "<b>People & co</b>" in html.words
    assert "with no hit at all that takes 73 pairs" in html.words
    assert "Cannot tell yet" in html.words


def test_a_grid_keeps_its_rows() -> None:
    faces = torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    shown = decode_tensor(picture(Grid(caption="c", rows=(("a", faces), ("b", 1 - faces)))))
    assert shown.shape == (3, 2 * (112 + GAP), 3 * (112 + GAP))
    expected = ((1 - faces[1]) * 255).round().to(torch.uint8)
    assert torch.equal(shown[:, 116:228, 116:228], expected)

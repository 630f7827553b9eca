"""A browser, and providers on this machine only."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback import _no_sockets  # noqa: F401 - a fixture
from tests.page.browser import Browser, browsing, missing
from tests.page.provider import missing_page, serving_page, write_photos
from tests.page.recorder import noting_others
from tests.service.running import Running, server  # noqa: F401 - a fixture


@pytest.fixture(scope="session")
def others() -> list[str]:
    """Every host but this one that the browser wanted something from."""
    return []


@pytest.fixture
def elsewhere(others: list[str]) -> list[str]:
    """Those of one test."""
    others.clear()
    return others


@pytest.fixture(scope="session")
def browser(others: list[str]) -> Iterator[Browser]:
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with noting_others(others) as port, browsing(f"--proxy-server=http://127.0.0.1:{port}") as made:
        yield made


@pytest.fixture(scope="session")
def page_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    if (reason := missing() or missing_page()) is not None:
        pytest.skip(reason)
    with serving_page(tmp_path_factory.mktemp("page") / "home") as made:
        yield made


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_photos(tmp_path_factory.mktemp("photos"))

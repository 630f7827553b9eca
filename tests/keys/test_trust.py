"""Trusted graphs: the list that ships, and a person's own log."""

import json
from pathlib import Path

import pytest

from facemin.keys.default import default_key
from facemin.keys.trust import TrustLog, shipped_graphs

OTHER = "ab" * 32


@pytest.fixture
def log(tmp_path: Path) -> TrustLog:
    return TrustLog(path=tmp_path / "home" / "trusted_spaces.jsonl")


def test_the_default_key_is_on_the_published_list(log: TrustLog) -> None:
    found = log.find(default_key().manifest.sha256)
    assert found in shipped_graphs()
    assert log.find(OTHER) is None
    assert not log.path.exists()


def test_the_last_decision_holds_and_all_stay_in_the_log(log: TrustLog) -> None:
    log.trust(OTHER, name="tiny", reason="mine")
    found = log.find(OTHER)
    assert found is not None
    assert (found.name, found.reason) == ("tiny", "mine")
    log.withdraw(OTHER, name="tiny", reason="stolen")
    assert log.find(OTHER) is None
    log.trust(OTHER, name="tiny", reason="again")
    assert log.find(OTHER) is not None
    assert [decision.action for decision in log.decisions()] == ["trust", "withdraw", "trust"]


def test_a_shipped_graph_can_be_withdrawn(log: TrustLog) -> None:
    graph = shipped_graphs()[0]
    log.withdraw(graph.graph_sha256, name=graph.name, reason="no longer")
    assert log.find(graph.graph_sha256) is None


def test_wrong_decisions_and_a_damaged_log_are_refused(log: TrustLog) -> None:
    for values, words in (
        ({"graph_sha256": "AB" * 32}, "graph_sha256"),
        ({"name": ""}, "name"),
        ({"reason": "a\x1b[2J"}, "reason"),
    ):
        with pytest.raises(ValueError, match=words):
            log.trust(**{"graph_sha256": OTHER, "name": "n", "reason": "r"} | values)
    assert not log.path.exists()
    log.trust(OTHER, name="tiny", reason="mine")
    with log.path.open("a") as file:
        file.write(json.dumps({"action": "trust"}) + "\n")
    with pytest.raises(ValueError, match="line 2"):
        log.find(OTHER)
    with pytest.raises(ValueError, match="line 2"):
        log.withdraw(OTHER, name="tiny", reason="r")

"""Trusted graphs: the networks that pseudonyms are made for without asking.

From the second upload on a dishonest network can identify a person (it may answer with anchors and angles instead of
an embedding), so a graph is trusted by its published hash, or after consent. Two lists: the one that ships, and the
log of this person's own decisions in the data folder, of which the last one about a graph holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from facemin.runtime.faults import faults_named
from facemin.runtime.files import append_json
from facemin.runtime.home import home

CONSENT = (
    "a dishonest network can identify you from your second upload on, whatever your secret: it may answer some faces "
    "with a fixed point and the others with an angle that names the person"
)
"""Said before a graph is trusted that is not on the published list."""
HEX = r"^[0-9a-f]{64}$"
SHIPPED = "trusted_spaces.json"


class TrustedGraph(BaseModel):
    """A graph that pseudonyms may be made for."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    graph_sha256: str = Field(pattern=HEX)
    """Of the graph's bytes in a key (`Manifest.sha256`)."""
    name: str = Field(min_length=1, max_length=200, pattern=r"^[^\p{C}]+$")
    """The recogniser's, for people."""
    reason: str = Field(min_length=1, max_length=500, pattern=r"^[^\p{C}]+$")
    """Why it is trusted, in words."""


class Decision(TrustedGraph):
    """One line of the log: a graph trusted, or no longer."""

    action: Literal["trust", "withdraw"]
    time: AwareDatetime


@dataclass(frozen=True, kw_only=True)
class TrustLog:
    """This person's own decisions, one JSON line each; nothing is ever taken out.

    Args:
        path: made at the first decision; `trusted_spaces.jsonl` in `home()` by default.
    """

    path: Path = field(default_factory=lambda: home() / "trusted_spaces.jsonl")

    def decisions(self) -> list[Decision]:
        """All of them, the oldest first.

        Raises:
            ValueError: a damaged line, by its number.
        """
        if not self.path.is_file():
            return []
        found = []
        for number, line in enumerate(self.path.read_bytes().splitlines(), 1):
            with faults_named(f"{self.path}, line {number}: expected a decision on a graph; ", value=False):
                found.append(Decision.model_validate_json(line))
        return found

    def find(self, graph_sha256: str) -> TrustedGraph | None:
        """The trusted graph of that hash: as shipped, or by the last decision here; None where it is not trusted.

        A withdrawal holds against the shipped list as well.

        Raises:
            ValueError: the log is damaged.
        """
        for decision in reversed(self.decisions()):
            if decision.graph_sha256 == graph_sha256:
                return decision if decision.action == "trust" else None
        return next((graph for graph in shipped_graphs() if graph.graph_sha256 == graph_sha256), None)

    def trusted(self) -> list[TrustedGraph]:
        """Every graph that `find` finds: those that ship, then those trusted here, in order of their first decision.

        Raises:
            ValueError: the log is damaged.
        """
        last = {decision.graph_sha256: decision for decision in self.decisions()}
        shipped = [graph for graph in shipped_graphs() if graph.graph_sha256 not in last]
        return [*shipped, *(decision for decision in last.values() if decision.action == "trust")]

    def trust(self, graph_sha256: str, *, name: str, reason: str) -> Decision:
        """Log that a graph is trusted from now on.

        Raises:
            ValueError: no such hash, or a text that is empty, too long or not printable.
        """
        return self._decide("trust", graph_sha256, name, reason)

    def withdraw(self, graph_sha256: str, *, name: str, reason: str) -> Decision:
        """Log that a graph is not trusted any more.

        Raises:
            ValueError: as `trust`.
        """
        return self._decide("withdraw", graph_sha256, name, reason)

    def _decide(self, action: str, graph_sha256: str, name: str, reason: str) -> Decision:
        values: dict[str, Any] = {
            "action": action,
            "graph_sha256": graph_sha256,
            "name": name,
            "reason": reason,
            "time": datetime.now(UTC).replace(microsecond=0),
        }
        with faults_named():
            decision = Decision.model_validate(values)
        # a log that cannot be read would hide a withdrawal behind it
        self.decisions()
        append_json(self.path, decision.model_dump(mode="json"))
        return decision


@cache
def shipped_graphs() -> tuple[TrustedGraph, ...]:
    """The published list, as it comes with this version of facemin."""
    data = (resources.files("facemin.keys") / SHIPPED).read_bytes()
    return TypeAdapter(tuple[TrustedGraph, ...]).validate_json(data)

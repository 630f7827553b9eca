"""Verbs on the list of trusted graphs: which networks pseudonyms are made for without asking."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, NamedTuple

from cyclopts import Parameter

from facemin.cli.shared.options import Json
from facemin.cli.shared.output import answer, note, print_json, tell

GRAPH = re.compile(r"[0-9a-f]{64}")

Graph = Annotated[str, Parameter(help="A key file, or the SHA-256 of a graph (64 hexadecimal digits).")]
Reason = Annotated[str, Parameter(help="Why, for the log.")]
Name = Annotated[
    str | None, Parameter(help="The recogniser's name, for people; by default as the key file or the list has it.")
]


class _Named(NamedTuple):
    graph_sha256: str
    name: str


def key_trust(graph: Graph, /, *, reason: Reason, name: Name = None, as_json: Json = False) -> int:
    """Agree to pseudonyms for a network that is not on the published list; it is logged, and can be withdrawn."""
    from facemin.keys.trust import CONSENT, TrustLog

    found = _graph(graph, name)
    note(CONSENT)
    TrustLog().trust(found.graph_sha256, name=found.name, reason=reason)
    _said("trusted", found, as_json=as_json)
    return 0


def key_distrust(graph: Graph, /, *, reason: Reason, name: Name = None, as_json: Json = False) -> int:
    """Take a network off the list, also one that facemin ships; it is logged, and nothing is taken out of the log."""
    from facemin.keys.trust import TrustLog

    found = _graph(graph, name)
    TrustLog().withdraw(found.graph_sha256, name=found.name, reason=reason)
    _said("no longer trusted", found, as_json=as_json)
    return 0


def key_trusted(
    *,
    log: Annotated[bool, Parameter(help="Every decision of yours, the oldest first, in place of what holds.")] = False,
    as_json: Json = False,
) -> int:
    """List the networks that pseudonyms are made for without asking."""
    from facemin.keys.trust import TrustLog

    log_of = TrustLog()
    found = log_of.decisions() if log else log_of.trusted()
    if as_json:
        print_json([each.model_dump(mode="json") for each in found])
        return 0
    for each in found:
        action = f"{each.model_dump(mode='json')['time']} {each.action:8} " if hasattr(each, "action") and log else ""
        tell(f"{action}{each.graph_sha256} {each.name}: {each.reason}")
    return 0


def _graph(given: str, name: str | None) -> _Named:
    """The graph that is meant, and what it is called.

    Raises:
        ValueError: neither a hash nor a key file, or a hash that nothing names.
    """
    from facemin.keys.key import Key
    from facemin.keys.trust import TrustLog

    if not GRAPH.fullmatch(given):
        if not Path(given).is_file() and re.fullmatch(r"[0-9a-fA-F]+", given):
            raise ValueError(f"{given}: expected a key file or 64 hexadecimal digits in lower case, got {len(given)}")
        manifest = Key.load(Path(given), allow_expired=True).manifest
        return _Named(manifest.sha256, name or manifest.recogniser)
    log = TrustLog()
    known = [each.name for each in (*log.trusted(), *log.decisions()) if each.graph_sha256 == given]
    if name is None and not known:
        raise ValueError("--name: expected what the network is called, since a hash alone does not say it; got none")
    return _Named(given, name or known[-1])


def _said(what: str, graph: _Named, *, as_json: bool) -> None:
    answer(
        {what.replace(" ", "_"): graph.graph_sha256, "name": graph.name},
        f"{what}: {graph.graph_sha256} ({graph.name})",
        as_json=as_json,
    )

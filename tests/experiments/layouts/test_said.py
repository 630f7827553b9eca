"""What records say in sentences: extremes with their cells, readings apart, and whether the paper's choice holds."""

import re
from typing import Any, NamedTuple

from facemin.evaluation.judge import Share
from facemin.experiments import measures, read_records
from facemin.experiments.layouts.groups import grouped
from facemin.experiments.layouts.said import _highest, said
from tests.experiments.conftest import TOML, Measure

METHODS = {"long": "", "short": "method = { steps = 1 }"}
CUTS = {"kept": "flat", "left": "embedding"}
PAPERS = {"long, kept": "paper = { unauthorised = 0.1 }", "short, kept": "paper = { unauthorised = 0.9 }"}
CELLS = "".join(
    f"""
[[cell]]
name = "{name}"
keys = [{{ recogniser = "one", cut = "{CUTS[name.partition(", ")[2]]}" }}]
{METHODS[name.partition(", ")[0]]}
{PAPERS.get(name, "")}
"""
    for name in ("long, kept", "short, kept", "short, left", "long, left")
)
BASE = TOML[: TOML.index("[[cell]]")].replace("far = 0.02", 'far = 0.02\nopponent = "two"')


def test_readings_stand_apart_and_extremes_have_their_cells(measure: Measure) -> None:
    records = {record.cell: record for record in read_records(measure(BASE + CELLS).file)}
    (group,) = grouped(records.values())
    kept, left = said(group).split("\n")
    assert kept.startswith("Kept: of 6 people the authorised accepts ")
    assert left.startswith("Left: of 6 people the authorised accepts ")
    for words, names in ((kept, ("long, kept", "short, kept")), (left, ("short, left", "long, left"))):
        own = {name: measures.tar(records[name], "one") for name in names}
        values = sorted(share.value for share in own.values())
        span = " to ".join(dict.fromkeys(f"{value:.2f}" for value in values))
        assert f"the authorised accepts {span} (" in words
        if values[0] < values[1]:
            least = min(names, key=lambda name: own[name].value)
            assert f'(least with "{least.partition(", ")[0]}": {own[least].low:.2f} to {own[least].high:.2f})' in words
        assert f"plain {measures.clean_tar(records[names[0]], 'one').value:.2f}; the opponent, raw, " in words


def test_the_papers_choice_is_named_and_whether_it_is_the_least_here(measure: Measure) -> None:
    text = BASE + CELLS.replace(", kept", "").replace(", left", " embedding")
    records = {record.cell: record for record in read_records(measure(text).file)}
    (group,) = grouped(records.values())
    shares = {name: measures.tar(record, "two") for name, record in records.items()}
    own = {name: measures.tar(record, "one").value for name, record in records.items()}
    found = re.search(r'in the paper, "long", leaves it (\d\.\d\d \(.*?\)) here(.*)$', said(group))
    assert found is not None
    assert found[1] == with_interval(shares["long"])
    least = min(shares.values(), key=lambda share: share.value)
    if shares["long"].value == least.value:
        assert found[2] == ", the least as well."
    else:
        lower = [name for name, share in shares.items() if share.value == least.value]
        names = ", ".join(f'"{name}"' for name in lower)
        kept = " to ".join(dict.fromkeys(f"{value:.2f}" for value in sorted(own[name] for name in lower)))
        kept = f"the authorised accepts {own['long']:.2f}, and {kept} there"
        assert found[2] == f"; the least is {with_interval(least)}, with {names}: {kept}."


def with_interval(share: Share) -> str:
    return f"{share.value:.2f} ({share.low:.2f} to {share.high:.2f})"


class Noisy(NamedTuple):
    """What of a trade is printed."""

    total: float
    privacy: Share


def test_the_highest_up_is_named_as_far_as_it_is_printed() -> None:
    there = Share(0.5, 0.4, 0.6, 10)
    ends = {"a": (1.721, 1.2), "b": (1.718, 1.204), "c": (1.6, 1.199)}
    trades: Any = {name: [Noisy(total, there) for total in totals] for name, totals in ends.items()}
    assert _highest(trades) == '. Highest UP: "a" and "b", then all alike'
    del trades["b"]
    trades["c"] = [Noisy(1.6, there), Noisy(1.1, there)]
    assert _highest(trades) == '. Highest UP: "a", both times'
    assert _highest({"a": trades["a"]}) == ""


def test_plain_faces_alone_say_that_nothing_was_protected(measure: Measure) -> None:
    text = BASE.replace('preset = "pmt"\nsteps = 25\nresidual = 0.05', 'preset = "plain"')
    cell = '[[cell]]\nname = "plain"\nkeys = [{ recogniser = "one", cut = "flat", residual = 0.1 }]\n'
    (group,) = grouped(read_records(measure(text + cell).file))
    assert said(group) == "Nothing was protected."

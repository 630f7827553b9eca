"""What records say in sentences: extremes with their cells, readings apart, and whether the paper's choice holds."""

import re

from facemin.experiments import measures, read_records
from facemin.experiments.layouts.groups import grouped
from facemin.experiments.layouts.said import said
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
    shares = {name: measures.tar(record, "two").value for name, record in records.items()}
    found = re.search(r'in the paper, "long", leaves it (\d\.\d\d) here(.*)$', said(group))
    assert found is not None
    assert found[1] == f"{shares['long']:.2f}"
    least = min(shares.values())
    if shares["long"] == least:
        assert found[2] == ", the least as well."
    else:
        names = ", ".join(f'"{name}"' for name, value in shares.items() if value == least)
        assert found[2].endswith(f"the least is {least:.2f}, with {names}.")


def test_plain_faces_alone_say_that_nothing_was_protected(measure: Measure) -> None:
    text = BASE.replace('preset = "pmt"\nsteps = 25\nresidual = 0.05', 'preset = "plain"')
    cell = '[[cell]]\nname = "plain"\nkeys = [{ recogniser = "one", cut = "flat", residual = 0.1 }]\n'
    (group,) = grouped(read_records(measure(text + cell).file))
    assert said(group) == "Nothing was protected."

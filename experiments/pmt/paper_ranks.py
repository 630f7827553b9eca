"""Ranks among people, in docs/paper.md: of the record of adversaries, which alone keeps everybody's every score."""

from __future__ import annotations

import json

from paper_cells import across

from facemin.experiments.common import RESULTS, table_head
from facemin.experiments.layouts.entries import with_interval
from facemin.metrics import wilson

SHOWN = ("the key itself", "a recogniser off the shelf")


def ranks_table() -> str:
    """Ranks among people of PMT at five convolutions: who is found first, and among the first ten."""
    text = (RESULTS / "attacks" / "adversaries.jsonl").read_text(encoding="utf-8")
    record = {each["protection"]: each for each in map(json.loads, text.splitlines())}["pmt"]
    made = table_head("who looks", "found first", "among the first ten", "chance of each", "AUC", "people")
    for row in record["rows"]:
        if row["adversary"] not in SHOWN:
            continue
        n, ranks = row["n"], row["ranks"]
        shares = [with_interval(share, *wilson(round(share * n), n)) for share, _ in ranks.values()]
        chances = ", ".join(f"{chance:.2f}" for _, chance in ranks.values())
        area = with_interval(row["auc"], *row["interval"])
        made.append(across(row["adversary"], (*shares, chances, area, str(n))))
    return "\n".join(made)

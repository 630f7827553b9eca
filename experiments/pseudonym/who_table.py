"""README's table of who learns whose an upload is, written from records.

    python experiments/pseudonym/who_table.py

Its rows are of the latest records of linkers.py, thief.py, attributes.py and probe_curve.py, of painted_images.py and
score_queries.py of the attacks, of the shipped protector's quality and of the default without a secret; where a row has
several attackers, the one with the largest area stands in it.
"""

from __future__ import annotations

import json
from textwrap import fill
from typing import TYPE_CHECKING, Any

from facemin.experiments.common import REPOSITORY, RESULTS, last_record, replace_section, script_parser, table_head

if TYPE_CHECKING:
    from pathlib import Path

PAGE = REPOSITORY / "README.md"
BEGIN = "<!-- who learns what: begin, written by experiments/pseudonym/who_table.py -->"
END = "<!-- who learns what: end -->"
SECRET, NO_SECRET = "a secret each", "no secret"
PAIRS = "ridge on recognisers off the shelf and thumbnails"
LINKERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "the provider's key or weights, on one upload": (("the key itself",),),
    "a network fine-tuned from the provider's": (("a sibling of the key's network, 12 steps away, cosine 0.74",),),
    "recognisers off the shelf, the best of three": (
        tuple(f"mobilefacenet-{name} itself" for name in ("ms1m-arcface", "casia-arcface", "vggface2-amsoftmax")),
    ),
    "pairs of other people's uploads and faces, no key": ((PAIRS,),),
    "pairs, the key, recognisers and thumbnails together": (
        ("ridge on the key, recognisers off the shelf and thumbnails",),
    ),
    "16 images of one photo, five photos of a person, or two providers' uploads put together": (
        ("the key itself, 16 images of a photo",),
        ("the key itself, five photos",),
        (
            "two providers put together: ridge on both features and their products",
            "two providers of one space: accounts of one looked for among the other's",
        ),
    ),
}
"""Rows of linkers.py's attackers: of each inner group the one with the largest area."""
TOGETHER = "two providers"
"""How the attackers begin who take uploads as features: there is nothing of an image in them."""
AS_WITHOUT = "as without a secret"
ASKED = (66, 0.0), (132, 0.01)
"""Queries, and the step that scores are rounded to, of the row of queries."""
LEVEL = 0.05
"""Below it a corrected p says that an attacker is above chance."""


def main() -> None:
    """Write the table between its marks."""
    given = script_parser(__doc__, shared=False, out=PAGE).parse_args()
    replace_section(given.out, BEGIN, END, table(RESULTS))


def table(results: Path) -> str:
    """The table, and the sentences on chance under it, as Markdown.

    Args:
        results: the folder of records.
    """
    records = results / "pseudonym"
    linkers = last_record(records / "linkers.jsonl")["tables"]
    stolen = next(row for row in last_record(records / "thief.jsonl")["rows"] if row["setting"] == "secret stolen")
    lines = table_head(
        "somebody who has", "no secret (`--no-pseudonym`)", "**a secret (the default)**", "the secret stolen"
    )
    lines.append(_served(results))
    for place, (who, groups) in enumerate(LINKERS.items()):
        cells = [
            "; ".join(_found(_strongest(linkers[name], group)) for group in groups) for name in (NO_SECRET, SECRET)
        ]
        theirs = _found(stolen) if place == 0 else AS_WITHOUT
        lines.append(f"| {who} | {cells[0]} | **{cells[1]}** | {theirs} |")
    lines += [_attributes(records), _pictures(results), _queries(results), _curve(records)]
    lines.append("| eyes | coloured noise | coloured noise, the same for everybody | coloured noise |")
    return "\n".join(lines) + f"\n\n{_chance(linkers[SECRET])}\n"


def _served(results: Path) -> str:
    lines = (results / "pmt" / "operations.jsonl").read_text(encoding="utf-8").splitlines()
    record = {one["cell"]: one for one in map(json.loads, lines)}["dlib, T"]
    judge = record["keys"][0]["recogniser"]
    at = record["thresholds"][judge]["threshold"]

    def rate(scores: list[float]) -> float:
        genuine = [score for score, same in zip(scores, record["same"], strict=True) if same]
        return sum(score >= at for score in genuine) / len(genuine)

    without = f"TAR {rate(record['protected'][judge]['none']['other']):.3f} of {rate(record['clean'][judge]):.3f} plain"
    quality = json.loads((results / "one_pass" / "quality_corrected.json").read_text(encoding="utf-8"))
    with_secret = quality["cells"]["raw"]["against_feature"]["tar_own"]
    return (
        f"| the provider's recogniser: its job | accepts you: {without} | accepts you: **{with_secret:.3f} of "
        f"{quality['plain']['tar_own']:.3f}** plain, and does not know whose face it is | accepts you, and knows |"
    )


def _attributes(records: Path) -> str:
    best: dict[tuple[bool, str], dict[str, Any]] = {}
    for row in last_record(records / "attributes.jsonl")["rows"]:
        if (row["set"], row["attribute"]) in (("LFW", "gender"), ("UTKFace", "age"), ("UTKFace", "race")):
            place = row["secret"], row["attribute"]
            best[place] = max(best.get(place, row), row, key=lambda one: one["hits"])

    def said(secret: bool) -> str:
        rows = {name: best[secret, name] for name in ("gender", "age", "race")}
        return ", ".join(
            f"{name} {row['hits']} of {row['n']} ({round(row['commonest class'] * row['n'])})"
            for name, row in rows.items()
        )

    return (
        f"| pairs with known gender, age, race (in brackets the commonest class) | {said(False)} | **{said(True)}** | "
        f"{AS_WITHOUT} |"
    )


def _pictures(results: Path) -> str:
    lines = (results / "attacks" / "painted_images.jsonl").read_text(encoding="utf-8").splitlines()
    records = {record["secret"]: record for record in map(json.loads, lines)}
    said = {
        secret: [
            linked
            for made in record["reconstructions"]
            if ("floor" not in made["attacker"] if secret else made["attacker"].startswith("denoiser"))
            for linked in made["linked"].values()
        ]
        for secret, record in records.items()
    }
    best = {secret: _area(max(linkers, key=lambda one: one["auc"]), 2) for secret, linkers in said.items()}
    people = records[True]["reconstructions"][0]["n"]
    return (
        f"| inverters, a denoiser and a white box with the key; attribute estimators off the shelf ({people} people) | "
        f"the denoiser's pictures are yours: {best[False]}; estimators read little | **no better than the mean face of "
        f"other people: the best of {len(said[True])} linkers {best[True]}; estimators agree as often as answers dealt "
        f"out at random** | {AS_WITHOUT} |"
    )


def _queries(results: Path) -> str:
    record = json.loads((results / "attacks" / "score_queries.json").read_text(encoding="utf-8"))
    rows = {(row["secret"], row["queries"], row["step"]): row for row in record["rows"]}
    without, with_secret = (
        max((rows[secret, *asked] for asked in ASKED), key=lambda row: row["auc"]) for secret in (False, True)
    )
    people = record["people"]
    return (
        f"| the key, and scores from your provider's service for probes of their own ({ASKED[0][0]} answers, or "
        f"{ASKED[1][0]} rounded to {ASKED[1][1]}; {people} people) | your template, so who you are: "
        f"{_area(without)}, {round(without['rank_1'] * people)} of {people} | your template at this one service; **who "
        f"you are: {_area(with_secret)}, {round(with_secret['rank_1'] * people)} of {people}** | {AS_WITHOUT} |"
    )


def _curve(records: Path) -> str:
    rows = last_record(records / "probe_curve.jsonl")["rows"]

    def best(count: int, probe: str) -> dict[str, Any]:
        setting = f"{count} uploads, {count} photos a candidate"
        return max(
            (row for row in rows if (row["setting"], row["probe"]) == (setting, probe)), key=lambda row: row["auc"]
        )

    five, twenty = best(5, "decision"), best(20, "decision")
    images = " and ".join(f"{best(count, 'decision, as images')['auc']:.2f}" for count in (5, 20))
    return (
        "| your uploads of a long time, and as many photos of you | everybody | a little: "
        f"{_area(five, 2)} at five ({five['people']} people), {_area(twenty, 2)} at twenty ({twenty['people']}), as "
        f"images {images}, where chance is 0.5 ([the curve](docs/pseudonyms.md#several-uploads-the-curve)) | "
        "everybody |"
    )


def _chance(rows: list[dict[str, Any]]) -> str:
    above = [row["attacker"] for row in rows if min(row["holm"].values()) < LEVEL]
    linkable = [row for row in rows if row["d_sys"] > row["d_sys_null"]]
    within = max(row["d_sys"] for row in rows if row not in linkable)
    nulls = [row["d_sys_null"] for row in rows]
    but = " and ".join(f"{row['d_sys']:.3f} of {row['d_sys_null']:.3f}" for row in linkable)
    who = f"{', '.join(above)} {'is' if len(above) == 1 else 'are'}" if above else "none is"
    tail = f" but for {len(linkable)} of them, at {but}." if linkable else "."
    return fill(
        f"Of the {len(rows)} attackers of `linkers.py`, {who} above chance with a secret once p is corrected for all "
        f"attempts (Holm), and D_sys (linkability, from 0 to 1) is at most {within:.2f} (its 95 % null "
        f"{min(nulls):.2f} to {max(nulls):.2f}){tail}",
        120,
    )


def _strongest(rows: list[dict[str, Any]], attackers: tuple[str, ...]) -> dict[str, Any]:
    upload = "feature" if attackers[0].startswith(TOGETHER) else "image"
    return max(
        (row for row in rows if row["attacker"] in attackers and row["upload"] == upload), key=lambda row: row["auc"]
    )


def _found(row: dict[str, Any]) -> str:
    """Area, and how many are found first of all."""
    return f"{_area(row)}, {round(row['rank 1']['share'] * row['people'])} of {row['people']}"


def _area(row: dict[str, Any], digits: int = 3) -> str:
    low, high = row["interval"]
    return f"{row['auc']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


if __name__ == "__main__":
    main()

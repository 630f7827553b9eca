"""Records of other experiments: which have sections, and what stands there; a few from the repository's own results."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from facemin.experiments.kinds.adversaries import protections
from facemin.experiments.kinds.registry import KINDS
from facemin.experiments.layouts.report import write_report
from facemin.metrics import holm
from tests.conftest import REPOSITORY
from tests.experiments.layouts.test_report import Page

RESULTS = REPOSITORY / "results"
FILES = {
    "table6": "attacks/table6.jsonl",
    "table8": "attacks/table8.jsonl",
    "settled": "ahm/settled.jsonl",
    "adversaries": "attacks/adversaries.jsonl",
    "pairs_curve": "attacks/pairs_curve.jsonl",
    "taught_networks": "attacks/taught_networks.jsonl",
    "linkers": "pseudonym/linkers.jsonl",
}


def lines(kind: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RESULTS / FILES[kind]).read_text(encoding="utf-8").splitlines()]


def page_of(folder: Path, **records: list[dict[str, Any]]) -> Page:
    for name, each in records.items():
        text = "".join(json.dumps(record) + "\n" for record in each)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return Page(write_report(folder).file.read_text(encoding="utf-8"))


def headings(page: Page) -> list[str]:
    """Of the sections between what was found and the account of the files."""
    contents = page.words.partition("On this page")[2].partition("\n\n\n")[0]
    return [line for line in contents.splitlines() if line][1:-1]


def test_there_is_a_file_of_every_kind() -> None:
    assert FILES.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", sorted(FILES))
def test_the_stored_records_of_a_kind_are_shown_whole(kind: str, tmp_path: Path) -> None:
    page = page_of(tmp_path, **{kind: lines(kind)})
    assert [row for rows in page.tables.values() for row in rows if not all(map(str.strip, row))] == []
    assert all(len({len(row) for row in rows}) == 1 for rows in page.tables.values())
    assert "Without a section here" not in page.words
    command = re.search(r"Repeat it: python (experiments/\S+\.py)", page.words)
    assert command is not None
    assert (REPOSITORY / command[1]).is_file()


def test_tables_vi_and_viii_stand_with_their_figures(tmp_path: Path) -> None:
    page = page_of(tmp_path, table6=lines("table6"), table8=lines("table8"))
    assert [heading.partition(":")[0] for heading in headings(page)] == [
        "PMT, Table VI",
        "PMT, Figure 6",
        "PMT, Figure 7",
        "PMT, Table VIII",
    ]
    assert sum(source.startswith("data:image/svg+xml") for source in page.values("src")) == 3
    opening = {row[0]: row[2] for row in page.tables["PMT's tables and figures"]}
    assert opening["Table VII"] == "not run"


def test_table_vi_has_its_records_figures_beside_the_papers(tmp_path: Path) -> None:
    record = next(one for one in lines("table6") if (one["row"], one["column"]) == ("PMT", "white box, ours"))
    earlier = json.loads(json.dumps(record))
    earlier["found"]["samples"]["ssim"] = [0.0] * len(earlier["found"]["samples"]["ssim"])
    page = page_of(tmp_path, table6=[earlier, record])
    head, row = page.tables["Likeness"]
    samples = record["found"]["samples"]["ssim"]
    assert row[:2] == ["PMT", "white box, ours"]
    assert row[2].startswith(f"{sum(samples) / len(samples):.2f} | ")
    assert row[3] == "0.03"
    assert (head[-1], row[-1]) == ("n", str(len(samples)))
    tar = record["found"]["tar_other_photo"]
    said = f"{tar['tar']:.2f} | {tar['low']:.2f} to {tar['high']:.2f}"
    assert page.tables["Recognition"][1][6] == said


def test_a_key_of_another_recogniser_has_that_ones_tar_as_well(tmp_path: Path) -> None:
    first, second = (one for one in lines("table6") if one["row"] == "PMT" and one["column"].startswith("white box"))
    second["found"]["authorised"] = {"tar_other_photo": {"tar": 0.25, "n": 52, "low": 0.15, "high": 0.39}}
    head, one, other = page_of(tmp_path, table6=[first, second]).tables["Recognition"]
    place = head.index("the same, by the key's own recogniser")
    assert (one[place], other[place]) == ("-", "0.25 | 0.15 to 0.39")


def test_plain_features_of_another_key_are_a_control_and_no_protection(tmp_path: Path) -> None:
    (record,) = (one for one in lines("table6") if (one["row"], one["column"]) == ("unprotected", "white box, ours"))
    page = page_of(tmp_path, table6=[{**record, "row": "unprotected, the default's key"}])
    assert "No protection was attacked" in page.words


def test_table_viii_has_what_is_read_most_and_says_what_was_not_measured(tmp_path: Path) -> None:
    records = [one for one in lines("table8") if one["set"] == "lfw" and one["row"] in ("noise", "PMT")]
    page = page_of(tmp_path, table8=records)
    cells = [
        cell
        for cell in next(one for one in records if one["row"] == "PMT")["cells"]
        if (cell["attribute"], cell["estimator"]) == ("gender", "attributes-age-gender")
    ]
    most = max(cells, key=lambda cell: float(cell["agreement"]["value"]))
    caption = next(name for name in page.tables if name.startswith("LFW, raw or behind one of 7 purifiers"))
    head, *rows = page.tables[caption]
    row = next(row for row in rows if row[:2] == ["gender, attributes-age-gender", "agreement"])
    found = dict(zip(head, row, strict=True))
    share = most["agreement"]
    interval = f"{share['low']:.2f} to {share['high']:.2f}"
    assert found["PMT as published"] == f"{share['value']:.2f} | {interval}; {most['purifier']}"
    assert found["facemin's default"] == "not run"
    assert found["knowing no face"] == f"{most['agreement_of_commonest']:.2f}"
    assert found["n"] == "104"


def test_ahm_has_its_variants_over_seeds_and_its_difference_from_two_faces_seed_by_seed(tmp_path: Path) -> None:
    records = [one for one in lines("settled") if one["epochs"] == 3]
    page = page_of(tmp_path, settled=records)
    runs = [one for one in records if one["variant"] == "AHM"]
    row = next(row for row in page.tables["Variants over seeds"] if row[0] == "AHM")
    assert row[1] == "3"
    assert row[3].startswith(f"{100 * sum(one['masked']['accuracy'] for one in runs) / len(runs):.1f} | ")
    assert row[-1] == "3"
    two = {one["seed"]: one["masked"]["accuracy"] for one in records if one["variant"] == "fixed, k = 2"}
    less = [100 * (one["masked"]["accuracy"] - two[one["seed"]]) for one in runs]
    assert row[4].startswith(f"{sum(less) / len(less):.1f} | ")
    assert "not told from two faces by so few seeds: AHM (" in page.words
    # trained for longer they stand by themselves, and are what the words are of
    longer = [one | {"epochs": 12} for one in records if one["variant"] == "fixed, k = 2"]
    frozen = [one for one in records if one["variant"] == "AHM, frozen for a third"]
    for one, shift in zip(frozen, (0.20, 0.21, 0.22), strict=True):
        longer.append(one | {"epochs": 12, "masked": one["masked"] | {"accuracy": two[one["seed"]] + shift}})
    page = page_of(tmp_path, settled=records + longer)
    rows = [row for row in page.tables["Variants over seeds"] if row[0] == "AHM, frozen for a third"]
    assert [row[1] for row in rows] == ["3", "12"]
    assert rows[1][4].startswith("21.0 | 18.5 to 23.5")
    assert "6 runs of 12 epochs" in page.words
    assert "Learnt, and more accurate: AHM, frozen for a third (+21.0 points, +18.5 to +23.5)." in page.words


def test_intervals_that_decide_of_several_variants_hold_together(tmp_path: Path) -> None:
    records = [one for one in lines("settled") if one["epochs"] == 3]
    two = {one["seed"]: one["masked"]["accuracy"] for one in records if one["variant"] == "fixed, k = 2"}
    learnt = {"AHM, one": (0.20, 0.21, 0.22), "AHM, two": (0.02, 0.03, 0.04)}
    runs = [one for one in records if one["variant"] == "fixed, k = 2"]
    for name, shifts in learnt.items():
        for one, shift in zip(tuple(runs[:3]), shifts, strict=True):
            masked = one["masked"] | {"accuracy": two[one["seed"]] + shift}
            runs.append(one | {"variant": name, "mean_k": 5.0, "masked": masked})
    page = page_of(tmp_path, settled=runs)
    # 3 points with a deviation of 1: t of 2 degrees is 4.303 at 95 % and 6.205 at 97.5 %, over the root of 3
    assert "Learnt, and more accurate: AHM, one (+21.0 points, +17.4 to +24.6)." in page.words
    assert "not told from two faces by so few seeds: AHM, two (+3.0 points, -0.6 to +6.6)." in page.words
    assert "The 2 intervals of differences hold together with 95 % (Bonferroni)." in page.words


def test_adversaries_have_p_over_all_forms_and_the_strongest_in_words(tmp_path: Path) -> None:
    records = lines("adversaries")
    last = {one["protection"]: one for one in records}
    page = page_of(tmp_path, adversaries=records)
    head, *rows = page.tables["All adversaries"]
    pmt = last["pmt"]
    key = next(row for row in pmt["rows"] if row["adversary"] == "the key itself")
    cell = dict(zip(head, next(row for row in rows if row[0] == "the key itself"), strict=True))[pmt["words"]]
    names = [*(name for name in ("pmt", "robust", "low-frequency", "pseudonym", "collusion") if name in last)]
    every = [p for name in names for p in last[name]["p_values"]]
    assert cell.startswith(f"{key['auc']:.2f} | {key['interval'][0]:.2f} to {key['interval'][1]:.2f}; ")
    assert cell.endswith(f"n {key['n']}; Holm {float(holm(every)[key['place']]):.2g}")
    keyless = [row for row in pmt["rows"] if "key" not in row["knows"] and row["row"] != "T6"]
    best = max(row["auc"] for row in keyless)
    assert f"{pmt['words']}: without the key AUC {best:.2f} (" in page.words


def adversary(knows: str, auc: float, **more: Any) -> dict[str, Any]:
    scores = [[float(probe == person) for person in range(4)] for probe in range(4)]
    made = {"row": "T5", "adversary": f"one of {knows}, {auc}", "knows": knows, "auc": auc, "n": 4, "scores": scores}
    return made | {"interval": [auc - 0.1, auc + 0.1], "ranks": {}} | more


def test_the_highest_of_many_forms_is_said_with_its_p_and_a_sibling_by_itself(tmp_path: Path) -> None:
    rows = [
        adversary("pairs", 0.6),
        adversary("-", 0.65),
        adversary("the key", 0.9),
        adversary("the key", 0.8),
        adversary("a network like the provider's", 0.7),
    ]
    record = {"protection": "pmt", "words": "Masks", "rows": rows, "p_values": [0.03, 0.04, 0.5, 0.001, 0.5]}
    empty: dict[str, Any] = {"protection": "robust", "words": "Robust masks", "rows": [], "p_values": []}
    page = page_of(tmp_path, adversaries=[record, empty])
    assert "Robust masks: nobody tried." in page.words
    assert "a p among all 5 forms (Holm) below 0.05" in page.words
    said = re.search(r"Masks: .*", page.words)
    assert "protections.py pmt robust low-frequency" in page.words
    assert "--collusion" in page.words
    assert said is not None
    assert said[0].strip() == (
        "Masks: without the key AUC 0.65 (0.55 to 0.75; one of -, 0.65; Holm 0.12, not told from chance), "
        "with a network like the provider's AUC 0.70 (0.60 to 0.80; one of a network like the provider's, 0.7; Holm 1, "
        "not told from chance), with the key AUC 0.80 (0.70 to 0.90; one of the key, 0.8; Holm 0.005)."
    )


@pytest.mark.parametrize(("protection", "rows"), [("collusion", 1), ("another", 1), ("pmt", 0)])
def test_adversaries_of_no_protection_of_the_table_are_listed(tmp_path: Path, protection: str, rows: int) -> None:
    each = [adversary("the key", 0.9)] * rows
    record = {"protection": protection, "words": "both", "rows": each, "p_values": [0.5] * rows}
    page = page_of(tmp_path, adversaries=[record], linkers=lines("linkers"))
    listed = page.words.partition("Without a section here, and their number of records")[2]
    assert listed.startswith("\n\nadversaries.jsonl: 1\n")


def test_what_is_made_of_adversaries_leaves_their_records_alone() -> None:
    record = {"protection": "pmt", "rows": [adversary("-", 0.6), adversary("-", 0.7, place=4)]}
    before = json.dumps(record)
    found = protections([record])
    assert [row["place"] for row in found["pmt"]["rows"]] == [0, 4]
    assert json.dumps(record) == before


def test_linkers_say_how_many_are_above_chance(tmp_path: Path) -> None:
    (record,) = lines("linkers")[-1:]
    page = page_of(tmp_path, linkers=[record])
    secret = record["tables"]["a secret each"]
    above = sum(min(row["holm"].values()) < 0.05 for row in secret)
    assert f"A secret each: {above} of {len(secret)} linkers are above chance" in page.words
    assert len(page.tables["A secret each"]) == 1 + len(secret)


def test_a_file_of_the_same_name_but_another_kind_is_listed(tmp_path: Path) -> None:
    page = page_of(tmp_path, table6=[{"row": "PMT", "dirty": False}], table8=lines("table8"))
    listed = page.words.partition("Without a section here, and their number of records")[2]
    assert listed.startswith("\n\ntable6.jsonl: 1\n")


def test_a_record_that_lacks_a_part_is_refused_by_name(tmp_path: Path) -> None:
    record = lines("table6")[0]
    del record["found"]["samples"]
    with pytest.raises(ValueError, match=r"table6\.jsonl: expected whole records of its kind, .* 'samples'"):
        page_of(tmp_path, table6=[record])


def uneven() -> list[dict[str, Any]]:
    first, second, *_ = (one for one in lines("settled") if one["variant"] == "AHM")
    return [first, second | {"rewards": second["rewards"][:-1]}]


def few() -> list[dict[str, Any]]:
    row = adversary("-", 0.6, scores=[[1.0, 0.0], [0.0, 1.0]])
    return [{"protection": "pmt", "words": "Masks", "rows": [row], "p_values": [0.5]}]


@pytest.mark.parametrize(
    ("kind", "records", "error"),
    [
        ("settled", uneven(), "zip"),
        ("linkers", [{"experiment": "linkers", "tables": {"a secret each": []}}], "empty"),
        ("adversaries", few(), "N >= 4"),
        ("adversaries", [few()[0] | {"rows": [adversary("-", 0.6)], "p_values": []}], "IndexError"),
        ("pairs_curve", [{"seconds": 1.0, "rows": [adversary("-", 0.6, images="pmt", pairs=64, p=2.0)]}], "p"),
        ("taught_networks", [{"network": "student", "images": "pmt", "p": 0.5} | few()[0]["rows"][0]], "N >= 4"),
    ],
)
def test_a_record_whose_part_is_of_no_use_is_refused_by_name(
    tmp_path: Path, kind: str, records: list[dict[str, Any]], error: str
) -> None:
    with pytest.raises(ValueError, match=rf"{kind}\.jsonl: expected whole records of its kind, got .*{error}"):
        page_of(tmp_path, **{kind: records})


def test_pairs_have_the_map_that_is_nearer_on_pairs_held_out_and_its_p_among_all(tmp_path: Path) -> None:
    common = {"pairs": 64, "n": 48, "interval": [0.4, 0.6], "ranks": {"1": [0.1, 0.02]}}
    maps = [
        {"images": "robust", "auc": 0.9, "p": 0.001, "cosine": 0.1, **common},
        {"images": "robust", "auc": 0.7, "p": 0.02, "cosine": 0.3, **common},
    ]
    painted = [{"secret": secret, "auc": 0.5, "p": 0.5, **common, "pairs": 4000} for secret in (True, False)]
    records = [{"rows": rows, "seconds": 1.0} for rows in ([{**maps[0], "auc": 0.1}], painted, maps)]
    page = page_of(tmp_path, pairs_curve=records)
    head, few, many = page.tables["Linkers by pairs"]
    assert head[1:] == ["one pass, a secret a person", "one pass, without a secret", "robust, without a secret"]
    assert few == ["64", "not run", "not run", "0.70 | 0.40 to 0.60; rank 1 0.10 (chance 0.02); n 48; Holm 0.06"]
    assert many[0] == "4,000"
    assert (
        "Robust, without a secret: 64 pairs give an AUC of 0.70 (0.40 to 0.60; Holm 0.06, not told from" in page.words
    )
    assert any(source.startswith("data:image/svg+xml") for source in page.values("src"))


def test_networks_are_told_from_chance_by_p_among_all_of_them(tmp_path: Path) -> None:
    scores = [[float(probe == person) for person in range(4)] for probe in range(4)]
    student = {"pairs": 1000, "n": 4, "interval": [0.8, 1.0], "ranks": {"1": [1.0, 0.25]}, "scores": scores}
    gender = {"n": 100, "interval": [0.7, 0.9], "commonest": 0.6}
    records = [
        {"network": "student", "images": "robust", "auc": 0.5, "p": 0.9, **student},
        {"network": "gender", "images": "plain", "hits": 80, "balanced": 0.75, "p": 0.001, **gender},
        {"network": "student", "images": "robust", "auc": 0.9, "p": 0.001, **student},
        {"network": "poor, centred", "images": "pmt", "auc": 0.6, "p": 0.04, **student},
        {"network": "poor, centred", "images": "plain", "auc": 0.9, "p": 0.001, **student},
    ]
    page = page_of(tmp_path, taught_networks=records)
    rows = page.tables["Students"][1:]
    looked_at = ["robust, without a secret", "PMT as published, five convolutions", "plain faces made poor"]
    assert [row[1] for row in rows] == looked_at
    assert rows[0][2] == "0.90 | 0.80 to 1.00; rank 1 1.00 (chance 0.25); Holm 0.004"
    assert rows[0][3].startswith("1.00 (")
    assert page.tables["Gender"][1] == ["plain faces", "0.80 | 0.70 to 0.90; Holm 0.004", "0.60", "0.75", "100"]
    assert "less the mean of protected images (AUC): above chance on PMT as published, five" in page.words
    assert page.words.index("A student of plain faces") < page.words.index("A gender probe")
    weak = [records[0] | {"network": "poor"}]
    assert "not told from chance on robust, without a secret 0.50." in page_of(tmp_path, taught_networks=weak).words


def test_pairs_without_a_map_have_no_section(tmp_path: Path) -> None:
    shown = lines("linkers")
    page = page_of(tmp_path, linkers=shown, pairs_curve=[{"rows": [], "seconds": 1.0}])
    assert "What pairs teach" not in page.words

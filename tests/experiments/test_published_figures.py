"""Published figures, made again from raw scores with nothing of facemin's: json, numpy, and the definitions.

A figure is looked up where a reader finds it, so that neither the page nor the record can change alone.
"""

import json
import math
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import REPOSITORY

RESULTS, DOCS = REPOSITORY / "results", REPOSITORY / "docs"
Flags = NDArray[np.bool_]
Scores = NDArray[np.float64]


def cells(name: str) -> dict[str, dict[str, Any]]:
    """The last record of each cell of an experiment."""
    lines = (RESULTS / "pmt" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return {record["cell"]: record for record in map(json.loads, lines)}


def row(page: str, *starts: str) -> list[str]:
    """The cells of the one table row that begins so."""
    found = []
    for line in (REPOSITORY / page).read_text(encoding="utf-8").splitlines():
        parts = [part.strip() for part in line.strip("|").split("|")]
        if line.startswith("|") and parts[: len(starts)] == list(starts):
            found.append(parts)
    assert len(found) == 1, f"{page}: expected one row that begins with {starts}, got {len(found)}"
    return found[0]


def entries(page: str, column: str, *starts: str) -> dict[str, str]:
    """By column, the one row that begins so in the tables of a page which have the column."""
    lines = [line for line in (REPOSITORY / page).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    found, head = [], [""]
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        parts = [part.strip() for part in line.strip("|").split("|")]
        head = parts if below.startswith("| --- ") else head
        if column in head and tuple(parts[: len(starts)]) == starts:
            found.append(dict(zip(head, parts, strict=True)))
    assert len(found) == 1, f"{page}: expected one row {starts} under {column!r}, got {len(found)}"
    return found[0]


def with_wilson(flags: Flags, digits: int = 2) -> str:
    """A share as pages print it, with Wilson's 95 % interval by its own formula."""
    n, share, z = len(flags), float(flags.mean()), 1.959963984540054
    centre, half = share + z * z / (2 * n), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = ((centre + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return f"{share:.{digits}f} ({max(low, 0):.{digits}f} to {high:.{digits}f})"


def area(mated: Scores, others: Scores) -> float:
    """Share of pairs of scores in which the mated one is higher, ties half."""
    return float(((mated[:, None] > others).mean() + (mated[:, None] >= others).mean()) / 2)


def first(text: str) -> str:
    """The first number of an entry, as it is printed."""
    match = re.search(r"\d+\.\d+", text)
    assert match is not None, text
    return match.group()


def accepted(record: dict[str, Any], judge: str, operation: str) -> Flags:
    """Whether each pair of one person passes, protected probe against plain second photo."""
    scores = np.array(record["protected"][judge][operation]["other"])[np.array(record["same"])]
    return np.asarray(scores >= record["thresholds"][judge]["threshold"])


def others(record: dict[str, Any]) -> list[str]:
    owners = {key["recogniser"] for key in record["keys"]}
    return [judge for judge in record["protected"] if judge not in owners]


def worst(record: dict[str, Any], operations: list[str]) -> float:
    return max(float(accepted(record, judge, name).mean()) for judge in others(record) for name in operations)


def test_the_readme_says_what_the_default_keeps_and_gives_away() -> None:
    record = cells("operations")["dlib, T"]
    printed = row("README.md", "dlib-resnet29, plain key")
    own = [accepted(record, "dlib-resnet29", name).mean() for name in ("none", "jpeg-75", "blur-1", "resize-0.75")]
    plain = np.array(record["clean"]["dlib-resnet29"]) >= record["thresholds"]["dlib-resnet29"]["threshold"]
    made = [plain.mean(), *own, worst(record, list(record["protected"]["dlib-resnet29"]))]
    assert len(record["same"]) == 600
    assert printed[1:] == [f"{value:.3f}" for value in made]


def strict(record: dict[str, Any], judge: str) -> Flags:
    """Equation 10 at 0.2: the protected face is still the face, and the pair is told as it is."""
    scores, same = record["protected"][judge]["none"], np.array(record["same"])
    return np.asarray((np.array(scores["original"]) > 0.2) & ((np.array(scores["other"]) > 0.2) == same))


@pytest.mark.parametrize("cut", ["five convolutions", "whole embedding"])
@pytest.mark.parametrize("authorised", ["dlib-resnet29", "mobilefacenet-casia-arcface"])
def test_table_vii_says_who_accepts(authorised: str, cut: str) -> None:
    record = cells("table7")[f"{authorised}, {cut}"]
    printed = entries("docs/paper.md", "mean of others, raw", "VII", f"{authorised}, {cut}")
    names = list(record["protected"][authorised])
    everybody = [[accepted(record, judge, name) for name in names] for judge in others(record)]
    plain = np.array(record["clean"][authorised])[np.array(record["same"])]
    assert printed["authorised, raw"] == with_wilson(accepted(record, authorised, "none"))
    assert printed["authorised, plain"] == with_wilson(plain >= record["thresholds"][authorised]["threshold"])
    assert first(printed["mean of others, raw"]) == f"{np.mean([flags[0] for flags in everybody]):.2f}"
    assert first(printed["worst other, raw"]) == f"{worst(record, ['none']):.2f}"
    assert first(printed["worst other, any operation"]) == f"{worst(record, names):.2f}"
    assert printed["any other at all"] == with_wilson(np.asarray(np.array(everybody).any((0, 1))))
    assert printed["people"] == str(sum(record["same"]))


@pytest.mark.parametrize("cut", ["five convolutions", "whole embedding"])
def test_table_vii_says_who_ranks_and_who_takes_strangers_for_one(cut: str) -> None:
    name = f"mobilefacenet-ms1m-arcface, {cut}"
    record = cells("table7")[name]
    printed = entries("docs/paper.md", "highest AUC of any other, any operation", "VII", name)
    same, highest, strangers = np.array(record["same"]), 0.0, 0.0
    for judge in others(record):
        for scores in record["protected"][judge].values():
            other = np.array(scores["other"])
            highest = max(highest, area(other[same], other[~same]))
            strangers = max(strangers, float((other[~same] >= record["thresholds"][judge]["threshold"]).mean()))
    assert first(printed["highest AUC of any other, any operation"]) == f"{highest:.2f}"
    assert first(printed["by the worst other, any operation"]) == f"{strangers:.2f}"
    assert printed["pairs of one, of two people"] == f"{same.sum()}, {(~same).sum()}"


@pytest.mark.parametrize(
    ("authorised", "role"), [("dlib-resnet29", "ResNet50"), ("mobilefacenet-vggface2-amsoftmax", "ArcFace")]
)
def test_table_vii_stands_beside_the_papers_figures_of_the_same_role(authorised: str, role: str) -> None:
    record = cells("table7")[f"{authorised}, five modules"]
    column = "ours: mean of others, without dlib's"
    printed = entries("docs/paper.md", column, "VII", f"{authorised}, five modules")
    theirs = next(row for row in record["experiment"]["paper"]["rows"] if row[:2] == ["LFW", role])
    own = record["experiment"]["paper"]["columns"].index(role)
    assert printed["paper: authorised"] == f"{theirs[own]:.3f}"
    assert printed["paper: mean of others"] == f"{theirs[-1]:.3f}"
    assert printed["ours: authorised"] == with_wilson(strict(record, authorised))
    rest = [strict(record, one).mean() for one in others(record) if one != "dlib-resnet29"]
    assert first(printed[column]) == f"{np.mean(rest):.2f}"


@pytest.mark.parametrize("start", ["random sort", "random noise"])
def test_table_iii_says_what_a_start_gives_the_opponent(start: str) -> None:
    record, opponent = cells("table3")[start], "mobilefacenet-casia-arcface"
    same = np.array(record["same"])
    printed = entries("docs/paper.md", "ours: opponent", "III, start", start)
    assert printed["ours: opponent"] == with_wilson(strict(record, opponent))
    assert printed["pairs"] == str(len(same))
    printed = entries("docs/paper.md", "opponent, raw", "III, start", start)
    assert printed["opponent, raw"] == with_wilson(accepted(record, opponent, "none"))
    printed = entries("docs/paper.md", "AUC: opponent, raw", "III, start", start)
    scores = np.array(record["protected"][opponent]["none"]["other"])
    assert first(printed["AUC: opponent, raw"]) == f"{area(scores[same], scores[~same]):.2f}"


def exact_sign_test(one: Flags, other: Flags) -> float:
    """Two-sided p of the people on whom the two differ (McNemar's exact test)."""
    fewer, n = int(min((one & ~other).sum(), (other & ~one).sum())), int((one ^ other).sum())
    return min(1.0, float(2 * sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n))


def test_table_x_says_up_and_of_whom_its_opponent_accepts_fewer() -> None:
    with_all, without = (f"{'' if on else 'no '}augmentation / {'' if on else 'no '}kernel / " for on in (True, False))
    names = [f"{with_all}layers, five convolutions", f"{without}no layers, five convolutions"]
    flags: dict[str, list[Flags]] = {"mobilefacenet-casia-arcface": [], "mobilefacenet-ms1m-arcface": []}
    for name in names:
        record = cells("table10")[name]
        (noisy,) = record["noise"]
        useful = np.array(noisy["cosines"]["mobilefacenet-ms1m-arcface"]) > 0.3
        printed = entries("docs/paper.md", "ours: UP", name)
        assert first(printed["ours: UP"]) == f"{(useful + np.array(noisy['distance'])).mean():.2f}"
        for judge, found in flags.items():
            found.append(accepted(record, judge, "none"))
    opponent, authorised = flags.values()
    p, q = (exact_sign_test(*pair) for pair in (opponent, authorised))
    said = (
        f"accepts {opponent[1].sum()} without the enhancement (0.35 to 0.61) and {opponent[0].sum()} with it (0.15 to "
        f"0.38; exact sign test, p {p:.1g}), the authorised {authorised[1].sum()} and {authorised[0].sum()} (p {q:.1g})"
    )
    assert said in (DOCS / "paper.md").read_text(encoding="utf-8")


AUTHORISED, OPPONENT = "mobilefacenet-ms1m-arcface", "mobilefacenet-casia-arcface"


def said_in_paper(words: str) -> bool:
    return words in " ".join((DOCS / "paper.md").read_text(encoding="utf-8").split())


def test_the_enhancement_is_told_apart_in_one_of_28_tests_and_up_falls() -> None:
    ablation = cells("table10")
    both, neither = (ablation[f"{no}augmentation / {no}kernel / {no}layers, five convolutions"] for no in ("", "no "))
    operations = list(both["protected"][OPPONENT])
    tests = {
        (judge, operation): exact_sign_test(*(accepted(one, judge, operation) for one in (neither, both)))
        for judge in both["thresholds"]
        for operation in operations
    }
    assert len(tests) == 28
    least, second = sorted(tests.values())[:2]
    assert min(tests, key=tests.__getitem__) == (OPPONENT, "none")
    # Holm's least two
    assert 28 * least < 0.05 < 27 * second
    assert said_in_paper(f"it is the one that Holm's correction leaves (p {28 * least:.2g})")
    ups = []
    for record in (neither, both):
        (noisy,) = record["noise"]
        ups.append((np.array(noisy["cosines"][AUTHORISED]) > 0.3) + np.array(noisy["distance"]))
    change = ups[0] - ups[1]
    half = 1.96 * change.std(ddof=1) / math.sqrt(len(change))
    assert said_in_paper(f"by {change.mean():.3f} ({change.mean() - half:.3f} to {change.mean() + half:.3f}; the same")


def test_what_the_account_says_of_tables_iv_and_v_is_of_the_same_people() -> None:
    fourth, fifth = cells("table4"), cells("table5")
    chosen = fourth["random noise"]

    def beside(other: dict[str, Any], judge: str = OPPONENT) -> tuple[int, float]:
        flags = accepted(other, judge, "none")
        return int(flags.sum()), exact_sign_test(flags, accepted(chosen, judge, "none"))

    without, p = beside(fourth["no augmentation"])
    kept, q = beside(fourth["no augmentation"], AUTHORISED)
    noise, utility = beside(chosen)[0], beside(chosen, AUTHORISED)[0]
    assert said_in_paper(
        f"without T the opponent accepts {without} of 52, with noise {noise} (p {p:.1g}), but the authorised "
        f"too {kept} and {utility} (p 6e-5)"
    )
    assert f"{q:.0e}" == "6e-05"
    affine, mix, last = (fourth[name] for name in ("random affine", "mix", "aggregation no: last layer alone"))
    assert said_in_paper("Of affine ({}, p {:.1g})".format(*beside(affine)))
    assert said_in_paper("of mix ({}, p {:.1g}) it is".format(*beside(mix)))
    assert said_in_paper(f"the last alone {beside(last)[0]} (p 2e-5")
    assert f"{beside(last)[1]:.0e}" == "2e-05"
    none, linear = (beside(fifth[f"{name} kernel"]) for name in ("no", "linear"))
    assert said_in_paper(
        f"it accepts {noise} of 52, with none {none[0]}, with a linear one {linear[0]} (p at least 0.6)"
    )
    assert min(none[1], linear[1]) >= 0.6


@pytest.mark.parametrize(
    ("figure", "series", "name"),
    [("figure5", "5, T", "none"), ("figure4", "4, kernel", "no kernel"), ("figure4", "4, kernel", "length 3")],
)
def test_up_keeps_its_utility_in_the_chosen_configuration_alone(figure: str, series: str, name: str) -> None:
    record = cells(figure)[name]
    printed = entries("docs/paper.md", "UP, noise 0, at 0.2", series, name)
    (noisy,) = (one for one in record["noise"] if one["bound"] == 0)
    cosines = np.array(noisy["cosines"]["mobilefacenet-ms1m-arcface"])
    assert printed["utility, noise 0, at 0.5"] == with_wilson(cosines > 0.5)
    assert first(printed["UP, noise 0, at 0.2"]) == f"{((cosines > 0.2) + np.array(noisy['distance'])).mean():.2f}"
    assert (cosines > 0.5).mean() < 0.95


def test_the_page_says_who_is_found_first() -> None:
    lines = (RESULTS / "attacks" / "adversaries.jsonl").read_text(encoding="utf-8").splitlines()
    rows = {each["protection"]: each["rows"] for each in map(json.loads, lines)}["pmt"]
    found = next(row for row in rows if row["adversary"] == "a recogniser off the shelf")
    scores = np.array(found["scores"])
    firsts = scores.argmax(1) == np.arange(len(scores))
    printed = entries("docs/paper.md", "found first", found["adversary"])
    # scores are kept to three decimals: where two are equal, argmax takes the earlier person
    assert float(first(printed["found first"])) == pytest.approx(firsts.mean(), abs=0.03)
    assert printed["people"] == str(len(scores))
    assert printed["chance of each"] == f"{1 / len(scores):.2f}, {10 / len(scores):.2f}"


def test_the_table_of_operations_says_what_the_authorised_keeps() -> None:
    for name, words in (("dlib, T", "robust (the default)"), ("vggface2, no T", "without T")):
        record = cells("operations")[name]
        own = record["keys"][0]["recogniser"]
        for operation in ("jpeg-75", "shift-2"):
            printed = entries("docs/experiments.md", f"{own}, {words}", f"protected, {operation}")
            assert printed[f"{own}, {words}"] == with_wilson(accepted(record, own, operation), 3)


def test_table_vi_says_what_is_rebuilt_of_pmt() -> None:
    lines = (RESULTS / "attacks" / "table6.jsonl").read_text(encoding="utf-8").splitlines()
    record = {(each["row"], each["column"]): each for each in map(json.loads, lines)}["PMT", "black box, 256 pairs"]
    samples = {name: np.array(values) for name, values in record["found"]["samples"].items()}
    printed = entries("docs/attacks.md", "SSIM", "PMT", "black box, 256 pairs")
    error = samples["ssim"].std(ddof=1) / np.sqrt(len(samples["ssim"]))
    mean, low, high = (float(number) for number in re.findall(r"\d+\.\d+", printed["SSIM"]))
    assert mean == pytest.approx(samples["ssim"].mean(), abs=0.005)
    # drawing people again gives about what the standard error does
    assert (low, high) == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=0.01)


def test_table_viii_says_how_often_gender_agrees_and_the_papers_two_figures() -> None:
    lines = (RESULTS / "attacks" / "table8.jsonl").read_text(encoding="utf-8").splitlines()
    records = {(each["set"], each["row"]): each for each in map(json.loads, lines)}
    name, counts = "gender, attributes-age-gender", {}
    for row in ("noise", "PMT"):
        cells = [cell for cell in records["lfw", row]["cells"] if cell["estimator"] == "attributes-age-gender"]
        counts[row] = max(cell["agreement"]["value"] for cell in cells if "agreement" in cell)
    lines = (DOCS / "attacks.md").read_text(encoding="utf-8").splitlines()
    raw, behind = (
        [line for line in lines if line.startswith(f"| {name} | {measure} |")] for measure in ("cosine", "agreement")
    )
    assert [cell.strip() for cell in raw[0].split("|")][-4:-2] == ["0.90", "0.83"]
    purified = [cell.strip() for cell in behind[1].split("|")]
    flags = [np.arange(104) < round(104 * counts[row]) for row in ("noise", "PMT")]
    assert [f"{cell.partition(';')[0]})" for cell in purified[4:6]] == [with_wilson(each) for each in flags]


@pytest.mark.parametrize("protection", ["pmt", "robust", "low-frequency", "pseudonym"])
def test_the_table_of_adversaries_says_what_raw_scores_give(protection: str) -> None:
    lines = (RESULTS / "attacks" / "adversaries.jsonl").read_text(encoding="utf-8").splitlines()
    records = {each["protection"]: each for each in map(json.loads, lines)}
    record = records[protection]
    column = row("docs/attacks.md", "row", "adversary", records["pmt"]["words"]).index(record["words"])
    for adversary in ("the key itself", "a recogniser off the shelf", "the same, centred"):
        found = next(each for each in record["rows"] if each["adversary"] == adversary)
        scores = np.array(found["scores"])
        own, off = np.diag(scores)[:, None], ~np.eye(len(scores), dtype=bool)
        area = ((own > scores[off]).mean() + (own >= scores[off]).mean()) / 2
        printed = row("docs/attacks.md", found["row"], adversary)[column]
        # scores are kept to three decimals: the last digit may turn, and ties of a rank fall either way
        firsts = [(each.sum(1) == 0).mean() for each in ((scores >= own) & off, (scores > own) & off)]
        rank = re.search(r"rank 1 (\d\.\d\d) \(chance (\d\.\d\d)\)", printed)
        assert rank is not None
        assert float(first(printed)) == pytest.approx(area, abs=0.006)
        assert firsts[0] - 0.005 <= float(rank[1]) <= firsts[1] + 0.005
        assert rank[2] == f"{1 / len(own):.2f}"
        assert f"n {len(own)}" in printed
        # a person passes above the scores of pairs of the others, but for one in a hundred of them
        rest = [np.delete(np.delete(scores, person, 0), person, 1) for person in range(len(scores))]
        pairs = [np.sort(each[~np.eye(len(each), dtype=bool)]) for each in rest]
        bars = np.array([each[-1 - len(each) // 100] for each in pairs])
        tar = re.search(r"TAR (\d\.\d\d) .* at FAR 0.01", printed)
        assert tar is not None
        assert tar[1] == f"{(own[:, 0] > bars).mean():.2f}"


@pytest.mark.parametrize(("images", "column"), [("pmt", 3), ("robust", 4), ("low-frequency", 5)])
def test_the_pairs_curve_shows_the_map_that_is_nearer_on_pairs_held_out(images: str, column: int) -> None:
    lines = (RESULTS / "attacks" / "pairs_curve.jsonl").read_text(encoding="utf-8").splitlines()
    curves = [each["rows"] for each in map(json.loads, lines) if each["rows"][0].get("images") == images]
    for pairs in {each["pairs"] for each in curves[-1]}:
        taken = max((each for each in curves[-1] if each["pairs"] == pairs), key=lambda each: each["cosine"])
        printed = row("docs/attacks.md", f"{pairs:,}")[column]
        assert printed.startswith(f"{taken['auc']:.2f} ({taken['interval'][0]:.2f} to {taken['interval'][1]:.2f})")


def test_the_page_of_recognisers_says_what_lfw_gives() -> None:
    """10-fold accuracy as the field has it: on each fold, the threshold that is best on the other nine."""
    lines = (RESULTS / "recognisers" / "lfw.jsonl").read_text(encoding="utf-8").splitlines()
    records = {(r["model"], r["alignment"]): r for r in map(json.loads, lines)}
    record = records["dlib-resnet29", "landmarks"]
    distances = 2 - 2 * np.array(record["scores"])
    right = (distances < np.arange(400)[:, None] * 0.01) == np.array(record["same"])
    folds = right.reshape(400, 10, -1).sum(2)
    best = (folds.sum(1, keepdims=True) - folds).argmax(0)
    accuracy = (folds[best, np.arange(10)] / (right.shape[1] / 10)).mean()
    text = (DOCS / "recognisers.md").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("| dlib-resnet29 |"))
    assert f"{100 * accuracy:.2f}" in line

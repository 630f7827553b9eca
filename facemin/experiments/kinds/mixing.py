"""Report layout of AHM's variants over seeds: how many faces are mixed, at which accuracy, and what more pay."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any

from facemin.experiments.kinds.seeds import over_runs
from facemin.experiments.layouts.entries import interval_entry
from facemin.experiments.layouts.sections import Section
from facemin.report.page import Entry, Table, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Record = dict[str, Any]

COMMAND = "python experiments/ahm/settle.py --seeds 1 2 3"
LEARNT = "AHM"
"""How the names of variants begin whose number of faces a strategy learns."""
TWO = "fixed, k = 2"
MANY = 4
"""Faces on average from which on a variant mixes many."""
COVERAGE = 0.95


def as_mixing(records: Sequence[Record]) -> list[Section]:
    """AHM's section."""
    return [
        Section(
            "Adaptive Hybrid Masking: how many faces are mixed, and at which accuracy",
            "",
            said(records),
            [table(*variants(records)), table(*rewards(records, dict.fromkeys(one["variant"] for one in records)))],
            COMMAND,
            "People never seen, masked images only. Intervals are Student's over seeds, of one seed over people; "
            "chance is an accuracy of 50 % and a TAR of 1 %. The loss less the entropy of the mixed labels is what a "
            "face more pays a strategy beyond its own labels.",
        )
    ]


def variants(records: Sequence[Record]) -> Table:
    """A row a variant and length of training, over its seeds."""
    head = [
        "variant",
        "epochs",
        "mean k, last third",
        "masked only: accuracy, %",
        "less two faces', seed by seed",
        "TAR at FAR 1 %, %",
        "last loss",
        "seeds",
    ]
    rows: list[list[Entry | str]] = [
        [
            name,
            str(epochs),
            _over(run["mean_k"] for run in runs),
            _share(runs, "accuracy"),
            _difference(runs, of_two),
            _share(runs, "tar"),
            _over(run["loss"] for run in runs),
            str(len(runs)),
        ]
        for epochs, trained in by_epochs(records).items()
        for of_two in [_by_seed(by_variant(trained).get(TWO, ()))]
        for name, runs in by_variant(trained).items()
    ]
    return Table("Variants over seeds", head, rows)


def rewards(records: Sequence[Record], shown: Iterable[str]) -> Table:
    """What mixing k faces gives on the last weights of some variants, each k alike, over their seeds."""
    head = [
        "last weights of",
        "epochs",
        "k",
        "loss",
        "less the label entropy",
        "own person nearest",
        "heaviest person nearest",
    ]
    groups = {epochs: by_variant(trained) for epochs, trained in by_epochs(records).items()}
    names = list(shown)
    rows: list[list[Entry | str]] = [
        [
            name,
            str(epochs),
            str(probed[0]["k"]),
            _over(one["loss"] for one in probed),
            _over(one["loss"] - one["label_entropy"] for one in probed),
            _over(one["own"] for one in probed),
            _over(one["heaviest"] for one in probed),
            str(len(probed)),
        ]
        for epochs, variants_of in groups.items()
        for name in names
        for probed in zip(*(run["rewards"] for run in variants_of.get(name, ())), strict=True)
    ]
    return Table("Reward by the number of faces", [*head, "seeds"], rows)


def by_epochs(records: Sequence[Record]) -> dict[int, list[Record]]:
    """Runs of each length of training, the shortest first."""
    lengths = sorted({record["epochs"] for record in records})
    return {epochs: [record for record in records if record["epochs"] == epochs] for epochs in lengths}


def by_variant(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Runs of each variant, what learns nothing first."""
    names = dict.fromkeys(record["variant"] for record in records)
    ordered = sorted(names, key=lambda name: name.startswith(LEARNT))
    return {name: [record for record in records if record["variant"] == name] for name in ordered}


def said(records: Sequence[Record]) -> str:
    """Whether a learnt strategy mixes many faces as accurately as two, as far as the longest runs show it."""
    epochs, records = list(by_epochs(records).items())[-1]
    groups = by_variant(records)
    seeds = sorted({len(runs) for runs in groups.values()})
    start = "The abstract promises more images mixed at satisfactory accuracy. "
    measured = f"{len(records)} runs of {epochs} epochs, {' or '.join(map(str, seeds))} seeds a variant, chance 50 %: "
    if TWO not in groups:
        return f"{start}{measured}two faces at a time were not run, so nothing is compared with them."
    two = _share(groups[TWO], "accuracy")
    many = {name: runs for name, runs in groups.items() if fmean(run["mean_k"] for run in runs) >= MANY}
    learnt = {name: runs for name, runs in many.items() if name.startswith(LEARNT)}
    words = f"two faces have {two.text} % ({two.below}) on people never seen"
    if not many:
        return f"{start}{measured}{words}; no variant mixes {MANY} faces or more on average."
    best = max(many, key=lambda name: _accuracy(many[name]))
    figure, k = _share(many[best], "accuracy"), fmean(run["mean_k"] for run in many[best])
    least = min(_accuracy(runs) for runs in many.values())
    words += (
        f"; what mixes {MANY} or more on average has {100 * least:.1f} to {figure.text} %, the most accurate being "
        f'"{best}" with {k:.1f} faces ({figure.below})'
    )
    return f"{start}{measured}{words}. {_verdict(learnt, _by_seed(groups[TWO]))}"


def _verdict(learnt: Mapping[str, Sequence[Record]], of_two: Mapping[int, float]) -> str:
    """Which learnt strategies that mix many lose accuracy against two faces, seed by seed, and which may not.

    Intervals are as wide as Bonferroni's inequality asks, so that all of them together hold with `COVERAGE`.
    """
    found: dict[str, list[str]] = {"less": [], "more": [], "no telling": []}
    each = {name: _differences(runs, of_two) for name, runs in learnt.items()}
    compared = {name: differences for name, differences in each.items() if len(differences) > 1}
    for name, differences in compared.items():
        value, low, high, _ = over_runs(differences, coverage=1 - (1 - COVERAGE) / len(compared))
        kind = "less" if high < 0 else "more" if low > 0 else "no telling"
        found[kind].append(f"{name} ({value:+.1f} points, {low:+.1f} to {high:+.1f})")
    starts = {
        "less": "Learnt, and less accurate than two faces of the same seed",
        "more": "Learnt, and more accurate",
        "no telling": "Learnt, and not told from two faces by so few seeds",
    }
    said = [f"{starts[kind]}: {', '.join(names)}." for kind, names in found.items() if names]
    if not said:
        return "No learnt strategy that mixes so many has two seeds in common with two faces."
    if len(compared) > 1:
        said.append(
            f"The {len(compared)} intervals of differences hold together with {100 * COVERAGE:.0f} % (Bonferroni)."
        )
    return " ".join(said)


def _by_seed(runs: Iterable[Record]) -> dict[int, float]:
    """Accuracy in percent."""
    return {run["seed"]: 100 * run["masked"]["accuracy"] for run in runs}


def _differences(runs: Sequence[Record], of_two: Mapping[int, float]) -> list[float]:
    """Accuracy less that of two faces at the same seed, so with the same people and first weights, in points."""
    return [accuracy - of_two[seed] for seed, accuracy in _by_seed(runs).items() if seed in of_two]


def _difference(runs: Sequence[Record], of_two: Mapping[int, float]) -> Entry | str:
    differences = _differences(runs, of_two)
    return _over(differences, digits=1) if differences and runs[0]["variant"] != TWO else "-"


def _accuracy(runs: Sequence[Record]) -> float:
    return fmean(run["masked"]["accuracy"] for run in runs)


def _share(runs: Sequence[Record], name: str) -> Entry:
    """A share in percent over seeds; of one seed, with its interval over people."""
    if len(runs) > 1:
        return _over((100 * run["masked"][name] for run in runs), digits=1)
    masked = runs[0]["masked"]
    return interval_entry(100 * masked[name], [100 * end for end in masked[f"{name}_interval"]], digits=1)


def _over(values: Iterable[float], *, digits: int = 2) -> Entry:
    """Mean over seeds, with Student's interval where there are several."""
    found = over_runs(list(values))
    if found.n == 1:
        return Entry(f"{found.value:.{digits}f}", "one seed")
    return interval_entry(found.value, (found.low, found.high), digits=digits)

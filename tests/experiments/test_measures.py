"""Figures of hand-made records, and against the metrics that work on embeddings."""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facemin.experiments import measures
from facemin.experiments.store.records import Record, ScoresOf, append, read_records
from facemin.metrics import pair_scores, strict_accuracy, utility_privacy, wilson

SAME = (True, True, True, False)


def scores(original: tuple[float, ...], other: tuple[float, ...]) -> dict[str, Any]:
    return {"original": original, "other": other}


def record(**changes: Any) -> Record:
    """Authorised `a` with threshold 0.5; others `b` and `c` with 0.4 and 0.9; three genuine pairs and one impostor."""
    threshold = {"far": 1e-3, "far_measured": 1e-3, "impostor_pairs": 9000, "meaningful": True}
    values: dict[str, Any] = {
        "identity": "0" * 64,
        "experiment": {
            "name": "hand",
            "title": "By hand",
            "source": "PMT, Table X",
            "remark": "",
            "layout": "rows",
            "kappa": 0.2,
            "opponent": None,
            "noise_kappa": (0.3,),
            "paper": None,
            "cells": (),
        },
        "cell": "all",
        "quick": False,
        "passed": {},
        "resolved": {"method": {"residual": 0.1, "precision": "float32"}, "distance": "apart"},
        "seed": 0,
        "commit": None,
        "dirty": None,
        "versions": {},
        "hardware": {"machine": "m", "device": "cpu", "python": "3"},
        "time": datetime(2026, 1, 1, tzinfo=UTC),
        "data": {
            "name": "lfw",
            "source": "lfw, by hand",
            "sha256": "1" * 64,
            "genuine": 3,
            "impostor": 1,
            "calibration_images": 40,
            "no_face": 0,
        },
        "weights": {},
        "keys": ({"recogniser": "a", "cut": "x", "layers": (), "features": (1,), "share": 0.5, "sha256": "2" * 64},),
        "same": SAME,
        "thresholds": {
            "a": {"threshold": 0.5, **threshold},
            "b": {"threshold": 0.4, **threshold},
            "c": {"threshold": 0.9, **threshold},
        },
        "clean": {"a": (0.9, 0.5, 0.8, 0.1), "b": (0.9, 0.3, 0.8, 0.7), "c": (0.95, 0.95, 0.95, 0.0)},
        "protected": {
            "a": {
                "none": scores((0.9, 0.9, 0.1, 0.9), (0.6, 0.5, 0.9, 0.1)),
                "blur-1": scores((0.9, 0.9, 0.9, 0.9), (0.6, 0.4, 0.4, 0.1)),
            },
            "b": {
                "none": scores((0.3, 0.1, 0.1, 0.3), (0.3, 0.0, 0.1, 0.3)),
                "blur-1": scores((0.3, 0.1, 0.1, 0.1), (0.5, 0.0, 0.45, 0.5)),
            },
            "c": {
                "none": scores((0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.95, 0.0)),
                "blur-1": scores((0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)),
            },
        },
        "noise": (
            {"bound": 0.0, "cosines": {"a": (1, 1, 1, 1), "b": (0, 0, 0, 0)}, "distance": (0.5, 0.5, 0.5, 0.5)},
            {"bound": 0.1, "cosines": {"a": (0.6, 0.4, 0.3, 0.2), "b": (0, 0, 0, 1)}, "distance": (1, 2, 3, 4)},
        ),
        "likeness": None,
        "spent": {
            "steps": (10, 20, 30, 40),
            "residuals": ((0.1,), (0.2,), (0.1,), (0.4,)),
            "unmet": ((), (0,), (), (0,)),
            "seconds": 3.0,
        },
    }
    return Record.model_validate({**values, **changes})


def test_shares_by_hand() -> None:
    r = record()
    assert measures.authorised(r) == ("a",)
    assert measures.unauthorised(r) == ("b", "c")
    assert measures.operations(r) == ("none", "blur-1")
    # 0.6, 0.5 and 0.9 against 0.5: equal is accepted; the impostor pair plays no part
    assert measures.tar(r, "a") == (1.0, *wilson(3, 3), 3)
    assert measures.tar(r, "a", "blur-1").value == pytest.approx(1 / 3)
    assert measures.clean_tar(r, "b").value == pytest.approx(2 / 3)
    # rows 1, 2: kept and matched; row 3 is not kept; row 4: kept, not matched, and should not be
    assert measures.strict(r, "a") == (0.75, *wilson(3, 4), 4)
    # b at 0.2: row 1 kept and matched, row 4 kept and matched although it should not be
    assert measures.strict(r, "b", kappa=0.2).value == 0.25
    # a cosine of exactly kappa does not exceed it
    assert measures.strict(r, "b", kappa=0.3).value == 0.0
    assert measures.clean_strict(r, "b").value == 0.5
    assert measures.clean_strict(r, "b", kappa=0.2).value == 0.75


def test_a_mean_over_judges_is_of_pairs_drawn_again() -> None:
    r = record()
    # b accepts none of the pairs at 0.4, c the third one at 0.9
    found = measures.mean_tar(r, ("b", "c"))
    assert found.value == pytest.approx(1 / 6)
    assert (found.low, found.n) == (0.0, 3)
    assert found.high == pytest.approx(0.5)
    # one judge alone, or judges that agree: Wilson's interval, never [0, 0]
    assert measures.mean_tar(r, ("b",)) == (0.0, *wilson(0, 3), 3)
    assert math.isnan(measures.mean_tar(r, ()).value)


def test_the_worst_false_accept_rate_is_over_judges_and_operations() -> None:
    r = record()
    found = measures.worst_far(r, ("b", "c"))
    assert found == (measures.far(r, "b", "blur-1"), "b", "blur-1")
    assert found is not None
    assert found.share == (1.0, *wilson(1, 1), 1)
    raw = measures.worst_far(r, ("b", "c"), ("none",))
    assert raw is not None
    assert raw.share.value == 0
    assert measures.worst_far(r, ()) is None


def test_utility_and_privacy_of_one_bound_are_added_pair_by_pair() -> None:
    r = record()
    # cosines 0.6, 0.4, 0.3, 0.2 and distances 1, 2, 3, 4: at 0.3 two pairs are useful
    found = measures.utility_privacy(r, "a", bound=0.1, kappa=0.3)
    assert found.value == pytest.approx(0.5 + 2.5)
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(measures.trades(r, "a", kappa=0.3)[1].total)
    assert math.isnan(measures.utility_privacy(r, "a", bound=0.2, kappa=0.3).value)


def test_extremes_by_hand() -> None:
    r = record()
    own = measures.weakest(r, ("a",))
    assert own is not None
    assert own.share.value == pytest.approx(1 / 3)
    assert own.operation == "blur-1"
    other = measures.worst(r, ("b", "c"))
    assert other is not None
    assert other.share.value == pytest.approx(2 / 3)
    assert (other.judge, other.operation) == ("b", "blur-1")
    raw = measures.worst(r, ("b", "c"), ("none",))
    assert raw is not None
    assert raw.share.value == pytest.approx(1 / 3)
    assert raw.judge == "c"
    assert measures.selectivity(r) == pytest.approx(1 - 2 / 3)


def test_means_by_hand() -> None:
    r = record()
    assert measures.mean_steps(r) == 25
    assert measures.mean_residual(r) == pytest.approx(0.2)
    assert measures.unreached(r) == 2
    mean = measures.mean_strict(r, ("b", "c"), kappa=0.2)
    assert mean.value == pytest.approx(0.125)
    assert mean.low <= mean.value <= mean.high
    # where judges agree everywhere it is a share, and its interval has a width
    none = measures.mean_strict(r, ("b", "c"))
    assert none == (0.0, *wilson(0, 4), 4)
    assert measures.mean_strict(r, ("b",), kappa=0.2) == measures.strict(r, "b", kappa=0.2)


def test_fixed_steps_have_nothing_to_reach() -> None:
    assert measures.unreached(record(resolved={"method": {"residual": 0}, "distance": None})) == 0


def test_trades_by_hand() -> None:
    first, second = measures.trades(record(), "a", kappa=0.3)
    assert (first.bound, first.utility.value, first.privacy.value, first.total) == (0.0, 1.0, 0.5, 1.5)
    assert (second.utility.value, second.privacy.value, second.total) == (0.5, 2.5, 3.0)
    assert measures.trades(record(), "a")[1].utility.value == 0.25
    assert measures.trades(record(), "c", kappa=0.3) == []


def test_what_was_not_measured_is_no_number() -> None:
    r = record(same=(True, True, True, True), keys=())
    assert measures.strict(r, "a").n == 0
    assert math.isnan(measures.strict(r, "a").value)
    assert math.isnan(measures.mean_strict(r, ("a",)).value)
    assert math.isnan(measures.selectivity(r))
    bare = record(spent={"steps": (), "residuals": (), "unmet": (), "seconds": 0.0})
    assert math.isnan(measures.mean_steps(bare))
    assert math.isnan(measures.mean_residual(bare))
    without = record(noise=({"bound": 0.0, "cosines": {"a": (1, 1, 1, 1)}, "distance": None},))
    assert math.isnan(measures.trades(without, "a")[0].total)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), kappa=st.floats(-0.5, 0.5))
def test_equals_the_metrics_on_embeddings(seed: int, kappa: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    protected, original, other = (torch.randn(9, 3, generator=generator) for _ in range(3))
    same = torch.rand(9, generator=generator) < 0.5
    same[:2] = torch.tensor([True, False])
    distance = torch.rand(9, generator=generator)
    found = ScoresOf(
        original=tuple(pair_scores(protected, original).tolist()), other=tuple(pair_scores(protected, other).tolist())
    )
    r = record(
        same=tuple(same.tolist()),
        protected={"a": {"none": found}},
        noise=({"bound": 0.1, "cosines": {"a": found.original}, "distance": tuple(distance.double().tolist())},),
    )
    expected = strict_accuracy(protected, original, other, same, kappa=kappa)
    assert measures.strict(r, "a", kappa=kappa).value == pytest.approx(float(expected))
    up = utility_privacy(protected, original, distance, kappa=kappa)
    (trade,) = measures.trades(r, "a", kappa=kappa)
    assert trade.utility.value == pytest.approx(float(up.utility))
    assert trade.privacy.value == pytest.approx(float(up.privacy))
    assert trade.total == pytest.approx(float(up.total))


def test_a_score_that_is_no_number_can_be_read_back(tmp_path: Path) -> None:
    residuals = ((math.inf,), (math.nan,), (1.0,), (0.5,))
    kept = record(spent={"steps": (1, 1, 1, 1), "residuals": residuals, "seconds": 1.0, "unmet": ()})
    append(tmp_path / "r.jsonl", kept)
    (again,) = read_records(tmp_path / "r.jsonl")
    found = [row[0] for row in again.spent.residuals]
    assert math.isinf(found[0])
    assert math.isnan(found[1])
    assert found[2:] == [1.0, 0.5]


class TestTogether:
    """Judges `b` and `c` after two operations, by hand."""

    def test_the_union_is_of_all_attempts(self) -> None:
        # b accepts the first and third after a blur, c the third raw
        assert measures.union(record(), ("b", "c"))[:3] == (2 / 3, *wilson(2, 3))
        assert measures.union(record(), ("b", "c"), ("none",)).value == pytest.approx(1 / 3)
        worst = measures.worst(record(), ("b", "c"))
        assert worst is not None
        assert worst.share.value == pytest.approx(2 / 3)
        assert math.isnan(measures.union(record(), ()).value)

    def test_false_accepts_of_protected_pairs_are_counted_apart(self) -> None:
        assert measures.far(record(), "b", "blur-1").value == 1
        assert measures.far(record(), "b").value == 0
        assert math.isnan(measures.far(record(same=(True,) * 4), "b").value)

    def test_areas_are_of_every_attempt(self) -> None:
        assert measures.areas(record(), ("b", "c")) == []
        two = measures.areas(record(same=(True, True, False, False)), ("b", "c"))
        assert [(judge, name) for judge, name, _ in two] == [
            (judge, name) for judge in ("b", "c") for name in ("none", "blur-1")
        ]
        # b, raw: 0.3 and 0.0 of one person, 0.1 and 0.3 of two: ties count half
        assert two[0][2].auc == pytest.approx((1 + 0.5 + 0 + 0) / 4)

"""Methods as an experiment's file writes them."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facemin.experiments.methods import describe_method, make_compute, make_method
from facemin.protection import PROTECTORS, Adam, Kernel, Mix, RandomAffine, RandomNoise, RandomSort


def test_a_preset_varied() -> None:
    made = make_method(
        {
            "preset": "pmt-enhanced",
            "steps": 7,
            "residual": 0,
            "target": "plain",
            "rule": {"kind": "adam", "step": 3},
            "start": {"kind": "random-sort"},
            "transform": {"kind": "mix", "noise": {"most": 0.2}},
            "kernel": {"shape": "linear", "length": 2},
            "pool": 7,
            "weights": [1, 2.5],
        }
    )
    assert made == replace(
        PROTECTORS["pmt-enhanced"],
        steps=7,
        residual=0,
        target="plain",
        rule=Adam(step=3),
        start=RandomSort(),
        transform=Mix(noise=RandomNoise(most=0.2)),
        kernel=Kernel(shape="linear", length=2),
        pool=7,
        weights=(1, 2.5),
    )


@pytest.mark.parametrize("name", PROTECTORS)
def test_a_preset_as_it_is(name: str) -> None:
    assert make_method({"preset": name}) == PROTECTORS[name]


def test_none_takes_away() -> None:
    made = make_method({"preset": "pmt-enhanced", "transform": "none", "kernel": "none", "residual": "none"})
    assert made == replace(PROTECTORS["pmt-enhanced"], transform=None, kernel=None)
    assert make_method({"preset": "plain"}) is None


@given(
    steps=st.integers(0, 1000),
    residual=st.floats(0, 2),
    most=st.floats(0, 1),
    degrees=st.floats(0, 180),
    length=st.integers(0, 55),
)
def test_a_description_makes_the_same_method(
    steps: int, residual: float, most: float, degrees: float, length: int
) -> None:
    made = replace(
        PROTECTORS["pmt-enhanced"],
        steps=steps,
        residual=residual,
        transform=Mix(affine=RandomAffine(degrees=degrees), noise=RandomNoise(most=most)),
        kernel=Kernel(length=length),
    )
    table = json.loads(json.dumps(describe_method(made)))
    assert table["precision"] in ("float32", "bfloat16")  # "auto" is no answer
    named = {key: "none" if value is None else value for key, value in table.items()}
    assert make_method({"preset": "pmt", **named}) == made
    assert make_compute(named).precision == table["precision"]


def test_every_setting_is_described() -> None:
    described = describe_method(PROTECTORS["robust"])
    assert set(described) == {
        *("rule", "start", "transform", "target", "kernel", "pool", "weights", "steps", "residual", "precision")
    }
    assert described["transform"]["kind"] == "provider"
    assert describe_method(None) == {"preset": "plain"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "preset: expected one of robust, .*plain, got None"),
        ({"preset": "pmd"}, "preset: expected one of .*, got 'pmd'"),
        ({"preset": "plain", "steps": 3}, "no settings beside preset = 'plain', got steps"),
        ({"preset": "pmt", "stpes": 3}, "stpes: Extra inputs are not permitted, got 3"),
        ({"preset": "pmt", "steps": -1}, "steps: Input should be greater than or equal to 0, got -1"),
        ({"preset": "pmt", "steps": 1.5}, "steps: .*integer, got 1.5"),
        ({"preset": "pmt", "residual": float("nan")}, "residual: "),
        ({"preset": "pmt", "pool": 0}, "pool: .*, got 0"),
        ({"preset": "pmt", "rule": {"kind": "adm"}}, "rule.kind: expected one of adam, sign, l1, got 'adm'"),
        ({"preset": "pmt", "rule": "none"}, "rule.kind: expected one of adam, sign, l1, got None"),
        ({"preset": "pmt", "rule": {"kind": "adam", "stp": 1}}, "rule: expected settings among step, .*got .'stp'."),
        ({"preset": "pmt", "rule": {"kind": "adam", "step": "x"}}, "rule.step: .*valid number, got 'x'"),
        ({"preset": "pmt", "rule": {"kind": "sign", "step": -2}}, "Sign step: .* got -2.0"),
        ({"preset": "pmt", "transform": {"kind": "mix", "noise": {"mst": 1}}}, "transform.noise: .*got .'mst'."),
        ({"preset": "pmt", "transform": {"kind": "noise", "most": 3}}, "RandomNoise most: .*got 3.0"),
        ({"preset": "pmt", "kernel": 3}, "kernel: expected settings among shape, length, reading, got .3."),
        ({"preset": "pmt", "kernel": {"length": 2, "reading": "side"}}, "Kernel length: expected an odd integer"),
    ],
)
def test_refuses(table: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_method(table)

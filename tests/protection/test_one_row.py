"""A new protector is one file and one row of the registry: all that protects takes it from there."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch

from facemin.attack import Budget
from facemin.audit.inputs.attackers_data import TrainingPairs
from facemin.autograd.pixels import to_array
from facemin.cli import run
from facemin.experiments import read_records
from facemin.experiments.methods import describe_method, make_method
from facemin.image import decode
from facemin.protection import PROTECTORS
from facemin.protection.contract import Check, Protected
from facemin.runtime.compute import DEFAULT_COMPUTE, Compute
from tests.audit.test_rows import tiny_key
from tests.experiments.conftest import TOML, Measure, measure, world
from tests.pictures import encode_tensor
from tests.protection.protector_contract import check_description, check_protector

__all__ = ["measure", "world"]

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor

    from facemin.keys.key import Key


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """Noise about the face's mean colour, in few levels: what it protects is not this test's matter."""

    takes_gradients: ClassVar[bool] = False

    levels: int = 4

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise ValueError(f"levels: expected at least 2, got {self.levels}")

    def stream(
        self,
        faces: Iterable[Tensor],
        keys: Sequence[Key],
        *,
        seed: int,
        compute: Compute = DEFAULT_COMPUTE,
        on_step: Any = None,
    ) -> Iterator[Protected]:
        source, index = iter(faces), 0
        while part := list(islice(source, compute.batch)):
            for face in part:
                noise = torch.rand(3, 112, 112, generator=torch.Generator().manual_seed(seed))
                image = (noise * self.levels).floor() / self.levels * face.mean((1, 2), keepdim=True)
                check = Check(residuals=(0.0,) * len(keys), limits=(1.0,) * len(keys))
                yield Protected(index=index, pixels=to_array(image), seconds=0.0, check=check)
                index += 1

    def describe(self) -> dict[str, Any]:
        return {"kind": "quantised", **asdict(self)}


@pytest.fixture(autouse=True)
def row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROTECTORS, "quantised", Quantised())


def test_meets_the_contract(faces: Tensor, dlib_keys: dict[str, Key]) -> None:
    check_protector("quantised", faces, [dlib_keys["conv32.1"]])
    check_description("quantised")


def test_is_a_method_of_protect(
    faces: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, out = tmp_path / "a.png", tmp_path / "out"
    photo.write_bytes(encode_tensor(faces[0]))
    command = ["protect", str(photo), "--aligned", "--no-pseudonym", "--out", str(out), "--seed", "3", "--json"]
    assert run([*command, "--method", "quantised"]) == 0
    sent = decode(out / "a.protected.png").pixels
    assert len(np.unique(sent.reshape(-1, 3), axis=0)) <= 4**3
    capsys.readouterr()
    # done is done until a setting changes
    again = [*command, "--method", "quantised"]
    assert run(again) == 0
    assert len(json.loads(capsys.readouterr().out)["done_before"]) == 1
    PROTECTORS["quantised"] = Quantised(levels=5)
    assert run(again) == 0
    assert len(json.loads(capsys.readouterr().out)["protected"]) == 1
    assert run([*command, "--method", "quantized"]) == 2
    assert "quantised" in capsys.readouterr().err


def test_an_auditor_and_an_experiment_take_it(faces: Tensor, dlib_keys: dict[str, Key]) -> None:
    made, rows = TrainingPairs(PROTECTORS["quantised"]).protect(
        faces, [dlib_keys["conv32.1"]], Budget(seconds=1000), seed=1
    )
    assert (made.shape, rows.tolist()) == (faces.shape, list(range(len(faces))))
    method = make_method({"preset": "quantised", "levels": 3})
    assert method == Quantised(levels=3)
    assert describe_method(method) == {"kind": "quantised", "levels": 3}
    with pytest.raises(ValueError, match="levels: expected at least 2, got 1"):
        make_method({"preset": "quantised", "levels": 1})
    with pytest.raises(ValueError, match=r"quantised: expected settings among levels, got .'lvels'."):
        make_method({"preset": "quantised", "lvels": 3})


def test_a_whole_audit_takes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, photo, out = tmp_path / "a.key.onnx", tmp_path / "me.jpg", tmp_path / "audit"
    tiny_key().save(key)
    photo.write_bytes(Path(str(files("facemin.data") / "astronaut.jpg")).read_bytes())
    command = ["audit", str(photo), "--key", str(key), "--method", "quantised", "--seed", "1"]
    # all rows that take no optimisation
    assert run([*command, "--rows", "T0,T1,T2,T4,T5", "--minutes", "2", "--out", str(out), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert [row["row"] for row in values["rows"]] == ["T0", "T1", "T2", "T3", "T4", "T5", "T6"]
    assert values["rows"][0]["outcome"] == "look"
    sent = decode(out / "protected" / "me.protected.png").pixels
    assert len(np.unique(sent.reshape(-1, 3), axis=0)) <= 4**3


def test_an_experiments_file_takes_it(measure: Measure) -> None:
    changed = TOML.replace('preset = "pmt"\nsteps = 25\nresidual = 0.05', 'preset = "quantised"\nlevels = 3')
    changed = changed.replace('cut = "flat" }', 'cut = "flat", residual = 0.05 }').replace("steps = 8", "levels = 2")
    changed = changed.replace('cut = "embedding" }', 'cut = "embedding", residual = 0.05 }').replace("\nsteps = 3", "")
    done = measure(changed, quick=True)
    described = {record.cell: record.resolved["method"] for record in read_records(done.file)}
    assert described == {name: {"kind": "quantised", "levels": levels} for name, levels in (("one", 3), ("both", 2))}

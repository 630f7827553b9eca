"""Experiments as files: what they mean, and how they are refused."""

import re
from pathlib import Path

import pytest

from facemin.experiments import read_experiment
from facemin.experiments.methods import describe_method
from facemin.protection import PMT, PROTECTORS, GaussianBlur, RandomNoise
from tests.experiments.conftest import TOML

EXPERIMENTS = sorted((Path(__file__).resolve().parents[2] / "experiments" / "pmt").glob("*.toml"))


def write(folder: Path, text: str) -> Path:
    path = folder / "some.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_cells_merge_with_what_all_share(tmp_path: Path) -> None:
    experiment = read_experiment(write(tmp_path, TOML))
    one, both = experiment.cells()
    assert (one.name, one.series, one.point) == ("one", "one", {})
    assert isinstance(one.method, PMT)
    assert (one.method.steps, one.method.residual, one.method.rule) == (25, 0.05, PROTECTORS["pmt"].rule)
    assert (one.paper.authorised, one.paper.up) == (0.99, None)
    assert isinstance(both.method, PMT)
    assert (both.method.steps, both.method.residual) == (8, 0.05)
    assert [key.residual for key in both.keys] == [None, 0.2]
    assert experiment.data.set == str(tmp_path / "faces")
    assert experiment.paper is not None
    assert experiment.paper.rows[0] == ("Clean", 0.994)


def test_a_table_of_another_kind_replaces(tmp_path: Path) -> None:
    text = TOML.replace("steps = 25", 'steps = 25\nstart = { kind = "gaussian-noise", deviation = 0.3 }')
    text = text.replace("method = { steps = 8 }", 'method = { start = { kind = "gaussian-blur" } }')
    one, both = read_experiment(write(tmp_path, text)).cells()
    assert one.method is not None
    assert isinstance(both.method, PMT)
    assert both.method.start == GaussianBlur()
    again = TOML.replace("method = { steps = 8 }", 'method = { preset = "plain" }')
    assert read_experiment(write(tmp_path, again)).cells()[1].method is None


def test_a_sweep_is_every_combination(tmp_path: Path) -> None:
    sweep = '[sweep]\n"method.steps" = [3, 6]\n"method.transform" = ["none", { kind = "noise", most = 0.2 }]\n'
    one = read_experiment(write(tmp_path, TOML.replace("[[cell]]", sweep + "[[cell]]", 1))).cells()[:4]
    assert [cell.name for cell in one] == [
        "one, steps 3, transform none",
        "one, steps 3, transform noise",
        "one, steps 6, transform none",
        "one, steps 6, transform noise",
    ]
    assert {cell.series for cell in one} == {"one"}
    assert one[1].point == {"method.steps": 3, "method.transform": {"kind": "noise", "most": 0.2}}
    assert [isinstance(cell.method, PMT) and cell.method.steps for cell in one] == [3, 3, 6, 6]
    assert [isinstance(cell.method, PMT) and cell.method.transform for cell in one] == [None, RandomNoise(most=0.2)] * 2
    # each cell has settings of its own
    assert [cell.passed["method"]["steps"] for cell in one] == [3, 3, 6, 6]


def test_a_sweep_over_keys_and_one_of_a_cell(tmp_path: Path) -> None:
    text = TOML.replace("method = { steps = 8 }", 'sweep = { "keys.residual" = [0.1, 0.3] }')
    cells = read_experiment(write(tmp_path, text)).cells()
    assert [cell.name for cell in cells] == ["one", "both, residual 0.1", "both, residual 0.3"]
    assert [[key.residual for key in cell.keys] for cell in cells] == [[None], [0.1, 0.1], [0.3, 0.3]]


def test_keys_by_name(tmp_path: Path) -> None:
    text = TOML.replace("[[cell]]", '[key.shallow]\nrecogniser = "one"\ncut = "pooled"\n[[cell]]', 1)
    text = text.replace('keys = [{ recogniser = "one", cut = "flat" }]', 'keys = ["shallow"]')
    sweep = '[sweep]\n"keys.residual" = [0.1, 0.3]\n[key.'
    first, second = read_experiment(write(tmp_path, text.replace("[key.", sweep))).cells()[:2]
    assert first.passed["keys"] == [{"recogniser": "one", "cut": "pooled", "residual": 0.1}]
    assert [key.residual for key in second.keys] == [0.3]
    with pytest.raises(ValueError, match="cell 'one': keys: expected a table or one of shallow, got 'deep'"):
        read_experiment(write(tmp_path, text.replace('["shallow"]', '["deep"]')))
    # an experiment's own keys are those of every cell without
    shared = text.replace('keys = ["shallow"]', "").replace("[data]", 'keys = ["shallow"]\n[data]')
    assert [key.cut for key in read_experiment(write(tmp_path, shared)).cells()[0].keys] == ["pooled"]


def test_quick_cuts_steps_short(tmp_path: Path) -> None:
    experiment = read_experiment(write(tmp_path, TOML))
    assert [isinstance(cell.method, PMT) and cell.method.steps for cell in experiment.cells(quick=True)] == [3, 3]
    plain = TOML.replace("method = { steps = 8 }", 'method = { preset = "plain" }')
    assert read_experiment(write(tmp_path, plain)).cells(quick=True)[1].method is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("title =", "titel ="), "title: Field required; titel: Extra inputs"),
        (("genuine = 6", "genuine = 0"), "data.genuine: .*greater than or equal to 1, got 0"),
        (("genuine = 6", "genuine = 6.5"), "data.genuine: .*valid integer, got 6.5"),
        (('"jpeg-75"]', '"jpg"]'), "operations: expected some of none, blur-1, .*got .'none', 'blur-1', 'jpg'."),
        (('["none", "blur-1"', '["blur-1"'), "among them none; got"),
        (('layout = "matrix"', 'layout = "pie"'), "layout: .*'matrix'.*, got 'pie'"),
        (("far = 0.02", "far = 1"), "judges.far: .*less than 1, got 1"),
        (("far = 0.02", 'opponent = "three"'), "judges: opponent: expected one of the names, got 'three'"),
        (('["one", "two"]', '["one", "one"]'), "judges: names: expected each once"),
        (('preset = "pmt"', 'preset = "pm"'), "cell 'one': preset: expected one of"),
        (("steps = 8", "step = 8"), "cell 'both': step: Extra inputs are not permitted, got 8"),
        (('name = "both"', 'name = "one"'), "cell: expected each name once, got .'one', 'one'."),
        (('name = "both"', "nam = 1"), "cell.name: expected a name, got None"),
        (("method = { steps = 8 }", "metod = 1"), "cell 'both': expected name, method, .*got .'metod'."),
        (('cut = "flat"', "cat = 1"), "cell 'one': cut: Field required; cat: Extra inputs"),
        (('recogniser = "two"', 'recogniser = "three"'), "cell 'both': keys: expected .*judges, got .'three'."),
        (("residual = 0.05", "steps2 = 1"), "cell 'one': steps2"),
        (("residual = 0.05", ""), "cell 'one': residual: expected one for the method or for every key"),
        (("residual = 0.2", "residual = 3"), "cell 'both': residual: .*less than or equal to 2, got 3"),
        (("method = { steps = 8 }", "method = { weights = [1] }"), "method.weights: expected 2, one a key, got 1"),
        (("method = { steps = 8 }", 'sweep = { "judges.far" = [1] }'), "names like method.steps .*got 'judges.far'"),
        (("method = { steps = 8 }", 'sweep = { "method.steps.most" = [1] }'), "to lie within a table, got 25"),
        (("unauthorised = 0.077", "unauthorized = 1"), "cell 'one': unauthorized: Extra inputs"),
        (('["Clean", 0.994]', '["Clean"]'), "paper: rows: expected 2 entries in each, got 1 in 'Clean'"),
        (("[data]", "[data"), "expected TOML, got: "),
    ],
)
def test_refuses_naming_file_and_key(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in TOML
    path = write(tmp_path, TOML.replace(*change))
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: .*{message}"):
        read_experiment(path)


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected an experiment, found no file"):
        read_experiment(tmp_path / "none.toml")


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_of_the_repository_reads(path: Path) -> None:
    experiment = read_experiment(path)
    cells = experiment.cells()
    assert len(cells) == len(experiment.cells(quick=True))
    assert all(describe_method(cell.method) for cell in cells)
    assert experiment.source.startswith("PMT")


def test_the_papers_tables_and_figures_are_there() -> None:
    wanted = {f"table{n}" for n in (3, 4, 5, 7, 9, 10)} | {f"figure{n}" for n in (4, 5, 8, 9, 10, 11)}
    assert wanted <= {path.stem for path in EXPERIMENTS}


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    assert read_experiment(write(tmp_path, "\ufeff" + TOML)) == read_experiment(write(tmp_path, TOML))

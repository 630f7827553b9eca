"""Training configurations: defaults, paths, and refusals that name file and field."""

from pathlib import Path

import pytest

from facemin.train import read_config
from facemin.train.config import HEAD_SETTINGS
from facemin.train.heads import HEADS, ArcFaceSettings

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments" / "train"
GOOD = """
epochs = 2
batch = 8
[data]
kind = "folder"
root = "faces"
[model]
family = "ir50"
[head]
kind = "arcface"
margin = 0.3
[optimiser]
rate = 0.1
[schedule]
kind = "step"
milestones = [1]
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


def test_reads_a_file_and_fills_in(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, GOOD))
    assert config.data.root == tmp_path / "faces"
    assert config.head.settings() == ArcFaceSettings(margin=0.3)
    assert (config.precision, config.accumulate, config.schedule.warmup) == ("32-true", 1, 0.0)


def test_an_absolute_root_stays(tmp_path: Path) -> None:
    text = GOOD.replace('"faces"', '"/faces"')
    assert read_config(written(tmp_path, text)).data.root == Path("/faces")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("epochs = 2", "", "epochs: Field required"),
        ("epochs = 2", "epochs = 0", "epochs: .*greater than or equal to 1, got 0"),
        ("epochs = 2", 'epochs = "2"', "epochs: .*valid integer, got '2'"),
        ("epochs = 2", "epochs = true", "epochs: .*valid integer, got True"),
        ("epochs = 2", "epochs = 2\ndropout = 1", "dropout: Extra inputs"),
        ("rate = 0.1", "rate = nan", "optimiser.rate: "),
        ("rate = 0.1", "rate = 0", "optimiser.rate: .*greater than 0"),
        ('"ir50"', '"ir51"', "model: expected a family among .*ir50.*, got 'ir51'"),
        ('"arcface"', '"archface"', "head: expected a kind among .*arcface"),
        ("margin = 0.3", "margin = 4", r"head: ArcFaceSettings margin: expected in \[0, pi\), got 4"),
        ("margin = 0.3", 'margin = "x"', "head: "),
        ("margin = 0.3", "margins = 0.3", "head: expected settings of arcface, got {'margins': 0.3}"),
        ('"step"', '"steps"', "schedule: "),
        ("[1]", "[2, 1]", "schedule: expected rising milestones"),
        ("[1]", "[1]\nwarmup = 2", "schedule: expected a warm-up shorter than 2 epochs"),
        ('"faces"', '"faces"\nheld_out = -1', "data.held_out: "),
        ('"faces"', '"faces"\nheld_out = []', "data.held_out"),
        ('"faces"', '"faces"\naligned = true\ncache = "x"', "data: expected nothing to align with"),
        ('"folder"', '"insightface"\nlandmarks = "x"', "data: expected no landmarks"),
        ("epochs = 2", "epochs = ", "expected TOML"),
    ],
)
def test_refuses_naming_file_and_field(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(ValueError, match=rf"run\.toml: (.*; )?{said}"):
        read_config(written(tmp_path, GOOD.replace(old, new)))


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.toml: expected a training configuration"):
        read_config(tmp_path / "none.toml")


def test_every_head_has_settings() -> None:
    assert set(HEAD_SETTINGS) == set(HEADS)


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.toml")), ids=lambda path: path.stem)
def test_what_ships_is_valid(path: Path) -> None:
    read_config(path)


def test_the_papers_four_losses_ship() -> None:
    found = {path.stem: read_config(path) for path in EXPERIMENTS.glob("casia-*.toml")}
    assert {config.head.kind for config in found.values()} == {"softmax", "sphereface", "cosface", "arcface"}
    assert {config.epochs for config in found.values()} == {100}


def test_the_course_leaves_out_what_changes_no_weight(tmp_path: Path) -> None:
    course = read_config(written(tmp_path, GOOD)).course()
    moved = GOOD.replace('"faces"', '"elsewhere"\nworkers = 7').replace("epochs = 2", "epochs = 2\nlog_every = 3")
    assert read_config(written(tmp_path, moved)).course() == course
    assert read_config(written(tmp_path, GOOD.replace("0.3", "0.2"))).course() != course


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, "\ufeff" + GOOD)) == read_config(written(tmp_path, GOOD))

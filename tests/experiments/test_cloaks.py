"""Experiments on cloaks: files read, photos looked up, attacks that know the method, runs taken up again."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from facemin.attack.purify.registry import PURIFIERS
from facemin.cloak.p3_mask import P3Mask
from facemin.experiments.cloaks.attacks import train_head, without_estimate
from facemin.experiments.cloaks.face_cure import CloakedPairs
from facemin.experiments.cloaks.measure import ESTIMATORS
from facemin.experiments.cloaks.people import load_people
from facemin.experiments.cloaks.records import CloakRecord, LookedUp, read_cloak_records
from facemin.experiments.cloaks.run import Place, run_cloaks
from facemin.experiments.cloaks.scoring import Gallery, Lookup, thresholds
from facemin.experiments.cloaks.settings import People, read_cloak_experiment
from facemin.experiments.cloaks.table import hits_table, protection_table, quality_table
from tests.pictures import smooth_faces

FILE = """
title = "small"
judges = ["dlib-resnet29", "mobileface-v3"]
[data]
people = 3
fit = 2
probes = 1
distractors = 12
impostors = 20
[[cloak]]
name = "P3-Mask"
method = "p3-mask"
settings = { epochs = 2, step = 4.0 }
surrogates = ["mobileface-v3"]
purifiers = ["jpeg-75"]
adaptive = true
attacked = 2
face_cure = ["mobileface-v3"]
"""
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "file", sorted((REPOSITORY / "experiments" / "cloaks").glob("*.toml")), ids=lambda file: file.stem
)
def test_the_files_that_ship_are_read(file: Path) -> None:
    assert read_cloak_experiment(file).cloak


def test_a_file_is_read_with_its_settings(tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text(FILE)
    assert read_cloak_experiment(file).cloak[0].cloak == P3Mask(epochs=2, step=4.0)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"p3-mask"', '"p4-mask"', "opom-fi-uap"),
        ("epochs = 2", "epoch = 2", "epoch"),
        ("epochs = 2", "epochs = 0", "epochs"),
        ("jpeg-75", "jpeg-1", "purifiers"),
        ("people = 3", "people = 1", "people"),
        ('judges = ["dlib-resnet29", ', 'judges = ["mobileface-v3", ', "once"),
        ('"p3-mask"\nsettings = { epochs = 2, step = 4.0 }', '"makeup"', "adaptive"),
        ("attacked = 2", "attacked = 3", "face_cure"),
        ('face_cure = ["mobileface-v3"]', 'face_cure = ["another"]', "face_cure"),
        ("title", "titel", "titel"),
        ("[data]", "[data", "TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(FILE.replace(old, new))
    with pytest.raises(ValueError, match=said):
        read_cloak_experiment(file)


def test_looking_up_by_hand() -> None:
    axes = torch.eye(4)
    gallery = Gallery(enrolled=axes[:2], distractors=axes[2:], thresholds={"0.01": 0.7, "0.001": 0.9})
    probes = F.normalize(torch.tensor([[1.0, 0.0, 0.1, 0.0], [0.5, 0.6, 0.62, 0.0]]))
    looked = gallery.look_up(probes, torch.tensor([0, 1]))
    assert looked.ranks.tolist() == [1, 2]
    assert looked.accepted["0.01"].tolist() == [True, False]
    assert looked.scores.tolist() == pytest.approx([0.995, 0.601], abs=1e-3)
    assert Lookup.joined([looked, looked]).ranks.tolist() == [1, 2, 1, 2]


def test_thresholds_accept_the_given_share_of_impostors() -> None:
    rows = F.normalize(torch.randn(200, 16, generator=torch.Generator().manual_seed(1)))
    scores = (rows @ rows.T)[torch.ones(200, 200).triu(1).bool()]
    for far, threshold in thresholds(rows, [0.1, 0.01]).items():
        assert float((scores >= threshold).float().mean()) == pytest.approx(float(far), rel=0.02)


def test_a_trained_head_undoes_one_rotation_common_to_all() -> None:
    generator = torch.Generator().manual_seed(3)
    centres = F.normalize(torch.randn(60, 12, generator=generator))
    plain = F.normalize(centres[:, None] + 0.1 * torch.randn(60, 5, 12, generator=generator), dim=-1)
    turn = torch.linalg.qr(torch.randn(12, 12, generator=generator)).Q
    cloaked = plain @ turn
    head = train_head(cloaked[:50], plain[:50], both=False)
    before = (cloaked[50:] * centres[50:, None]).sum(-1).mean()
    after = (head(cloaked[50:].flatten(0, 1)).view(10, 5, 12) * centres[50:, None]).sum(-1).mean()
    assert before < 0.3 < 0.6 < after


def test_an_estimate_finds_a_mask_that_many_photos_share() -> None:
    generator = torch.Generator().manual_seed(4)
    smooth = smooth_faces(12, cells=6, generator=generator).clamp(0.1, 0.9)
    mask = (torch.rand(1, 3, 112, 112, generator=generator) - 0.5) * 0.1
    cloaked = (smooth + mask).clamp(0, 1)
    after = without_estimate(cloaked, PURIFIERS["blur-2"])
    assert float((after - smooth).square().mean()) < 0.2 * float((cloaked - smooth).square().mean())


def test_pairs_of_cloaked_photos_by_hand() -> None:
    plain = np.zeros((3, 112, 112, 3), np.uint8) + np.array([10, 20, 30], np.uint8)[:, None, None, None]
    changes = np.array([1, 2, -4], np.int16)[:, None, None, None]
    pairs = CloakedPairs(plain, (plain + changes).astype(np.uint8), torch.eye(3))
    assert len(pairs) == 12
    seen = [(int(image[0, 0, 0]), int(target.argmax())) for image, target in (pairs[index] for index in range(12))]
    assert seen[:6] == [(10, 0), (20, 1), (30, 2), (11, 0), (22, 1), (26, 2)]
    # what another photo's cloak changed lies on each face, and the target stays that of the plain face
    assert [target for _, target in seen[6:]] == [0, 1, 2, 0, 1, 2]
    for half in (seen[6:9], seen[9:]):
        assert sorted(value - 10 * (who + 1) for value, who in half) == [-4, 1, 2]


def test_people_to_choose_settings_on_are_none_that_are_reported(shared: Path) -> None:
    drawn = [
        load_people(
            People(people=people, fit=2, probes=1, distractors=1, impostors=2, apart_from=apart), shared, seed=1
        )
        for people, apart in ((3, 0), (2, 3))
    ]
    first, second = ({face.tobytes() for face in data.faces.reshape(-1, 112 * 112 * 3)} for data in drawn)
    assert len(first) == 12
    assert len(second) == 8
    assert not first & second


def test_a_run_is_measured_once_taken_up_again_and_tabled(shared: Path, tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text(FILE)
    experiment = read_cloak_experiment(file)
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 2

    said: list[str] = []
    assert not run_cloaks(experiment, Place(shared=shared, out=tmp_path, stop=stop, tell=said.append), name="small")
    assert any("stopped after" in line for line in said)
    said.clear()
    place = Place(shared=shared, out=tmp_path, tell=said.append)
    assert run_cloaks(experiment, place, name="small")
    assert sum("person" in line for line in said) == 1
    said.clear()
    assert run_cloaks(experiment, place, name="small")
    assert not [line for line in said if "measuring" in line]
    (record,) = read_cloak_records(tmp_path / "small.cloaks.jsonl")
    assert set(record.looked_up) == {"dlib-resnet29", "mobileface-v3", "all together"}
    looked = record.looked_up["dlib-resnet29"]
    assert {"plain to plain", "cloaked to plain", "cloaked to cloaked", "jpeg-75", "removed", "head on probes"} <= set(
        looked
    )
    assert {condition: len(each.ranks) for condition, each in looked.items() if len(each.ranks) != 3} == dict.fromkeys(
        ("jpeg-75", *ESTIMATORS, *(condition for condition in looked if condition.startswith("removed"))), 2
    )
    assert all(all(np.isfinite(each.scores)) for each in looked.values())
    # removed at the same landmarks, or where the mask itself is found, the photo is all but the plain one again
    for condition in ("removed", "removed, registered"):
        assert np.abs(np.subtract(looked[condition].scores, looked["plain to plain"].scores[:2])).max() < 0.02
    cured = {name: each for name, each in record.looked_up["mobileface-v3"].items() if name.startswith("fine-tuned")}
    assert len(cured) == 3
    assert all(len(each.scores) == 2 for each in cured.values())
    table = protection_table([record], far="0.001")
    assert "P3-Mask" in table
    assert "mobileface-v3" in table


def test_tables_by_hand() -> None:
    looked = LookedUp(
        scores=(0.9, 0.1, 0.2, 0.3),
        accepted={"0.001": (True, False, False, False)},
        ranks=(1, 7, 2, 1),
    )
    record = CloakRecord(
        identity="0",
        experiment="small",
        cloak={"name": "P3-Mask", "surrogates": ["seen"]},
        people=2,
        probes=2,
        data={},
        judges={"seen": "a", "held out": "b"},
        quality={"ssim": (0.9, 0.98)},
        fit_seconds=(1.0, 3.0),
        looked_up={"seen": {"jpeg-75": looked}, "held out": {"jpeg-75": looked, "blur-1": looked}},
        commit=None,
        dirty=None,
        versions={},
        machine="",
        time=datetime(2026, 1, 1, tzinfo=UTC),
    )
    lines = protection_table([record], far="0.001").splitlines()
    assert lines[2] == "| P3-Mask | 2 | jpeg-75 | 0.75 (0.50-1.00)* | 0.75 (0.50-1.00) |"
    assert lines[3] == "| P3-Mask | 2 | blur-1 |  | 0.75 (0.50-1.00) |"
    assert "0.75 (0.50-1.00)*" in hits_table([record], rank=2, conditions=["jpeg-75"])
    assert "0.50 (0.50-0.50)*" in hits_table([record], rank=1, conditions=["jpeg-75"])
    assert quality_table([record]).splitlines()[2] == "| P3-Mask | 2 | 0.9400 | 2.0 |"


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.cloaks.jsonl"
    file.write_text("{}\n")
    with pytest.raises(ValueError, match="line 1"):
        read_cloak_records(file)

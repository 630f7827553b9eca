"""Each row on protection that is none, and on noise that tells nothing."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from facemin.attack import ATTACKS
from facemin.attack.attributes.estimators import Attribute
from facemin.attack.contract import PublicFaces
from facemin.attack.link.plain_pairs import blurred
from facemin.attack.reconstruct.inverter_attack import InverterAttack
from facemin.attack.reconstruct.white_box import WhiteBox
from facemin.audit import ROWS, AuditInputs, Budget, RowResult, audit, render
from facemin.audit.authorised import still_recognises
from facemin.audit.figures import counted
from facemin.audit.inputs.attackers_data import best_teacher, split_faces
from facemin.audit.inputs.judges import calibrate_judge, find_panel, joined
from facemin.audit.rows.attributes import class_outcome
from facemin.audit.rows.fitted import nothing_to_train_on
from facemin.audit.rows.reconstruction import trained_inverter, white_box
from facemin.audit.rows.t0_eye import look
from facemin.audit.rows.t1_off_the_shelf import no_judges, off_the_shelf
from facemin.audit.rows.t2_purified import IN_A_ROW, behind_purifiers
from facemin.audit.rows.t5_linker import linker, nothing_to_link_by
from facemin.audit.run import ORDER, STOPPED
from facemin.keys.default import default_key, plain_key
from facemin.keys.key import Key, export_key
from facemin.metrics import permutation_test
from tests.audit.conftest import Make, noise, people_of_patterns, tiny

LONG = Budget(seconds=1000)


class Brightness:
    """An estimator: is the left half brighter than the right, and how bright is it all, in years."""

    name = "brightness"
    attributes = (Attribute(name="side", classes=("left", "right")), Attribute(name="age"))

    def __call__(self, faces: Tensor) -> dict[str, Tensor]:
        left, right = faces[..., :56].mean((1, 2, 3)), faces[..., 56:].mean((1, 2, 3))
        return {"side": (20 * torch.stack([left, right], 1)).softmax(1), "age": 100 * faces.mean((1, 2, 3))}


def tiny_key() -> Key:
    return export_key(tiny("own", 3), "flat", provider="test", residual=0.05)


class TestEye:
    def test_a_face_that_was_not_protected_shows_more_than_the_floors(self, evidence: Make) -> None:
        found = look(evidence(6, protected=people_of_patterns(6, 2).faces), LONG)
        assert found.outcome == "leak"
        ssim = {figure.of: figure for figure in found.figures if figure.name == "SSIM"}
        assert ssim["protected"].value == pytest.approx(1)
        assert {"floor: grey", "floor: mean face", "floor: another person"} <= set(ssim)
        assert found.tables[0].rows
        assert len(found.pictures[0].rows[0][1]) == 6

    def test_noise_is_no_finding_and_no_pass_either(self, evidence: Make) -> None:
        found = look(evidence(6), LONG)
        assert found.outcome == "look"
        assert "Look at the pictures" in found.verdict

    def test_one_photo_has_no_interval_and_says_which_floors_are_missing(self, evidence: Make) -> None:
        one = AuditInputs(names=("a",), originals=noise(1), protected=1 - noise(1))
        found = look(one, Budget(seconds=0))
        assert found.outcome == "look"
        assert all(math.isnan(figure.low) for figure in found.figures)
        assert any("mean face and another person's face" in text for text in found.untested)
        assert any("no time was left for: blur-1" in text for text in found.untested)


class TestOffTheShelf:
    def test_a_face_that_was_not_protected_is_recognised(self, evidence: Make) -> None:
        found = off_the_shelf(evidence(20, protected=people_of_patterns(20, 2).faces), LONG)
        assert found.outcome == "leak"
        assert "accepted 20 of 20" in found.verdict
        assert len(found.tables[0].rows) == 2

    def test_noise_of_few_people_cannot_tell_and_says_how_many_are_missing(self, evidence: Make) -> None:
        found = off_the_shelf(evidence(20), LONG)
        assert found.outcome == "cannot tell"
        assert "20 pairs cannot tell whether that is at most one person of twenty: it takes" in found.verdict

    def test_noise_of_many_people_is_bounded(self, evidence: Make) -> None:
        found = off_the_shelf(evidence(80), LONG)
        assert found.outcome == "bounded"
        cells = {figure.where for figure in found.figures}
        assert {"plain, plain", "protected, plain", "plain, protected", "protected, protected"} <= cells
        plain = [figure for figure in found.figures if figure.where == "plain, plain"]
        assert all(figure.hits == 80 for figure in plain)

    def test_images_that_link_to_one_another_are_a_leak(self, evidence: Make) -> None:
        # turned over, nobody is recognised, but everybody's two images are each other's
        turned = people_of_patterns(80, 2).faces.flip(2)
        found = off_the_shelf(evidence(80, protected=turned), LONG)
        assert found.outcome == "leak"
        assert "protected, protected" in found.verdict

    def test_attributes_that_are_still_read(self, evidence: Make) -> None:
        kept = people_of_patterns(80, 2).faces.mean(1, keepdim=True).expand(-1, 3, -1, -1)
        found = off_the_shelf(evidence(80, protected=kept, others=(), estimators=(Brightness(),)), LONG)
        assert found.outcome == "leak"
        assert "side (brightness, none): agrees for" in found.verdict
        hidden = off_the_shelf(evidence(80, others=(), estimators=(Brightness(),)), LONG)
        assert hidden.outcome != "leak"

    @pytest.mark.parametrize(
        ("common", "rare", "found", "wrong", "outcome"),
        [
            (18, 2, 2, 0, "leak"),  # everything read, of which nine tenths are one class
            (94, 10, 8, 5, "leak"),
            (94, 10, 0, 0, "cannot tell"),  # always the commonest: no share is far from that
            (60, 44, 0, 0, "bounded"),
            (60, 44, 26, 28, "bounded"),
            (60, 44, 27, 24, "cannot tell"),
            (20, 0, 0, 0, "not tested"),
        ],
    )
    def test_a_rare_class_that_is_found_is_a_finding(
        self, common: int, rare: int, found: int, wrong: int, outcome: str
    ) -> None:
        truth = torch.tensor([0] * common + [1] * rare)
        said = torch.tensor([1] * wrong + [0] * (common - wrong) + [1] * found + [0] * (rare - found))
        figure = counted(said == truth, name="agreement", of="", where="")
        floor = common / (common + rare)
        assert class_outcome(permutation_test(said, truth), figure, floor=floor, cells=5) == outcome

    def test_without_other_recognisers_no_judge_is_named(self, evidence: Make) -> None:
        assert "facemin model add" in no_judges(evidence(3, others=()))
        assert no_judges(evidence(3)) == ""


class TestPurified:
    def test_what_a_purifier_brings_back_is_a_leak(self, evidence: Make) -> None:
        # the recognisers see means of blocks, which no purifier changes
        faces = people_of_patterns(20, 2).faces
        found = behind_purifiers(evidence(20, protected=faces), Budget(seconds=0))
        assert found.outcome == "leak"
        # no time: the first purifier alone
        (late,) = [text for text in found.untested if "no time was left for, before the recognisers" in text]
        left_out = late.rstrip(".").split(": ")[1].split(", ")
        assert {"tv-0.5", *IN_A_ROW} <= set(left_out)
        assert "blur-1" not in left_out

    def test_purifiers_are_tried_one_after_the_other(self, evidence: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("facemin.audit.rows.t2_purified.PURIFIED", IN_A_ROW)
        kept = behind_purifiers(evidence(20, protected=blurred(people_of_patterns(20, 2).faces)), LONG)
        hits = {figure.where: figure.hits for figure in kept.figures if figure.name == "TAR" and figure.of == "one"}
        assert {f"protected, plain, {name}" for name in IN_A_ROW} <= set(hits)
        assert {hits[f"protected, plain, {name}"] for name in IN_A_ROW} == {20}
        assert kept.outcome == "leak"
        assert behind_purifiers(evidence(20), LONG).outcome == "cannot tell"

    def test_a_probe_reads_what_protected_faces_keep(self, evidence: Make) -> None:
        hidden = (people_of_patterns(80, 2).faces * 0.2 + 0.8 * noise(160)).clamp(0, 1)
        settings = {"others": (), "estimators": (Brightness(),), "keys": (tiny_key(),)}
        found = behind_purifiers(evidence(80, protected=hidden, **settings), Budget(seconds=0))
        probes = [figure for figure in found.figures if figure.name == "probe agreement"]
        assert {figure.where for figure in probes} == {"image", f"key {tiny_key().manifest.key_id}"}
        assert max(figure.value for figure in probes) > 0.75
        assert "A probe trained on" in found.verdict


class TestWhiteBox:
    def test_a_shallow_key_gives_the_face_back(self, evidence: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        attack = ATTACKS["white-box"]
        assert isinstance(attack.method, WhiteBox)
        # a number of steps, since a number of seconds would be fewer of them on a busy machine
        monkeypatch.setitem(ATTACKS, "white-box", replace(attack, method=replace(attack.method, steps=100)))
        # the key's block means are all there is to these people, so reconstructions from noise-free features are them
        faces = people_of_patterns(4, 2).faces
        found = white_box(evidence(4, protected=faces, keys=(tiny_key(),)), Budget(seconds=math.inf))
        assert found.outcome == "leak"
        assert any(figure.of == "white box, from the plain face" for figure in found.figures)
        titles = [title for title, _ in found.pictures[0].rows]
        assert titles == ["photo", "protected", "white box", "white box, from the plain face"]

    def test_little_time_means_few_steps_and_says_so(self, evidence: Make) -> None:
        found = white_box(evidence(8, keys=(tiny_key(),)), Budget(seconds=0))
        assert "Tried on 1 face: white box." in found.verdict
        assert any("The full 400 steps: time was left for 60." in text for text in found.untested)
        assert any("15 of 16 faces" in text or "7 of 8 faces" in text for text in found.untested)


@pytest.fixture
def small_inverters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inverters and denoisers of an eighth of the width: what they learn is tested in tests/attack."""
    for name, attack in ATTACKS.items():
        if isinstance(attack.method, InverterAttack):
            narrow = replace(attack.method, settings=replace(attack.method.settings, width=4))
            monkeypatch.setitem(ATTACKS, name, replace(attack, method=narrow))


class TestTrained:
    def test_need_plain_faces_of_other_people(self, evidence: Make) -> None:
        little = evidence(3, keys=(tiny_key(),), train=people_of_patterns(9, 2, seed=3))
        for reason in (nothing_to_train_on(little), nothing_to_link_by(little)):
            assert "at least 100; 18 were given" in reason
        enough = evidence(3, keys=(tiny_key(),), train=people_of_patterns(60, 2, seed=3))
        assert nothing_to_train_on(enough) == nothing_to_link_by(enough) == ""
        assert "No key" in nothing_to_train_on(evidence(3, train=people_of_patterns(60, 2, seed=3)))

    def test_the_key_alone_links_people(self, evidence: Make) -> None:
        train = people_of_patterns(60, 4, seed=3)
        faces = people_of_patterns(10, 2).faces
        given = evidence(10, protected=faces, keys=(tiny_key(),), train=train, others=())
        found = linker(given, Budget(seconds=0))
        assert found.outcome == "leak"
        assert "the key alone" in found.verdict
        assert any("it needs another recogniser as a teacher" in text for text in found.untested)
        names = {(figure.name, figure.where) for figure in found.figures}
        assert ("rank-1", "protected probe") in names
        assert {"the key's features as they are", "the key alone, a head of 192 plain faces"} == {
            figure.of for figure in found.figures
        }

    def test_a_linker_counts_at_its_own_threshold_and_by_rank(self, evidence: Make) -> None:
        # half of the face is gone, and with it the scores; the nearest in the gallery is still the right one
        faces = people_of_patterns(40, 2).faces
        torn = torch.cat([faces[:, :, :56], noise(80)[:, :, 56:]], 2)
        train = people_of_patterns(60, 4, seed=3)
        given = evidence(40, protected=torn, keys=(tiny_key(),), train=train, others=())
        found = linker(given, Budget(seconds=0))
        assert found.outcome == "leak"
        by = {(figure.of, figure.name, figure.where): figure for figure in found.figures}
        bare = "the key's features as they are"
        at_own = by[bare, "TAR", "protected probe, threshold of these images"]
        assert at_own.hits is not None
        assert at_own.hits > 30
        assert by[bare, "rank-1", "protected probe"].value > 0.9

    @pytest.mark.usefixtures("small_inverters")
    def test_t4_reports_skipped_attacks(self, evidence: Make) -> None:
        train = people_of_patterns(70, 2, seed=3)
        given = evidence(4, protected=people_of_patterns(4, 2).faces, keys=(tiny_key(),), train=train)
        found = trained_inverter(given, Budget(seconds=0))
        assert any(
            "RecFace, trained on protected features: time was left to protect" in text for text in found.untested
        )
        assert any(figure.of.startswith("inverter of") for figure in found.figures)

    @pytest.mark.usefixtures("small_inverters")
    def test_protected_pairs_train_two_networks_more(self, evidence: Make) -> None:
        train = people_of_patterns(130, 1, seed=3)
        given = evidence(4, protected=people_of_patterns(4, 2).faces, keys=(tiny_key(),), train=train)
        learning, _ = split_faces(train, seed=0)
        given.training.protect(learning.faces, [tiny_key()], LONG, seed=0)
        found = trained_inverter(given, Budget(seconds=0))
        assert {f"{name} of 104 protected pairs" for name in ("inverter", "denoiser")} <= {
            figure.of for figure in found.figures if figure.name == "SSIM"
        }


class TestProvider:
    def test_counts_plain_and_protected(self, evidence: Make) -> None:
        own = calibrate_judge(tiny("own", 3), plain=[people_of_patterns(60, 1, seed=5)], far=1e-3)
        found = still_recognises(evidence(10, protected=people_of_patterns(10, 2).faces, authorised=(own,)))
        assert "own accepts 10 of 10" in found.verdict
        assert {figure.where for figure in found.figures} == {"plain probe", "protected probe"}
        assert still_recognises(evidence(10)).outcome == "not tested"


class TestPanel:
    def test_a_threshold_needs_enough_people(self) -> None:
        few = calibrate_judge(tiny("one", 1), plain=[people_of_patterns(45, 1)], far=1e-3)
        assert few.at is None
        assert "46 people or more" in few.missing
        enough = calibrate_judge(
            tiny("one", 1), plain=[people_of_patterns(20, 1), people_of_patterns(26, 1, seed=1)], far=1e-3
        )
        assert enough.at is not None
        assert "1,035 pairs" in enough.at.source

    def test_people_of_different_sets_are_different(self) -> None:
        together = joined([people_of_patterns(3, 2), people_of_patterns(2, 1)])
        assert together.people.tolist() == [0, 0, 1, 1, 2, 2, 3, 4]
        assert len(joined([]).faces) == 0

    def test_the_keys_own_recogniser_is_authorised_with_the_calibration_that_ships(self) -> None:
        panel = find_panel([plain_key()], models=None, plain=[], far=1e-3)
        assert [one.name for one in panel.authorised] == ["dlib-resnet29"]
        assert panel.authorised[0].at is not None
        # the same network with a space after it is no other recogniser
        assert panel.others == ()
        assert any(text.startswith("dlib-resnet29-space66 as a judge of its own") for text in panel.untested)
        assert any("Other recognisers than the authorised one: none are here" in text for text in panel.untested)

    def test_one_network_judges_once_whichever_of_its_forms_has_the_key(self) -> None:
        panel = find_panel([default_key()], models=None, plain=[], far=1e-3)
        assert [one.name for one in panel.authorised] == ["dlib-resnet29-space66"]
        assert panel.others == ()
        both = find_panel([default_key(), plain_key()], models=None, plain=[], far=1e-3)
        assert {one.name for one in both.authorised} == {"dlib-resnet29", "dlib-resnet29-space66"}

    def test_a_key_of_an_absent_recogniser_has_no_authorised_judge(self) -> None:
        panel = find_panel([tiny_key()], models=None, plain=[], far=1e-3)
        assert panel.authorised == ()
        assert [one.name for one in panel.others] == ["dlib-resnet29"]
        assert any("Whether own, whose key was used" in text for text in panel.untested)


class TestAll:
    def test_rows_that_cannot_run_are_said_and_the_others_go_on(self, evidence: Make) -> None:
        done = audit(evidence(10), ["T0", "T1", "T3", "T4"], Budget(seconds=100))
        by_row = {row.row: row for row in done.rows}
        assert list(by_row) == list(ROWS)
        assert by_row["T2"].verdict == "It was not asked for (--rows)."
        assert by_row["T3"].verdict.startswith("No key was given")
        assert by_row["T1"].outcome == "cannot tell"
        assert any(text.startswith("T4: It trains on plain faces") for text in done.untested)

    def test_no_time_at_all(self, evidence: Make) -> None:
        done = audit(evidence(3), list(ROWS), Budget(seconds=0))
        assert by_outcome(done.rows) == {"not tested"}
        assert any("Time ran out" in row.verdict for row in done.rows)

    def test_a_row_that_fails_does_not_stop_the_rest(self, evidence: Make) -> None:
        train = people_of_patterns(60, 2, seed=3)
        torn = evidence(4, keys=(tiny_key(),), train=train._replace(people=train.people.float()))
        done = audit(torn, ["T0", "T5"], Budget(seconds=100))
        by_row = {row.row: row for row in done.rows}
        assert by_row["T0"].outcome == "look"
        assert by_row["T5"].verdict.startswith("It failed: ValueError: ")

    def test_a_linker_runs_before_what_takes_all_the_time(self) -> None:
        assert sorted(ORDER) == list(ROWS)
        assert ORDER.index("T5") < ORDER.index("T3") < ORDER.index("T4")

    def test_refuses_unknown_rows(self, evidence: Make) -> None:
        with pytest.raises(ValueError, match="rows: expected some of T0, T1, T2, T3, T4, T5, T6, got T9"):
            audit(evidence(3), ["T9"], LONG)  # type: ignore[list-item]
        with pytest.raises(ValueError, match="got none"):
            audit(evidence(3), [], LONG)


def by_outcome(rows: tuple[object, ...]) -> set[str]:
    return {row.outcome for row in rows}  # type: ignore[attr-defined]


def test_the_teacher_is_the_one_that_recognises_best() -> None:
    people = people_of_patterns(40, 3, seed=4)
    good = tiny("good", 3)

    class Blind(torch.nn.Module):
        """Sees the same face everywhere, but for noise."""

        def forward(self, faces: Tensor) -> Tensor:
            draw = torch.Generator().manual_seed(len(faces))
            return torch.nn.functional.normalize(torch.randn(len(faces), 8, generator=draw))

    blind: Any = Blind()
    for order in ([blind, good], [good, blind]):
        assert best_teacher(order, people, far=1e-2) is good
    assert best_teacher([blind, good], PublicFaces(people.faces[:1], people.people[:1]), far=1e-2) is blind
    # of one person no recogniser can be told from another
    assert best_teacher([blind, good], PublicFaces(people.faces[:3], people.people[:3]), far=1e-2) is blind


class TestRecognisersWithoutThreshold:
    """Recognisers that are here must not be said to be missing."""

    def test_they_are_named_with_what_they_lack(self, evidence: Make) -> None:
        bare = tuple(calibrate_judge(tiny(name, 1), plain=[], far=1e-3) for name in ("first", "second"))
        given = evidence(3, others=bare)
        assert not given.panel.judges
        for text in (no_judges(given), behind_purifiers(given, Budget(seconds=1)).verdict):
            assert "2 other recognisers are here (first, second), but cannot judge without a threshold" in text
            assert "facemin eval" in text
            assert "facemin model add" not in text

    def test_the_provider_too(self, evidence: Make) -> None:
        bare = calibrate_judge(tiny("own", 1), plain=[], far=1e-3)
        assert "own, whose key was used, is here" in still_recognises(evidence(3, authorised=(bare,))).verdict
        absent = still_recognises(evidence(3, keys=(default_key(),)))
        assert absent.verdict == "The recogniser whose key was used (dlib-resnet29-space66) is not on this machine."

    def test_time_that_runs_out_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "late.onnx").write_bytes(b"never read")
        over = Budget(seconds=0)
        panel = find_panel([default_key()], models=tmp_path / "models", plain=[], far=1e-3, budget=over)
        assert "late.onnx: no time was left for it; give more with --minutes" in panel.untested
        people = people_of_patterns(60, 1, seed=5)
        one = calibrate_judge(tiny("one", 1), plain=[people], far=1e-3, budget=over)
        assert one.at is None
        assert "no time was left" in one.missing


def test_ctrl_c_in_a_row_keeps_the_others(evidence: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: object) -> RowResult:
        raise KeyboardInterrupt

    monkeypatch.setitem(ROWS, "T1", ROWS["T1"]._replace(run=stop))
    done = audit(evidence(3), ["T0", "T1", "T2"], Budget(seconds=60))
    said = {row.row: row.verdict for row in done.rows}
    assert done.stopped
    assert done.values()["stopped"] is True
    assert "Ctrl-C" not in said["T0"]
    assert said["T1"] == said["T2"] == STOPPED
    assert STOPPED in render(done).decode()


def test_time_spent_before_counts() -> None:
    budget = Budget(seconds=10, before=4, clock=lambda: 100.0)
    assert (budget.spent, budget.left) == (4, 6)

"""Runs on a small world: what a record holds, and what a rerun does."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from facemin import PMT, export_key
from facemin.attack import PURIFIERS
from facemin.autograd.pixels import to_unit
from facemin.evaluation.networks import Distance, find_recogniser
from facemin.experiments import Place, Record, Watch, read_records
from facemin.experiments.cell import MADE
from facemin.experiments.faces import load_faces
from facemin.experiments.noise import feature_cosines, noisy_images
from facemin.experiments.store.records import append, digest
from facemin.metrics import cross_identity_scores, pair_scores, threshold_at_far
from facemin.protection import GaussianNoise, Sign
from tests.experiments.conftest import TOML, Measure

NOISE = """
distance = "apart"

[noise]
bounds = [0, 0.1, 0.3]
kappa = [0.5]
"""


@pytest.fixture(scope="module")
def records(world: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """The small experiment, run once."""
    from facemin.experiments import read_experiment, run

    out = tmp_path_factory.mktemp("out")
    experiment = read_experiment(world / "small.toml")
    place = Place("faces", world / "faces", None, None)
    done = run(experiment, name="small", place=place, models=world / "models", out=out, device="cpu")
    assert done.measured == ("one", "both")
    assert done.passed_over == ()
    assert done.file == out / "small.jsonl"
    return read_records(done.file)


class TestARecord:
    def test_holds_what_the_contract_asks_for(self, records: list[Record]) -> None:
        one, both = records
        assert [(r.cell, r.quick, r.seed) for r in records] == [("one", False, 0), ("both", False, 0)]
        assert one.passed["method"] == {"preset": "pmt", "steps": 25, "residual": 0.05}
        assert one.resolved["method"]["rule"] == {"kind": "sign", "step": 4.0}
        assert one.resolved["pairs"] == {"genuine": 6, "impostor": 5, "calibration": 12}
        assert (one.commit is None) == (one.dirty is None)
        assert set(one.versions) >= {"facemin", "torch", "pillow"}
        assert one.hardware.device.startswith("cpu")
        assert (one.data.genuine, one.data.impostor, one.data.no_face) == (6, 5, 0)
        assert one.same == (True,) * 6 + (False,) * 5
        assert set(one.weights) == set(one.thresholds) == set(one.clean) == set(one.protected) == {"one", "two"}
        assert list(one.protected["two"]) == ["none", "blur-1", "jpeg-75"]
        assert len(one.spent.steps) == 11
        assert [key.cut for key in both.keys] == ["embedding", "embedding"]
        assert {len(residuals) for residuals in both.spent.residuals} == {2}
        assert one.likeness is not None
        assert len(one.likeness.ssim) == len(one.likeness.psnr) == 11
        assert one.likeness.distance is None
        assert one.noise == ()
        assert [entry.name for entry in one.experiment.cells] == ["one", "both"]

    def test_survives_its_file(self, records: list[Record]) -> None:
        for record in records:
            assert Record.model_validate_json(record.model_dump_json()) == record
            entry = next(entry for entry in record.experiment.cells if entry.name == record.cell)
            assert digest(record.resolved) == entry.settings

    def test_names_no_place_of_this_machine(self, records: list[Record], world: Path) -> None:
        for record in records:
            text = record.model_dump_json()
            assert str(world) not in text
            assert str(Path.home()) not in text
            assert "/tmp" not in text

    def test_figures_are_those_of_the_library(self, records: list[Record], world: Path) -> None:
        """The whole way again, by hand: protect, round to 8 bits, embed, compare."""
        faces = load_faces(Place("faces", world / "faces", None, None), genuine=6, impostor=5, calibration=12)
        one, two = (find_recogniser(name, world / "models") for name in ("one", "two"))
        key = export_key(one, "flat", provider="bench", residual=0.05, created=MADE)
        method = PMT(rule=Sign(), start=GaussianNoise(mean=0, deviation=1), steps=25, residual=0.05)
        images = to_unit(torch.stack([image.pixels for image in method(faces.probes, [key], seed=0)]))
        changed = PURIFIERS["jpeg-75"](images)
        for judge in (one, two):
            expected = pair_scores(judge(changed), judge(faces.others))
            found = records[0].protected[judge.name]["jpeg-75"].other
            torch.testing.assert_close(torch.tensor(found, dtype=torch.float64), expected, atol=2e-6, rtol=0)
            assert faces.people is not None
            impostor = cross_identity_scores(judge(faces.plain), faces.people)
            at = threshold_at_far(impostor, far=0.02)
            used = records[0].thresholds[judge.name]
            assert used.threshold == pytest.approx(at.threshold, abs=1e-6)
            assert used.impostor_pairs == len(impostor)
            assert used.meaningful
        assert records[0].keys[0].sha256 == key.fingerprint
        assert records[0].data.sha256 == faces.sha256


def test_a_rerun_passes_over_what_is_there(measure: Measure) -> None:
    first = measure()
    before = first.file.read_bytes()
    again = measure()
    assert (again.measured, again.passed_over) == ((), ("one", "both"))
    assert again.file.read_bytes() == before


def test_cells_that_are_one_measurement_have_one_record(measure: Measure) -> None:
    twin = '[[cell]]\nname = "again"\nkeys = [{ recogniser = "one", cut = "flat" }]\n\n[[cell]]\nname = "both"'
    done = measure(TOML.replace('[[cell]]\nname = "both"', twin))
    assert (done.measured, done.passed_over) == (("one", "both"), ("again",))
    assert [record.cell for record in read_records(done.file)] == ["one", "both"]
    # whichever of them stands first
    assert measure(TOML).measured == ()


def test_a_run_goes_on_after_a_crash(measure: Measure) -> None:
    file = measure().file
    one, both = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(one + both[: len(both) // 2])
    again = measure()
    assert (again.measured, again.passed_over) == (("both",), ("one",))
    lines = file.read_bytes().splitlines(keepends=True)
    assert lines[0] == one
    assert [record.cell for record in read_records(file)] == ["one", "both"]
    assert read_records(file)[1].protected == Record.model_validate_json(both).protected


def test_other_settings_are_another_cell(measure: Measure) -> None:
    measure()
    again = measure(TOML.replace("steps = 8", "steps = 9"))
    assert (again.measured, again.passed_over) == (("both",), ("one",))
    # the paper's figures, titles and names of data decide nothing
    assert measure(TOML.replace("0.994", "0.995").replace("A small matrix", "Another")).measured == ()


def test_other_faces_are_another_measurement(measure: Measure, world: Path, tmp_path: Path) -> None:
    import shutil

    measure()
    shutil.copytree(world / "faces", tmp_path / "faces")
    place = Place("faces", tmp_path / "faces", None, None)
    assert measure(place=place).measured == ()
    for person in sorted((tmp_path / "faces").iterdir()):
        photos = sorted(person.iterdir())
        photos[0].write_bytes(photos[1].read_bytes())
    assert measure(place=place).measured == ("one", "both")


def test_quick_is_small_marked_and_apart(measure: Measure) -> None:
    done = measure(quick=True)
    assert done.file.name == "small.quick.jsonl"
    for record in read_records(done.file):
        assert record.quick
        assert len(record.same) == 4
        assert max(record.spent.steps) <= 3
    assert measure().measured == ("one", "both")


def test_progress_rises_to_its_end(measure: Measure) -> None:
    told: list[tuple[str, float, float]] = []
    drawn: list[tuple[str, tuple[int, ...]]] = []

    def see(record: Record, plain: Tensor, protected: Tensor) -> None:
        drawn.append((record.cell, tuple(plain.shape)))
        assert protected.shape == plain.shape
        assert not torch.equal(plain, protected)

    measure(watch=Watch(on_progress=lambda *args: told.append(args), on_faces=see))
    assert list(dict.fromkeys(stage for stage, *_ in told)) == ["Reading faces", "Measuring thresholds", "Measuring"]
    for stage in {stage for stage, *_ in told}:
        done = [(part, of) for name, part, of in told if name == stage]
        assert [part for part, _ in done] == sorted(part for part, _ in done)
        assert done[-1][0] == pytest.approx(done[-1][1])
    assert drawn == [("one", (11, 3, 112, 112)), ("both", (11, 3, 112, 112))]


def test_noise_on_images(measure: Measure, world: Path) -> None:
    plain = TOML.replace("method = { steps = 8 }", 'method = { preset = "plain" }').replace("[data]", NOISE + "[data]")
    one, both = read_records(measure(plain).file)
    assert [noisy.bound for noisy in one.noise] == [0.0, 0.1, 0.3]
    faces = load_faces(Place("faces", world / "faces", None, None), genuine=6, impostor=5, calibration=12)
    judge = find_recogniser("two", world / "models")
    noisy = noisy_images(faces.probes, faces.probes, bound=0.1, kind="gaussian", seed=0)
    expected = pair_scores(judge(noisy.protected), judge(noisy.plain))
    found = torch.tensor(both.noise[1].cosines["two"], dtype=torch.float64)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)
    assert both.noise[1].distance is not None
    apart = (noisy.protected - noisy.plain).abs().mean((1, 2, 3))
    torch.testing.assert_close(torch.tensor(both.noise[1].distance), apart, atol=1e-5, rtol=0)
    # without protection and noise nothing differs
    assert min(both.noise[0].cosines["one"]) == pytest.approx(1)
    assert (both.likeness, both.spent.steps) == (None, ())
    assert one.likeness is not None
    assert one.likeness.distance is not None
    assert one.weights["apart"] == hashlib.sha256((world / "models" / "apart.onnx").read_bytes()).hexdigest()


def test_noise_on_features(measure: Measure) -> None:
    text = TOML.replace("[data]", '[noise]\nbounds = [0, 0.2]\non = "feature"\n[data]')
    one, both = read_records(measure(text).file)
    clean, noisy = one.noise
    assert list(clean.cosines) == ["one"]
    assert clean.distance is None
    # at no noise the server's answer is that for the image itself
    assert clean.cosines["one"] == pytest.approx(one.protected["one"]["none"].original, abs=1e-5)
    assert sum(noisy.cosines["one"]) < sum(clean.cosines["one"])
    assert both.noise[0].cosines["one"] == pytest.approx(both.protected["one"]["none"].original, abs=1e-5)


class TestNoise:
    FACES = torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(5)) * 0.2 + 0.4

    @pytest.mark.parametrize(("kind", "deviation"), [("gaussian", 0.05), ("uniform", 0.05 / 3**0.5)])
    def test_has_its_strength(self, kind: str, deviation: float) -> None:
        both = noisy_images(self.FACES, self.FACES, bound=0.05, kind=kind, seed=0)
        for images in both:
            assert float((images - self.FACES).std()) == pytest.approx(deviation, rel=0.03)
            assert torch.equal((images * 255).round() / 255, images)
        first, second = (images - self.FACES for images in both)
        assert abs(float((first * second).mean()) / deviation**2) < 0.02
        assert abs(float((first[0] * first[1]).mean()) / deviation**2) < 0.03

    def test_rows_are_their_own(self) -> None:
        both = noisy_images(self.FACES, self.FACES, bound=0.1, kind="gaussian", seed=0)
        alone = noisy_images(self.FACES[:1], self.FACES[:1], bound=0.1, kind="gaussian", seed=0)
        assert torch.equal(both.protected[:1], alone.protected)
        other = noisy_images(self.FACES, self.FACES, bound=0.1, kind="gaussian", seed=1)
        assert not torch.equal(both.protected, other.protected)

    def test_of_features_is_in_units_of_their_size(self, world: Path) -> None:
        from facemin.evaluation.judge import Judge, Plain

        network = find_recogniser("one", world / "models")
        key = export_key(network, "flat", provider="test", residual=0.1)
        judge = Judge.calibrate(
            network,
            name="one",
            probes=self.FACES,
            others=self.FACES,
            plain=Plain(self.FACES, torch.arange(3)),
            far=0.5,
        )
        found = feature_cosines(self.FACES, self.FACES, key=key, judge=judge, bound=0.5, kind="uniform", seed=0)
        # the mean colours of 48 blocks, all near 0.5 * 255, and noise of at most half of that
        features = network.front("flat")(self.FACES)
        assert float(features.std()) < 0.1 * float(features.mean())
        assert 0 < float(found.min()) < float(found.max()) < 0.9999


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ('["one", "two"]', '["one", "two", "six"]'),
            "model 'six': expected one of dlib-resnet29, dlib-resnet29-space66, or an ONNX file",
        ),
        (('cut = "flat"', 'cut = "flut"'), "expected a cut among .*got 'flut'"),
        (("genuine = 6", "genuine = 60"), "expected 60 genuine pairs"),
        (("[data]", 'distance = "one"\n[data]'), "one.onnx: expected 2 input"),
        (("[data]", 'distance = "none"\n[data]'), "model 'none': expected an ONNX file of that name"),
    ],
)
def test_refuses_before_anything_is_measured(measure: Measure, change: tuple[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(TOML.replace(*change))


def test_refuses_models_of_nowhere() -> None:
    with pytest.raises(ValueError, match=r"a folder of ONNX files .--models or --shared., got none"):
        find_recogniser("one", None)
    with pytest.raises(ValueError, match="model 'apart': expected a folder"):
        Distance("apart", None)


def test_a_distance_is_of_two_images(world: Path) -> None:
    one, other = torch.zeros(3, 3, 112, 112), torch.full((3, 3, 112, 112), 0.25)
    assert Distance("apart", world / "models")(one, other).tolist() == pytest.approx([0.25] * 3)


class TestRecordFiles:
    def test_a_foreign_line_is_named(self, tmp_path: Path, records: list[Record]) -> None:
        path = tmp_path / "r.jsonl"
        append(path, records[0])
        with path.open("a") as file:
            file.write(json.dumps({"format": "facemin.bench/1"}) + "\n")
        with pytest.raises(ValueError, match=r"r\.jsonl, line 2: expected a record; identity: Field required"):
            read_records(path)

    def test_no_file_is_no_records(self, tmp_path: Path) -> None:
        assert read_records(tmp_path / "none.jsonl") == []


def test_dlibs_network_on_two_faces(measure: Measure) -> None:
    text = TOML.replace('"one"', '"dlib-resnet29"').replace('cut = "flat"', 'cut = "conv32.1", layers = ["conv7"]')
    text = text.replace('cut = "embedding" }', 'cut = "pooled" }').replace('["none", "blur-1", "jpeg-75"]', '["none"]')
    found = read_records(measure(text, quick=True).file)
    assert [record.keys[0].recogniser for record in found] == ["dlib-resnet29", "dlib-resnet29"]
    assert found[0].keys[0].layers == ("conv7",)
    assert found[0].keys[0].features == (32, 35, 35)
    assert found[1].keys[0].share == pytest.approx(1, abs=0.01)

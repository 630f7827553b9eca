"""Carriers: photos that a key's network takes for a pseudonym, and that are still their base."""

import io
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import facemin
from facemin.cli import app
from facemin.cli.shared.progress import Outcome
from facemin.face import Detector
from facemin.image import decode
from facemin.keys.key import Key
from facemin.keys.trust import TrustLog
from facemin.protection import Protected
from facemin.protection.carrier import FaceCarrier, PseudonymTarget
from facemin.protection.carrier.base import base_of, draw_base, frame_in
from facemin.protection.carrier.canvas import GRAIN, aligned_crop, in_frame, of_frame, placed
from facemin.protection.carrier.components import CORNER, FRAME, PHOTO, landmarks_in
from facemin.protection.carrier.detection import detection_score, is_clear
from facemin.protection.carrier.services.pipelines import crops
from facemin.protection.carrier.settings import Descent, Pipelines
from facemin.protection.folder.job import FolderJob
from facemin.protection.folder.run import FolderResult, Plan, plan, protect_into
from facemin.pseudonym import Context, Pseudonym
from tests.protection.carrier.test_base import SECRET
from tests.space_keys import D, person, space_key

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def key() -> Key:
    return space_key(seed=3)


def target(key: Key, number: int = 0, origin: str = "https://a.example") -> PseudonymTarget:
    assert key.space is not None
    context = Context(origin=origin, space=key.space.id, dimension=D, purpose="main")
    row = np.random.default_rng(number).standard_normal(D)
    return PseudonymTarget(pseudonym=Pseudonym(secret=SECRET, context=context), embedding=row)


QUICK = FaceCarrier(descent=Descent(steps=20))


def missing(done: Protected) -> float:
    return max(done.residuals)


def test_a_carrier_comes_near_its_target_and_stays_its_base(key: Key) -> None:
    (done,) = QUICK.aim([[target(key)]], [key], seed=0)
    (start,) = FaceCarrier(descent=Descent(steps=1, first=0.001, last=0.001)).aim([[target(key)]], [key], seed=0)
    assert missing(done) < 0.87 * missing(start)
    assert done.pixels is not None
    base = 255 * draw_base([target(key).pseudonym]).at(FRAME)
    change = np.abs(done.pixels - base)
    assert 0 < change.mean() < 12
    # hair, neck and background are left alone: on the 8-bit grid, but for a grey level of the softened background
    kept = np.abs(done.pixels - np.rint(base))
    top, bottom = (round((CORNER[1] + edge) * FRAME / PHOTO) for edge in (100, 440))
    assert kept[:top].max() <= 1
    assert kept[bottom:].max() <= 1
    assert len(Detector(threads=1)(done.pixels)) == 1
    assert done.file is not None
    assert done.file.told["found"] is True
    assert [network["name"] for network in done.file.told["networks"]] == ["tiny-space"]


def test_nothing_but_targets_and_seed_decides(key: Key) -> None:
    first, second = QUICK.aim([[target(key)], [target(key, 1)]], [key], seed=7)
    (again,) = QUICK.aim([[target(key)]], [key], seed=7)
    (other,) = QUICK.aim([[target(key)]], [key], seed=8)
    assert first.pixels is not None
    assert again.pixels is not None
    # in another batch, but for the last bits of float32 sums
    assert np.abs(first.pixels.astype(int) - again.pixels).mean() < 1
    assert not np.array_equal(first.pixels, other.pixels)  # type: ignore[arg-type]
    assert not np.array_equal(first.pixels, second.pixels)  # type: ignore[arg-type]
    assert [first.index, second.index] == [0, 1]


def test_averages_over_steps_leave_less_of_the_randomness(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    restless = FaceCarrier(descent=Descent(steps=16, first=10, last=10))

    def apart() -> float:
        first, second = (next(restless.aim([[target(key)]], [key], seed=seed)).pixels for seed in (1, 2))
        assert first is not None
        assert second is not None
        return float(np.abs(first.astype(int) - second).mean())

    averaged = apart()
    monkeypatch.setattr("facemin.protection.carrier.optimise.AVERAGED", 1)
    assert 0 < averaged < 0.95 * apart()


@pytest.mark.parametrize(("side", "form"), [(256, "PNG"), (1024, "JPEG"), (700, "JPEG")])
def test_files_of_any_size_without_exif(key: Key, side: int, form: str) -> None:
    method = FaceCarrier(side=side, format=form, descent=Descent(steps=2))  # type: ignore[arg-type]
    (done,) = method.aim([[target(key)]], [key], seed=0)
    assert done.file is not None
    picture = Image.open(io.BytesIO(done.file.data))
    assert (picture.format, picture.size) == (form, (side, side))
    assert not picture.getexif()
    # what was checked is what is sent
    assert np.array_equal(decode(done.file.data).pixels, done.pixels)  # type: ignore[arg-type]
    assert done.file.suffix == {"PNG": ".png", "JPEG": ".jpg"}[form]


def test_one_photo_for_two_keys_each_under_its_own_rotation(key: Key) -> None:
    other = space_key(seed=4, provider="Beta")
    two = [target(key), target(other, 0, "https://b.example")]
    assert not np.allclose(two[0].vector, two[1].vector, atol=0.1)
    (done,) = FaceCarrier(descent=Descent(steps=40)).aim([two], [key, other], seed=0)
    (start,) = FaceCarrier(descent=Descent(steps=1, first=0.001, last=0.001)).aim([two], [key, other], seed=0)
    assert len(done.residuals) == 2
    for now, before in zip(done.residuals, start.residuals, strict=True):
        assert now < 0.95 * before


def test_a_base_that_resembles_its_owner_is_drawn_again(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    from facemin.face import align
    from facemin.models.onnx.run import FaceRunner

    run = FaceRunner(key.graph)
    points = landmarks_in(FRAME).astype(np.float32)[None]
    rows = [
        run(align(draw_base([target(key).pseudonym], attempt=number).pixels, points))[0].astype(np.float64)
        for number in range(3)
    ]
    cosines = [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in itertools.combinations(rows, 2)]
    limit = max(cosines) + (1 - max(cosines)) / 2
    monkeypatch.setattr("facemin.protection.carrier.protector.same_person_threshold", lambda _: limit)
    mine = target(key)
    assert QUICK.base_for([mine], key, run).attempt == 0 or limit < 1
    like = PseudonymTarget(pseudonym=mine.pseudonym, embedding=mine.embedding, owner=rows[0][None])
    assert QUICK.base_for([like], key, run).attempt == 1
    both = PseudonymTarget(pseudonym=mine.pseudonym, embedding=mine.embedding, owner=np.stack(rows[:2]))
    assert QUICK.base_for([both], key, run).attempt == 2
    monkeypatch.setattr("facemin.protection.carrier.protector.same_person_threshold", lambda _: -1.0)
    with pytest.raises(ValueError, match="expected one of 64 draws that are clear and unlike their owner"):
        QUICK.base_for([mine], key, run)


def test_a_base_that_detectors_hardly_find_is_drawn_again(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    from facemin.models.onnx.run import FaceRunner

    run = FaceRunner(key.graph)
    monkeypatch.setattr("facemin.protection.carrier.protector.same_person_threshold", lambda _: 2.0)
    attempts = []
    for number in range(12):
        mine = target(key, origin=f"https://{number}.example")
        draws = [is_clear(draw_base([mine.pseudonym], attempt=attempt).frame) for attempt in range(4)]
        attempts.append(QUICK.base_for([mine], key, run).attempt)
        assert attempts[-1] == draws.index(True)
        # a drawing's eyes are always dark
        assert FaceCarrier(look="drawing").base_for([mine], key, run).attempt == 0
    assert 0 < sum(attempt > 0 for attempt in attempts) < 6


def test_a_carrier_that_detectors_hardly_find_is_made_again_nearer_to_its_base(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = 255 * draw_base([target(key).pseudonym]).at(FRAME)

    def changed(least: float) -> tuple[float, float]:
        monkeypatch.setattr("facemin.protection.carrier.detection.OF_CARRIER", least)
        (done,) = QUICK.aim([[target(key)]], [key], seed=0)
        assert done.pixels is not None
        frame = np.asarray(frame_in(done.pixels, FRAME, Image.Resampling.BICUBIC), np.float32)
        return float(np.abs(done.pixels - base).mean()), detection_score(frame / np.float32(255))

    (first, score), (again, clearer) = changed(-9), changed(9)
    assert again < 0.9 * first
    assert clearer > score
    # one try where it is clear enough
    assert changed(score - 0.01) == (first, score)


def test_folders_of_carriers(key: Key, tmp_path: Path) -> None:
    source = tmp_path / "me.png"
    Image.fromarray(person(1)).save(source)
    TrustLog().trust(key.manifest.sha256, name="tiny", reason="a test's")
    method = FaceCarrier(side=256, format="JPEG", descent=Descent(steps=2))
    job = FolderJob(out=tmp_path / "out", keys=[key], method=method, secret=SECRET, aligned=True)
    todo = plan([source], job)
    list(protect_into(todo, job))
    assert (tmp_path / "out" / "me.protected.jpg").is_file()
    record = json.loads((tmp_path / "out" / "me.protected.json").read_text())
    assert record["files"] == ["me.protected.jpg"]
    assert record["faces"][0]["carrier"]["networks"][0]["name"] == "tiny-space"
    assert plan([source], job).done == [source]
    # neither a carrier nor its size is taken for what other settings made
    larger = FolderJob(out=tmp_path / "out", keys=[key], method=FaceCarrier(), secret=SECRET, aligned=True)
    assert plan([source], larger).done == []
    # what was made is no photo to protect
    assert not [path for path in plan([tmp_path / "out"], job).todo if path.name.endswith(".jpg")]
    with pytest.raises(ValueError, match="paste: expected protected faces, got a carrier"):
        FolderJob(out=tmp_path, keys=[key], method=method, secret=SECRET, paste=True)
    with pytest.raises(ValueError, match="expected a secret, got none"):
        FolderJob(out=tmp_path, keys=[key], method=method, secret=None)
    with pytest.raises(ValueError, match="exif: expected none"):
        FolderJob(out=tmp_path, keys=[key], method=method, secret=SECRET, exif=True)


def test_protect_gives_a_photo_to_send(key: Key, tmp_path: Path) -> None:
    method = FaceCarrier(side=300, descent=Descent(steps=2))
    photo = pytest.importorskip("skimage.data").astronaut()
    done = facemin.protect(photo, keys=[key], secret=SECRET, method=method, trust_key=True)
    (face,) = done.faces
    with pytest.raises(ValueError, match="no EXIF under a pseudonym"):
        done.encoded(face, exif=True)
    (path,) = done.save(tmp_path / "me.png")
    with Image.open(path) as picture:
        assert picture.size == (300, 300)
    with pytest.raises(ValueError, match="got a carrier, which is a photo itself"):
        done.pasted()


def test_a_carrier_without_a_face_to_be_found_is_said(
    key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of drawings the detector finds half; the photo's record and report say which it does not."""
    Image.fromarray(person(1)).save(tmp_path / "me.png")
    told = {}
    for number in (0, 1):
        # another home: a photo is not sent under two pseudonyms
        monkeypatch.setenv("FACEMIN_HOME", str(tmp_path / f"home{number}"))
        TrustLog().trust(key.manifest.sha256, name="tiny", reason="a test's")
        out, origin = tmp_path / str(number), f"https://{number}.example"
        method = FaceCarrier(look="drawing", side=256, descent=Descent(steps=1, first=0.001, last=0.001))
        job = FolderJob(out=out, keys=[key], method=method, secret=SECRET, origin=origin, aligned=True)
        (made,) = protect_into(plan([tmp_path / "me.png"], job), job)
        assert isinstance(made, FolderResult)
        record = json.loads(made.record.read_text())
        assert record["notes"] == list(made.notes)
        found = record["faces"][0]["carrier"]["found"]
        told[found] = " ".join(made.notes)
        # what is not found is no success, nor on a rerun; that one step reaches no key is another matter
        (earlier,) = plan([tmp_path / "me.png"], job).short
        for result in (made, earlier):
            outcome = Outcome(
                Plan(todo={}, done=[], failures=[]), [replace(result, unreached={})], [], 1.0, stopped=False
            )
            assert outcome.status == (0 if found else 1)
            outcome.print(Console(file=(said := io.StringIO())), several=False)
            assert ("its carrier is not found as one face" in said.getvalue()) == (not found)
    assert "not found as one face" in told[False]
    assert "not found" not in told[True]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--carrier", "face"], "expected a service whose network is known"),
        (["--carrier", "face", "--network", "vgg"], "expected one of dlib-resnet29"),
        (["--carrier", "face", "--network", "dlib-resnet29", "--no-pseudonym"], "--carrier: expected with a pseudonym"),
        (["--carrier", "face", "--network", "dlib-resnet29", "--exif"], "--exif: expected with --no-pseudonym"),
        (["--carrier", "face", "--network", "dlib-resnet29", "--paste"], "--paste: expected without --carrier"),
        (["--carrier", "face", "--network", "dlib-resnet29", "--device", "cuda"], "--device: expected without"),
        (["--carrier", "face", "--network", "dlib-resnet29", "--size", "100"], "side: expected 256 to 1024"),
        (["--network", "dlib-resnet29"], "--network, --size, --jpeg: expected with --carrier"),
        (["--jpeg"], "--network, --size, --jpeg: expected with --carrier"),
    ],
)
def test_refusals_of_the_command_line(options: list[str], told: str, tmp_path: Path) -> None:
    Image.fromarray(person(1)).save(tmp_path / "me.png")
    with pytest.raises(ValueError, match=told):
        app(["protect", str(tmp_path / "me.png"), "--out", str(tmp_path / "out"), *options], exit_on_error=False)


def test_the_canvas_and_the_frame_agree() -> None:
    change = torch.nn.functional.interpolate(torch.randn(1, 3, 20, 20) * 0.05, size=(GRAIN, GRAIN), mode="bilinear")
    frame = base_of(b"\3" * 32).frame
    whole = of_frame((frame + in_frame(change[0])).astype(np.float32))
    shown = placed(change)[0]
    assert (whole - of_frame(frame) - shown).abs().max() < 0.01
    assert 0.01 < shown.abs().mean() < 0.1
    # nothing is left of it at its window's border
    assert shown[:, 10].abs().max() == shown[..., 10].abs().max() == 0


def test_crops_are_what_a_service_cuts() -> None:
    from facemin.face import align

    frame = base_of(b"\3" * 32)
    ours = crops(Pipelines(), of_frame(frame.frame)[None], aligned_crop(), 112, None)[0].permute(1, 2, 0).numpy()
    theirs = align(frame.pixels, landmarks_in(FRAME)[None].astype(np.float32))[0] / 255
    assert np.abs(ours - theirs).mean() < 0.02

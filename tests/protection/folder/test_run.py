"""What goes where, what is done already, and what an interruption leaves."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from facemin.keys.key import Key, export_key
from facemin.models import load_recogniser
from facemin.protection import PMT, Compute, Failure, RevealingWarning
from facemin.protection.folder.job import FolderJob
from facemin.protection.folder.run import FolderResult, Plan, plan, protect_each, protect_into
from facemin.runtime.files import write_atomically
from tests.pictures import encode_tensor, forbid_listing

QUICK = PMT(steps=1)


@pytest.fixture(scope="module")
def keys() -> list[Key]:
    recogniser = load_recogniser("dlib-resnet29")
    return [export_key(recogniser, cut, provider="test", residual=0.5) for cut in ("conv32.1", "conv7")]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Aligned faces: what is asked here is where files go, not where faces are."""
    generator = torch.Generator().manual_seed(0)
    for name in ("b.png", "a/b.png", "a/0001.png"):
        image: Tensor = torch.rand(3, 112, 112, generator=generator)
        write_atomically(tmp_path / "in" / name, encode_tensor(image))
    return tmp_path / "in"


def job(keys: list[Key], out: Path, **settings: object) -> FolderJob:
    return FolderJob(out=out, keys=keys[:1], method=QUICK, seed=1, aligned=True, **settings, secret=None)  # type: ignore[arg-type]


def run(inputs: list[Path], job: FolderJob) -> list[FolderResult | Failure]:
    return list(protect_into(plan(inputs, job), job))


def test_places_of_folders_and_files(photos: Path, keys: list[Key], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert len(run([photos], job(keys, out))) == 3
    pictures = {str(path.relative_to(out)) for path in out.rglob("*.png")}
    assert pictures == {"b.protected.png", "a/b.protected.png", "a/0001.protected.png"}
    alone = tmp_path / "alone"
    run([photos / "a" / "0001.png"], job(keys, alone))
    assert [path.name for path in alone.glob("*.png")] == ["0001.protected.png"]


def test_done_is_done_until_something_that_matters_changes(photos: Path, keys: list[Key], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run([photos], job(keys, out))
    assert len(plan([photos], job(keys, out)).done) == 3
    faster = FolderJob(
        out=out,
        keys=keys[:1],
        method=PMT(steps=1),
        seed=9,
        aligned=True,
        secret=None,
        compute=Compute(batch=3, device="cpu"),
    )
    assert len(plan([photos], faster).done) == 3
    for other in (
        FolderJob(out=out, keys=keys[1:], method=QUICK, aligned=True, secret=None),
        FolderJob(out=out, keys=keys[:1], method=PMT(steps=2), aligned=True, secret=None),
        job(keys, out, paste=True),
    ):
        assert len(plan([photos], other).todo) == 3
    write_atomically(photos / "b.png", encode_tensor(torch.zeros(3, 112, 112)))
    assert list(plan([photos], job(keys, out)).todo) == [photos / "b.png"]
    (out / "a" / "0001.protected.png").unlink()
    assert set(plan([photos], job(keys, out)).todo) == {photos / "b.png", photos / "a" / "0001.png"}


def test_a_name_like_a_further_face_is_refused(photos: Path, keys: list[Key], tmp_path: Path) -> None:
    write_atomically(photos / "b.2.png", encode_tensor(torch.zeros(3, 112, 112)))
    failures = plan([photos], job(keys, tmp_path / "out")).failures
    assert [Path(failure.name).name for failure in failures] == ["b.2.png"]
    assert "b.*" in failures[0].reason


def test_an_older_result_goes_before_the_new_one_comes(photos: Path, keys: list[Key], tmp_path: Path) -> None:
    out, source = tmp_path / "out", photos / "b.png"
    run([source], job(keys, out))
    record = out / "b.protected.json"
    stale = json.loads(record.read_bytes())
    (out / "b.2.protected.png").write_bytes(b"a second face that is no longer found")
    record.write_text(json.dumps(stale | {"files": [*stale["files"], "b.2.protected.png", "../in/b.png"]}))
    # noise of few steps is more than a feature of so early a layer may show, which is another test's matter
    with pytest.warns(RevealingWarning):
        run([source], job(keys, out, upload="features", allow_revealing=True))
    assert {path.name for path in out.iterdir()} == {"b.protected.json", "b.protected.safetensors"}
    assert source.exists()


@pytest.mark.parametrize("name", ["b.protected.png", "b.pasted.png", "b.protected.json"])
def test_failed_write_leaves_neither_a_record_nor_half_a_result(
    photos: Path, keys: list[Key], tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    (out / name).mkdir(parents=True)
    (result,) = run([photos / "b.png"], job(keys, out, paste=True))
    assert isinstance(result, Failure)
    assert "could not be written" in result.reason
    assert [path.name for path in out.iterdir()] == [name]


def meddled(folder: Path, settings: FolderJob, change: Callable[[], object]) -> list[FolderResult | Failure]:
    """Results of a folder in which something changes once its photos are read, and none is protected yet."""

    def drawn() -> Iterator[tuple[Path, Path]]:
        yield from plan([folder], settings).todo.items()
        change()

    return list(protect_each(drawn(), settings))


def test_a_photo_that_changes_while_it_is_in_work_is_not_taken_for_done(
    photos: Path, keys: list[Key], tmp_path: Path
) -> None:
    settings = job(keys, tmp_path / "out", compute=Compute(batch=3))
    first, other, *_ = plan([photos], settings).todo.items()
    results = meddled(photos, settings, lambda: write_atomically(first[0], other[0].read_bytes()))
    assert all(isinstance(result, FolderResult) for result in results)
    assert len(results) == 3
    later = plan([photos], settings)
    assert [*later.todo.items()] == [first]
    assert all(isinstance(result, FolderResult) for result in protect_into(later, settings))
    assert plan([photos], settings).todo == {}


def test_a_photo_that_vanishes_once_it_is_read_is_protected_all_the_same(
    photos: Path, keys: list[Key], tmp_path: Path
) -> None:
    settings = job(keys, tmp_path / "out", compute=Compute(batch=3))
    first = next(iter(plan([photos], settings).todo.items()))
    assert all(isinstance(result, FolderResult) for result in meddled(photos, settings, first[0].unlink))
    assert first[1].with_name(f"{first[1].name}.protected.json").is_file()


def test_features_are_for_one_key(keys: list[Key], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exactly one key"):
        FolderJob(out=tmp_path, keys=keys, upload="features", secret=None)


def test_keys_of_one_id_are_not_mixed_up(keys: list[Key], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=keys[0].manifest.key_id):
        FolderJob(out=tmp_path, keys=[keys[0], keys[0]], secret=None)


def test_another_photos_result_is_not_overwritten_by_a_later_run(photos: Path, keys: list[Key], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run([photos / "b.png"], job(keys, out))
    before = {path: path.read_bytes() for path in out.iterdir()}
    planned = plan([photos / "a" / "b.png"], job(keys, out))
    assert not planned.todo
    (failure,) = planned.failures
    assert f"as {photos / 'b.png'}, protected before" in failure.reason
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    # its own photo may be moved away, and then the name is free
    (photos / "b.png").unlink()
    assert not plan([photos / "a" / "b.png"], job(keys, out)).failures


def test_a_folder_that_cannot_be_listed_is_a_failure(
    photos: Path, keys: list[Key], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_listing(monkeypatch, "a")
    planned = plan([photos], job(keys, tmp_path / "out"))
    assert [path.name for path in planned.todo] == ["b.png"]
    (failure,) = planned.failures
    assert failure.name == str(photos / "a")
    assert "could not be listed" in failure.reason
    assert "the system does not allow it" in failure.reason


def test_what_is_no_photo_is_said(photos: Path, keys: list[Key], tmp_path: Path) -> None:
    (photos / "clip.mov").touch()
    (photos / "gone.jpg").symlink_to(photos / "nothing.jpg")
    (photos / "loop").symlink_to(photos, target_is_directory=True)
    linked = tmp_path / "elsewhere"
    write_atomically(linked / "c.png", encode_tensor(torch.zeros(3, 112, 112)))
    (photos / "more").symlink_to(linked, target_is_directory=True)
    planned = plan([photos], job(keys, tmp_path / "out"))
    assert planned.todo[photos / "more" / "c.png"] == tmp_path / "out" / "more" / "c"
    assert sorted((one.path.name, one.kind) for one in planned.skipped) == [
        ("clip.mov", "unknown"),
        ("gone.jpg", "dangling"),
        ("loop", "twice"),
    ]
    assert not planned.failures


def test_how_a_photo_was_read_stands_in_its_record(photos: Path, keys: list[Key], tmp_path: Path) -> None:
    whole = encode_tensor(torch.rand(3, 112, 112, generator=torch.Generator().manual_seed(1)), format="JPEG")
    (photos / "cut.jpg").write_bytes(whole[:-2])
    (written,) = run([photos / "cut.jpg"], job(keys, tmp_path / "out"))
    assert isinstance(written, FolderResult)
    assert written.notes == ("the JPEG lacked its end marker; every pixel is there",)
    assert json.loads(written.record.read_bytes())["notes"] == list(written.notes)


def test_the_largest_photo_is_a_setting(photos: Path, keys: list[Key], tmp_path: Path) -> None:
    small = job(keys, tmp_path / "out", max_pixels=112 * 112 - 1)
    (failure,) = run([photos / "b.png"], small)
    assert isinstance(failure, Failure)
    assert "112 x 112 = 12544 pixels; max_pixels raises the limit" in failure.reason
    assert small.digest == job(keys, tmp_path / "out").digest


def test_results_that_a_shell_names_are_passed_over(photos: Path, keys: list[Key]) -> None:
    """`facemin protect *.png --out .`, twice."""
    folder = photos / "a"
    run([*folder.glob("*.png")], job(keys, folder))
    (folder / "c.protected.png").write_bytes((folder / "b.png").read_bytes())
    again = plan(sorted(folder.glob("*.png")), job(keys, folder))
    assert sorted(path.name for path in again.done) == ["0001.png", "b.png"]
    assert sorted(item.path.name for item in again.skipped) == ["0001.protected.png", "b.protected.png"]
    # a photo that is only called so has no record
    assert [path.name for path in again.todo] == ["c.protected.png"]


def test_what_cannot_be_a_photo_fails_alone(photos: Path, keys: list[Key], tmp_path: Path) -> None:
    odd = [tmp_path / "pipe.jpg", tmp_path / ("n" * 300), Path("/dev/zero"), tmp_path / "empty.jpg", Path("a\0.jpg")]
    os.mkfifo(odd[0])
    odd[3].touch()
    failed: list[Failure] = []
    made: list[FolderResult] = []
    for result in run([*odd, photos / "b.png"], job(keys, tmp_path / "out")):
        if isinstance(result, Failure):
            failed.append(result)
        else:
            made.append(result)
    failed += plan([*odd, photos / "b.png"], job(keys, tmp_path / "out")).failures
    assert sorted(failure.name for failure in failed) == sorted(map(str, odd))
    assert len(made) == 1


def test_names_that_a_disk_does_not_tell_apart(photos: Path, keys: list[Key], tmp_path: Path) -> None:
    """On such a disk B.png's results are those of b.png, which only whoever writes them can see."""
    of, out = job(keys, tmp_path / "out"), tmp_path / "out"
    (photos / "B.png").write_bytes((photos / "b.png").read_bytes())
    run([photos / "b.png"], of)
    (result,) = protect_into(Plan(todo={photos / "B.png": out / "b"}, done=[], failures=[]), of)
    assert isinstance(result, Failure)
    assert "expected a name of its own" in result.reason
    assert plan([photos / "b.png"], of).done

"""Photos cloaked into a folder and uncloaked again, where torch cannot be imported."""

import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemin.cloak.folder import CloakedPhoto, CloakJob, cloak_into, plan_cloaking
from facemin.cloak.mask_file import Mask
from facemin.face import Detector
from facemin.image import Photo, Pixels, decode, encode
from facemin.protection.result import Failure
from facemin.runtime.files import write_atomically

DETECTOR = Detector(threads=1)


@pytest.fixture
def folder(tmp_path: Path, photo: Pixels) -> Path:
    """A portrait with EXIF, one below a folder, an aligned face, one without a face, and a broken file."""
    root = tmp_path / "photos"
    (root / "deep").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x010F] = "camera"
    Image.fromarray(photo).save(root / "me.png", exif=exif)
    Image.fromarray(photo[:, ::-1]).save(root / "deep" / "me.jpg", quality=95)
    Image.fromarray(np.full((60, 80, 3), 7, np.uint8)).save(root / "nobody.png")
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff no photo")
    (root / "notes.txt").write_text("no photo")
    return root


def job(mask: Mask, out: Path, **settings: object) -> CloakJob:
    return CloakJob(mask=mask, out=out, detector=DETECTOR, **settings)  # type: ignore[arg-type]


def run(inputs: list[Path], of: CloakJob) -> tuple[dict[str, CloakedPhoto], dict[str, str]]:
    plan = plan_cloaking(inputs, of)
    made, failed = {}, {Path(each.name).name: each.reason for each in plan.failures}
    for result in cloak_into(plan, of):
        if isinstance(result, Failure):
            failed[Path(result.name).name] = result.reason
        else:
            made[str(result.file.relative_to(of.out))] = result
    return made, failed


def test_a_folder_is_cloaked_and_what_failed_is_named(folder: Path, mask: Mask, tmp_path: Path, photo: Pixels) -> None:
    out = tmp_path / "out"
    made, failed = run([folder], job(mask, out))
    assert set(made) == {"me.cloaked.png", "deep/me.cloaked.png"}
    assert set(failed) == {"nobody.png", "broken.jpg"}
    assert "no" in failed["nobody.png"]
    cloaked = decode(out / "me.cloaked.png")
    assert cloaked.exif is None
    assert cloaked.pixels.shape == photo.shape
    change = cloaked.pixels.astype(int) - photo
    assert 10 < np.abs(change).max() <= 16
    assert stat.S_IMODE((out / "me.cloaked.json").stat().st_mode) == 0o600
    plan = plan_cloaking([folder], job(mask, out))
    assert {path.name for path in plan.done} == {"me.png", "me.jpg"}
    assert [item.path.name for item in plan.skipped] == ["notes.txt"]


def test_a_photo_that_changes_while_it_is_cloaked_is_not_taken_for_done(
    folder: Path, mask: Mask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, of = folder / "me.png", job(mask, tmp_path / "out")

    def changed_after(path: Path, *, max_pixels: int) -> Photo:
        photo = decode(path, max_pixels=max_pixels)
        write_atomically(source, (folder / "deep" / "me.jpg").read_bytes())
        return photo

    monkeypatch.setattr("facemin.cloak.folder.decode", changed_after)
    made, _ = run([source], of)
    assert len(made) == 1
    assert list(plan_cloaking([source], of).todo) == [source]


def test_exif_is_kept_only_where_it_is_asked_for(folder: Path, mask: Mask, tmp_path: Path) -> None:
    for exif in (False, True):
        run([folder / "me.png"], job(mask, tmp_path / str(exif), exif=exif, form="jpeg", quality=90))
        kept = decode(tmp_path / str(exif) / "me.cloaked.jpg").exif
        assert (kept is not None) == exif
    assert b"camera" in (kept or b"")


def test_removing_is_exact_beside_the_record_and_close_without(
    folder: Path, mask: Mask, tmp_path: Path, photo: Pixels
) -> None:
    run([folder], job(mask, tmp_path / "out"))
    made, failed = run([tmp_path / "out"], job(mask, tmp_path / "back", remove=True))
    assert set(made) == {"me.uncloaked.png", "deep/me.uncloaked.png"}
    assert not failed
    assert made["me.uncloaked.png"].exact
    cloaked = decode(tmp_path / "out" / "me.cloaked.png").pixels
    clipped = (cloaked == 0) | (cloaked == 255)
    back = decode(tmp_path / "back" / "me.uncloaked.png").pixels
    np.testing.assert_array_equal(back[~clipped], photo[~clipped])
    (tmp_path / "out" / "me.cloaked.json").unlink()
    made, _ = run([tmp_path / "out" / "me.cloaked.png"], job(mask, tmp_path / "anew", remove=True))
    assert not made["me.uncloaked.png"].exact
    anew = decode(tmp_path / "anew" / "me.uncloaked.png").pixels
    assert np.abs(anew.astype(int) - photo).mean() < 0.1 * np.abs(cloaked.astype(int) - photo).mean()


def test_a_mask_that_is_not_on_the_photo_is_not_taken_off(folder: Path, mask: Mask, tmp_path: Path) -> None:
    made, failed = run([folder / "me.png"], job(mask, tmp_path / "back", remove=True))
    assert not made
    assert "no trace of the mask" in failed["me.png"]
    run([folder / "me.png"], job(mask, tmp_path / "out"))
    (tmp_path / "out" / "me.cloaked.json").unlink()
    other = Mask.make(
        mask.change[::-1].copy(), method="p3-mask", epsilon=16, photos=1, surrogates=mask.manifest.surrogates
    )
    made, failed = run([tmp_path / "out" / "me.cloaked.png"], job(other, tmp_path / "back", remove=True))
    assert not made
    assert "no trace of the mask" in failed["me.cloaked.png"]


def test_a_record_of_another_photo_is_not_believed(folder: Path, mask: Mask, tmp_path: Path) -> None:
    run([folder / "me.png"], job(mask, tmp_path / "out"))
    file, record = tmp_path / "out" / "me.cloaked.png", tmp_path / "out" / "me.cloaked.json"
    honest = json.loads(record.read_text())
    for changed in ({"sha256": "0" * 64}, {"points": [[1]]}, {"points": "x"}):
        record.write_text(json.dumps(honest | changed))
        made, failed = run([file], job(mask, tmp_path / "back", remove=True))
        assert not failed
        assert not made["me.uncloaked.png"].exact
        shutil.rmtree(tmp_path / "back")


def test_another_mask_than_the_recorded_one_takes_nothing_off(folder: Path, mask: Mask, tmp_path: Path) -> None:
    run([folder / "me.png"], job(mask, tmp_path / "out"))
    other = Mask.make(-mask.change, method="p3-mask", epsilon=16, photos=1, surrogates=mask.manifest.surrogates)
    made, failed = run([tmp_path / "out"], job(other, tmp_path / "back", remove=True))
    assert not made
    assert mask.fingerprint[:16] in failed["me.cloaked.png"]
    assert not (tmp_path / "back").exists()


def test_a_result_in_another_format_takes_the_place_of_the_earlier_one(
    folder: Path, mask: Mask, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run([folder / "me.png"], job(mask, out))
    (out / "you.cloaked.png").write_bytes(b"somebody else's")
    run([folder / "me.png"], job(mask, out, form="jpeg"))
    assert {path.name for path in out.iterdir()} == {"me.cloaked.jpg", "me.cloaked.json", "you.cloaked.png"}


def test_other_peoples_faces_stay_plain_unless_all_are_meant(mask: Mask, tmp_path: Path, photo: Pixels) -> None:
    small = np.asarray(Image.fromarray(photo).resize((300, 300)))
    both = np.zeros((512, 812, 3), np.uint8)
    both[:, :512] = photo
    both[100:400, 512:] = small
    (tmp_path / "two.png").write_bytes(encode(both))
    for whom, faces, right in (("largest", 1, False), ("all", 2, True)):
        out = tmp_path / whom
        made, _ = run([tmp_path / "two.png"], job(mask, out, whom=whom))
        assert (made["two.cloaked.png"].faces, made["two.cloaked.png"].others) == (faces, 2 - faces)
        changed = decode(out / "two.cloaked.png").pixels != both
        assert changed[:, :512].any()
        assert changed[:, 512:].any() == right
    centred = np.concatenate([both[:, 300:512], both[:, 512:], np.zeros((512, 212, 3), np.uint8)], 1)
    (tmp_path / "centre.png").write_bytes(encode(np.ascontiguousarray(centred)))
    made, _ = run([tmp_path / "centre.png"], job(mask, tmp_path / "centre", whom="centre"))
    assert made["centre.cloaked.png"].faces == 1


def test_two_photos_of_one_name_are_not_written_over_one_another(
    folder: Path, mask: Mask, tmp_path: Path, photo: Pixels
) -> None:
    (folder / "me.bmp").write_bytes(b"")
    Image.fromarray(photo).save(folder / "me.bmp")
    made, failed = run([folder / "me.bmp", folder / "me.png"], job(mask, tmp_path / "out"))
    assert len(made) == 1
    assert "a name of its own" in failed["me.png"]
    # nor in a later run
    made, failed = run([folder / "me.png"], job(mask, tmp_path / "out"))
    assert not made
    assert "a name of its own" in failed["me.png"]


def test_an_aligned_face_and_settings_out_of_range(mask: Mask, tmp_path: Path) -> None:
    face = np.full((112, 112, 3), 90, np.uint8)
    (tmp_path / "face.png").write_bytes(encode(face))
    run([tmp_path / "face.png"], job(mask, tmp_path / "out"))
    np.testing.assert_array_equal(decode(tmp_path / "out" / "face.cloaked.png").pixels, mask(face[None])[0])
    for wrong in ({"whom": "nobody"}, {"form": "gif"}, {"quality": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            job(mask, tmp_path, **wrong)


def test_what_is_not_there_is_a_failure(mask: Mask, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    _, failed = run([tmp_path / "empty", tmp_path / "missing.png"], job(mask, tmp_path / "out"))
    assert "found none" in failed["empty"]
    assert "nothing there" in failed["missing.png"]
    _, failed = run([tmp_path / "empty"], job(mask, tmp_path / "out", remove=True))
    assert "cloaked photos" in failed["empty"]


def test_cloaking_needs_no_torch(folder: Path, mask_file: Path, tmp_path: Path) -> None:
    out, back = str(tmp_path / "o"), str(tmp_path / "b")
    code = f"""
import sys
sys.modules["torch"] = None
from facemin.cli import run
mask = ["--mask", {str(mask_file)!r}]
print(run(["cloak", "apply", {str(folder / "me.png")!r}, *mask, "--out", {out!r}]))
print(run(["cloak", "remove", {out!r}, *mask, "--out", {back!r}]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0"], done.stderr
    assert (tmp_path / "b" / "me.uncloaked.png").is_file()


def test_what_is_not_there_is_not_taken_off_nor_put_on_twice(folder: Path, mask: Mask, tmp_path: Path) -> None:
    run([folder / "me.png"], job(mask, tmp_path / "out"))
    renamed = tmp_path / "holiday.png"
    shutil.copy(tmp_path / "out" / "me.cloaked.png", renamed)
    made, failed = run([folder / "me.png", renamed], job(mask, tmp_path / "back", remove=True))
    assert "found no trace of the mask" in failed["me.png"]
    assert set(made) == {"holiday.uncloaked.png"}
    made, failed = run([folder / "me.png", renamed], job(mask, tmp_path / "again"))
    assert "has this mask on already" in failed["holiday.png"]
    assert set(made) == {"me.cloaked.png"}
    other = Mask.make(mask.change[::-1], method="p3-mask", epsilon=16, photos=1, surrogates=mask.manifest.surrogates)
    assert run([renamed], job(other, tmp_path / "other", remove=True))[1].keys() == {"holiday.png"}
    assert run([renamed], job(other, tmp_path / "other"))[0].keys() == {"holiday.cloaked.png"}


def test_results_in_the_folder_itself_are_passed_over(folder: Path, mask: Mask) -> None:
    for name in ("b.protected.png", "b.2.protected.jpg", "b.pasted.png"):
        shutil.copy(folder / "me.png", folder / name)
    for _ in range(2):
        plan = plan_cloaking([folder, folder / "me.png"], job(mask, folder))
        assert {path.name for path in (*plan.todo, *plan.done)} == {"me.png", "me.jpg", "nobody.png", "broken.jpg"}
        list(cloak_into(plan, job(mask, folder)))
    # as a shell names them: what its record says is ours is passed over, a photo that is only called so is not
    named = [folder / "me.cloaked.png", folder / "b.protected.png"]
    plan = plan_cloaking(named, job(mask, folder))
    assert [item.path for item in plan.skipped] == named[:1]
    assert set(plan.todo) == {folder / "b.protected.png"}

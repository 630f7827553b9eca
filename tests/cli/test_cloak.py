"""cloak fit, apply and remove as a person runs them."""

import json
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from facemin.cloak.mask_file import Mask
from facemin.image import decode
from tests.cli.conftest import Call


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Three photos of one public-domain face, and one without any."""
    folder, photo = tmp_path / "mine", data.astronaut()
    folder.mkdir()
    for number, light in enumerate((0.8, 1.0, 1.1)):
        lit = (photo[: 400 - 20 * number, 20 * number :] * light).clip(0, 255).astype(np.uint8)
        Image.fromarray(lit).save(folder / f"{number}.png")
    Image.fromarray(data.coffee()).save(folder / "coffee.png")
    return folder


def test_fit_apply_remove(call: Call, mine: Path, tmp_path: Path) -> None:
    mask, out, back = tmp_path / "me.mask", tmp_path / "out", tmp_path / "back"
    fitted = call("cloak", "fit", mine, "--out", mask, "--method", "opom-class-centre", "--json")
    assert fitted.returncode == 1
    assert [Path(each["source"]).name for each in json.loads(fitted.stdout)["failed"]] == ["coffee.png"]
    assert "coffee.png" in fitted.stderr
    assert stat.S_IMODE(mask.stat().st_mode) == 0o600
    assert Mask.load(mask).manifest.photos == 3
    applied = call("cloak", "apply", mine, "--mask", mask, "--out", out)
    assert applied.returncode == 1
    assert "3 photos cloaked (3 faces), 0 done before, 1 failed" in applied.stderr
    removed = call("cloak", "remove", out, "--mask", mask, "--out", back, "--json")
    assert removed.returncode == 0
    assert all(each["exact"] for each in json.loads(removed.stdout)["made"])
    plain, cloaked = decode(mine / "1.png").pixels, decode(out / "1.cloaked.png").pixels
    again = decode(back / "1.uncloaked.png").pixels
    clipped = (cloaked == 0) | (cloaked == 255)
    assert (cloaked != plain).any()
    np.testing.assert_array_equal(again[~clipped], plain[~clipped])


def test_a_mask_is_not_written_over(call: Call, mine: Path, tmp_path: Path) -> None:
    mask = tmp_path / "me.mask"
    mask.write_text("precious")
    refused = call("cloak", "fit", mine, "--out", mask)
    assert refused.returncode == 2
    assert "--force" in refused.stderr
    assert mask.read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fit", "--out", "{tmp}/a.mask"), "photos: expected"),
        (("fit", "{tmp}/nothing", "--out", "{tmp}/a.mask"), "expected at least one with a face"),
        (("fit", "{tmp}/mine", "--out", "{tmp}/a.mask", "--surrogate", "unknown"), "unknown"),
        (("fit", "{tmp}/mine", "--out", "{tmp}/a.mask", *("--surrogate", "dlib-resnet29") * 2), "once"),
        (("apply", "{tmp}/mine", "--mask", "{tmp}/none.mask", "--out", "{tmp}/o"), "none.mask"),
        (("apply", "{tmp}/mine", "--mask", "{tmp}/mine/0.png", "--out", "{tmp}/o"), "only you may read"),
        (("apply", "{tmp}/mine", "--mask", "{tmp}/none.mask", "--out", "{tmp}/o", "--quality", "50"), "--format jpeg"),
        (("apply", "--mask", "{tmp}/none.mask", "--out", "{tmp}/o"), "photos: expected"),
    ],
)  # fmt: skip
def test_wrong_input_is_named(call: Call, mine: Path, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = call("cloak", *(part.format(tmp=tmp_path) for part in arguments))
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "a.mask").exists()
    assert not (tmp_path / "o").exists()

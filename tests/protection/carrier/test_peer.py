"""An unmodified peer: `face_recognition`'s own command line knows three people by their carriers, and by nothing else.

Runs where that library is: in this environment, or in another one whose Python `FACEMIN_PEER_PYTHON` names
(pip install -c constraints.txt "setuptools<81" dlib-bin face_recognition_models click numpy pillow, then
pip install --no-deps face-recognition).
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from facemin.face import Detector
from facemin.face.crop import crop
from facemin.image import encode
from facemin.keys.default import default_key
from facemin.models.onnx.run import FaceRunner
from facemin.protection.carrier import FaceCarrier, PseudonymTarget
from facemin.protection.carrier.base import base_of
from facemin.protection.carrier.detection import detection_score
from facemin.pseudonym import Context, Pseudonym, Secret

pytest.importorskip("torch")
PYTHON = Path(os.environ.get("FACEMIN_PEER_PYTHON", sys.executable))
PROGRAM = PYTHON.with_name("face_recognition")


@pytest.fixture(scope="module", autouse=True)
def peer() -> None:
    if not PROGRAM.is_file():
        pytest.skip(f"needs face_recognition beside {PYTHON}; FACEMIN_PEER_PYTHON names another Python")


def astronaut() -> tuple[Image.Image, Image.Image]:
    """Two captures of one person, as far as one photo gives them."""
    photo = Image.fromarray(pytest.importorskip("skimage.data").astronaut())
    darker = ImageEnhance.Brightness(photo.rotate(4, Image.Resampling.BICUBIC)).enhance(0.8)
    return photo, darker


def embedding(photo: Image.Image) -> np.ndarray:
    key = default_key()
    assert key.space is not None
    face = crop(encode(np.asarray(photo)), Detector(threads=1))
    row: np.ndarray = key.space.embed(FaceRunner(key.graph), face[None])[0]
    return row


def captures() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Two embeddings each of three people; of two of them drawn, alike as two photos of a person are."""
    first, second = astronaut()
    found = {"eileen": (embedding(first), embedding(second))}
    for number, name in enumerate(("ada", "grace")):
        rows = np.random.default_rng(number).standard_normal((3, 66))
        found[name] = rows[0] + 0.35 * rows[1], rows[0] + 0.35 * rows[2]
    return found


def test_a_folder_of_known_people_knows_three_pseudonyms_and_no_plain_photo(tmp_path: Path) -> None:
    key = default_key()
    assert key.space is not None
    known, unknown = tmp_path / "known", tmp_path / "unknown"
    known.mkdir()
    unknown.mkdir()
    names, targets = [], []
    for name, two in captures().items():
        secret = Secret(hashlib.sha256(name.encode()).digest())
        context = Context(origin="https://peer.example", space=key.space.id, dimension=66, purpose="main")
        for row in two:
            targets.append([PseudonymTarget(pseudonym=Pseudonym(secret=secret, context=context), embedding=row)])
            names.append(name)
    method = FaceCarrier()
    for number, (name, done) in enumerate(zip(names, method.aim(targets, [key], seed=5), strict=True)):
        assert done.reached
        assert done.file is not None
        (unknown if number % 2 else known).joinpath(f"{name}.png").write_bytes(done.file.data)
    for number, photo in enumerate(astronaut()):
        photo.save(unknown / f"plain{number}.png")
    ran = subprocess.run([PROGRAM, str(known), str(unknown)], capture_output=True, text=True, check=True, timeout=300)
    said = {Path(line.split(",")[0]).stem: line.split(",")[1] for line in ran.stdout.splitlines() if "," in line}
    assert said == {
        "eileen": "eileen",
        "ada": "ada",
        "grace": "grace",
        "plain0": "unknown_person",
        "plain1": "unknown_person",
    }


def test_its_api_finds_one_face_in_every_base(tmp_path: Path) -> None:
    for number in range(4):
        for look in ("photo", "drawing"):
            drawn = 255 * base_of(bytes([number] * 32), look=look).at(512)
            Image.fromarray(drawn.astype(np.uint8)).save(tmp_path / f"{look}{number}.png")
    code = (
        "import sys, json, face_recognition as fr\n"
        "print(json.dumps([len(fr.face_locations(fr.load_image_file(path))) for path in sys.argv[1:]]))\n"
    )
    paths = sorted(map(str, tmp_path.glob("*.png")))
    done = subprocess.run([PYTHON, "-c", code, *paths], capture_output=True, text=True, check=True, timeout=300)
    assert json.loads(done.stdout.splitlines()[-1]) == [1] * len(paths)


def test_its_detector_is_told_by_the_stand_in_for_it(tmp_path: Path) -> None:
    """Upright and turned: of 24 bases, those with the lowest scores are those that it finds most hardly."""
    frames = [base_of(bytes([number] * 32)) for number in range(24)]
    for number, base in enumerate(frames):
        Image.fromarray(np.rint(255 * base.at(512)).astype(np.uint8)).save(tmp_path / f"{number:02d}.png")
    code = (
        "import sys, json, dlib, numpy as np\n"
        "from PIL import Image\n"
        "detector = dlib.get_frontal_face_detector()\n"
        "def score(image): return max(detector.run(np.asarray(image), 0, -2)[1], default=-2)\n"
        "images = [Image.open(path) for path in sys.argv[1:]]\n"
        "print(json.dumps([[score(image.rotate(angle, 2)) for angle in (0, 10, -10)] for image in images]))\n"
    )
    paths = sorted(map(str, tmp_path.glob("*.png")))
    done = subprocess.run([PYTHON, "-c", code, *paths], capture_output=True, text=True, check=True, timeout=300)
    theirs = np.array(json.loads(done.stdout.splitlines()[-1])).mean(1)
    ours = np.array([detection_score(base.frame) for base in frames])
    assert np.corrcoef(theirs, ours)[0, 1] > 0.7
    assert theirs[ours < 1.2].max() < np.median(theirs)

"""Sources of faces and the cache of aligned ones."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data as pictures
from torch import Tensor

from facemin.autograd.pixels import to_tensor
from facemin.face import TEMPLATE, align
from facemin.image import decode
from facemin.runtime.files import write_atomically
from facemin.train.config import Data
from facemin.train.data.aligned import MANIFEST, align_photos
from facemin.train.data.sources import open_source
from tests.pictures import decode_tensor, encode_tensor


def record(label: float, encoded: bytes, *, labels: tuple[float, ...] = ()) -> bytes:
    """A record as im2rec packs it: magic, length, header, labels, image, padding to four bytes."""
    header = struct.pack("<IfQQ", len(labels), label, 0, 0) + struct.pack(f"<{len(labels)}f", *labels)
    body = header + encoded
    return struct.pack("<II", 0xCED7230A, len(body)) + body + b"\0" * (-len(body) % 4)


@pytest.fixture
def records(tmp_path: Path, people: Path) -> Path:
    """The people's images as an InsightFace training set: three persons of two images each."""
    root = tmp_path / "records"
    faces = [(person, people / f"person{person:02d}" / f"{image}.png") for person in range(3) for image in range(2)]
    packed = [record(0, b"", labels=(7.0, 10.0))] + [record(person, path.read_bytes()) for person, path in faces]
    packed += [record(0, b"", labels=(1.0 + 2 * person, 3.0 + 2 * person)) for person in range(3)]
    offsets = np.cumsum([0, *map(len, packed)])
    write_atomically(root / "train.rec", b"".join(packed))
    write_atomically(root / "train.idx", "".join(f"{key}\t{at}\n" for key, at in enumerate(offsets[:-1])).encode())
    write_atomically(root / "property", b"3,112,112")
    return root


def test_a_folder_of_aligned_faces(people: Path) -> None:
    source = open_source(Data(kind="folder", root=people, aligned=True), cache=people / "unused")
    assert source.people == tuple(f"person{at:02d}" for at in range(8))
    assert source.identities.tolist() == [person for person in range(8) for _ in range(6)]
    face = source.read(7)
    assert torch.equal(face, decode_tensor(people / "person01" / "1.png"))
    assert face.is_contiguous()
    assert not (people / "unused").exists()


def test_records_hold_the_same_faces(records: Path, people: Path) -> None:
    source = open_source(Data(kind="insightface", root=records), cache=records)
    assert source.people == ("0", "1", "2")
    assert source.identities.tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.equal(source.read(3), decode_tensor(people / "person01" / "1.png"))


def test_fingerprints_tell_sets_apart(records: Path, people: Path) -> None:
    folder = Data(kind="folder", root=people, aligned=True)
    first, again = (open_source(folder, cache=people).fingerprint for _ in range(2))
    fewer = open_source(folder.model_copy(update={"min_images": 7}), cache=people).fingerprint
    packed = open_source(Data(kind="insightface", root=records), cache=people).fingerprint
    assert first == again
    assert len({first, fewer, packed}) == 3


def test_refuses_an_image_of_another_size(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "1.png", encode_tensor(torch.zeros(3, 64, 64)))
    source = open_source(Data(kind="folder", root=tmp_path, aligned=True), cache=tmp_path)
    with pytest.raises(ValueError, match=r"1\.png: expected an aligned face of 112 x 112, got 64 x 64"):
        source.read(0)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photos of one person: a face, and none."""
    root = tmp_path / "photos"
    astronaut = torch.from_numpy(pictures.astronaut()).permute(2, 0, 1)
    write_atomically(root / "a" / "face.png", encode_tensor(astronaut[:, :300, 50:350].contiguous()))
    write_atomically(root / "a" / "none.png", encode_tensor(torch.full((3, 120, 150), 0.5)))
    return root


NAMES = ["a/face.png", "a/none.png"]


def points(shift: float = 0.0) -> dict[str, Tensor]:
    return {name: torch.from_numpy(TEMPLATE + np.array([60.0 + shift, 20.0])).float() for name in NAMES}


def aligned(photo: Path, points: Tensor) -> Tensor:
    return to_tensor(align(decode(photo).pixels, points[None].numpy())[0])


def test_aligns_by_landmarks_once(photos: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    into = tmp_path / "cache"
    found = align_photos(photos, NAMES, into=into, points=points(), on_aligned=lambda *at: seen.append(at))
    assert found == ["a/face.png.png", "a/none.png.png"]
    assert seen == [(1, 2), (2, 2)]
    expected = aligned(photos / NAMES[0], points()[NAMES[0]])
    assert torch.equal(decode_tensor(into / found[0]), expected)
    before = (into / found[0]).stat().st_mtime_ns
    assert align_photos(photos, NAMES, into=into, points=points(), write=False) == found
    assert (into / found[0]).stat().st_mtime_ns == before


def test_other_landmarks_are_other_faces(photos: Path, tmp_path: Path) -> None:
    into = tmp_path / "cache"
    align_photos(photos, NAMES[:1], into=into, points=points())
    with pytest.raises(ValueError, match="another process"):
        align_photos(photos, NAMES[:1], into=into, points=points(5.0), write=False)
    align_photos(photos, NAMES[:1], into=into, points=points(5.0))
    expected = aligned(photos / NAMES[0], points(5.0)[NAMES[0]])
    assert torch.equal(decode_tensor(into / "a/face.png.png"), expected)


def test_detects_and_leaves_out_who_shows_no_face(photos: Path, tmp_path: Path) -> None:
    into = tmp_path / "cache"
    data = Data(kind="folder", root=photos)
    source = open_source(data, cache=into)
    assert source.identities.tolist() == [0]
    assert source.read(0).shape == (3, 112, 112)
    # noted, so that nobody looks for a face there again
    assert open_source(data, cache=into, write=False).fingerprint == source.fingerprint


def test_goes_on_after_a_photo_that_stopped_it(photos: Path, tmp_path: Path) -> None:
    into = tmp_path / "cache"
    broken = photos / "a" / "z.png"
    write_atomically(broken, b"\x89PNG")
    given = points() | {"a/z.png": torch.from_numpy(TEMPLATE).float()}
    with pytest.raises(ValueError, match=r"z\.png: expected"):
        align_photos(photos, [*NAMES, "a/z.png"], into=into, points=given)
    before = (into / "a/face.png.png").stat().st_mtime_ns
    write_atomically(broken, (photos / "a" / "face.png").read_bytes())
    assert len(align_photos(photos, [*NAMES, "a/z.png"], into=into, points=given)) == 3
    assert (into / "a/face.png.png").stat().st_mtime_ns == before


def test_refuses_photos_without_landmarks(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected landmarks of every photo, got none of 1, such as a/none\.png"):
        align_photos(photos, NAMES, into=tmp_path, points={NAMES[0]: torch.from_numpy(TEMPLATE).float()})


@pytest.mark.parametrize("text", ["{", "[]", '{"photos": 1}', '{"photos": {"a": 1}}', '{"faces": {}}'])
def test_refuses_a_foreign_cache(photos: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(ValueError, match=r"aligned\.json: expected what facemin wrote"):
        align_photos(photos, NAMES, into=tmp_path, points=points())

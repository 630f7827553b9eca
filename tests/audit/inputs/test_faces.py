"""How many photos of a person an audit reads."""

from pathlib import Path

import torch

from facemin.audit.inputs.faces import MOST_EACH, Protecting, read_faces
from facemin.autograd.pixels import to_array
from facemin.image import encode
from facemin.keys.default import plain_key
from tests.audit.conftest import noise, people_of_patterns


def test_reads_up_to_four_photos_of_a_person_where_their_protected_images_are_given(tmp_path: Path) -> None:
    faces, hidden = people_of_patterns(2, 6).faces, noise(12)
    # ann has six photos, bob three, and nobody else two
    for at, name in enumerate([*(f"ann/{number}" for number in range(6)), *(f"bob/{number}" for number in range(3))]):
        for kind, images in (("png", faces), ("protected.png", hidden)):
            path = tmp_path / ("in" if kind == "png" else "out") / f"{name}.{kind}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(to_array(images[at])))
    single = tmp_path / "in" / "eve" / "0.png"
    single.parent.mkdir()
    single.write_bytes(encode(to_array(faces[11])))
    (tmp_path / "out" / "eve").mkdir()
    (tmp_path / "out" / "eve" / "0.protected.png").write_bytes(encode(to_array(hidden[11])))
    read = read_faces(
        [tmp_path / "in", tmp_path / "out"], Protecting(out=tmp_path / "made", keys=(plain_key(),)), most=10
    )
    assert read.people is not None
    assert torch.unique(read.people, return_counts=True)[1].tolist() == [MOST_EACH, 3]
    assert (len(read.pairs.probes), read.pairs.own) == (2, False)

"""The verification protocol: which pairs, how images become faces, and what is computed from the scores."""

import math
import pickle
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from torch import Tensor

from facemin.autograd.pixels import to_tensor
from facemin.evaluation.pairs import (
    VerificationSet,
    fold_order,
    open_verification_set,
)
from facemin.evaluation.photo_reader import LoadedFace, PhotoReader, central_points
from facemin.evaluation.result import FARS
from facemin.evaluation.verify import Embeddings, embed, evaluate, face_batches, measure
from facemin.face import Detector, align_unrounded
from facemin.image import encode
from facemin.metrics import cross_identity_scores, tar_at_far
from facemin.models import Recogniser, load_recogniser
from facemin.models.onnx.graph import read_graph
from facemin.runtime.files import write_atomically
from facemin.runtime.inference_session import inference_session
from tests.models.test_store import tiny_graph
from tests.pictures import encode_tensor, patterned_people

PEOPLE, PHOTOS = 6, 4


@pytest.fixture(scope="module")
def tiny() -> Recogniser:
    return Recogniser(read_graph(tiny_graph()), name="tiny")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people with four aligned photos each: a pattern of 4 x 4 colours a person, with noise."""
    name = "p{person}/p{person}_{photo:04d}.jpg"
    return patterned_people(tmp_path_factory.mktemp("faces"), PEOPLE, PHOTOS, name=name, first=1)


def test_outside_a_photo_it_is_black_or_the_edge(tmp_path: Path) -> None:
    (tmp_path / "white.png").write_bytes(encode_tensor(torch.ones(3, 60, 60)))
    points = {"white.png": torch.from_numpy(central_points(60, 60) + 30)}
    zero, edge = (
        PhotoReader(root=tmp_path, paths=["white.png"], points=points, border=border)(0).face
        for border in ("zero", "replicate")
    )
    assert float(zero.min()) == 0
    assert float(edge.min()) > 0.999


def made(angles: Tensor, pairs: list[tuple[int, int]], same: list[bool], people: list[int] | None) -> Any:
    """A set whose embeddings are unit vectors of two numbers at these angles."""

    def read(index: int) -> LoadedFace:
        raise AssertionError(f"image {index} is not needed")

    rows = torch.stack((angles.cos(), angles.sin()), 1).float()
    labels = None if people is None else torch.tensor(people)
    same_ = torch.tensor(same)
    pair_set = VerificationSet(
        source="made", images=len(rows), read=read, pairs=torch.tensor(pairs), same=same_, people=labels
    )
    return pair_set, Embeddings(rows, 0)


def test_figures_by_hand(tiny: Recogniser) -> None:
    # image 0 at 0 degrees, the others at the angle whose cosine is the pair's score
    cosines = torch.tensor([0.9, 0.1, 0.8, 0.2, 0.7, 0.0, 0.9, 0.3, 0.6, 0.1, 0.2, 0.5] + [0.9, 0.1] * 4)
    same = [at % 2 == 0 for at in range(20)]
    pair_set, embedded = made(torch.cat((torch.zeros(1), cosines.acos())), [(0, at) for at in range(1, 21)], same, None)
    done = measure(pair_set, embedded, tiny)
    torch.testing.assert_close(done.scores.float(), cosines, atol=1e-6, rtol=0)
    # one genuine pair (0.2) lies below one impostor (0.5) and another (0.3): nine of ten on each side at 0.5
    assert done.eer == pytest.approx(0.1)
    assert done.listed["1e-1"].at[0] == pytest.approx(0.9)
    assert done.listed["1e-1"].at.threshold == pytest.approx(0.3, abs=1e-6)
    assert done.listed["1e-2"].at.tar == pytest.approx(0.9)
    assert done.listed["1e-2"].at.threshold == pytest.approx(0.5, abs=1e-6)
    assert [point.at.meaningful for point in done.listed.values()] == [True] + [False] * 5
    # folds of two pairs, the strictest of the best thresholds on the others: that is just below 0.6, so the 0.2 is
    # refused; without the fold of the 0.6 it is just below 0.7, so the 0.6 is
    assert done.accuracy.mean == pytest.approx(0.9)
    assert done.cross_identity is None
    report = done.report()
    assert list(report) == ["accuracy", "eer", "tar", "thresholds", "n"]
    assert report["accuracy"]["folds"].count(1.0) == 8
    assert report["accuracy"]["identity_bootstrap"] is None
    assert list(report["tar"]) == list(FARS)
    assert report["tar"]["1e-1"]["n_impostor"] == 10
    assert report["thresholds"]["cross_identity"] is None
    low, high = report["tar"]["1e-1"]["wilson"]
    assert (low, high) == pytest.approx((0.5958, 0.9821), abs=1e-4)  # Wilson's interval of 9 in 10
    assert report["n"] == {"pairs": 20, "genuine": 10, "impostor": 10, "images": 21, "people": None, "no_face": 0}


def test_thresholds_of_all_pairs_of_different_people(tiny: Recogniser) -> None:
    generator = torch.Generator().manual_seed(0)
    people = [at // 4 for at in range(400)]
    angles = torch.rand(400, generator=generator) * math.pi
    pairs = [(4 * at, 4 * at + 1) for at in range(100)] + [(4 * at, (4 * at + 5) % 400) for at in range(100)]
    pair_set, embedded = made(angles, pairs, [True] * 100 + [False] * 100, people)
    done = measure(pair_set, embedded, tiny)
    assert done.cross_identity is not None
    impostor = cross_identity_scores(embedded.rows, torch.tensor(people))
    assert len(impostor) == 400 * 396 // 2
    for name, far in FARS.items():
        at, expected = done.cross_identity[name].at, tar_at_far(done.scores[:100], impostor, far=far)
        assert (at.threshold, at.far_measured, at.n_impostor) == pytest.approx(
            (expected.threshold, expected.far_measured, 79_200), abs=1e-6
        )
        assert at.meaningful == expected.meaningful
        assert at.tar == pytest.approx(expected.tar)
        interval = done.cross_identity[name].people
        assert interval is not None
        assert interval.low <= at.tar <= interval.high
    measured = done.calibration(command="facemin eval made")
    assert [threshold.far for threshold in measured.thresholds] == [1e-1, 1e-2, 1e-3, 1e-4]
    assert (measured.model, measured.fingerprint) == ("tiny", tiny.fingerprint)
    assert "all pairs of different people" in measured.data
    with pytest.raises(ValueError, match="--flip"):
        measure(pair_set, embedded, tiny, flip=True).calibration(command="")


def test_each_image_is_loaded_once_and_embedded_in_order(tiny: Recogniser, faces: Path) -> None:
    whole = open_verification_set(faces)
    loads: Counter[int] = Counter()

    def read(index: int) -> LoadedFace:
        loads[index] += 1
        time.sleep(0.002 * (index % 3))  # so that threads finish out of order
        return whole.read(index)

    images = torch.stack([whole.read(at).face for at in range(whole.images)])
    counted = VerificationSet(
        source="", images=whole.images, read=read, pairs=whole.pairs, same=whole.same, people=whole.people
    )
    for batch, workers in ((1, 1), (5, 3), (24, 2), (100, 2)):
        loads.clear()
        parts = [part for part, _ in face_batches(counted, batch=batch, workers=workers)]
        assert {len(part) for part in parts[:-1]} <= {batch}
        assert torch.equal(torch.cat(parts), images)
        assert loads == Counter(range(whole.images))
    done: list[int] = []
    result = evaluate(counted, tiny, batch=10, on_images=done.append)
    assert done == [10, 20, 24]
    rows = tiny(images)
    torch.testing.assert_close(
        result.scores.float(), (rows[whole.pairs[:, 0]] * rows[whole.pairs[:, 1]]).sum(1), atol=1e-5, rtol=0
    )
    assert result.accuracy.mean > 0.9
    assert result.n["people"] == PEOPLE


def test_an_image_that_cannot_be_read_ends_the_evaluation(tiny: Recogniser, faces: Path) -> None:
    whole = open_verification_set(faces)
    loads: list[int] = []

    def read(index: int) -> LoadedFace:
        loads.append(index)
        if index == 3:
            raise ValueError("image 3: broken")
        return whole.read(index)

    broken = VerificationSet(source="", images=1000, read=read, pairs=whole.pairs, same=whole.same, people=None)
    with pytest.raises(ValueError, match="image 3: broken"):
        evaluate(broken, tiny, batch=4)
    assert len(loads) < 20
    for setting in ({"batch": 0}, {"workers": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            evaluate(whole, tiny, **setting)  # type: ignore[arg-type]


def test_flip_adds_the_mirror_images_raw_embedding(tiny: Recogniser) -> None:
    images = torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    session = inference_session(tiny_graph(), threads=1)
    (plain,) = session.run(None, {"image": images.numpy()})
    (mirrored,) = session.run(None, {"image": np.ascontiguousarray(images.numpy()[..., ::-1])})
    for flip, raw in ((False, plain), (True, plain + mirrored)):
        expected = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        np.testing.assert_allclose(embed(tiny, images, flip=flip).numpy(), expected, atol=1e-5)


@given(same=st.lists(st.booleans(), min_size=20, max_size=200))
@settings(deadline=None)
def test_folds_hold_both_kinds_in_order(same: list[bool]) -> None:
    flags = torch.tensor(same)
    order = fold_order(flags)
    assert sorted(order.tolist()) == list(range(len(same)))
    for kind in (True, False):
        places = [at for at in order.tolist() if same[at] is kind]
        assert places == sorted(places)
    if min(sum(same), len(same) - sum(same)) >= 20:
        counts = [(int(part.sum()), len(part)) for part in torch.tensor_split(flags[order], 10)]
        assert all(0 < genuine < size for genuine, size in counts)


def test_a_list_in_folds_is_left_as_it_is() -> None:
    official = torch.tensor(([True] * 300 + [False] * 300) * 10)
    assert torch.equal(fold_order(official), torch.arange(6000))
    dealt = official[:600][fold_order(official[:600])]
    assert [int(part.sum()) for part in torch.tensor_split(dealt, 10)] == [30] * 10


@pytest.mark.parametrize("limit", [1000, 36, 20, 12])
def test_pairs_drawn_of_a_folder(faces: Path, limit: int) -> None:
    drawn = open_verification_set(faces, genuine_limit=limit, seed=1)
    again = open_verification_set(faces, genuine_limit=limit, seed=1)
    assert torch.equal(drawn.pairs, again.pairs)
    assert drawn.people is not None
    assert torch.equal(drawn.people[drawn.pairs[:, 0]] == drawn.people[drawn.pairs[:, 1]], drawn.same)
    unordered = {tuple(sorted(pair)) for pair in drawn.pairs.tolist()}
    assert len(unordered) == len(drawn.pairs)
    assert all(a != b for a, b in unordered)
    genuine = min(limit, PEOPLE * math.comb(PHOTOS, 2))
    assert (int(drawn.same.sum()), len(drawn.same)) == (genuine, 2 * genuine)


def test_pairs_by_paths_and_by_lfws_list(faces: Path, tmp_path: Path) -> None:
    lines = []
    for at in range(6):
        other = (at + 1) % 6
        lines.append(f"p{at}/p{at}_0001.jpg p{at}/p{at}_0002.jpg 1")
        lines.append(f"p{at}/p{at}_0001.jpg p{other}/p{other}_0003.jpg 0")
    by_paths, by_names = tmp_path / "paths.txt", tmp_path / "pairs.txt"
    by_paths.write_text("\n".join(lines) + "\n")
    genuine = [f"p{at}\t1\t2" for at in range(6)]
    impostor = [f"p{at}\t1\tp{(at + 1) % 6}\t3" for at in range(6)]
    by_names.write_text("\n".join(["1\t6", *genuine, *impostor]) + "\n")
    sets = [open_verification_set(faces, pairs=path) for path in (by_paths, by_names)]
    assert [one.images for one in sets] == [18, 18]
    keys = [
        {(tuple(pair), flag) for pair, flag in zip(one.pairs.tolist(), one.same.tolist(), strict=True)} for one in sets
    ]
    assert keys[0] == keys[1]
    for path, one in zip((by_paths, by_names), sets, strict=True):
        path.write_bytes(path.read_text().encode("utf-8-sig"))
        assert torch.equal(open_verification_set(faces, pairs=path).pairs, one.pairs)
    for bad in ("../a.jpg b.jpg 1", "/a.jpg b.jpg 1", "a.jpg b.jpg 2"):
        by_paths.write_text(lines[0] + "\n" + bad + "\n")
        with pytest.raises(ValueError, match="pair 2: expected '<path> <path> <0 or 1>'"):
            open_verification_set(faces, pairs=by_paths)
    # flags that folders contradict are believed, and the folders are then no identities
    by_paths.write_text("\n".join(lines).replace(" 0", " 1").replace(" 1\n", " 0\n", 1) + "\n")
    assert open_verification_set(faces, pairs=by_paths).people is None


def test_wrong_inputs_are_named(faces: Path, tmp_path: Path) -> None:
    points = tmp_path / "points.npz"
    np.savez(points, names=np.array(["p0/p0_0001.jpg"]), pts=np.zeros((1, 5, 2), np.float32))
    with pytest.raises(ValueError, match=r"points\.npz: expected landmarks of every photo, got none of 23"):
        open_verification_set(faces, points=points)
    with pytest.raises(ValueError, match="found no file"):
        open_verification_set(faces, pairs=tmp_path / "missing.txt")
    with pytest.raises(ValueError, match="missing: expected a folder"):
        open_verification_set(tmp_path / "missing")
    with pytest.raises(ValueError, match="genuine_limit"):
        open_verification_set(faces, genuine_limit=0)
    with pytest.raises(ValueError, match=r"expected at least 10 pairs, .* got 2 and 2"):
        open_verification_set(faces, genuine_limit=2)


def test_insightface_bin(faces: Path, tiny: Recogniser, tmp_path: Path) -> None:
    photos = sorted(faces.rglob("*.jpg"))
    chosen, flags = [], []
    for at in range(20):
        chosen += [photos[at].read_bytes(), photos[at + 1].read_bytes()]
        flags.append(photos[at].parent == photos[at + 1].parent)
    path = tmp_path / "mine.bin"
    path.write_bytes(pickle.dumps((chosen, flags), 4))
    packed = open_verification_set(path)
    assert packed.images == 21
    assert packed.people is None
    result = evaluate(packed, tiny, batch=8)
    order = fold_order(torch.tensor(flags))
    rows = tiny(torch.stack([open_verification_set(faces).read(at).face for at in range(21)]))
    expected = (rows[:20] * rows[1:21]).sum(1)
    torch.testing.assert_close(result.scores.float(), expected[order], atol=1e-5, rtol=0)
    assert result.cross_identity is None
    assert result.n["impostor"] == 5
    with pytest.raises(ValueError, match="at least 10 impostor pairs"):
        result.calibration(command="c")
    with pytest.raises(ValueError, match="which is aligned"):
        open_verification_set(path, pairs=path)
    path.write_bytes(pickle.dumps(([encode_tensor(torch.zeros(3, 96, 112))] * 40, [True, False] * 10), 4))
    with pytest.raises(ValueError, match=r"mine\.bin, pair 0: expected images of 112 x 112"):
        evaluate(open_verification_set(path), tiny)


def test_central_points_cut_out_the_middle() -> None:
    rows, columns = torch.meshgrid(torch.arange(200), torch.arange(250), indexing="ij")
    photo = torch.stack((rows, columns, torch.zeros_like(rows)), 2).byte().numpy()
    face = to_tensor(align_unrounded(photo, central_points(200, 250)[None])[0]) * 255
    step = 0.53 * 200 / 112
    places = (torch.arange(112) - 55.5) * step
    torch.testing.assert_close(face[0], (99.5 + places)[:, None].expand(112, 112), atol=0.01, rtol=0)
    torch.testing.assert_close(face[1], (124.5 + places)[None].expand(112, 112), atol=0.01, rtol=0)


def test_photos_are_aligned_by_the_face_nearest_to_the_centre_or_their_centre(tmp_path: Path) -> None:
    astronaut, coffee = data.astronaut(), data.coffee()
    twice = np.full((512, 1100, 3), 128, np.uint8)
    twice[:, :512] = astronaut
    twice[128:384, 530:786] = astronaut[::2, ::2]  # the smaller face, but nearer to the centre
    lines = []
    for person, photo in (("a", twice), ("b", coffee)):
        for number in range(1, 11):
            write_atomically(tmp_path / person / f"{person}_{number:04d}.png", encode(photo))
            lines.append(f"{person}/{person}_0001.png {person}/{person}_{number:04d}.png {int(person == 'a')}")
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("\n".join(lines) + "\n")
    found = open_verification_set(tmp_path, pairs=pairs)
    face, centre = found.read(0), found.read(10)
    assert (face.found, centre.found) == (True, False)
    expected = align_unrounded(coffee, central_points(*coffee.shape[:2])[None])[0]
    assert torch.equal(centre.face, to_tensor(expected))
    # where the face lies in the small copy: the big one's place, halved and shifted
    write_atomically(tmp_path / "one.png", encode(astronaut))
    (big,) = Detector()(astronaut)
    expected = align_unrounded(twice, (big.points / 2 + np.array([530.0, 128.0]))[None])[0]
    assert float((face.face - to_tensor(expected)).abs().mean()) < 0.03


def test_lfw_scores_are_onnxruntimes(shared: Path, tmp_path: Path) -> None:
    lines = (shared / "data" / "lfw_pairs.txt").read_text().splitlines()
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("\n".join(["1\t10", *lines[1:11], *lines[301:311]]) + "\n")
    model = shared / "models" / "mobilefacenet-ms1m-arcface.onnx"
    pair_set = open_verification_set(shared / "data" / "lfw", pairs=pairs, points=shared / "data" / "lfw_landmarks.npz")
    result = evaluate(pair_set, load_recogniser(model), batch=16)
    session = inference_session(model.read_bytes(), threads=1)
    images = torch.stack([pair_set.read(at).face for at in range(pair_set.images)]) * 255
    rows = np.concatenate([session.run(None, {session.get_inputs()[0].name: one[None].numpy()})[0] for one in images])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    expected = (rows[pair_set.pairs[:, 0]] * rows[pair_set.pairs[:, 1]]).sum(1)
    np.testing.assert_allclose(result.scores.numpy(), expected, atol=1e-4)
    assert result.accuracy.mean >= 0.9

"""Bases: stable for a secret, an origin and a purpose; of nobody; drawn from sums over many faces."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from facemin.face import Detector
from facemin.face.align import TEMPLATE, similarity
from facemin.protection.carrier.base import Base, base_of, draw_base
from facemin.protection.carrier.components import (
    COMPONENTS,
    CORNER,
    FILE,
    FRAME,
    PHOTO,
    VALUES,
    components,
    from_template,
    landmarks_in,
    landmarks_in_photo,
    to_planes,
    to_rgb,
)
from facemin.pseudonym import Context, Pseudonym, Secret

SECRET, OTHER = (Secret(hashlib.sha256(name).digest()) for name in (b"one", b"another"))


def pseudonym(secret: Secret = SECRET, **changed: Any) -> Pseudonym:
    context = Context(origin="https://a.example", space=bytes(32), dimension=12, purpose="main")
    return Pseudonym(secret=secret, context=replace(context, **changed))


def same(a: Base, b: Base) -> bool:
    return bool((a.pixels == b.pixels).all())


def test_a_base_is_stable_for_secret_origin_and_purpose_and_no_further() -> None:
    base = draw_base([pseudonym()])
    assert same(base, draw_base([pseudonym()]))
    unchanging: tuple[dict[str, Any], ...] = ({"epoch": 3}, {"space": b"\1" * 32}, {"signer": b"\2" * 32})
    for unchanged in unchanging:
        assert same(base, draw_base([pseudonym(**unchanged)])), unchanged
    changing: tuple[dict[str, Any], ...] = ({"origin": "https://b.example"}, {"purpose": "other"})
    for changed in changing:
        assert not same(base, draw_base([pseudonym(**changed)])), changed
    assert not same(base, draw_base([pseudonym(OTHER)]))
    assert not same(base, draw_base([pseudonym()], attempt=1))


def test_one_base_for_two_services_whatever_their_order() -> None:
    two = [pseudonym(), pseudonym(origin="https://b.example")]
    assert same(draw_base(two), draw_base(two[::-1]))
    assert not same(draw_base(two), draw_base(two[:1]))
    for wrong in ([], [pseudonym(), pseudonym(OTHER)], [pseudonym(), pseudonym(purpose="other")]):
        with pytest.raises(ValueError, match="of one secret and purpose"):
            draw_base(wrong)


def test_a_look_that_is_none() -> None:
    with pytest.raises(ValueError, match="expected 'photo' or 'drawing', got 'cat'"):
        base_of(bytes(32), look="cat")  # type: ignore[arg-type]


@pytest.mark.parametrize("side", [256, 512, 1024])
@pytest.mark.parametrize("look", ["photo", "drawing"])
def test_bases_of_any_size(look: str, side: int) -> None:
    image = base_of(b"\7" * 32, look=look).at(side)  # type: ignore[arg-type]
    assert image.shape == (side, side, 3)
    assert image.dtype == np.float32
    assert 0 <= image.min() < image.max() <= 1


def test_a_photo_shows_the_frame_and_more_of_its_background() -> None:
    base = base_of(b"\7" * 32)
    photo = base.at(PHOTO)
    x, y = CORNER
    assert np.array_equal(photo[y : y + FRAME, x : x + FRAME], base.frame)
    # it goes on without a step, and ever softer
    assert np.abs(photo[y - 1, x : x + FRAME] - base.frame[0]).max() < 0.02
    outer, inner = (np.abs(np.diff(photo[row, x : x + FRAME], axis=0)).mean() for row in (0, y))
    assert 0 < outer < inner


@pytest.mark.parametrize("side", [256, FRAME])
def test_a_detector_finds_one_face_in_each_where_the_template_says(side: int) -> None:
    detector = Detector(threads=1)
    for number in range(4):
        (face,) = detector((255 * base_of(bytes([number] * 32)).at(side)).astype(np.uint8))
        matrix = similarity(face.points[None])[0]
        ours = similarity(landmarks_in_photo(side)[None])[0]
        assert np.abs(matrix[:, :2] / ours[0, 0] - ours[:, :2] / ours[0, 0]).max() < 0.08
        middle = matrix[:, :2] @ np.array([side / 2] * 2) + matrix[:, 2]
        wanted = ours[:, :2] @ np.array([side / 2] * 2) + ours[:, 2]
        assert np.abs(middle - wanted).max() < 6


def test_the_components_are_sums_and_small() -> None:
    found = components()
    assert FILE.stat().st_size < 2_000_000
    assert found.parts.shape == (COMPONENTS, VALUES)
    deviations = np.linalg.norm(found.parts, axis=1)
    assert (np.diff(deviations) < 0).all()
    # orthogonal, to within their eight bits
    unit = found.parts / deviations[:, None]
    assert np.abs(unit @ unit.T - np.eye(COMPONENTS)).max() < 0.05


def test_planes_and_back() -> None:
    frame = np.zeros((256, 256, 3), np.uint8)
    frame[:128, :, 0], frame[128:, :, 2], frame[..., 1] = 200, 180, 90
    again = to_rgb(to_planes(frame), 256)
    assert np.abs(again - frame)[40:80].max() < 2
    assert np.abs(again - frame)[180:220].max() < 2


@pytest.mark.parametrize("side", [128, 512, 700])
def test_frames_of_any_side_show_the_same_places(side: int) -> None:
    share = (landmarks_in(side) + 0.5) / side
    assert np.allclose(share, (landmarks_in(FRAME) + 0.5) / FRAME)
    matrix = from_template(side)
    assert np.allclose(similarity(landmarks_in(side)[None])[0][:, :2] @ matrix[:, :2], np.eye(2))
    assert np.allclose(TEMPLATE @ matrix[:, :2].T + matrix[:, 2], landmarks_in(side))

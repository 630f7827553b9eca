"""Hashes of captures: computed by hand, and far apart for pictures that have nothing in common."""

import numpy as np
import pytest

from facemin.pseudonym.capture_hash import SAME_CAPTURE, capture_hashes, hash_distance


def test_hash_by_hand() -> None:
    """One wave of frequencies 2 down and 3 across has one coefficient that is not 0."""
    places = (np.arange(112) + 0.5) * np.pi / 112
    wave = np.outer(np.cos(2 * places), np.cos(3 * places))
    waves = np.stack([128 + 100 * sign * wave for sign in (1, -1)]).round().astype(np.uint8)
    first, second = np.unpackbits(capture_hashes(np.repeat(waves[..., None], 3, -1)), axis=1)
    place = 1 * 16 + 2
    assert (first[place], second[place]) == (1, 0)


def test_distance_by_hand() -> None:
    zero = np.zeros(32, np.uint8)
    other = zero.copy()
    other[0] = 0b1010_0100
    assert hash_distance(zero, other) == 3 / 256
    # a mirror image inverts every other bit, the first of a row among them
    assert hash_distance(zero, np.full(32, 0b1010_1010, np.uint8)) == 0
    assert hash_distance(zero, np.full(32, 0b0101_0101, np.uint8)) == 0.5


def test_unrelated_pictures_are_far_apart() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 112, 112, 3)).astype(np.uint8)
    hashes = capture_hashes(noise)
    assert min(hash_distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]) > SAME_CAPTURE + 0.1


@pytest.mark.parametrize("flipped", [0, 1, 40, 51])
def test_distances_are_shares_of_differing_bits(flipped: int) -> None:
    rng = np.random.default_rng(flipped)
    bits = rng.integers(0, 2, 256, dtype=np.uint8)
    other = bits.copy()
    other[rng.permutation(256)[:flipped]] ^= 1
    mirrored = other ^ (np.arange(256) % 2 == 0)
    for second in (other, mirrored):
        assert hash_distance(np.packbits(bits), np.packbits(second)) == flipped / 256

"""Sampler of training faces: each once an epoch, mirrored by half, resumable, split over devices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facemin.train.data.sampler import Batches, Draw, derived_seed


def whole(**settings: int) -> list[list[Draw]]:
    return list(Batches(**{"images": 50, "batch": 12, "epochs": 3, "seed": 5, **settings}))  # type: ignore[arg-type]


def test_an_epoch_shows_each_face_at_most_once() -> None:
    batches = whole()
    assert [len(batch) for batch in batches] == [12] * 12
    for epoch in range(3):
        seen = [draw.place for batch in batches[4 * epoch : 4 * epoch + 4] for draw in batch]
        assert len(set(seen)) == len(seen) == 48
    assert batches[:4] != batches[4:8]


def test_about_half_are_mirrored_or_none() -> None:
    flips = [draw.flip for batch in whole(images=1000, batch=100) for draw in batch]
    assert 0.45 < sum(flips) / len(flips) < 0.55
    unflipped = Batches(images=1000, batch=100, epochs=1, seed=5, flip=False)
    assert not any(draw.flip for batch in unflipped for draw in batch)


@given(st.integers(0, 12), st.integers(1, 3))
def test_resuming_shows_the_rest(start: int, accumulate: int) -> None:
    rest = whole(start=start, accumulate=accumulate)
    assert rest == whole(accumulate=accumulate)[start * accumulate :]
    assert len(Batches(images=50, batch=12, epochs=3, seed=5, start=start, accumulate=accumulate)) == len(rest)


@given(st.sampled_from([1, 2, 3]), st.sampled_from([1, 2]))
def test_devices_and_parts_share_each_batch(devices: int, accumulate: int) -> None:
    shares = [whole(rank=rank, devices=devices, accumulate=accumulate) for rank in range(devices)]
    for step, batch in enumerate(whole()):
        parts = [share[step * accumulate + part] for part in range(accumulate) for share in shares]
        assert [draw for part in parts for draw in part] == batch


def test_another_seed_is_another_order() -> None:
    assert whole(seed=5) == whole(seed=5) != whole(seed=6)


def test_seeds_depend_on_every_part() -> None:
    seeds = {derived_seed(*parts) for parts in [(1, 2), (2, 1), (12,), (1, "2"), (1, 2, 0)]}
    assert len(seeds) == 5
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"images": 11}, "at most 11"), ({"devices": 5}, "multiple of 5"), ({"accumulate": 8}, "multiple of 8")],
)
def test_refuses_what_does_not_divide(settings: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=f"batch: expected a?.*{said}"):
        whole(**settings)

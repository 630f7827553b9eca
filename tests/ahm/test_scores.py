"""AHM's scores against cases computed by hand."""

import pytest

from facemin.ahm.scores import RawScores, ahm_scores


def raw(**changes: float) -> RawScores:
    return RawScores(**({"ssim": 0.2, "psnr": 12.0, "identity": 0.1, "rank_one": 0.3, "accuracy": 0.85} | changes))


def test_by_hand() -> None:
    found = ahm_scores(raw())
    assert (found.s1, found.s3, found.s4) == pytest.approx((0.8, 0.9, 0.7))
    assert found.s2 == pytest.approx(28 / 35)
    assert found.privacy == pytest.approx(0.4 * 0.8 + 0.6 * 0.8)
    assert found.classification == pytest.approx(0.7)
    assert found.raw == raw()


def test_ends_of_the_ranges() -> None:
    hidden = ahm_scores(raw(ssim=-0.3, psnr=2.0, identity=0.0, rank_one=0.0, accuracy=0.4))
    assert (hidden.s1, hidden.s2, hidden.privacy, hidden.classification) == pytest.approx((1.0, 1.0, 1.0, 0.0))
    shown = ahm_scores(raw(ssim=1.0, psnr=60.0, identity=1.0, rank_one=1.0, accuracy=1.0))
    assert (shown.privacy, shown.classification) == (0.0, 1.0)


@pytest.mark.parametrize(
    "changes",
    [{"identity": 1.2}, {"rank_one": -0.1}, {"accuracy": float("nan")}, {"ssim": -2.0}, {"psnr": float("inf")}],
)
def test_refuses_what_is_no_such_value(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        raw(**changes)

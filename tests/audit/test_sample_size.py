"""What counts can say."""

import math

from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from facemin.audit.sample_size import BOUND, classify_rate, further, strongest
from facemin.metrics import wilson


def test_a_zero_is_bounded_only_from_73_on() -> None:
    # Wilson's upper end of a zero is z^2 / (n + z^2)
    z = stats.norm.ppf(0.975)
    needed = math.ceil(z * z * (1 - BOUND) / BOUND)
    assert needed == 73
    assert classify_rate(0, needed).outcome == "bounded"
    assert classify_rate(0, needed - 1) == ("cannot tell", 1)
    assert classify_rate(0, 1) == ("cannot tell", 72)


@given(st.integers(1, 300), st.data(), st.sampled_from([0.01, 0.05, 0.3]))
def test_so_many_further_misses_settle_it_and_no_fewer(n: int, data: st.DataObject, bound: float) -> None:
    hits = data.draw(st.integers(0, n))
    more = further(hits, n, bound=bound)
    assert wilson(hits, n + more).high <= bound
    assert more == 1 or wilson(hits, n + more - 1).high > bound


@given(st.integers(1, 200), st.data())
def test_never_bounded_while_the_interval_reaches_further(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    outcome = classify_rate(hits, n).outcome
    assert (outcome == "bounded") == (wilson(hits, n).high <= BOUND)
    if outcome == "leak":
        assert wilson(hits, n).low > BOUND


def test_a_hit_that_chance_explains_is_no_leak() -> None:
    assert classify_rate(1, 1).outcome == "leak"
    assert classify_rate(1, 1, chance=1e-3, cells=6).outcome == "leak"
    # a hundred cells give one hit of one pair at FAR 1e-3 in a tenth of all audits
    assert classify_rate(1, 1, chance=1e-3, cells=100).outcome == "cannot tell"
    assert classify_rate(40, 40, chance=1e-3, cells=100).outcome == "leak"


def test_a_threshold_of_few_impostors_explains_more() -> None:
    assert classify_rate(4, 20, chance=0.02).outcome == "leak"
    assert classify_rate(4, 20, chance=0.02, p=0.06).outcome == "cannot tell"


def test_one_leak_is_a_leak_and_one_open_question_stays_open() -> None:
    assert strongest(["bounded", "leak", "cannot tell"]) == "leak"
    assert strongest(["bounded", "cannot tell", "look"]) == "cannot tell"
    assert strongest(["look", "bounded"]) == "bounded"
    assert strongest([]) == "not tested"
    assert strongest(["not tested"]) == "not tested"

"""Shares, intervals and tests against values computed by hand or from tables."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoner_jax.evaluation.statistics import Proportion, Spread, macro, micro, sign_test


def test_wilsons_interval_of_published_examples():
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for count, total, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        found = Proportion(count, total).interval
        assert found == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500), st.data())
def test_an_interval_holds_its_share_and_stays_within_zero_and_one(total, data):
    found = Proportion(data.draw(st.integers(0, total)), total)
    low, high = found.interval
    assert 0 <= low <= found.share <= high <= 1


def test_nothing_counted_is_no_number():
    assert math.isnan(Proportion(0, 0).share)
    assert all(map(math.isnan, Proportion(0, 0).interval))
    assert macro([Proportion(0, 0)]).num_groups == 0
    assert math.isnan(Spread.of([None]).median)


def test_micro_counts_items_and_macro_counts_groups():
    groups = [Proportion(9, 10), Proportion(10, 100), Proportion(0, 0)]
    assert micro(groups) == Proportion(19, 110)
    found = macro(groups)
    assert found.share == pytest.approx(0.5)
    assert found.num_groups == 2
    # Wilson: 9 of 10 is [0.5958, 0.9821], 10 of 100 is [0.0552, 0.1744].
    assert found.interval == pytest.approx(
        (0.5 - math.hypot(0.3042, 0.0448) / 2, 0.5 + math.hypot(0.0821, 0.0744) / 2), abs=1e-4
    )


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), min_size=1, max_size=6))
def test_the_interval_of_a_macro_average_holds_it(counts):
    found = macro([Proportion(min(count, total), total) for count, total in counts])
    low, high = found.interval
    assert -1e-12 <= low <= found.share <= high <= 1 + 1e-12


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="got 3 of 2"):
        Proportion(3, 2)


def test_sign_test_by_hand():
    # Six items tell the two apart, all for the left: 2 * (1/2)^6.
    assert sign_test([True] * 6 + [True, False], [False] * 6 + [True, False]) == 2 / 64
    # One against three: 2 * (1 + 4) / 16.
    assert sign_test([True, False, False, False], [False, True, True, True]) == 10 / 16
    assert sign_test([True, False], [True, False]) == 1.0
    with pytest.raises(ValueError, match="got 1 and 2"):
        sign_test([True], [True, False])


def test_a_spread_leaves_out_what_was_not_measured():
    found = Spread.of([1, None, 2, 3])
    assert (found.mean, found.median, found.total) == (2, 2, 3)
    assert found.p95 == pytest.approx(2.9)

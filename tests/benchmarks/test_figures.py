# SPDX-License-Identifier: Apache-2.0
"""Medians, spread, and intervals of known numbers."""

import pytest

from benchmarks.figures import Figure, figure_of, ratio_of


def test_a_figure_is_the_median_of_rounds_that_count_with_theirs() -> None:
    # The second round has more blocks than the others, and no more weight.
    figure = figure_of([[1.0], [4.0, 5.0, 9.0], [7.0]])
    assert figure.median == 5.0
    assert (figure.low, figure.high) == (4.0, 7.0)


def test_an_outlier_does_not_move_a_figure() -> None:
    assert figure_of([[2.0, 2.0, 2.0, 1000.0]] * 3).median == 2.0


def test_a_single_block_has_no_spread() -> None:
    assert figure_of([[3.0]]) == Figure(3.0, 3.0, 3.0)


def test_the_spread_is_a_part_of_the_median() -> None:
    assert Figure(10.0, 9.0, 12.0).spread == pytest.approx(0.3)


def test_equal_rounds_leave_no_doubt_about_a_ratio() -> None:
    assert ratio_of([[6.0]] * 5, [[2.0]] * 5) == (3.0, 3.0, 3.0)


def test_a_ratio_is_taken_to_the_sum_of_its_references() -> None:
    ratio = ratio_of([[12.0]] * 3, [[1.0]] * 3, [[2.0]] * 3, [[3.0]] * 3)
    assert ratio == (2.0, 2.0, 2.0)


def test_the_interval_holds_the_ratio_and_is_the_same_each_time() -> None:
    measured = [[value] for value in (10.0, 11.0, 12.0, 13.0, 30.0)]
    reference = [[value] for value in (5.0, 5.5, 6.0, 6.5, 7.0)]
    ratio = ratio_of(measured, reference)
    assert ratio is not None
    assert ratio.value == 2.0
    assert 1.5 < ratio.low <= ratio.value <= ratio.high < 6.0
    assert ratio.low < ratio.high
    assert ratio_of(measured, reference) == ratio


def test_what_slows_both_sides_of_a_round_cancels_out() -> None:
    slow = [[2.0 * factor] for factor in (1.0, 1.0, 8.0, 1.0, 8.0)]
    fast = [[1.0 * factor] for factor in (1.0, 1.0, 8.0, 1.0, 8.0)]
    assert ratio_of(slow, fast) == (2.0, 2.0, 2.0)


def test_there_is_no_ratio_to_nothing() -> None:
    assert ratio_of([[1.0]], [[0.0]]) is None

# SPDX-License-Identifier: Apache-2.0
"""For how long a worker may count on the items that it holds, and when it holds them anew."""

import pytest

from e2ecross.device.hold_time import HoldTime
from e2ecross.state.inbox_holds import HOLD_MS
from tests.support.devices import ANA, FakeClock, make_device


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def held(clock: FakeClock) -> HoldTime:
    return HoldTime(make_device(ANA, clock=clock)._context)


def test_nothing_is_held_at_first(held: HoldTime) -> None:
    assert held.is_due()
    assert held.is_over()


def test_what_was_just_held_is_neither_due_nor_over(held: HoldTime) -> None:
    held.note()
    assert not held.is_due()
    assert not held.is_over()


def test_it_is_due_after_a_third_of_the_time(held: HoldTime, clock: FakeClock) -> None:
    held.note()
    clock.advance(HOLD_MS // 3 - 1)
    assert not held.is_due()
    clock.advance(1)
    assert held.is_due()
    assert not held.is_over()


def test_it_is_over_a_quarter_before_others_may_have_it(held: HoldTime, clock: FakeClock) -> None:
    held.note()
    clock.advance(HOLD_MS * 3 // 4 - 1)
    assert not held.is_over()
    clock.advance(1)
    assert held.is_over()


def test_held_anew_the_time_begins_again(held: HoldTime, clock: FakeClock) -> None:
    held.note()
    clock.advance(HOLD_MS)
    held.note()
    clock.advance(HOLD_MS // 3 - 1)
    assert not held.is_due()
    assert not held.is_over()


def test_where_the_clock_was_put_back_it_is_over(held: HoldTime, clock: FakeClock) -> None:
    held.note()
    clock.advance(-1)
    assert held.is_over()

# SPDX-License-Identifier: Apache-2.0
"""Token buckets, and maps from which the least used goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.service.rates import Bucket, LeastUsed, PerKey


def test_a_burst_and_then_as_fast_as_it_fills() -> None:
    bucket = Bucket(2, 3)
    assert [bucket.take(10.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert bucket.take(10.4) == pytest.approx(0.1)
    assert bucket.take(10.5) == 0
    assert bucket.take(10.5) == 0.5
    assert [bucket.take(1000.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_to_look_takes_nothing() -> None:
    bucket = Bucket(1, 1)
    assert [bucket.wait(0.0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(0.0) == 0
    assert bucket.wait(0.0) == 1


def test_more_than_a_burst_needs_it_full_and_waits_longer_afterwards() -> None:
    bucket = Bucket(10, 100)
    assert bucket.take(0.0, 300) == 0
    assert bucket.take(0.0) == pytest.approx(20.1)
    assert bucket.take(20.0) == pytest.approx(0.1)
    assert bucket.take(20.1) == 0


def test_a_clock_that_goes_back_fills_nothing() -> None:
    bucket = Bucket(1, 1)
    assert bucket.take(100.0) == 0
    assert bucket.take(50.0) == 1
    assert bucket.take(100.5) == 0.5


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(1, 50)), max_size=50))
def test_never_more_than_burst_and_rate_allow(steps: list[tuple[float, int]]) -> None:
    bucket, now, taken = Bucket(5, 50), 0.0, 0
    for pause, amount in steps:
        now += pause
        if bucket.take(now, amount) == 0:
            taken += amount
        assert taken <= 50 + 5 * now + 1e-6


def test_the_least_used_goes() -> None:
    kept: LeastUsed[str, str] = LeastUsed(2)
    kept.put("a", "1")
    kept.put("b", "2")
    assert kept.get("a") == "1"
    kept.put("c", "3")
    assert [kept.get(key) for key in "abc"] == ["1", None, "3"]
    kept.drop("a")
    kept.drop("a")
    assert len(kept) == 1


def test_each_key_has_a_bucket_and_they_are_bounded() -> None:
    buckets = PerKey(1, 1, 2)
    assert buckets["a"].take(0.0) == 0
    assert buckets["a"].take(0.0) == 1
    assert buckets["b"].take(0.0) == 0
    assert buckets["c"].take(0.0) == 0
    assert buckets["a"].take(0.0) == 0  # it had gone

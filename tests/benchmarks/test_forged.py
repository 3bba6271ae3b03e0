# SPDX-License-Identifier: Apache-2.0
"""What `python -m benchmarks.forged` measures is a refusal of each kind of forgery."""

from benchmarks.forged import measure


def test_each_kind_is_refused_and_timed() -> None:
    found = measure([0, 780], 1)
    assert len(found) == 7
    assert all(list(each) == [0, 780] and min(each.values()) > 0 for each in found.values())

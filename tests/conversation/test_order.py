# SPDX-License-Identifier: Apache-2.0
"""Places in order, whatever comes and goes."""

import random

from hypothesis import given
from hypothesis import strategies as st

from e2ecross.conversation.order import _CHUNK, InOrder, Order


def _orders(numbers: range) -> list[Order]:
    return [(number // 3, f"app:{number % 3}", bytes((number % 3,))) for number in numbers]


@given(st.lists(st.integers(0, 60), unique=True), st.data())
def test_it_is_a_sorted_list(numbers: list[int], data: st.DataObject) -> None:
    held = InOrder()
    plain: list[Order] = []
    for order in (_orders(range(n, n + 1))[0] for n in numbers):
        held.add(order)
        plain.append(order)
        plain.sort()
        assert list(held) == plain
        if data.draw(st.booleans()):
            out = plain[data.draw(st.integers(0, len(plain) - 1))]
            plain.remove(out)
            held.remove(out)
        elif data.draw(st.booleans()) and plain:
            assert held.pop_first() == plain.pop(0)
        assert list(held) == plain


def test_it_stays_sorted_over_many_lists() -> None:
    orders = _orders(range(4 * _CHUNK))
    for shuffled in (orders, orders[::-1], random.Random(1).sample(orders, len(orders))):
        held = InOrder()
        for order in shuffled:
            held.add(order)
        assert list(held) == orders
        assert all(0 < len(chunk) <= _CHUNK for chunk in held._chunks)
        for order in shuffled[:_CHUNK]:
            held.remove(order)
        left = sorted(shuffled[_CHUNK:])
        assert [held.pop_first() for _ in left] == left
        assert not held._chunks


def test_lists_are_filled_where_most_come_last() -> None:
    held = InOrder()
    for order in _orders(range(3 * _CHUNK + 1)):
        held.add(order)
    assert [len(chunk) for chunk in held._chunks] == [_CHUNK, _CHUNK, _CHUNK, 1]

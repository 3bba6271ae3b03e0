# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.errors import PrekeysExhausted
from e2ecross.protocol.prekeys import (
    first_prekey_id,
    is_expired,
    new_registration_id,
    one_time_prekeys_to_add,
    prekey_id_after_restore,
    require_free_ids,
    rotation_is_due,
)
from tests.support.entropy import ReplayedEntropy, SeededEntropy

MAX_ID = 0xFFFFFF


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [(0, 1), (1, 2), (16379, 16380), (16380, 1), (2**56 - 1, (2**56 - 1) % 16380 + 1)],
)
def test_registration_id_is_from_1_to_16380(drawn: int, expected: int) -> None:
    assert new_registration_id(ReplayedEntropy([drawn.to_bytes(7)])) == expected


@given(st.binary(min_size=7, max_size=7))
def test_any_registration_id_is_in_range(drawn: bytes) -> None:
    assert 1 <= new_registration_id(ReplayedEntropy([drawn])) <= 16380


@pytest.mark.parametrize(
    ("drawn", "expected"), [(0, 1), (1, 1), (2, 1), (4, 2), (MAX_ID, 0x7FFFFF)]
)
def test_first_prekey_id_is_in_the_lower_half_and_not_0(drawn: int, expected: int) -> None:
    assert first_prekey_id(ReplayedEntropy([drawn.to_bytes(3)])) == expected


def test_ids_end_at_24_bits() -> None:
    require_free_ids(MAX_ID, 1)
    require_free_ids(MAX_ID - 99, 100)
    require_free_ids(MAX_ID + 1, 0)
    for next_id, count in ((MAX_ID, 2), (MAX_ID - 99, 101), (MAX_ID + 1, 1)):
        with pytest.raises(PrekeysExhausted, match="new device"):
            require_free_ids(next_id, count)


@pytest.mark.parametrize(("next_id", "choices"), [(1, 8355839), (2**23, 4161535)])
def test_ids_go_on_above_what_may_have_been_lost(next_id: int, choices: int) -> None:
    first = next_id + 65_536
    for drawn, expected in (
        (0, first),
        (1, first + 1),
        (choices - 1, first + choices - 1),
        (choices, first),
        (2**56 - 1, first + (2**56 - 1) % choices),
    ):
        entropy = ReplayedEntropy([drawn.to_bytes(7)])
        assert prekey_id_after_restore(next_id, entropy) == expected
        assert first <= expected < first + choices <= MAX_ID


def test_many_restores_in_a_row_leave_ids_and_end_with_an_error() -> None:
    entropy = SeededEntropy("restores")
    ids = [first_prekey_id(entropy)]
    while ids[-1] < MAX_ID - 65_536 - 2:
        ids.append(prekey_id_after_restore(ids[-1] + 1, entropy))
        assert ids[-1] - ids[-2] > 65_536
        assert ids[-1] <= MAX_ID
    assert len(ids) > 8
    with pytest.raises(PrekeysExhausted, match="new device"):
        prekey_id_after_restore(ids[-1] + 1, entropy)
    last = MAX_ID - 65_536
    for left in (last, last - 1, MAX_ID, MAX_ID + 1):
        with pytest.raises(PrekeysExhausted):
            prekey_id_after_restore(left, entropy)
    assert prekey_id_after_restore(last - 2, entropy) == MAX_ID - 2


def test_rotation_is_due_at_the_age_not_before() -> None:
    assert not rotation_is_due(1000, 1099, 100)
    assert rotation_is_due(1000, 1100, 100)
    assert rotation_is_due(1000, 9999, 100)


def test_prekey_expires_after_its_time_since_it_was_replaced() -> None:
    assert not is_expired(1000, 1099, 100)
    assert is_expired(1000, 1100, 100)
    assert not is_expired(0, 10**15, 100)


def test_a_key_dated_in_the_future_is_due_and_does_not_expire_by_that() -> None:
    assert rotation_is_due(1000, 999, 100)
    assert not rotation_is_due(1000, 1000, 100)
    assert not is_expired(1000, 0, 100)


def test_one_time_prekeys_are_filled_up_from_below_low() -> None:
    assert one_time_prekeys_to_add(left=20, low=20, target=100) == 0
    assert one_time_prekeys_to_add(left=19, low=20, target=100) == 81
    assert one_time_prekeys_to_add(left=0, low=20, target=100) == 100
    assert one_time_prekeys_to_add(left=1000, low=20, target=100) == 0

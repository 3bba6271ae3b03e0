# SPDX-License-Identifier: Apache-2.0
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.kdf import MessageKey
from e2ecross.protocol.skipped_keys import NO_SKIPPED_KEYS, SkippedKeys


def _key(number: int) -> MessageKey:
    return MessageKey(number.to_bytes(32))


def _held(keys: SkippedKeys) -> dict[int, bytes]:
    return {number: key for bucket in keys.buckets.values() for number, key in bucket.items()}


def _range(first: int, count: int) -> SkippedKeys:
    return NO_SKIPPED_KEYS.with_keys(first, [_key(first + i) for i in range(count)])


def test_nothing_is_stored_at_first() -> None:
    assert len(NO_SKIPPED_KEYS) == 0
    assert NO_SKIPPED_KEYS.get(0) is None
    assert NO_SKIPPED_KEYS.with_keys(5, []) is NO_SKIPPED_KEYS


def test_buckets_hold_64_neighbours() -> None:
    keys = _range(62, 68)
    assert {index: sorted(bucket) for index, bucket in keys.buckets.items()} == {
        0: [62, 63],
        1: [*range(64, 128)],
        2: [128, 129],
    }
    assert keys.get(64) == _key(64)
    assert keys.get(130) is None
    assert keys.get(61) is None
    assert len(keys) == 68


def test_change_shares_every_other_bucket_and_leaves_the_original() -> None:
    keys = _range(0, 300)
    fewer = keys.without(70)
    more = keys.with_keys(300, [_key(300)])
    assert [fewer.buckets[i] is keys.buckets[i] for i in range(5)] == [
        True,
        False,
        True,
        True,
        True,
    ]
    assert [more.buckets[i] is keys.buckets[i] for i in range(5)] == [True, True, True, True, False]
    assert (len(keys), len(fewer), len(more)) == (300, 299, 301)
    assert keys.get(70) == _key(70)
    assert fewer.get(70) is None
    assert keys.get(300) is None


def test_emptied_bucket_goes() -> None:
    keys = _range(63, 2).without(63)
    assert list(keys.buckets) == [1]


def test_newest_drops_the_lowest_numbers_first() -> None:
    keys = _range(10, 300)
    assert keys.newest(300) is keys
    assert keys.newest(301) is keys
    assert sorted(_held(keys.newest(299))) == [*range(11, 310)]
    assert sorted(_held(keys.newest(64))) == [*range(246, 310)]
    assert sorted(_held(keys.newest(1))) == [309]
    assert len(keys.newest(0)) == 0
    assert keys.newest(0).buckets == {}
    assert len(keys) == 300
    assert keys.newest(10).buckets[4] is keys.buckets[4] or len(keys.newest(10)) == 10


def test_where_surplus_is_exactly_a_bucket_that_bucket_goes_and_no_key_more() -> None:
    keys = _range(0, 192)
    fewer = keys.newest(128)
    assert (sorted(fewer.buckets), len(fewer)) == ([1, 2], 128)
    assert all(fewer.buckets[index] is keys.buckets[index] for index in (1, 2))
    assert sorted(_held(keys.newest(129))) == [*range(63, 192)]
    assert sorted(_held(keys.newest(127))) == [*range(65, 192)]


def test_a_key_in_the_place_of_one_that_is_held_is_not_counted_twice() -> None:
    keys = _range(60, 10).with_keys(65, [_key(900 + number) for number in range(10)])
    assert len(keys) == 15
    assert sorted(_held(keys)) == [*range(60, 75)]
    assert keys.get(64) == _key(64)
    assert [keys.get(65), keys.get(74)] == [_key(900), _key(909)]


# --- Keys that are left in the store --------------------------------------------------------


def _partly_at_hand(forgotten: int = 0) -> SkippedKeys:
    """Of 300 keys of the numbers 0 to 299, those of the bucket 2."""
    return SkippedKeys({2: _range(0, 300).buckets[2]}, 300, forgotten)


def test_of_keys_that_are_not_at_hand_those_that_go_are_counted() -> None:
    keys = _partly_at_hand()
    assert (len(keys), keys.forgotten) == (300, 0)
    fewer = keys.newest(290)
    assert (len(fewer), fewer.forgotten) == (290, 10)
    assert fewer.buckets == keys.buckets
    fewest = fewer.newest(285)
    assert (len(fewest), fewest.forgotten) == (285, 15)
    assert fewest.newest(285) is fewest


def test_what_is_forgotten_stays_so_while_keys_come_and_go() -> None:
    keys = _partly_at_hand(forgotten=7)
    for changed, count in (
        (keys.without(130), 299),
        (keys.with_keys(300, [_key(300), _key(301)]), 302),
        (keys.with_keys(131, [_key(131)]), 300),
    ):
        assert (len(changed), changed.forgotten) == (count, 7)


def test_what_is_forgotten_stays_so_where_all_that_is_left_is_at_hand() -> None:
    """Those that go then are of the lowest numbers at hand: the others are none of the rest."""
    keys = SkippedKeys({}, 10).with_keys(64, [_key(64 + number) for number in range(64)])
    keys = keys.newest(64)
    assert (len(keys), keys.forgotten) == (64, 10)
    fewer = keys.newest(60)
    assert sorted(_held(fewer)) == [*range(68, 128)]
    assert (len(fewer), fewer.forgotten) == (60, 10)


def test_keys_that_are_left_in_the_store_are_counted_and_nothing_is_to_be_removed_there() -> None:
    left = _partly_at_hand(forgotten=7).left_in_store()
    assert (len(left), left.buckets, left.forgotten) == (300, {}, 0)
    assert _range(5, 3).newest(0).left_in_store() is NO_SKIPPED_KEYS


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 300), st.integers(0, 130)),
            st.tuples(st.just("take"), st.integers(0, 300), st.just(0)),
            st.tuples(st.just("newest"), st.integers(0, 200), st.just(0)),
        ),
        max_size=12,
    )
)
def test_behaves_like_a_plain_mapping(steps: list[tuple[str, int, int]]) -> None:
    keys, model = NO_SKIPPED_KEYS, dict[int, bytes]()
    for step, number, count in steps:
        before, held = keys, _held(keys)
        if step == "add":
            keys = keys.with_keys(number, [_key(number + i) for i in range(count)])
            model |= {number + i: _key(number + i) for i in range(count)}
        elif step == "take":
            if number in model:
                keys = keys.without(number)
                del model[number]
            assert keys.get(number) is None
        else:
            keys = keys.newest(number)
            model = {n: model[n] for n in sorted(model)[max(0, len(model) - number) :]}
        assert _held(keys) == model
        assert len(keys) == len(model)
        assert all(keys.get(n) == key for n, key in model.items())
        assert all(n >> 6 == i for i, bucket in keys.buckets.items() for n in bucket)
        assert _held(before) == held


def test_keys_do_not_show_themselves() -> None:
    keys = _range(0, 2)
    assert repr(keys) == "<SkippedKeys: secret>"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(keys)

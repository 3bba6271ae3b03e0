# SPDX-License-Identifier: Apache-2.0
"""Rows of stored message keys: whatever part is at hand, they end as a plain mapping does."""

from hypothesis import example, given
from hypothesis import strategies as st

from e2ecross.crypto.kdf import MessageKey
from e2ecross.protocol.skipped_keys import NO_SKIPPED_KEYS, SkippedKeys
from e2ecross.state.skipped_key_rows import load_bucket, save_chain_keys
from e2ecross.stores import MemoryStore, Table, Transaction
from tests.support.devices import SpyStore

PARTITION = b"a chain"
_STEPS = st.lists(
    st.tuples(
        st.sets(st.integers(0, 6)),  # buckets that are at hand
        st.none() | st.integers(0, 450),  # which key is used
        st.integers(0, 150),  # how many come behind the last one
        st.lists(st.integers(0, 30), max_size=3),  # how many go, once and again
    ),
    max_size=6,
)


def _key(number: int) -> MessageKey:
    return MessageKey(number.to_bytes(32))


def _rows(tx: Transaction) -> dict[int, MessageKey]:
    found: dict[int, MessageKey] = {}
    for index in range(30):
        bucket = load_bucket(tx, Table.SKIPPED_KEYS, PARTITION, index)
        if bucket is not None:
            assert {number >> 6 for number in bucket} == {index}  # no row is left without keys
            found |= bucket
    return found


@example(steps=[(set(), None, 70, []), (set(), None, 130, [100, 3])])
@example(steps=[(set(), None, 64, []), (set(), None, 64, [64])])
@example(steps=[({0}, None, 10, []), ({0, 1}, 5, 100, [60, 30, 5])])
@given(steps=_STEPS)
def test_rows_end_as_a_plain_mapping(
    steps: list[tuple[set[int], int | None, int, list[int]]],
) -> None:
    spy, model, stored, last = SpyStore(MemoryStore()), dict[int, MessageKey](), NO_SKIPPED_KEYS, 0
    for at_hand, used, count, dropped in steps:
        with spy.transaction() as tx:
            # What an operation goes on with is at hand, too.
            wanted = {*at_hand, last >> 6}
            buckets = {n: load_bucket(tx, Table.SKIPPED_KEYS, PARTITION, n) for n in wanted}
            there = {n: bucket for n, bucket in buckets.items() if bucket is not None}
            before = keys = SkippedKeys(there, len(stored)) if len(stored) else NO_SKIPPED_KEYS
            if used is not None and keys.get(used) is not None:
                keys = keys.without(used)
                del model[used]
            keys = keys.with_keys(last, [_key(last + number) for number in range(count)])
            model |= {last + number: _key(last + number) for number in range(count)}
            last += count
            for each in dropped:
                keys = keys.newest(max(0, len(keys) - each))
                model = dict(sorted(model.items())[min(each, len(model)) :])
                assert len(keys) == len(model)
            save_chain_keys(tx, Table.SKIPPED_KEYS, PARTITION, before, keys)
            assert _rows(tx) == model
            stored = keys.left_in_store()
        assert (len(stored), stored.forgotten) == (len(model), 0)

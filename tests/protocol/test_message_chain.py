# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.kdf import (
    ChainKey,
    MessageKey,
    derive_message_key,
    derive_next_chain_key,
)
from e2ecross.errors import DuplicateMessage, MessageTooOld, SessionExhausted, TooManySkipped
from e2ecross.protocol.message_chain import (
    ReceivingChain,
    SendingChain,
    close_receiving_chain,
    find_message_key,
    next_sending_key,
    use_message_key,
)
from e2ecross.protocol.skipped_keys import NO_SKIPPED_KEYS
from e2ecross.wire.limits import MAX_FORWARD_JUMP, MAX_UINT32
from tests.support.vectors import key_pair

PAIR = key_pair("bob_ratchet")
START = ChainKey(b"\x11" * 32)
FRESH = ReceivingChain(PAIR.public, START, 0, NO_SKIPPED_KEYS)


def _expected(count: int) -> list[MessageKey]:
    """The first keys of the chain, derived without the code under test."""
    keys, chain_key = [], START
    for _ in range(count):
        keys.append(derive_message_key(chain_key))
        chain_key = derive_next_chain_key(chain_key)
    return keys


def _state(chain: ReceivingChain) -> tuple[bytes, bytes | None, int, dict[int, bytes]]:
    skipped: dict[int, bytes] = {
        n: key for bucket in chain.skipped.buckets.values() for n, key in bucket.items()
    }
    return chain.ratchet_key, chain.chain_key, chain.message_number, skipped


def take_message_key(
    chain: ReceivingChain, number: int, max_forward_jump: int
) -> tuple[ReceivingChain, MessageKey]:
    """What an authenticated message does: find its key, and use it up."""
    before = _state(chain)
    found = find_message_key(chain, number, max_forward_jump)
    assert found.number == number
    assert _state(chain) == before  # nothing is stored as long as it may be a forgery
    return use_message_key(chain, found), found.message_key


KEYS = _expected(MAX_FORWARD_JUMP + 2)


# --- Sending --------------------------------------------------------------------------------


def test_sending_uses_each_number_once_in_order() -> None:
    chain = SendingChain(PAIR, START, 0)
    for number in range(5):
        advanced, key = next_sending_key(chain)
        assert key == KEYS[number]
        assert (chain.message_number, advanced.message_number) == (number, number + 1)
        assert advanced.ratchet_key_pair is PAIR
        assert advanced.chain_key != chain.chain_key
        chain = advanced


def test_sending_ends_with_the_last_number() -> None:
    last, key = next_sending_key(SendingChain(PAIR, START, MAX_UINT32 - 1))
    assert key == KEYS[0]
    assert last.message_number == MAX_UINT32
    with pytest.raises(SessionExhausted):
        next_sending_key(last)


# --- Receiving ------------------------------------------------------------------------------


def test_receiving_in_order_stores_nothing() -> None:
    chain = FRESH
    for number in range(5):
        chain, key = take_message_key(chain, number, 0)
        assert key == KEYS[number]
        assert chain.message_number == number + 1
        assert len(chain.skipped) == 0


@given(st.permutations(range(12)))
def test_receiving_in_any_order_gives_each_key_once(order: list[int]) -> None:
    chain = FRESH
    for number in order:
        before = _state(chain)
        advanced, key = take_message_key(chain, number, 100)
        assert _state(chain) == before
        assert key == KEYS[number]
        with pytest.raises(DuplicateMessage, match=f"message {number} "):
            take_message_key(advanced, number, 100)
        chain = advanced
    assert chain.message_number == 12
    assert len(chain.skipped) == 0


@pytest.mark.parametrize("limit", [0, 1, 2000, MAX_FORWARD_JUMP])
@pytest.mark.parametrize("start", [0, 3])
def test_jump_of_exactly_the_limit_is_the_longest(limit: int, start: int) -> None:
    chain = FRESH if start == 0 else take_message_key(FRESH, start - 1, start)[0]
    before = _state(chain)
    with pytest.raises(TooManySkipped, match=f" {limit + 1} .* {limit} ") as caught:
        take_message_key(chain, start + limit + 1, limit)
    assert (caught.value.got, caught.value.allowed) == (limit + 1, limit)
    assert _state(chain) == before
    if start + limit < len(KEYS):
        advanced, key = take_message_key(chain, start + limit, limit)
        assert key == KEYS[start + limit]
        assert advanced.message_number == start + limit + 1
        assert chain.message_number == start


def test_long_jump_stores_the_newest_2000_only() -> None:
    chain, _ = take_message_key(FRESH, 5000, MAX_FORWARD_JUMP)
    assert len(chain.skipped) == 2000
    assert chain.skipped.get(2999) is None
    assert chain.skipped.get(3000) == KEYS[3000]
    assert chain.skipped.get(4999) == KEYS[4999]
    with pytest.raises(DuplicateMessage):
        take_message_key(chain, 2999, MAX_FORWARD_JUMP)
    _, key = take_message_key(chain, 3000, MAX_FORWARD_JUMP)
    assert key == KEYS[3000]


def test_stored_key_2001_drops_the_oldest() -> None:
    chain, _ = take_message_key(FRESH, 2000, MAX_FORWARD_JUMP)
    assert len(chain.skipped) == 2000
    assert chain.skipped.get(0) == KEYS[0]
    chain, _ = take_message_key(chain, 2002, MAX_FORWARD_JUMP)  # number 2001 is skipped
    assert len(chain.skipped) == 2000
    assert chain.skipped.get(0) is None
    assert chain.skipped.get(1) == KEYS[1]
    assert chain.skipped.get(2001) == KEYS[2001]


def test_last_number_of_all_can_be_received() -> None:
    chain = ReceivingChain(PAIR.public, START, MAX_UINT32 - 1, NO_SKIPPED_KEYS)
    advanced, key = take_message_key(chain, MAX_UINT32, 1)
    assert key == KEYS[1]
    assert advanced.message_number == 2**32
    assert advanced.skipped.get(MAX_UINT32 - 1) == KEYS[0]


# --- Closing --------------------------------------------------------------------------------

AT_3 = take_message_key(take_message_key(FRESH, 0, 0)[0], 2, 9)[0]  # 1 is missing, 3 is next


@pytest.mark.parametrize(
    ("previous_counter", "end"),
    [(0, 3), (1, 3), (2, 3), (3, 4), (4, 5), (2002, 2003)],
    ids=["far below", "below", "all read", "one missing", "two missing", "2000 missing"],
)
def test_closing_stores_what_is_missing_and_erases_the_chain_key(
    previous_counter: int, end: int
) -> None:
    before = _state(AT_3)
    closed = close_receiving_chain(AT_3, previous_counter)
    assert _state(AT_3) == before
    assert closed.chain_key is None
    assert closed.message_number == end
    assert closed.ratchet_key == AT_3.ratchet_key
    stored = _state(closed)[3]
    expected = [1, *range(3, end)][-2000:]
    assert stored == {n: KEYS[n] for n in expected}


def test_closed_chain_reads_what_is_missing_once_and_nothing_else() -> None:
    closed = close_receiving_chain(AT_3, 4)
    for number in (4, 1, 3):
        after, key = take_message_key(closed, number, 0)
        assert key == KEYS[number]
        assert after.chain_key is None
        with pytest.raises(DuplicateMessage):
            take_message_key(after, number, 0)
        closed = after
    for number in (0, 2):
        with pytest.raises(DuplicateMessage):
            take_message_key(closed, number, MAX_FORWARD_JUMP)
    for number in (5, 6, MAX_UINT32):
        with pytest.raises(MessageTooOld, match="closed"):
            take_message_key(closed, number, MAX_FORWARD_JUMP)


def test_sender_that_announces_its_count_costs_one_key_more() -> None:
    deployed, paper = close_receiving_chain(AT_3, 2), close_receiving_chain(AT_3, 3)
    assert len(paper.skipped) == len(deployed.skipped) + 1


@pytest.mark.parametrize("previous_counter", [None, 2003, 25_000, MAX_UINT32])
def test_chain_stays_open_without_an_end_or_with_too_many_missing(
    previous_counter: int | None,
) -> None:
    assert close_receiving_chain(AT_3, previous_counter) is AT_3


def test_gap_of_2000_closes_and_of_2001_does_not() -> None:
    closed = close_receiving_chain(FRESH, 1999)
    assert closed.chain_key is None
    assert len(closed.skipped) == 2000
    assert close_receiving_chain(FRESH, 2000) is FRESH


def test_closing_keeps_at_most_2000_keys_the_newest() -> None:
    chain, _ = take_message_key(FRESH, 2000, MAX_FORWARD_JUMP)
    closed = close_receiving_chain(chain, 2500)
    assert sorted(_state(closed)[3]) == [*range(500, 2000), *range(2001, 2501)][-2000:]


def test_closed_chain_stays_as_it_is() -> None:
    closed = close_receiving_chain(AT_3, 2)
    assert close_receiving_chain(closed, 1000) is closed


@given(
    received=st.sets(st.integers(0, 30), min_size=1),
    end=st.integers(0, 40),
)
def test_closing_loses_no_message_up_to_the_announced_one(received: set[int], end: int) -> None:
    chain = FRESH
    for number in sorted(received):
        chain, _ = take_message_key(chain, number, 100)
    closed = close_receiving_chain(chain, end)
    for number in range(max(end, *received) + 1):
        if number in received:
            with pytest.raises(DuplicateMessage):
                take_message_key(closed, number, 100)
        else:
            assert take_message_key(closed, number, 100)[1] == KEYS[number]


def test_chains_do_not_show_themselves() -> None:
    assert repr(FRESH) == "<ReceivingChain: secret>"
    assert repr(SendingChain(PAIR, START, 0)) == "<SendingChain: secret>"

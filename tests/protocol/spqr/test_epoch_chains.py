# SPDX-License-Identifier: Apache-2.0
import pickle
from collections.abc import Sequence
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto import spqr_kdf
from e2ecross.crypto.spqr_kdf import AuthKey, EpochSecret, LinkKey, SpqrKey
from e2ecross.errors import (
    DuplicateMessage,
    MessageTooOld,
    RemoteError,
    SessionExhausted,
    TooManySkipped,
)
from e2ecross.protocol.spqr.epoch_chains import (
    EpochChain,
    EpochChains,
    FoundLink,
    Link,
    add_epoch,
    count_skipped,
    drop_skipped,
    find_needed_bucket,
    find_received_key,
    next_sending_key,
    start_chains,
    use_received_key,
)
from tests.support.vectors import component, unhex

VECTOR = component("chain")
AUTH_KEY = AuthKey(unhex(VECTOR["auth_key"]))
SECRET = EpochSecret(unhex(VECTOR["epoch1_secret"]))
JUMP = 25_000


def _ends() -> tuple[EpochChains, EpochChains]:
    return start_chains(AUTH_KEY, is_initiator=True), start_chains(AUTH_KEY, is_initiator=False)


def _receive(chains: EpochChains, epoch: int, index: int) -> tuple[EpochChains, SpqrKey]:
    found = find_received_key(chains, epoch, index, JUMP)
    return use_received_key(chains, found), found.key


def _sent(chains: EpochChains, epoch: int, count: int) -> tuple[EpochChains, Sequence[SpqrKey]]:
    keys = []
    for _ in range(count):
        chains, _, key = next_sending_key(chains, epoch)
        keys.append(key)
    return chains, keys


def test_the_recorded_keys() -> None:
    initiator, responder = _ends()
    assert initiator.root.hex() == VECTOR["next_root_epoch0"]
    for name, end, epoch in (
        ("a2b_epoch0", initiator, 0),
        ("b2a_epoch0", responder, 0),
        ("a2b_epoch1", add_epoch(initiator, SECRET, is_initiator=True), 1),
        ("b2a_epoch1", add_epoch(responder, SECRET, is_initiator=False), 1),
    ):
        for index, expected in VECTOR[name]:
            end, got, key = next_sending_key(end, epoch)
            assert (got, key.hex()) == (index, expected)
    assert add_epoch(initiator, SECRET, is_initiator=True).root.hex() == VECTOR["next_root_epoch1"]


def test_both_directions_of_both_ends_agree() -> None:
    initiator, responder = _ends()
    for sender, receiver in ((initiator, responder), (responder, initiator)):
        _, sent = _sent(sender, 0, 5)
        for index, key in enumerate(sent, 1):
            receiver, received = _receive(receiver, 0, index)
            assert received == key


@given(st.permutations(range(1, 80)), st.integers(0, 79))
def test_any_order_gives_each_key_once(order: list[int], count: int) -> None:
    initiator, receiver = _ends()
    _, sent = _sent(initiator, 0, 79)
    for index in order[:count]:
        before = receiver
        receiver, key = _receive(receiver, 0, index)
        assert key == sent[index - 1]
        with pytest.raises(DuplicateMessage):
            _receive(receiver, 0, index)
        assert _receive(before, 0, index)[1] == key
    missing = {*range(1, max(order[:count], default=0) + 1)} - {*order[:count]}
    assert len(receiver.epochs[0].skipped) == len(missing)


def test_finding_a_key_changes_nothing() -> None:
    initiator, receiver = _ends()
    found = find_received_key(receiver, 0, 7, JUMP)
    assert len(receiver.epochs[0].skipped) == 0
    assert receiver.epochs[0].receiving.counter == 0
    assert found.key == _sent(initiator, 0, 7)[1][6]


@pytest.mark.parametrize("allowed", [0, 1, 100, 4_000])
def test_a_jump_is_bounded(allowed: int) -> None:
    _, receiver = _ends()
    receiver, _ = _receive(receiver, 0, 3)
    assert find_received_key(receiver, 0, 3 + max(allowed, 1), max(allowed, 1)).key
    with pytest.raises(TooManySkipped) as caught:
        find_received_key(receiver, 0, 4 + allowed, allowed)
    assert (caught.value.got, caught.value.allowed) == (allowed + 1, allowed)


def test_a_jump_costs_one_derivation_for_each_step_and_no_key() -> None:
    _, receiver = _ends()
    module = "e2ecross.protocol.spqr.epoch_chains"
    with (
        mock.patch(f"{module}.derive_next_link", wraps=spqr_kdf.derive_next_link) as steps,
        mock.patch(f"{module}.derive_link", wraps=spqr_kdf.derive_link) as keys,
    ):
        found = find_received_key(receiver, 0, 4_000, 4_000)
        assert (steps.call_count, keys.call_count) == (3_999, 1)
        with pytest.raises(TooManySkipped):
            find_received_key(receiver, 0, 4_001, 4_000)
        assert (steps.call_count, keys.call_count) == (3_999, 1)
        use_received_key(receiver, found)
        assert (steps.call_count, keys.call_count) == (3_999, 2_001)


def test_2000_keys_are_kept_and_not_one_more() -> None:
    initiator, receiver = _ends()
    _, sent = _sent(initiator, 0, 2_002)
    receiver, _ = _receive(receiver, 0, 2_002)
    assert len(receiver.epochs[0].skipped) == 2_000
    with pytest.raises(MessageTooOld):
        _receive(receiver, 0, 1)
    assert _receive(receiver, 0, 2)[1] == sent[1]
    assert _receive(receiver, 0, 2_001)[1] == sent[2_000]


def test_keys_that_are_too_old_are_refused_though_they_are_there() -> None:
    _, receiver = _ends()
    receiver, _ = _receive(receiver, 0, 11)
    for index in range(12, 2_008):
        receiver, _ = _receive(receiver, 0, index)
    assert len(receiver.epochs[0].skipped) == 10
    with pytest.raises(MessageTooOld):
        _receive(receiver, 0, 6)
    assert _receive(receiver, 0, 7)[1]


def test_a_jump_beyond_2000_forgets_all_before_it() -> None:
    _, receiver = _ends()
    receiver, _ = _receive(receiver, 0, 5)
    receiver, _ = _receive(receiver, 0, 2_010)
    assert len(receiver.epochs[0].skipped) == 2_000
    assert receiver.epochs[0].skipped.get(4) is None


def test_stored_keys_never_exceed_their_bound() -> None:
    _, receiver = _ends()
    index = 0
    for step in (900, 900, 900, 2_500, 3, 1_999, 2_000, 2_001):
        index += step
        receiver, _ = _receive(receiver, 0, index)
        assert len(receiver.epochs[0].skipped) <= 2_000


# --- Epochs -----------------------------------------------------------------------------------


def _numbers(chains: EpochChains) -> list[int]:
    return [chain.epoch for chain in chains.epochs]


def test_sending_in_a_new_epoch_drops_what_is_too_old() -> None:
    sender, _ = _ends()
    sender, _ = _sent(sender, 0, 2)
    for epoch in (1, 2, 3):
        sender = add_epoch(sender, SECRET, is_initiator=True)
        assert _numbers(sender) == [*range(max(epoch - 2, 0), epoch + 1)]
        sender, index, _ = next_sending_key(sender, epoch)
        assert index == 1
        assert sender.sending_epoch == epoch
        assert _numbers(sender) == [epoch - 1, epoch]
        assert sender.epochs[0].sending.key == b""
        assert len(sender.epochs[1].sending.key) == 32
        assert all(len(chain.receiving.key) == 32 for chain in sender.epochs)


def test_the_epoch_before_is_still_received() -> None:
    sender, receiver = _ends()
    sender, early = _sent(sender, 0, 3)
    receiver, _ = _receive(receiver, 0, 2)
    sender = add_epoch(sender, SECRET, is_initiator=True)
    receiver = add_epoch(receiver, SECRET, is_initiator=False)
    receiver, _, _ = next_sending_key(receiver, 1)
    assert _receive(receiver, 0, 1)[1] == early[0]
    assert _receive(receiver, 0, 3)[1] == early[2]
    receiver = add_epoch(receiver, SECRET, is_initiator=False)
    assert _receive(receiver, 0, 1)[1] == early[0]
    receiver, _, _ = next_sending_key(receiver, 2)
    with pytest.raises(MessageTooOld):
        _receive(receiver, 0, 1)


def test_a_key_found_before_an_epoch_began_is_used_after_it() -> None:
    _, receiver = _ends()
    found = find_received_key(receiver, 0, 4, JUMP)
    receiver = add_epoch(receiver, SECRET, is_initiator=False)
    used = use_received_key(receiver, found)
    assert used.epochs[0].receiving.counter == 4
    assert used.epochs[1] is receiver.epochs[1]


def test_epochs_share_no_keys() -> None:
    sender, _ = _ends()
    later = add_epoch(sender, SECRET, is_initiator=True)
    other = add_epoch(sender, EpochSecret(bytes(32)), is_initiator=True)
    keys = {_sent(sender, 0, 1)[1][0], _sent(later, 1, 1)[1][0], _sent(other, 1, 1)[1][0]}
    assert len(keys) == 3


def test_a_chain_ends_at_its_last_number() -> None:
    sender, receiver = _ends()
    link = Link(2**32 - 2, LinkKey(bytes(32)))
    chain = sender.epochs[0]
    at_end = EpochChains(sender.root, 0, (EpochChain(0, link, chain.receiving, chain.skipped),))
    at_end, index, _ = next_sending_key(at_end, 0)
    assert index == 2**32 - 1
    with pytest.raises(SessionExhausted):
        next_sending_key(at_end, 0)
    chain = receiver.epochs[0]
    receiver = EpochChains(receiver.root, 0, (EpochChain(0, chain.sending, link, chain.skipped),))
    assert _receive(receiver, 0, 2**32 - 1)[1]


@given(st.lists(st.integers(0, 60), max_size=30))
def test_any_index_gives_a_key_or_our_error(indices: list[int]) -> None:
    initiator, receiver = _ends()
    _, sent = _sent(initiator, 0, 60)
    used = set()
    for index in indices:
        try:
            receiver, key = _receive(receiver, 0, index)
        except RemoteError:
            assert index == 0 or index in used
        else:
            assert key == sent[index - 1]
            used.add(index)


def test_one_bucket_is_needed_at_most() -> None:
    _, receiver = _ends()
    assert find_needed_bucket(receiver, 0, 1) is None
    receiver, _ = _receive(receiver, 0, 200)
    assert find_needed_bucket(receiver, 0, 1) == 0
    assert find_needed_bucket(receiver, 0, 64) == 1
    assert find_needed_bucket(receiver, 0, 200) == 3
    assert find_needed_bucket(receiver, 0, 500) == 201 >> 6
    assert find_needed_bucket(receiver, 1, 1) is None
    receiver = add_epoch(receiver, SECRET, is_initiator=False)
    assert find_needed_bucket(receiver, 1, 1) is None
    assert find_needed_bucket(receiver, 0, 70) == 1


@pytest.mark.parametrize(("last", "bucket"), [(61, 0), (62, 0), (63, 1), (64, 1)])
def test_the_first_key_that_is_stepped_over_goes_into_the_bucket_that_is_at_hand(
    last: int, bucket: int
) -> None:
    """Also where it is the last of a bucket or the first: one that is not at hand has others."""
    receiver, _ = _receive(_ends()[1], 0, last)
    assert find_needed_bucket(receiver, 0, 100) == bucket
    stepped, _ = _receive(receiver, 0, last + 2)
    before, after = (chains.epochs[-1].skipped.buckets for chains in (receiver, stepped))
    assert {number for number in after if after[number] != before.get(number)} == {bucket}


def test_stored_keys_are_counted_and_dropped_oldest_first() -> None:
    _, receiver = _ends()
    receiver, _ = _receive(receiver, 0, 11)
    receiver = add_epoch(receiver, SECRET, is_initiator=False)
    receiver, _ = _receive(receiver, 1, 6)
    assert count_skipped(receiver) == 15
    fewer = drop_skipped(receiver, 12)
    assert count_skipped(fewer) == 3
    assert [len(chain.skipped) for chain in fewer.epochs] == [0, 3]
    assert fewer.epochs[1].skipped.get(3)
    assert count_skipped(drop_skipped(receiver, 99)) == 0


def test_chains_show_no_secret() -> None:
    chains, _ = _ends()
    found: FoundLink = find_received_key(chains, 0, 1, 1)
    for value in (chains, chains.epochs[0], chains.epochs[0].sending, found):
        assert "secret" in repr(value)
        assert len(repr(value)) < 40
        with pytest.raises(TypeError):
            pickle.dumps(value)

# SPDX-License-Identifier: Apache-2.0

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from e2ecross.errors import RecordCorrupted
from e2ecross.protocol.message_chain import SendingChain
from e2ecross.protocol.session import Session, with_receiving_chains
from e2ecross.protocol.session_storage import (
    session_from_record,
    session_to_record,
    with_all_buckets,
    with_buckets,
    without_buckets,
)
from e2ecross.protocol.skipped_keys import NO_SKIPPED_KEYS
from e2ecross.wire.session_records import StoredChain
from tests.support.parties import (
    Party,
    Sealed,
    SessionRows,
    load_record,
    load_session,
    save_record,
    save_session,
)
from tests.support.points import BAD_KEYS
from tests.support.values import with_fields


def _busy_pair() -> tuple[Party, Party, list[Sealed]]:
    """Bob has open and closed chains with skipped keys in several buckets."""
    alice, bob = Party("alice"), Party("bob")
    alice.start(bob)
    first = [alice.send(b"%d" % i) for i in range(130)]
    bob.receive(first[100])
    alice.receive(bob.send(b"turn"))
    second = [alice.send(b"%d" % i) for i in range(3)]
    bob.receive(second[2])
    return alice, bob, [*first[:100], *first[101:], *second[:2]]


def _values(session: Session) -> list[object]:
    """All that a session is made of, but the messages still missing."""
    ratchet, sending = session.ratchet, session.ratchet.sending
    pair = None if sending is None else sending.ratchet_key_pair
    chain = sending if isinstance(sending, SendingChain) else None
    return [
        session.local_identity_key,
        session.remote_identity_key,
        session.remote_registration_id,
        session.base_key,
        session.pending,
        session.used_prekeys,
        ratchet.root_key,
        ratchet.previous_counter,
        type(sending),
        None if pair is None else (pair.private, pair.public),
        None if chain is None else (chain.chain_key, chain.message_number),
        [(chain.ratchet_key, chain.chain_key, chain.message_number) for chain in ratchet.receiving],
    ]


def test_pending_session_survives_storage() -> None:
    for one_time in (True, False):
        alice, bob = Party("alice"), Party("bob")
        session = alice.start(bob, one_time=one_time)
        loaded = load_session(save_session(session))
        assert loaded.pending == session.pending
        assert save_session(loaded) == save_session(session)


@pytest.mark.parametrize("pq", [False, True], ids=["version 3", "version 4"])
def test_used_prekeys_survive_storage_and_use(pq: bool) -> None:
    for one_time in (True, False):
        alice, bob = Party("alice", pq=pq), Party("bob", pq=pq)
        alice.start(bob, one_time=one_time)
        bob.receive(alice.send(b"x"))
        used = bob.current.used_prekeys
        assert used is not None
        assert (used.one_time_prekey_id is not None) is one_time
        assert (used.kyber_prekey_id is not None) is pq
        assert (used.kem_ciphertext_hash is not None) is pq
        alice.receive(bob.send(b"y"))
        bob.receive(alice.send(b"z"))
        assert bob.current.used_prekeys == used
        assert load_session(save_session(bob.current)).used_prekeys == used
        assert alice.current.used_prekeys is None
        assert load_session(save_session(alice.current)).used_prekeys is None


@example([(True, 3, True), (False, 3, False), (True, 1, True), (False, 1, True)])
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3), st.booleans()), max_size=8))
def test_session_in_any_state_survives_storage(turns: list[tuple[bool, int, bool]]) -> None:
    alice, bob = Party("alice"), Party("bob")
    alice.start(bob)
    bob.receive(alice.send(b"x"))
    for from_alice, count, all_arrive in turns:
        sender, receiver = (alice, bob) if from_alice else (bob, alice)
        sealed = [sender.send(b"%d" % i) for i in range(count)]
        for item in sealed if all_arrive else sealed[-1:]:
            receiver.receive(item)
        for session in (alice.current, bob.current):
            loaded = load_session(save_session(session))
            assert save_session(loaded) == save_session(session)
            assert _values(loaded) == _values(session)


def test_every_missing_message_is_readable_after_storage() -> None:
    _, bob, missing = _busy_pair()
    rows = save_record(bob.record)
    for sealed in missing:
        bob.record = load_record(save_record(bob.record))
        assert bob.receive(sealed).isdigit()
    assert save_record(bob.record) != rows
    assert all(not row.skipped for row in save_record(bob.record).sessions)


def test_skipped_keys_stand_in_buckets_of_their_own() -> None:
    _, bob, _ = _busy_pair()
    rows = save_session(bob.current)
    chains = [chain.ratchet_key for chain in bob.current.ratchet.receiving]
    assert sorted(index for key, index in rows.skipped if key == chains[0]) == [0, 1, 2]
    for data in rows.skipped.values():
        for key in (data[-32:],):
            assert key not in rows.session


@pytest.mark.parametrize("flag", [False, True])
def test_with_one_bucket_at_hand_all_keys_are_counted_and_the_chain_is_the_same(flag: bool) -> None:
    _, bob, _ = _busy_pair()
    chains = [
        with_fields(chain, may_have_no_pq_key=flag) for chain in bob.current.ratchet.receiving
    ]
    whole = with_receiving_chains(bob.current, chains)
    slim = without_buckets(whole)
    first, second = slim.ratchet.receiving
    assert [len(first.skipped), len(second.skipped)] == [129, 2]
    assert first.skipped.buckets == second.skipped.buckets == {}
    bucket = chains[0].skipped.buckets[1]
    ready = with_buckets(slim, {first.ratchet_key: {1: bucket}})
    changed, other = ready.ratchet.receiving
    assert other is second
    assert (changed.ratchet_key, changed.message_number) == (first.ratchet_key, 130)
    assert (len(changed.skipped), changed.skipped.buckets) == (129, {1: bucket})
    assert changed.may_have_no_pq_key is flag


def test_what_is_stored_of_a_chain_is_read_back() -> None:
    _, bob, _ = _busy_pair()
    stored = session_to_record(bob.current)
    closed = with_fields(stored.receiving_chains[0], may_have_no_pq_key=True, skipped_count=0)
    chains = (closed, *stored.receiving_chains[1:])
    read = session_from_record(with_fields(stored, receiving_chains=chains)).ratchet.receiving
    assert [chain.chain_key is None for chain in read] == [True, False]
    assert [len(chain.skipped) for chain in read] == [0, 2]
    assert [chain.may_have_no_pq_key for chain in read] == [True, False]
    assert read[0].skipped is NO_SKIPPED_KEYS  # so that nobody looks for rows of it


def test_secrets_of_closed_chain_are_not_stored() -> None:
    _, bob, _ = _busy_pair()
    stored = session_to_record(bob.current)
    assert [chain.chain_key is None for chain in stored.receiving_chains] == [True, False]
    assert [chain.skipped_count for chain in stored.receiving_chains] == [129, 2]


def _damaged(rows: SessionRows, drop: int) -> SessionRows:
    items = list(rows.skipped.items())
    del items[drop]
    return rows._replace(skipped=dict(items))


def test_missing_rows_are_noticed() -> None:
    _, bob, _ = _busy_pair()
    rows = save_session(bob.current)
    for drop in range(len(rows.skipped)):
        with pytest.raises(RecordCorrupted, match="differ"):
            load_session(_damaged(rows, drop))


def test_rows_that_do_not_belong_are_noticed() -> None:
    alice, bob, _ = _busy_pair()
    chain = bob.current.ratchet.receiving[0]
    stored = session_to_record(alice.current)
    key = stored.receiving_chains[0].ratchet_key
    with pytest.raises(RecordCorrupted, match="differ"):
        with_all_buckets(session_from_record(stored), {key: chain.skipped.buckets})


KEY_FIELDS = ["local_identity_key", "remote_identity_key", "base_key", "ratchet_public_key"]


@pytest.mark.parametrize("bad", [name for name, key in BAD_KEYS.items() if len(key) == 33])
@pytest.mark.parametrize("field", KEY_FIELDS)
def test_impossible_key_is_noticed(bad: str, field: str) -> None:
    alice, bob = Party("alice"), Party("bob")
    stored = session_to_record(alice.start(bob))
    changed = with_fields(stored, **{field: BAD_KEYS[bad]})
    with pytest.raises(RecordCorrupted, match="impossible key"):
        session_from_record(changed)


def test_impossible_key_of_a_chain_is_noticed() -> None:
    alice, bob = Party("alice"), Party("bob")
    stored = session_to_record(alice.start(bob))
    for bad in BAD_KEYS.values():
        changed = with_fields(stored, receiving_chains=(StoredChain(bad, bytes(32), 1, 0),))
        with pytest.raises(RecordCorrupted, match="impossible key"):
            session_from_record(changed)


def test_loading_gives_a_session_that_goes_on_exactly_the_same() -> None:
    alice, bob, _ = _busy_pair()
    copies: list[Session] = [load_session(save_session(alice.current)) for _ in range(2)]
    assert save_session(copies[0]) == save_session(copies[1])
    alice.record = load_record(save_record(alice.record))
    assert bob.receive(alice.send(b"goes on")) == b"goes on"

# SPDX-License-Identifier: Apache-2.0
"""Sessions of version 4 beside those of version 3: what the session layer adds to the ratchets."""

from dataclasses import replace

import pytest

from e2ecross.crypto.spqr_kdf import SpqrKey
from e2ecross.errors import (
    AuthenticationFailed,
    DecodeError,
    InvalidKey,
    TooManySkipped,
    UnknownSession,
    UnsupportedVersion,
)
from e2ecross.protocol.ratchet import count_skipped_keys
from e2ecross.protocol.session import (
    Session,
    can_send,
    with_receiving_chains,
    with_spqr,
    without_skipped_keys,
    without_skipped_spqr_keys,
)
from e2ecross.protocol.session_archive import bound_archive
from e2ecross.protocol.session_reading import (
    Reading,
    is_for_current,
    may_try_current,
    open_message,
    open_repeated_first_message,
    open_with_current,
)
from e2ecross.protocol.session_record import NO_SESSIONS, seal_message, stop_sending_with_all
from e2ecross.protocol.session_start import OwnPrekeys, respond_to_session
from e2ecross.protocol.session_storage import without_buckets
from e2ecross.protocol.spqr.state import (
    SpqrState,
    count_skipped_spqr_keys,
    find_spqr_key,
    spqr_send,
)
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.limits import (
    MAX_FORWARD_JUMP,
    MAX_FORWARD_JUMP_ARCHIVED,
    MAX_SKIPPED_KEYS_ARCHIVED,
)
from e2ecross.wire.signal_message import (
    VERSION_3,
    VERSION_4,
    VERSIONS,
    decode_prekey_signal_message,
    decode_signal_message,
)
from tests.support.entropy import SeededEntropy
from tests.support.parties import Party, Sealed, inner_message, message_keys_for, sending_chain
from tests.support.protobuf import message as encode_fields
from tests.support.records import load_record, save_record
from tests.support.values import with_fields

SAID, OTHER = bytes(range(36)), bytes(36)


def _pair(*, answered: bool = True) -> tuple[Party, Party]:
    alice, bob = Party("alice", pq=True), Party("bob", pq=True)
    alice.start(bob)
    if answered:
        bob.receive(alice.send(b"start"))
        alice.receive(bob.send(b"answer"))
    return alice, bob


def _spqr(session: Session) -> SpqrState:
    assert session.ratchet.spqr is not None
    return session.ratchet.spqr


# --- Addresses --------------------------------------------------------------------------------


def _sealed_with(alice: Party, addresses: bytes | None) -> Sealed:
    alice.record, kind, data = seal_message(
        alice.record, b"x", alice.registration_id, alice.entropy, addresses
    )
    return kind, data


def test_addresses_are_said_in_first_messages_of_version_4_alone() -> None:
    alice, bob = _pair(answered=False)
    kind, data = _sealed_with(alice, SAID)
    assert decode_prekey_signal_message(data, VERSIONS).message.addresses == SAID
    bob.reading = replace_reading(bob, SAID)
    bob.receive((kind, data))
    alice.receive(bob.send(b"answer"))
    _, data = _sealed_with(alice, SAID)
    assert decode_signal_message(data, VERSIONS).addresses is None
    older = Party("alice"), Party("bob")
    older[0].start(older[1])
    _, data = _sealed_with(older[0], SAID)
    assert SAID not in data  # as version 3 its reader would not look at it


def replace_reading(party: Party, addresses: bytes | None) -> Reading:
    return Reading(party.reading.max_forward_jump, addresses)


@pytest.mark.parametrize("expected", [OTHER, b"", None], ids=["others", "empty", "unknown"])
def test_others_than_the_message_came_under_are_refused_like_a_wrong_mac(
    expected: bytes | None,
) -> None:
    alice, bob = _pair(answered=False)
    sealed = _sealed_with(alice, SAID)
    bob.reading = replace_reading(bob, expected)
    keys = dict(bob.one_time_prekeys)
    with pytest.raises(AuthenticationFailed, match="addresses"):
        bob.receive(sealed)
    assert (bob.record, bob.one_time_prekeys) == (NO_SESSIONS, keys)
    bob.reading = replace_reading(bob, SAID)
    assert bob.receive(sealed) == b"x"
    # A message that says nothing is read whatever is expected.
    bob.reading = replace_reading(bob, OTHER)
    assert bob.receive(_sealed_with(alice, None)) == b"x"
    repeated = decode_prekey_signal_message(_sealed_with(alice, SAID)[1], VERSIONS)
    with pytest.raises(AuthenticationFailed, match="addresses"):
        open_repeated_first_message(
            bob.record, bob.current, repeated, alice.identity.public, bob.reading
        )


# --- Prekeys ----------------------------------------------------------------------------------


def test_a_first_message_of_version_4_without_the_kyber_prekey_it_names() -> None:
    alice, bob = _pair(answered=False)
    first = decode_prekey_signal_message(alice.send(b"x")[1], VERSIONS)
    assert first.one_time_prekey_id is not None
    one_time = bob.one_time_prekeys[first.one_time_prekey_id]
    with pytest.raises(InvalidKey):
        respond_to_session(bob.identity, OwnPrekeys(bob.signed_prekey, one_time), first)
    prekeys = OwnPrekeys(bob.signed_prekey, one_time, bob.kyber)
    with pytest.raises(InvalidKey):
        respond_to_session(bob.identity, prekeys, replace(first, kyber=None))


# --- Which session reads ----------------------------------------------------------------------


def test_without_a_current_session_there_is_none_to_try() -> None:
    alice, bob = _pair()
    message = decode_signal_message(bob.send(b"x")[1], VERSIONS)
    with pytest.raises(UnknownSession):
        open_with_current(NO_SESSIONS, message)
    assert open_with_current(alice.record, message).plaintext == b"x"


def test_the_current_session_is_tried_first_where_it_is_of_the_accepted_identity() -> None:
    """Else it may have been put there by a stranger; but what it has begun to read is its alone."""
    alice, bob = _pair()
    accepted, other = bob.identity.public, Party("eve").identity.public
    known = decode_signal_message(bob.send(b"x")[1], VERSIONS)
    unknown = known._replace(ratchet_key=other)
    archived = with_fields(alice.record, current=None, archived=(alice.current,))
    for record, message, identity, is_tried, is_its in (
        (alice.record, known, accepted, True, True),
        (alice.record, unknown, accepted, True, False),
        (alice.record, known, other, True, True),
        (alice.record, unknown, other, False, False),
        (archived, known, accepted, False, False),
        (NO_SESSIONS, known, accepted, False, False),
        (alice.record, known._replace(version=VERSION_3), accepted, False, False),
        (alice.record, known._replace(version=VERSION_3), other, False, False),
    ):
        assert may_try_current(record, message, identity) is is_tried
        assert is_for_current(record, message) is is_its


def test_where_the_current_one_was_tried_others_of_its_version_are_or_it_is_an_error() -> None:
    alice, bob = _pair()
    alice.start(bob, pq=False)
    bob.receive(alice.send(b"start"))
    alice.receive(bob.send(b"answer"))
    message = decode_signal_message(bob.send(b"x")[1], VERSIONS)
    damaged = message._replace(mac=bytes(8))
    accepted = bob.identity.public
    with pytest.raises(AuthenticationFailed):
        open_message(alice.record, damaged, accepted, current_tried=True)
    only_newer = with_fields(alice.record, current=None)
    with pytest.raises(UnknownSession):
        open_message(only_newer, damaged, accepted)


@pytest.mark.parametrize(
    ("pq_ratchet", "error"),
    [
        (b"\x01", DecodeError),
        (b"\x01\x00\x01\x00", DecodeError),
        (b"", UnsupportedVersion),
        (b"\x01\x01\x00\x00", AuthenticationFailed),
        (b"\x01\x01\xff\xff\x03\x00", TooManySkipped),
        (b"\x01\x02\x01\x00", AuthenticationFailed),
    ],
)
def test_what_one_session_refuses_several_refuse_as_one(
    pq_ratchet: bytes, error: type[Exception]
) -> None:
    """Also malformed, so that the steps that it would take cannot be counted."""
    alice, bob = _pair()
    _, data = bob.send(b"x")
    message = decode_signal_message(data, VERSIONS)._replace(pq_ratchet=pq_ratchet)
    before = save_record(alice.record)
    with pytest.raises(error):
        open_message(alice.record, message, bob.identity.public)
    alice.start(bob)
    bob.receive(alice.send(b"start"))
    alice.receive(bob.send(b"answer"))
    foreign = message._replace(ratchet_key=Party("eve").identity.public)
    with pytest.raises(AuthenticationFailed):
        open_message(alice.record, foreign, bob.identity.public)
    assert set(before) & set(save_record(alice.record))


@pytest.mark.parametrize(
    ("allowed", "archived", "limit"),
    [
        (300, False, 300),
        (300, True, 300),
        (MAX_FORWARD_JUMP, True, MAX_FORWARD_JUMP_ARCHIVED),
    ],
)
def test_a_jump_ends_where_the_policy_or_the_archive_says(
    allowed: int, archived: bool, limit: int
) -> None:
    alice, bob = _pair()
    sent = [alice.send(b"%d" % number) for number in range(limit + 1)]
    if archived:
        bob.start(alice)
    bob.reading = Reading(allowed, None)
    # The post-quantum ratchet counts from the last key that was used, the other from the next one.
    with pytest.raises(AuthenticationFailed):  # nothing has come of that chain yet
        bob.receive(sent[limit])
    assert bob.receive(sent[limit - 1]) == b"%d" % (limit - 1)


# --- Stored keys ------------------------------------------------------------------------------


def _with_stored(count: int, *, pq: bool = True) -> Session:
    """A session that has skipped so many messages."""
    alice, bob = Party("alice", pq=pq), Party("bob", pq=pq)
    alice.start(bob)
    bob.receive(alice.send(b"start"))
    for _ in range(count):
        alice.send(b"lost")
    bob.receive(alice.send(b"ahead"))
    return bob.current


def test_post_quantum_keys_of_archived_sessions_have_a_bound_together() -> None:
    one, older = _with_stored(1_900), _with_stored(30, pq=False)
    accepted = one.remote_identity_key
    foreign = with_fields(one, remote_identity_key=Party("eve").identity.public)
    within = bound_archive((one, older, one, one, one), accepted)
    assert within == (one, older, one, one, one)
    bounded = bound_archive((one, older, foreign, one, one, one), accepted)
    counts = [count_skipped_spqr_keys(session.ratchet.spqr) for session in bounded]
    assert counts == [1_900, 0, MAX_SKIPPED_KEYS_ARCHIVED - 4 * 1_900, 1_900, 1_900, 1_900]
    plain = [count_skipped_keys(session.ratchet) for session in bounded]
    assert sum(plain) == MAX_SKIPPED_KEYS_ARCHIVED
    assert plain[1] == 30
    assert without_skipped_spqr_keys(older, 5) is older


def test_the_newest_stay_and_open_their_messages() -> None:
    alice, bob = _pair()
    late = [alice.send(b"late %d" % number) for number in range(10)]
    bob.receive(alice.send(b"ahead"))
    fewer = without_skipped_spqr_keys(bob.current, 4)
    assert count_skipped_spqr_keys(fewer.ratchet.spqr) == 6
    assert count_skipped_keys(fewer.ratchet) == 10
    bob.record = with_fields(bob.record, current=fewer)
    for number in range(10):
        if number < 4:
            with pytest.raises(Exception, match="used before"):
                bob.receive(late[number])
        else:
            assert bob.receive(late[number]) == b"late %d" % number


def test_a_session_that_is_stored_leaves_its_stored_keys_out() -> None:
    session = _with_stored(100)
    slim = without_buckets(session)
    (chain,) = _spqr(slim).chains.epochs
    assert (len(chain.skipped), chain.skipped.buckets) == (100, {})
    assert without_buckets(slim) is slim


@pytest.mark.parametrize("is_turned", [False, True], ids=["known chain", "new chain"])
def test_a_stopped_session_reads_on_with_its_post_quantum_ratchet(is_turned: bool) -> None:
    """Late messages, and those behind what it has read; also when the peer's ratchet turns."""
    alice, bob = _pair()
    late, other = alice.send(b"late"), alice.send(b"ahead")
    bob.receive(other)
    if is_turned:
        alice.receive(bob.send(b"turns it"))
    before = _spqr(bob.current)
    bob.record = stop_sending_with_all(bob.record, alice.identity.public)
    (stopped,) = bob.record.archived
    assert not can_send(stopped)
    assert stopped.ratchet.spqr is before
    for n in range(3):
        assert bob.receive(alice.send(b"%d" % n)) == b"%d" % n
    assert bob.receive(late) == b"late"
    (stopped,) = bob.record.archived
    assert not can_send(stopped)
    assert count_skipped_spqr_keys(_spqr(stopped)) == 0


def test_what_is_left_out_of_a_session_changes_nothing_else_of_it() -> None:
    """It wraps, sends and reads on; what keeps it in the archive, or in the store, is no matter."""
    alice, bob = _pair(answered=False)
    session, spqr = alice.current, _spqr(alice.current)
    fewer = (
        without_skipped_keys(session, 1),
        without_skipped_spqr_keys(session, 1),
        with_spqr(session, spqr),
        with_receiving_chains(session, session.ratchet.receiving),
    )
    for changed in fewer:
        assert changed.pending is session.pending is not None
        assert changed.ratchet.sending is session.ratchet.sending
        assert changed.ratchet.root_key == session.ratchet.root_key
        assert changed.ratchet.previous_counter == session.ratchet.previous_counter
        assert changed.base_key == session.base_key
        assert changed.version is VERSION_4
    with_keys = _with_stored(20)
    for changed in (without_skipped_keys(with_keys, 5), without_skipped_spqr_keys(with_keys, 5)):
        assert changed.ratchet.root_key == with_keys.ratchet.root_key
        assert changed.ratchet.sending is with_keys.ratchet.sending
        assert changed.used_prekeys is with_keys.used_prekeys
    assert bob.receive(alice.send(b"x")) == b"x"


# --- Key number 0 -----------------------------------------------------------------------------


def test_the_exception_for_key_number_0_is_a_flag_of_one_chain() -> None:
    """Set by the first message that the responder reads; it goes with its chain."""
    alice, bob = _pair(answered=False)
    first = alice.send(b"start")
    bob.receive(first)
    (chain,) = bob.current.ratchet.receiving
    assert chain.may_have_no_pq_key
    alice.receive(bob.send(b"answer"))
    assert not any(chain.may_have_no_pq_key for chain in alice.current.ratchet.receiving)
    for _ in range(6):
        bob.receive(alice.send(b"x"))
        flags = [chain.may_have_no_pq_key for chain in bob.current.ratchet.receiving]
        assert flags[1:] == [False] * len(flags[1:])
        alice.receive(bob.send(b"x"))
    assert not any(chain.may_have_no_pq_key for chain in bob.current.ratchet.receiving)


def test_late_messages_without_key_are_read_whatever_became_of_their_chain() -> None:
    """The flag stays while keys are stored, used and dropped, and when the chain is closed."""
    alice, bob = Party("alice", pq=True), Party("bob", pq=True)
    alice.require_spqr = False  # like older peers: without a key before the first answer
    alice.start(bob)
    late = [alice.send(b"late %d" % number) for number in range(5)]
    bob.receive(late[3])
    assert without_buckets(bob.current).ratchet.receiving[0].may_have_no_pq_key
    bob.record = load_record(save_record(bob.record))
    bob.record = with_fields(bob.record, current=without_skipped_keys(bob.current, 1))
    assert bob.receive(late[2]) == b"late 2"
    alice.receive(bob.send(b"answer"))
    bob.receive(alice.send(b"closes it"))
    assert bob.current.ratchet.receiving[0].chain_key is None
    for number in (4, 1):
        assert bob.receive(late[number]) == b"late %d" % number


def test_who_demands_the_post_quantum_ratchet_reads_nobody_without_it() -> None:
    alice, bob = Party("alice", pq=True), Party("bob", pq=True)
    alice.runs_spqr = alice.require_spqr = False
    alice.start(bob)
    first = alice.send(b"start")
    with pytest.raises(UnsupportedVersion):
        bob.receive(first)
    bob.require_spqr = False
    assert bob.receive(first) == b"start"


def test_version_3_has_no_such_flag() -> None:
    alice, bob = Party("alice"), Party("bob")
    alice.start(bob)
    bob.receive(alice.send(b"start"))
    assert not bob.current.ratchet.receiving[0].may_have_no_pq_key


def test_the_keys_of_both_ratchets_are_mixed() -> None:
    """A message cannot be written with the one alone, and can with both."""
    alice, bob = _pair()
    session = alice.current
    _, said, pq_key = spqr_send(bob.current.ratchet.spqr, SeededEntropy(1))
    assert pq_key is not None
    found = find_spqr_key(_spqr(session), said, 10, may_have_no_key=False)
    assert found.key == pq_key
    ratchet_key = sending_chain(bob.current).ratchet_key_pair.public
    number = sending_chain(bob.current).message_number
    right = message_keys_for(session, ratchet_key, number, pq_key)
    for wrong in (None, SpqrKey(bytes(32))):  # type: ignore[arg-type]
        assert message_keys_for(session, ratchet_key, number, wrong) != right


def test_the_wrapper_and_the_message_inside_are_of_one_version() -> None:
    alice, bob = _pair(answered=False)
    kind, data = alice.send(b"start")
    assert kind is MessageKind.PREKEY
    inner = inner_message((kind, data))
    assert (data[0], inner[0]) == (0x44, 0x44)
    assert bob.respond(decode_prekey_signal_message(data, VERSIONS)).version is VERSION_4
    for byte in (0x33, 0x43, 0x4F):
        changed = data.replace(inner, bytes((byte,)) + inner[1:])
        with pytest.raises((UnsupportedVersion, AuthenticationFailed)):
            bob.receive((kind, changed))
    with pytest.raises(DecodeError):
        decode_prekey_signal_message(b"\x44" + encode_fields([(6, 1)]), VERSIONS)

# SPDX-License-Identifier: Apache-2.0
"""Which session sends and which reads: archive, promotion, and the stay rule (house rules 1-5)."""

import pickle
from collections.abc import Mapping, Sequence

import pytest

from e2ecross.crypto.keys import PublicKey, key_pair_from_private
from e2ecross.errors import (
    AuthenticationFailed,
    DuplicateMessage,
    MessageTooOld,
    NoSession,
    RemoteError,
    TooManySkipped,
    UnknownPrekey,
    UnknownSession,
)
from e2ecross.protocol.session import Session, can_send
from e2ecross.protocol.session_reading import (
    Opened,
    open_first_message,
    open_message,
    open_repeated_first_message,
)
from e2ecross.protocol.session_record import (
    NO_SESSIONS,
    SessionRecord,
    add_initiated_session,
    find_session,
    only_identity,
    prefer_identity,
    prefer_session,
    prepare_to_send,
    seal_message,
    stop_sending_with_all,
)
from e2ecross.protocol.session_start import initiate_session
from e2ecross.protocol.verified_bundle import verify_bundle
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.signal_message import (
    VERSIONS,
    PreKeySignalMessage,
    decode_prekey_signal_message,
    decode_signal_message,
)
from tests.support.entropy import NO_ENTROPY, SeededEntropy
from tests.support.parties import (
    NOW_MS,
    Party,
    Sealed,
    inner_message,
    load_record,
    save_record,
    write_message,
)
from tests.support.protobuf import fields, message
from tests.support.values import with_fields


@pytest.fixture
def alice() -> Party:
    return Party("alice")


@pytest.fixture
def bob() -> Party:
    return Party("bob")


def _base_keys(record: SessionRecord) -> list[PublicKey]:
    current = [] if record.current is None else [record.current]
    return [session.base_key for session in (*current, *record.archived)]


def _refuses(party: Party, sealed: Sealed, error: type[RemoteError]) -> None:
    before, prekeys = save_record(party.record), dict(party.one_time_prekeys)
    with pytest.raises(error) as caught:
        party.receive(sealed)
    assert " " in str(caught.value)  # it says something
    assert save_record(party.record) == before
    assert party.one_time_prekeys == prekeys


def _cross(alice: Party, bob: Party) -> None:
    """Let both start at once."""
    alice.start(bob)
    bob.start(alice)


def _establish(alice: Party, bob: Party) -> Session:
    """Make one more session of Alice's, acknowledged, the current one of both."""
    session = alice.start(bob)
    bob.receive(alice.send(b"start"))
    alice.receive(bob.send(b"answer"))
    return session


def _new_key(seed: int) -> PublicKey:
    return key_pair_from_private(bytes((seed,)) * 32).public


# --- Sending --------------------------------------------------------------------------------


def test_without_a_session_nothing_is_sent(alice: Party) -> None:
    with pytest.raises(NoSession, match="bundle"):
        alice.send(b"x")
    with pytest.raises(NoSession):
        seal_message(SessionRecord(None, (), None, 0), b"x", 1, NO_ENTROPY)


def test_sending_leaves_its_input_unchanged(alice: Party, bob: Party) -> None:
    _cross(alice, bob)
    alice.receive(bob.send(b"held"))
    record = alice.record
    before = save_record(record)
    after, kind, data = seal_message(record, b"x", 1, NO_ENTROPY)
    assert save_record(record) == before
    assert seal_message(record, b"x", 1, NO_ENTROPY)[1:] == (kind, data)
    # Sending on a pending session keeps the stay.
    assert (after.held, after.held_count) == (record.held, 1)


def test_new_session_becomes_current_and_the_old_one_is_archived_in_front(
    alice: Party, bob: Party
) -> None:
    started = [alice.start(bob).base_key for _ in range(4)]
    assert _base_keys(alice.record) == started[::-1]
    assert alice.current.pending is not None
    assert all(session.pending is None for session in alice.record.archived)


def test_adding_leaves_its_input_unchanged(alice: Party, bob: Party) -> None:
    alice.start(bob)
    before = save_record(alice.record)
    record = alice.record
    add_initiated_session(record, alice.current)
    alice.start(bob)
    assert save_record(record) == before


def test_at_most_40_are_archived_the_oldest_goes(alice: Party, bob: Party) -> None:
    started = [alice.start(bob).base_key for _ in range(41)]
    assert _base_keys(alice.record) == started[::-1]
    assert len(alice.record.archived) == 40
    started.append(alice.start(bob).base_key)
    assert _base_keys(alice.record) == started[:0:-1]
    assert len(alice.record.archived) == 40
    assert find_session(alice.record, started[0]) is None


# --- Receiving ------------------------------------------------------------------------------


def test_normal_message_without_any_session_is_refused(alice: Party, bob: Party) -> None:
    _establish(alice, bob)
    bob.record = NO_SESSIONS
    _refuses(bob, alice.send(b"x"), UnknownSession)


def test_first_message_makes_the_responders_session_current(alice: Party, bob: Party) -> None:
    session = alice.start(bob)
    assert bob.receive(alice.send(b"x")) == b"x"
    assert _base_keys(bob.record) == [session.base_key]
    assert bob.current.pending is None
    assert (bob.record.held, bob.record.held_count) == (None, 0)
    assert bob.one_time_prekeys == {}


def test_first_message_archives_an_acknowledged_session(alice: Party, bob: Party) -> None:
    old = _establish(alice, bob)
    new = bob.start(alice)
    alice.receive(bob.send(b"again"))
    assert _base_keys(alice.record) == [new.base_key, old.base_key]
    assert alice.record.held is None


def test_repeated_first_messages_touch_no_prekey_in_any_order(alice: Party, bob: Party) -> None:
    alice.start(bob)
    sealed = [alice.send(b"%d" % i) for i in range(4)]
    bob.receive(sealed[2])
    assert bob.one_time_prekeys == {}
    for i in (0, 3, 1):
        assert bob.receive(sealed[i]) == b"%d" % i
    assert len(_base_keys(bob.record)) == 1
    for again in sealed:
        _refuses(bob, again, DuplicateMessage)


def test_failed_first_message_keeps_the_prekey_and_can_be_retried(alice: Party, bob: Party) -> None:
    alice.start(bob)
    kind, data = alice.send(b"x")
    at = data.index(inner_message((kind, data))[-8:])
    for damage in range(8):
        damaged = bytearray(data)
        damaged[at + damage] ^= 1
        _refuses(bob, (kind, bytes(damaged)), AuthenticationFailed)
    assert len(bob.one_time_prekeys) == 1
    assert bob.receive((kind, data)) == b"x"


def _rewrapped(sealed: Sealed, **changes: int | bytes | None) -> Sealed:
    numbers = {"one_time": 1, "base": 2, "identity": 3, "inner": 4, "signed": 6}
    items = fields(sealed[1][1:])
    for name, value in changes.items():
        items = [item for item in items if item[0] != numbers[name]]
        if value is not None:
            items.append((numbers[name], value))
    return sealed[0], b"\x33" + message(sorted(items, key=lambda item: item[0]))


def test_known_base_key_with_a_foreign_identity_is_refused(alice: Party, bob: Party) -> None:
    eve = Party("eve")
    alice.start(bob)
    bob.receive(alice.send(b"x"))
    sealed = alice.send(b"y")
    for identity in (eve.identity.public, bob.identity.public):
        _refuses(bob, _rewrapped(sealed, identity=identity), AuthenticationFailed)
    assert bob.receive(sealed) == b"y"
    # The same in an archived session.
    archived = alice.send(b"z")
    bob.start(alice)
    _refuses(bob, _rewrapped(archived, identity=eve.identity.public), AuthenticationFailed)
    assert bob.receive(archived) == b"z"


def test_wrapper_of_another_session_around_a_message_is_refused(alice: Party, bob: Party) -> None:
    first = alice.start(bob)
    old = alice.send(b"old")
    bob.receive(old)
    alice.start(bob)
    new = alice.send(b"new")
    bob.receive(new)
    # The new session's message under the old session's base key: only that session is tried.
    mixed = _rewrapped(alice.send(b"more"), base=bytes(first.base_key))
    _refuses(bob, mixed, AuthenticationFailed)


def test_changed_wrapper_of_a_new_session_is_refused(alice: Party, bob: Party) -> None:
    eve = Party("eve")
    alice.start(bob)
    sealed = alice.send(b"x")
    _refuses(bob, _rewrapped(sealed, identity=eve.identity.public), AuthenticationFailed)
    _refuses(bob, _rewrapped(sealed, base=eve.identity.public), AuthenticationFailed)
    _refuses(bob, _rewrapped(sealed, one_time=None), AuthenticationFailed)
    _refuses(bob, _rewrapped(sealed, one_time=0), AuthenticationFailed)
    _refuses(bob, _rewrapped(sealed, one_time=34), UnknownPrekey)
    _refuses(bob, _rewrapped(sealed, signed=23), UnknownPrekey)
    bob.bundle()
    _refuses(bob, _rewrapped(sealed, one_time=34), AuthenticationFailed)
    assert bob.receive(sealed) == b"x"


def test_explicit_0_for_no_one_time_prekey_is_read(alice: Party, bob: Party) -> None:
    alice.start(bob, one_time=False)
    assert bob.receive(_rewrapped(alice.send(b"x"), one_time=0)) == b"x"


def test_message_of_an_archived_session_is_read_and_promotes_it(alice: Party, bob: Party) -> None:
    first = _establish(alice, bob)
    late = alice.send(b"late")
    second = _establish(alice, bob)
    assert _base_keys(bob.record) == [second.base_key, first.base_key]
    assert bob.receive(late) == b"late"
    assert _base_keys(bob.record) == [first.base_key, second.base_key]
    assert bob.receive(alice.send(b"on the second")) == b"on the second"
    assert _base_keys(bob.record) == [second.base_key, first.base_key]


def test_promotion_takes_out_first_then_archives_then_cuts(alice: Party, bob: Party) -> None:
    sessions = [_establish(alice, bob)]
    late = [alice.send(b"late")]
    for i in range(40):
        sessions.append(_establish(alice, bob))
        late.append(alice.send(b"late %d" % i))
    keys = [session.base_key for session in sessions]
    assert _base_keys(bob.record) == keys[::-1]
    assert len(bob.record.archived) == 40
    bob.receive(late[0])  # of the oldest: nothing is dropped, since it makes its own room
    assert _base_keys(bob.record) == [keys[0], *keys[:0:-1]]
    bob.receive(late[20])
    rest = [key for key in keys[::-1] if key not in (keys[0], keys[20])]
    assert _base_keys(bob.record) == [keys[20], keys[0], *rest]
    assert len(bob.record.archived) == 40


def test_archived_session_of_another_identity_reads_but_is_not_promoted(
    alice: Party, bob: Party
) -> None:
    first = _establish(alice, bob)
    late = alice.send(b"late")
    renewed = Party("alice", SeededEntropy("alice with a new phone"))
    second = _establish(renewed, bob)
    assert bob.accepted == renewed.identity.public
    opened = open_message(bob.record, decode_signal_message(late[1]), renewed.identity.public)
    assert opened.plaintext == b"late"
    assert opened.session.remote_identity_key == alice.identity.public
    assert _base_keys(opened.record) == [second.base_key, first.base_key]
    with pytest.raises(DuplicateMessage):
        open_message(opened.record, decode_signal_message(late[1]), renewed.identity.public)
    promoted = open_message(bob.record, decode_signal_message(late[1]), alice.identity.public)
    assert _base_keys(promoted.record) == [first.base_key, second.base_key]


def test_reading_with_another_identity_keeps_the_stay(alice: Party, bob: Party) -> None:
    old = Party("bob", SeededEntropy("bob with an old phone"))
    _establish(alice, old)
    late = old.send(b"late")
    _cross(alice, bob)
    alice.receive(bob.send(b"held"))
    held = alice.record.held
    opened = open_message(alice.record, decode_signal_message(late[1]), bob.identity.public)
    assert (opened.record.held, opened.record.held_count) == (held, 1)
    assert opened.record.current is alice.record.current


def test_session_that_knows_the_ratchet_key_is_the_only_one_and_its_error_is_final(
    alice: Party, bob: Party
) -> None:
    _establish(alice, bob)
    old = alice.send(b"old")
    lost = [alice.send(b"lost") for _ in range(3)]
    bob.receive(old)
    _establish(alice, bob)
    _refuses(bob, old, DuplicateMessage)
    far = write_message(
        bob.record.archived[0], decode_signal_message(old[1]).ratchet_key, 2000 + 2 + 1
    )
    _refuses(bob, (MessageKind.SIGNAL, far), TooManySkipped)
    kind, data = lost[0]
    _refuses(bob, (kind, data[:-1] + bytes((data[-1] ^ 1,))), AuthenticationFailed)


def test_ratchet_key_that_two_sessions_know_is_for_the_newer_one_only(
    alice: Party, bob: Party
) -> None:
    key = _new_key(1)
    _establish(alice, bob)
    old = [write_message(bob.current, key, number) for number in range(2)]
    bob.receive((MessageKind.SIGNAL, old[0]))
    _establish(alice, bob)
    # Inside a wrapper, because a bare message would be taken for the older session's.
    inner = write_message(bob.current, key, 0)
    bob.record = _repeated(bob, alice, inner, bob.current).record
    _refuses(bob, (MessageKind.SIGNAL, old[1]), AuthenticationFailed)


def test_chain_closed_in_one_session_is_final_too(alice: Party, bob: Party) -> None:
    _establish(alice, bob)
    chain = bob.current.ratchet.receiving[-1]
    beyond = write_message(bob.current, chain.ratchet_key, 9)
    bob.receive(alice.send(b"on this chain"))
    alice.receive(bob.send(b"turn"))
    bob.receive(alice.send(b"closes the chain"))
    _establish(alice, bob)
    _refuses(bob, (MessageKind.SIGNAL, beyond), MessageTooOld)


def test_all_failures_of_several_sessions_are_one(alice: Party, bob: Party) -> None:
    for _ in range(3):
        _establish(alice, bob)
    eve, bob_of_eve = Party("eve"), Party("bob")
    _establish(eve, bob_of_eve)
    _refuses(bob, eve.send(b"x"), AuthenticationFailed)


@pytest.mark.parametrize("known_chain", [True, False])
def test_jump_in_an_archived_session_ends_at_2000(
    alice: Party, bob: Party, known_chain: bool
) -> None:
    _establish(alice, bob)
    bob.receive(alice.send(b"x"))
    bob.send(b"lost")
    key = _new_key(1)
    start = 0
    if known_chain:
        chain = bob.current.ratchet.receiving[-1]
        key, start = chain.ratchet_key, chain.message_number
    within = write_message(bob.current, key, start + 2000)
    beyond = write_message(bob.current, key, start + 2001)
    _establish(alice, bob)
    expected = TooManySkipped if known_chain else AuthenticationFailed
    _refuses(bob, (MessageKind.SIGNAL, beyond), expected)
    assert bob.receive((MessageKind.SIGNAL, within)) == b"crafted"


def test_jump_in_the_current_session_ends_at_25000(alice: Party, bob: Party) -> None:
    _establish(alice, bob)
    beyond = write_message(bob.current, _new_key(1), 25_001)
    _refuses(bob, (MessageKind.SIGNAL, beyond), AuthenticationFailed)
    within = write_message(bob.current, _new_key(1), 25_000)
    assert bob.receive((MessageKind.SIGNAL, within)) == b"crafted"


def _repeated(party: Party, peer: Party, inner: bytes, session: Session) -> Opened:
    wrapper = message([(2, session.base_key), (3, peer.identity.public), (4, inner), (6, 22)])
    decoded = decode_prekey_signal_message(b"\x33" + wrapper)
    return open_repeated_first_message(party.record, session, decoded, peer.identity.public)


def test_jump_of_a_repeated_first_message_has_the_same_limits(alice: Party, bob: Party) -> None:
    _establish(alice, bob)
    session = bob.current
    messages = {n: write_message(session, _new_key(1), n) for n in (2000, 2001, 25_000, 25_001)}
    assert _repeated(bob, alice, messages[25_000], session).plaintext == b"crafted"
    with pytest.raises(AuthenticationFailed):
        _repeated(bob, alice, messages[25_001], session)
    bob.start(alice)
    archived = bob.record.archived[0]
    assert _repeated(bob, alice, messages[2000], archived).plaintext == b"crafted"
    with pytest.raises(AuthenticationFailed):
        _repeated(bob, alice, messages[2001], archived)


def test_first_message_of_a_session_may_jump_25000(alice: Party, bob: Party) -> None:
    alice.start(bob)
    sealed = alice.send(b"x")
    session = bob.respond(decode_prekey_signal_message(sealed[1]))
    for number, readable in ((25_001, False), (25_000, True)):
        inner = write_message(session, _new_key(1), number)
        forged = _rewrapped(sealed, inner=inner)
        if readable:
            assert bob.receive(forged) == b"crafted"
        else:
            _refuses(bob, forged, AuthenticationFailed)


def test_forgotten_session_is_not_made_again_without_its_one_time_prekey(
    alice: Party, bob: Party
) -> None:
    alice.start(bob)
    sealed = alice.send(b"x")
    bob.receive(sealed)
    bob.record = NO_SESSIONS
    _refuses(bob, sealed, DuplicateMessage)
    bob.seen_base_keys.clear()
    _refuses(bob, sealed, UnknownPrekey)


@pytest.mark.parametrize("archived", [False, True])
def test_a_base_key_names_one_session_of_one_version(archived: bool) -> None:
    alice, bob = Party("alice"), Party("bob", pq=True)
    session = alice.start(bob, pq=False)
    bob.receive(alice.send(b"of version 3"))
    if archived:
        bob.start(alice)
    alice.start(bob)
    kind, data = alice.send(b"of version 4")
    wrapper = dict(fields(data[1:])) | {2: session.base_key}
    renamed = data[:1] + message(sorted(wrapper.items(), key=lambda field: field[0]))
    _refuses(bob, (kind, renamed), AuthenticationFailed)
    found = find_session(bob.record, session.base_key)
    assert found is not None
    decoded = decode_prekey_signal_message(renamed, VERSIONS)
    second = with_fields(
        bob.respond(decode_prekey_signal_message(data, VERSIONS)), base_key=found.base_key
    )
    with pytest.raises(AuthenticationFailed, match="second session"):
        open_first_message(bob.record, second, decoded.message, alice.identity.public)
    assert bob.receive((kind, data)) == b"of version 4"


# --- The stay rule --------------------------------------------------------------------------


def _receive_all(party: Party, sealed: Sequence[Sealed]) -> None:
    for item in sealed:
        party.receive(item)


def test_rule_1_crossing_first_message_is_held_and_ours_stays(alice: Party, bob: Party) -> None:
    _cross(alice, bob)
    ours = alice.current
    theirs = bob.current.base_key
    assert alice.receive(bob.send(b"crossing")) == b"crossing"
    assert _base_keys(alice.record) == [ours.base_key, theirs]
    assert alice.record.current is ours
    assert ours.pending is not None
    assert (alice.record.held, alice.record.held_count) == (theirs, 1)
    assert alice.send(b"x")[0] is MessageKind.PREKEY
    assert alice.current.base_key == ours.base_key


def test_rule_1_held_session_goes_in_front_of_an_archive_of_at_most_40(
    alice: Party, bob: Party
) -> None:
    for _ in range(41):
        alice.start(bob)
    oldest = alice.record.archived[-1].base_key
    bob.start(alice)
    alice.receive(bob.send(b"crossing"))
    assert len(alice.record.archived) == 40
    assert alice.record.archived[0].base_key == alice.record.held == bob.current.base_key
    assert oldest not in _base_keys(alice.record)


def test_rule_2_held_session_counts_what_it_reads_and_is_not_promoted(
    alice: Party, bob: Party
) -> None:
    _cross(alice, bob)
    ours = alice.current.base_key
    for count in range(1, 12):
        alice.receive(bob.send(b"%d" % count))
        assert alice.record.held_count == count
        assert alice.current.base_key == ours


def test_rule_2_duplicates_and_failures_do_not_count(alice: Party, bob: Party) -> None:
    _cross(alice, bob)
    sealed = bob.send(b"x")
    alice.receive(sealed)
    _refuses(alice, sealed, DuplicateMessage)
    assert alice.record.held_count == 1


@pytest.mark.parametrize(("read", "gives_way"), [(7, False), (8, True), (9, True)])
def test_rule_3_at_the_next_encrypt_8_read_messages_make_us_give_way(
    alice: Party, bob: Party, read: int, gives_way: bool
) -> None:
    _cross(alice, bob)
    ours, theirs = alice.current.base_key, bob.current.base_key
    _receive_all(alice, [bob.send(b"%d" % i) for i in range(read)])
    assert alice.current.base_key == ours
    before = alice.record
    rows = save_record(before)
    kind, _ = alice.send(b"x")
    assert save_record(before) == rows
    if gives_way:
        assert kind is MessageKind.SIGNAL
        assert _base_keys(alice.record) == [theirs, ours]
        assert (alice.record.held, alice.record.held_count) == (None, 0)
    else:
        assert kind is MessageKind.PREKEY
        assert _base_keys(alice.record) == [ours, theirs]
        assert alice.record.held_count == read


def test_rule_3_does_not_give_way_to_an_identity_that_is_not_accepted(
    alice: Party, bob: Party
) -> None:
    _cross(alice, bob)
    _receive_all(alice, [bob.send(b"%d" % i) for i in range(8)])
    stranger = Party("eve").identity.public
    assert prepare_to_send(alice.record, stranger) is alice.record
    assert prepare_to_send(alice.record, bob.identity.public) is not alice.record


def test_rule_3_does_not_give_way_to_another_archived_session(alice: Party, bob: Party) -> None:
    _establish(alice, bob)
    _cross(alice, bob)
    _receive_all(alice, [bob.send(b"%d" % i) for i in range(8)])
    without_held = with_fields(alice.record, archived=alice.record.archived[1:])
    assert prepare_to_send(without_held, bob.identity.public) is without_held
    given_way = prepare_to_send(alice.record, bob.identity.public)
    assert given_way.current is alice.record.archived[0]


def test_rule_4_yet_another_start_becomes_current_at_once(alice: Party, bob: Party) -> None:
    _cross(alice, bob)
    ours, first = alice.current.base_key, bob.current.base_key
    alice.receive(bob.send(b"held"))
    bob.record = NO_SESSIONS
    second = bob.start(alice).base_key
    assert alice.receive(bob.send(b"lost everything")) == b"lost everything"
    assert _base_keys(alice.record) == [second, ours, first]
    assert (alice.record.held, alice.record.held_count) == (None, 0)


def test_rule_5_normal_message_promotes_the_held_session(alice: Party, bob: Party) -> None:
    _cross(alice, bob)
    ours, theirs = alice.current.base_key, bob.current.base_key
    first = bob.send(b"held")
    alice.receive(first)
    normal = (MessageKind.SIGNAL, inner_message(bob.send(b"taken out of its wrapper")))
    alice.receive(normal)
    assert _base_keys(alice.record) == [theirs, ours]
    assert (alice.record.held, alice.record.held_count) == (None, 0)


def test_acknowledgement_of_ours_ends_the_stay(alice: Party, bob: Party) -> None:
    _cross(alice, bob)
    ours = alice.current.base_key
    alice.receive(bob.send(b"held"))
    bob.record = with_fields(bob.record, current=None)  # bob moves over, as other peers do
    bob.receive(alice.send(b"x"))
    alice.receive(bob.send(b"answer on ours"))
    assert alice.current.base_key == ours
    assert alice.current.pending is None
    assert (alice.record.held, alice.record.held_count) == (None, 0)


def test_repeated_first_message_on_our_current_session_also_acknowledges(
    alice: Party, bob: Party
) -> None:
    # A wrapper around the peer's message on our own session: odd, but authentic.
    _cross(alice, bob)
    alice.receive(bob.send(b"held"))
    inner = write_message(alice.current, _new_key(3), 0)
    opened = _repeated(alice, bob, inner, alice.current)
    assert opened.record.current is opened.session
    assert opened.session.pending is None
    assert (opened.record.held, opened.record.held_count) == (None, 0)


def test_own_new_session_ends_the_stay(alice: Party, bob: Party) -> None:
    _cross(alice, bob)
    alice.receive(bob.send(b"held"))
    alice.start(bob)
    assert (alice.record.held, alice.record.held_count) == (None, 0)


def test_while_staying_other_archived_sessions_read_but_do_not_count(
    alice: Party, bob: Party
) -> None:
    bob.start(alice)
    old = [bob.send(b"old %d" % i) for i in range(3)]
    alice.receive(old[0])
    bob.record = NO_SESSIONS
    _cross(alice, bob)
    alice.receive(bob.send(b"held"))
    ours = alice.current.base_key
    assert alice.receive(old[1]) == b"old 1"
    assert alice.record.held_count == 1
    assert alice.current.base_key == ours
    _refuses(alice, old[1], DuplicateMessage)


def test_repeated_first_message_of_an_archived_session_promotes_it_when_not_staying(
    alice: Party, bob: Party
) -> None:
    bob.start(alice)
    first, second = bob.send(b"1"), bob.send(b"2")
    alice.receive(first)
    theirs = alice.current.base_key
    ours = alice.start(bob).base_key
    assert alice.receive(second) == b"2"
    assert _base_keys(alice.record) == [theirs, ours]


def _as_repeated(sealed: Sealed) -> PreKeySignalMessage:
    return decode_prekey_signal_message(sealed[1])


def test_repeated_first_message_of_an_identity_that_is_not_accepted_promotes_nothing(
    alice: Party, bob: Party
) -> None:
    bob.start(alice)
    first, second = bob.send(b"1"), bob.send(b"2")
    alice.receive(first)
    renewed = Party("bob", SeededEntropy("bob with a new phone"))
    _establish(renewed, alice)
    new, old = _base_keys(alice.record)
    opened = open_repeated_first_message(
        alice.record,
        alice.record.archived[0],
        _as_repeated(second),
        renewed.identity.public,
    )
    assert opened.plaintext == b"2"
    assert _base_keys(opened.record) == [new, old]
    assert opened.record.archived[0] is opened.session
    assert opened.record.held_count == 0
    promoted = open_repeated_first_message(
        alice.record,
        alice.record.archived[0],
        _as_repeated(second),
        bob.identity.public,
    )
    assert _base_keys(promoted.record) == [old, new]


def test_held_session_of_an_identity_that_is_not_accepted_counts_all_the_same(
    alice: Party, bob: Party
) -> None:
    _cross(alice, bob)
    alice.receive(bob.send(b"held"))
    opened = open_repeated_first_message(
        alice.record,
        alice.record.archived[0],
        _as_repeated(bob.send(b"again")),
        Party("eve").identity.public,
    )
    assert (opened.record.held, opened.record.held_count) == (alice.record.held, 2)
    assert opened.record.current is alice.record.current


@pytest.mark.parametrize("answers_first", [True, False])
def test_crossing_start_loses_nothing_and_converges(
    alice: Party, bob: Party, answers_first: bool
) -> None:
    _cross(alice, bob)
    from_alice = [alice.send(b"a%d" % i) for i in range(3)]
    from_bob = [bob.send(b"b%d" % i) for i in range(3)]
    _receive_all(alice, from_bob)
    if answers_first:
        from_alice.append(alice.send(b"answer"))
    _receive_all(bob, from_alice)
    for i in range(20):
        assert bob.receive(alice.send(b"%d" % i)) == b"%d" % i
        assert alice.receive(bob.send(b"%d" % i)) == b"%d" % i
    assert alice.current.base_key == bob.current.base_key
    assert alice.current.pending is None
    assert bob.current.pending is None


# --- Identities -----------------------------------------------------------------------------


def test_preferring_the_identity_in_use_changes_nothing(alice: Party, bob: Party) -> None:
    _establish(alice, bob)
    assert prefer_identity(alice.record, bob.identity.public) is alice.record
    assert prefer_identity(NO_SESSIONS, bob.identity.public) is NO_SESSIONS


def test_preferred_identity_is_sent_with_on_its_newest_session(alice: Party, bob: Party) -> None:
    first = _establish(alice, bob)
    second = _establish(alice, bob)
    renewed = Party("bob", SeededEntropy("bob with a new phone"))
    third = _establish(alice, renewed)
    before = save_record(alice.record)
    record = prefer_identity(alice.record, bob.identity.public)
    assert _base_keys(record) == [second.base_key, third.base_key, first.base_key]
    assert save_record(alice.record) == before
    assert prefer_identity(record, renewed.identity.public).current is alice.record.current


def test_preferring_an_identity_without_session_archives_the_current_one(
    alice: Party, bob: Party
) -> None:
    _cross(alice, bob)
    ours = alice.current.base_key
    alice.receive(bob.send(b"held"))
    held = alice.record.archived[0].base_key
    record = prefer_identity(alice.record, Party("eve").identity.public)
    assert record.current is None
    assert [session.base_key for session in record.archived] == [ours, held]
    assert all(session.pending is None for session in record.archived)
    assert (record.held, record.held_count) == (None, 0)
    with pytest.raises(NoSession):
        seal_message(record, b"x", 1, NO_ENTROPY)
    # What is archived is still read.
    alice.record = record
    assert alice.receive(bob.send(b"still read")) == b"still read"


def test_session_that_was_never_answered_is_not_preferred(alice: Party, bob: Party) -> None:
    answered = _establish(alice, bob)
    unanswered = alice.start(bob)
    stranger = Party("bob", SeededEntropy("somebody else"))
    _establish(alice, stranger)
    # The peer may not have it, and it no longer wraps its messages.
    record = prefer_identity(alice.record, bob.identity.public)
    assert record.current is not None
    assert record.current.base_key == answered.base_key
    assert unanswered.base_key in _base_keys(record)


def test_no_session_is_better_than_one_that_was_never_answered(alice: Party, bob: Party) -> None:
    unanswered = alice.start(bob)
    stranger = Party("bob", SeededEntropy("somebody else"))
    theirs = alice.start(stranger)
    record = prefer_identity(alice.record, bob.identity.public)
    assert record.current is None
    assert _base_keys(record) == [theirs.base_key, unanswered.base_key]
    assert all(session.pending is None for session in record.archived)


def test_going_back_to_an_identity_finds_its_session_again(alice: Party, bob: Party) -> None:
    answered = _establish(alice, bob)
    without = prefer_identity(alice.record, Party("eve").identity.public)
    assert without.current is None
    again = prefer_identity(without, bob.identity.public)
    assert again.current is not None
    assert again.current.base_key == answered.base_key
    assert prefer_identity(without, Party("eve").identity.public) is without


def test_preferred_session_is_sent_with_although_ours_is_unanswered(
    alice: Party, bob: Party
) -> None:
    _cross(alice, bob)
    alice.receive(bob.send(b"held"))
    held = alice.record.archived[0]
    assert alice.record.held == held.base_key
    record = prefer_session(alice.record, held, bob.identity.public)
    assert record.current is held
    assert (record.held, record.held_count) == (None, 0)
    assert _base_keys(record) == [held.base_key, alice.current.base_key]
    assert prefer_session(record, held, bob.identity.public) is record


def test_session_of_another_identity_is_not_preferred(alice: Party, bob: Party) -> None:
    _establish(alice, bob)
    stranger = Party("bob", SeededEntropy("somebody else"))
    _establish(alice, stranger)
    (theirs,) = alice.record.archived
    assert prefer_session(alice.record, theirs, stranger.identity.public) is alice.record


def test_stopped_sessions_read_and_never_send_again(alice: Party, bob: Party) -> None:
    _establish(alice, bob)
    before = save_record(alice.record)
    stopped = stop_sending_with_all(alice.record, bob.identity.public)
    assert save_record(alice.record) == before
    assert stopped.current is None
    with pytest.raises(NoSession):
        seal_message(stopped, b"x", 1, NO_ENTROPY)
    alice.record = stopped
    # On the chain that is known, and after a step of the peer's ratchet.
    assert alice.receive(bob.send(b"known chain")) == b"known chain"
    other = with_fields(alice.record.archived[0])
    assert prefer_session(alice.record, other, bob.identity.public) is alice.record
    assert prefer_identity(alice.record, bob.identity.public).current is None
    assert alice.record.current is None
    with pytest.raises(NoSession):
        seal_message(
            SessionRecord(alice.record.archived[0], (), None, 0),
            b"x",
            alice.registration_id,
            NO_ENTROPY,
        )
    # A new one takes their place, and late messages still open.
    late = bob.send(b"late")
    alice.start(bob)
    assert bob.receive(alice.send(b"new session")) == b"new session"
    assert alice.receive(bob.send(b"answer")) == b"answer"
    assert alice.receive(late) == b"late"


def test_stopped_session_stays_so_when_the_peers_ratchet_turns(alice: Party, bob: Party) -> None:
    _establish(alice, bob)
    before = alice.record
    alice.send(b"lost")
    copy = alice.record
    # What the store forgets: Alice has sent, and Bob has answered with a new ratchet key.
    bob.receive(alice.send(b"forgotten"))
    turned, more = bob.send(b"answer"), bob.send(b"more")
    alice.record = load_record(save_record(stop_sending_with_all(copy, bob.identity.public)))
    assert alice.receive(turned) == b"answer"
    alice.record = load_record(save_record(alice.record))
    assert alice.receive(more) == b"more"
    assert alice.record.current is None
    (session,) = alice.record.archived
    assert not can_send(session)
    assert prefer_identity(alice.record, bob.identity.public).current is None
    # A copy from before Alice had sent a word of that turn has no key for Bob's answer.
    alice.record = stop_sending_with_all(before, bob.identity.public)
    _refuses(alice, turned, AuthenticationFailed)


def test_stopping_keeps_the_number_of_the_last_chain_and_ends_the_stay(
    alice: Party, bob: Party
) -> None:
    _establish(alice, bob)
    for text in (b"one", b"two", b"three"):
        bob.receive(alice.send(text))
    alice.receive(bob.send(b"turn"))
    counter = alice.current.ratchet.previous_counter
    assert counter == 2
    stopped = stop_sending_with_all(alice.record, bob.identity.public)
    assert [session.ratchet.previous_counter for session in stopped.archived] == [counter]
    crossing, peer = Party("crossing"), Party("peer")
    _cross(crossing, peer)
    crossing.receive(peer.send(b"held"))
    assert crossing.record.held is not None
    stopped = stop_sending_with_all(crossing.record, peer.identity.public)
    assert (stopped.held, stopped.held_count) == (None, 0)
    assert all(session.pending is None for session in stopped.archived)


def test_stopping_drops_another_identity_first(alice: Party, bob: Party) -> None:
    kept = [_establish(alice, bob) for _ in range(20)]
    stranger = Party("bob", SeededEntropy("somebody else"))
    theirs = _establish(alice, stranger)
    kept += [_establish(alice, bob) for _ in range(20)]
    stopped = stop_sending_with_all(alice.record, bob.identity.public)
    assert theirs.base_key not in _base_keys(stopped)
    assert _base_keys(stopped) == [session.base_key for session in reversed(kept)]


def test_stopping_drops_the_oldest_of_41(alice: Party, bob: Party) -> None:
    started = [_establish(alice, bob) for _ in range(41)]
    stopped = stop_sending_with_all(alice.record, bob.identity.public)
    assert _base_keys(stopped) == [session.base_key for session in reversed(started[1:])]


def test_answer_to_an_archived_session_makes_it_current(alice: Party, bob: Party) -> None:
    ours = alice.start(bob)
    bob.receive(alice.send(b"x"))
    answer = bob.send(b"answer")
    second = alice.start(bob)
    alice.receive(answer)
    assert _base_keys(alice.record) == [ours.base_key, second.base_key]
    assert alice.current.pending is None
    assert alice.record.archived[0].pending is None


def _initiated(alice: Party, identity: PublicKey) -> Session:
    """A session of Alice's with whoever has that identity; only its record matters."""
    peer = Party("bob", SeededEntropy("peer"))
    bundle = verify_bundle(peer.bundle(one_time=False))
    session = initiate_session(alice.identity, bundle, alice.entropy, NOW_MS)
    return with_fields(session, remote_identity_key=identity)


def _full(alice: Party, accepted: PublicKey, foreign: Mapping[int, PublicKey]) -> SessionRecord:
    """A record with 40 archived sessions, those at the given places of other identities."""
    archived = tuple(_initiated(alice, foreign.get(i, accepted)) for i in range(40))
    return SessionRecord(_initiated(alice, accepted), archived, None, 0)


@pytest.mark.parametrize(
    ("foreign", "dropped"),
    [([], 39), ([0], 0), ([20], 20), ([3, 20, 38], 38), ([39], 39), (range(40), 39)],
    ids=str,
)
def test_full_archive_drops_the_oldest_session_of_another_identity_first(
    alice: Party, bob: Party, foreign: Sequence[int], dropped: int
) -> None:
    accepted, stranger = bob.identity.public, Party("eve").identity.public
    record = _full(alice, accepted, dict.fromkeys(foreign, stranger))
    before = _base_keys(record)
    after = add_initiated_session(record, _initiated(alice, accepted))
    kept = [key for i, key in enumerate(before[1:]) if i != dropped]
    assert _base_keys(after)[1:] == [before[0], *kept]
    assert _base_keys(record) == before


def test_strangers_cannot_push_out_the_genuine_sessions(alice: Party, bob: Party) -> None:
    _establish(alice, bob)
    genuine = [_establish(alice, bob).base_key for _ in range(10)]
    for i in range(60):
        stranger = Party("alice", SeededEntropy(i))
        stranger.start(bob, one_time=False)
        message = decode_prekey_signal_message(stranger.send(b"let me in")[1])
        bob.record = open_first_message(
            bob.record,
            bob.respond(message),
            message.message,
            alice.identity.public,
        ).record
    assert len(bob.record.archived) == 40
    assert set(genuine) <= set(_base_keys(bob.record))


def test_held_session_of_a_stranger_stays_in_a_full_archive(alice: Party, bob: Party) -> None:
    record = _full(alice, bob.identity.public, {})
    stranger = Party("bob", SeededEntropy("somebody else"))
    stranger.start(alice)
    message = decode_prekey_signal_message(stranger.send(b"crossing")[1])
    opened = open_first_message(
        record, alice.respond(message), message.message, bob.identity.public
    )
    assert opened.record.archived[0] is opened.session
    assert opened.record.held == opened.session.base_key
    assert len(opened.record.archived) == 40


@pytest.mark.parametrize("foreign", [0, 20, 39])
def test_held_session_pushes_out_one_of_an_identity_that_is_not_accepted(
    alice: Party, bob: Party, foreign: int
) -> None:
    record = _full(alice, bob.identity.public, {foreign: Party("eve").identity.public})
    bob.start(alice)
    message = decode_prekey_signal_message(bob.send(b"crossing")[1])
    opened = open_first_message(
        record, alice.respond(message), message.message, bob.identity.public
    )
    kept = [key for i, key in enumerate(_base_keys(record)[1:]) if i != foreign]
    assert _base_keys(opened.record)[1:] == [opened.session.base_key, *kept]


def test_preferring_an_identity_without_session_bounds_the_archive(
    alice: Party, bob: Party
) -> None:
    accepted = bob.identity.public
    record = prefer_identity(_full(alice, accepted, {}), Party("eve").identity.public)
    assert record.current is None
    assert len(record.archived) == 40


def test_preferring_an_identity_in_a_full_archive_drops_a_session_of_another(
    alice: Party, bob: Party
) -> None:
    wanted, stranger = bob.identity.public, Party("eve").identity.public
    # The oldest is of the wanted identity, but was never answered: it stays in the archive.
    record = _full(alice, stranger, {39: wanted})
    before = _base_keys(record)
    after = prefer_identity(record, wanted)
    assert after.current is None
    assert _base_keys(after) == [*before[:39], before[40]]


def test_find_session_looks_everywhere(alice: Party, bob: Party) -> None:
    started = [alice.start(bob) for _ in range(3)]
    for session in started:
        found = find_session(alice.record, session.base_key)
        assert found is not None
        assert found.base_key == session.base_key
    assert find_session(alice.record, bob.identity.public) is None
    without_current = prefer_identity(alice.record, alice.identity.public)
    assert find_session(without_current, started[0].base_key) is not None


# --- Immutability and secrecy ---------------------------------------------------------------


def test_reading_leaves_the_record_unchanged_whether_it_works_or_not(
    alice: Party, bob: Party
) -> None:
    _establish(alice, bob)
    late = alice.send(b"late")
    _cross(alice, bob)
    record, before, prekeys = bob.record, save_record(bob.record), dict(bob.one_time_prekeys)
    for sealed in (late, alice.send(b"crossing")):
        kind, data = sealed
        bob.record, bob.one_time_prekeys, bob.seen_base_keys = record, dict(prekeys), set()
        bob.receive(sealed)
        assert save_record(record) == before != save_record(bob.record)
        bob.record, bob.one_time_prekeys, bob.seen_base_keys = record, dict(prekeys), set()
        inner = inner_message(sealed)
        damaged = inner[:-9] + bytes((inner[-9] ^ 1,)) + inner[-8:]
        _refuses(bob, (kind, data.replace(inner, damaged)), AuthenticationFailed)
        assert save_record(record) == before


def test_records_do_not_show_themselves(alice: Party, bob: Party) -> None:
    alice.start(bob)
    opened = Opened(alice.record, alice.current, b"plaintext")
    for value in (alice.record, opened, NO_SESSIONS):
        assert repr(value) == f"<{type(value).__name__}: secret>"
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(value)


# --- One identity alone ---------------------------------------------------------------------


def test_of_one_identity_only_its_sessions_are_left_and_sent_with(alice: Party, bob: Party) -> None:
    renewed = Party("renewed")
    ours = [_establish(alice, bob).base_key for _ in range(2)]
    theirs = _establish(alice, renewed).base_key
    assert _base_keys(alice.record) == [theirs, *reversed(ours)]
    of_bob = only_identity(alice.record, bob.identity.public)
    assert _base_keys(of_bob) == ours[::-1]
    assert of_bob.current is not None
    of_renewed = only_identity(alice.record, renewed.identity.public)
    assert _base_keys(of_renewed) == [theirs]
    assert of_renewed.current is alice.record.current
    assert only_identity(alice.record, Party("eve").identity.public) is NO_SESSIONS


def test_of_one_identity_the_stay_goes_on_if_it_is_of_it(alice: Party, bob: Party) -> None:
    _cross(alice, bob)
    alice.receive(bob.send(b"held"))
    assert alice.record.held is not None
    same = only_identity(alice.record, bob.identity.public)
    assert (same.held, same.held_count) == (alice.record.held, 1)


def test_of_one_identity_the_stay_ends_with_a_held_session_of_another(
    alice: Party, bob: Party
) -> None:
    _establish(alice, bob)
    eve = Party("eve")
    _cross(alice, bob)
    eve.start(alice)
    alice.receive(eve.send(b"held"))
    assert alice.record.held is not None
    of_bob = only_identity(alice.record, bob.identity.public)
    assert (of_bob.held, of_bob.held_count) == (None, 0)
    assert of_bob.current is alice.record.current


def test_of_one_identity_no_session_is_sent_with_that_was_never_answered(
    alice: Party, bob: Party
) -> None:
    alice.start(bob)
    _establish(alice, Party("eve"))
    of_bob = only_identity(alice.record, bob.identity.public)
    assert of_bob.current is None
    assert len(of_bob.archived) == 1

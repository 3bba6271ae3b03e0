# SPDX-License-Identifier: Apache-2.0
"""Receiving: which session is sent with afterwards, and which one goes when there are too many."""

from dataclasses import replace

import pytest

from e2ecross import Device, MessageKind, Policy, Text
from e2ecross.errors import AuthenticationFailed, DuplicateMessage, TooManySkipped, UnknownPrekey
from e2ecross.protocol.session import Session
from e2ecross.state.context import address_key
from e2ecross.state.session_store import load_sessions
from e2ecross.stores import MemoryStore, Table
from tests.support.devices import ANA, BUDI, dump, introduce, make_device, new_bundle, say, start

MAX_ARCHIVED = 40


def current(device: Device) -> bytes:
    """The base key of the session with Budi that is sent with."""
    with device._context.store.transaction() as tx:
        session: Session | None = load_sessions(tx, BUDI).current
    assert session is not None
    return session.base_key


def test_an_archived_session_that_reads_a_message_is_sent_with_again() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    first = current(ana)
    late = budi.encrypt(ANA, Text("late"))
    introduce(ana, budi)
    assert current(ana) != first
    assert ana.decrypt(late).content == Text("late")
    assert current(ana) == first
    say(ana, budi, "in the first one")


def test_an_archived_session_that_reads_a_wrapped_message_is_sent_with_again() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(budi, ana)
    say(budi, ana, "first")
    first = current(ana)
    late = budi.encrypt(ANA, Text("late"))
    assert late.kind is MessageKind.PREKEY
    say(ana, budi, "answer")
    introduce(ana, budi)
    assert current(ana) != first
    assert ana.decrypt(late).content == Text("late")
    assert current(ana) == first
    say(ana, budi, "in the first one")


def test_an_archived_session_that_is_not_sent_with_again_reads_each_message_once() -> None:
    ana, old = make_device(ANA), make_device(BUDI)
    introduce(ana, old)
    late = [old.encrypt(ANA, Text(f"late {number}")) for number in range(2)]
    new = make_device(BUDI, seed="reinstalled")
    start(new, ana)
    ana.decrypt(new.encrypt(ANA, Text("halo")))
    ana.accept_identity(BUDI, new.identity_key)
    say(ana, new, "to the new one")
    for envelope in reversed(late):
        assert ana.decrypt(envelope).identity_changed
        with pytest.raises(DuplicateMessage):
            ana.decrypt(envelope)
    say(new, ana, "goes on")


def test_that_a_message_is_too_far_ahead_is_told_of_a_ratchet_key_that_is_known() -> None:
    """Under a new one nothing shows that it is the peer's: anybody may have written it."""
    ana = make_device(ANA, policy=Policy(max_forward_jump=10))
    budi = make_device(BUDI)
    introduce(ana, budi, kyber=True)
    say(ana, budi, "so that Budi turns the ratchet")
    sent = [budi.encrypt(ANA, Text("too far")) for _ in range(13)]
    with pytest.raises(AuthenticationFailed):
        ana.decrypt(sent[11])
    ana.decrypt(sent[0])
    with pytest.raises(TooManySkipped) as caught:
        ana.decrypt(sent[12])
    assert (caught.value.got, caught.value.allowed) == (11, 10)


def test_a_session_whose_identity_is_missing_reads_no_wrapped_message() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    start(budi, ana)
    say(budi, ana, "first")
    wrapped = budi.encrypt(ANA, Text("second"))
    with store.transaction() as tx:
        tx.delete(Table.REMOTE_IDENTITIES, address_key(BUDI))
    before = dump(store)
    with pytest.raises(UnknownPrekey):
        ana.decrypt(wrapped)
    assert dump(store) == before


def test_sessions_of_another_identity_do_not_push_out_the_genuine_one() -> None:
    """Whoever plays Budi can start as many sessions as Ana has prekeys."""
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    late = budi.encrypt(ANA, Text("late"))
    other = make_device(BUDI, seed="plays budi")
    for number in range(MAX_ARCHIVED + 2):
        other.start_session(new_bundle(ana))
        message = ana.decrypt(other.encrypt(ANA, Text(str(number))))
        assert message.identity_changed
    with ana._context.store.transaction() as tx:
        assert len(load_sessions(tx, BUDI).archived) == MAX_ARCHIVED
    assert not ana.decrypt(late).identity_changed
    ana.reject_identity(BUDI, other.identity_key)
    say(ana, budi, "to the genuine one")


def test_a_restore_does_not_drop_a_genuine_session_for_one_of_another_identity() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    late = budi.encrypt(ANA, Text("late"))
    introduce(ana, budi)
    other = make_device(BUDI, seed="plays budi")
    for number in range(MAX_ARCHIVED):
        other.start_session(new_bundle(ana))
        ana.decrypt(other.encrypt(ANA, Text(str(number))))
    ana.reject_identity(BUDI, other.identity_key)
    say(budi, ana, "in the newer one")
    restored = Device.open(ana._context.store, restored=True)
    with restored._context.store.transaction() as tx:
        assert len(load_sessions(tx, BUDI).archived) == MAX_ARCHIVED
    assert restored.decrypt(late).content == Text("late")


def test_a_message_that_the_current_session_cannot_read_is_not_one_of_no_session() -> None:
    """Nor if the archived ones are all of the other version, so that it alone was tried."""
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    introduce(ana, budi, kyber=True)
    say(ana, budi, "a turn")
    envelope = budi.encrypt(ANA, Text("halo"))
    damaged = envelope.ciphertext[:-1] + bytes((envelope.ciphertext[-1] ^ 1,))
    with pytest.raises(AuthenticationFailed):
        ana.decrypt(replace(envelope, ciphertext=damaged))
    assert ana.decrypt(envelope).content == Text("halo")

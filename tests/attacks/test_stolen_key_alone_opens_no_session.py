# SPDX-License-Identifier: Apache-2.0
"""One stolen private key opens no recorded message; what can be done with it instead is shown.

The attacker: has one private key of Budi's (identity, signed prekey, or one-time prekeys), or one
archived session, and every envelope from the beginning. What they can do is documented in
docs/security-model.md, Thief of a store, and stands here as tests so that it stays true.
"""

from dataclasses import replace

import pytest

from e2ecross import Address, PreKeyBundle, Text
from e2ecross.crypto.kdf import derive_initial_keys
from e2ecross.crypto.keys import (
    KeyPair,
    PublicKey,
    agree,
    generate_key_pair,
    key_pair_from_private,
)
from e2ecross.crypto.xeddsa import sign
from e2ecross.errors import AuthenticationFailed, MessageTooOld, UnknownPrekey
from e2ecross.protocol.message_chain import SendingChain
from e2ecross.protocol.ratchet import RatchetState
from e2ecross.protocol.root_chain import advance_root_chain
from e2ecross.protocol.session import PendingPrekey, Session, session_decrypt
from e2ecross.protocol.session_record import NO_SESSIONS, add_initiated_session, seal_message
from e2ecross.state.context import address_key, require_device
from e2ecross.state.prekey_store import require_signed_prekey
from e2ecross.state.session_store import load_sessions
from e2ecross.stores import Table
from e2ecross.wire.content import decode_payload, encode_payload
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.signal_message import decode_prekey_signal_message
from tests.attacks.support import (
    ANA,
    BUDI,
    NOW_MS,
    Attacker,
    Person,
    Rows,
    assert_refused,
    meet,
    payload_for,
    person,
)
from tests.attacks.thief import Recording, Thief
from tests.support.entropy import NO_ENTROPY, SeededEntropy

DAY_MS = 24 * 60 * 60 * 1000
FAR_JUMP = 25_000


def _recording(*, one_time: bool) -> tuple[Recording, Rows]:
    """A conversation from the first message on, and Budi's store as it was before that."""
    ana, budi = person(ANA, one_time=2), person(BUDI, one_time=2)
    before = budi.dump()
    ana.start(budi, one_time=one_time)
    recording = Recording(ana, budi)
    for turn in range(2):
        recording.say(ana, f"ana {turn}")
        recording.say(budi, f"budi {turn}")
    return recording, before


def _only(rows: Rows, *tables: Table) -> Rows:
    return tuple(row for row in rows if row[0] in {table.value for table in tables})


def _identity_of(who: Person) -> KeyPair:
    with who.store.transaction() as tx:
        private = require_device(tx).identity_private_key
    return key_pair_from_private(private)


def _signed_prekey_of(who: Person) -> KeyPair:
    with who.store.transaction() as tx:
        return require_signed_prekey(tx, who.published.signed_prekey.id).key_pair


# --- What opens -----------------------------------------------------------------------------


@pytest.mark.parametrize("one_time", [True, False], ids=["one-time prekey", "no one-time prekey"])
@pytest.mark.parametrize("table", [Table.DEVICE, Table.SIGNED_PREKEYS, Table.ONE_TIME_PREKEYS])
def test_of_what_was_recorded_nothing_opens(table: Table, one_time: bool) -> None:
    """Stolen before the conversation, when they were all there."""
    recording, before = _recording(one_time=one_time)
    loot = _only(before, table)
    assert loot
    assert Thief(loot, recording).open() == set()


@pytest.mark.parametrize("one_time", [True, False], ids=["one-time prekey", "no one-time prekey"])
def test_two_of_three_open_only_what_used_no_third(one_time: bool) -> None:
    recording, before = _recording(one_time=one_time)
    two = Thief(_only(before, Table.DEVICE, Table.SIGNED_PREKEYS), recording).open()
    assert two == (set() if one_time else {"ana 0"})
    every = Thief(
        _only(before, Table.DEVICE, Table.SIGNED_PREKEYS, Table.ONE_TIME_PREKEYS), recording
    ).open()
    assert every == {"ana 0"}, "this thief knows the trade"
    for pair in (
        (Table.DEVICE, Table.ONE_TIME_PREKEYS),
        (Table.SIGNED_PREKEYS, Table.ONE_TIME_PREKEYS),
    ):
        assert Thief(_only(before, *pair), recording).open() == set()


# --- Who can be posed as --------------------------------------------------------------------


def _forge_first_message(
    victim: Person, sender: Address, sender_identity: bytes, secret: KeyPair, known: str
) -> Envelope:
    """A first message in the sender's name; of its agreements the thief lacks the sender's key.

    With the victim's signed prekey the first agreement can be made from the other end. With the
    victim's identity key it cannot, and is guessed.
    """
    entropy = SeededEntropy(f"thief {victim.clock.now_ms}")
    bundle = victim.bundle(one_time=False)
    identity, prekey = PublicKey(bundle.identity_key), PublicKey(bundle.signed_prekey)
    claimed = PublicKey(sender_identity)
    base, ratchet = generate_key_pair(entropy), generate_key_pair(entropy)
    first = agree(secret.private, claimed if known == "signed prekey" else prekey)
    agreements = [first, agree(base.private, identity), agree(base.private, prekey)]
    root_key, _ = derive_initial_keys(b"".join(agreements))
    root_key, chain_key = advance_root_chain(root_key, ratchet, prekey)
    session = Session(
        claimed,
        identity,
        1,
        base.public,
        RatchetState(root_key, SendingChain(ratchet, chain_key, 0), 0, ()),
        PendingPrekey(None, bundle.signed_prekey_id, NOW_MS),
        None,
    )
    return Attacker("thief").seal(session, payload_for(sender, victim.address))


def test_the_signed_prekey_lets_pose_as_anybody_towards_its_owner() -> None:
    """Known to X3DH: nothing tells this message from Ana's. It ends when the prekey is deleted."""
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    secret = _signed_prekey_of(budi)
    forged = _forge_first_message(budi, ANA, ana.device.identity_key, secret, "signed prekey")
    message = budi.device.decrypt(forged)
    assert message.content == Text("send me money")
    assert not message.identity_changed
    for days in (8, 40):
        budi.clock.now_ms = NOW_MS + days * DAY_MS
        budi.device.confirm_published(budi.device.publish(0))
    again = _forge_first_message(budi, ANA, ana.device.identity_key, secret, "signed prekey")
    assert_refused(budi, again, UnknownPrekey)


def test_the_signed_prekey_does_not_let_pose_as_its_owner() -> None:
    """It signs nothing, and is no identity."""
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    secret = _signed_prekey_of(budi)
    forged = _forge_first_message(ana, BUDI, budi.device.identity_key, secret, "identity")
    assert_refused(ana, forged, AuthenticationFailed)


def test_the_identity_key_does_not_let_pose_as_others_towards_its_owner() -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    secret = _identity_of(budi)
    forged = _forge_first_message(budi, ANA, ana.device.identity_key, secret, "identity")
    assert_refused(budi, forged, AuthenticationFailed)


def test_the_identity_key_lets_pose_as_its_owner() -> None:
    """With a signed prekey of the thief's own, and with first messages: nobody is told."""
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    thief = Attacker("thief")
    thief.identity = _identity_of(budi)
    message = ana.device.decrypt(thief.first_message(ana, BUDI))
    assert (message.content, message.identity_changed) == (Text("send me money"), False)
    # Ana starts a session with a prekey that the thief has signed: the thief reads it.
    prekey = generate_key_pair(thief.entropy)
    signature = sign(thief.identity, prekey.public, thief.entropy)
    ana.device.start_session(
        PreKeyBundle(BUDI, 1, thief.identity.public, 1, prekey.public, signature)
    )
    envelope = ana.send(budi, "for Budi only")
    assert _read_as_responder(thief, prekey, envelope) == Text("for Budi only")
    assert_refused(budi, envelope, UnknownPrekey)


def _read_as_responder(thief: Attacker, prekey: KeyPair, envelope: Envelope) -> object:
    wrapper = decode_prekey_signal_message(envelope.ciphertext)
    agreements = [
        agree(prekey.private, wrapper.identity_key),
        agree(thief.identity.private, wrapper.base_key),
        agree(prekey.private, wrapper.base_key),
    ]
    root_key, chain_key = derive_initial_keys(b"".join(agreements))
    session = Session(
        thief.identity.public,
        wrapper.identity_key,
        1,
        wrapper.base_key,
        RatchetState(root_key, SendingChain(prekey, chain_key, 0), 0, ()),
        None,
        None,
    )
    _, plaintext = session_decrypt(session, wrapper.message, FAR_JUMP)
    return decode_payload(plaintext).content


# --- An archived session --------------------------------------------------------------------


def _with_archive(*, answered: bool = True) -> tuple[Recording, Rows]:
    """Ana and Budi on their second session; the loot is what Ana's store has of the first.

    In that one she has answered what she read last, or has not.
    """
    ana, budi = person(ANA, one_time=3), person(BUDI, one_time=3)
    meet(ana, budi)
    recording = Recording(ana, budi)
    recording.say(ana, "in the first session")
    recording.say(budi, "in the first session, too")
    if answered:
        recording.say(ana, "that was the first session")
    with ana.store.transaction() as tx:
        (first,) = (row for row, _ in tx.list(Table.SESSIONS, address_key(BUDI)))
    ana.start(budi)
    recording.say(ana, "in the second session")
    recording.say(budi, "in the second session, too")
    loot = tuple(row for row in ana.dump() if row[0] == Table.SESSIONS.value and row[2] == first)
    assert len(loot) == 1
    return recording, loot


def test_a_stolen_archived_session_opens_nothing_of_another() -> None:
    recording, loot = _with_archive()
    ana, budi = recording.left, recording.right
    recording.say(ana, "later")
    recording.say(budi, "later, too")
    assert Thief(loot, recording).open() == set()


def test_who_writes_with_it_is_read_and_is_shut_out_by_the_owners_answer() -> None:
    """The known limit: a thief who sends is taken for Ana. Her next message ends that."""
    recording, loot = _with_archive()
    ana, budi = recording.left, recording.right
    with ana.store.transaction() as tx:
        (stolen,) = load_sessions(tx, BUDI).archived
    record = add_initiated_session(NO_SESSIONS, stolen)
    payload = replace(payload_for(ANA, BUDI), registration_id=ana.device.registration_id)
    record, kind, data = seal_message(record, encode_payload(payload), 1, NO_ENTROPY)
    message = budi.device.decrypt(Envelope(payload.message_id, ANA, BUDI, kind, data))
    assert (message.content, message.identity_changed) == (Text("send me money"), False)
    # Budi's answer is in that session, which Ana has, too: she sees that somebody has written.
    recording.say(budi, "how much?")
    recording.say(ana, "it was not me")
    recording.say(budi, "I see")
    assert Thief(loot, recording).open() == {"how much?"}
    _, kind, data = seal_message(record, encode_payload(payload), 1, NO_ENTROPY)
    late = Envelope(payload.message_id, ANA, BUDI, kind, data)
    assert_refused(budi, late, MessageTooOld)


def test_who_begins_the_answer_in_her_place_keeps_a_session_of_their_own() -> None:
    """The known limit where she had not answered yet: the thief has a key pair that she has not."""
    recording, _ = _with_archive(answered=False)
    ana, budi = recording.left, recording.right
    with ana.store.transaction() as tx:
        (stolen,) = load_sessions(tx, BUDI).archived
    record = add_initiated_session(NO_SESSIONS, stolen)
    payload = replace(payload_for(ANA, BUDI), registration_id=ana.device.registration_id)
    plaintext, entropy = encode_payload(payload), SeededEntropy("thief")
    record, kind, data = seal_message(record, plaintext, 1, entropy)
    message = budi.device.decrypt(Envelope(payload.message_id, ANA, BUDI, kind, data))
    assert (message.content, message.identity_changed) == (Text("send me money"), False)
    # She cannot read what he answers, and so hears that something is wrong.
    assert_refused(ana, recording.send(budi, "how much?"), AuthenticationFailed)
    recording.say(ana, "what did you say?")
    recording.say(budi, "I see")
    _, kind, data = seal_message(record, plaintext, 1, NO_ENTROPY)
    late = Envelope(payload.message_id, ANA, BUDI, kind, data)
    assert budi.device.decrypt(late).content == Text("send me money")

# SPDX-License-Identifier: Apache-2.0
"""Nobody can make two devices that have post-quantum keys agree, or go on, without them.

The attacker: a back end that takes the Kyber prekeys out of bundles, writes first messages of
version 3 in the name of a contact, and changes the version that a message says it is of.
"""

from dataclasses import replace

import pytest

from e2ecross import (
    Client,
    Delivery,
    Envelope,
    Message,
    MessageKind,
    Notice,
    NoticeKind,
    Policy,
    PreKeyBundle,
    Text,
)
from e2ecross.client.answers import CheckedBackend
from e2ecross.client.link import Link
from e2ecross.client.planning import ensure_session
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.registering import Token
from e2ecross.errors import (
    AuthenticationFailed,
    DecodeError,
    DuplicateMessage,
    EnvelopeMismatch,
    RemoteError,
    UnknownPrekey,
    UnknownSession,
    UnsupportedVersion,
    UntrustedIdentity,
    VersionDowngrade,
)
from e2ecross.protocol.session import session_encrypt
from e2ecross.protocol.session_record import NO_SESSIONS
from e2ecross.state.changes import CHANGES_ROW
from e2ecross.state.context import address_key, require_device
from e2ecross.state.session_store import load_sessions, save_sessions
from e2ecross.stores import Table
from e2ecross.wire.content import encode_payload
from tests.attacks.hostile_backend import FEW_PREKEYS, HostileBackend, party
from tests.attacks.support import (
    ANA,
    BUDI,
    Attacker,
    Person,
    assert_refused,
    edit_wrapper,
    inner_message,
    meet,
    payload_for,
    person,
    rewrap,
    with_ciphertext,
    wrapper_fields,
)
from tests.attacks.support_4 import converse, current, edit_message
from tests.support.entropy import NO_ENTROPY

KYBER_FIELDS = ("kyber_pre_key_id", "kyber_ciphertext")
EITHER = Policy(accept_version_downgrade=True)


def stripped(bundle: PreKeyBundle) -> PreKeyBundle:
    """The bundle without its Kyber prekey; every signature in it is right."""
    return replace(bundle, kyber_prekey_id=None, kyber_prekey=None, kyber_prekey_signature=None)


def _assert_no_session(ana: Person, bundle: PreKeyBundle) -> None:
    before = ana.dump()
    with pytest.raises(VersionDowngrade):
        ana.device.start_session(bundle)
    assert ana.dump() == before


# --- Bundles ----------------------------------------------------------------------------------


def test_a_client_takes_no_stripped_bundle_at_first_contact() -> None:
    backend = HostileBackend()
    ana, budi = party(ANA, backend), party(BUDI, backend)
    backend.bundle_lie = stripped
    before = ana.person.dump()
    with pytest.raises(VersionDowngrade):
        ana.client.send(BUDI, Text("for now and for ever"))
    new = set(ana.person.dump()) - set(before)
    kept = {row[0] for row in new if row[2] != CHANGES_ROW}
    assert kept == {Table.ACCOUNTS, Table.REMOTE_IDENTITIES}  # what was signed
    assert not ana.person.device.has_session(BUDI)
    assert not backend.mailbox(BUDI)
    backend.bundle_lie = None
    ana.client.send(BUDI, Text("hello"))
    assert budi.receive() == ["hello"]
    assert current(ana.person, budi.person).version.number == 4


def test_a_device_takes_none_of_who_has_offered_a_newer_version() -> None:
    """Whether it was they who began, or we; also after a restart, and in any session since."""
    for began in (True, False):
        ana, budi = person(ANA), person(BUDI)
        meet(*((ana, budi) if began else (budi, ana)), kyber=True)
        _assert_no_session(ana, stripped(budi.bundle(kyber=True)))
        _assert_no_session(ana, stripped(budi.bundle(one_time=False, kyber=True)))
        ana.reload()
        _assert_no_session(ana, budi.bundle())
        converse(ana, budi, 1)


def test_a_bundle_that_was_taken_once_and_never_used_counts() -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, kyber=True)
    _assert_no_session(ana, budi.bundle())
    assert budi.read(ana.send(budi, "hello")) == "hello"


def test_a_changed_identity_does_not_make_it_forgotten() -> None:
    """Whoever plays Budi with a new key offers what Budi offers, or nothing."""
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi, kyber=True)
    mallory = Attacker()
    with pytest.raises((UntrustedIdentity, VersionDowngrade)):
        ana.device.start_session(mallory.bundle(BUDI))
    ana.device.accept_identity(BUDI, mallory.identity.public)
    _assert_no_session(ana, mallory.bundle(BUDI))


def test_the_policy_may_accept_it() -> None:
    ana, budi = person(ANA, policy=EITHER), person(BUDI, policy=EITHER)
    meet(ana, budi, kyber=True)
    ana.start(budi)
    message = budi.device.decrypt(ana.send(budi, "in the older version"))
    assert (message.content, message.version_downgraded) == (Text("in the older version"), True)
    assert current(budi, ana).version.number == 3
    repeated = budi.device.decrypt(ana.send(budi, "goes on"))
    assert (repeated.content, repeated.version_downgraded) == (Text("goes on"), False)


@pytest.mark.parametrize("offered", [True, False], ids=["offered version 4", "never offered it"])
def test_a_client_is_told_of_what_its_policy_accepts(offered: bool) -> None:
    """On both ends: with the sent copy, and with the message, also after a crash."""
    backend, allows = HostileBackend(), replace(FEW_PREKEYS, minimum_version=3)
    allows = replace(allows, accept_version_downgrade=True)
    ana, budi = party(ANA, backend, policy=allows), party(BUDI, backend, policy=allows)
    if offered:
        assert ana.client.send(BUDI, Text("hello")).deliveries == (Delivery(BUDI),)
        assert budi.receive() == ["hello"]
        with ana.person.store.transaction() as tx:
            save_sessions(tx, address_key(BUDI), load_sessions(tx, BUDI), NO_SESSIONS)
    backend.bundle_lie = stripped
    sent = ana.client.send(BUDI, Text("in the older version"))
    assert sent.deliveries == (Delivery(BUDI, version_downgraded=offered),)
    for client in (budi.client, Client(budi.person.device, backend)):
        *notices, message = client.receive()
        told = [(n.kind, n.user, n.devices) for n in notices if isinstance(n, Notice)]
        assert told == [(NoticeKind.VERSION_DOWNGRADED, ANA.user_id, (1,))] * offered
        assert isinstance(message, Message)
        assert message.content == Text("in the older version")
        assert message.version_downgraded is offered
    assert ana.client.send(BUDI, Text("goes on")).deliveries == (Delivery(BUDI),)


def test_a_client_is_told_of_both_a_changed_identity_and_an_older_version() -> None:
    backend = HostileBackend()
    allows = replace(FEW_PREKEYS, minimum_version=3, accept_version_downgrade=True)
    allows = replace(allows, accept_changed_identity=True)
    ana = party(ANA, backend, policy=allows)
    party(BUDI, backend, policy=allows)
    ana.client.send(BUDI, Text("hello"))
    with ana.person.store.transaction() as tx:
        save_sessions(tx, address_key(BUDI), load_sessions(tx, BUDI), NO_SESSIONS)
    backend.forget(BUDI)
    party(BUDI, backend, policy=allows, installation="new phone")
    backend.bundle_lie = stripped
    (delivery,) = ana.client.send(BUDI, Text("in the older version")).deliveries
    assert delivery == Delivery(BUDI, identity_changed=True, version_downgraded=True)


@pytest.mark.parametrize("one_time", [True, False])
def test_a_client_starts_no_older_session_with_who_has_offered_the_newer_one(
    one_time: bool,
) -> None:
    """Also where the policy allows version 3 in general, and a new session is needed."""
    backend, allows = HostileBackend(), replace(FEW_PREKEYS, minimum_version=3)
    ana, budi = party(ANA, backend, policy=allows), party(BUDI, backend, policy=allows)
    ana.client.send(BUDI, Text("hello"))
    assert budi.receive() == ["hello"]
    with ana.person.store.transaction() as tx:
        token = Token(require_device(tx).backend_token)
    link = Link(ana.person.device._context, CheckedBackend(backend), token, Leftovers())
    backend.bundle_lie = lambda bundle: (
        stripped(bundle)
        if one_time
        else replace(stripped(bundle), one_time_prekey_id=None, one_time_prekey=None)
    )
    before = ana.person.dump()
    with pytest.raises(VersionDowngrade):
        ensure_session(link, BUDI, fresh=True)
    assert ana.person.dump() == before
    ana.client.send(BUDI, Text("goes on"))
    assert budi.receive() == ["goes on"]
    assert current(ana.person, budi.person).version.number == 4


def test_where_the_policy_allows_it_version_3_is_spoken_with_who_has_no_other() -> None:
    backend, allows = HostileBackend(), replace(FEW_PREKEYS, minimum_version=3)
    ana, budi = party(ANA, backend, policy=allows), party(BUDI, backend, policy=allows)
    backend.bundle_lie = stripped
    ana.client.send(BUDI, Text("hello"))
    assert budi.receive() == ["hello"]
    assert current(ana.person, budi.person).version.number == 3


# --- First messages ---------------------------------------------------------------------------


@pytest.mark.parametrize("one_time", [True, False])
def test_a_first_message_of_version_3_of_who_has_offered_version_4(one_time: bool) -> None:
    ana, budi = person(ANA, policy=EITHER), person(BUDI)
    meet(ana, budi, kyber=True)
    ana.start(budi, one_time=one_time)
    keys = budi.one_time_prekeys()
    first = ana.send(budi, "in the older version")
    assert_refused(budi, first, VersionDowngrade)
    before = budi.dump()
    with pytest.raises(VersionDowngrade):
        budi.device.decrypt_raw(ANA, first.kind, first.ciphertext)
    assert budi.dump() == before
    assert budi.one_time_prekeys() == keys
    assert_refused(budi, Attacker().first_message(budi, ANA), VersionDowngrade)
    assert ana.read(budi.send(ana, "goes on")) == "goes on"


def test_a_client_reads_no_first_message_of_version_3_of_anybody() -> None:
    backend = HostileBackend()
    budi = party(BUDI, backend)
    forged = Attacker().first_message(budi.person, ANA, one_time=False)
    backend.plant(BUDI, [forged])
    with budi.person.store.transaction() as tx:
        nothing = load_sessions(tx, ANA)
    keys = budi.person.one_time_prekeys()
    (failed,) = budi.client.receive()
    assert isinstance(getattr(failed, "error", None), VersionDowngrade)
    with budi.person.store.transaction() as tx:
        assert load_sessions(tx, ANA) == nothing
    assert budi.person.one_time_prekeys() == keys
    assert budi.person.device.remote_identity(ANA) is None


@pytest.mark.parametrize("repeated", [False, True], ids=["first", "repeated"])
def test_the_fields_of_the_kem_in_a_first_message(repeated: bool) -> None:
    """Left out, both or one; of another message; or turned into one of version 3."""
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, kyber=True)
    if repeated:
        assert budi.read(ana.send(budi, "before")) == "before"
    envelope = ana.send(budi, "genuine")
    for left_out in ((KYBER_FIELDS[0],), (KYBER_FIELDS[1],), KYBER_FIELDS):
        changed = edit_wrapper(envelope, **dict.fromkeys(left_out))
        assert_refused(budi, changed, DecodeError)
        for first_byte in (0x33, 0x34, 0x43, 0x3F):
            outside = rewrap(changed, wrapper_fields(changed), first_byte)
            assert_refused(budi, outside, UnsupportedVersion, DecodeError)
            inside = bytes((first_byte,)) + inner_message(envelope)[1:]
            both = rewrap(
                changed, wrapper_fields(edit_wrapper(changed, message=inside)), first_byte
            )
            assert_refused(budi, both, *_NOT_READ)
    for kyber_id in (0, 1, 2, 2**24 - 1, 2**32 - 1):
        if kyber_id != dict(wrapper_fields(envelope))[7]:
            changed = edit_wrapper(envelope, kyber_pre_key_id=kyber_id)
            assert_refused(budi, changed, UnknownPrekey, AuthenticationFailed, EnvelopeMismatch)
    assert budi.read(envelope) == "genuine"


_NOT_READ: tuple[type[RemoteError], ...] = (
    AuthenticationFailed,
    DecodeError,
    EnvelopeMismatch,
    UnknownPrekey,
    UnknownSession,
    UnsupportedVersion,
    VersionDowngrade,
)


# --- Sessions of both versions side by side ---------------------------------------------------


def _both_versions() -> tuple[Person, Person]:
    """Two people with an archived session of version 3 and a current one of version 4."""
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    converse(ana, budi, 1)
    meet(ana, budi, kyber=True)
    return ana, budi


@pytest.mark.parametrize("kyber", [False, True], ids=["version 3", "version 4"])
def test_every_first_byte_of_a_message_where_there_are_sessions_of_both(kyber: bool) -> None:
    ana, budi = _both_versions()
    if not kyber:
        ana, budi = person(ANA, policy=EITHER), person(BUDI, policy=EITHER)
        meet(ana, budi, kyber=True)
        meet(ana, budi)
    envelope = ana.send(budi, "genuine")
    assert envelope.ciphertext[0] == (0x44 if kyber else 0x33)
    for byte in set(range(256)) - {envelope.ciphertext[0]}:
        changed = with_ciphertext(envelope, bytes((byte,)) + envelope.ciphertext[1:])
        # One of version 3 says nothing of the post-quantum ratchet, which the other requires.
        known = byte >> 4 == 3 or (byte >> 4 == 4 and kyber)
        error = AuthenticationFailed if known else UnsupportedVersion
        assert_refused(budi, changed, error)
    assert budi.read(envelope) == "genuine"


@pytest.mark.parametrize("repeated", [False, True], ids=["first", "repeated"])
def test_every_first_byte_of_a_prekey_message_where_there_are_sessions_of_both(
    repeated: bool,
) -> None:
    ana, budi = _both_versions()
    ana.start(budi, kyber=True)
    if repeated:
        assert budi.read(ana.send(budi, "before")) == "before"
    envelope = ana.send(budi, "genuine")
    inside = inner_message(envelope)
    for byte in set(range(256)) - {0x44}:
        outside = with_ciphertext(envelope, bytes((byte,)) + envelope.ciphertext[1:])
        assert_refused(budi, outside, *_NOT_READ)
        changed_inside = edit_wrapper(envelope, message=bytes((byte,)) + inside[1:])
        assert_refused(budi, changed_inside, *_NOT_READ)
        both = with_ciphertext(changed_inside, bytes((byte,)) + changed_inside.ciphertext[1:])
        assert_refused(budi, both, *_NOT_READ)
    assert budi.read(envelope) == "genuine"


def test_a_message_of_one_version_is_not_read_by_a_session_of_the_other() -> None:
    """The wrapper of one around a message of the other, in every mixture."""
    ana, budi = person(ANA, policy=EITHER), person(BUDI, policy=EITHER)
    ana.start(budi)
    older = ana.send(budi, "older")
    assert budi.read(older) == "older"
    ana.start(budi, kyber=True)
    newer = ana.send(budi, "newer")
    assert budi.read(newer) == "newer"
    older_next = _in_session_of_version_3(ana, budi)
    newer_next = ana.send(budi, "newer again")
    for around, inner in ((older, newer_next), (newer, older_next)):
        mixed = edit_wrapper(around, message=inner_message(inner))
        assert_refused(budi, replace(mixed, message_id=inner.message_id), UnsupportedVersion)
        relabelled = bytes((around.ciphertext[0],)) + inner_message(inner)[1:]
        mixed = edit_wrapper(around, message=relabelled)
        assert_refused(
            budi,
            replace(mixed, message_id=inner.message_id),
            AuthenticationFailed,
            UnsupportedVersion,
            DuplicateMessage,
        )
    # What belongs to the newer version is ignored in the older one, and breaks its MAC.
    for edits in ({"pq_ratchet": b"\1\1\1\0"}, {"addresses": bytes(36)}):
        bad = edit_message(older_next, **edits)
        assert_refused(budi, bad, AuthenticationFailed)
    assert budi.read(older_next) == "older again"
    assert budi.read(newer_next) == "newer again"


def _in_session_of_version_3(ana: Person, budi: Person) -> Envelope:
    """The next message of the archived session of version 3, as if it were a late one."""
    with ana.store.transaction() as tx:
        record = load_sessions(tx, budi.address)
    (older,) = [session for session in record.archived if session.version.number == 3]
    payload = replace(payload_for(ANA, BUDI), content=Text("older again"))
    _, kind, data = session_encrypt(older, encode_payload(payload), 1, NO_ENTROPY)
    assert kind is MessageKind.SIGNAL
    return Envelope(payload.message_id, ANA, BUDI, kind, data)

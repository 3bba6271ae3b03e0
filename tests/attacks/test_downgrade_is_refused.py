# SPDX-License-Identifier: Apache-2.0
"""Nobody can make two devices speak an older or a weaker form than they have, except as shown here.

The attacker: a back end that rewrites versions, kinds and wrappers and strips one-time prekeys from
bundles; a peer who authenticates another version; somebody who writes into the store's file.
The exception is a bundle without one-time prekey. Nothing cryptographic notices it, because a
directory may have run out of them; the session is marked on both ends, and its first message is
remembered. See docs/security-model.md, First messages without one-time prekey.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from e2ecross import Device, Envelope, MessageKind, PreKeyBundle, PublishedKeys, Text
from e2ecross.errors import (
    AuthenticationFailed,
    DecodeError,
    DuplicateMessage,
    EnvelopeMismatch,
    RecordCorrupted,
    RemoteError,
    StoreError,
    StoreTooNew,
    UnknownPrekey,
    UnknownSession,
    UnsupportedVersion,
)
from e2ecross.state.session_store import load_sessions
from e2ecross.stores import Table
from e2ecross.wire.content import encode_payload
from e2ecross.wire.padding import pad, unpad
from tests.attacks.hostile_backend import HostileBackend, party
from tests.attacks.support import (
    ANA,
    BUDI,
    SESSION_KINDS,
    WRAPPER,
    Attacker,
    Person,
    assert_refused,
    edit_envelope,
    edit_wrapper,
    inner_message,
    meet,
    payload_for,
    person,
    rewrap,
    with_ciphertext,
    wrapper_fields,
)
from tests.support import protobuf

CURRENT = 0x33
VERSION_FIELD = 1  # of everything of ours that has a version in a field
OTHER_VERSIONS = (0, 2, 3, 4, 2**32 - 1)


def _people() -> tuple[Person, Person]:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    return ana, budi


def _error_of_first_byte(byte: int, low_half: type[RemoteError]) -> type[RemoteError]:
    return low_half if byte >> 4 == 3 else UnsupportedVersion


# --- Versions of Signal's messages ----------------------------------------------------------


def test_every_first_byte_of_a_message_of_a_session() -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    envelope = ana.send(budi, "genuine")
    assert envelope.ciphertext[0] == CURRENT
    for byte in set(range(256)) - {CURRENT}:
        changed = bytes((byte,)) + envelope.ciphertext[1:]
        error = _error_of_first_byte(byte, AuthenticationFailed)
        error = UnknownSession if byte >> 4 == 4 else error  # there is none of version 4
        assert_refused(budi, with_ciphertext(envelope, changed), error)
    assert budi.read(envelope) == "genuine"


@pytest.mark.parametrize("repeated", [False, True], ids=["first", "repeated"])
def test_every_first_byte_of_a_prekey_message_outside_and_inside(repeated: bool) -> None:
    ana, budi = _people()
    if repeated:
        assert budi.read(ana.send(budi, "before")) == "before"
    envelope = ana.send(budi, "genuine")
    inside = inner_message(envelope)
    for byte in set(range(256)) - {CURRENT}:
        changed = bytes((byte,)) + envelope.ciphertext[1:]
        error = _error_of_first_byte(byte, EnvelopeMismatch)
        assert_refused(budi, with_ciphertext(envelope, changed), error)
        changed_inside = edit_wrapper(envelope, message=bytes((byte,)) + inside[1:])
        error = _error_of_first_byte(byte, AuthenticationFailed)
        assert_refused(budi, changed_inside, error)
    assert budi.read(envelope) == "genuine"


# --- Versions of our own formats ------------------------------------------------------------


@pytest.mark.parametrize("version", OTHER_VERSIONS)
def test_of_an_envelope(version: int) -> None:
    ana, budi = _people()
    envelope = ana.send(budi, "genuine")
    changed = edit_envelope(envelope, VERSION_FIELD, version)
    assert_refused(budi, changed, UnsupportedVersion if version else DecodeError)
    without = protobuf.message(protobuf.fields(envelope.encode())[1:])
    assert_refused(budi, without, DecodeError)
    assert budi.read(envelope) == "genuine"


@pytest.mark.parametrize("version", OTHER_VERSIONS)
def test_of_a_payload_by_a_peer_who_authenticates_it(version: int) -> None:
    """The prekey is still there for the message that is acceptable."""
    budi, attacker = person(BUDI), Attacker()
    payload = payload_for(ANA, BUDI)
    session = attacker.session(budi.bundle())
    fields = protobuf.fields(unpad(encode_payload(payload)))
    assert fields[0] == (VERSION_FIELD, 1)
    changed = pad(protobuf.message([(VERSION_FIELD, version), *fields[1:]]))
    bad = attacker.seal_bytes(session, payload, changed)
    assert_refused(budi, bad, UnsupportedVersion if version else DecodeError)
    without = attacker.seal_bytes(session, payload, pad(protobuf.message(fields[1:])))
    assert_refused(budi, without, DecodeError)
    assert budi.read(attacker.seal(session, payload)) == "send me money"


@pytest.mark.parametrize("version", OTHER_VERSIONS)
def test_of_a_bundle_and_a_publication(version: int) -> None:
    budi = person(BUDI)
    decoders: list[tuple[bytes, Callable[[bytes], object]]] = [
        (budi.bundle().encode(), PreKeyBundle.decode),
        (budi.published.encode(), PublishedKeys.decode),
    ]
    for data, decode in decoders:
        fields = protobuf.fields(data)
        assert fields[0] == (VERSION_FIELD, 1)
        for changed in ([(VERSION_FIELD, version), *fields[1:]], fields[1:]):
            with pytest.raises(UnsupportedVersion):
                decode(protobuf.message(changed))


USES: dict[Table, Callable[[Person, Envelope], object]] = {
    Table.DEVICE: lambda ana, _: Device.open(ana.store),
    Table.SIGNED_PREKEYS: lambda ana, _: ana.device.publish(3),
    Table.SESSION_RECORDS: lambda ana, _: ana.device.encrypt(BUDI, Text("halo")),
    Table.SESSIONS: lambda ana, _: ana.device.encrypt(BUDI, Text("halo")),
    Table.REMOTE_IDENTITIES: lambda ana, _: ana.device.encrypt(BUDI, Text("halo")),
    Table.SKIPPED_KEYS: lambda ana, late: ana.device.decrypt(late),
    Table.ONE_TIME_PREKEYS: lambda ana, _: ana.device.decrypt(_stranger(ana)),
}


def _stranger(victim: Person) -> Envelope:
    return Attacker().first_message(victim, BUDI)


@pytest.mark.parametrize("table", USES, ids=str)
def test_of_a_record_at_rest(table: Table) -> None:
    """Older than any that was released, or newer than this release: refused, never guessed at."""
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    late = budi.send(ana, "late")
    assert ana.read(budi.send(ana, "not late")) == "not late"
    genuine = {row[1:3]: row[3] for row in ana.dump() if row[0] == table.value}
    assert genuine
    for version, error in ((0, RecordCorrupted), (2, StoreTooNew), (255, StoreTooNew)):
        with ana.store.transaction() as tx:
            for (partition, row), record in genuine.items():
                tx.put(table, partition, row, bytes((version,)) + record[1:])
        before = ana.dump()
        with pytest.raises(StoreError) as caught:
            USES[table](ana, late)
        assert type(caught.value) is error
        assert ana.dump() == before
    with ana.store.transaction() as tx:
        for (partition, row), record in genuine.items():
            tx.put(table, partition, row, record)
    assert ana.read(late) == "late"
    assert budi.read(ana.send(budi, "goes on")) == "goes on"


@pytest.mark.parametrize(
    ("version", "error"), [(0, RecordCorrupted), (2, RecordCorrupted), (5, StoreTooNew)]
)
def test_of_the_protocol_in_a_stored_session(version: int, error: type[StoreError]) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    ((_, partition, row, record),) = [r for r in ana.dump() if r[0] == Table.SESSIONS.value]
    fields = protobuf.fields(record[1:])
    assert fields[0] == (1, 3)
    changed = [(1, version), *fields[1:]] if version else fields[1:]
    with ana.store.transaction() as tx:
        tx.put(Table.SESSIONS, partition, row, record[:1] + protobuf.message(changed))
    before = ana.dump()
    with pytest.raises(StoreError) as caught:
        ana.send(budi, "halo")
    assert type(caught.value) is error
    assert ana.dump() == before


# --- Without one-time prekey ----------------------------------------------------------------


def test_a_stripped_bundle_is_not_noticed_but_marked() -> None:
    """Both ends hold in their session that it used none, and the receiver remembers its key."""
    backend = HostileBackend()
    ana, budi = party(ANA, backend), party(BUDI, backend)
    backend.bundle_lie = lambda bundle: replace(
        bundle, one_time_prekey_id=None, one_time_prekey=None
    )
    envelope = ana.send(budi, "rests on two keys")
    assert WRAPPER["pre_key_id"] not in dict(wrapper_fields(envelope))
    with ana.person.store.transaction() as tx:
        current = load_sessions(tx, BUDI).current
        assert current is not None
        assert current.pending is not None
        assert current.pending.one_time_prekey_id is None
    assert budi.receive() == ["rests on two keys"]
    with budi.person.store.transaction() as tx:
        current = load_sessions(tx, ANA).current
        assert current is not None
        assert current.used_prekeys is not None
        assert current.used_prekeys.one_time_prekey_id is None
        assert len(list(tx.scan(Table.SEEN_BASE_KEYS))) == 1


@pytest.mark.parametrize("repeated", [False, True], ids=["first", "repeated"])
def test_a_one_time_prekey_cannot_be_stripped_from_a_message(repeated: bool) -> None:
    ana, budi = _people()
    if repeated:
        assert budi.read(ana.send(budi, "before")) == "before"
    envelope = ana.send(budi, "genuine")
    expected = EnvelopeMismatch if repeated else AuthenticationFailed
    assert_refused(budi, edit_wrapper(envelope, pre_key_id=None), expected)
    assert_refused(budi, edit_wrapper(envelope, pre_key_id=0), EnvelopeMismatch)
    for prekey_id in sorted(budi.one_time_prekeys())[1:3]:
        assert_refused(budi, edit_wrapper(envelope, pre_key_id=prekey_id), expected)
    assert budi.read(envelope) == "genuine"


def test_nor_added_to_one() -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, one_time=False)
    for expected in (AuthenticationFailed, EnvelopeMismatch):
        envelope = ana.send(budi, "genuine")
        for prekey_id in sorted(budi.one_time_prekeys()):
            assert_refused(budi, edit_wrapper(envelope, pre_key_id=prekey_id), expected)
        assert budi.read(envelope) == "genuine"


# --- Kinds and wrappers ---------------------------------------------------------------------


def test_a_stripped_wrapper_starts_nothing() -> None:
    """A message without its wrapper is for a session that there is, or for none."""
    ana, budi = _people()
    first = ana.send(budi, "first")
    bare = replace(first, kind=MessageKind.SIGNAL, ciphertext=inner_message(first))
    assert_refused(budi, bare, UnknownSession)
    assert budi.read(first) == "first"
    assert_refused(budi, bare, DuplicateMessage)
    assert ana.read(budi.send(ana, "answer")) == "answer"
    ana.start(budi)
    second = ana.send(budi, "second session")
    bare = replace(second, kind=MessageKind.SIGNAL, ciphertext=inner_message(second))
    assert_refused(budi, bare, AuthenticationFailed)
    assert budi.read(second) == "second session"


@pytest.mark.parametrize("state", ["first", "repeated", "acknowledged"])
def test_one_kind_taken_for_the_other(state: str) -> None:
    ana, budi = _people()
    if state != "first":
        assert budi.read(ana.send(budi, "before")) == "before"
    if state == "acknowledged":
        assert ana.read(budi.send(ana, "answer")) == "answer"
    envelope = ana.send(budi, "genuine")
    other = ({*SESSION_KINDS} - {envelope.kind}).pop()
    assert_refused(budi, replace(envelope, kind=other), DecodeError, AuthenticationFailed)
    for kind in (0, 1, 4, 5, 8):
        assert_refused(budi, edit_envelope(envelope, 5, kind), DecodeError)
    before = budi.dump()
    with pytest.raises(RemoteError):
        budi.device.decrypt_raw(ANA, other, envelope.ciphertext)
    assert budi.dump() == before
    assert budi.read(envelope) == "genuine"


def test_a_wrapper_put_back_around_a_later_message_gains_nothing() -> None:
    """The wrapper of the session's own first message: the same message is read, once."""
    ana, budi = _people()
    first = ana.send(budi, "first")
    assert budi.read(first) == "first"
    reply = budi.send(ana, "answer")
    wrapper = dict(wrapper_fields(first))
    # Around the responder's message it is no wrapper of theirs: they have never sent one.
    fields = wrapper | {WRAPPER["message"]: reply.ciphertext}
    for identity in (ana.device.identity_key, budi.device.identity_key):
        fields[WRAPPER["identity_key"]] = identity
        wrapped = rewrap(reply, sorted(fields.items(), key=lambda item: item[0]))
        assert_refused(ana, wrapped, AuthenticationFailed, EnvelopeMismatch)
    assert ana.read(reply) == "answer"
    later = ana.send(budi, "later")
    assert later.kind is MessageKind.SIGNAL
    fields = wrapper | {WRAPPER["message"]: later.ciphertext}
    wrapped = rewrap(later, sorted(fields.items(), key=lambda item: item[0]))
    for name in ("signed_pre_key_id", "pre_key_id"):
        assert_refused(budi, edit_wrapper(wrapped, **{name: 7}), EnvelopeMismatch)
    keys = len(budi.one_time_prekeys())
    assert budi.read(wrapped) == "later"
    assert len(budi.one_time_prekeys()) == keys
    assert_refused(budi, later, DuplicateMessage)
    assert_refused(budi, first, DuplicateMessage)


def test_a_wrapper_for_a_session_that_is_gone_gains_nothing() -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    stranger = Attacker()
    envelope = ana.send(budi, "genuine")
    forged = stranger.first_message(budi, ANA)
    around = edit_wrapper(forged, message=envelope.ciphertext)
    around = replace(around, message_id=envelope.message_id)
    assert_refused(budi, around, AuthenticationFailed)
    assert_refused(budi, edit_wrapper(around, pre_key_id=1), UnknownPrekey)
    assert budi.read(envelope) == "genuine"

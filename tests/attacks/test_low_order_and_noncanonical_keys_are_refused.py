# SPDX-License-Identifier: Apache-2.0
"""A public key of low order, in a second spelling, or of another length is refused everywhere.

The attacker: puts such keys into every key field of bundles, publications and messages, to force
a known shared secret, or two names for one key.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from e2ecross import Envelope, MessageKind, PreKeyBundle, PublishedKeys, Text
from e2ecross.errors import (
    DecodeError,
    E2ECrossError,
    InvalidArgument,
    InvalidKey,
    RecordCorrupted,
)
from e2ecross.relay import Relay
from e2ecross.state.publication import PUBLICATION_ROW
from e2ecross.stores import Table
from tests.attacks.support import (
    ANA,
    BUDI,
    Attacker,
    Person,
    assert_refused,
    edit_wrapper,
    inner_message,
    meet,
    person,
    with_ciphertext,
)
from tests.relay.support import fetch_bundle
from tests.support import protobuf
from tests.support.points import BAD_KEYS

KEYS = pytest.mark.parametrize("key", list(BAD_KEYS.values()), ids=list(BAD_KEYS))


@KEYS
@pytest.mark.parametrize("field", ["identity_key", "signed_prekey", "one_time_prekey"])
def test_in_a_bundle(field: str, key: bytes) -> None:
    ana, budi = person(ANA), person(BUDI)
    bundle = budi.bundle()
    bad = PreKeyBundle.decode(replace(bundle, **{field: key}).encode())  # type: ignore[arg-type]
    before = ana.dump()
    with pytest.raises(InvalidKey):
        ana.device.start_session(bad)
    assert ana.dump() == before
    ana.device.start_session(bundle)


@KEYS
@pytest.mark.parametrize("field", ["base_key", "identity_key"])
def test_in_the_wrapper_of_a_first_message(field: str, key: bytes) -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    for text in ("first", "repeated"):
        envelope = ana.send(budi, text)
        bad = edit_wrapper(envelope, **{field: key})
        assert_refused(budi, bad, InvalidKey)
        _assert_raw_refused(budi, bad)
        assert budi.read(envelope) == text


@KEYS
def test_in_the_message_inside_a_first_message(key: bytes) -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    envelope = ana.send(budi, "first")
    bad = edit_wrapper(envelope, message=_with_ratchet_key(inner_message(envelope), key))
    assert_refused(budi, bad, InvalidKey)
    _assert_raw_refused(budi, bad)
    assert budi.read(envelope) == "first"


@KEYS
def test_in_a_message_of_a_session(key: bytes) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    envelope = ana.send(budi, "normal")
    assert envelope.kind is MessageKind.SIGNAL
    bad = with_ciphertext(envelope, _with_ratchet_key(envelope.ciphertext, key))
    assert_refused(budi, bad, InvalidKey)
    _assert_raw_refused(budi, bad)
    assert budi.read(envelope) == "normal"


@KEYS
def test_as_an_identity_to_accept(key: bytes) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    before = ana.dump()
    with pytest.raises(InvalidArgument):
        ana.device.accept_identity(BUDI, key)
    assert ana.dump() == before


@KEYS
def test_as_an_identity_that_was_compared_or_is_to_be_rejected(key: bytes) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    _pending(ana)
    before = ana.dump()
    for decide in (ana.device.mark_verified, ana.device.reject_identity):
        with pytest.raises(InvalidArgument):
            decide(BUDI, key)
        assert ana.dump() == before


@KEYS
def test_in_a_scanned_safety_number(key: bytes) -> None:
    """It holds hashes and no keys: whatever is in their place is another's number, or none."""
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    number = ana.device.safety_number(BUDI)
    theirs = protobuf.fields(budi.device.safety_number(ANA).scannable)
    assert number.matches(protobuf.message(theirs))
    for place in (1, 2):
        changed = list(theirs)
        changed[place] = (changed[place][0], protobuf.message([(1, key[1:] or key)]))
        data = protobuf.message(changed)
        if len(key) == 33:
            assert not number.matches(data)
        else:
            with pytest.raises(DecodeError):
                number.matches(data)


@KEYS
@pytest.mark.parametrize("field", ["identity_key", "signed_prekey", "one_time_prekeys"])
def test_in_what_a_device_publishes_at_a_relay(field: str, key: bytes, tmp_path: Path) -> None:
    budi, token = person(BUDI), bytes(32)
    good = budi.published
    with Relay(tmp_path / "relay.db") as relay:
        relay.register(BUDI, token)
        relay.publish(token, good)
        with pytest.raises((InvalidKey, InvalidArgument)) as caught:
            relay.publish(token, _with_key(good, field, key))
        assert type(caught.value) is (InvalidKey if len(key) == 33 else InvalidArgument)
        assert relay.one_time_prekey_count(BUDI, token) == len(good.one_time_prekeys)
        bundle = fetch_bundle(relay, BUDI, token, BUDI)
        assert bundle.identity_key == good.identity_key
        assert bundle.signed_prekey == good.signed_prekey.public_key


@KEYS
@pytest.mark.parametrize("field", [1, 2], ids=["identity_key", "pending_key"])
def test_in_the_record_of_an_identity(field: int, key: bytes) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    _pending(ana)
    if not key and field == 2:
        return  # says that none waits
    _edit(ana, Table.REMOTE_IDENTITIES, [(field,)], key)
    _assert_damage_is_told(ana, budi)


@KEYS
@pytest.mark.parametrize(
    "path",
    [(2,), (3,), (5,), (8,), (12, 1)],
    ids=["local identity", "remote identity", "base key", "our ratchet key", "their ratchet key"],
)
def test_in_the_record_of_a_session(path: tuple[int, ...], key: bytes) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    ana.send(budi, "so that there is a key of ours")
    _edit(ana, Table.SESSIONS, [path], key)
    _assert_damage_is_told(ana, budi)


@KEYS
@pytest.mark.parametrize("field", [1, 2], ids=["current", "archived"])
def test_in_the_list_of_sessions(field: int, key: bytes) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    meet(ana, budi)
    if not key:
        return  # says that there is none
    _edit(ana, Table.SESSION_RECORDS, [(field,)], key)
    genuine = budi.send(ana, "genuine")
    before = ana.dump()
    with pytest.raises(RecordCorrupted):
        ana.device.decrypt(genuine)
    assert ana.dump() == before


@KEYS
def test_in_the_publication_that_a_device_keeps(key: bytes) -> None:
    ana = person(ANA)
    ana.device.publish(1)
    _edit(ana, Table.DEVICE, [(1, 4), (1, 5, 2), (1, 6, 2)], key, PUBLICATION_ROW)
    before = ana.dump()
    with pytest.raises(RecordCorrupted):
        ana.device.publish(1)
    assert ana.dump() == before


def _pending(ana: Person) -> None:
    """Let a key of somebody else's wait to be accepted as Budi's."""
    assert ana.device.decrypt(Attacker().first_message(ana, BUDI)).identity_changed


def _with_key(published: PublishedKeys, field: str, key: bytes) -> PublishedKeys:
    """The same publication with another key; it refuses a wrong length itself."""
    if field == "identity_key":
        return replace(published, identity_key=key)
    if field == "signed_prekey":
        return replace(published, signed_prekey=replace(published.signed_prekey, public_key=key))
    first, *others = published.one_time_prekeys
    return replace(published, one_time_prekeys=(replace(first, public_key=key), *others))


def _edit(
    whose: Person, table: Table, paths: list[tuple[int, ...]], key: bytes, only: bytes | None = None
) -> None:
    """Put a key into a field of every record of a table, or of one row."""
    with whose.store.transaction() as tx:
        for partition, row, record in list(tx.scan(table)):
            if only not in (None, row):
                continue
            body = record[1:]
            for path in paths:
                body = _put(body, path, key)
            assert body != record[1:]
            tx.put(table, partition, row, record[:1] + body)


def _put(body: bytes, path: tuple[int, ...], key: bytes) -> bytes:
    changed: list[protobuf.Field] = []
    for field, value in protobuf.fields(body):
        if field == path[0] and isinstance(value, bytes):
            value = key if len(path) == 1 else _put(value, path[1:], key)
            if value == b"" and len(path) == 1:
                continue  # as the one encoding has it
        changed.append((field, value))
    return protobuf.message(changed)


def _assert_damage_is_told(ana: Person, budi: Person) -> None:
    """Whatever works with the record says that the store is damaged, and changes nothing."""
    genuine = budi.send(ana, "genuine")
    before = ana.dump()
    for action in (
        lambda: ana.device.decrypt(genuine),
        lambda: ana.device.decrypt_raw(BUDI, genuine.kind, genuine.ciphertext),
        lambda: ana.device.encrypt(BUDI, Text("to whom?")),
    ):
        with pytest.raises(RecordCorrupted):
            action()
        assert ana.dump() == before


@KEYS
def test_in_a_publication(key: bytes) -> None:
    budi = person(BUDI)
    fields = protobuf.fields(budi.published.encode())
    for number, inside in ((4, None), (5, 2), (6, 2)):
        changed: list[protobuf.Field] = []
        for field, value in fields:
            if field == number and isinstance(value, bytes):
                if inside is None:
                    value = key
                else:
                    parts = [(n, key if n == inside else v) for n, v in protobuf.fields(value)]
                    value = protobuf.message([part for part in parts if part[1] != b""])
            if value != b"":
                changed.append((field, value))
        with pytest.raises((InvalidKey, DecodeError)) as caught:
            PublishedKeys.decode(protobuf.message(changed))
        assert isinstance(caught.value, E2ECrossError)


def _with_ratchet_key(message: bytes, key: bytes) -> bytes:
    fields = [(n, key if n == 1 else value) for n, value in protobuf.fields(message[1:-8])]
    return message[:1] + protobuf.message(fields) + message[-8:]


def _assert_raw_refused(budi: Person, envelope: Envelope) -> None:
    before = budi.dump()
    with pytest.raises(InvalidKey):
        budi.device.decrypt_raw(ANA, envelope.kind, envelope.ciphertext)
    assert budi.dump() == before

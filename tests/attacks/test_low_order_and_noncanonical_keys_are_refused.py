# SPDX-License-Identifier: Apache-2.0
"""A public key of low order, in a second spelling, or of another length is refused everywhere.

The attacker: puts such keys into every key field of bundles, publications and messages, to force
a known shared secret, or two names for one key.
"""

from dataclasses import replace

import pytest

from e2ecross import Envelope, MessageKind, PreKeyBundle, PublishedKeys
from e2ecross.errors import DecodeError, E2ECrossError, InvalidArgument, InvalidKey
from tests.attacks.support import (
    ANA,
    BUDI,
    Person,
    assert_refused,
    edit_wrapper,
    inner_message,
    meet,
    person,
    with_ciphertext,
)
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

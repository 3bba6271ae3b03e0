# SPDX-License-Identifier: Apache-2.0
"""A message that was altered on its way changes nothing, and the genuine copy still opens.

The attacker: a back end that changes any bit, byte or field of what it carries.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from e2ecross import Envelope, MessageKind
from e2ecross.crypto.kem import KEM_CIPHERTEXT_BYTES
from e2ecross.errors import (
    AuthenticationFailed,
    DecodeError,
    DuplicateMessage,
    EnvelopeMismatch,
    InvalidKey,
    MessageTooOld,
    RemoteError,
    TooManySkipped,
    UnknownPrekey,
    UnknownSession,
    UnsupportedVersion,
)
from tests.attacks.support import (
    ANA,
    BUDI,
    Person,
    assert_all_refused,
    assert_refused,
    edit_wrapper,
    flips,
    inner_message,
    meet,
    person,
    rewrap,
    signal_fields,
    with_ciphertext,
    wrapper_fields,
)
from tests.support import protobuf

INSIDE: tuple[type[RemoteError], ...] = (
    AuthenticationFailed,
    DecodeError,
    InvalidKey,
    TooManySkipped,
    UnsupportedVersion,
)
"""What an altered Signal message may be refused with. A flipped counter may name a message that
was read before (DuplicateMessage) or one of a closed chain (MessageTooOld)."""
AROUND: tuple[type[RemoteError], ...] = (*INSIDE, EnvelopeMismatch, UnknownPrekey)
"""The same for a prekey message."""
VERSIONS = pytest.mark.parametrize("kyber", [False, True], ids=["version 3", "version 4"])


def _people(*, one_time: bool = True, kyber: bool = False) -> tuple[Person, Person]:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, one_time=one_time, kyber=kyber)
    return ana, budi


def _flips(envelope: Envelope, *, kyber: bool) -> Iterator[bytes]:
    """Every bit changed; of a KEM ciphertext, which stands last, those of every seventh byte."""
    data = envelope.ciphertext
    end = len(data) - KEM_CIPHERTEXT_BYTES if kyber else len(data)
    for place, changed in flips(data):
        if place <= end or place % 7 == 0:
            yield changed


@VERSIONS
@pytest.mark.parametrize("one_time", [True, False], ids=["one-time prekey", "no one-time prekey"])
def test_every_bit_of_a_first_message(one_time: bool, kyber: bool) -> None:
    ana, budi = _people(one_time=one_time, kyber=kyber)
    envelope = ana.send(budi, "the price is 10")
    altered = (with_ciphertext(envelope, data) for data in _flips(envelope, kyber=kyber))
    assert_all_refused(budi, altered, *AROUND)
    assert budi.read(envelope) == "the price is 10"


@VERSIONS
def test_every_bit_of_a_message_on_a_known_chain(kyber: bool) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi, kyber=kyber)
    assert budi.read(ana.send(budi, "first of the chain")) == "first of the chain"
    envelope = ana.send(budi, "the price is 10")
    assert envelope.kind is MessageKind.SIGNAL
    altered = (with_ciphertext(envelope, data) for _, data in flips(envelope.ciphertext))
    assert_all_refused(budi, altered, *INSIDE, DuplicateMessage)
    assert budi.read(envelope) == "the price is 10"


@VERSIONS
def test_every_bit_of_a_message_that_turns_the_ratchet(kyber: bool) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi, kyber=kyber)
    envelope = ana.send(budi, "the price is 10")
    refused = (*INSIDE, DuplicateMessage) if kyber else INSIDE
    altered = (with_ciphertext(envelope, data) for _, data in flips(envelope.ciphertext))
    assert_all_refused(budi, altered, *refused)
    assert budi.read(envelope) == "the price is 10"


@VERSIONS
def test_every_bit_of_a_late_message_of_a_closed_chain(kyber: bool) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi, kyber=kyber)
    late = ana.send(budi, "the price is 10")
    assert budi.read(ana.send(budi, "second")) == "second"
    assert ana.read(budi.send(ana, "reply")) == "reply"
    assert budi.read(ana.send(budi, "third")) == "third"
    altered = (with_ciphertext(late, data) for _, data in flips(late.ciphertext))
    assert_all_refused(budi, altered, *INSIDE, DuplicateMessage, MessageTooOld)
    assert budi.read(late) == "the price is 10"


@VERSIONS
def test_every_bit_of_a_repeated_prekey_message(kyber: bool) -> None:
    """All of the wrapper as well: the session remembers that of the message that started it."""
    ana, budi = _people(kyber=kyber)
    assert budi.read(ana.send(budi, "first")) == "first"
    envelope = ana.send(budi, "the price is 10")
    assert envelope.kind is MessageKind.PREKEY
    altered = (with_ciphertext(envelope, data) for data in _flips(envelope, kyber=kyber))
    assert_all_refused(budi, altered, *AROUND, DuplicateMessage)
    kyber_id = ("kyber_pre_key_id",) if kyber else ()
    for name in ("pre_key_id", "signed_pre_key_id", *kyber_id):
        assert_refused(budi, edit_wrapper(envelope, **{name: 7}), EnvelopeMismatch)
    assert_refused(budi, edit_wrapper(envelope, pre_key_id=None), EnvelopeMismatch)
    assert budi.read(envelope) == "the price is 10"


def test_an_envelope_in_another_encoding() -> None:
    """The same fields and more, or in another order, are refused: there is one encoding."""
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    envelope = ana.send(budi, "the price is 10")
    data = envelope.encode()
    fields = protobuf.fields(data)
    address = fields[2][1]
    assert isinstance(address, bytes)
    longer = [(3, address + protobuf.message([(4, 1)])) if n == 3 else (n, v) for n, v in fields]
    for changed in (
        protobuf.message([*fields, (7, b"unknown")]),
        protobuf.message([(7, 0), *fields]),
        protobuf.message([*fields, fields[0]]),
        protobuf.message(list(reversed(fields))),
        protobuf.message(longer),
        data.replace(b"\x28\x02", b"\x28\x82\x00", 1),
    ):
        assert changed != data
        assert_refused(budi, changed, DecodeError)
    assert budi.device.decrypt(data).message_id == envelope.message_id


def test_every_bit_of_an_encoded_envelope() -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    envelope = ana.send(budi, "the price is 10")
    data = envelope.encode()
    assert_all_refused(budi, (changed for _, changed in flips(data)), *AROUND, UnknownSession)
    assert budi.device.decrypt(data).message_id == envelope.message_id


def test_every_bit_of_an_encoded_envelope_with_a_first_message() -> None:
    ana, budi = _people()
    data = ana.send(budi, "the price is 10").encode()
    assert_all_refused(budi, (changed for _, changed in flips(data)), *AROUND)
    budi.device.decrypt(data)


def test_bytes_before_between_and_behind() -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    envelope = ana.send(budi, "the price is 10")
    data = envelope.ciphertext
    longer = (
        with_ciphertext(envelope, data[:place] + added + data[place:])
        for place in range(len(data) + 1)
        for added in (b"\0", b"\x33", data[:1], bytes(8))
    )
    assert_all_refused(budi, longer, *INSIDE, DuplicateMessage)
    assert budi.read(envelope) == "the price is 10"


def test_unknown_repeated_and_reordered_fields_inside() -> None:
    """A parser that ignores them reads the same message: the MAC must cover the bytes."""
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    envelope = ana.send(budi, "the price is 10")
    fields, mac = signal_fields(envelope)
    for changed in (
        [*fields, (5, b"unknown")],
        [(99, 1), *fields],
        [*fields, fields[1]],
        list(reversed(fields)),
    ):
        data = b"\x33" + protobuf.message(changed) + mac
        assert_refused(budi, with_ciphertext(envelope, data), AuthenticationFailed)
    padded = envelope.ciphertext.replace(b"\x18\x00", b"\x18\x80\x00", 1)
    assert padded != envelope.ciphertext
    assert_refused(budi, with_ciphertext(envelope, padded), AuthenticationFailed)
    assert budi.read(envelope) == "the price is 10"


@pytest.mark.parametrize("first_byte", [0x30, 0x34, 0x3F])
def test_the_version_byte_inside_is_authenticated(first_byte: int) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    envelope = ana.send(budi, "the price is 10")
    changed = bytes((first_byte,)) + envelope.ciphertext[1:]
    assert_refused(budi, with_ciphertext(envelope, changed), AuthenticationFailed)
    assert budi.read(envelope) == "the price is 10"


def test_halves_of_two_messages() -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    one, two = ana.send(budi, "yes to one"), ana.send(budi, "yes to two")
    for head, tail in ((one, two), (two, one)):
        for cut in range(1, len(one.ciphertext)):
            mixed = head.ciphertext[:cut] + tail.ciphertext[cut:]
            if mixed not in (one.ciphertext, two.ciphertext):
                assert_refused(budi, with_ciphertext(head, mixed), *INSIDE)
    # Whole, but in the other's envelope.
    for outer, inside in ((one, two), (two, one)):
        assert_refused(budi, with_ciphertext(outer, inside.ciphertext), EnvelopeMismatch)
    assert (budi.read(two), budi.read(one)) == ("yes to two", "yes to one")


def test_parts_of_two_first_messages() -> None:
    """Two sessions to the same person: no wrapper opens with the other's message."""
    ana, budi = _people()
    one = ana.send(budi, "one")
    ana.start(budi)
    two = ana.send(budi, "two")
    for name in ("base_key", "message", "pre_key_id"):
        for outer, other in ((one, two), (two, one)):
            taken = dict(wrapper_fields(other))[
                {"base_key": 2, "message": 4, "pre_key_id": 1}[name]
            ]
            assert_refused(budi, edit_wrapper(outer, **{name: taken}), AuthenticationFailed)
    assert (budi.read(two), budi.read(one)) == ("two", "one")


def test_an_unwrapped_message_is_delivered_once_at_most() -> None:
    """The wrapper is not part of what is authenticated: without it the same message is read."""
    ana, budi = _people()
    first, second = ana.send(budi, "first"), ana.send(budi, "second")
    bare = replace(first, kind=MessageKind.SIGNAL, ciphertext=inner_message(first))
    assert_refused(budi, bare, UnknownSession)
    assert budi.read(first) == "first"
    assert_refused(budi, bare, DuplicateMessage)
    bare = replace(second, kind=MessageKind.SIGNAL, ciphertext=inner_message(second))
    assert budi.read(bare) == "second"
    assert_refused(budi, second, DuplicateMessage)


def test_the_kind_alone() -> None:
    ana, budi = _people()
    first = ana.send(budi, "first")
    assert_refused(budi, replace(first, kind=MessageKind.SIGNAL), *INSIDE)
    assert budi.read(first) == "first"
    reply = budi.send(ana, "reply")
    assert_refused(ana, replace(reply, kind=MessageKind.PREKEY), *INSIDE)
    assert ana.read(reply) == "reply"


def test_a_wrapper_around_a_message_that_had_none() -> None:
    """A stranger's base key around a message of the session: no session of it comes to be."""
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    first = ana.send(budi, "first")
    assert budi.read(first) == "first"
    assert ana.read(budi.send(ana, "reply")) == "reply"
    envelope = ana.send(budi, "the price is 10")
    fields = dict(wrapper_fields(first)) | {4: envelope.ciphertext}
    stranger = person(BUDI, installation="other").published
    fields[2] = stranger.signed_prekey.public_key
    wrapped: Envelope = rewrap(envelope, list(fields.items()))
    assert_refused(budi, wrapped, UnknownPrekey)
    fields[1] = budi.published.one_time_prekeys[5].id
    wrapped = rewrap(envelope, list(fields.items()))
    assert_refused(budi, wrapped, AuthenticationFailed)
    assert budi.read(envelope) == "the price is 10"

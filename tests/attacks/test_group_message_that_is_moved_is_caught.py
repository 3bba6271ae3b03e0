# SPDX-License-Identifier: Apache-2.0
"""A message of a group is read where its sender has put it, by the one it names, and nowhere else.

The attacker: the relay, which moves a message to another sender, message id or device; and a
member, who says something else in the payload than stands on the envelope, or uses the key of one
group in another.
"""

from dataclasses import replace

import pytest

from e2ecross.errors import (
    DecodeError,
    EnvelopeMismatch,
    InvalidSignature,
    UnknownSenderKey,
    UnsupportedVersion,
)
from e2ecross.wire.envelope import MessageKind
from tests.attacks.support_members import assert_refused, gather_members, shown
from tests.support.devices import ANA, BUDI, MESSAGE_ID, TOKO
from tests.support.group_speaker import Speaker, found_group


def test_each_field_of_the_envelope() -> None:
    world, group = gather_members()
    ana, toko = Speaker(world, group, ANA), Speaker(world, group, TOKO)
    ana.give(BUDI, TOKO)
    toko.give(BUDI)
    envelope = ana.write(BUDI)
    assert_refused(world, BUDI, replace(envelope, sender=TOKO), UnknownSenderKey)
    assert_refused(world, BUDI, replace(envelope, sender=BUDI), EnvelopeMismatch)
    assert_refused(world, TOKO, envelope, EnvelopeMismatch)
    assert_refused(world, BUDI, replace(envelope, message_id=MESSAGE_ID), EnvelopeMismatch)
    for at in (-1, -70, 20):
        data = bytearray(envelope.ciphertext)
        data[at] ^= 1
        changed = replace(envelope, ciphertext=bytes(data))
        assert_refused(world, BUDI, changed, InvalidSignature, UnknownSenderKey)
    # To another member it may be delivered: it is the same ciphertext for all of them.
    assert shown(world, TOKO, replace(envelope, recipient=TOKO)) == ["halo"]
    assert shown(world, BUDI, envelope) == ["halo"]


@pytest.mark.parametrize("kind", [MessageKind.SIGNAL, MessageKind.PREKEY])
def test_another_kind_of_envelope(kind: MessageKind) -> None:
    world, group = gather_members()
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    envelope = replace(ana.write(BUDI), kind=kind)
    assert_refused(world, BUDI, envelope, DecodeError, UnsupportedVersion)


def test_each_field_of_the_payload() -> None:
    world, group = gather_members()
    other = found_group(world, ANA, BUDI)
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    for envelope in (
        ana.write(BUDI, inner_sender=TOKO),
        ana.write(BUDI, inner_id=MESSAGE_ID),
        ana.write(BUDI, group=other),
        ana.write(BUDI, group=other, heads=world.state(other, ANA).heads),
    ):
        assert_refused(world, BUDI, envelope, EnvelopeMismatch)
    assert not shown(world, BUDI)

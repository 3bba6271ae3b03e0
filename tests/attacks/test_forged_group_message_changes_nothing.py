# SPDX-License-Identifier: Apache-2.0
"""A group message that was changed, cut, or made by another member changes nothing.

The attacker: sees every message to the group, may flip any bit and cut anything; or is a member,
who has the sender's chain key, and not the key that signs.
"""

import pytest

from e2ecross import SenderKeyGroup
from e2ecross.crypto.cipher import cbc_encrypt
from e2ecross.crypto.kdf import ChainKey, derive_message_key, derive_sender_message_keys
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.errors import (
    AuthenticationFailed,
    DecodeError,
    EnvelopeMismatch,
    InvalidKey,
    InvalidSignature,
    TooManySkipped,
    UnknownSenderKey,
    UnsupportedVersion,
)
from e2ecross.state.sender_keys import find_own_sender_key
from e2ecross.wire.sender_key_message import decode_distribution
from tests.attacks.support import ANA, flips
from tests.attacks.support_groups import GROUPS, KEY_ID, UUID, assert_group_refused, gather
from tests.support.entropy import SeededEntropy
from tests.support.sender_keys import signed_message

REFUSALS = (DecodeError, EnvelopeMismatch, InvalidSignature, UnknownSenderKey, UnsupportedVersion)


@GROUPS
def test_every_flipped_bit_is_refused_and_the_genuine_message_is_read(
    group: SenderKeyGroup,
) -> None:
    ana, budi, _ = gather(group)
    skipped = ana.device.encrypt_group_raw(group, b"skipped")
    budi.device.decrypt_group_raw(ANA, group, ana.device.encrypt_group_raw(group, b"first"))
    genuine = ana.device.encrypt_group_raw(group, b"genuine")
    for data, plaintext in ((genuine, b"genuine"), (skipped, b"skipped")):
        for _, changed in flips(data):
            assert_group_refused(budi, group, changed, *REFUSALS)
        assert budi.device.decrypt_group_raw(ANA, group, data) == plaintext


@GROUPS
def test_every_part_of_a_message_is_refused(group: SenderKeyGroup) -> None:
    ana, budi, _ = gather(group)
    genuine = ana.device.encrypt_group_raw(group, b"genuine")
    for length in range(len(genuine)):
        assert_group_refused(budi, group, genuine[:length], *REFUSALS)
    assert_group_refused(budi, group, genuine + b"\0", *REFUSALS)
    assert budi.device.decrypt_group_raw(ANA, group, genuine) == b"genuine"


@GROUPS
def test_a_member_who_has_the_chain_key_cannot_write_in_the_senders_name(
    group: SenderKeyGroup,
) -> None:
    ana, budi, _ = gather(group)
    known = decode_distribution(group.form, ana.device.distribution_raw(group))
    keys = derive_sender_message_keys(derive_message_key(ChainKey(known.chain_key)))
    ciphertext = cbc_encrypt(keys.cipher_key, keys.iv, b"send me money")
    mallory = generate_key_pair(SeededEntropy("mallory"))
    for iteration in (known.iteration, known.iteration + 25_000):
        forged = signed_message(mallory, group, known.chain_id, iteration, ciphertext)
        assert_group_refused(budi, group, forged, InvalidSignature)
    genuine = ana.device.encrypt_group_raw(group, b"genuine")
    assert budi.device.decrypt_group_raw(ANA, group, genuine) == b"genuine"


@GROUPS
def test_a_hostile_sender_who_may_sign_changes_nothing_with_what_is_no_message(
    group: SenderKeyGroup,
) -> None:
    """Refused after the signature, and the sender's next genuine message is read all the same."""
    ana, budi, _ = gather(group)
    with ana.store.transaction() as tx:
        key = find_own_sender_key(tx, group.place)
    assert key is not None
    pair = key.chain.ratchet_key_pair
    for iteration, ciphertext, error in (
        (0, bytes(16), AuthenticationFailed),
        (25_000, bytes(16), AuthenticationFailed),
        (25_001, bytes(16), TooManySkipped),
        (2**32 - 1, bytes(16), TooManySkipped),
        (0, b"", DecodeError),
        (0, bytes(17), DecodeError),
    ):
        data = signed_message(pair, group, key.chain_id, iteration, ciphertext)
        assert_group_refused(budi, group, data, error)
    genuine = ana.device.encrypt_group_raw(group, b"genuine")
    assert budi.device.decrypt_group_raw(ANA, group, genuine) == b"genuine"


@pytest.mark.parametrize("place", ["group", "sender"])
def test_a_message_in_another_group_or_another_name_is_refused(place: str) -> None:
    ana, budi, toko = gather(KEY_ID)
    data = ana.device.encrypt_group_raw(KEY_ID, b"genuine")
    if place == "sender":
        assert_group_refused(budi, KEY_ID, data, UnknownSenderKey, sender=toko.address)
    else:
        other = SenderKeyGroup.key_id(b"another group")
        budi.device.process_distribution_raw(ANA, other, ana.device.new_sender_key_raw(other))
        assert_group_refused(budi, other, data, UnknownSenderKey)
        assert_group_refused(budi, UUID, data, DecodeError)


@GROUPS
def test_a_distribution_with_a_key_that_nobody_honest_has_changes_nothing(
    group: SenderKeyGroup,
) -> None:
    ana, budi, _ = gather(group)
    genuine = ana.device.distribution_raw(group)
    for bad, error in (
        (genuine[:-32] + bytes(32), InvalidKey),
        (genuine[:-1] + b"\xff", InvalidKey),
        (genuine[:-33] + b"\x08" + genuine[-32:], InvalidKey),
        (genuine[:-1], DecodeError),
        (b"\x43" + genuine[1:], UnsupportedVersion),
    ):
        deliver = budi.device.process_distribution_raw
        assert_group_refused(budi, group, bad, error, deliver=deliver)

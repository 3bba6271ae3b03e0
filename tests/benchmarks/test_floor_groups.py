# SPDX-License-Identifier: Apache-2.0
"""The floor of sender keys computes what the library computes."""

from os import urandom

import pytest
from nacl.exceptions import BadSignatureError

from benchmarks import floor, floor_groups
from e2ecross.crypto.edwards import edwards_y
from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from e2ecross.crypto.keys import decode_public_key
from e2ecross.crypto.xeddsa import SigningKey, verify_signature
from e2ecross.protocol.sender_key import (
    OwnSenderKey,
    add_distribution,
    distribute,
    generate_sender_key,
    group_decrypt,
    group_encrypt,
)
from e2ecross.wire.sender_key_message import (
    SenderKeyForm,
    decode_sender_key_message,
    encode_distribution,
)

ID = urandom(16)
SIZES = (0, 1, 15, 16, 17, 100, 4096)


def signing_key_of(key: OwnSenderKey) -> SigningKey:
    pair = key.chain.ratchet_key_pair
    assert isinstance(pair, SigningKey)
    return pair


@pytest.mark.parametrize("size", SIZES)
def test_a_message_of_the_floor_is_read(size: int) -> None:
    own, plaintext = generate_sender_key(SYSTEM_ENTROPY), urandom(size)
    (state,) = add_distribution((), distribute(own, ID))
    seed, _ = floor.chain_keys(own.chain.chain_key)
    key = floor_groups.ready(signing_key_of(own).private)
    made = floor_groups.encrypt(seed, key, ID, (own.chain_id, 0), plaintext)
    assert group_decrypt(state, decode_sender_key_message(SenderKeyForm.UUID, made))[1] == plaintext
    _, ours = group_encrypt(own, ID, plaintext, SYSTEM_ENTROPY)
    assert ours[:-64] == made[:-64]


@pytest.mark.parametrize("size", SIZES)
def test_the_floor_reads_a_message(size: int) -> None:
    own, plaintext = generate_sender_key(SYSTEM_ENTROPY), urandom(size)
    _, message = group_encrypt(own, ID, plaintext, SYSTEM_ENTROPY)
    seed, _ = floor.chain_keys(own.chain.chain_key)
    assert floor_groups.decrypt(seed, signing_key_of(own).point, message) == plaintext
    forged = message[:-64] + bytes((message[-64] ^ 1,)) + message[-63:]
    with pytest.raises(BadSignatureError):
        floor_groups.decrypt(seed, signing_key_of(own).point, forged)


def test_signatures_of_the_floor_verify() -> None:
    private, encoded = floor.key_pair()
    public = decode_public_key(encoded)
    key, message = floor_groups.ready(private), urandom(100)
    signature = floor_groups.sign(key, message)
    verify_signature(public, message, signature)
    floor_groups.verify(key.point, message, signature)
    assert int.from_bytes(key.point, "little") & (1 << 255) - 1 == edwards_y(public)


def test_what_is_taken_in_is_the_key() -> None:
    own = generate_sender_key(SYSTEM_ENTROPY)
    taken = floor_groups.take_in(encode_distribution(distribute(own, ID)))
    assert taken == (own.chain.chain_key, signing_key_of(own).public)

# SPDX-License-Identifier: Apache-2.0
"""Sender keys: one encryption for a whole group, under a key that its members were given.

Rules:
- Immutable: a transition returns a new state; a failure returns nothing and so changes nothing.
- A key is a chain, as those of a session are, and a pair that signs: a message key is the seed of
  one message. There is no MAC: the signature authenticates, and it is checked before the chain is
  walked along.
- A state is never wound back: a distribution message of a key that is held changes nothing of it,
  or what has been read could be replayed.
- Nothing here says who the sender is. Whoever holds a state by a device's address has it from the
  pairwise session with that device.

Source: docs/wire-format.md, sender keys.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from e2ecross.crypto.cipher import BLOCK_BYTES, cbc_decrypt, cbc_encrypt
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.kdf import KEY_BYTES, ChainKey, derive_sender_message_keys
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.crypto.secret import SecretTuple, new_tuple, without_frames
from e2ecross.crypto.xeddsa import make_signing_key, sign, verify_signature
from e2ecross.errors import DecodeError, RemoteError, SessionExhausted, TooManySkipped
from e2ecross.protocol.message_chain import (
    ReceivingChain,
    SendingChain,
    find_message_key,
    next_sending_key,
    use_message_key,
)
from e2ecross.protocol.skipped_keys import NO_SKIPPED_KEYS
from e2ecross.wire.limits import MAX_FORWARD_JUMP, MAX_SENDER_KEY_STATES, MAX_UINT32
from e2ecross.wire.sender_key_message import (
    Distribution,
    SenderKeyMessage,
    encode_sender_key_message_body,
)

__all__ = [
    "OwnSenderKey",
    "SenderKeyState",
    "add_distribution",
    "distribute",
    "find_state",
    "generate_sender_key",
    "group_decrypt",
    "group_encrypt",
]

_CHAIN_ID_BYTES: Final = 4


class _OwnSenderKeyFields(NamedTuple):
    chain_id: int
    chain: SendingChain


class OwnSenderKey(SecretTuple, _OwnSenderKeyFields):
    """What we send to one group with.

    Attributes:
        chain_id: names the key, 0 to 2^31-1.
        chain: chain key and next iteration; its key pair, a `SigningKey`, does nothing but sign.
    """

    __slots__ = ()


class _SenderKeyStateFields(NamedTuple):
    chain_id: int
    chain: ReceivingChain


class SenderKeyState(SecretTuple, _SenderKeyStateFields):
    """What another device sends to one group with.

    Attributes:
        chain_id: names the key, 0 to 2^32-1.
        chain: chain key, next iteration, and the seeds of messages before that one which have not
            arrived; its ratchet key is the one that messages are signed with.
    """

    __slots__ = ()


def generate_sender_key(entropy: EntropySource) -> OwnSenderKey:
    """Draw a new key (4, 32 and 32 bytes of entropy, in this order).

    Source: docs/wire-format.md, sender keys.
    """
    chain_id = int.from_bytes(entropy.bytes(_CHAIN_ID_BYTES)) >> 1
    chain_key = ChainKey(entropy.bytes(KEY_BYTES))
    signing_key = make_signing_key(generate_key_pair(entropy))
    return OwnSenderKey(chain_id, SendingChain(signing_key, chain_key, 0))


def distribute(key: OwnSenderKey, distribution_id: bytes | None) -> Distribution:
    """Return what whoever gets it reads this key's messages with, from the next one on.

    The distribution id has 16 bytes; there is none in the form that has a chain id alone.
    """
    chain = key.chain
    return Distribution(
        distribution_id,
        key.chain_id,
        chain.message_number,
        chain.chain_key,
        chain.ratchet_key_pair.public,
    )


def group_encrypt(
    key: OwnSenderKey,
    distribution_id: bytes | None,
    plaintext: bytes,
    entropy: EntropySource,
    iterations: int = MAX_UINT32,
) -> tuple[OwnSenderKey, bytes]:
    """Encrypt and sign one message for a group (draws 64 bytes of entropy).

    Args:
        key: as it is before the message.
        distribution_id: 16 bytes, or None; see `distribute`.
        plaintext: any length.
        entropy: for the signature.
        iterations: how many messages the key may send, at most 2^32-1.

    Returns:
        The key as it is after the message, and the message.

    Raises:
        SessionExhausted: the key has sent that many.

    Source: docs/wire-format.md, sender keys.
    """
    number = key.chain.message_number
    if number >= iterations:
        raise SessionExhausted("the sender key has no message numbers left: make a new one")
    chain, seed = next_sending_key(key.chain)
    keys = derive_sender_message_keys(seed)
    ciphertext = cbc_encrypt(keys.cipher_key, keys.iv, plaintext)
    body = encode_sender_key_message_body(distribution_id, key.chain_id, number, ciphertext)
    signature = sign(chain.ratchet_key_pair, body, entropy)
    return new_tuple(OwnSenderKey, (key.chain_id, chain)), body + signature


def find_state(states: Sequence[SenderKeyState], chain_id: int) -> SenderKeyState | None:
    """Return the state with that chain id, or None; each chain id is there once."""
    for state in states:
        if state.chain_id == chain_id:
            return state
    return None


def add_distribution(
    states: Sequence[SenderKeyState], distribution: Distribution
) -> tuple[SenderKeyState, ...]:
    """Return the states of one device in one group, newest first, after a distribution message.

    A key that is held stays as it is and becomes the newest; one of the same chain id that signs
    with another key is replaced. Of more than five the oldest goes.

    Source: docs/wire-format.md, sender keys.
    """
    held = find_state(states, distribution.chain_id)
    if held is not None and held.chain.ratchet_key == distribution.signing_key:
        newest = held
    else:
        fields = (distribution.signing_key, distribution.chain_key, distribution.iteration)
        chain = new_tuple(ReceivingChain, (*fields, NO_SKIPPED_KEYS, False))
        newest = new_tuple(SenderKeyState, (distribution.chain_id, chain))
    others = [state for state in states if state is not held]
    return (newest, *others[: MAX_SENDER_KEY_STATES - 1])


def group_decrypt(
    state: SenderKeyState, message: SenderKeyMessage, iterations: int = MAX_UINT32
) -> tuple[SenderKeyState, bytes]:
    """Authenticate and decrypt one message of a group.

    Args:
        state: the one with the message's chain id.
        message: as decoded; not authenticated yet.
        iterations: how many messages the key may send, at most 2^32-1: one that has sent them all
            has no successor.

    Returns:
        The state as it is after the message, and the plaintext.

    Raises:
        InvalidSignature: it is not signed with the state's key.
        DecodeError: the ciphertext is no positive multiple of 16 bytes.
        TooManySkipped: more than 25,000 ahead, or above the key's last.
        DuplicateMessage: it was read before, or its seed was dropped as one of too many.
        AuthenticationFailed: the padding is wrong.

    Source: docs/wire-format.md, sender keys.
    """
    chain = state.chain
    verify_signature(chain.ratchet_key, message.signed, message.signature)
    if not message.ciphertext or len(message.ciphertext) % BLOCK_BYTES:
        raise DecodeError("the ciphertext of a sender-key message is no positive multiple of 16")
    if message.iteration >= iterations:
        raise TooManySkipped(f"message {message.iteration} is above the last of its sender key")
    try:
        found = find_message_key(chain, message.iteration, MAX_FORWARD_JUMP)
        keys = derive_sender_message_keys(found.message_key)
        plaintext = cbc_decrypt(keys.cipher_key, keys.iv, message.ciphertext)
    except RemoteError as error:  # of a member who may sign: it leaves the frames with the keys
        raise without_frames(error)  # noqa: B904 - the error itself, without a cause
    return new_tuple(SenderKeyState, (state.chain_id, use_message_key(chain, found))), plaintext

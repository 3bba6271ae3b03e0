# SPDX-License-Identifier: Apache-2.0
"""Sending and receiving chains: one message key for each message number.

Rules:
- Immutable: a transition returns a new chain. Nothing here authenticates a message, so what these
  functions return is only kept after its MAC has been verified.
- The cost of a jump ahead is bounded by the caller's limit, the keys stored for it by
  `MAX_SKIPPED_KEYS_PER_CHAIN`.
- A finished receiving chain is closed: the keys of messages known to be missing are stored, and
  the chain key, from which all others could be derived, is erased.

Source: Double Ratchet (revision 1, 2016-11-20) sections 2.2, 2.6 and 3.5.
"""

from dataclasses import dataclass

from e2ecross.crypto.kdf import ChainKey, MessageKey, derive_message_key, derive_next_chain_key
from e2ecross.crypto.keys import KeyPair, PublicKey
from e2ecross.crypto.secret import Secret
from e2ecross.errors import DuplicateMessage, MessageTooOld, SessionExhausted, TooManySkipped
from e2ecross.protocol.skipped_keys import SkippedKeys
from e2ecross.wire.limits import MAX_CLOSING_GAP, MAX_SKIPPED_KEYS_PER_CHAIN, MAX_UINT32

__all__ = [
    "ReceivingChain",
    "SendingChain",
    "close_receiving_chain",
    "next_sending_key",
    "take_message_key",
]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SendingChain(Secret):
    """Our half of the ratchet (DHs, CKs, Ns).

    Attributes:
        ratchet_key_pair: our current ratchet key pair.
        chain_key: 32 bytes, secret.
        message_number: the number of the next message, from 0.
    """

    ratchet_key_pair: KeyPair
    chain_key: ChainKey
    message_number: int


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class ReceivingChain(Secret):
    """A chain of the peer (DHr, CKr, Nr, and its part of MKSKIPPED).

    Attributes:
        ratchet_key: the peer's ratchet key that the chain belongs to, 33 bytes.
        chain_key: 32 bytes, secret; None once the chain is closed.
        message_number: the number of the next message expected, from 0.
        skipped: keys of messages before that one which have not arrived.
    """

    ratchet_key: PublicKey
    chain_key: ChainKey | None
    message_number: int
    skipped: SkippedKeys


def next_sending_key(chain: SendingChain) -> tuple[SendingChain, MessageKey]:
    """Advance a sending chain by one message.

    Returns:
        The advanced chain, and the key of message number `chain.message_number`.

    Raises:
        SessionExhausted: the chain has used its 2^32-1 numbers.

    Source: Double Ratchet section 3.4 (RatchetEncrypt).
    """
    if chain.message_number >= MAX_UINT32:
        raise SessionExhausted("the session has no message numbers left: start a new one")
    advanced = SendingChain(
        chain.ratchet_key_pair, derive_next_chain_key(chain.chain_key), chain.message_number + 1
    )
    return advanced, derive_message_key(chain.chain_key)


def take_message_key(
    chain: ReceivingChain, number: int, max_forward_jump: int
) -> tuple[ReceivingChain, MessageKey]:
    """Find the key of a message, and the chain as it is once that message has been read.

    Args:
        chain: the chain that the message says it belongs to.
        number: the message's number in it.
        max_forward_jump: how many messages may be skipped.

    Raises:
        DuplicateMessage: the key has been used (or dropped as one of too many).
        MessageTooOld: the chain was closed before this number.
        TooManySkipped: more messages would be skipped than allowed.

    Source: Double Ratchet section 3.5 (TrySkippedMessageKeys, SkipMessageKeys).
    """
    if number < chain.message_number:
        stored = chain.skipped.get(number)
        if stored is None:
            raise DuplicateMessage(f"message {number} of its chain was received before")
        rest = chain.skipped.without(number)
        return _with(chain, chain.chain_key, chain.message_number, rest), stored
    if chain.chain_key is None:
        raise MessageTooOld(f"message {number} belongs to a chain that has been closed")
    jump = number - chain.message_number
    if jump > max_forward_jump:
        raise TooManySkipped(
            f"a message skips {jump} others, more than the {max_forward_jump} allowed",
            got=jump,
            allowed=max_forward_jump,
        )
    chain_key, skipped = _skip(chain.chain_key, chain.message_number, number, chain.skipped)
    advanced = _with(chain, derive_next_chain_key(chain_key), number + 1, skipped)
    return advanced, derive_message_key(chain_key)


def close_receiving_chain(chain: ReceivingChain, previous_counter: int | None) -> ReceivingChain:
    """Close a chain that the peer has finished, given the last number it used there.

    Deployed peers announce max(n-1, 0) for n messages, others n: then one key too many is stored,
    which is harmless. A chain of which more than 2,000 messages are missing stays open.

    Args:
        chain: our newest receiving chain; the peer is now on a newer one.
        previous_counter: from an authenticated message of the newer one; None if absent.

    Source: Double Ratchet section 3.5 (SkipMessageKeys(header.pn)), with deployed numbering.
    """
    if chain.chain_key is None or previous_counter is None:
        return chain
    end = max(previous_counter + 1, chain.message_number)
    if end - chain.message_number > MAX_CLOSING_GAP:
        return chain
    _, skipped = _skip(chain.chain_key, chain.message_number, end, chain.skipped)
    return _with(chain, None, end, skipped)


def _skip(
    chain_key: ChainKey, start: int, end: int, skipped: SkippedKeys
) -> tuple[ChainKey, SkippedKeys]:
    """Advance from `start` to `end`, storing the keys between; only the newest are worth it."""
    first_stored = max(start, end - MAX_SKIPPED_KEYS_PER_CHAIN)
    for _ in range(start, first_stored):
        chain_key = derive_next_chain_key(chain_key)
    keys = []
    for _ in range(first_stored, end):
        keys.append(derive_message_key(chain_key))
        chain_key = derive_next_chain_key(chain_key)
    return chain_key, skipped.with_keys(first_stored, keys).newest(MAX_SKIPPED_KEYS_PER_CHAIN)


def _with(
    chain: ReceivingChain, chain_key: ChainKey | None, message_number: int, skipped: SkippedKeys
) -> ReceivingChain:
    return ReceivingChain(chain.ratchet_key, chain_key, message_number, skipped)

# SPDX-License-Identifier: Apache-2.0
"""Sending and receiving chains: one message key for each message number.

Rules:
- Immutable: a transition returns a new chain. Finding a message's key and using it up are two
  steps, and between them the message is authenticated.
- The cost of a jump ahead is bounded by the caller's limit, the keys stored for it by
  `MAX_SKIPPED_KEYS_PER_CHAIN`.
- A finished receiving chain is closed: the keys of messages known to be missing are stored, and
  the chain key, from which all others could be derived, is erased.

Source: Double Ratchet (revision 1, 2016-11-20) sections 2.2, 2.6 and 3.5.
"""

from collections.abc import Sequence
from typing import NamedTuple

from e2ecross.crypto.kdf import (
    ChainKey,
    MessageKey,
    derive_message_and_chain_key,
    derive_message_key,
    derive_next_chain_key,
)
from e2ecross.crypto.keys import KeyPair, PublicKey
from e2ecross.crypto.secret import SecretTuple, new_tuple
from e2ecross.errors import (
    DuplicateMessage,
    MessageTooOld,
    SessionExhausted,
    TooManySkipped,
)
from e2ecross.protocol.skipped_keys import SkippedKeys
from e2ecross.wire.limits import MAX_CLOSING_GAP, MAX_SKIPPED_KEYS_PER_CHAIN, MAX_UINT32

__all__ = [
    "FoundKey",
    "ReceivingChain",
    "SendingChain",
    "StoppedSending",
    "close_receiving_chain",
    "find_message_key",
    "next_sending_key",
    "use_message_key",
]


class _SendingChainFields(NamedTuple):
    ratchet_key_pair: KeyPair
    chain_key: ChainKey
    message_number: int


class SendingChain(SecretTuple, _SendingChainFields):
    """Our half of the ratchet (DHs, CKs, Ns).

    Attributes:
        ratchet_key_pair: our current ratchet key pair.
        chain_key: 32 bytes, secret.
        message_number: the number of the next message, from 0.
    """

    __slots__ = ()


class _StoppedSendingFields(NamedTuple):
    ratchet_key_pair: KeyPair | None


class StoppedSending(SecretTuple, _StoppedSendingFields):
    """What is left of our half where nothing is sent any more.

    Attributes:
        ratchet_key_pair: the last one, which the peer may still answer; None once it has.
    """

    __slots__ = ()


class _ReceivingChainFields(NamedTuple):
    ratchet_key: PublicKey
    chain_key: ChainKey | None
    message_number: int
    skipped: SkippedKeys
    may_have_no_pq_key: bool = False


class ReceivingChain(SecretTuple, _ReceivingChainFields):
    """A chain of the peer (DHr, CKr, Nr, and its part of MKSKIPPED).

    Attributes:
        ratchet_key: the peer's ratchet key that the chain belongs to, 33 bytes.
        chain_key: 32 bytes, secret; None once the chain is closed.
        message_number: the number of the next message expected, from 0.
        skipped: keys of messages before that one which have not arrived.
        may_have_no_pq_key: it is the initiator's first, at the responder: some older peers write
            there without a key of the post-quantum ratchet.
    """

    __slots__ = ()


class _FoundKeyFields(NamedTuple):
    number: int
    message_key: MessageKey
    next_chain_key: ChainKey | None = None
    skipped_chain_keys: Sequence[ChainKey] = ()


class FoundKey(SecretTuple, _FoundKeyFields):
    """The key of a message that is not authenticated yet.

    Attributes:
        number: the message's number in its chain.
        message_key: 32 bytes, secret.
        next_chain_key: of the place after it, 32 bytes, secret; None when the key was a stored one.
            Both keys of a place share the pads of their HMACs, so that it is made at once though
            a forged message does not need it: that takes 0.3 us off a genuine one.
        skipped_chain_keys: of the places before it that were walked over. Their message keys are
            derived only once the message is authenticated: a forged one costs half as much.
    """

    __slots__ = ()


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
    message_key, chain_key = derive_message_and_chain_key(chain.chain_key)
    fields = (chain.ratchet_key_pair, chain_key, chain.message_number + 1)
    return new_tuple(SendingChain, fields), message_key


def find_message_key(chain: ReceivingChain, number: int, max_forward_jump: int) -> FoundKey:
    """Find the key of a message that says it belongs to this chain.

    Args:
        chain: the chain; not changed by this.
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
        return FoundKey(number, stored)
    if chain.chain_key is None:
        raise MessageTooOld(f"message {number} belongs to a chain that has been closed")
    jump = number - chain.message_number
    if not jump:
        return new_tuple(FoundKey, (number, *derive_message_and_chain_key(chain.chain_key), ()))
    if jump > max_forward_jump:
        raise TooManySkipped(
            f"a message skips {jump} others, more than the {max_forward_jump} allowed",
            got=jump,
            allowed=max_forward_jump,
        )
    chain_keys = _walk(chain.chain_key, jump)
    return FoundKey(number, *derive_message_and_chain_key(chain_keys[-1]), chain_keys[:-1])


def use_message_key(chain: ReceivingChain, found: FoundKey) -> ReceivingChain:
    """Return the chain as it is once the message has been read: its key is gone.

    Args:
        chain: the one in which the key was found.
        found: the key, whose message has been authenticated.

    Source: Double Ratchet section 3.5 (TrySkippedMessageKeys, SkipMessageKeys).
    """
    if found.next_chain_key is None:
        rest = chain.skipped.without(found.number)
        return _with(chain, chain.chain_key, chain.message_number, rest)
    skipped = chain.skipped
    if found.skipped_chain_keys:
        skipped = _store(skipped, found.number, found.skipped_chain_keys)
    return _with(chain, found.next_chain_key, found.number + 1, skipped)


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
    gap = previous_counter + 1 - chain.message_number
    if gap <= 0:
        return _with(chain, None, chain.message_number, chain.skipped)
    if gap > MAX_CLOSING_GAP:
        return chain
    end = previous_counter + 1
    chain_keys = _walk(chain.chain_key, gap)
    return _with(chain, None, end, _store(chain.skipped, end, chain_keys[:-1]))


def _walk(chain_key: ChainKey, steps: int) -> Sequence[ChainKey]:
    """Return the chain keys on the way and at its end; of a long way only the last 2,001."""
    for _ in range(steps - MAX_SKIPPED_KEYS_PER_CHAIN):
        chain_key = derive_next_chain_key(chain_key)
    chain_keys = [chain_key]
    for _ in range(min(steps, MAX_SKIPPED_KEYS_PER_CHAIN)):
        chain_key = derive_next_chain_key(chain_key)
        chain_keys.append(chain_key)
    return chain_keys


def _store(skipped: SkippedKeys, end: int, chain_keys: Sequence[ChainKey]) -> SkippedKeys:
    """Store the message keys of these places, the last of which is the one before `end`."""
    keys = [derive_message_key(chain_key) for chain_key in chain_keys]
    return skipped.with_keys(end - len(keys), keys).newest(MAX_SKIPPED_KEYS_PER_CHAIN)


def _with(
    chain: ReceivingChain, chain_key: ChainKey | None, message_number: int, skipped: SkippedKeys
) -> ReceivingChain:
    fields = (chain.ratchet_key, chain_key, message_number, skipped, chain.may_have_no_pq_key)
    return new_tuple(ReceivingChain, fields)

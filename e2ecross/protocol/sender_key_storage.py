# SPDX-License-Identifier: Apache-2.0
"""Sender keys as records: `OwnSenderKey` and `SenderKeyState` to and from what the store keeps.

Rules:
- A key read back is checked as if it came from outside; damage is `RecordCorrupted`.
- Seeds are kept apart, in buckets. A state is read without them, and the bucket that a message
  needs is given to it.

Source: docs/wire-format.md, records at rest.
"""

from collections.abc import Mapping

from e2ecross.crypto.kdf import ChainKey, MessageKey
from e2ecross.crypto.keys import decode_public_key, key_pair_from_private
from e2ecross.crypto.secret import new_tuple
from e2ecross.crypto.xeddsa import make_signing_key
from e2ecross.errors import InvalidKey, RecordCorrupted
from e2ecross.protocol.message_chain import ReceivingChain, SendingChain
from e2ecross.protocol.sender_key import OwnSenderKey, SenderKeyState
from e2ecross.protocol.skipped_keys import NO_SKIPPED_KEYS, SkippedKeys
from e2ecross.wire.sender_key_records import KeyOrigin, OwnSenderKeyRecord, SenderKeyRecord

__all__ = [
    "find_seed_bucket",
    "own_sender_key_from_record",
    "own_sender_key_to_record",
    "sender_key_from_record",
    "sender_key_to_record",
    "with_seeds",
    "without_seeds",
]


def own_sender_key_to_record(key: OwnSenderKey) -> OwnSenderKeyRecord:
    """Return what is stored of an own sender key."""
    chain = key.chain
    private = chain.ratchet_key_pair.private
    return OwnSenderKeyRecord(key.chain_id, chain.message_number, chain.chain_key, private)


def own_sender_key_from_record(stored: OwnSenderKeyRecord) -> OwnSenderKey:
    """Make an own sender key of what was stored."""
    signing_key = make_signing_key(key_pair_from_private(stored.signing_private_key))
    chain = SendingChain(signing_key, ChainKey(stored.chain_key), stored.iteration)
    return OwnSenderKey(stored.chain_id, chain)


def sender_key_to_record(
    state: SenderKeyState, number: int, origin: KeyOrigin | None = None, judged: bytes = b""
) -> SenderKeyRecord:
    """Return what is stored of a state, without its seeds, under its number."""
    chain = state.chain
    chain_key = chain.chain_key or b""  # which is never so: no message closes it
    fields = (chain.message_number, chain_key, chain.ratchet_key, len(chain.skipped), number)
    return new_tuple(SenderKeyRecord, (*fields, origin, judged))


def sender_key_from_record(chain_id: int, stored: SenderKeyRecord) -> SenderKeyState:
    """Make a state of what was stored, without its seeds.

    Raises:
        RecordCorrupted: a value is impossible.
    """
    try:
        signing_key = decode_public_key(stored.signing_key)
    except InvalidKey as error:
        raise RecordCorrupted(
            "a sender key holds an impossible key: the store is damaged"
        ) from error
    seeds = SkippedKeys({}, stored.seeds) if stored.seeds else NO_SKIPPED_KEYS
    fields = (signing_key, ChainKey(stored.chain_key), stored.iteration, seeds, False)
    return new_tuple(SenderKeyState, (chain_id, new_tuple(ReceivingChain, fields)))


def find_seed_bucket(state: SenderKeyState, iteration: int) -> int | None:
    """Tell which bucket of seeds has to be at hand for reading a message, or None.

    That is the one with the message's own seed, or the one that seeds of skipped messages are
    added to.
    """
    chain = state.chain
    if not len(chain.skipped):
        return None
    return SkippedKeys.bucket_of(min(iteration, chain.message_number))


def with_seeds(
    state: SenderKeyState, buckets: Mapping[int, Mapping[int, MessageKey]]
) -> SenderKeyState:
    """Return the state with these buckets of seeds at hand."""
    return _with(state, SkippedKeys(buckets, len(state.chain.skipped)))


def without_seeds(state: SenderKeyState) -> SenderKeyState:
    """Return the state without any seed: what it skipped is not read any more."""
    return _with(state, NO_SKIPPED_KEYS)


def _with(state: SenderKeyState, seeds: SkippedKeys) -> SenderKeyState:
    chain = state.chain
    fields = (chain.ratchet_key, chain.chain_key, chain.message_number, seeds)
    return SenderKeyState(state.chain_id, ReceivingChain(*fields))

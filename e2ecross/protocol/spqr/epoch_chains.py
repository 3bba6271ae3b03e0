# SPDX-License-Identifier: Apache-2.0
"""The symmetric part of SPQR: in each epoch one chain of keys for either direction.

Rules:
- Immutable: a transition returns new chains. Finding a message's key and using it up are two
  steps, and between them the message is authenticated.
- The cost of a jump ahead is bounded by the caller's limit, the keys stored for it by
  `MAX_SKIPPED_KEYS_PER_CHAIN`.
- When we send in a new epoch, the epoch before the last is dropped, and of the last one the link
  key of our own direction. So a message that is late by more than one change of epoch is lost.

Source: docs/wire-format.md, post-quantum ratchet.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from e2ecross.crypto.secret import SecretTuple, new_tuple
from e2ecross.crypto.spqr_kdf import (
    AuthKey,
    ChainRoot,
    EpochSecret,
    LinkKey,
    SpqrKey,
    derive_epoch_chains,
    derive_first_chains,
    derive_link,
    derive_next_link,
)
from e2ecross.errors import (
    DuplicateMessage,
    MessageTooOld,
    SessionExhausted,
    TooManySkipped,
)
from e2ecross.protocol.skipped_keys import NO_SKIPPED_KEYS, SkippedKeys
from e2ecross.wire.limits import MAX_SKIPPED_KEYS_PER_CHAIN, MAX_UINT32

__all__ = [
    "EpochChain",
    "EpochChains",
    "FoundLink",
    "Link",
    "add_epoch",
    "count_skipped",
    "count_steps",
    "drop_skipped",
    "find_needed_bucket",
    "find_received_key",
    "next_sending_key",
    "start_chains",
    "use_received_key",
]

_ERASED: Final = LinkKey(b"")


class _LinkFields(NamedTuple):
    counter: int
    key: LinkKey


class Link(SecretTuple, _LinkFields):
    """How far a chain has come.

    Attributes:
        counter: index of the last key, from 1; 0 before the first.
        key: for the next one, 32 bytes, secret; empty once nothing is sent with it any more.
    """

    __slots__ = ()


class _EpochChainFields(NamedTuple):
    epoch: int
    sending: Link
    receiving: Link
    skipped: SkippedKeys


class EpochChain(SecretTuple, _EpochChainFields):
    """The two chains of one epoch.

    Attributes:
        epoch: from 0.
        sending: ours.
        receiving: the peer's; always with its key.
        skipped: keys of the peer's messages that have not arrived.
    """

    __slots__ = ()


class _EpochChainsFields(NamedTuple):
    root: ChainRoot
    sending_epoch: int
    epochs: tuple[EpochChain, ...]


class EpochChains(SecretTuple, _EpochChainsFields):
    """All chains.

    Attributes:
        root: for the next epoch, 32 bytes, secret.
        sending_epoch: the newest epoch that we have sent in.
        epochs: consecutive, oldest first; three at most.
    """

    __slots__ = ()


class _FoundLinkFields(NamedTuple):
    epoch: int
    key_index: int
    key: SpqrKey
    links: Sequence[LinkKey]
    next_link: LinkKey | None


class FoundLink(SecretTuple, _FoundLinkFields):
    """The key of a message that is not authenticated yet.

    Attributes:
        epoch: of its chain.
        key_index: its number there.
        key: 32 bytes, secret.
        links: the link keys before the message keys that were stepped over, of which the last
            2,000; message keys are derived from them once the message is authenticated.
        next_link: the link key behind it; None when the key was a stored one.
    """

    __slots__ = ()


def start_chains(auth_key: AuthKey, *, is_initiator: bool) -> EpochChains:
    """Begin epoch 0 with what PQXDH has agreed on, 32 bytes, secret."""
    root, initiator, responder = derive_first_chains(auth_key)
    return EpochChains(root, 0, (_new_epoch(0, initiator, responder, is_initiator),))


def add_epoch(chains: EpochChains, secret: EpochSecret, *, is_initiator: bool) -> EpochChains:
    """Begin the next epoch with its secret, 32 bytes."""
    root, initiator, responder = derive_epoch_chains(chains.root, secret)
    epoch = chains.epochs[-1].epoch + 1
    fresh = _new_epoch(epoch, initiator, responder, is_initiator)
    return EpochChains(root, chains.sending_epoch, (*chains.epochs, fresh))


def next_sending_key(chains: EpochChains, epoch: int) -> tuple[EpochChains, int, SpqrKey]:
    """Advance our chain of an epoch, not older than the one that we sent in last.

    Returns:
        The advanced chains, the index of the key, and the key, 32 bytes, secret.

    Raises:
        SessionExhausted: the chain has used its 2^32-1 numbers.
    """
    if epoch != chains.sending_epoch:
        chains = _send_in(chains, epoch)
    chain = _find_epoch(chains, epoch)
    sending = chain.sending
    if sending.counter >= MAX_UINT32:
        raise SessionExhausted("the session has no message numbers left: start a new one")
    index = sending.counter + 1
    link_key, key = derive_link(sending.key, index)
    link = new_tuple(Link, (index, link_key))
    advanced = new_tuple(EpochChain, (epoch, link, chain.receiving, chain.skipped))
    return _replace(chains, advanced), index, key


def find_received_key(
    chains: EpochChains, epoch: int, index: int, max_forward_jump: int
) -> FoundLink:
    """Find the key of a message.

    Args:
        chains: not changed by this.
        epoch: of the chain, not newer than our newest.
        index: of the key there, from 1.
        max_forward_jump: how many keys further than the last one used it may be.

    Raises:
        DuplicateMessage: the key has been used (or dropped as one of too many).
        MessageTooOld: the chain has been dropped, or has come too far.
        TooManySkipped: the key is too far ahead.
    """
    if epoch < chains.epochs[0].epoch:
        raise MessageTooOld("the message belongs to an epoch whose keys have been dropped")
    chain = _find_epoch(chains, epoch)
    last, link_key = chain.receiving.counter, chain.receiving.key
    if index <= last:
        return _find_skipped(chain, index)
    jump = index - last
    if jump > max_forward_jump:
        raise TooManySkipped(
            f"a message uses key {jump} from the last, more than the {max_forward_jump} allowed",
            got=jump,
            allowed=max_forward_jump,
        )
    first_kept = index - MAX_SKIPPED_KEYS_PER_CHAIN
    links = []
    for passed in range(last + 1, index):
        if passed >= first_kept:
            links.append(link_key)
        link_key = derive_next_link(link_key, passed)
    link_key, key = derive_link(link_key, index)
    return new_tuple(FoundLink, (epoch, index, key, links, link_key))


def use_received_key(chains: EpochChains, found: FoundLink) -> EpochChains:
    """Return the chains as they are once the message has been read: its key is gone.

    Args:
        chains: those in which the key was found, or the same with a newer epoch.
        found: the key, whose message has been authenticated.
    """
    chain = _find_epoch(chains, found.epoch)
    if found.next_link is None:
        receiving, skipped = chain.receiving, chain.skipped.without(found.key_index)
    else:
        receiving = new_tuple(Link, (found.key_index, found.next_link))
        skipped = chain.skipped
        if found.links:
            skipped = _store(skipped, found)
    advanced = new_tuple(EpochChain, (chain.epoch, chain.sending, receiving, skipped))
    return _replace(chains, advanced)


def find_needed_bucket(chains: EpochChains, epoch: int, key_index: int) -> int | None:
    """Tell which bucket of stored keys has to be at hand to find a key and to use it up.

    That is at most one: the one with the key itself, or the one that keys which are stepped over
    are added to.

    Returns:
        Its number among those of the epoch, or None.
    """
    if not chains.epochs[0].epoch <= epoch <= chains.epochs[-1].epoch:
        return None
    chain = _find_epoch(chains, epoch)
    if not len(chain.skipped):
        return None
    return SkippedKeys.bucket_of(min(key_index, chain.receiving.counter + 1))


def count_steps(chains: EpochChains, epoch: int, key_index: int) -> int:
    """How many steps it takes to that key of the peer's in an epoch; 0 if it is behind us."""
    for chain in chains.epochs:
        if chain.epoch == epoch:
            return max(key_index - chain.receiving.counter, 0)
    return 0


def count_skipped(chains: EpochChains) -> int:
    """How many keys are stored for messages that have not arrived."""
    return sum([len(chain.skipped) for chain in chains.epochs])


def drop_skipped(chains: EpochChains, count: int) -> EpochChains:
    """Return the chains without that many stored keys, or all: those of the oldest epoch first."""
    epochs = []
    for chain in chains.epochs:
        dropped = min(count, len(chain.skipped))
        count -= dropped
        skipped = chain.skipped.newest(len(chain.skipped) - dropped)
        epochs.append(EpochChain(chain.epoch, chain.sending, chain.receiving, skipped))
    return EpochChains(chains.root, chains.sending_epoch, tuple(epochs))


def _find_skipped(chain: EpochChain, index: int) -> FoundLink:
    if index + MAX_SKIPPED_KEYS_PER_CHAIN < chain.receiving.counter:
        raise MessageTooOld(f"key {index} of the message's chain has been dropped")
    stored = chain.skipped.get(index)
    if stored is None:
        raise DuplicateMessage(f"key {index} of the message's chain was used before")
    return FoundLink(chain.epoch, index, SpqrKey(stored), (), None)


def _store(skipped: SkippedKeys, found: FoundLink) -> SkippedKeys:
    """Store the keys that were stepped over; of all that are stored the newest stay."""
    first = found.key_index - len(found.links)
    keys = [derive_link(link_key, first + i)[1] for i, link_key in enumerate(found.links)]
    return skipped.with_keys(first, keys).newest(MAX_SKIPPED_KEYS_PER_CHAIN)


def _send_in(chains: EpochChains, epoch: int) -> EpochChains:
    """Begin to send in a newer epoch, and drop what is too old for it."""
    epochs = tuple(
        chain
        if chain.epoch >= epoch
        else EpochChain(
            chain.epoch, Link(chain.sending.counter, _ERASED), chain.receiving, chain.skipped
        )
        for chain in chains.epochs
        if chain.epoch >= epoch - 1
    )
    return EpochChains(chains.root, epoch, epochs)


def _find_epoch(chains: EpochChains, epoch: int) -> EpochChain:
    return chains.epochs[epoch - chains.epochs[0].epoch]


def _replace(chains: EpochChains, chain: EpochChain) -> EpochChains:
    epochs = chains.epochs
    place = chain.epoch - epochs[0].epoch
    replaced = (*epochs[:place], chain, *epochs[place + 1 :])
    return new_tuple(EpochChains, (chains.root, chains.sending_epoch, replaced))


def _new_epoch(
    epoch: int, initiator: LinkKey, responder: LinkKey, is_initiator: bool
) -> EpochChain:
    ours, theirs = (initiator, responder) if is_initiator else (responder, initiator)
    return EpochChain(epoch, Link(0, ours), Link(0, theirs), NO_SKIPPED_KEYS)

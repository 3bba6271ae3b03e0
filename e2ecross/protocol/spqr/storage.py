# SPDX-License-Identifier: Apache-2.0
"""The SPQR ratchet as records: `SpqrState` to and from what the store keeps.

Rules:
- What changes with every message is small (`spqr_to_record`). The rest is written again only when
  it is another object than before: the material when `state.machine.held` is, a row of chunks when
  its bucket in `state.machine.received.buckets` is, a row of skipped keys when its bucket in
  `skipped.buckets` of a chain is.
- What is read back is checked as if it came from outside; damage is `RecordCorrupted`.

Source: docs/wire-format.md, records at rest.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from e2ecross.crypto.kdf import MessageKey
from e2ecross.crypto.spqr_kdf import AuthenticatorKey, ChainRoot, LinkKey
from e2ecross.errors import RecordCorrupted
from e2ecross.protocol.skipped_keys import NO_SKIPPED_KEYS, SkippedKeys
from e2ecross.protocol.spqr.authenticator import Authenticator
from e2ecross.protocol.spqr.epoch_chains import EpochChain, EpochChains, Link
from e2ecross.protocol.spqr.erasure import BUCKET_SIZE, CHUNK_COUNT, ReceivedChunks
from e2ecross.protocol.spqr.machine import CONTENTS, Held, Machine, Stage
from e2ecross.protocol.spqr.state import Negotiation, SpqrState
from e2ecross.wire.spqr_records import StoredSpqr, StoredSpqrChain, StoredSpqrMaterial

__all__ = [
    "SpqrBuckets",
    "spqr_from_record",
    "spqr_material_to_record",
    "spqr_to_record",
    "with_all_spqr_buckets",
    "with_spqr_buckets",
    "without_spqr_buckets",
]

SpqrBuckets = Mapping[int, Mapping[int, Mapping[int, MessageKey]]]
"""Epoch to bucket number to index to key: what rows of skipped keys hold."""

# Stages in which the chains of the machine's own epoch have begun.
_WITH_OWN_EPOCH: Final = frozenset(
    {
        Stage.CT1_SAMPLED,
        Stage.EK_RECEIVED_CT1_SAMPLED,
        Stage.CT1_ACKNOWLEDGED,
        Stage.CT2_SAMPLED,
    }
)


def spqr_to_record(state: SpqrState) -> StoredSpqr:
    """Return what is stored of the ratchet with every message."""
    machine, chains = state.machine, state.chains
    return StoredSpqr(
        is_initiator=state.is_initiator,
        negotiation=state.negotiation,
        sending_epoch=chains.sending_epoch,
        first_epoch=chains.epochs[0].epoch,
        chains=tuple(
            StoredSpqrChain(
                chain.sending.counter,
                chain.sending.key,
                chain.receiving.counter,
                chain.receiving.key,
                len(chain.skipped),
            )
            for chain in chains.epochs
        ),
        stage=machine.stage,
        epoch=machine.epoch,
        next_chunk=machine.next_chunk,
        received_chunks=len(machine.received),
    )


def spqr_material_to_record(state: SpqrState) -> StoredSpqrMaterial:
    """Return what is stored of the ratchet when the machine's stage has changed."""
    held = state.machine.held
    return StoredSpqrMaterial(
        chain_root=state.chains.root,
        authenticator_root=held.auth.root,
        authenticator_mac_key=held.auth.mac_key,
        seed=held.seed,
        header=held.header,
        m=held.m,
        ciphertext=held.ciphertext,
        vector=held.vector,
        outgoing=held.outgoing,
    )


def spqr_from_record(
    stored: StoredSpqr, material: StoredSpqrMaterial, chunks: Sequence[Mapping[int, bytes]]
) -> SpqrState:
    """Make the ratchet of what was stored, without its skipped keys.

    Args:
        stored: the decoded record.
        material: the decoded record.
        chunks: what the rows of received chunks hold, in the order of their numbers.

    Raises:
        RecordCorrupted: a value is impossible, or the records do not fit each other.
    """
    try:
        stage, negotiation = Stage(stored.stage), Negotiation(stored.negotiation)
    except ValueError as error:
        raise RecordCorrupted("an SPQR record has no known stage: the store is damaged") from error
    _check(
        stored.epoch >= 1
        and stored.next_chunk < CHUNK_COUNT
        and _epochs_fit(stored, stage)
        and _material_fits(material, stage)
    )
    epochs = tuple(
        EpochChain(
            epoch,
            Link(chain.sent, LinkKey(chain.sending_key)),
            Link(chain.received, LinkKey(chain.receiving_key)),
            SkippedKeys({}, chain.skipped_count) if chain.skipped_count else NO_SKIPPED_KEYS,
        )
        for epoch, chain in enumerate(stored.chains, stored.first_epoch)
    )
    auth = Authenticator(
        AuthenticatorKey(material.authenticator_root),
        AuthenticatorKey(material.authenticator_mac_key),
    )
    held = Held(
        auth,
        material.seed,
        material.header,
        material.m,
        material.ciphertext,
        material.vector,
        material.outgoing,
    )
    received = _chunks_from_rows(chunks)
    _check(len(received) == stored.received_chunks and _is_awaited(len(received), stage))
    return SpqrState(
        stored.is_initiator,
        negotiation,
        EpochChains(ChainRoot(material.chain_root), stored.sending_epoch, epochs),
        Machine(stage, stored.epoch, held, stored.next_chunk, received),
    )


def with_spqr_buckets(state: SpqrState, buckets: SpqrBuckets) -> SpqrState:
    """Return the state with stored keys at hand."""
    chains = state.chains
    epochs = tuple(_with_buckets(chain, buckets.get(chain.epoch)) for chain in chains.epochs)
    return SpqrState(
        state.is_initiator,
        state.negotiation,
        EpochChains(chains.root, chains.sending_epoch, epochs),
        state.machine,
    )


def without_spqr_buckets(state: SpqrState) -> SpqrState:
    """Return the state with none of its stored keys at hand."""
    chains = state.chains
    for chain in chains.epochs:
        if chain.skipped.buckets or chain.skipped.forgotten:
            break
    else:
        return state
    epochs = tuple(
        EpochChain(chain.epoch, chain.sending, chain.receiving, chain.skipped.left_in_store())
        for chain in chains.epochs
    )
    return SpqrState(
        state.is_initiator,
        state.negotiation,
        EpochChains(chains.root, chains.sending_epoch, epochs),
        state.machine,
    )


def with_all_spqr_buckets(state: SpqrState, buckets: SpqrBuckets) -> SpqrState:
    """The same, where these are all of them.

    Raises:
        RecordCorrupted: they are not as many as the state says.
    """
    for chain in state.chains.epochs:
        found = buckets.get(chain.epoch, {})
        _check(sum(map(len, found.values())) == len(chain.skipped))
    return with_spqr_buckets(state, buckets)


def _with_buckets(
    chain: EpochChain, buckets: Mapping[int, Mapping[int, MessageKey]] | None
) -> EpochChain:
    if not buckets:
        return chain
    skipped = SkippedKeys(buckets, len(chain.skipped))
    return EpochChain(chain.epoch, chain.sending, chain.receiving, skipped)


def _check(fits: bool) -> None:
    if not fits:
        raise RecordCorrupted("an SPQR record contradicts itself: the store is damaged")


def _epochs_fit(stored: StoredSpqr, stage: Stage) -> bool:
    """Tell whether the chains are those that there are in this stage of the epoch."""
    newest = stored.first_epoch + len(stored.chains) - 1
    sending = stored.sending_epoch
    return (
        newest == stored.epoch - (stage not in _WITH_OWN_EPOCH)
        and stored.first_epoch == max(sending - 1, 0)
        and max(stored.epoch - 2, 0) <= sending < stored.epoch
        and all(
            (epoch >= sending) == bool(chain.sending_key)
            for epoch, chain in enumerate(stored.chains, stored.first_epoch)
        )
    )


def _material_fits(material: StoredSpqrMaterial, stage: Stage) -> bool:
    lengths = (
        len(material.seed),
        len(material.header),
        len(material.m),
        len(material.ciphertext),
        len(material.vector),
        len(material.outgoing),
    )
    return lengths == CONTENTS[stage][: len(lengths)]


def _is_awaited(count: int, stage: Stage) -> bool:
    """Tell whether so many chunks can wait for others in this stage."""
    return count == 0 or count < CONTENTS[stage].awaited_chunks


def _chunks_from_rows(rows: Sequence[Mapping[int, bytes]]) -> ReceivedChunks:
    """Put the rows together; all but the last must be full, and no index occur twice."""
    indices = {index for row in rows for index in row}
    _check(
        all(len(row) == BUCKET_SIZE for row in rows[:-1]) and len(indices) == sum(map(len, rows))
    )
    return ReceivedChunks(tuple(rows))

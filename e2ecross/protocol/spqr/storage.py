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

__all__ = ["spqr_from_record", "spqr_material_to_record", "spqr_to_record"]

_Buckets = Mapping[int, Mapping[int, bytes]]

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
    stored: StoredSpqr,
    material: StoredSpqrMaterial,
    chunks: Sequence[Mapping[int, bytes]],
    skipped: Mapping[int, _Buckets],
) -> SpqrState:
    """Make the ratchet of what was stored.

    Args:
        stored: the decoded record.
        material: the decoded record.
        chunks: what the rows of received chunks hold, in the order of their numbers.
        skipped: what the rows of skipped keys hold: epoch to bucket number to index to key.

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
        _chain_from_record(epoch, chain, skipped.get(epoch, {}))
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


def _chain_from_record(epoch: int, stored: StoredSpqrChain, buckets: _Buckets) -> EpochChain:
    skipped = NO_SKIPPED_KEYS
    if buckets:
        skipped = SkippedKeys(
            {
                number: {index: MessageKey(key) for index, key in bucket.items()}
                for number, bucket in buckets.items()
            }
        )
    _check(len(skipped) == stored.skipped_count)
    return EpochChain(
        epoch,
        Link(stored.sent, LinkKey(stored.sending_key)),
        Link(stored.received, LinkKey(stored.receiving_key)),
        skipped,
    )

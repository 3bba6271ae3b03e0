# SPDX-License-Identifier: Apache-2.0
"""Records of the SPQR ratchet: what changes with every message, what changes rarely, and chunks.

Skipped keys of its chains are records of `session_records.encode_skipped_keys`. Values hold secrets
as plain bytes; they do not show them. Encoding: `record_encoding.py`.

Source: docs/wire-format.md, records at rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from e2ecross.crypto.secret import Secret, SecretTuple
from e2ecross.errors import RecordCorrupted
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.record_encoding import check_lengths, decode_record, encode_record
from e2ecross.wire.spqr_message import SPQR_CHUNK_BYTES

__all__ = [
    "StoredSpqr",
    "StoredSpqrChain",
    "StoredSpqrMaterial",
    "decode_chunks",
    "encode_chunks",
]

_KEY_BYTES: Final = 32
_MAX_CHAINS: Final = 3  # epochs that are alive at once
_MAX_CHUNKS: Final = 8  # in one row
_CHUNK_COUNT: Final = 65_536


class _StoredSpqrChainFields(NamedTuple):
    sent: int
    sending_key: bytes
    received: int
    receiving_key: bytes
    skipped_count: int


class StoredSpqrChain(SecretTuple, _StoredSpqrChainFields):
    """The chains of one epoch; their skipped keys stand in rows of their own.

    Attributes:
        sent: index of the last key that we have sent with.
        sending_key: 32 bytes, secret, or empty.
        received: index of the last key that we have received with.
        receiving_key: 32 bytes, secret.
        skipped_count: how many skipped keys are stored.
    """

    __slots__ = ()


class _StoredSpqrFields(NamedTuple):
    is_initiator: bool
    negotiation: int
    sending_epoch: int
    first_epoch: int
    chains: tuple[StoredSpqrChain, ...]
    stage: int
    epoch: int
    next_chunk: int
    received_chunks: int


class StoredSpqr(SecretTuple, _StoredSpqrFields):
    """What changes with every message; see `protocol.spqr.state.SpqrState`.

    Attributes:
        is_initiator: whether we started the session.
        negotiation: 1 to 3.
        sending_epoch: the newest epoch that we have sent in.
        first_epoch: of the chains.
        chains: of consecutive epochs, up to three.
        stage: of the machine, 1 to 11.
        epoch: of the machine.
        next_chunk: index of the next chunk to be sent.
        received_chunks: how many are stored.
    """

    __slots__ = ()

    def encode(self) -> bytes:
        """Return the record's bytes."""
        fields = storage_pb2.Spqr(
            is_initiator=self.is_initiator,
            negotiation=self.negotiation,
            sending_epoch=self.sending_epoch,
            first_epoch=self.first_epoch,
            stage=self.stage,
            epoch=self.epoch,
            next_chunk=self.next_chunk,
            received_chunks=self.received_chunks,
        )
        for chain in self.chains:
            fields.chains.add(
                sent=chain.sent,
                sending_key=chain.sending_key,
                received=chain.received,
                receiving_key=chain.receiving_key,
                skipped_count=chain.skipped_count,
            )
        return encode_record(fields)

    @classmethod
    def decode(cls, data: bytes) -> "StoredSpqr":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "an SPQR record"
        fields = decode_record(storage_pb2.Spqr, data, what)
        chains = tuple(
            StoredSpqrChain(
                chain.sent,
                chain.sending_key,
                chain.received,
                chain.receiving_key,
                chain.skipped_count,
            )
            for chain in fields.chains
        )
        if not 1 <= len(chains) <= _MAX_CHAINS:
            raise RecordCorrupted(f"{what} has {len(chains)} chains: the store is damaged")
        check_lengths(
            what,
            *((chain.receiving_key, _KEY_BYTES) for chain in chains),
            *((chain.sending_key, _KEY_BYTES) for chain in chains if chain.sending_key),
        )
        return cls(
            is_initiator=fields.is_initiator,
            negotiation=fields.negotiation,
            sending_epoch=fields.sending_epoch,
            first_epoch=fields.first_epoch,
            chains=chains,
            stage=fields.stage,
            epoch=fields.epoch,
            next_chunk=fields.next_chunk,
            received_chunks=fields.received_chunks,
        )


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class StoredSpqrMaterial(Secret):
    """What changes with the machine's stage only; empty what the stage has not.

    Attributes:
        chain_root: 32 bytes, secret.
        authenticator_root: 32 bytes, secret.
        authenticator_mac_key: 32 bytes, secret.
        seed: of our KEM key, 64 bytes, secret.
        header: of the peer's KEM key, 64 bytes.
        m: the message that we encapsulate, 32 bytes, secret.
        ciphertext: its first part, 960 bytes.
        vector: of the peer's KEM key, 1152 bytes.
        outgoing: what is sent in chunks.
    """

    chain_root: bytes
    authenticator_root: bytes
    authenticator_mac_key: bytes
    seed: bytes
    header: bytes
    m: bytes
    ciphertext: bytes
    vector: bytes
    outgoing: bytes

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.SpqrMaterial(
                chain_root=self.chain_root,
                authenticator_root=self.authenticator_root,
                authenticator_mac_key=self.authenticator_mac_key,
                seed=self.seed,
                header=self.header,
                m=self.m,
                ciphertext=self.ciphertext,
                vector=self.vector,
                outgoing=self.outgoing,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "StoredSpqrMaterial":
        """Read the record. Which parts there must be, the stage says (`protocol.spqr.storage`).

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "an SPQR material record"
        fields = decode_record(storage_pb2.SpqrMaterial, data, what)
        check_lengths(
            what,
            (fields.chain_root, _KEY_BYTES),
            (fields.authenticator_root, _KEY_BYTES),
            (fields.authenticator_mac_key, _KEY_BYTES),
        )
        return cls(
            chain_root=fields.chain_root,
            authenticator_root=fields.authenticator_root,
            authenticator_mac_key=fields.authenticator_mac_key,
            seed=fields.seed,
            header=fields.header,
            m=fields.m,
            ciphertext=fields.ciphertext,
            vector=fields.vector,
            outgoing=fields.outgoing,
        )


def encode_chunks(chunks: Mapping[int, bytes]) -> bytes:
    """Return the record of a bucket of received chunks (32 bytes each), in their order."""
    return encode_record(
        storage_pb2.SpqrChunks(indices=chunks.keys(), chunks=b"".join(chunks.values()))
    )


def decode_chunks(data: bytes) -> dict[int, bytes]:
    """Return index and chunk (32 bytes) of a bucket.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    what = "an SPQR chunks record"
    fields = decode_record(storage_pb2.SpqrChunks, data, what)
    chunks = fields.chunks
    check_lengths(what, (chunks, len(fields.indices) * SPQR_CHUNK_BYTES))
    found = {
        index: chunks[i * SPQR_CHUNK_BYTES : (i + 1) * SPQR_CHUNK_BYTES]
        for i, index in enumerate(fields.indices)
    }
    is_whole = len(found) == len(fields.indices) and 1 <= len(found) <= _MAX_CHUNKS
    if not is_whole or max(found) >= _CHUNK_COUNT:
        raise RecordCorrupted(f"{what} contradicts itself: the store is damaged")
    return found

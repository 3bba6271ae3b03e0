# SPDX-License-Identifier: Apache-2.0
"""Records of sessions: which there are with an address, each session, its skipped message keys.

Values hold secrets as plain bytes; they do not show them. Encoding: `record_encoding.py`.

Source: docs/wire-format.md, records at rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from e2ecross.crypto.kdf import MessageKey
from e2ecross.crypto.keys import PRIVATE_KEY_BYTES, PUBLIC_KEY_BYTES
from e2ecross.crypto.secret import SecretTuple
from e2ecross.errors import RecordCorrupted, StoreTooNew
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.limits import MAX_ARCHIVED_SESSIONS, MAX_RECEIVING_CHAINS
from e2ecross.wire.record_encoding import check_lengths, decode_record, encode_record
from e2ecross.wire.spqr_records import StoredSpqr

__all__ = [
    "SessionListRecord",
    "StoredChain",
    "StoredPending",
    "StoredSession",
    "StoredUsedPrekeys",
    "decode_skipped_keys",
    "encode_skipped_keys",
]

_OLDEST_VERSION: Final = 3
_NEWEST_VERSION: Final = 4
_SYMMETRIC_KEY_BYTES: Final = 32
_KEM_CIPHERTEXT_HASH_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class SessionListRecord:
    """Which sessions there are with an address; each has a row of its own.

    Attributes:
        current: base key of the session that is sent with, 33 bytes, or None.
        archived: base keys, newest first.
        held: base key of the session that the stay rule holds back, or None.
        held_count: how many messages that one has read.
    """

    current: bytes | None
    archived: tuple[bytes, ...]
    held: bytes | None
    held_count: int

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.SessionRecord(
                current=self.current or b"",
                archived=self.archived,
                held=self.held or b"",
                held_count=self.held_count,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "SessionListRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "a session list"
        fields = decode_record(storage_pb2.SessionRecord, data, what)
        archived = tuple(fields.archived)
        optional = [key for key in (fields.current, fields.held) if key]
        check_lengths(what, *((key, PUBLIC_KEY_BYTES) for key in (*archived, *optional)))
        if len(archived) > MAX_ARCHIVED_SESSIONS or (fields.held and fields.held not in archived):
            raise RecordCorrupted(f"{what} contradicts itself: the store is damaged")
        return cls(fields.current or None, archived, fields.held or None, fields.held_count)


class _StoredChainFields(NamedTuple):
    ratchet_key: bytes
    chain_key: bytes | None
    message_number: int
    skipped_count: int
    may_have_no_pq_key: bool = False


class StoredChain(SecretTuple, _StoredChainFields):
    """A receiving chain; its skipped message keys stand in rows of their own.

    Attributes:
        ratchet_key: 33 bytes.
        chain_key: 32 bytes, secret, or None when closed.
        message_number: the next one expected.
        skipped_count: how many skipped message keys are stored.
        may_have_no_pq_key: see `protocol.message_chain.ReceivingChain`.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class StoredPending:
    """What a prekey message repeats; see `protocol.session.PendingPrekey`."""

    one_time_prekey_id: int | None
    signed_prekey_id: int
    created_at_ms: int
    kyber_prekey_id: int | None = None


@dataclass(frozen=True, slots=True)
class StoredUsedPrekeys:
    """What a session began with; see `protocol.session.UsedPrekeys`."""

    one_time_prekey_id: int | None
    signed_prekey_id: int
    kyber_prekey_id: int | None = None
    kem_ciphertext_hash: bytes | None = None


class _StoredSessionFields(NamedTuple):
    local_identity_key: bytes
    remote_identity_key: bytes
    remote_registration_id: int
    base_key: bytes
    root_key: bytes
    ratchet_private_key: bytes | None
    ratchet_public_key: bytes | None
    sending_chain_key: bytes | None
    sending_message_number: int
    previous_counter: int
    receiving_chains: tuple[StoredChain, ...]
    pending: StoredPending | None
    used_prekeys: StoredUsedPrekeys | None
    without_one_time_prekey: bool = False
    version: int = _OLDEST_VERSION
    spqr: StoredSpqr | None = None
    stopped: bool = False


class StoredSession(SecretTuple, _StoredSessionFields):
    """One session without its skipped message keys; see `protocol.session.Session`.

    Public keys have 33 bytes; root, chain and private keys have 32 bytes and are secret. There is
    a sending chain key where there is a ratchet key pair, unless the session was stopped and only
    reads. The version is 3 or 4; a session of version 4 has what changes often of its SPQR ratchet
    here, unless its peer does not run that.
    """

    __slots__ = ()

    def encode(self) -> bytes:
        """Return the record's bytes."""
        fields = storage_pb2.Session(
            session_version=self.version,
            local_identity_key=self.local_identity_key,
            remote_identity_key=self.remote_identity_key,
            remote_registration_id=self.remote_registration_id,
            base_key=self.base_key,
            root_key=self.root_key,
            ratchet_private_key=self.ratchet_private_key or b"",
            ratchet_public_key=self.ratchet_public_key or b"",
            sending_chain_key=self.sending_chain_key or b"",
            sending_message_number=self.sending_message_number,
            previous_counter=self.previous_counter,
            without_one_time_prekey=self.without_one_time_prekey,
            spqr=b"" if self.spqr is None else self.spqr.encode(),
            stopped=self.stopped,
        )
        for chain in self.receiving_chains:
            fields.receiving_chains.add(
                ratchet_key=chain.ratchet_key,
                chain_key=chain.chain_key or b"",
                message_number=chain.message_number,
                skipped_count=chain.skipped_count,
                may_have_no_pq_key=chain.may_have_no_pq_key,
            )
        if self.pending is not None:
            fields.pending_prekey.one_time_prekey_id = self.pending.one_time_prekey_id or 0
            fields.pending_prekey.signed_prekey_id = self.pending.signed_prekey_id
            fields.pending_prekey.created_at_ms = self.pending.created_at_ms
            if self.pending.kyber_prekey_id is not None:
                fields.pending_prekey.kyber_prekey_id = self.pending.kyber_prekey_id
        if self.used_prekeys is not None:
            fields.used_prekeys.one_time_prekey_id = self.used_prekeys.one_time_prekey_id or 0
            fields.used_prekeys.signed_prekey_id = self.used_prekeys.signed_prekey_id
            fields.used_prekeys.kyber_prekey_id = self.used_prekeys.kyber_prekey_id or 0
            fields.used_prekeys.kem_ciphertext_hash = self.used_prekeys.kem_ciphertext_hash or b""
        return encode_record(fields)

    @classmethod
    def decode(cls, data: bytes) -> "StoredSession":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "a session record"
        fields = decode_record(storage_pb2.Session, data, what)
        version = fields.session_version
        if version < _OLDEST_VERSION or (version == _OLDEST_VERSION and fields.spqr):
            raise RecordCorrupted(f"{what} has an impossible version: the store is damaged")
        if version > _NEWEST_VERSION:
            raise StoreTooNew("a stored session", version, _NEWEST_VERSION)
        chains = tuple(
            StoredChain(
                chain.ratchet_key,
                chain.chain_key or None,
                chain.message_number,
                chain.skipped_count,
                chain.may_have_no_pq_key,
            )
            for chain in fields.receiving_chains
        )
        if len(chains) > MAX_RECEIVING_CHAINS:
            raise RecordCorrupted(f"{what} has too many chains: the store is damaged")
        check_lengths(
            what,
            (fields.local_identity_key, PUBLIC_KEY_BYTES),
            (fields.remote_identity_key, PUBLIC_KEY_BYTES),
            (fields.base_key, PUBLIC_KEY_BYTES),
            (fields.root_key, _SYMMETRIC_KEY_BYTES),
            *((chain.ratchet_key, PUBLIC_KEY_BYTES) for chain in chains),
            *((chain.chain_key, _SYMMETRIC_KEY_BYTES) for chain in chains if chain.chain_key),
        )
        _check_sending(fields, what)
        return cls(
            local_identity_key=fields.local_identity_key,
            remote_identity_key=fields.remote_identity_key,
            remote_registration_id=fields.remote_registration_id,
            base_key=fields.base_key,
            root_key=fields.root_key,
            ratchet_private_key=fields.ratchet_private_key or None,
            ratchet_public_key=fields.ratchet_public_key or None,
            sending_chain_key=fields.sending_chain_key or None,
            sending_message_number=fields.sending_message_number,
            previous_counter=fields.previous_counter,
            receiving_chains=chains,
            pending=_decode_pending(fields),
            used_prekeys=_decode_used_prekeys(fields, what),
            without_one_time_prekey=fields.without_one_time_prekey,
            version=version,
            spqr=StoredSpqr.decode(fields.spqr) if fields.spqr else None,
            stopped=fields.stopped,
        )


def _check_sending(fields: storage_pb2.Session, what: str) -> None:
    """Check the ratchet key pair and its chain, either of which may be absent."""
    private, public = fields.ratchet_private_key, fields.ratchet_public_key
    has_pair, has_chain = bool(private or public), bool(fields.sending_chain_key)
    if has_pair:
        check_lengths(what, (private, PRIVATE_KEY_BYTES), (public, PUBLIC_KEY_BYTES))
    if has_chain:
        check_lengths(what, (fields.sending_chain_key, _SYMMETRIC_KEY_BYTES))
    # Where there is no pair, the next one answers the newest chain of the peer.
    if (
        has_chain is not (has_pair and not fields.stopped)
        or not (has_pair or fields.receiving_chains)
        or (fields.sending_message_number and not has_chain)
    ):
        raise RecordCorrupted(f"{what} contradicts itself: the store is damaged")


def _decode_pending(fields: storage_pb2.Session) -> StoredPending | None:
    pending = fields.pending_prekey
    if not fields.HasField("pending_prekey"):
        return None
    return StoredPending(
        pending.one_time_prekey_id or None,
        pending.signed_prekey_id,
        pending.created_at_ms,
        pending.kyber_prekey_id if pending.HasField("kyber_prekey_id") else None,
    )


def _decode_used_prekeys(fields: storage_pb2.Session, what: str) -> StoredUsedPrekeys | None:
    used = fields.used_prekeys
    if not fields.HasField("used_prekeys"):
        return None
    if used.kyber_prekey_id:
        check_lengths(what, (used.kem_ciphertext_hash, _KEM_CIPHERTEXT_HASH_BYTES))
    return StoredUsedPrekeys(
        used.one_time_prekey_id or None,
        used.signed_prekey_id,
        used.kyber_prekey_id or None,
        used.kem_ciphertext_hash or None,
    )


def encode_skipped_keys(keys: Mapping[int, bytes]) -> bytes:
    """Return the record of a bucket of skipped message keys (32 bytes each, secret)."""
    numbers = sorted(keys)
    return encode_record(
        storage_pb2.SkippedKeys(
            numbers=numbers, message_keys=b"".join(keys[number] for number in numbers)
        )
    )


def decode_skipped_keys(data: bytes) -> dict[int, MessageKey]:
    """Return message number and message key (32 bytes, secret) of a bucket.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    what = "a skipped keys record"
    fields = decode_record(storage_pb2.SkippedKeys, data, what)
    keys = fields.message_keys
    check_lengths(what, (keys, len(fields.numbers) * _SYMMETRIC_KEY_BYTES))
    if list(fields.numbers) != sorted(set(fields.numbers)):
        raise RecordCorrupted(f"{what} is not in ascending order: the store is damaged")
    return {
        number: MessageKey(keys[i * _SYMMETRIC_KEY_BYTES : (i + 1) * _SYMMETRIC_KEY_BYTES])
        for i, number in enumerate(fields.numbers)
    }

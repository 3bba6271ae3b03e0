# SPDX-License-Identifier: Apache-2.0
"""Records of the device itself: its keys, and those of others.

Values hold secrets as plain bytes; they do not show them. Encoding: `record_encoding.py`.

Source: docs/wire-format.md, records at rest.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from e2ecross.address import Address
from e2ecross.crypto.kem import KEM_SEED_BYTES
from e2ecross.crypto.keys import PRIVATE_KEY_BYTES, PublicKey, decode_public_key
from e2ecross.crypto.secret import Secret
from e2ecross.crypto.xeddsa import SIGNATURE_BYTES
from e2ecross.errors import InvalidKey, RecordCorrupted
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.encoding import encode_address
from e2ecross.wire.limits import MAX_PUBLISHED_KEYS_BYTES, TOKEN_BYTES
from e2ecross.wire.record_encoding import (
    check_lengths,
    decode_record,
    decode_stored_address,
    encode_record,
)

__all__ = [
    "DeviceRecord",
    "KyberPrekeyRecord",
    "RemoteIdentityRecord",
    "SignedPrekeyRecord",
    "UpkeepRecord",
    "decode_one_time_prekey",
    "decode_publication",
    "encode_one_time_prekey",
    "encode_publication",
]

_FIELD_HEADER_BYTES: Final = 5
"""Of a field that holds up to 2^28 bytes: number and length."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class DeviceRecord(Secret):
    """This device.

    Attributes:
        address: its address.
        identity_private_key: 32 bytes, secret.
        registration_id: 1 to 16380.
        next_prekey_id: the next id to give to a prekey of any kind.
        signed_prekey_id: the current signed prekey.
        last_resort_kyber_prekey_id: the current last-resort Kyber prekey.
        backend_token: 32 bytes, secret, or empty.
        registered: whether the back end has accepted the token.
        publication_epoch: the epoch at which the unconfirmed publication was made.
        adopts_epoch: restored or imported, so that the back end's epoch is taken over once.
        replaces_prekeys: restored, so that the next publication replaces all earlier ones.
        replaced_token: of the installation whose place this one takes when it registers, 32 bytes,
            secret, or empty.
        restored_epoch: the epoch that the last restore has left, 0 without one.
        imported_at_ms: when the identity came from a backup, milliseconds since 1970; else 0.
        life: how often a store with stripes was opened as restored.
    """

    address: Address
    identity_private_key: bytes
    registration_id: int
    next_prekey_id: int
    signed_prekey_id: int
    last_resort_kyber_prekey_id: int
    backend_token: bytes
    registered: bool
    publication_epoch: int = 0
    adopts_epoch: bool = False
    replaces_prekeys: bool = False
    replaced_token: bytes = b""
    restored_epoch: int = 0
    imported_at_ms: int = 0
    life: int = 0

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.DeviceRecord(
                address=encode_address(self.address),
                identity_private_key=self.identity_private_key,
                registration_id=self.registration_id,
                next_prekey_id=self.next_prekey_id,
                signed_prekey_id=self.signed_prekey_id,
                last_resort_kyber_prekey_id=self.last_resort_kyber_prekey_id,
                backend_token=self.backend_token,
                registered=self.registered,
                publication_epoch=self.publication_epoch,
                adopts_epoch=self.adopts_epoch,
                replaces_prekeys=self.replaces_prekeys,
                replaced_token=self.replaced_token,
                restored_epoch=self.restored_epoch,
                imported_at_ms=self.imported_at_ms,
                life=self.life,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "DeviceRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "the device record"
        fields = decode_record(storage_pb2.DeviceRecord, data, what)
        check_lengths(what, (fields.identity_private_key, PRIVATE_KEY_BYTES))
        for token in filter(None, (fields.backend_token, fields.replaced_token)):
            check_lengths(what, (token, TOKEN_BYTES))
        return cls(
            address=decode_stored_address(fields.address, what),
            identity_private_key=fields.identity_private_key,
            registration_id=fields.registration_id,
            next_prekey_id=fields.next_prekey_id,
            signed_prekey_id=fields.signed_prekey_id,
            last_resort_kyber_prekey_id=fields.last_resort_kyber_prekey_id,
            backend_token=fields.backend_token,
            registered=fields.registered,
            publication_epoch=fields.publication_epoch,
            adopts_epoch=fields.adopts_epoch,
            replaces_prekeys=fields.replaces_prekeys,
            replaced_token=fields.replaced_token,
            restored_epoch=fields.restored_epoch,
            imported_at_ms=fields.imported_at_ms,
            life=fields.life,
        )


class UpkeepRecord(NamedTuple):
    """What was done for prekeys lately.

    Attributes:
        hour_started_at_ms: when the hour began, milliseconds since 1970.
        made: one-time prekeys of each kind made in it.
        day_started_at_ms: when the day began, milliseconds since 1970.
        ids: prekey ids used in it.
        refused_at_ms: when the back end has last refused a publication, milliseconds since 1970; 0
            if it has taken one since.
    """

    hour_started_at_ms: int = 0
    made: int = 0
    day_started_at_ms: int = 0
    ids: int = 0
    refused_at_ms: int = 0

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(storage_pb2.UpkeepRecord(**self._asdict()))

    @classmethod
    def decode(cls, data: bytes) -> "UpkeepRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        fields = decode_record(storage_pb2.UpkeepRecord, data, "an upkeep record")
        return cls(*(getattr(fields, name) for name in cls._fields))


def encode_publication(published_keys: bytes) -> bytes:
    """Return the record of a publication (an encoded `PublishedKeys`, up to 2 MiB)."""
    return encode_record(storage_pb2.PublicationRecord(published_keys=published_keys))


def decode_publication(data: bytes) -> bytes:
    """Return the publication (an encoded `PublishedKeys`) of a record.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    max_bytes = MAX_PUBLISHED_KEYS_BYTES + _FIELD_HEADER_BYTES
    what = "a publication record"
    return decode_record(storage_pb2.PublicationRecord, data, what, max_bytes).published_keys


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SignedPrekeyRecord(Secret):
    """A signed prekey of ours.

    Attributes:
        private_key: 32 bytes, secret.
        signature: 64 bytes.
        created_at_ms: milliseconds since 1970.
        replaced_at_ms: when a newer one took its place, milliseconds since 1970; 0 if none has.
    """

    private_key: bytes
    signature: bytes
    created_at_ms: int
    replaced_at_ms: int = 0

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.SignedPrekeyRecord(
                private_key=self.private_key,
                signature=self.signature,
                created_at_ms=self.created_at_ms,
                replaced_at_ms=self.replaced_at_ms,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "SignedPrekeyRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "a signed prekey record"
        fields = decode_record(storage_pb2.SignedPrekeyRecord, data, what)
        check_lengths(
            what, (fields.private_key, PRIVATE_KEY_BYTES), (fields.signature, SIGNATURE_BYTES)
        )
        return cls(
            fields.private_key,
            fields.signature,
            fields.created_at_ms,
            fields.replaced_at_ms,
        )


def encode_one_time_prekey(private_key: bytes) -> bytes:
    """Return the record of a one-time prekey (32 bytes, secret)."""
    return encode_record(storage_pb2.OneTimePrekeyRecord(private_key=private_key))


def decode_one_time_prekey(data: bytes) -> bytes:
    """Return the private key (32 bytes, secret) of a one-time prekey record.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    what = "a one-time prekey record"
    fields = decode_record(storage_pb2.OneTimePrekeyRecord, data, what)
    check_lengths(what, (fields.private_key, PRIVATE_KEY_BYTES))
    return fields.private_key


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class KyberPrekeyRecord(Secret):
    """A Kyber-1024 prekey of ours.

    Attributes:
        seed: of its private key, 64 bytes, secret.
        signature: 64 bytes.
        created_at_ms: milliseconds since 1970.
        replaced_at_ms: when a newer last-resort one took its place, milliseconds since 1970; 0 if
            none has.
        is_last_resort: whether it is used more than once.
    """

    seed: bytes
    signature: bytes
    created_at_ms: int
    replaced_at_ms: int = 0
    is_last_resort: bool = False

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.KyberPrekeyRecord(
                seed=self.seed,
                signature=self.signature,
                created_at_ms=self.created_at_ms,
                replaced_at_ms=self.replaced_at_ms,
                is_last_resort=self.is_last_resort,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "KyberPrekeyRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "a Kyber prekey record"
        fields = decode_record(storage_pb2.KyberPrekeyRecord, data, what)
        check_lengths(what, (fields.seed, KEM_SEED_BYTES), (fields.signature, SIGNATURE_BYTES))
        return cls(
            fields.seed,
            fields.signature,
            fields.created_at_ms,
            fields.replaced_at_ms,
            fields.is_last_resort,
        )


@dataclass(frozen=True, slots=True)
class RemoteIdentityRecord:
    """What is known of a device's identity key. Public values only.

    Attributes:
        identity_key: the accepted key, 33 bytes.
        pending_key: a key that was seen since and not accepted, 33 bytes, or None.
        verified: whether the user has compared the accepted key by safety number.
        first_seen_at_ms: when the accepted key was first seen, milliseconds since 1970.
        stale: remembered from before the store was restored, and not confirmed since.
        asked_at_ms: when a message was last asked for again of a device that nothing authentic
            has come from, milliseconds since 1970; 0 once something has.
        by_policy: the accepted key was accepted by the policy, not by the user.
        offered_version: 4 once the device has offered a session of version 4, else 0.
    """

    identity_key: PublicKey
    pending_key: PublicKey | None
    verified: bool
    first_seen_at_ms: int
    stale: bool = False
    asked_at_ms: int = 0
    by_policy: bool = False
    offered_version: int = 0

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.RemoteIdentityRecord(
                identity_key=self.identity_key,
                pending_key=self.pending_key or b"",
                verified=self.verified,
                first_seen_at_ms=self.first_seen_at_ms,
                stale=self.stale,
                asked_at_ms=self.asked_at_ms,
                by_policy=self.by_policy,
                offered_version=self.offered_version,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "RemoteIdentityRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "a remote identity record"
        fields = decode_record(storage_pb2.RemoteIdentityRecord, data, what)
        try:
            identity_key = decode_public_key(fields.identity_key)
            pending_key = decode_public_key(fields.pending_key) if fields.pending_key else None
        except InvalidKey as error:
            raise RecordCorrupted(f"{what} holds no key: the store is damaged") from error
        return cls(
            identity_key,
            pending_key,
            fields.verified,
            fields.first_seen_at_ms,
            fields.stale,
            fields.asked_at_ms,
            fields.by_policy,
            fields.offered_version,
        )

# SPDX-License-Identifier: Apache-2.0
"""Records of the device itself: its keys, those of others, and its queues.

Values hold secrets as plain bytes; they do not show them. Encoding: `record_encoding.py`.

Source: docs/wire-format.md, records at rest.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.address import Address
from e2ecross.crypto.keys import PRIVATE_KEY_BYTES, PUBLIC_KEY_BYTES
from e2ecross.crypto.secret import Secret
from e2ecross.crypto.xeddsa import SIGNATURE_BYTES
from e2ecross.errors import RecordCorrupted
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.encoding import encode_address
from e2ecross.wire.limits import MESSAGE_ID_BYTES
from e2ecross.wire.record_encoding import (
    check_lengths,
    decode_record,
    decode_stored_address,
    encode_record,
)

__all__ = [
    "DeviceRecord",
    "InboxRecord",
    "RemoteIdentityRecord",
    "SignedPrekeyRecord",
    "decode_one_time_prekey",
    "decode_outbox_envelope",
    "encode_one_time_prekey",
    "encode_outbox_envelope",
]

_TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class DeviceRecord(Secret):
    """This device.

    Attributes:
        address: its address.
        identity_private_key: 32 bytes, secret.
        registration_id: 1 to 16380.
        next_prekey_id: the next id to give to a prekey of either kind.
        signed_prekey_id: the current signed prekey.
        unconfirmed_publication: an encoded `PublishedKeys` that may not have arrived, or empty.
        backend_token: 32 bytes, secret, or empty.
        registered: whether the back end has accepted the token.
        next_queue_number: the next row of outbox or inbox.
    """

    address: Address
    identity_private_key: bytes
    registration_id: int
    next_prekey_id: int
    signed_prekey_id: int
    unconfirmed_publication: bytes
    backend_token: bytes
    registered: bool
    next_queue_number: int

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.DeviceRecord(
                address=encode_address(self.address),
                identity_private_key=self.identity_private_key,
                registration_id=self.registration_id,
                next_prekey_id=self.next_prekey_id,
                signed_prekey_id=self.signed_prekey_id,
                unconfirmed_publication=self.unconfirmed_publication,
                backend_token=self.backend_token,
                registered=self.registered,
                next_queue_number=self.next_queue_number,
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
        fields = decode_record(storage_pb2.DeviceRecord(), data, what)
        check_lengths(what, (fields.identity_private_key, PRIVATE_KEY_BYTES))
        if fields.backend_token:
            check_lengths(what, (fields.backend_token, _TOKEN_BYTES))
        return cls(
            address=decode_stored_address(fields.address, what),
            identity_private_key=fields.identity_private_key,
            registration_id=fields.registration_id,
            next_prekey_id=fields.next_prekey_id,
            signed_prekey_id=fields.signed_prekey_id,
            unconfirmed_publication=fields.unconfirmed_publication,
            backend_token=fields.backend_token,
            registered=fields.registered,
            next_queue_number=fields.next_queue_number,
        )


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SignedPrekeyRecord(Secret):
    """A signed prekey of ours.

    Attributes:
        private_key: 32 bytes, secret.
        signature: 64 bytes.
        created_at_ms: milliseconds since 1970.
        replaced_at_ms: when a newer one took its place, milliseconds since 1970; 0 if none has.
        seen_base_keys: how many base keys are remembered for it.
    """

    private_key: bytes
    signature: bytes
    created_at_ms: int
    replaced_at_ms: int
    seen_base_keys: int

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.SignedPrekeyRecord(
                private_key=self.private_key,
                signature=self.signature,
                created_at_ms=self.created_at_ms,
                replaced_at_ms=self.replaced_at_ms,
                seen_base_keys=self.seen_base_keys,
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
        fields = decode_record(storage_pb2.SignedPrekeyRecord(), data, what)
        check_lengths(
            what, (fields.private_key, PRIVATE_KEY_BYTES), (fields.signature, SIGNATURE_BYTES)
        )
        return cls(
            fields.private_key,
            fields.signature,
            fields.created_at_ms,
            fields.replaced_at_ms,
            fields.seen_base_keys,
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
    fields = decode_record(storage_pb2.OneTimePrekeyRecord(), data, what)
    check_lengths(what, (fields.private_key, PRIVATE_KEY_BYTES))
    return fields.private_key


@dataclass(frozen=True, slots=True)
class RemoteIdentityRecord:
    """What is known of a device's identity key. Public values only.

    Attributes:
        identity_key: the accepted key, 33 bytes.
        pending_key: a key that was seen since and not accepted, 33 bytes, or None.
        verified: whether the user has compared the accepted key by safety number.
        first_seen_at_ms: when the accepted key was first seen, milliseconds since 1970.
    """

    identity_key: bytes
    pending_key: bytes | None
    verified: bool
    first_seen_at_ms: int

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.RemoteIdentityRecord(
                identity_key=self.identity_key,
                pending_key=self.pending_key or b"",
                verified=self.verified,
                first_seen_at_ms=self.first_seen_at_ms,
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
        fields = decode_record(storage_pb2.RemoteIdentityRecord(), data, what)
        check_lengths(what, (fields.identity_key, PUBLIC_KEY_BYTES))
        if fields.pending_key:
            check_lengths(what, (fields.pending_key, PUBLIC_KEY_BYTES))
        return cls(
            fields.identity_key,
            fields.pending_key or None,
            fields.verified,
            fields.first_seen_at_ms,
        )


def encode_outbox_envelope(envelope: bytes) -> bytes:
    """Return the record of an envelope that waits to be deposited."""
    return encode_record(storage_pb2.OutboxRecord(envelope=envelope))


def decode_outbox_envelope(data: bytes) -> bytes:
    """Return the encoded envelope of an outbox record.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    return decode_record(storage_pb2.OutboxRecord(), data, "an outbox record").envelope


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class InboxRecord(Secret):
    """A message, or the failure to read one, until the caller has confirmed it.

    Attributes:
        sender: who sent it by what the envelope says, or None if no envelope could be read.
        message_id: 16 bytes, or empty.
        backend_number: by which the back end hands it out and has it acknowledged.
        sent_at_ms: the sender's clock, milliseconds since 1970.
        content_kind: 0 when this is a failure.
        content_body: what was sent, encoded; secret.
        identity_changed: whether it came under an identity key that is not accepted.
        error_code: `code` of the error, empty when this is a message.
        error_text: the error's message.
        error_identity_key: the new identity key that an `IdentityChangedError` names, 33 bytes,
            or empty.
        confirmed: nothing is left but the number: the app has the item, but the back end may
            hand it out again.
    """

    sender: Address | None
    message_id: bytes
    backend_number: int
    sent_at_ms: int = 0
    content_kind: int = 0
    content_body: bytes = b""
    identity_changed: bool = False
    error_code: str = ""
    error_text: str = ""
    error_identity_key: bytes = b""
    confirmed: bool = False

    def encode(self) -> bytes:
        """Return the record's bytes."""
        fields = storage_pb2.InboxRecord(
            message_id=self.message_id, backend_number=self.backend_number
        )
        if self.sender is not None:
            fields.sender.CopyFrom(encode_address(self.sender))
        if self.confirmed:
            fields.confirmed = True
        elif self.error_code:
            fields.failure.code = self.error_code
            fields.failure.text = self.error_text
            fields.failure.identity_key = self.error_identity_key
        else:
            fields.message.sent_at_ms = self.sent_at_ms
            fields.message.content_kind = self.content_kind
            fields.message.content_body = self.content_body
            fields.message.identity_changed = self.identity_changed
        return encode_record(fields)

    @classmethod
    def decode(cls, data: bytes) -> "InboxRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "an inbox record"
        fields = decode_record(storage_pb2.InboxRecord(), data, what)
        kind = "confirmed" if fields.confirmed else "failure" if fields.failure.code else "message"
        if fields.WhichOneof("item") != kind:
            raise RecordCorrupted(f"{what} holds nothing: the store is damaged")
        if fields.message_id:
            check_lengths(what, (fields.message_id, MESSAGE_ID_BYTES))
        if fields.failure.identity_key:
            check_lengths(what, (fields.failure.identity_key, PUBLIC_KEY_BYTES))
        return cls(
            sender=decode_stored_address(fields.sender, what)
            if fields.HasField("sender")
            else None,
            message_id=fields.message_id,
            backend_number=fields.backend_number,
            sent_at_ms=fields.message.sent_at_ms,
            content_kind=fields.message.content_kind,
            content_body=fields.message.content_body,
            identity_changed=fields.message.identity_changed,
            error_code=fields.failure.code,
            error_text=fields.failure.text,
            error_identity_key=fields.failure.identity_key,
            confirmed=fields.confirmed,
        )

# SPDX-License-Identifier: Apache-2.0
"""The envelope: all that the relay sees of a message, for one device or for several.

Rules:
- Addresses, a random message id, the kind of Signal message, its bytes. Nothing about content.
- Exactly one encoding. Copies for one recipient are the bytes of an envelope of kind 7.

Source: docs/wire-format.md, envelope.
"""

import enum
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from e2ecross.address import Address
from e2ecross.arguments import require_bytes, require_type
from e2ecross.errors import DecodeError, InvalidArgument, UnsupportedVersion
from e2ecross.wire._pb.e2ecross.v1 import envelope_pb2
from e2ecross.wire.encoding import (
    decode_address,
    encode_address,
    parse,
    require_canonical,
    serialize,
)
from e2ecross.wire.limits import (
    MAX_COPIES,
    MAX_COPIES_BYTES,
    MAX_ENVELOPE_BYTES,
    MAX_SIGNAL_MESSAGE_BYTES,
    MESSAGE_ID_BYTES,
)

__all__ = ["ENVELOPE_VERSION", "Envelope", "EnvelopeCopies", "MessageKind"]

ENVELOPE_VERSION: Final = 1
_REMEMBERED: Final = 4_096
"""Recipients that need not be encoded for each message: those of some groups, 1 MB."""
_COPIES: Final = "an envelope of copies"


class MessageKind(enum.IntEnum):
    """What a ciphertext is; the numbers are libsignal's."""

    SIGNAL = 2
    """A message of a session that both ends have."""
    PREKEY = 3
    """A message with what the recipient needs to start the session."""
    SENDER_KEY = 7
    """A message into a group, under its sender's key. No device reads one yet."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message on its way; every field is visible to the relay.

    Attributes:
        message_id: 16 bytes, random.
        sender: who claims to have sent it; the ends check that inside.
        recipient: whom to deliver it to.
        kind: which Signal message the ciphertext is.
        ciphertext: exactly a Signal message, 1 to 100,864 bytes.

    Raises:
        InvalidArgument: a field has the wrong type or length.
    """

    message_id: bytes
    sender: Address
    recipient: Address
    kind: MessageKind
    ciphertext: bytes

    def __post_init__(self) -> None:
        require_bytes("message_id", self.message_id, MESSAGE_ID_BYTES)
        require_type("sender", self.sender, Address)
        require_type("recipient", self.recipient, Address)
        require_type("kind", self.kind, MessageKind)
        require_bytes("ciphertext", self.ciphertext)
        if not 0 < len(self.ciphertext) <= MAX_SIGNAL_MESSAGE_BYTES:
            raise InvalidArgument(f"ciphertext must have 1 to {MAX_SIGNAL_MESSAGE_BYTES} bytes")

    def __repr__(self) -> str:
        return (
            f"<Envelope {self.message_id.hex()}: {self.sender} to {self.recipient}, "
            f"{self.kind.name}, {len(self.ciphertext)} bytes>"
        )

    def encode(self) -> bytes:
        """Return the envelope's one encoding, at most 128 KiB."""
        return serialize(
            envelope_pb2.Envelope(
                version=ENVELOPE_VERSION,
                message_id=self.message_id,
                sender=encode_address(self.sender),
                recipient=encode_address(self.recipient),
                kind=self.kind,
                ciphertext=self.ciphertext,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "Envelope":
        """Read an envelope.

        Raises:
            DecodeError: over 128 KiB, malformed, not in its one encoding, or of an unknown kind.
            UnsupportedVersion: an envelope of a later version.
        """
        fields = parse(envelope_pb2.Envelope, data, "an envelope", MAX_ENVELOPE_BYTES)
        if fields.version > ENVELOPE_VERSION:
            raise UnsupportedVersion(
                f"envelope version {fields.version} is not supported, only 1 is: upgrade e2ecross"
            )
        require_canonical(fields, data, "an envelope")
        if fields.version != ENVELOPE_VERSION:
            raise DecodeError("an envelope lacks its version")
        if fields.kind not in _KINDS:
            raise DecodeError(f"message kind {fields.kind} is not known")
        try:
            return cls(
                message_id=fields.message_id,
                sender=decode_address(fields.sender),
                recipient=decode_address(fields.recipient),
                kind=_KINDS[fields.kind],
                ciphertext=fields.ciphertext,
            )
        except InvalidArgument as error:
            raise DecodeError(f"an envelope is not acceptable: {error}") from error


@dataclass(frozen=True, slots=True)
class EnvelopeCopies:
    """One message to several devices; every field is visible to the relay.

    Attributes:
        message_id: 16 bytes, random.
        sender: who claims to have sent it; the ends check that inside.
        recipients: whom to deliver it to: 1 to 1,024, ascending as text, not the sender.
        ciphertext: exactly one message under a sender key, 1 to 100,864 bytes.

    Raises:
        InvalidArgument: a field has the wrong type, length or order.
    """

    message_id: bytes
    sender: Address
    recipients: tuple[Address, ...]
    ciphertext: bytes

    def __post_init__(self) -> None:
        require_bytes("message_id", self.message_id, MESSAGE_ID_BYTES)
        require_type("sender", self.sender, Address)
        require_type("recipients", self.recipients, tuple)
        for each in self.recipients:
            require_type("recipients", each, Address)
        names = [str(each) for each in self.recipients]
        if not 1 <= len(names) <= MAX_COPIES or names != sorted(set(names)):
            raise InvalidArgument(f"recipients must be 1 to {MAX_COPIES}, ascending as text")
        if str(self.sender) in names:
            raise InvalidArgument("recipients must not have the sender among them")
        require_bytes("ciphertext", self.ciphertext)
        if not 0 < len(self.ciphertext) <= MAX_SIGNAL_MESSAGE_BYTES:
            raise InvalidArgument(f"ciphertext must have 1 to {MAX_SIGNAL_MESSAGE_BYTES} bytes")

    def __repr__(self) -> str:
        return (
            f"<EnvelopeCopies {self.message_id.hex()}: {self.sender} to {len(self.recipients)} "
            f"devices, {len(self.ciphertext)} bytes>"
        )

    def encode(self) -> bytes:
        """Return its one encoding, at most 256 KiB."""
        # Fields are encoded in the order of their numbers, so it can be cut between two.
        start = envelope_pb2.EnvelopeCopies(
            version=ENVELOPE_VERSION,
            message_id=self.message_id,
            sender=encode_address(self.sender),
        )
        ending = envelope_pb2.EnvelopeCopies(
            kind=MessageKind.SENDER_KEY, ciphertext=self.ciphertext
        )
        recipients = b"".join([_encode_recipient(each) for each in self.recipients])
        return serialize(start) + recipients + serialize(ending)

    def encode_for(self, recipient: Address) -> bytes:
        """Return what one of the recipients gets: the one encoding of an envelope of kind 7."""
        return EnvelopeCopies(self.message_id, self.sender, (recipient,), self.ciphertext).encode()

    def encode_apart(self) -> tuple[list[bytes], bytes]:
        """Return what the recipients get, with what is the same for all of them once.

        Returns:
            For each recipient, in order, how its envelope begins, at most 228 bytes; and how all of
            them end. Both together are what `encode_for` returns.
        """
        # Fields are encoded in the order of their numbers, so an envelope can be cut between two.
        start = serialize(
            envelope_pb2.Envelope(
                version=ENVELOPE_VERSION,
                message_id=self.message_id,
                sender=encode_address(self.sender),
            )
        )
        beginnings = [
            start + serialize(envelope_pb2.Envelope(recipient=encode_address(each)))
            for each in self.recipients
        ]
        ending = envelope_pb2.Envelope(kind=MessageKind.SENDER_KEY, ciphertext=self.ciphertext)
        return beginnings, serialize(ending)

    @classmethod
    def decode(cls, data: bytes) -> "EnvelopeCopies":
        """Read one, at most 256 KiB.

        Raises:
            DecodeError: too long, malformed, not in its one encoding, of another kind, or its
                recipients are too many, not in order, or the sender.
            UnsupportedVersion: one of a later version.
        """
        fields = parse(envelope_pb2.EnvelopeCopies, data, _COPIES, MAX_COPIES_BYTES)
        if fields.version > ENVELOPE_VERSION:
            raise UnsupportedVersion(
                f"{_COPIES} has version {fields.version}, and only 1 is supported: upgrade e2ecross"
            )
        require_canonical(fields, data, _COPIES)
        if fields.version != ENVELOPE_VERSION or fields.kind != MessageKind.SENDER_KEY:
            raise DecodeError(f"{_COPIES} lacks its version, or is of kind {fields.kind}")
        if len(fields.recipients) > MAX_COPIES:  # before any is looked at
            raise DecodeError(f"{_COPIES} has more than {MAX_COPIES} recipients")
        try:
            return cls(
                fields.message_id,
                decode_address(fields.sender),
                tuple(decode_address(each) for each in fields.recipients),
                fields.ciphertext,
            )
        except InvalidArgument as error:
            raise DecodeError(f"{_COPIES} is not acceptable: {error}") from error


@lru_cache(_REMEMBERED)
def _encode_recipient(recipient: Address) -> bytes:
    """One of the recipients of copies, as it stands in their encoding."""
    return serialize(envelope_pb2.EnvelopeCopies(recipients=[encode_address(recipient)]))


_KINDS: Final = {kind.value: kind for kind in MessageKind}

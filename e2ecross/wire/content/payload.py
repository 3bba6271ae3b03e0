# SPDX-License-Identifier: Apache-2.0
"""The payload of a message: what only the two ends see.

Rules:
- The payload repeats what the envelope says, so that a back end that rewrites envelopes is
  caught.
- Exactly one encoding, also of the content.

Source: docs/wire-format.md, payload.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.crypto.secret import without_frames
from e2ecross.errors import DecodeError, EnvelopeMismatch, RemoteError, UnsupportedVersion
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content.hints import DeviceHints, decode_hints, encode_hints
from e2ecross.wire.content.resent import PayloadContent, decode_content, encode_content
from e2ecross.wire.encoding import (
    decode_address,
    decode_user,
    encode_address,
    encode_user,
    parse,
    require_canonical,
    serialize,
)
from e2ecross.wire.limits import (
    MAX_PLAINTEXT_BYTES,
    MAX_SIGNED_DEVICE_LIST_BYTES,
    MESSAGE_ID_BYTES,
)
from e2ecross.wire.padding import pad, unpad

__all__ = [
    "PAYLOAD_VERSION",
    "Payload",
    "decode_payload",
    "encode_payload",
    "parse_payload",
    "payload_length",
]

PAYLOAD_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Payload:
    """The plaintext of an envelope's Signal message, without its padding.

    Attributes:
        sender: who sent it.
        recipient: the device that it was encrypted to.
        message_id: 16 bytes.
        registration_id: the sender's, 0 to 2^32-1.
        sent_at_ms: the sender's clock, milliseconds since 1970.
        content: what the user sent, or what its client tells another.
        hints: which device lists the sender has used; None if its account has none.
        peer: with whom the conversation is, in a copy for another device of the own account.
        device_list: the encoded `SignedDeviceList` of the sender's account, at most 8,264 bytes, in
            a prekey message; else empty.
    """

    sender: Address
    recipient: Address
    message_id: bytes
    registration_id: int
    sent_at_ms: int
    content: PayloadContent
    hints: DeviceHints | None = None
    peer: UserId | None = None
    device_list: bytes = b""


def encode_payload(payload: Payload, least: int = 0) -> bytes:
    """Return the padded plaintext to encrypt; as long as if the payload had `least` bytes or more.

    Args:
        payload: what to encode.
        least: the greatest `payload_length` of the copies of one message that carry no
            `device_list`, so that those look alike.
    """
    return pad(serialize(_fields(payload)), least)


def payload_length(payload: Payload) -> int:
    """How many bytes a payload has before it is padded."""
    return _fields(payload).ByteSize()


def decode_payload(padded: bytes) -> Payload:
    """Read a decrypted plaintext.

    Raises:
        DecodeError: not padded, malformed, not in its one encoding, without a field, or with one
            that is too long.
        EnvelopeMismatch: its destination is a group.
        UnsupportedVersion: a payload of a later version.
    """
    try:
        return _decode_payload(padded)
    except RemoteError as error:
        del padded  # a peer who sends nonsense must not have it reported with the frame
        raise without_frames(error)  # noqa: B904 - the error itself, without a cause


def parse_payload(padded: bytes) -> content_pb2.Payload:
    """Parse a decrypted plaintext, and check what every payload has, whatever its destination.

    Raises:
        DecodeError: not padded, malformed, not in its one encoding, or without a field.
        UnsupportedVersion: a payload of a later version.
    """
    data = unpad(padded)
    fields = parse(content_pb2.Payload, data, "a payload", MAX_PLAINTEXT_BYTES)
    if fields.version > PAYLOAD_VERSION:
        raise UnsupportedVersion(
            f"payload version {fields.version} is not supported, only 1 is: upgrade e2ecross"
        )
    require_canonical(fields, data, "a payload")
    if fields.version != PAYLOAD_VERSION or len(fields.message_id) != MESSAGE_ID_BYTES:
        raise DecodeError("a payload lacks a field")
    return fields


def _decode_payload(padded: bytes) -> Payload:
    fields = parse_payload(padded)
    if fields.destination.HasField("group"):
        raise EnvelopeMismatch("the message was sent into a group, not to a device")
    if len(fields.device_list) > MAX_SIGNED_DEVICE_LIST_BYTES:
        raise DecodeError(
            f"a payload has a device list of {len(fields.device_list)} bytes, of at most "
            f"{MAX_SIGNED_DEVICE_LIST_BYTES}"
        )
    return Payload(
        sender=decode_address(fields.sender),
        recipient=decode_address(fields.destination.recipient),
        message_id=fields.message_id,
        registration_id=fields.registration_id,
        sent_at_ms=fields.sent_at_ms,
        content=decode_content(fields.content_kind, fields.content_body),
        hints=decode_hints(fields.hints) if fields.HasField("hints") else None,
        peer=decode_user(fields.peer) if fields.HasField("peer") else None,
        device_list=fields.device_list,
    )


def _fields(payload: Payload) -> content_pb2.Payload:
    kind, body = encode_content(payload.content)
    return content_pb2.Payload(
        version=PAYLOAD_VERSION,
        sender=encode_address(payload.sender),
        destination=content_pb2.Destination(recipient=encode_address(payload.recipient)),
        message_id=payload.message_id,
        registration_id=payload.registration_id,
        sent_at_ms=payload.sent_at_ms,
        content_kind=kind,
        content_body=body,
        hints=None if payload.hints is None else encode_hints(payload.hints),
        peer=None if payload.peer is None else encode_user(payload.peer),
        device_list=payload.device_list,
    )

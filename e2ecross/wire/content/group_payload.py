# SPDX-License-Identifier: Apache-2.0
"""The payload of a message into a group: what its members see of it, beside its sender key.

The same message of the same version and padding as any payload; but its destination is a group, and
it carries neither a peer nor a list of devices, nor hints about anybody but its sender.

Source: docs/wire-format.md, payload.
"""

from dataclasses import dataclass

from e2ecross.address import Address
from e2ecross.crypto.secret import without_frames
from e2ecross.errors import DecodeError, EnvelopeMismatch, InvalidArgument, RemoteError
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content.hints import DeviceHints, decode_hints, encode_hints
from e2ecross.wire.content.payload import PAYLOAD_VERSION, parse_payload
from e2ecross.wire.content.resent import PayloadContent, decode_content, encode_content
from e2ecross.wire.encoding import decode_address, encode_address, serialize
from e2ecross.wire.group import GroupDestination, GroupId
from e2ecross.wire.padding import pad

__all__ = ["GroupPayload", "decode_group_payload", "encode_group_payload"]


@dataclass(frozen=True, slots=True)
class GroupPayload:
    """The plaintext of a message into a group, without its padding.

    Attributes:
        sender: who sent it.
        destination: the group, and the heads that the sender has.
        message_id: 16 bytes.
        registration_id: the sender's, 0 to 2^32-1.
        sent_at_ms: the sender's clock, milliseconds since 1970.
        content: what the user sent, or what its client tells the others.
        hints: which list of its own account the sender has used; None if it has none.
    """

    sender: Address
    destination: GroupDestination
    message_id: bytes
    registration_id: int
    sent_at_ms: int
    content: PayloadContent
    hints: DeviceHints | None = None


def encode_group_payload(payload: GroupPayload) -> bytes:
    """Return the padded plaintext to encrypt."""
    kind, body = encode_content(payload.content)
    group = content_pb2.GroupDestination(
        group_id=payload.destination.group_id.value, heads=payload.destination.heads
    )
    return pad(
        serialize(
            content_pb2.Payload(
                version=PAYLOAD_VERSION,
                sender=encode_address(payload.sender),
                destination=content_pb2.Destination(group=group),
                message_id=payload.message_id,
                registration_id=payload.registration_id,
                sent_at_ms=payload.sent_at_ms,
                content_kind=kind,
                content_body=body,
                hints=None if payload.hints is None else encode_hints(payload.hints),
            )
        )
    )


def decode_group_payload(padded: bytes) -> GroupPayload:
    """Read what was decrypted with a sender key.

    Raises:
        DecodeError: not padded, malformed, not in its one encoding, without a field, or with one
            that no message into a group has.
        EnvelopeMismatch: its destination is a device.
        UnsupportedVersion: a payload of a later version.
    """
    try:
        return _decode(padded)
    except RemoteError as error:
        del padded  # a peer who sends nonsense must not have it reported with the frame
        raise without_frames(error)  # noqa: B904 - the error itself, without a cause


def _decode(padded: bytes) -> GroupPayload:
    fields = parse_payload(padded)
    if fields.destination.HasField("recipient"):
        raise EnvelopeMismatch("the message was sent to a device, not into a group")
    if fields.HasField("peer") or fields.device_list:
        raise DecodeError("a message into a group has a peer or a list of devices")
    hints = decode_hints(fields.hints) if fields.HasField("hints") else None
    if hints is not None and hints.peer_seq:
        raise DecodeError("a message into a group has hints about the list of a peer")
    group = fields.destination.group
    try:
        destination = GroupDestination(GroupId(group.group_id), tuple(group.heads))
    except InvalidArgument as error:
        raise DecodeError(f"a message names no state of a group: {error}") from error
    return GroupPayload(
        sender=decode_address(fields.sender),
        destination=destination,
        message_id=fields.message_id,
        registration_id=fields.registration_id,
        sent_at_ms=fields.sent_at_ms,
        content=decode_content(fields.content_kind, fields.content_body),
        hints=hints,
    )

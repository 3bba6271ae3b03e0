# SPDX-License-Identifier: Apache-2.0
"""`ReadMarks`, content kind 2^31 + 19: what was read on another device of the account."""

from dataclasses import dataclass
from typing import Final

from e2ecross.address import Address
from e2ecross.arguments import require_bytes, require_type
from e2ecross.errors import InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content.kind import ContentKind, parse_body, require_length
from e2ecross.wire.encoding import decode_address, encode_address, serialize
from e2ecross.wire.limits import MAX_READ_MARKS, MESSAGE_ID_BYTES

__all__ = ["READ_MARKS", "ReadMark", "ReadMarks"]


@dataclass(frozen=True, slots=True)
class ReadMark:
    """One message that was read.

    Attributes:
        sender: the device that sent it.
        message_id: 16 bytes.

    Raises:
        InvalidArgument: a field has the wrong type or length.
    """

    sender: Address
    message_id: bytes

    def __post_init__(self) -> None:
        require_type("sender", self.sender, Address)
        require_bytes("message_id", self.message_id, MESSAGE_ID_BYTES)


@dataclass(frozen=True, slots=True)
class ReadMarks:
    """Messages of one account that were read, from one own device to another.

    Attributes:
        messages: 1 to 256, whose senders are devices of one account.

    Raises:
        InvalidArgument: a field has the wrong type or length, or they are of several accounts.
    """

    messages: tuple[ReadMark, ...]

    def __post_init__(self) -> None:
        require_length("messages", self.messages, MAX_READ_MARKS)
        for mark in self.messages:
            require_type("messages", mark, ReadMark)
        if len({mark.sender.user_id for mark in self.messages}) > 1:
            raise InvalidArgument("messages must be those of one account")


def _encode(content: ReadMarks) -> bytes:
    return serialize(
        content_pb2.ReadMarks(
            messages=[
                content_pb2.ReadMark(sender=encode_address(mark.sender), message_id=mark.message_id)
                for mark in content.messages
            ]
        )
    )


def _decode(body: bytes) -> ReadMarks:
    fields = parse_body(content_pb2.ReadMarks, body, "a message of read marks")
    return ReadMarks(
        tuple(ReadMark(decode_address(mark.sender), mark.message_id) for mark in fields.messages)
    )


READ_MARKS: Final = ContentKind(2**31 + 19, (ReadMarks,), _encode, _decode)

# SPDX-License-Identifier: Apache-2.0
"""`Receipt`, content kind 8: messages came, or were read."""

from dataclasses import dataclass, field
from typing import ClassVar, Final

from e2ecross.arguments import require_bytes, require_whole_number
from e2ecross.errors import InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content.kind import ContentKind, parse_body, require_group_id, require_length
from e2ecross.wire.encoding import serialize
from e2ecross.wire.limits import MESSAGE_ID_BYTES

__all__ = ["MAX_RECEIPT_IDS", "RECEIPT", "Receipt"]

MAX_RECEIPT_IDS: Final = 64
"""Messages that one receipt is about."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Messages of an account came to the sender of this, or were read there.

    Attributes:
        what: `Receipt.DELIVERED` or `Receipt.READ`, which says both.
        message_ids: 1 to 64 of 16 bytes each, ascending, no two alike.
        group_id: of the group that they were sent to, 32 bytes; empty: to one account.

    Raises:
        InvalidArgument: a field has the wrong type, length or value.
    """

    CAPABILITY: ClassVar = Capability.RECEIPTS
    DELIVERED: ClassVar = 1
    READ: ClassVar = 2

    what: int
    message_ids: tuple[bytes, ...] = field(repr=False)
    group_id: bytes = b""

    def __post_init__(self) -> None:
        require_whole_number("what", self.what, self.DELIVERED, self.READ)
        require_length("message_ids", self.message_ids, MAX_RECEIPT_IDS)
        for message_id in self.message_ids:
            require_bytes("message_ids", message_id, MESSAGE_ID_BYTES)
        if list(self.message_ids) != sorted({*self.message_ids}):
            raise InvalidArgument("message_ids must be ascending, no two alike")
        require_group_id(self.group_id)


def _encode(content: Receipt) -> bytes:
    return serialize(
        content_pb2.Receipt(
            what=content.what, message_ids=content.message_ids, group_id=content.group_id
        )
    )


def _decode(body: bytes) -> Receipt:
    fields = parse_body(content_pb2.Receipt, body, "a receipt")
    return Receipt(fields.what, tuple(fields.message_ids), fields.group_id)


RECEIPT: Final = ContentKind(8, (Receipt,), _encode, _decode)

# SPDX-License-Identifier: Apache-2.0
"""`GroupRetryRequest`, content kind 2^31 + 34: a message into a group could not be read."""

import re
from dataclasses import dataclass
from typing import Final

from e2ecross.arguments import require_bytes, require_type
from e2ecross.crypto.group_kdf import DISTRIBUTION_ID_BYTES
from e2ecross.errors import InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import group_pb2
from e2ecross.wire.content.kind import ContentKind, parse_body
from e2ecross.wire.encoding import serialize
from e2ecross.wire.group import GroupId, require_heads
from e2ecross.wire.limits import MESSAGE_ID_BYTES

__all__ = ["GROUP_RETRY_REQUEST", "GroupRetryRequest"]

_REASON: Final = re.compile("[a-z_]{1,64}")


@dataclass(frozen=True, slots=True)
class GroupRetryRequest:
    """One client asks another for a message into a group, and for what it lacks to read it.

    Attributes:
        group_id: the group; None: not known.
        heads: hashes of the newest commits that the requester has, 0 to 16, ascending, 32 bytes
            each.
        message_id: of the message that could not be read, 16 bytes; empty: commits alone.
        distribution_id: of the key that it is under, 16 bytes, or empty.
        reason: `code` of the error: 1 to 64 of a-z and _.

    Raises:
        InvalidArgument: a field has the wrong type, length, value or order.
    """

    group_id: GroupId | None
    heads: tuple[bytes, ...]
    message_id: bytes
    distribution_id: bytes
    reason: str

    def __post_init__(self) -> None:
        if self.group_id is not None:
            require_type("group_id", self.group_id, GroupId)
        require_heads("heads", self.heads, 0)
        require_bytes("message_id", self.message_id, MESSAGE_ID_BYTES if self.message_id else None)
        require_bytes(
            "distribution_id",
            self.distribution_id,
            DISTRIBUTION_ID_BYTES if self.distribution_id else None,
        )
        require_type("reason", self.reason, str)
        if not _REASON.fullmatch(self.reason):
            raise InvalidArgument("reason must be 1 to 64 of a-z and _")


def _encode(content: GroupRetryRequest) -> bytes:
    return serialize(
        group_pb2.GroupRetryRequest(
            group_id=b"" if content.group_id is None else content.group_id.value,
            heads=content.heads,
            message_id=content.message_id,
            distribution_id=content.distribution_id,
            reason=content.reason,
        )
    )


def _decode(body: bytes) -> GroupRetryRequest:
    fields = parse_body(group_pb2.GroupRetryRequest, body, "a retry request of a group")
    return GroupRetryRequest(
        GroupId(fields.group_id) if fields.group_id else None,
        tuple(fields.heads),
        fields.message_id,
        fields.distribution_id,
        fields.reason,
    )


GROUP_RETRY_REQUEST: Final = ContentKind(2**31 + 34, (GroupRetryRequest,), _encode, _decode)

# SPDX-License-Identifier: Apache-2.0
"""`SenderKeyGrant`, content kind 2^31 + 32: the key that a device sends with in a group."""

from dataclasses import dataclass
from typing import Final

from e2ecross.arguments import require_bytes
from e2ecross.crypto.secret import Secret
from e2ecross.errors import InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import group_pb2
from e2ecross.wire.content.kind import ContentKind, parse_body
from e2ecross.wire.encoding import serialize
from e2ecross.wire.group import GroupDestination, GroupId
from e2ecross.wire.limits import MAX_DISTRIBUTION_BYTES

__all__ = ["SENDER_KEY_GRANT", "SenderKeyGrant"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SenderKeyGrant(Secret):
    """A sender key of the sending device, for the device that gets it.

    Attributes:
        made: the group, and the heads at which the key was made.
        distribution: a distribution message of Signal, 1 to 256 bytes, secret.

    Raises:
        InvalidArgument: a field has the wrong type or length.
    """

    made: GroupDestination
    distribution: bytes

    def __post_init__(self) -> None:
        require_bytes("distribution", self.distribution)
        if not 1 <= len(self.distribution) <= MAX_DISTRIBUTION_BYTES:
            raise InvalidArgument(f"distribution must have 1 to {MAX_DISTRIBUTION_BYTES} bytes")


def _encode(content: SenderKeyGrant) -> bytes:
    return serialize(
        group_pb2.SenderKeyGrant(
            group_id=content.made.group_id.value,
            heads=content.made.heads,
            distribution=content.distribution,
        )
    )


def _decode(body: bytes) -> SenderKeyGrant:
    fields = parse_body(group_pb2.SenderKeyGrant, body, "a grant of a sender key")
    made = GroupDestination(GroupId(fields.group_id), tuple(fields.heads))
    return SenderKeyGrant(made, fields.distribution)


SENDER_KEY_GRANT: Final = ContentKind(2**31 + 32, (SenderKeyGrant,), _encode, _decode)

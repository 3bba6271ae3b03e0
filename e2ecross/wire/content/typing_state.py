# SPDX-License-Identifier: Apache-2.0
"""`Typing`, content kind 2^31 + 48: somebody is writing, or no more."""

from dataclasses import dataclass
from typing import ClassVar, Final

from e2ecross.arguments import require_type
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content.kind import ContentKind, parse_body, require_group_id
from e2ecross.wire.encoding import serialize

__all__ = ["TYPING", "Typing"]


@dataclass(frozen=True, slots=True)
class Typing:
    """The sender is writing, or no more.

    Attributes:
        on: is writing.
        group_id: to which group, 32 bytes; empty: to the recipient.

    Raises:
        InvalidArgument: a field has the wrong type or length.
    """

    CAPABILITY: ClassVar = Capability.TYPING

    on: bool
    group_id: bytes = b""

    def __post_init__(self) -> None:
        require_type("on", self.on, bool)
        require_group_id(self.group_id)


def _encode(content: Typing) -> bytes:
    return serialize(content_pb2.Typing(on=content.on, group_id=content.group_id))


def _decode(body: bytes) -> Typing:
    fields = parse_body(content_pb2.Typing, body, "a typing signal")
    return Typing(fields.on, fields.group_id)


TYPING: Final = ContentKind(2**31 + 48, (Typing,), _encode, _decode)

# SPDX-License-Identifier: Apache-2.0
"""`Delete`, content kind 6: a message is to be gone."""

from dataclasses import dataclass
from typing import ClassVar, Final

from e2ecross.arguments import require_type
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content.kind import ContentKind, parse_body
from e2ecross.wire.content.references import MessageRef, decode_ref, encode_ref
from e2ecross.wire.encoding import serialize

__all__ = ["DELETE", "Delete"]


@dataclass(frozen=True, slots=True)
class Delete:
    """A message is to be gone, for good. `Timeline.delete` builds it.

    Attributes:
        target: the message.

    Raises:
        InvalidArgument: not a reference to a message.
    """

    CAPABILITY: ClassVar = Capability.DELETE

    target: MessageRef

    def __post_init__(self) -> None:
        require_type("target", self.target, MessageRef)


def _encode(content: Delete) -> bytes:
    return serialize(content_pb2.Delete(target=encode_ref(content.target)))


def _decode(body: bytes) -> Delete:
    return Delete(decode_ref(parse_body(content_pb2.Delete, body, "a delete").target))


def _describe(_: Delete) -> str:
    return "(a message was deleted)"


DELETE: Final = ContentKind(6, (Delete,), _encode, _decode, _describe)

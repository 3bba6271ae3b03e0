# SPDX-License-Identifier: Apache-2.0
"""`Bytes`, content kind 2: a format that only the app knows. It never shows in a repr."""

from dataclasses import dataclass
from typing import Final

from e2ecross.arguments import require_bytes
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content.kind import ContentKind, parse_body, require_content_size
from e2ecross.wire.encoding import serialize

__all__ = ["BYTES", "Bytes"]


@dataclass(frozen=True, slots=True)
class Bytes:
    """A message of a format that the app defines.

    Attributes:
        data: at most 65,536 bytes.

    Raises:
        InvalidArgument: not bytes, or too long.
    """

    data: bytes

    def __post_init__(self) -> None:
        require_bytes("data", self.data)
        require_content_size("data", len(self.data))

    def __repr__(self) -> str:
        return f"<Bytes of {len(self.data)} bytes>"


def _encode(content: Bytes) -> bytes:
    return serialize(content_pb2.Bytes(data=content.data))


def _decode(body: bytes) -> Bytes:
    return Bytes(parse_body(content_pb2.Bytes, body, "a content").data)


BYTES: Final = ContentKind(2, (Bytes,), _encode, _decode)

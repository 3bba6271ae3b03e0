# SPDX-License-Identifier: Apache-2.0
"""The table of all kinds of content, and what stands for those that are not in it.

Rules:
- A kind of content from a newer sender is carried as `UnsupportedContent`, never a failure.
- Kinds from 2^31 on are what clients tell each other about messages. An app never sees them.

CONTRIBUTING.md shows how to add a kind.
"""

from dataclasses import dataclass
from typing import Any, Final

from e2ecross.arguments import require_bytes, require_type, require_whole_number
from e2ecross.errors import InvalidArgument
from e2ecross.wire.content.kind import ContentKind
from e2ecross.wire.content.opaque import BYTES, Bytes
from e2ecross.wire.content.retry_request import RETRY_REQUEST, RetryRequest
from e2ecross.wire.content.text import TEXT, Text
from e2ecross.wire.limits import MAX_CONTENT_BODY_BYTES

__all__ = [
    "RESENT_NUMBER",
    "Content",
    "UnsupportedContent",
    "decode_alone",
    "encode_alone",
    "require_alone",
]

_TABLE: Final[tuple[ContentKind[Any], ...]] = (
    TEXT,
    BYTES,
    RETRY_REQUEST,
)
RESENT_NUMBER: Final = 2**31 + 2
"""The kind that holds one of these again: `resent.py`."""

_BY_NUMBER: Final = {kind.number: kind for kind in _TABLE}
_BY_CLASS: Final = {kind.content: kind for kind in _TABLE}


@dataclass(frozen=True, slots=True)
class UnsupportedContent:
    """Content of a kind that this release does not know, as it was sent.

    Attributes:
        kind: the content kind, 1 to 2^32-1, none that this release knows.
        body: its encoding, at most 65,540 bytes.

    Raises:
        InvalidArgument: a known kind, or a field of the wrong type or length.
    """

    kind: int
    body: bytes

    def __post_init__(self) -> None:
        require_whole_number("kind", self.kind, low=1)
        if self.kind in _BY_NUMBER or self.kind == RESENT_NUMBER:
            raise InvalidArgument(f"kind {self.kind} is supported: use its own class")
        require_bytes("body", self.body)
        if len(self.body) > MAX_CONTENT_BODY_BYTES:
            raise InvalidArgument(f"body has more than {MAX_CONTENT_BODY_BYTES} bytes")

    def __repr__(self) -> str:
        return f"<UnsupportedContent of kind {self.kind}, {len(self.body)} bytes>"


Content = Text | Bytes | UnsupportedContent
"""What an app sends and receives: the classes of kinds below 2^31."""


def require_alone(name: str, value: object) -> None:
    """Raise `InvalidArgument` unless the value is a content of a kind in the table, or of none."""
    require_type(name, value, *(kind.content for kind in _TABLE), UnsupportedContent)


def encode_alone(content: Content | RetryRequest) -> tuple[int, bytes]:
    """Return kind and body (at most 65,540 bytes) of a content."""
    if isinstance(content, UnsupportedContent):
        return content.kind, content.body
    row = _BY_CLASS.get(type(content))
    if row is None:  # a subclass goes as what it is a kind of
        row = next(kind for kind in _TABLE if isinstance(content, kind.content))
    return row.number, row.encode(content)


def decode_alone(kind: int, body: bytes) -> Content | RetryRequest:
    """Read content of a kind that is in the table; carry that of any other.

    Raises:
        DecodeError: malformed, too long, or not in its one encoding.
        InvalidArgument: a value that its class refuses, or kind 0.
    """
    row = _BY_NUMBER.get(kind)
    if row is None:
        return UnsupportedContent(kind, body)
    content: Content | RetryRequest = row.decode(body)
    return content

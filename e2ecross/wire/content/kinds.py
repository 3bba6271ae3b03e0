# SPDX-License-Identifier: Apache-2.0
"""The table of all kinds of content, and what stands for those that are not in it.

Rules:
- A kind of content from a newer sender is carried as `UnsupportedContent`, never a failure.
- Kinds from 2^31 on are what clients tell each other. An app never sees them.

CONTRIBUTING.md shows how to add a kind.
"""

from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from e2ecross.arguments import require_bytes, require_whole_number
from e2ecross.errors import InvalidArgument
from e2ecross.wire.content.device_list_push import DEVICE_LIST_PUSH, DeviceListPush
from e2ecross.wire.content.device_request import DEVICE_REQUEST, DeviceRequest
from e2ecross.wire.content.history import HISTORY, History
from e2ecross.wire.content.kind import ContentKind
from e2ecross.wire.content.opaque import BYTES, Bytes
from e2ecross.wire.content.pins import PINS, Pins
from e2ecross.wire.content.read_marks import READ_MARKS, ReadMarks
from e2ecross.wire.content.retry_request import RETRY_REQUEST, RetryRequest
from e2ecross.wire.content.text import TEXT, Text
from e2ecross.wire.limits import MAX_CONTENT_BODY_BYTES

__all__ = [
    "FIRST_CONTROL_NUMBER",
    "RESENT_NUMBER",
    "Content",
    "ControlContent",
    "UnsupportedContent",
    "decode_alone",
    "encode_alone",
    "is_of_users",
]

_TABLE: Final[tuple[ContentKind[Any], ...]] = (
    TEXT,
    BYTES,
    RETRY_REQUEST,
    DEVICE_LIST_PUSH,
    PINS,
    HISTORY,
    READ_MARKS,
    DEVICE_REQUEST,
)
FIRST_CONTROL_NUMBER: Final = 2**31
"""From here on: what clients tell each other."""
RESENT_NUMBER: Final = FIRST_CONTROL_NUMBER + 2
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

ControlContent = RetryRequest | DeviceListPush | Pins | History | ReadMarks | DeviceRequest
"""What clients tell each other: the classes of kinds from 2^31 on, but for `Resent`."""


def is_of_users(value: object) -> TypeGuard[Content]:
    """Whether the value is a content of a kind below 2^31, known or not."""
    if isinstance(value, UnsupportedContent):
        return value.kind < FIRST_CONTROL_NUMBER
    return any(
        isinstance(value, kind.content) for kind in _TABLE if kind.number < FIRST_CONTROL_NUMBER
    )


def encode_alone(content: Content | ControlContent) -> tuple[int, bytes]:
    """Return kind and body (at most 65,540 bytes) of a content."""
    if isinstance(content, UnsupportedContent):
        return content.kind, content.body
    row = _BY_CLASS.get(type(content))
    if row is None:  # a subclass goes as what it is a kind of
        row = next(kind for kind in _TABLE if isinstance(content, kind.content))
    return row.number, row.encode(content)


def decode_alone(kind: int, body: bytes) -> Content | ControlContent:
    """Read content of a kind that is in the table; carry that of any other.

    Raises:
        DecodeError: malformed, too long, or not in its one encoding.
        InvalidArgument: a value that its class refuses, or kind 0.
    """
    row = _BY_NUMBER.get(kind)
    if row is None:
        return UnsupportedContent(kind, body)
    content: Content | ControlContent = row.decode(body)
    return content

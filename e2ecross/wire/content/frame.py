# SPDX-License-Identifier: Apache-2.0
"""`Frame`: what is around most kinds of content, and is read also by who does not know the kind.

Rules:
- Kinds 3 to 7 have one, and so have all from 16 to 2^31-1, whatever they will be.
- The opening key is drawn for one message. Its digest is made under it: docs/wire-format.md.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.arguments import require_bytes, require_type, require_whole_number
from e2ecross.crypto.secret import Secret
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content.kind import parse_body, require_body_size
from e2ecross.wire.encoding import serialize
from e2ecross.wire.text import require_text

__all__ = [
    "FIRST_CONTROL_NUMBER",
    "MAX_FALLBACK_BYTES",
    "MAX_FRAMED_BODY_BYTES",
    "OPENING_KEY_BYTES",
    "Expiry",
    "Frame",
    "has_frame",
]

FIRST_CONTROL_NUMBER: Final = 2**31
"""From here on: what clients tell each other."""
OPENING_KEY_BYTES: Final = 32
MAX_FALLBACK_BYTES: Final = 1024
MAX_FRAMED_BODY_BYTES: Final = 65_536
_SHORTEST_EXPIRY: Final = 5
_LONGEST_EXPIRY: Final = 365 * 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a message is to be gone.

    Attributes:
        seconds: 5 to 31,536,000 (a year), at the sender from when it was sent.
        from_read: at a receiver from when it is displayed, else from when it came.

    Raises:
        InvalidArgument: a field has the wrong type or value.
    """

    seconds: int
    from_read: bool = False

    def __post_init__(self) -> None:
        require_whole_number("seconds", self.seconds, _SHORTEST_EXPIRY, _LONGEST_EXPIRY)
        require_type("from_read", self.from_read, bool)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Frame(Secret):
    """A frame, with the content inside as bytes.

    Attributes:
        opening_key: 32 bytes, secret, fresh for each message.
        expiry: when the message is to be gone, or None.
        view_once: it can be looked at once.
        fallback: text for a device that lacks what the content needs, at most 1,024 bytes.
        body: the content, at most 65,536 bytes.

    Raises:
        InvalidArgument: a field has the wrong type, length or value.
    """

    opening_key: bytes
    expiry: Expiry | None
    view_once: bool
    fallback: str
    body: bytes

    def __post_init__(self) -> None:
        require_bytes("opening_key", self.opening_key, OPENING_KEY_BYTES)
        if self.expiry is not None:
            require_type("expiry", self.expiry, Expiry)
        require_type("view_once", self.view_once, bool)
        require_text("fallback", self.fallback, MAX_FALLBACK_BYTES)
        require_bytes("body", self.body)
        require_body_size("content", len(self.body), MAX_FRAMED_BODY_BYTES)

    def encode(self) -> bytes:
        """Return its one encoding, a content body."""
        fields = content_pb2.Frame(
            opening_key=self.opening_key,
            view_once=self.view_once,
            fallback=self.fallback,
            body=self.body,
        )
        if self.expiry is not None:
            fields.expiry.seconds = self.expiry.seconds
            fields.expiry.from_read = self.expiry.from_read
        return serialize(fields)

    @classmethod
    def decode(cls, content_body: bytes) -> "Frame":
        """Read the frame of a content body.

        Raises:
            DecodeError: malformed, or not in its one encoding.
            InvalidArgument: a field that is not acceptable.
        """
        fields = parse_body(content_pb2.Frame, content_body, "a frame")
        expiry = fields.expiry
        return cls(
            fields.opening_key,
            Expiry(expiry.seconds, expiry.from_read) if fields.HasField("expiry") else None,
            fields.view_once,
            fields.fallback,
            fields.body,
        )


def has_frame(kind: int) -> bool:
    """Whether the body of a content kind is a frame, known or not."""
    return 3 <= kind <= 7 or 16 <= kind < FIRST_CONTROL_NUMBER

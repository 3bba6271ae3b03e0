# SPDX-License-Identifier: Apache-2.0
"""The table of all kinds of content, and what stands for those that are not in it.

Rules:
- A kind of content from a newer sender is carried as `UnsupportedContent`, never a failure.
- Kinds from 2^31 on are what clients tell each other. An app never sees them.
- What goes in a frame is `Framed` wherever it is encoded or decoded; apps meet what is inside.

CONTRIBUTING.md shows how to add a kind.
"""

from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

from e2ecross.arguments import require_bytes, require_type, require_whole_number
from e2ecross.crypto.secret import Secret
from e2ecross.errors import InvalidArgument, RemoteError
from e2ecross.wire.content.answer import ANSWER, Answer
from e2ecross.wire.content.consent_grant import CONSENT_GRANT, ConsentGrant
from e2ecross.wire.content.consent_revoke import CONSENT_REVOKE, ConsentRevoke
from e2ecross.wire.content.conversation_states import CONVERSATION_STATES, ConversationStates
from e2ecross.wire.content.delete import DELETE, Delete
from e2ecross.wire.content.device_list_push import DEVICE_LIST_PUSH, DeviceListPush
from e2ecross.wire.content.device_request import DEVICE_REQUEST, DeviceRequest
from e2ecross.wire.content.edit import EDIT, Edit
from e2ecross.wire.content.frame import (
    FIRST_CONTROL_NUMBER,
    OPENING_KEY_BYTES,
    Expiry,
    Frame,
    has_frame,
)
from e2ecross.wire.content.group_commits import GROUP_COMMITS, GroupCommits
from e2ecross.wire.content.group_retry_request import GROUP_RETRY_REQUEST, GroupRetryRequest
from e2ecross.wire.content.history import HISTORY, History
from e2ecross.wire.content.kind import ContentKind
from e2ecross.wire.content.opaque import BYTES, Bytes
from e2ecross.wire.content.pins import PINS, Pins
from e2ecross.wire.content.post import POST, Media, Options
from e2ecross.wire.content.reaction import REACTION, Reaction
from e2ecross.wire.content.read_marks import READ_MARKS, ReadMarks
from e2ecross.wire.content.receipt import RECEIPT, Receipt
from e2ecross.wire.content.retry_request import RETRY_REQUEST, RetryRequest
from e2ecross.wire.content.sender_key_grant import SENDER_KEY_GRANT, SenderKeyGrant
from e2ecross.wire.content.text import TEXT, Text
from e2ecross.wire.content.typing_state import TYPING, Typing
from e2ecross.wire.limits import MAX_CONTENT_BODY_BYTES

__all__ = [
    "GROUP_RESENT_NUMBER",
    "RESENT_NUMBER",
    "AnyContent",
    "Consent",
    "Content",
    "ControlAlone",
    "Framed",
    "FramedContent",
    "SentContent",
    "UnsupportedContent",
    "decode_alone",
    "decode_inner",
    "decode_unsupported",
    "describe_inner",
    "encode_alone",
    "encode_inner",
    "is_of_users",
    "is_sendable",
    "opening_key_of",
]

_TABLE: Final[tuple[ContentKind[Any], ...]] = (
    TEXT,
    BYTES,
    POST,
    REACTION,
    EDIT,
    DELETE,
    ANSWER,
    RECEIPT,
    CONSENT_GRANT,
    CONSENT_REVOKE,
    RETRY_REQUEST,
    DEVICE_LIST_PUSH,
    PINS,
    HISTORY,
    READ_MARKS,
    DEVICE_REQUEST,
    TYPING,
    CONVERSATION_STATES,
    SENDER_KEY_GRANT,
    GROUP_COMMITS,
    GROUP_RETRY_REQUEST,
)
RESENT_NUMBER: Final = FIRST_CONTROL_NUMBER + 2
"""The kind that holds one of these again: `resent.py`."""
GROUP_RESENT_NUMBER: Final = FIRST_CONTROL_NUMBER + 35
"""The same for a message into a group: `group_resent.py`."""

_BY_NUMBER: Final = {kind.number: kind for kind in _TABLE}
_BY_CLASS: Final[dict[tuple[type, bool], ContentKind[Any]]] = {
    (each, has_frame(kind.number)): kind for kind in reversed(_TABLE) for each in kind.classes
}
_NO_KEY: Final = bytes(OPENING_KEY_BYTES)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Framed(Secret):
    """A content in its frame, as it travels. Apps meet the content itself.

    Attributes:
        content: `Text`, `Media`, `Options`, `Reaction`, `Edit`, `Delete` or `Answer`.
        opening_key: 32 bytes, secret, drawn for this message alone.
        expiry: when the message is to be gone, or None; never of a `Delete` or an `Answer`.
        view_once: it can be looked at once; of `Text` and `Media`, not of options and acts.
        fallback: text for a device that lacks what the content needs, at most 1,024 bytes.
        kind: its number, 3 to 7 or from 16 on.
        content_body: its encoding, at most 69,632 bytes, secret.

    Raises:
        InvalidArgument: a field has the wrong type, length or value, or a frame cannot hold the
            content.
    """

    content: "FramedContent"
    opening_key: bytes
    expiry: Expiry | None = None
    view_once: bool = False
    fallback: str = ""
    kind: int = field(init=False)
    content_body: bytes = field(init=False)

    def __post_init__(self) -> None:
        kind, body = encode_inner(self.content)
        frame = Frame(self.opening_key, self.expiry, self.view_once, self.fallback, body)
        _require_fitting(self.content, frame)
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "content_body", frame.encode())


@dataclass(frozen=True, slots=True)
class UnsupportedContent:
    """Content that this release does not know, or the app did not announce, as it was sent.

    Attributes:
        kind: the content kind, 1 to 2^32-1; of those that this release knows only such as go in a
            frame.
        body: its encoding, at most 69,632 bytes.

    Raises:
        InvalidArgument: a known kind that goes in no frame, a field of the wrong type or length, or
            a frame or known content that is malformed.
    """

    kind: int
    body: bytes

    def __post_init__(self) -> None:
        require_whole_number("kind", self.kind, low=1)
        known = _BY_NUMBER.get(self.kind)
        holds_another = self.kind in (RESENT_NUMBER, GROUP_RESENT_NUMBER)
        if holds_another or (known is not None and not has_frame(self.kind)):
            raise InvalidArgument(f"kind {self.kind} is supported: use its own class")
        require_bytes("body", self.body)
        if len(self.body) > MAX_CONTENT_BODY_BYTES:
            raise InvalidArgument(f"body has more than {MAX_CONTENT_BODY_BYTES} bytes")
        try:
            frame = self.frame
            if known is not None and frame is not None:
                _framed(known, frame, self.body)
        except (InvalidArgument, RemoteError) as error:
            raise InvalidArgument(f"body is not well-formed: {error}") from error

    def __repr__(self) -> str:
        return f"<UnsupportedContent of kind {self.kind}, {len(self.body)} bytes>"

    @property
    def frame(self) -> Frame | None:
        """What is around it, with a text to show in its place; None for a kind without a frame."""
        return Frame.decode(self.body) if has_frame(self.kind) else None


FramedContent = Text | Media | Options | Reaction | Edit | Delete | Answer
"""What goes in a frame; a `Text` where it cannot go without."""

Consent = ConsentGrant | ConsentRevoke
"""What the accounts of customers and of a business tell each other of what may be sent."""

SentContent = FramedContent | Bytes | Consent
"""What an app sends by a `Client`, which frames what it sends; receipts it sends by itself."""

Content = SentContent | Receipt | UnsupportedContent
"""What an app receives by a `Client`, which hands over what was in the frame."""

AnyContent = Content | Framed
"""The same as it goes from device to device, with its frame where it has one: the classes of kinds
below 2^31."""

ControlAlone = (
    RetryRequest
    | DeviceListPush
    | Pins
    | History
    | ReadMarks
    | DeviceRequest
    | Typing
    | ConversationStates
    | SenderKeyGrant
    | GroupCommits
    | GroupRetryRequest
)
"""What clients tell each other that holds no other content."""


def is_of_users(value: object) -> TypeGuard[AnyContent]:
    """Whether the value is a content of a kind below 2^31, known or not."""
    if isinstance(value, UnsupportedContent):
        return value.kind < FIRST_CONTROL_NUMBER
    return isinstance(value, Framed) or any(
        isinstance(value, kind.classes) for kind in _TABLE if kind.number < FIRST_CONTROL_NUMBER
    )


def is_sendable(value: object) -> TypeGuard[AnyContent]:
    """Whether an app sends the value: all but receipts, which a client sends by itself."""
    return any(
        isinstance(value, kind.classes)
        for kind in _TABLE
        if kind.number < FIRST_CONTROL_NUMBER and kind is not RECEIPT
    )


def encode_alone(content: AnyContent | ControlAlone) -> tuple[int, bytes]:
    """Return kind and body (at most 69,632 bytes) of a content.

    Raises:
        InvalidArgument: what goes in a frame, without one.
    """
    if isinstance(content, UnsupportedContent):
        return content.kind, content.body
    if isinstance(content, Framed):
        return content.kind, content.content_body
    row = _row_of(content, in_frame=False)
    return row.number, row.encode(content)


def decode_alone(kind: int, body: bytes) -> AnyContent | ControlAlone:
    """Read content of a kind that is in the table; carry that of any other.

    Raises:
        DecodeError: malformed, too long, or not in its one encoding.
        UnsupportedVersion: a part of it is of a later version.
        InvalidArgument: a value that its class refuses, or kind 0.
    """
    row = _BY_NUMBER.get(kind)
    frame = Frame.decode(body) if has_frame(kind) else None
    if row is None:
        return UnsupportedContent(kind, body)
    if frame is not None:
        return _framed(row, frame, body)
    content: AnyContent | ControlAlone = row.decode(body)
    return content


def decode_unsupported(content: UnsupportedContent) -> Content:
    """Read again what could not be shown: after an upgrade, or once the app announces more.

    Returns:
        The content itself, without its frame (`content.frame` has that); or the same, if it is
        still not known.

    Raises:
        DecodeError: malformed.
        UnsupportedVersion: a part of it is of a later version.
        InvalidArgument: no `UnsupportedContent`.
    """
    require_type("content", content, UnsupportedContent)
    row, frame = _BY_NUMBER.get(content.kind), content.frame
    return content if row is None or frame is None else _framed(row, frame, content.body).content


def encode_inner(content: FramedContent) -> tuple[int, bytes]:
    """Return kind and body of a content as it is in a frame.

    Raises:
        InvalidArgument: a frame cannot hold it.
    """
    row = _row_of(content, in_frame=True)
    return row.number, row.encode(content)


def decode_inner(kind: int, body: bytes) -> FramedContent:
    """Read what was in a frame, of a kind in the table that has one; raises as `decode_alone`."""
    content: FramedContent = _BY_NUMBER[kind].decode(body)
    return content


def describe_inner(content: FramedContent) -> str:
    """Return what a content is in plain text, of any length, for who cannot show it.

    Raises:
        InvalidArgument: a frame cannot hold it.
    """
    text: str = _row_of(content, in_frame=True).describe(content)
    return text


def opening_key_of(content: AnyContent | ControlAlone) -> bytes | None:
    """The key that the digest of a message is made under, 32 bytes; None: it has no digest.

    Of kinds 1 and 2 it is known to everybody: a group has no digest of them.
    """
    if isinstance(content, UnsupportedContent):
        frame = content.frame
        return None if frame is None else frame.opening_key
    if isinstance(content, Framed):
        return content.opening_key
    return _NO_KEY if isinstance(content, Text | Bytes) else None


def _framed(row: ContentKind[Any], frame: Frame, content_body: bytes) -> Framed:
    """The same as `Framed(...)`, of what was read: its one encoding is not made again."""
    content: FramedContent = row.decode(frame.body)
    _require_fitting(content, frame)
    framed = object.__new__(Framed)
    for name, value in (
        ("content", content),
        ("opening_key", frame.opening_key),
        ("expiry", frame.expiry),
        ("view_once", frame.view_once),
        ("fallback", frame.fallback),
        ("kind", row.number),
        ("content_body", content_body),
    ):
        object.__setattr__(framed, name, value)
    return framed


def _require_fitting(content: FramedContent, frame: Frame) -> None:
    """Refuse what the frame of a content does not say of it."""
    if frame.expiry is not None and isinstance(content, Delete | Answer):
        raise InvalidArgument("expiry is not for a Delete or an Answer: both end with theirs")
    if frame.view_once and isinstance(content, Options | Reaction | Edit | Delete | Answer):
        raise InvalidArgument("view_once is for Text and Media, not for options or acts")


def _row_of(content: object, *, in_frame: bool) -> ContentKind[Any]:
    found = _BY_CLASS.get((type(content), in_frame))
    if found is not None:
        return found
    for row in _TABLE:  # a subclass goes as what it is a kind of
        if has_frame(row.number) is in_frame and isinstance(content, row.classes):
            return row
    where = "in a frame: not what Framed can hold" if in_frame else "alone: use Framed"
    raise InvalidArgument(f"content of class {type(content).__name__} cannot go {where}")

# SPDX-License-Identifier: Apache-2.0
"""What only the two ends see: the payload of a message, and the kinds of content.

Rules:
- The payload repeats what the envelope says, so that a back end that rewrites envelopes is
  caught.
- A kind of content from a newer sender is carried as `UnsupportedContent`, never a failure.
- Kinds from 2^31 on are what clients tell each other about messages: `RetryRequest`, `Resent`.
- Content never shows in a repr.
- Exactly one encoding, also of the content.

Source: docs/wire-format.md, payload.
"""

import re
from dataclasses import dataclass
from typing import Final

from e2ecross.address import Address
from e2ecross.arguments import require_bytes, require_type, require_whole_number
from e2ecross.crypto.keys import PUBLIC_KEY_BYTES
from e2ecross.crypto.secret import without_frames
from e2ecross.errors import DecodeError, InvalidArgument, RemoteError, UnsupportedVersion
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.encoding import (
    decode_address,
    encode_address,
    parse,
    require_canonical,
    serialize,
)
from e2ecross.wire.limits import (
    MAX_CONTENT_BODY_BYTES,
    MAX_CONTENT_BYTES,
    MAX_PLAINTEXT_BYTES,
    MESSAGE_ID_BYTES,
)
from e2ecross.wire.padding import pad, unpad

__all__ = [
    "Bytes",
    "Content",
    "Payload",
    "PayloadContent",
    "Resent",
    "RetryRequest",
    "Text",
    "UnsupportedContent",
    "decode_content",
    "decode_payload",
    "encode_content",
    "encode_payload",
]

_PAYLOAD_VERSION: Final = 1
_KIND_TEXT: Final = 1
_KIND_BYTES: Final = 2
_KIND_RETRY_REQUEST: Final = 2**31 + 1
_KIND_RESENT: Final = 2**31 + 2
_KNOWN_KINDS: Final = (_KIND_TEXT, _KIND_BYTES, _KIND_RETRY_REQUEST, _KIND_RESENT)
_MAX_RESENT_BYTES: Final = MAX_CONTENT_BODY_BYTES + 64
"""The largest content with the id, time and kind of its first copy."""
_REASON: Final = re.compile("[a-z_]{1,64}")
_MAX_UINT64: Final = 2**64 - 1
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Text:
    """A text message.

    Attributes:
        text: at most 65,536 bytes in UTF-8.

    Raises:
        InvalidArgument: not a string, too long, or not encodable (a lone surrogate).
    """

    text: str

    def __post_init__(self) -> None:
        require_type("text", self.text, str)
        # Not by try and except: the library's error holds the text, and would stay in the chain.
        if _LONE_SURROGATE.search(self.text):
            raise InvalidArgument("text holds a character that UTF-8 cannot encode")
        _check_size("text", len(self.text.encode()))

    def __repr__(self) -> str:
        return f"<Text of {len(self.text)} characters>"


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
        _check_size("data", len(self.data))

    def __repr__(self) -> str:
        return f"<Bytes of {len(self.data)} bytes>"


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
        if self.kind in _KNOWN_KINDS:
            raise InvalidArgument(f"kind {self.kind} is supported: use its own class")
        require_bytes("body", self.body)
        if len(self.body) > MAX_CONTENT_BODY_BYTES:
            raise InvalidArgument(f"body has more than {MAX_CONTENT_BODY_BYTES} bytes")

    def __repr__(self) -> str:
        return f"<UnsupportedContent of kind {self.kind}, {len(self.body)} bytes>"


Content = Text | Bytes | UnsupportedContent


@dataclass(frozen=True, slots=True)
class RetryRequest:
    """One client tells another that a message of theirs could not be read; `Client` answers.

    Attributes:
        message_id: of the envelope that failed, 16 bytes.
        ratchet_key: of the Signal message in it, 33 bytes, or None when it could not be told.
        counter: of that message, 0 to 2^32-1; 0 without a ratchet key.
        reason: `code` of the error: 1 to 64 of a-z and _.

    Raises:
        InvalidArgument: a field has the wrong type, length or value.
    """

    message_id: bytes
    ratchet_key: bytes | None
    counter: int
    reason: str

    def __post_init__(self) -> None:
        require_bytes("message_id", self.message_id, MESSAGE_ID_BYTES)
        if self.ratchet_key is not None:
            require_bytes("ratchet_key", self.ratchet_key, PUBLIC_KEY_BYTES)
        require_whole_number("counter", self.counter)
        if self.ratchet_key is None and self.counter:
            raise InvalidArgument("counter must be 0 without a ratchet_key")
        require_type("reason", self.reason, str)
        if not _REASON.fullmatch(self.reason):
            raise InvalidArgument("reason must be 1 to 64 of a-z and _")


@dataclass(frozen=True, slots=True)
class Resent:
    """A message that was sent before, under another envelope and perhaps another session.

    Attributes:
        message_id: of its first envelope, 16 bytes.
        sent_at_ms: when it was first sent by the sender's clock, milliseconds since 1970.
        content: what it holds; never a `Resent` again.

    Raises:
        InvalidArgument: a field has the wrong type, length or value.
    """

    message_id: bytes
    sent_at_ms: int
    content: Content | RetryRequest

    def __post_init__(self) -> None:
        require_bytes("message_id", self.message_id, MESSAGE_ID_BYTES)
        require_whole_number("sent_at_ms", self.sent_at_ms, high=_MAX_UINT64)
        require_type("content", self.content, Text, Bytes, UnsupportedContent, RetryRequest)


PayloadContent = Content | RetryRequest | Resent


@dataclass(frozen=True, slots=True)
class Payload:
    """The plaintext of an envelope's Signal message, without its padding.

    Attributes:
        sender: who sent it.
        recipient: the device that it was encrypted to.
        message_id: 16 bytes.
        registration_id: the sender's, 0 to 2^32-1.
        sent_at_ms: the sender's clock, milliseconds since 1970.
        content: what the user sent.
    """

    sender: Address
    recipient: Address
    message_id: bytes
    registration_id: int
    sent_at_ms: int
    content: PayloadContent


def encode_content(content: PayloadContent) -> tuple[int, bytes]:
    """Return content kind and body, at most 65,604 bytes."""
    if isinstance(content, Text):
        return _KIND_TEXT, serialize(content_pb2.Text(text=content.text))
    if isinstance(content, Bytes):
        return _KIND_BYTES, serialize(content_pb2.Bytes(data=content.data))
    if isinstance(content, RetryRequest):
        return _KIND_RETRY_REQUEST, serialize(
            content_pb2.RetryRequest(
                message_id=content.message_id,
                ratchet_key=content.ratchet_key or b"",
                counter=content.counter,
                reason=content.reason,
            )
        )
    if isinstance(content, Resent):
        kind, body = encode_content(content.content)
        return _KIND_RESENT, serialize(
            content_pb2.Resent(
                message_id=content.message_id,
                sent_at_ms=content.sent_at_ms,
                content_kind=kind,
                content_body=body,
            )
        )
    return content.kind, content.body


def decode_content(kind: int, body: bytes) -> PayloadContent:
    """Read content of a known kind; carry that of any other.

    Raises:
        DecodeError: malformed, too long, not in its one encoding, or kind 0.
    """
    try:
        if kind == _KIND_RESENT:
            return _decode_resent(body)
        return _decode_once(kind, body)
    except InvalidArgument as error:
        raise DecodeError(f"a content is not acceptable: {error}") from error


def encode_payload(payload: Payload) -> bytes:
    """Return the padded plaintext to encrypt."""
    kind, body = encode_content(payload.content)
    return pad(
        serialize(
            content_pb2.Payload(
                version=_PAYLOAD_VERSION,
                sender=encode_address(payload.sender),
                destination=content_pb2.Destination(recipient=encode_address(payload.recipient)),
                message_id=payload.message_id,
                registration_id=payload.registration_id,
                sent_at_ms=payload.sent_at_ms,
                content_kind=kind,
                content_body=body,
            )
        )
    )


def decode_payload(padded: bytes) -> Payload:
    """Read a decrypted plaintext.

    Raises:
        DecodeError: not padded, malformed, not in its one encoding, or without a field.
        UnsupportedVersion: a payload of a later version.
    """
    try:
        return _decode_payload(padded)
    except RemoteError as error:
        del padded  # a peer who sends nonsense must not have it reported with the frame
        raise without_frames(error)  # noqa: B904 - the error itself, without a cause


def _decode_payload(padded: bytes) -> Payload:
    data = unpad(padded)
    fields = parse(content_pb2.Payload, data, "a payload", MAX_PLAINTEXT_BYTES)
    if fields.version > _PAYLOAD_VERSION:
        raise UnsupportedVersion(
            f"payload version {fields.version} is not supported, only 1 is: upgrade e2ecross"
        )
    require_canonical(fields, data, "a payload")
    if fields.version != _PAYLOAD_VERSION or len(fields.message_id) != MESSAGE_ID_BYTES:
        raise DecodeError("a payload lacks a field")
    return Payload(
        sender=decode_address(fields.sender),
        recipient=decode_address(fields.destination.recipient),
        message_id=fields.message_id,
        registration_id=fields.registration_id,
        sent_at_ms=fields.sent_at_ms,
        content=decode_content(fields.content_kind, fields.content_body),
    )


def _decode_once(kind: int, body: bytes) -> Content | RetryRequest:
    if kind == _KIND_TEXT:
        text = parse(content_pb2.Text, body, "a text", MAX_CONTENT_BODY_BYTES)
        require_canonical(text, body, "a text")
        return Text(text.text)
    if kind == _KIND_BYTES:
        data = parse(content_pb2.Bytes, body, "a content", MAX_CONTENT_BODY_BYTES)
        require_canonical(data, body, "a content")
        return Bytes(data.data)
    if kind == _KIND_RETRY_REQUEST:
        what = "a retry request"
        asked = parse(content_pb2.RetryRequest, body, what, MAX_CONTENT_BODY_BYTES)
        require_canonical(asked, body, what)
        return RetryRequest(
            asked.message_id, asked.ratchet_key or None, asked.counter, asked.reason
        )
    return UnsupportedContent(kind, body)  # also a message sent again inside another: refused


def _decode_resent(body: bytes) -> Resent:
    what = "a message that is sent again"
    fields = parse(content_pb2.Resent, body, what, _MAX_RESENT_BYTES)
    require_canonical(fields, body, what)
    content = _decode_once(fields.content_kind, fields.content_body)
    return Resent(fields.message_id, fields.sent_at_ms, content)


def _check_size(name: str, size: int) -> None:
    if size > MAX_CONTENT_BYTES:
        raise InvalidArgument(f"{name} has {size} bytes, more than the {MAX_CONTENT_BYTES} allowed")

# SPDX-License-Identifier: Apache-2.0
"""What a content says of others: `MessageRef` names one message, `Mention` somebody in a text."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from e2ecross.address import UserId
from e2ecross.arguments import require_bytes, require_type, require_whole_number
from e2ecross.errors import InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content.frame import Expiry
from e2ecross.wire.encoding import decode_user, encode_user
from e2ecross.wire.limits import MESSAGE_ID_BYTES

__all__ = [
    "DIGEST_BYTES",
    "Mention",
    "MessageRef",
    "decode_mentions",
    "decode_ref",
    "encode_mentions",
    "encode_ref",
    "require_mentions",
]

DIGEST_BYTES: Final = 32
_MAX_MENTIONS: Final = 64


@dataclass(frozen=True, slots=True)
class MessageRef:
    """One message, by who wrote it, its id, and what it says.

    Attributes:
        author: the account that sent it.
        message_id: 16 bytes.
        digest: its commitment, 32 bytes: another content under that id has another.
        expiry: of that message. It is known here alone: it is neither sent nor compared.

    Raises:
        InvalidArgument: a field has the wrong type or length.
    """

    author: UserId
    message_id: bytes
    digest: bytes
    expiry: Expiry | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        require_type("author", self.author, UserId)
        require_bytes("message_id", self.message_id, MESSAGE_ID_BYTES)
        require_bytes("digest", self.digest, DIGEST_BYTES)
        if self.expiry is not None:
            require_type("expiry", self.expiry, Expiry)


@dataclass(frozen=True, slots=True)
class Mention:
    """A part of a text that names somebody.

    Attributes:
        start: where it begins in the text, in code points.
        length: of it, at least 1 code point.
        user: who it is; may be given as text, such as "instagram:budi".

    Raises:
        InvalidArgument: a field has the wrong type or value.
    """

    start: int
    length: int
    user: UserId

    if TYPE_CHECKING:

        def __init__(self, start: int, length: int, user: UserId | str) -> None: ...

    def __post_init__(self) -> None:
        require_whole_number("start", self.start)
        require_whole_number("length", self.length, low=1)
        if isinstance(self.user, str):
            try:
                user = UserId.parse(self.user)
            except InvalidArgument as error:
                raise InvalidArgument(f"user is not acceptable: {error}") from error
            object.__setattr__(self, "user", user)
        require_type("user", self.user, UserId)


def require_mentions(text: str, mentions: tuple[Mention, ...]) -> None:
    """Raise `InvalidArgument` unless they are at most 64, in order and apart, and in the text."""
    require_type("mentions", mentions, tuple)
    if len(mentions) > _MAX_MENTIONS:
        raise InvalidArgument(f"mentions must be at most {_MAX_MENTIONS}, not {len(mentions)}")
    for mention in mentions:
        require_type("mentions", mention, Mention)
        if mention.start + mention.length > len(text):
            raise InvalidArgument("mentions must lie in the text: one ends behind it")
    if any(one.start + one.length > other.start for one, other in pairwise(mentions)):
        raise InvalidArgument("mentions must be in the order of the text, and must not overlap")


def encode_ref(ref: MessageRef) -> content_pb2.MessageRef:
    """The protobuf form of a reference."""
    return content_pb2.MessageRef(
        author=encode_user(ref.author), message_id=ref.message_id, digest=ref.digest
    )


def decode_ref(fields: content_pb2.MessageRef) -> MessageRef:
    """Check a reference from outside.

    Raises:
        DecodeError: it is not there, or its author does not match the grammar.
        InvalidArgument: another field that is not acceptable.
    """
    return MessageRef(decode_user(fields.author), fields.message_id, fields.digest)


def encode_mentions(mentions: Iterable[Mention]) -> list[content_pb2.Mention]:
    """The protobuf form of mentions."""
    return [
        content_pb2.Mention(
            start=mention.start, length=mention.length, user=encode_user(mention.user)
        )
        for mention in mentions
    ]


def decode_mentions(fields: Iterable[content_pb2.Mention]) -> tuple[Mention, ...]:
    """Check mentions from outside; raises as `decode_ref`."""
    return tuple(Mention(each.start, each.length, decode_user(each.user)) for each in fields)

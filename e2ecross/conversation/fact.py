# SPDX-License-Identifier: Apache-2.0
"""`Fact`: one message as a timeline takes it in.

Rules:
- Who said it, where and when comes from what was authenticated, never from the content.
"""

from dataclasses import dataclass
from typing import Final, TypeGuard

from e2ecross.address import UserId
from e2ecross.wire.content import (
    Answer,
    Bytes,
    Delete,
    Edit,
    Frame,
    Framed,
    Reaction,
    Receipt,
    Text,
    UnsupportedContent,
)

__all__ = ["ACTS", "Act", "Fact", "Post", "frame_of", "is_post", "is_view_once"]

Post = Text | Bytes | Framed | UnsupportedContent
"""What a person sees, as it travels."""
Act = Reaction | Edit | Delete | Answer
"""What is done to a post."""
ACTS: Final = (Reaction, Edit, Delete, Answer)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Fact:
    """One message, own or of others.

    Attributes:
        author: the account that sent it.
        message_id: 16 bytes.
        sent_at_ms: milliseconds since 1970 by the sender's clock.
        digest: of it, 32 bytes; of a receipt empty.
        content: what it says, of an act without its frame; None of a post that is not shown here.
        addressee: of a receipt alone: who wrote the messages that it is about.
        moderator: the author was owner or admin of the group when it came.
    """

    author: UserId
    message_id: bytes
    sent_at_ms: int
    digest: bytes
    content: Post | Act | Receipt | None
    addressee: UserId | None = None
    moderator: bool = False

    def targets(self) -> tuple[tuple[UserId, bytes], ...]:
        """The messages that it says something of: who wrote each, and its id."""
        if isinstance(self.content, Receipt):
            author = self.addressee or self.author
            return tuple((author, message_id) for message_id in self.content.message_ids)
        if isinstance(self.content, ACTS):
            return ((self.content.target.author, self.content.target.message_id),)
        return ((self.author, self.message_id),)


def is_post(content: object) -> TypeGuard[Post]:
    """Whether a content, as it travels, is something that a person sees."""
    if isinstance(content, Framed):
        return not isinstance(content.content, ACTS)
    return isinstance(content, Text | Bytes | UnsupportedContent)


def frame_of(post: Post) -> Frame | Framed | None:
    """What is around it; None of a text or bytes that came without."""
    if isinstance(post, UnsupportedContent):
        return post.frame
    return post if isinstance(post, Framed) else None


def is_view_once(post: Post) -> bool:
    """Whether it can be looked at once."""
    frame = frame_of(post)
    return frame is not None and frame.view_once

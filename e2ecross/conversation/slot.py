# SPDX-License-Identifier: Apache-2.0
"""`Slot`: all that a timeline knows of one message, before and after it came."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from e2ecross.address import UserId
from e2ecross.conversation.fact import Act, Post
from e2ecross.conversation.order import Order
from e2ecross.wire.content import Delete
from e2ecross.wire.timeline_records import ActRecord

__all__ = ["DoneAct", "Key", "Place", "PostState", "Slot", "empty_slot", "key_of"]

Key = tuple[str, bytes]
"""Which message: the account that wrote it, as text, and its id."""
Place = tuple[int, str, bytes]
"""What an account has one act of: the kind, the account as text, the digest of the target."""

_NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})
"""One for all slots: most messages have no acts."""


class PostState(enum.IntEnum):
    """What became of the message itself."""

    WAITING = 0
    """It has not come."""
    HERE = 1
    """It has; without its content it was deleted."""
    CONFLICTING = 2
    """Two came under its id."""
    GONE = 3
    """It was opened, or its time is over: in this timeline alone."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class DoneAct:
    """An act, and who did it.

    Attributes:
        act: what was done.
        record: the same as it is kept, and by whom and when.
        size: of the record, bytes.
    """

    act: Act
    record: ActRecord
    size: int

    @property
    def is_delete(self) -> bool:
        """Whether it takes the message away."""
        return isinstance(self.act, Delete)

    @property
    def rank(self) -> tuple[int, bytes, bytes]:
        """Of several acts of one account the greatest counts. Deletes are all alike."""
        number = 0 if isinstance(self.act, Delete) else self.act.number
        return number, self.record.message_id, self.record.digest


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Slot:
    """What is known of one message.

    Attributes:
        author: who wrote it.
        key: the same as text, and its id, 16 bytes.
        state: what became of it.
        sent_at_ms: milliseconds since 1970 by its sender's clock; 0 while it has not come.
        digest: of it, 32 bytes; empty while it has not come, or if two have.
        content: what it says; None unless it is there and not deleted.
        acts: what was done to it.
        receipts: who has got or read it, by account as text.
    """

    author: UserId
    key: Key
    state: PostState = PostState.WAITING
    sent_at_ms: int = 0
    digest: bytes = b""
    content: Post | None = None
    acts: Mapping[Place, DoneAct] = field(default_factory=lambda: _NOTHING)
    receipts: Mapping[str, tuple[UserId, int]] = field(default_factory=lambda: _NOTHING)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known."""
        return not (self.state or self.acts or self.receipts)

    @property
    def is_waiting(self) -> bool:
        """Whether neither the message has come, nor that it is deleted."""
        return not self.state and not any(done.is_delete for done in self.acts.values())

    @property
    def accounts(self) -> set[str]:
        """Who has said something of it, as text."""
        return {place[1] for place in self.acts} | {*self.receipts}

    @property
    def order(self) -> Order:
        """Its place in the conversation. Of what has not come the first act decides."""
        sent_at_ms = self.sent_at_ms
        if not self.state:
            sent_at_ms = min((done.record.sent_at_ms for done in self.acts.values()), default=0)
        return (sent_at_ms, *self.key)


def key_of(author: UserId, message_id: bytes) -> Key:
    """Under what a slot is found."""
    return str(author), message_id


def empty_slot(author: UserId, message_id: bytes) -> Slot:
    """What is known of a message of which nothing has come."""
    return Slot(author, key_of(author, message_id))

# SPDX-License-Identifier: Apache-2.0
"""`Timeline`: messages become a conversation, whatever the order in which they come.

Rules:
- It belongs to the app, one for each conversation; nothing of the store or the back end is in it.
- What came twice, late, or after a restart gives the same conversation, on every device and at
  both ends.
- Who may not edit, delete or react has no effect, and neither has an act on something else.

Source: docs/wire-format.md, timelines.
"""

from collections.abc import Iterable
from typing import NamedTuple

from e2ecross.address import Recipient
from e2ecross.arguments import require_list, require_type, require_whole_number
from e2ecross.client.sent import Sent
from e2ecross.conversation.entry import Entry, EntryKind, entry_of, is_choice, is_edit
from e2ecross.conversation.fact import ACTS, Act, Fact, Post, is_post, is_view_once
from e2ecross.conversation.slot import Slot
from e2ecross.conversation.timeline import Slots
from e2ecross.device.recipient import recipient_address
from e2ecross.errors import InvalidArgument
from e2ecross.state.inbox import InboxItem
from e2ecross.state.message import FailedMessage, Message
from e2ecross.state.notice import Notice
from e2ecross.wire.content import (
    Answer,
    AnyContent,
    Delete,
    Edit,
    Framed,
    Mention,
    MessageRef,
    Options,
    Reaction,
    Receipt,
)

__all__ = ["Timeline"]

_NOT_GONE = (EntryKind.POST, EntryKind.UNSUPPORTED)


class Timeline:
    """A conversation with one account, or of one group, as an app shows it.

    It is not for several threads at once.

    Args:
        own: the account of the app's user, or its text, such as "whatsapp:ana"; or an address.

    Raises:
        InvalidArgument: it is none of these.
    """

    __slots__ = ("_slots",)

    def __init__(self, own: Recipient) -> None:
        self._slots = Slots(recipient_address(own, "own").user_id)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All messages in order: by when their senders say that they were sent.

        They are made anew with each call, which takes the longer the more there are: `add` gives
        what changes.
        """
        return self._slots.entries

    def add(self, item: InboxItem | Sent) -> tuple[Entry, ...]:
        """Take in what `Client.receive` or `send` has returned, of this conversation.

        Beyond 50,000 messages, or 64 MiB, the first in order leave.

        Returns:
            The entries that it has changed, in order; none where it is about a message that has
            not come, or is nothing that is shown.

        Raises:
            InvalidArgument: it is none of them, or was sent by another account than the own one.
        """
        fact = self._fact(item)
        return () if fact is None else self._slots.add(fact)

    def reaction(self, entry: Entry, emoji: str) -> Reaction:
        """Return a reaction to send; an empty `emoji` takes back the one before.

        Raises:
            InvalidArgument: not an entry of this timeline that is shown; emoji over 32 bytes.
        """
        target = self._target(entry, *_NOT_GONE)
        return Reaction(target.ref, target.next_number, emoji)

    def edit(self, entry: Entry, text: str, mentions: tuple[Mention, ...] = ()) -> Edit:
        """Return another text to send for an own message; of media the caption.

        Raises:
            InvalidArgument: not an entry of this timeline with an own text or media, or to be
                viewed once; text that is empty where it is no caption, or over 65,536 bytes;
                mentions that are not acceptable.
        """
        target = self._target(entry, EntryKind.POST)
        edit = Edit(target.ref, target.next_number, text, mentions)
        content = target.slot.content
        if target.slot.author != self._slots.own or content is None or not is_edit(content, edit):
            raise InvalidArgument("entry must be an own one, with a text or media to edit")
        return edit

    def delete(self, entry: Entry) -> Delete:
        """Return a delete to send. Of others' messages only owners and admins of a group may.

        Raises:
            InvalidArgument: not an entry of this timeline, or deleted, or conflicting.
        """
        return Delete(self._target(entry, *_NOT_GONE, EntryKind.GONE).ref)

    def answer(self, entry: Entry, chosen: Iterable[int]) -> Answer:
        """Return an answer to send; an empty one takes back the one before.

        Args:
            entry: of a message with options.
            chosen: places of labels, from 0, in any order.

        Raises:
            InvalidArgument: not an entry of this timeline with options, or these cannot be chosen.
        """
        target = self._target(entry, EntryKind.POST)
        places = require_list("chosen", chosen)
        for place in places:
            require_whole_number("chosen", place)
        answer = Answer(target.ref, target.next_number, tuple(sorted(places)))
        if target.options is None or not is_choice(target.options, answer.chosen):
            raise InvalidArgument("chosen must be places of labels that the entry offers")
        return answer

    def expire(self, entry: Entry) -> None:
        """Take away what a message says: it was viewed, or its time is over. Here alone.

        Raises:
            InvalidArgument: not an entry of this timeline.
        """
        self._slots.expire(self._slot(entry))

    def to_bytes(self) -> bytes:
        """Return it encoded, at most 64 MiB. It holds plaintext and keys: encrypt it at rest."""
        return self._slots.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Timeline":
        """Read what `to_bytes` has given.

        Raises:
            InvalidArgument: not bytes.
            DecodeError: malformed, over 64 MiB or 50,000 messages, or not in its one encoding.
            UnsupportedVersion: of a later version.
        """
        slots = Slots.from_bytes(data)
        new = cls(slots.own)
        new._slots = slots
        return new

    def _fact(self, item: InboxItem | Sent) -> Fact | None:
        require_type("item", item, Message, FailedMessage, Notice, Sent)
        own = self._slots.own
        if isinstance(item, Sent):
            if item.ref is not None and item.ref.author != own:
                raise InvalidArgument(f"item was sent by {item.ref.author}, not by {own}")
            return self._said(item, item.content)
        if not isinstance(item, Message) or item.expired:
            return None
        if isinstance(item.content, Receipt):
            addressee = item.peer if item.own_copy else own
            author = item.sender.user_id
            return Fact(author, item.message_id, item.sent_at_ms, b"", item.content, addressee)
        return self._said(item, item.framed or item.content)

    def _said(self, item: Message | Sent, content: AnyContent | None) -> Fact | None:
        """A message that has a digest; None of what is nothing for a timeline."""
        ref = item.ref
        if ref is None:
            return None
        inner = content.content if isinstance(content, Framed) else content
        said: Post | Act | None
        is_own = ref.author == self._slots.own
        if isinstance(inner, ACTS):
            said = inner
        elif content is None or (is_post(content) and is_own and is_view_once(content)):
            said = None  # who has sent what is viewed once does not see it either
        elif is_post(content):
            said = content
        else:
            return None
        return Fact(
            *(ref.author, ref.message_id, item.sent_at_ms, ref.digest, said),
            moderator=item.moderator,
        )

    def _slot(self, entry: Entry) -> Slot:
        require_type("entry", entry, Entry)
        slot = self._slots.find(entry.author, entry.message_id)
        # An entry without a reference is one of a conflicting message, and so may its slot be now.
        if slot is None or (entry.ref and slot.digest not in (b"", entry.ref.digest)):
            raise InvalidArgument("entry is not of this timeline, or has left it")
        return slot

    def _target(self, entry: Entry, *kinds: EntryKind) -> "_Target":
        """What an act is built for, as it is known now."""
        slot = self._slot(entry)
        now = entry_of(slot)
        if now is None or now.ref is None or now.kind not in kinds:
            raise InvalidArgument(f"entry must be one of kind {' or '.join(kinds)} for that")
        numbers = [
            done.rank[0] for done in slot.acts.values() if done.record.author == self._slots.own
        ]
        return _Target(slot, now.ref, now.options, max(numbers, default=0) + 1)


class _Target(NamedTuple):
    slot: Slot
    ref: MessageRef
    options: Options | None
    next_number: int

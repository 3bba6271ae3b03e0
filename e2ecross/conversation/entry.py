# SPDX-License-Identifier: Apache-2.0
"""`Entry`: one message of a conversation as it is to be shown.

Rules:
- Of an account's edits, reactions and answers the last one counts, or none: whether it may count
  is asked of it alone.
- An edit changes text and mentions, of media the caption; never options or what is viewed once.
- Nothing here is fit to be shown as it is: `display_text`.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from e2ecross.address import UserId
from e2ecross.conversation.fact import Post, frame_of, is_view_once
from e2ecross.conversation.slot import DoneAct, PostState, Slot
from e2ecross.wire.content import (
    Answer,
    Edit,
    Framed,
    Media,
    Mention,
    MessageRef,
    Options,
    Reaction,
    Text,
    UnsupportedContent,
)

__all__ = ["Entry", "EntryKind", "entry_of", "is_choice", "is_edit"]


class EntryKind(enum.StrEnum):
    """What an entry shows."""

    POST = "post"
    UNSUPPORTED = "unsupported"
    """What this app does not show: its text is what its sender says in place of it."""
    DELETED = "deleted"
    CONFLICTING = "conflicting"
    """Its sender has sent two contents under one id: neither is shown."""
    GONE = "gone"
    """It was to be viewed once, or its time is over."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a conversation, with all that was done to it.

    Attributes:
        author: who wrote it.
        message_id: 16 bytes.
        sent_at_ms: milliseconds since 1970, as its sender says.
        kind: what is shown of it. But for a post everything below is empty, except the text of what
            is not supported and its reactions, `receipts` and `deleted_by`.
        ref: by which replies and acts name it; None if it is conflicting.
        text: as last edited; of media the caption, of options the question.
        mentions: parts of the text that name somebody.
        first_text: the text as it was first sent.
        edited: whether it was edited.
        media: what was sent with it, or None.
        options: what can be chosen, or None.
        reply_to: the message that it answers, or None. Show nothing of one that is not a post now.
        view_once: it is to be shown once: call `Timeline.expire` then.
        reactions: who reacts how, in the order of accounts.
        answers: who has chosen which of the options, by place from 0, in the order of accounts.
        receipts: who has got it (1) or read it (2), in the order of accounts.
        deleted_by: `author` or `moderator` if it is deleted, else empty.
    """

    author: UserId
    message_id: bytes
    sent_at_ms: int
    kind: EntryKind
    ref: MessageRef | None = None
    text: str = field(default="", repr=False)
    mentions: tuple[Mention, ...] = field(default=(), repr=False)
    first_text: str = field(default="", repr=False)
    edited: bool = False
    media: Media | None = None
    options: Options | None = None
    reply_to: MessageRef | None = None
    view_once: bool = False
    reactions: tuple[tuple[UserId, str], ...] = field(default=(), repr=False)
    answers: tuple[tuple[UserId, tuple[int, ...]], ...] = field(default=(), repr=False)
    receipts: tuple[tuple[UserId, int], ...] = ()
    deleted_by: str = ""


def entry_of(slot: Slot) -> Entry | None:
    """Return what is to be shown of a message; None while it has not come."""
    if not slot.state:
        return None
    receipts = tuple(slot.receipts[account] for account in sorted(slot.receipts))
    common = (slot.author, slot.key[1], slot.sent_at_ms)
    if slot.state is PostState.CONFLICTING:
        return Entry(*common, EntryKind.CONFLICTING, receipts=receipts)
    if slot.content is not None:
        return _post(slot, slot.content, receipts)
    ref = MessageRef(slot.author, slot.key[1], slot.digest)
    if slot.state is PostState.GONE:
        return Entry(*common, EntryKind.GONE, ref, receipts=receipts)
    by_author = any(done.record.author == slot.author for done in slot.acts.values())
    deleted_by = "author" if by_author else "moderator"
    return Entry(*common, EntryKind.DELETED, ref, receipts=receipts, deleted_by=deleted_by)


def is_edit(post: Post, edit: Edit) -> bool:
    """Whether it counts as an edit of that message, whoever made it."""
    shown = post.content if isinstance(post, Framed) else post
    if is_view_once(post):
        return False
    return isinstance(shown, Media) or (isinstance(shown, Text) and edit.text != "")


def is_choice(options: Options, chosen: tuple[int, ...]) -> bool:
    """Whether that can be chosen of some options; nothing can."""
    return len(chosen) <= options.max_choices and all(
        place < len(options.labels) for place in chosen
    )


def _post(slot: Slot, post: Post, receipts: tuple[tuple[UserId, int], ...]) -> Entry:
    acts = [slot.acts[place] for place in sorted(slot.acts)]
    frame = frame_of(post)
    ref = MessageRef(slot.author, slot.key[1], slot.digest, None if frame is None else frame.expiry)
    bare = Entry(
        *(slot.author, slot.key[1], slot.sent_at_ms, EntryKind.UNSUPPORTED, ref),
        text="" if frame is None else frame.fallback,
        view_once=frame is not None and frame.view_once,
        reactions=tuple(_reactions(acts)),
        receipts=receipts,
    )
    if isinstance(post, UnsupportedContent):
        return bare
    content = post.content if isinstance(post, Framed) else post
    text, mentions = _text_of(content)
    edits = [done.act for done in acts if isinstance(done.act, Edit) and is_edit(post, done.act)]
    options = content if isinstance(content, Options) else None
    return replace(
        bare,
        kind=EntryKind.POST,
        text=edits[0].text if edits else text,
        mentions=edits[0].mentions if edits else mentions,
        first_text=text,
        edited=bool(edits),
        media=content if isinstance(content, Media) else None,
        options=options,
        reply_to=content.reply_to if isinstance(content, Text | Media) else None,
        answers=tuple(_answers(acts, options)) if options is not None else (),
    )


def _text_of(content: object) -> tuple[str, tuple[Mention, ...]]:
    match content:
        case Text(text, mentions) | Media(_, text, mentions):
            return text, mentions
        case Options(question):
            return question, ()
    return "", ()  # bytes that only the app can read


def _reactions(acts: list[DoneAct]) -> Iterator[tuple[UserId, str]]:
    for done in acts:
        if isinstance(done.act, Reaction) and done.act.emoji:
            yield done.record.author, done.act.emoji


def _answers(acts: list[DoneAct], options: Options) -> Iterator[tuple[UserId, tuple[int, ...]]]:
    for done in acts:
        act = done.act
        if isinstance(act, Answer) and act.chosen and is_choice(options, act.chosen):
            yield done.record.author, act.chosen

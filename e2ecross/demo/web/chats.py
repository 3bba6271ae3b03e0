# SPDX-License-Identifier: Apache-2.0
"""The chats that a phone of the page shows: what comes and goes becomes events.

Rules:
- What is shown is what a `Timeline` makes of it, in whichever order it came.
- Only what has changed is told.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from e2ecross.address import UserId
from e2ecross.client.client import Client
from e2ecross.client.sent import Sent
from e2ecross.client.timeline import Timeline
from e2ecross.conversation.display import display_text
from e2ecross.conversation.entry import Entry
from e2ecross.demo.web.notices import Told, tell_failure, tell_notice
from e2ecross.errors import E2ECrossError, InvalidArgument
from e2ecross.state.inbox import InboxItem
from e2ecross.state.message import FailedMessage, Message
from e2ecross.state.notice import Notice
from e2ecross.wire.content import Media, Reaction, Receipt
from e2ecross.wire.group import GroupId, is_group_text

__all__ = ["TAKEN_TWICE", "Chats"]

TAKEN_TWICE: Final = "taken_twice"
"""The code of a notice that never should come: the library has handed a message out once more."""

_MOST_UNREAD: Final = 256
"""Of a chat; of older ones no receipt is sent."""
_MOST_SHOWN: Final = 5_000
"""Messages of a chat of which it is remembered what was told."""
_STATUS: Final = ("sent", "delivered", "read")

Say = Callable[[Mapping[str, Any]], None]
Shown = dict[tuple[str, bytes], "_Shown"]


@dataclass
class _Shown:
    """What was told of a message."""

    reactions: dict[str, str] = field(default_factory=dict)
    status: str = ""


@dataclass
class _Chat:
    """A chat, with what is known of it here."""

    timeline: Timeline
    members: tuple[str, ...] = ()
    shown: Shown = field(default_factory=dict)
    unread: deque[Message[Any]] = field(default_factory=lambda: deque(maxlen=_MOST_UNREAD))


class Chats:
    """The chats of one phone; for several threads.

    Args:
        client: of the phone, in the thread that makes this.
        names: how users are called.
        say: hears events, without the phone's own name.
        fetch: brings the file of a message here, and returns where it is; None: it could not.
    """

    def __init__(
        self,
        client: Client,
        names: Mapping[str, str],
        say: Say,
        fetch: Callable[[Media], Path | None],
    ) -> None:
        self._client = client
        self._own = str(client.device.address.user_id)
        self._names = names
        self._say = say
        self._fetch = fetch
        self._chats: dict[str, _Chat] = {}
        self._lock = threading.RLock()

    def reopen(self, client: Client) -> None:
        """Go on with another client of the same device."""
        with self._lock:
            self._client = client

    def open(self, name: str) -> None:
        """Show a chat, if it is not shown yet."""
        with self._lock:
            self._find(name)

    def take(self, item: InboxItem | Sent, picture: Path | None = None) -> None:
        """Take in what was received or sent, and tell what it changes.

        Args:
            item: it.
            picture: the file of what was sent, if it has one.
        """
        if isinstance(item, Message) and isinstance(item.content, Media):
            picture = self._fetch(item.content)  # before the lock: it takes a while
        with self._lock:
            if isinstance(item, Notice):
                self._notice(item)
            elif isinstance(item, FailedMessage):
                self._failed(item)
            else:
                self._said(item, picture)

    def react(self, name: str, target: bytes, emoji: str) -> Reaction:
        """Return a reaction to send.

        Raises:
            InvalidArgument: there is no such chat, the message (16 bytes) is not shown there, or
                the emoji is too long.
        """
        with self._lock:
            timeline = self._known(name).timeline
            for entry in timeline.entries:
                if entry.message_id == target:
                    return timeline.reaction(entry, emoji)
        raise InvalidArgument("this message is not in the chat any more")

    def take_unread(self, name: str) -> list[Message[Any]]:
        """Return what was not read yet, and count it as read.

        Raises:
            InvalidArgument: there is no such chat.
        """
        with self._lock:
            chat = self._known(name)
            unread = list(chat.unread)
            chat.unread.clear()
        return unread

    # --- What becomes of items ------------------------------------------------------------------

    def _said(self, item: Message[Any] | Sent, picture: Path | None) -> None:
        name = _chat_of(item)
        chat = self._find(name)
        if isinstance(item, Message):
            if item.identity_changed:
                told = f"{self._name(str(item.sender.user_id))} writes with another key than before"
                self._tell(name, Told(f"{told}: compare the safety number.", alarm=True))
            if not item.own_copy and not isinstance(item.content, Receipt | Reaction):
                chat.unread.append(item)
            if _is_shown(chat, item) and not item.redelivered:
                twice = Told("A message has come a second time, and was taken again.", alarm=True)
                self._tell(name, twice, TAKEN_TWICE, item.message_id.hex())
        elif not any(not each.problem for each in item.deliveries):
            self._tell(name, Told("The message has reached no device.", alarm=True))
        for entry in chat.timeline.add(item):
            self._show(name, chat, entry, picture)

    def _show(self, name: str, chat: _Chat, entry: Entry, picture: Path | None) -> None:
        key = (str(entry.author), entry.message_id)
        shown = chat.shown.get(key)
        is_own = key[0] == self._own
        if shown is None:
            shown = chat.shown[key] = _Shown()
            if len(chat.shown) > _MOST_SHOWN:  # of older ones the page has forgotten, too
                del chat.shown[next(iter(chat.shown))]
            self._say(
                {
                    **{"type": "message", "chat": name, "id": entry.message_id.hex()},
                    **{"from": key[0], "own": is_own, "text": display_text(entry.text)},
                    **{"picture": None if picture is None else str(picture)},
                    "at_ms": entry.sent_at_ms,
                }
            )
        self._show_reactions(name, shown, entry)
        status = _STATUS[_reached(chat.members, entry)]
        if is_own and status != shown.status:
            shown.status = status
            about = {"type": "status", "chat": name, "id": entry.message_id.hex()}
            self._say({**about, "status": status})

    def _show_reactions(self, name: str, shown: _Shown, entry: Entry) -> None:
        now = {str(user): emoji for user, emoji in entry.reactions}
        for user in sorted({*now, *shown.reactions}):
            emoji = now.get(user, "")
            if emoji != shown.reactions.get(user, ""):
                about = {"type": "reaction", "chat": name, "target": entry.message_id.hex()}
                self._say({**about, "from": user, "emoji": display_text(emoji)})
        shown.reactions = now

    def _notice(self, notice: Notice) -> None:
        name = None if notice.user is None else str(notice.user)
        if notice.group is not None:
            name = str(notice.group)
            if name in self._chats:
                self._describe_group(name)
            else:
                self._find(name)
        told = tell_notice(notice, self._name)
        if told is not None:
            self._tell(None if name == self._own else name, told, notice.kind.value)

    def _failed(self, failed: FailedMessage) -> None:
        name = None if failed.sender is None else str(failed.sender.user_id)
        if failed.group is not None:
            name = str(failed.group)
        elif name is not None and name not in self._chats:
            name = None  # nobody has said that this sender is one
        message_id = "" if failed.message_id is None else failed.message_id.hex()
        self._tell(name, tell_failure(failed, self._name), failed.error.code, message_id)

    def _tell(self, name: str | None, told: Told, code: str = "", about: str = "") -> None:
        event = {"type": "notice", "chat": name, "text": told.text, "alarm": told.alarm}
        self._say({**event, "code": code, "id": about})

    # --- Which chats there are ------------------------------------------------------------------

    def _known(self, name: str) -> _Chat:
        """Return a chat that is shown; raises `InvalidArgument` where there is none."""
        chat = self._chats.get(name)
        if chat is None:
            raise InvalidArgument("there is no such chat on this phone")
        return chat

    def _find(self, name: str) -> _Chat:
        """Return a chat, also one that is new.

        Raises:
            InvalidArgument: it is the name of none.
        """
        chat = self._chats.get(name)
        if chat is None:
            if not is_group_text(name):
                UserId.parse(name)
            chat = self._chats[name] = _Chat(Timeline(self._own))
            if is_group_text(name):
                self._describe_group(name)
            else:
                chat.members = (name,)
                self._describe(name, self._name(name), (self._own, name))
        return chat

    def _describe_group(self, name: str) -> None:
        try:
            group = self._client.group(GroupId.parse(name))
            title, users = group.name, tuple(str(each.user) for each in group.members)
        except E2ECrossError:  # it is not known here any more
            return
        self._chats[name].members = tuple(user for user in users if user != self._own)
        self._describe(name, display_text(title), users)

    def _describe(self, name: str, title: str, members: Collection[str]) -> None:
        self._say({"type": "chat", "chat": name, "title": title, "members": list(members)})

    def _name(self, user: str) -> str:
        return self._names.get(user, user)


def _chat_of(item: Message[Any] | Sent) -> str:
    content = item.content
    if isinstance(content, Receipt) and content.group_id:
        return str(GroupId(content.group_id))
    return str(item.group or item.peer)


def _is_shown(chat: _Chat, message: Message[Any]) -> bool:
    return (str(message.sender.user_id), message.message_id) in chat.shown


def _reached(members: Collection[str], entry: Entry) -> int:
    """Return how far an own message has come with all the others: 0 sent, 1 there, 2 read."""
    receipts = {str(user): level for user, level in entry.receipts}
    return min((receipts.get(member, 0) for member in members), default=0)

# SPDX-License-Identifier: Apache-2.0
"""Which message was promised to whom, and what became of it on each device.

A message is told by its sender's address and its id. Each copy that the back end has taken, or that
waits for it, ends in one of these ways, and in none of them twice:

- the device shows it, once; more often only flagged, or where its store had been put back behind
  it, or the app was installed anew (both are told as such);
- the sender is told that it was not delivered;
- the receiver is told that it could not be read: only where a store was put back, an app installed
  anew or a device linked or unlinked shortly before, or mail was dropped that had waited for it;
- the device is gone: unlinked, lost without a backup, or out of the group;
- it has waited for longer than the relay keeps an envelope;
- it waited in the outbox of a device that is gone, or in the part of it that was put back.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from e2ecross import FailedMessage, Message, Notice, Text
from e2ecross.address import UserId
from tests.support.devices import DAY_MS

__all__ = ["KEPT_MS", "WAITING_MS", "Ledger", "MessageKey", "Receiver"]

MessageKey = tuple[str, bytes]
"""The address of its sender, and its id."""

KEPT_MS: Final = 100 * DAY_MS
"""When all must be told of a message: absences, requests and what is sent again take less."""
WAITING_MS: Final = 45 * DAY_MS
"""How long a relay keeps what waits."""
_AFTERMATH_MS: Final = 60 * DAY_MS
"""How long something that befell a device may be the reason why a message cannot be read."""


class Receiver(Protocol):
    """A device, as far as it counts here."""

    @property
    def name(self) -> str:
        """What it is called in what is told."""
        ...

    @property
    def user(self) -> UserId:
        """The account that it belongs to."""
        ...

    shown: dict[MessageKey, int]
    failed: dict[MessageKey, int]
    gone_at_ms: int | None
    befallen_ms: list[int]
    put_back: list[tuple[int, int]]
    away: list[tuple[int, int]]
    out_of_group_ms: list[int]


@dataclass
class _Entry:
    sender: Receiver
    sent_at_ms: int
    in_group: bool
    readers: frozenset[UserId]
    expected: Sequence[Receiver]
    waits: bool
    told: bool = False


class Ledger:
    """All messages of the last `KEPT_MS`."""

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts
        self._entries: dict[MessageKey, _Entry] = {}
        self._perhaps: dict[tuple[str, str], _Entry] = {}

    def knows(self, key: MessageKey) -> bool:
        """Tell whether a message was promised lately."""
        return key in self._entries

    def promise(
        self,
        key: MessageKey,
        sender: Receiver,
        expected: Sequence[Receiver],
        readers: frozenset[UserId],
        now_ms: int,
        *,
        in_group: bool,
        waits: bool,
    ) -> None:
        """Note a message that was sent, or promised.

        Args:
            key: of the message.
            sender: the device.
            expected: devices that have a copy.
            readers: accounts whose devices may show it.
            now_ms: the time.
            in_group: it went into the group.
            waits: the back end was not reached, so it is in the outbox.
        """
        assert key not in self._entries, "one id for two messages"
        self._entries[key] = _Entry(sender, now_ms, in_group, readers, expected, waits)

    def allow(
        self, text: str, sender: Receiver, address: str, readers: frozenset[UserId], now_ms: int
    ) -> None:
        """Note a text that may be sent, or not: the call was interrupted, so no id is known."""
        self._perhaps[address, text] = _Entry(sender, now_ms, False, readers, (), False)

    def show(self, receiver: Receiver, message: Message, now_ms: int) -> None:
        """Note that a device shows a message."""
        key = (str(message.sender), message.message_id)
        if message.historical:
            self.counts["shown as history"] += 1
            return
        if key not in self._entries and isinstance(message.content, Text):
            perhaps = self._perhaps.pop((key[0], message.content.text), None)
            if perhaps is not None:  # once: another id for it would be a second message
                self._entries[key] = perhaps
                self.counts["shown of those whose sending was interrupted"] += 1
        entry = self._entries.get(key)
        assert entry is not None, f"{receiver.name} shows a message that nobody has sent lately"
        assert receiver.user in entry.readers, f"{receiver.name} reads what is not for it"
        before_ms = receiver.shown.get(key)
        if before_ms is None:
            receiver.shown[key] = now_ms
            self.counts["shown"] += 1
        elif message.redelivered:
            self.counts["shown again, flagged"] += 1
        else:
            behind = any(copied <= before_ms <= back for copied, back in receiver.put_back)
            assert behind, f"{receiver.name} shows a message twice"
            self.counts["shown again: the store was put back, or the app installed anew"] += 1

    def fail(self, receiver: Receiver, item: FailedMessage, now_ms: int) -> None:
        """Note that a device tells its user of a message that it could not read."""
        self.counts[f"could not be read at first: {item.error.code}"] += 1
        if item.sender is not None and item.message_id is not None:
            receiver.failed.setdefault((str(item.sender), item.message_id), now_ms)

    def tell(self, sender_address: str, notice: Notice) -> None:
        """Note that a sender is told of messages that are not delivered."""
        for message_id in notice.messages:
            self.counts[f"sender told: {notice.kind.value} {notice.code}".rstrip()] += 1
            entry = self._entries.get((sender_address, message_id))
            if entry is not None:
                entry.told = True

    def settle(self, before_ms: int) -> None:
        """Judge all messages that were sent before a time, and forget them.

        Raises:
            AssertionError: one is lost, and nobody was told.
        """
        for key, entry in list(self._entries.items()):
            if entry.sent_at_ms >= before_ms:
                break  # the others are younger
            for receiver in entry.expected:
                outcome = self._outcome(key, entry, receiver)
                assert outcome, (
                    f"{receiver.name} never got message {key[1].hex()} of {entry.sender.name}, sent"
                    f" at {entry.sent_at_ms}, and nobody was told"
                )
                self.counts[outcome] += 1
            self.counts["messages settled"] += 1
            del self._entries[key]
        for text, perhaps in list(self._perhaps.items()):
            if perhaps.sent_at_ms < before_ms:
                del self._perhaps[text]

    def _outcome(self, key: MessageKey, entry: _Entry, receiver: Receiver) -> str:
        since_ms = entry.sent_at_ms
        if key in receiver.shown:
            return "copies shown"
        if receiver.gone_at_ms is not None:
            return "copies not shown: the device is gone"
        if entry.told:
            return "copies not shown: the sender was told"
        if key in receiver.failed:
            befallen = [*receiver.befallen_ms, *entry.sender.befallen_ms]
            # Keys that it needed have waited for too long.
            befallen += [back for left, back in receiver.away if back - left >= WAITING_MS]
            if entry.in_group:
                befallen += [*receiver.out_of_group_ms, *entry.sender.out_of_group_ms]
            assert any(abs(receiver.failed[key] - at_ms) <= _AFTERMATH_MS for at_ms in befallen), (
                f"{receiver.name} could not read a message of {entry.sender.name}, and nothing had"
                f" befallen either"
            )
            return "copies not shown: the receiver was told"
        if entry.in_group and any(at_ms >= since_ms for at_ms in receiver.out_of_group_ms):
            return "copies not shown: out of the group"
        if any(back - max(left, since_ms) >= WAITING_MS for left, back in receiver.away):
            return "copies not shown: waited for longer than a relay keeps them"
        if entry.waits:
            if entry.sender.gone_at_ms is not None:
                return "copies not shown: in the outbox of a device that is gone"
            if any(copied <= since_ms <= back for copied, back in entry.sender.put_back):
                return "copies not shown: in the part of an outbox that was put back"
        return ""

# SPDX-License-Identifier: Apache-2.0
"""`Slots`: a conversation as it is known, in order and within bounds.

Rules:
- A message costs the same however many there are: what is in order is never put in order again.
- Nobody fills it with acts on messages that there are not; a delete is always kept.
- Beyond its bounds the first messages leave. It is what an app shows, not what it archives.
"""

from collections import Counter
from typing import Final

from e2ecross.address import UserId
from e2ecross.conversation.entry import Entry, entry_of
from e2ecross.conversation.fact import Fact
from e2ecross.conversation.join import gone, join
from e2ecross.conversation.order import InOrder
from e2ecross.conversation.slot import Key, Slot, empty_slot, key_of
from e2ecross.conversation.storage import decode_slots, encode_slots, slot_bytes
from e2ecross.wire.limits import (
    MAX_TIMELINE_BYTES,
    MAX_TIMELINE_SLOTS,
    MAX_WAITING_SLOTS,
    MAX_WAITING_SLOTS_PER_ACCOUNT,
)

__all__ = ["Slots"]


class Slots:
    """All that is known of the messages of a conversation.

    Attributes:
        own: the account whose app keeps it.
    """

    __slots__ = ("_accounts", "_bytes", "_order", "_slots", "_waiting", "own")

    def __init__(self, own: UserId) -> None:
        self.own: Final = own
        self._slots: dict[Key, Slot] = {}
        self._order = InOrder()
        self._bytes = len(encode_slots(own, ()))
        self._waiting = 0
        self._accounts: Counter[str] = Counter()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What is to be shown, in order; made anew with each call."""
        found = (entry_of(self._slots[order[1:]]) for order in self._order)
        return tuple(entry for entry in found if entry is not None)

    def find(self, author: UserId, message_id: bytes) -> Slot | None:
        """What is known of a message."""
        return self._slots.get(key_of(author, message_id))

    def add(self, fact: Fact) -> tuple[Entry, ...]:
        """Take a message in; return the entries that it has changed, in order."""
        changed = []
        for author, message_id in fact.targets():
            before = self.find(author, message_id)
            slot = join(before or empty_slot(author, message_id), fact)
            if before is None and (slot.is_empty or not self._has_room(slot, str(fact.author))):
                continue
            if slot is not before:
                self._put(before, slot)
                changed.append((slot, before and entry_of(before)))
        self._shrink()
        entries = []
        for slot, earlier in sorted(changed, key=lambda pair: pair[0].order):
            entry = entry_of(slot)
            if entry is not None and entry != earlier and slot.key in self._slots:
                entries.append(entry)
        return tuple(entries)

    def expire(self, slot: Slot) -> None:
        """Take away what a message says: it was opened, or its time is over."""
        self._put(slot, gone(slot))

    def to_bytes(self) -> bytes:
        """Return it encoded, at most 64 MiB: plaintext and keys, to be kept like a store."""
        return encode_slots(self.own, self._slots.values())

    @classmethod
    def from_bytes(cls, data: bytes) -> "Slots":
        """Read what `to_bytes` has given.

        Raises:
            InvalidArgument: not bytes.
            DecodeError: malformed, over 64 MiB, or nothing that `to_bytes` gives.
            UnsupportedVersion: of a later version.
        """
        own, slots = decode_slots(data)
        new = cls(own)
        for slot in sorted(slots, key=lambda slot: slot.order):
            new._put(None, slot)
        return new

    def _has_room(self, slot: Slot, account: str) -> bool:
        """Whether one more may be waited for, where an account has said something of it."""
        return not slot.is_waiting or (
            self._waiting < MAX_WAITING_SLOTS
            and self._accounts[account] < MAX_WAITING_SLOTS_PER_ACCOUNT
        )

    def _put(self, before: Slot | None, slot: Slot) -> None:
        if before is not None:
            self._uncount(before)
        if before is None or before.order != slot.order:
            if before is not None:
                self._order.remove(before.order)
            self._order.add(slot.order)
        self._slots[slot.key] = slot
        self._bytes += slot_bytes(slot)
        if slot.is_waiting:
            self._waiting += 1
            self._accounts.update(slot.accounts)

    def _uncount(self, slot: Slot) -> None:
        self._bytes -= slot_bytes(slot)
        if slot.is_waiting:
            self._waiting -= 1
            for account in slot.accounts:
                self._accounts[account] -= 1
                if not self._accounts[account]:
                    del self._accounts[account]

    def _shrink(self) -> None:
        while len(self._slots) > MAX_TIMELINE_SLOTS or self._bytes > MAX_TIMELINE_BYTES:
            self._uncount(self._slots.pop(self._order.pop_first()[1:]))

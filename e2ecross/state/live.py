# SPDX-License-Identifier: Apache-2.0
"""What a process knows of the moment, and no store keeps: who is typing, what was sent just now.

Rules:
- All of it may be lost at any time: then something is looked up once more, or sent once more.
- What others can fill is emptied with each `receive`; the rest is bounded by the last minute.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.protocol.group_graph import GroupGraph
from e2ecross.state.notice import Notice
from e2ecross.wire.group import GroupId

__all__ = ["Live"]

_MINUTE_MS: Final = 60_000
_MAX_RECEIPTS: Final = 20
"""Receipts for one account in a minute: more wait, and go together."""
_MAX_OPENED: Final = 10_000
"""Messages of which one call of `receive` can hear, a few times over."""
_TYPING_EVERY_MS: Final = 3_000
_MAX_OWN_LISTS: Final = 4
"""Of 8 KiB; contacts push them again."""
_MAX_GRAPHS: Final = 4
"""A graph of 8,192 long commits has 128 MiB; those of most groups 1 MiB."""


class Live:
    """Of one device, in one process.

    Attributes:
        typing: who has begun to write or stopped, since the last `receive`; by device, and group.
        receipts_at_ms: by stripe when the next receipt is due, milliseconds since 1970, as far as
            is known here; of which it is not, that is to be looked up.
        receipts_due: by stripe how many are noted, likewise; other processes may have noted some
            more since the last look.
        seqs: the newest lists of members' devices, by account, of which the back end has told and
            that were looked into. Others need not be looked up again.
        graphs: the commits of the groups that were looked at last, as far as they were held then;
            by group. They are touched in transactions alone, which see each other never.
        own_lists: lists of the own account that contacts have pushed, encoded, and that were not
            taken in yet; in a store with stripes.
        opened: by account and id, 16 bytes, messages that were looked at there, as they have told,
            and that was not noted yet; in a store with stripes.
        is_announced: groups have been told of all own changes, as far as this process knows.
        announced: own commits (hashes, 32 bytes each) that those have been told who were in before
            them, but not yet who is in or out since then; by group.
        unreached: by group, when who gets its key was gone through (`Checked`), and why others do
            not, by the code of an error.
    """

    __slots__ = (
        "_receipts",
        "_typing_sent",
        "announced",
        "graphs",
        "is_announced",
        "opened",
        "own_lists",
        "receipts_at_ms",
        "receipts_due",
        "seqs",
        "typing",
        "unreached",
    )

    def __init__(self) -> None:
        """Nothing is known."""
        self.typing: dict[tuple[Address, GroupId | None], Notice] = {}
        self.seqs: dict[UserId, int] = {}
        self.graphs: dict[GroupId, GroupGraph] = {}
        self.announced: dict[GroupId, tuple[bytes, ...]] = {}
        self.is_announced = False
        self.own_lists: dict[bytes, None] = {}
        self.opened: dict[tuple[UserId, bytes], None] = {}
        self.unreached: dict[GroupId, tuple[tuple[bytes, int, int], Mapping[Address, str]]] = {}
        self.receipts_at_ms: dict[int, int] = {}
        self.receipts_due: dict[int, int] = {}
        self._receipts: dict[UserId, list[int]] = {}
        self._typing_sent: dict[UserId | GroupId, int] = {}

    def keep_graph(self, graph: GroupGraph) -> None:
        """Keep the commits of a group at hand, instead of those that were not used for longest."""
        self.graphs.pop(graph.group_id, None)
        self.graphs[graph.group_id] = graph
        while len(self.graphs) > _MAX_GRAPHS:
            del self.graphs[next(iter(self.graphs))]

    def note_own_list(self, data: bytes) -> None:
        """Note a list of the own account, encoded, if there is room."""
        if len(self.own_lists) < _MAX_OWN_LISTS:
            self.own_lists[data] = None

    def note_opened(self, user: UserId, message_ids: Iterable[bytes]) -> None:
        """Note that an account has looked at messages (16 bytes of id), if there is room."""
        for message_id in message_ids:
            if len(self.opened) < _MAX_OPENED:
                self.opened[user, message_id] = None

    def take_typing(self, limit: int) -> list[Notice]:
        """Return who is typing, at most so many, and forget it."""
        places = list(self.typing)
        found = [self.typing.pop(place, None) for place in places]
        return [notice for notice in found if notice is not None][:limit]

    def may_tell_typing(self, to: UserId | GroupId, now_ms: int) -> bool:
        """Note that a contact, or a group, is told of typing; tells whether it may be."""
        sent = self._typing_sent
        for other in [each for each, at in sent.items() if not 0 <= now_ms - at < _TYPING_EVERY_MS]:
            sent.pop(other, None)
        if to in sent:
            return False
        sent[to] = now_ms
        return True

    def spend_receipts(self, user: UserId, wanted: int, now_ms: int) -> int:
        """Note that so many receipts go to an account; returns how many may."""
        for other, times in list(self._receipts.items()):
            self._receipts[other] = [at for at in times if 0 <= now_ms - at < _MINUTE_MS]
            if not self._receipts[other]:
                del self._receipts[other]
        sent = self._receipts.setdefault(user, [])
        allowed = min(wanted, _MAX_RECEIPTS - len(sent))
        sent += [now_ms] * allowed
        return allowed

    def note_receipt(self, due_at_ms: int, stripe: int = 0) -> None:
        """Note that a receipt of a stripe is due at a time.

        Of stripe 0 it is looked up as long as nothing is known; of others somebody else may see to
        what is not.
        """
        known = self.receipts_at_ms.get(stripe, due_at_ms if stripe else None)
        if known is not None:
            self.receipts_at_ms[stripe] = min(known, due_at_ms)

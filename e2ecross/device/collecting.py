# SPDX-License-Identifier: Apache-2.0
"""The inbox of a `Client`: from an envelope that was fetched to an item that the app confirms.

Rules:
- Decrypt and keep in the inbox in one commit; the envelope is acknowledged and the item handed over
  after it.
- A message that cannot be read is final; its sender is asked for it. What the store did wrong is
  not: the envelope stays at the back end.
- A message is shown once, however often and in whatever envelope it comes.
- An operation reads what it works on, and not what else lies in the inbox.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from e2ecross.arguments import require_list
from e2ecross.device.arriving import (
    AnyMessage,
    Arrived,
    open_arrived,
    read_sender,
    stripe_of_arrived,
    try_to_decode,
)
from e2ecross.device.bundles import repair_sessions
from e2ecross.device.keeping import put_unread, take_in_opened
from e2ecross.device.leftovers import Leftovers
from e2ecross.errors import InvalidArgument, RecordCorrupted, RemoteError
from e2ecross.state.accounts import note_hosting_seen
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedReceipt
from e2ecross.state.inbox import (
    NOT_OF_THIS_INBOX,
    InboxItem,
    confirm_in_inbox,
    erase_in_inbox,
    has_arrived,
    holds_notice,
    is_typing,
    list_arrivals,
    may_have_arrived,
    receipt_of,
    walk_inbox,
)
from e2ecross.state.inbox_erasure import forget_marks, take_over, to_erase
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.transactions import stripe_transaction
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.envelope import Envelope

__all__ = [
    "HandedOver",
    "confirm",
    "confirm_items",
    "erase_over",
    "erase_what_is_over",
    "hand_over",
    "is_taken_in",
    "keep_failure",
    "list_unacknowledged",
    "require_of_inbox",
    "take_in",
    "take_in_all",
]

_MAX_ERASED: Final = 1_000
"""Messages in the inbox of which nothing is left after one call."""


def take_in_all(context: Context, leftovers: Leftovers, arrived: Sequence[Arrived]) -> int:
    """Put what envelopes hold into the inbox, in their order; one transaction, one commit.

    It ends before the first that cannot be read, or that the store has trouble with: `take_in`
    tells what is wrong with it. What comes before that is kept.

    Args:
        context: of the device.
        leftovers: are forgotten in the same commit.
        arrived: the envelopes, at least one; their numbers ascend.

    Returns:
        How many were taken in, from the first on.

    Raises:
        RestoredStore: the store is older than what was seen of it; nothing has changed.
        StoreError: nothing has changed.
    """
    done = 0
    with leftovers.going() as forget, WitnessedReceipt(context) as tx:
        forget(tx)
        are_new = not may_have_arrived(tx, arrived[0].number)  # one look for all of them
        for number, data, *_, opened in arrived:
            if opened is None:
                break
            try:
                with tx.savepoint():
                    if are_new or not has_arrived(tx, number, data):
                        take_in_opened(context, tx, number, data, *opened)
            except (RemoteError, RecordCorrupted):
                break
            done += 1
    return done


def take_in(context: Context, number: int, data: bytes) -> None:
    """Put what an envelope holds into the inbox.

    Args:
        context: of the device.
        number: of the envelope at the back end.
        data: the envelope, encoded.

    Raises:
        RemoteError: it cannot be read; see `keep_failure`. Nothing has changed.
        StoreError: nothing has changed, and the envelope stays at the back end.
    """
    envelope, message = open_arrived(context, data)
    try:
        _take_in_alone(context, number, data, envelope, message)
    except RecordCorrupted:
        if not repair_sessions(context, envelope.sender):
            raise
        _take_in_alone(context, number, data, envelope, message)


def _take_in_alone(
    context: Context, number: int, data: bytes, envelope: Envelope, message: AnyMessage
) -> None:
    with WitnessedReceipt(context, stripe_of_arrived(context, number, envelope.sender)) as tx:
        if not has_arrived(tx, number, data):
            take_in_opened(context, tx, number, data, envelope, message)


def is_taken_in(context: Context, number: int, data: bytes) -> bool:
    """Tell whether exactly this envelope was taken in under its number (of the back end)."""
    with WitnessedReceipt(context, stripe_of_arrived(context, number, read_sender(data))) as tx:
        return has_arrived(tx, number, data)


def keep_failure(context: Context, number: int, data: bytes, error: RemoteError) -> None:
    """Put the failure to read an envelope into the inbox, and ask its sender for the message.

    Args:
        context: of the device.
        number: of the envelope at the back end.
        data: the envelope, encoded.
        error: what `take_in` has raised.
    """
    envelope, message = try_to_decode(context, data)
    sender = None if envelope is None else envelope.sender
    with WitnessedReceipt(context, stripe_of_arrived(context, number, sender)) as tx:
        if not has_arrived(tx, number, data):  # else another process was faster
            put_unread(context, tx, number, data, envelope, message, error)


def list_unacknowledged(context: Context) -> list[int]:
    """Return the back end's numbers of all that it may not know to have arrived."""
    with context.store.transaction() as tx:
        return list_arrivals(tx)


class HandedOver:
    """How far one client has handed over the inbox.

    Attributes:
        last: the number of the last item.
        is_tidy: what was over when it began is erased.
        damaged: what was raised for a row that is damaged, and nobody has heard of yet.
    """

    __slots__ = ("damaged", "is_tidy", "last")

    def __init__(self) -> None:
        """Nothing yet."""
        self.last = 0
        self.is_tidy = False
        self.damaged: RecordCorrupted | None = None

    def take_damaged(self) -> list[RecordCorrupted]:
        """Return what nobody has heard of yet, and forget it: it is told once."""
        found = [] if self.damaged is None else [self.damaged]
        self.damaged = None
        return found


def hand_over(context: Context, handed: HandedOver, limit: int) -> list[InboxItem]:
    """Return items of the inbox that were not handed over yet, at most that many."""
    items: list[InboxItem] = []
    before = handed.last
    try:
        with WitnessedReceipt(context) as tx:  # one thread at a time
            if not handed.is_tidy:  # a restart: what is over since is not handed over again
                erase_over(context, tx)
                handed.is_tidy = True
            for number, item in walk_inbox(context, tx, handed.last):
                handed.last = number
                if isinstance(item, RecordCorrupted):
                    handed.damaged = handed.damaged or item
                    continue
                items.append(item)
                if len(items) == limit:
                    break
    except BaseException:
        handed.last = before  # nobody has got them: they come again
        raise
    return items


def confirm_items(context: Context, leftovers: Leftovers, items: Iterable[InboxItem]) -> None:
    """Forget what `receive` has returned; see `Client.confirm`."""
    listed = require_list("items", items)
    confirm(context, leftovers, [item for item in listed if not is_typing(item)])


def require_of_inbox(context: Context, items: Iterable[InboxItem]) -> None:
    """Refuse what `receive` has not returned.

    Raises:
        InvalidArgument: one is not of this inbox.
    """
    for item in require_list("items", items):
        if not is_typing(item) and receipt_of(item).inbox != context.inbox_id:
            raise InvalidArgument(NOT_OF_THIS_INBOX)


def erase_what_is_over(context: Context) -> None:
    """Leave nothing of the content of messages in the inbox whose time is over."""
    for stripe in context.store.stripes_with(Table.INBOX) if context.store.stripes else (0,):
        with stripe_transaction(context, stripe) as tx:
            erase_over(context, tx)


def erase_over(context: Context, tx: Transaction) -> None:
    """Erase the same in the stripe of a transaction; at most 1,000 messages."""
    with suppress(RecordCorrupted):  # what is damaged there must not hide what is in the inbox
        for number in take_over(tx, context.clock(), _MAX_ERASED):
            erase_in_inbox(context, tx, number)


def confirm(context: Context, leftovers: Leftovers, items: Iterable[InboxItem]) -> None:
    """Forget items, because the app has them; all or none.

    Raises:
        InvalidArgument: one is not of this inbox, or was not handed over.
    """
    listed = list(items)
    receipts = [receipt_of(item) for item in listed]
    hosted = {
        item.user
        for item in listed
        if isinstance(item, Notice) and item.kind is NoticeKind.HOSTING_CHANGED and item.user
    }
    with leftovers.going() as forget, context.store.transaction() as tx:
        forget(tx)
        confirm_in_inbox(context, tx, receipts)
        forget_marks(tx, to_erase(listed))
        for user in hosted:
            if not holds_notice(tx, NoticeKind.HOSTING_CHANGED, user):
                note_hosting_seen(tx, user)

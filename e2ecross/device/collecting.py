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
from e2ecross.device.answering import request_again
from e2ecross.device.arriving import AnyMessage, Arrived, open_arrived, try_to_decode
from e2ecross.device.bundles import repair_sessions
from e2ecross.device.controls import take_control
from e2ecross.device.conversations import Admitted, admit, is_heard, note_sent_to
from e2ecross.device.group_collecting import take_in_group
from e2ecross.device.group_retrying import request_group_message
from e2ecross.device.hints import note_hints
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.receipts import note_arrived, note_sent_elsewhere
from e2ecross.device.receiving import (
    Received,
    decrypt_envelope,
    message_from,
)
from e2ecross.device.self_sync import note_seen
from e2ecross.errors import IdentityChangedError, RecordCorrupted, RemoteError
from e2ecross.state.accounts import note_hosting_seen
from e2ecross.state.context import Context
from e2ecross.state.conversations import is_blocked
from e2ecross.state.delivered import note_delivered, was_delivered
from e2ecross.state.epoch import WitnessedReceipt
from e2ecross.state.inbox import (
    InboxItem,
    confirm_in_inbox,
    erase_in_inbox,
    has_arrived,
    holds_notice,
    is_typing,
    list_arrivals,
    may_have_arrived,
    note_arrival,
    put_failure,
    put_message,
    put_notice,
    receipt_of,
    walk_inbox,
)
from e2ecross.state.inbox_erasure import forget_marks, take_over, to_erase
from e2ecross.state.message import ControlMessage, DeviceMessage
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.trust import require_identity
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import Payload, is_of_users
from e2ecross.wire.content import Receipt as ContentReceipt
from e2ecross.wire.envelope import Envelope, MessageKind
from e2ecross.wire.sender_key_message import SenderKeyMessage

__all__ = [
    "HandedOver",
    "confirm",
    "confirm_items",
    "erase_what_is_over",
    "hand_over",
    "is_taken_in",
    "keep_failure",
    "list_unacknowledged",
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
        for number, data, opened in arrived:
            if opened is None:
                break
            try:
                with tx.savepoint():
                    if are_new or not has_arrived(tx, number, data):
                        _take_in(context, tx, number, data, *opened)
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
    with WitnessedReceipt(context) as tx:
        if not has_arrived(tx, number, data):
            _take_in(context, tx, number, data, envelope, message)


def is_taken_in(context: Context, number: int, data: bytes) -> bool:
    """Tell whether exactly this envelope was taken in under its number (of the back end)."""
    with WitnessedReceipt(context) as tx:
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
    with WitnessedReceipt(context) as tx:
        if has_arrived(tx, number, data):
            return  # another process was faster
        note_arrival(tx, number, data)
        if envelope is not None and is_blocked(tx, envelope.sender.user_id):
            return
        group, retrying = None, False
        if envelope is None:
            pass
        elif isinstance(message, SenderKeyMessage):
            group, retrying = request_group_message(context, tx, envelope, message, error)
        elif envelope.kind is not MessageKind.SENDER_KEY:  # else it would fail again
            retrying = request_again(context, tx, envelope, message, error)
        put_failure(context, tx, envelope, error, retrying=retrying, group=group)


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
                _erase_what_is_over(context, tx)
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


def erase_what_is_over(context: Context) -> None:
    """Leave nothing of the content of messages in the inbox whose time is over."""
    with context.store.transaction() as tx:
        _erase_what_is_over(context, tx)


def _erase_what_is_over(context: Context, tx: Transaction) -> None:
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


def _take_in(
    context: Context,
    tx: Transaction,
    number: int,
    data: bytes,
    envelope: Envelope,
    message: AnyMessage,
) -> None:
    if isinstance(message, SenderKeyMessage):
        take_in_group(context, tx, envelope, message)
        note_arrival(tx, number, data)
        return
    received = decrypt_envelope(context, tx, envelope, message, context.clock())
    note_arrival(tx, number, data)
    _keep(context, tx, envelope, received)


def _keep(context: Context, tx: Transaction, envelope: Envelope, received: Received) -> None:
    """Keep what was received in the commit that has used up its message key."""
    message, payload = message_from(received), received.payload
    now_ms = context.clock()
    by_policy = _note_policy(context, tx, received)
    admitted: Admitted | None = None
    names = (message.sender, message.message_id, now_ms, payload.peer)
    if not was_delivered(tx, context.policy, *names):
        note_delivered(tx, context.policy, *names)
        if payload.peer is not None:
            note_delivered(tx, context.policy, message.sender, payload.message_id, now_ms)
        if isinstance(message, ControlMessage):
            take_control(context, tx, received, message.content, now_ms)
        elif is_of_users(message.content):
            admitted = _admit(context, tx, message, now_ms)
    if not received.identity_changed or by_policy:
        if payload.sender.user_id == context.address.user_id:
            _note_own(context, tx, payload, now_ms)
        account = note_hints(context, tx, payload, now_ms)
        if admitted is not None:
            note_arrived(context, tx, admitted, account, now_ms)
    elif admitted is None and is_heard(context, tx, message.sender.user_id):
        # The app sees no requests and no second copies, but a changed identity is never silent.
        error = IdentityChangedError(
            f"a request or a second copy of a message came from {message.sender} under a new "
            f"identity key: compare the safety number, then accept the key",
            received.trusted,
            received.trusted_key,
        )
        put_failure(context, tx, envelope, error, retrying=False)


def _admit(
    context: Context, tx: Transaction, message: DeviceMessage, now_ms: int
) -> Admitted | None:
    """Keep a message for the app, if it is to be handed over."""
    admitted = admit(context, tx, message, now_ms)
    if message.own_copy:
        note_sent_elsewhere(tx, message.peer, message.content, now_ms)
    if admitted is not None:
        put_message(context, tx, admitted.message)
        context.live.typing.pop((message.sender, message.group), None)  # nobody types what is sent
    return admitted


def _note_own(context: Context, tx: Transaction, payload: Payload, now_ms: int) -> None:
    """Note what a message of another own device says beside its content."""
    note_seen(context, tx, payload.sender.device, now_ms)
    if payload.peer is not None and not isinstance(payload.content, ContentReceipt):
        note_sent_to(context, tx, payload.peer, is_copy=True)


def _note_policy(context: Context, tx: Transaction, received: Received) -> bool:
    """Tell the app what the policy has accepted; returns whether that was an identity key."""
    sender, trusted, key = received.payload.sender, received.trusted, received.trusted_key
    user = sender.user_id
    by_policy = received.identity_changed and require_identity(tx, trusted).identity_key == key
    if by_policy:
        put_notice(context, tx, Notice(NoticeKind.IDENTITY_CHANGED, user, (trusted.device,), key))
    if received.version_downgraded:
        put_notice(context, tx, Notice(NoticeKind.VERSION_DOWNGRADED, user, (sender.device,)))
    return by_policy

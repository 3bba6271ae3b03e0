# SPDX-License-Identifier: Apache-2.0
"""What becomes of what waits in the outbox: sent, held for the user, given up, repaired.

Rules:
- A message that was promised and is given up is told the app (`Notice`) in the commit that gives
  it up, whoever found it out. It is given up with the last copy for its recipient's account, and
  then the copies for the own account go, too.
- What waits for the user's decision about an identity key waits for nothing else, and says so once.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.errors import (
    MailboxFull,
    RecordCorrupted,
    RestoredStore,
    StoreError,
    UntrustedIdentity,
    remote_error_from_code,
)
from e2ecross.state.accounts import find_list, primary_of
from e2ecross.state.context import Context
from e2ecross.state.delivered import was_delivered
from e2ecross.state.epoch import WitnessedTransaction
from e2ecross.state.in_flight import file_all
from e2ecross.state.inbox import put_not_asked, put_notice
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.outbox import (
    Backlog,
    BacklogName,
    Waiting,
    block_backlog,
    clear_backlog,
    find_message,
    free_backlog,
    list_backlog,
    read_backlog,
    remove_waiting,
)
from e2ecross.state.outbox_repair import rebuild_backlog, repair_backlog
from e2ecross.state.sent import find_conversation, find_kept, forget_content, forget_copy
from e2ecross.state.sent_ids import find_copies, find_own_copies_id, forget_id, note_copies
from e2ecross.state.transactions import peer_transaction
from e2ecross.state.trust import find_identity
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import GroupRetryRequest, RetryRequest

__all__ = [
    "MAX_NAMED",
    "Result",
    "drop_waiting",
    "file_in_flight",
    "give_up",
    "hold",
    "hold_for_decision",
    "repair",
    "report",
    "settle",
    "settling_transaction",
    "take_back",
]

MAX_NAMED: Final = 1_000
"""Messages that one notice names."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of something that was to be sent.

    Attributes:
        waiting: what.
        code: empty when the back end has it; else that of the error for which it is given up.
        is_told: whether an exception is all that its caller needs: it was not promised before.
    """

    waiting: Waiting
    code: str = ""
    is_told: bool = False


def file_in_flight(context: Context, tx: Transaction) -> None:
    """Put what was left in flight into the backlogs; the app hears of what is lost.

    In a store with stripes everything is in a backlog.
    """
    if tx.stripe_count():
        return
    for _ in range(file_all(tx)):
        user = context.address.user_id  # whose contact it was for is lost with the row
        put_notice(context, tx, Notice(NoticeKind.NOT_DELIVERED, user, code=RecordCorrupted.code))


def repair(context: Context, backlog: Backlog) -> bool:
    """Encrypt anew what stands in rows of a backlog that are damaged, or give it up.

    Returns:
        Whether there were any.
    """
    with peer_transaction(context, backlog.recipient.user_id) as tx:
        is_rebuilt = rebuild_backlog(tx, backlog)
        damaged = repair_backlog(tx, backlog)
        now_ms = context.clock()
        user = backlog.recipient.user_id
        for waiting in damaged:
            kept = find_kept(tx, context.policy, backlog.recipient, waiting.message_id, now_ms)
            if waiting.message_id and kept is None:
                give_up(context, tx, waiting, RecordCorrupted.code)
            elif not waiting.message_id and backlog.name is BacklogName.MESSAGES:
                # Which one it was is lost with its row.
                notice = Notice(NoticeKind.NOT_DELIVERED, user, code=RecordCorrupted.code)
                put_notice(context, tx, notice)
        return is_rebuilt or bool(damaged)


def hold_for_decision(context: Context, backlog: Backlog, identity_key: bytes) -> None:
    """Let a backlog wait until the user has decided about an identity key (33 bytes)."""
    with peer_transaction(context, backlog.recipient.user_id) as tx:
        hold(context, tx, backlog, identity_key)


def hold(
    context: Context, tx: Transaction, backlog: Backlog, identity_key: bytes, *, added: bytes = b""
) -> None:
    """The same within a transaction.

    Args:
        context: of the device.
        tx: of the operation that found it out.
        backlog: which.
        identity_key: 33 bytes.
        added: id of a message (16 bytes) that has just been put there, so that it is named also in
            a backlog that waited for this key before.
    """
    record = read_backlog(tx, backlog)
    if record is None:
        return
    if record.untrusted_key != identity_key:
        block_backlog(tx, backlog, UntrustedIdentity.code, identity_key)
        waiting = list_backlog(tx, backlog, MAX_NAMED)
        messages = tuple(item.message_id for item in waiting if item.control is None)
    elif added:
        messages = (added,)
    else:
        return
    put_notice(
        context,
        tx,
        Notice(
            NoticeKind.IDENTITY_PENDING,
            backlog.recipient.user_id,
            devices=(primary_of(tx, backlog.recipient).device,),
            identity_key=identity_key,
            messages=messages,
        ),
    )


def drop_waiting(context: Context, tx: Transaction, address: Address, identity_key: bytes) -> bool:
    """Give up what waits for an identity key (33 bytes) that the user has rejected.

    What is encrypted for the accepted key goes its way. So do requests: whoever sent what could
    not be read, the accepted one is asked for it.

    Returns:
        Whether anything waited for it.
    """
    waited = False
    for name in BacklogName:
        backlog = Backlog(name, address)
        record = read_backlog(tx, backlog)
        if record is None or record.untrusted_key != identity_key:
            continue
        waited = True
        free_backlog(tx, backlog)
        for waiting in list_backlog(tx, backlog):
            if waiting.envelope is None and waiting.control is None:
                give_up(context, tx, waiting, UntrustedIdentity.code)
    return waited


def settle(
    context: Context,
    results: Sequence[Result],
    *,
    blocked: Iterable[tuple[Backlog, str]] = (),
) -> None:
    """Note what became of what was deposited; one transaction for each stripe.

    Each stripe is first held against what the back end was told of it. What fails with one of
    several touches no other.

    Args:
        context: of the device.
        results: what the back end has taken or refused for good.
        blocked: backlogs that go on later, and the code of the error that they wait to pass.

    Raises:
        RestoredStore: the back end knows more of a stripe.
        StoreError: a stripe cannot be read or written; the first reason.
    """
    parts: dict[int, tuple[list[Result], list[tuple[Backlog, str]]]] = {}
    for result in results:
        stripe = context.stripe_of(result.waiting.backlog.recipient.user_id)
        parts.setdefault(stripe, ([], []))[0].append(result)
    for backlog, code in blocked:
        stripe = context.stripe_of(backlog.recipient.user_id)
        parts.setdefault(stripe, ([], []))[1].append((backlog, code))
    errors: list[StoreError] = []
    for stripe, part in sorted(parts.items(), key=lambda each: each[0]):
        try:
            _settle_in_stripe(context, stripe, *part)
        except StoreError as error:
            errors.append(error)
    if errors:
        raise min(errors, key=lambda error: not isinstance(error, RestoredStore))


def _settle_in_stripe(
    context: Context,
    stripe: int,
    results: Sequence[Result],
    blocked: Sequence[tuple[Backlog, str]],
) -> None:
    with settling_transaction(context, stripe) as tx:
        for result in results:
            if not result.code:
                remove_waiting(tx, result.waiting)
                clear_backlog(tx, result.waiting.backlog)
            else:
                give_up(context, tx, result.waiting, result.code, is_told=result.is_told)
        for backlog, code in blocked:
            with suppress(RecordCorrupted):  # a backlog that is damaged itself stays where it is
                block_backlog(tx, backlog, code)


def settling_transaction(context: Context, stripe: int) -> AbstractContextManager[Transaction]:
    """Begin the transaction in which a stripe gets to know what became of a deposit.

    Where there are many stripes it is held against what the back end was told of it before.
    """
    if context.store.stripes:
        return WitnessedTransaction(context, stripe)
    return context.store.transaction()


def take_back(context: Context, address: Address, message_id: bytes, *, is_told: bool) -> None:
    """Forget a message (16 bytes of id) that waits for a full mailbox.

    Args:
        context: of the device.
        address: the recipient.
        message_id: of the message.
        is_told: whether an exception is all that its caller needs.
    """
    with peer_transaction(context, address.user_id) as tx:
        number = find_message(tx, address, message_id)
        if number is not None:
            backlog = Backlog(BacklogName.MESSAGES, address)
            waiting = Waiting(backlog, number, message_id, None)
            give_up(context, tx, waiting, MailboxFull.code, is_told=is_told)


def give_up(
    context: Context, tx: Transaction, waiting: Waiting, code: str, *, is_told: bool = False
) -> None:
    """Forget something that will not be sent, and tell the app if it was a user's message.

    Args:
        context: of the device.
        tx: of the operation that found it out.
        waiting: what.
        code: that of the error.
        is_told: whether the app hears of it in another way.
    """
    if not remove_waiting(tx, waiting):
        return
    if waiting.control is not None:
        if isinstance(waiting.control, RetryRequest | GroupRetryRequest):
            _note_not_asked(context, tx, waiting.backlog.recipient, waiting.control)
        return
    has_left = waiting.backlog.name is BacklogName.REQUESTS
    recipient, message_id = waiting.backlog.recipient, waiting.message_id
    report(context, tx, recipient, message_id, code, has_left=has_left, is_told=is_told)


def _note_not_asked(
    context: Context, tx: Transaction, sender: Address, request: RetryRequest | GroupRetryRequest
) -> None:
    """Tell an app that was told that a message may still come: its sender could not be asked."""
    identity, message_id = find_identity(tx, sender), request.message_id
    if identity is None or identity.asked_at_ms or not message_id:
        return  # nothing was promised
    if not was_delivered(tx, context.policy, sender, message_id, context.clock()):
        error = remote_error_from_code(
            request.reason, f"a message of {sender} could not be read, nor asked for again"
        )
        group = request.group_id if isinstance(request, GroupRetryRequest) else None
        put_not_asked(context, tx, sender, message_id, error, group)


def report(
    context: Context,
    tx: Transaction,
    recipient: Address,
    message_id: bytes,
    code: str,
    *,
    has_left: bool,
    is_told: bool = False,
) -> None:
    """Forget a copy of a message (16 bytes of id) that will not arrive, and tell the app, once.

    As long as there are other copies for the account, the message is delivered, and the app hears
    only of a device that has asked for it in vain. Of what the own account's other devices miss it
    hears nothing.

    Args:
        context: of the device.
        tx: of the operation that found it out.
        recipient: the device that the copy was for.
        message_id: of the message.
        code: that of the error.
        has_left: whether the back end may know the id.
        is_told: whether the app hears of it in another way.
    """
    policy, now_ms, account = context.policy, context.clock(), recipient.user_id
    kept_under = find_conversation(tx, policy, recipient, message_id, now_ms)
    forget_copy(tx, policy, recipient, message_id, now_ms)
    conversation = primary_of(tx, recipient)
    copies = find_copies(tx, conversation, message_id, now_ms)
    if kept_under not in (None, account):
        return  # what others were sent
    if copies is None and (has_left or account == context.address.user_id):
        return  # the app was told before; or that is what it is, and it is not kept any more
    if copies is not None and recipient.device not in copies:
        return  # the app was told of this device before; or nothing was sent to it
    devices: tuple[int, ...] = ()
    if _has_others(tx, recipient, copies or ()):
        note_copies(tx, conversation, message_id, now_ms, given_up=(recipient.device,))
        if not has_left:
            return
        devices = (recipient.device,)
    else:
        own_copies_id = find_own_copies_id(tx, conversation, message_id, now_ms)
        forget_id(tx, conversation, message_id, now_ms, has_left=has_left)
        forget_content(tx, policy, account, message_id, now_ms)
        _take_back_own(context, tx, account, own_copies_id)
    if not is_told:
        put_notice(
            context,
            tx,
            Notice(NoticeKind.NOT_DELIVERED, account, devices, messages=(message_id,), code=code),
        )


def _take_back_own(context: Context, tx: Transaction, account: UserId, copies_id: bytes) -> None:
    """Forget the copies of a message, under this id (16 bytes), for other own devices."""
    own, now_ms = context.address.user_id, context.clock()
    found = find_list(tx, own)
    if account == own or found is None:
        return
    file_in_flight(context, tx)
    for device in found.devices:
        address = Address(own.app, own.user, device.device)
        forget_copy(tx, context.policy, address, copies_id, now_ms)
        number = find_message(tx, address, copies_id)
        if number is not None:
            backlog = Backlog(BacklogName.MESSAGES, address)
            remove_waiting(tx, Waiting(backlog, number, copies_id, None))


def _has_others(tx: Transaction, recipient: Address, copies: Iterable[int]) -> bool:
    """Whether another device of the recipient's account, that is still one of it, has a copy."""
    found = find_list(tx, recipient.user_id)
    return any(
        number != recipient.device and (found is None or found.find(number) is not None)
        for number in copies
    )

# SPDX-License-Identifier: Apache-2.0
"""What waits in the outbox of a `Client`: what leaves it next, and what is encrypted for that.

Rules:
- A message that is sent again goes under another message id and holds the first inside: the back
  end cannot tell it from a new one.
- A backlog that was tried in vain is tried with its first message alone, and then with the rest.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Final, NamedTuple

from e2ecross.address import Address, UserId
from e2ecross.device.composing import forms_for
from e2ecross.device.hints import carried_list, own_hints
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.sending import Saying, checked_message_id, encrypt_content
from e2ecross.device.settling import file_in_flight, give_up
from e2ecross.errors import ContentRefused, RecordCorrupted, UntrustedIdentity
from e2ecross.state.accounts import find_account, primary_of
from e2ecross.state.consent import read_token
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedTransaction, read_epoch
from e2ecross.state.group_outbox import GroupWaiting, walk_group_outbox
from e2ecross.state.outbox import (
    Backlog,
    BacklogName,
    TurnKind,
    Waiting,
    find_message,
    find_row,
    find_waiting,
    list_backlog,
    read_backlog,
    replace_waiting,
    walk_backlog,
    walk_turns_of,
)
from e2ecross.state.outbox_repair import list_backlogs, read_rows
from e2ecross.state.sent import (
    KeptMessage,
    find_conversation,
    find_kept,
    find_message_id,
    keep_other_id,
)
from e2ecross.state.sent_ids import find_copies
from e2ecross.state.sent_to_groups import is_group_id
from e2ecross.state.transactions import peer_transaction, stripe_transaction
from e2ecross.state.trust import (
    RemoteIdentity,
    find_identity,
    note_asked,
    require_accepted_account,
)
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.content import AnyContent, Resent
from e2ecross.wire.envelope import Envelope, EnvelopeCopies
from e2ecross.wire.group import GroupId

__all__ = [
    "EXPIRED",
    "Pending",
    "Turns",
    "encrypt_waiting",
    "find_posted",
    "is_something_due",
    "list_pending",
    "may_be_sent_again",
    "next_backlogs",
    "next_of_backlog",
    "note_stranger",
    "read_epochs_to_tell",
    "read_held_key",
]

EXPIRED: Final = "expired"
"""In the place of an error's code: the content is not kept any more."""
_NOT_TRIED: Final = "backend_error"


class Pending(NamedTuple):
    """A message that still waits to be sent.

    Attributes:
        message_id: 16 bytes.
        recipient: the device that it is for.
        code: of what it waits for: that of an error, such as `backend_error`, `mailbox_full` or
            `untrusted_identity`; `record_corrupted` where its place in the outbox is damaged.
        group: that it was sent into, or None. Where it is to be encrypted anew, after a restore,
            `recipient` is this device.
    """

    message_id: bytes
    recipient: Address
    code: str
    group: GroupId | None = None


def find_posted(
    context: Context, leftovers: Leftovers, copies: Sequence[tuple[Address, bytes, Waiting]]
) -> list[Waiting | bool]:
    """Tell what has become of copies that were posted, and are not known to have been taken.

    Args:
        context: of the device.
        leftovers: are forgotten in the same commit.
        copies: with whom the conversation is (`Posted.conversation`), the message's id (16 bytes),
            and what was posted.

    Returns:
        For each where it waits, in its backlog by now. Or True: the back end has it. Or False: it
        is given up; who has found that out has left a notice, if no other device has a copy.
    """
    now_ms, found = context.clock(), dict[int, Waiting | bool]()
    places: dict[int, list[int]] = {}
    for place, (_, _, waiting) in enumerate(copies):
        stripe = context.stripe_of(waiting.backlog.recipient.user_id)
        places.setdefault(stripe, []).append(place)
    for stripe, part in sorted(places.items()):
        with leftovers.going(stripe) as forget, stripe_transaction(context, stripe) as tx:
            forget(tx)
            file_in_flight(context, tx)
            for place in part:
                conversation, message_id, waiting = copies[place]
                address, copy_id = waiting.backlog.recipient, waiting.message_id
                number = find_message(tx, address, copy_id)
                if number is None:
                    found[place] = _was_taken(tx, conversation, message_id, address, now_ms)
                else:
                    found[place] = Waiting(waiting.backlog, number, copy_id, waiting.envelope)
    return [found[place] for place in range(len(copies))]


def _was_taken(
    tx: Transaction, conversation: Address, message_id: bytes, address: Address, now_ms: int
) -> bool:
    """Whether the back end has a copy that waits no more. Of one for the own account, not asked."""
    copies = find_copies(tx, conversation, message_id, now_ms)
    is_own_copy = address.user_id != conversation.user_id
    return copies is not None and (is_own_copy or address.device in copies)


def is_something_due(context: Context, leftovers: Leftovers) -> bool:
    """Tell whether anything waits for the back end; leftovers are forgotten and do not."""
    kinds = (TurnKind.READY, TurnKind.LATER)
    with leftovers.going(writes=False) as forget, context.store.transaction() as tx:
        forget(tx)
        file_in_flight(context, tx)
        each = (walk_turns_of(tx, name, kind) for name in BacklogName for kind in kinds)
        return any(True for turns in each for _ in turns)


class Turns(NamedTuple):
    """Backlogs that are tried one after another.

    Attributes:
        backlogs: which.
        last: the turn of the last that was looked at.
        damaged: what was raised for a turn that names no backlog, if there was one.
    """

    backlogs: list[Backlog]
    last: int
    damaged: RecordCorrupted | None = None


def next_backlogs(
    context: Context, name: BacklogName, kind: TurnKind, after: int, limit: int
) -> Turns:
    """Return backlogs in which something waits for the back end.

    Args:
        context: of the device.
        name: what they hold.
        kind: what they wait for.
        after: the turn behind which to look.
        limit: how many at most.
    """
    backlogs, damaged = list[Backlog](), None
    with context.store.transaction() as tx:
        for turn, backlog in walk_turns_of(tx, name, kind, after):
            after = turn
            if isinstance(backlog, RecordCorrupted):
                damaged = damaged or backlog
                continue
            backlogs.append(backlog)
            if len(backlogs) == limit:
                break
    return Turns(backlogs, after, damaged)


def next_of_backlog(context: Context, backlog: Backlog, limit: int) -> list[Waiting]:
    """Return what is to be sent next in a backlog; nothing when it waits for the user.

    In one that was tried in vain that is the first alone: what is behind it must not be taken where
    that is refused. Copies for the own account wait for those for others, and hold up nothing.
    """
    stripe = context.stripe_of(backlog.recipient.user_id)
    with WitnessedTransaction(context, stripe) as tx:  # nothing leaves before the witness knows
        record = read_backlog(tx, backlog)
        if record is None or record.untrusted_key:
            return []
        found = walk_backlog(tx, backlog)
        if backlog.recipient.user_id == context.address.user_id:
            found = (waiting for waiting in found if _is_due(context, tx, waiting))
        items = list(islice(found, 1 if record.code else limit))
        consent = read_token(tx, backlog.recipient.user_id, context.clock()) if items else b""
        return [replace(waiting, consent=consent) for waiting in items] if consent else items


def _is_due(context: Context, tx: Transaction, copy: Waiting) -> bool:
    """Whether a copy for the own account may go: not before all that are for others.

    Of those under the same id the back end sees to it, with which they go in one call.
    """
    policy, address, now_ms = context.policy, copy.backlog.recipient, context.clock()
    account = find_conversation(tx, policy, address, copy.message_id, now_ms)
    message_id = find_message_id(tx, policy, address, copy.message_id, now_ms)
    if account is None or message_id == copy.message_id:
        return True
    conversation = primary_of(tx, Address(account.app, account.user))
    copies = find_copies(tx, conversation, message_id, now_ms)
    return copies is None or any(
        find_message(tx, Address(account.app, account.user, number), message_id) is None
        for number in copies
    )


def read_held_key(context: Context, backlog: Backlog) -> bytes:
    """Return the identity key (33 bytes) that a backlog waits for, until the user has decided."""
    with peer_transaction(context, backlog.recipient.user_id) as tx:
        record = read_backlog(tx, backlog)
        return b"" if record is None else record.untrusted_key


def read_epochs_to_tell(context: Context, backlogs: Iterable[Backlog]) -> dict[int, int]:
    """Return by stripe the epoch to tell the back end with what is deposited of backlogs."""
    epochs: dict[int, int] = {}
    for stripe in sorted({context.stripe_of(backlog.recipient.user_id) for backlog in backlogs}):
        with WitnessedTransaction(context, stripe) as tx:
            epochs[stripe] = read_epoch(tx)
    return epochs


def encrypt_waiting(
    context: Context, waiting: Waiting, before: RemoteIdentity | None
) -> Envelope | None:
    """Encrypt what waits for it, or give it up.

    Args:
        context: of the device.
        waiting: what.
        before: what was known of the recipient before a session was started for this.

    Returns:
        The envelope; None when there is nothing to be sent any more.

    Raises:
        UntrustedIdentity: the user has to decide about the recipient's identity key first.
        LocalError: there is no session to send with.
    """
    address = waiting.backlog.recipient
    with WitnessedTransaction(context, context.stripe_of(address.user_id)) as tx:
        now_ms = context.clock()
        current = find_waiting(tx, waiting)
        if current is None or current.envelope is not None:  # another thread was faster
            return None if current is None else current.envelope
        if waiting.control is not None:
            said = _saying(context, tx, waiting.peer or address.user_id, waiting.peer)
            envelope = encrypt_content(
                context, tx, address, waiting.control, waiting.message_id, now_ms, said
            )
            # When a session was started for it: one a day, also where nobody can read that one.
            if before is None or (before.asked_at_ms and waiting.fresh_session):
                note_asked(tx, address, now_ms)
        else:
            kept = find_kept(tx, context.policy, address, waiting.message_id, now_ms)
            if kept is None:
                give_up(context, tx, waiting, EXPIRED)
                return None
            require_accepted_account(tx, address)  # else it waits for the user
            if not may_be_sent_again(tx, kept):
                give_up(context, tx, waiting, UntrustedIdentity.code)
                return None
            is_own = address.user_id == context.address.user_id
            form: AnyContent | None = kept.content
            if not is_own:
                account = find_account(tx, address.user_id)
                form = forms_for(kept.content, account, [address]).get(address)
            if form is None:
                give_up(context, tx, waiting, ContentRefused.code)
                return None
            message_id = checked_message_id(context, None)
            content = Resent(kept.message_id, kept.sent_at_ms, form)
            peer = kept.account if is_own else None
            said = _saying(context, tx, kept.account, peer)
            envelope = encrypt_content(context, tx, address, content, message_id, now_ms, said)
            keep_other_id(tx, context.policy, kept, message_id, now_ms)
        replace_waiting(tx, waiting, envelope)
        return envelope


def note_stranger(context: Context, address: Address) -> None:
    """Note that somebody cannot be asked of whom nothing was known before.

    A list of the devices of its account may have come meanwhile: nothing authentic has.
    """
    with peer_transaction(context, address.user_id) as tx:
        if find_identity(tx, address) is not None:
            note_asked(tx, address, context.clock())


def _saying(context: Context, tx: Transaction, account: UserId, peer: UserId | None) -> Saying:
    return Saying(own_hints(context, tx, account), peer, carried_list(context, tx))


def may_be_sent_again(tx: Transaction, kept: KeptMessage) -> bool:
    """Tell whether the recipient is still who the message was for, or trusted by the user.

    Else a back end that brings up a key of its own could ask for what was sent to another.
    """
    identity = find_identity(tx, kept.recipient)
    if identity is None or identity.pending_key is not None:
        return False
    if identity.by_policy or primary_of(tx, kept.recipient) != kept.recipient:
        # Nobody has accepted this key: of a number that is listed, another one is another device.
        return identity.identity_key == kept.identity_key
    return True


def list_pending(context: Context, leftovers: Leftovers) -> list[Pending]:
    """Return all messages that wait to be sent; see `Client.pending`."""
    found: list[Pending] = []
    stripes = context.store.stripes_with(Table.OUTBOX) if context.store.stripes else (0,)
    for stripe in stripes:
        with (
            leftovers.going(stripe, writes=False) as forget,
            stripe_transaction(context, stripe) as tx,
        ):
            forget(tx)
            file_in_flight(context, tx)
            for backlog in list_backlogs(tx):
                if backlog.name is BacklogName.MESSAGES:
                    try:
                        found += _pending_of_backlog(context, tx, backlog)
                    except RecordCorrupted:
                        found += _pending_of_damaged(context, tx, backlog)
            found += _pending_in_groups(context, tx)
    return found


def _pending_in_groups(context: Context, tx: Transaction) -> Iterator[Pending]:
    now_ms = context.clock()
    for _, waiting in walk_group_outbox(tx):
        if isinstance(waiting, GroupWaiting) and is_group_id(tx, waiting.message_id, now_ms):
            copies = waiting.sent if isinstance(waiting.sent, EnvelopeCopies) else None
            for recipient in (context.address,) if copies is None else copies.recipients:
                yield Pending(waiting.message_id, recipient, _NOT_TRIED, waiting.group)


def _pending_of_backlog(context: Context, tx: Transaction, backlog: Backlog) -> list[Pending]:
    record = read_backlog(tx, backlog)
    code = _NOT_TRIED if record is None else record.code or _NOT_TRIED
    return [
        _pending(context, tx, backlog.recipient, item.message_id, code)
        for item in list_backlog(tx, backlog)
    ]


def _pending(
    context: Context, tx: Transaction, recipient: Address, copy_id: bytes, code: str
) -> Pending:
    now_ms = context.clock()
    return Pending(find_message_id(tx, context.policy, recipient, copy_id, now_ms), recipient, code)


def _pending_of_damaged(context: Context, tx: Transaction, backlog: Backlog) -> list[Pending]:
    """The same of a backlog with rows that do not decode, as far as message ids can be read."""
    code = None
    with suppress(RecordCorrupted):
        record = read_backlog(tx, backlog)
        code = None if record is None else record.code or _NOT_TRIED
    rows = read_rows(tx, backlog)
    found: list[Pending] = []
    for number in rows.numbers:
        is_damaged = code is None or number in rows.damaged
        message_id = rows.message_ids.get(number, b"")
        if number not in rows.damaged:
            waiting = find_row(tx, backlog, number)
            message_id = message_id if waiting is None else waiting.message_id
        if message_id:
            state = RecordCorrupted.code if is_damaged else str(code)
            found.append(_pending(context, tx, backlog.recipient, message_id, state))
    return found

# SPDX-License-Identifier: Apache-2.0
"""Hints: what messages say of the device lists that their senders have, and what follows from it.

Rules:
- A hint is never evidence: it makes this device ask for a signed list, or send one, nothing more.
- Nobody can make this device answer whom its user has not accepted; and a device is sent the list
  of an account once a day at most, whatever it hints.
- What is asked of the back end for the sake of a hint is bounded, for each account and in all.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.crypto.account_kdf import hash_device_list
from e2ecross.protocol.device_list import HINT_BYTES
from e2ecross.state.accounts import (
    NOTHING_KNOWN,
    find_account,
    find_list,
    find_pushed,
    note_pushed,
    primary_of,
    put_account,
)
from e2ecross.state.context import Context
from e2ecross.state.outbox import put_control
from e2ecross.state.transactions import group_by_stripe, peer_view, stripe_transaction
from e2ecross.state.trust import find_identity
from e2ecross.stores.base import Transaction
from e2ecross.wire.account_records import AccountRecord
from e2ecross.wire.content import DeviceHints, DeviceListPush, GroupPayload, Payload
from e2ecross.wire.device_list import PRIMARY, SignedDeviceList
from e2ecross.wire.limits import MESSAGE_ID_BYTES

__all__ = [
    "carried_list",
    "hints_by",
    "note_checked",
    "note_hints",
    "own_hints",
    "push_change",
    "push_list",
    "take_wanted_checks",
    "waits_for_decision",
]

_CHECK_MS: Final = 10 * 60 * 1000
"""How long an account is not asked for again because of a hint."""
_MAX_CHECKS: Final = 20
"""Accounts that one call of `receive` asks for: less than a call of the back end takes."""
_DAY_MS: Final = 24 * 60 * 60 * 1000
_MAX_TOLD: Final = 200
"""Devices that are told at once of a device that was taken out."""
_REMEMBERED: Final = 256
"""Lists whose hints need not be computed for each message: public values, mostly of some 130 bytes,
and never of more than 6,000."""


# --- What is said -------------------------------------------------------------------------------


def own_hints(context: Context, tx: Transaction, peer: UserId) -> DeviceHints | None:
    """Return what a message says of the lists that it was sent by; None without an own list.

    Args:
        context: of the device.
        tx: the transaction that encrypts the message.
        peer: the recipient's account; in a copy for another own device, with whom the conversation
            is.
    """
    return hints_by(_find(context, tx, context.address.user_id), _find(context, tx, peer))


def hints_by(own: AccountRecord | None, peer: AccountRecord | None) -> DeviceHints | None:
    """Return the same by what is known of both accounts, as it was read in the transaction."""
    if own is None or own.held is None:
        return None
    if peer is None or peer.held is None:
        return DeviceHints(own.held.list.seq, _hint(own.held))
    return DeviceHints(own.held.list.seq, _hint(own.held), peer.held.list.seq, _hint(peer.held))


def carried_list(context: Context, tx: Transaction) -> SignedDeviceList | None:
    """Return the list that first messages carry, as it is held: the newest own one, if any."""
    own = _find(context, tx, context.address.user_id)
    return None if own is None else own.held


# --- What follows from it -----------------------------------------------------------------------


def note_hints(
    context: Context, tx: Transaction, payload: Payload | GroupPayload, now_ms: int
) -> AccountRecord | None:
    """Follow the hints of a message, after what the message itself has brought.

    Hints of what came under another key than the accepted one are not to be followed.

    Args:
        context: of the device.
        tx: the transaction that has received the message.
        payload: of the message.
        now_ms: milliseconds since 1970.

    Returns:
        What was known of its sender's account; None if that is said to have no list.
    """
    hints = payload.hints
    if hints is None:
        return None
    sender, peer = payload.sender, None if isinstance(payload, GroupPayload) else payload.peer
    behind: list[UserId] = []
    known: dict[UserId, AccountRecord | None] = {}
    for user, seq, hint in (
        (sender.user_id, hints.sender_seq, hints.sender_hash),
        (peer or context.address.user_id, hints.peer_seq, hints.peer_hash),
    ):
        if not seq:
            continue
        known[user] = _find(context, tx, user)
        if _is_behind(context, tx, user, known[user], (seq, hint), payload.sent_at_ms):
            behind.append(user)
    if behind:
        push_list(context, tx, sender, behind, now_ms)
    return known.get(sender.user_id)


def push_list(
    context: Context, tx: Transaction, device: Address, users: Iterable[UserId], now_ms: int
) -> None:
    """Send a device the lists of accounts that are held, if it may be sent anything.

    That is: it is of the own account, or of one that the user has accepted; no other identity key
    of it waits for the user's decision; and it was not sent that list within a day.

    Args:
        context: of the device.
        tx: the transaction that has found out that it does not have them; a view of its stripe.
        device: which.
        users: the accounts, one or two.
        now_ms: milliseconds since 1970.
    """
    if device == context.address or not _may_be_told(context, tx, device):
        return
    lists: list[bytes] = []
    for user in dict.fromkeys(users):
        record = _find(context, tx, user)
        if record is None or record.held is None:
            continue
        # In the stripe of the device, whosever the list is.
        if not _is_within(_DAY_MS, find_pushed(tx, user, device), now_ms):
            note_pushed(tx, user, device, now_ms)
            lists.append(record.held.encode())
    if lists:
        message_id = context.entropy.bytes(MESSAGE_ID_BYTES)
        put_control(tx, device, message_id, DeviceListPush(tuple(lists)))


def push_change(
    context: Context,
    tx: Transaction,
    contacts: Iterable[UserId] = (),
    *,
    but: Collection[int] = (),
) -> None:
    """Send the own list, which has just changed, to other devices at once; at most to 200.

    So a back end that hides it has to hide these messages, too. Where it does, hints still have
    their answer of the day.

    Args:
        context: of the device that has signed it.
        tx: the transaction that has.
        contacts: accounts whose devices are sent it, beside the own ones, if they are accepted.
        but: numbers of own devices that are not.
    """
    own = context.address.user_id
    record = find_account(tx, own)
    if record is None or record.held is None:
        return
    push = DeviceListPush((record.held.encode(),))
    told = [user for user in contacts if _is_accepted(peer_view(context, tx, user), user)]
    for device in islice(_listed(context, tx, (own, *told)), _MAX_TOLD):
        view = peer_view(context, tx, device.user_id)
        if (device.user_id == own and device.device in but) or waits_for_decision(view, device):
            continue
        put_control(view, device, context.entropy.bytes(MESSAGE_ID_BYTES), push)


def take_wanted_checks(context: Context) -> list[UserId]:
    """Return the accounts that were heard of, and whose lists are to be asked for now; at most 20.

    What is left is taken when the account is heard of again.
    """
    heard = list(context.heard_of)
    for user in heard:
        context.heard_of.pop(user, None)  # another thread may take it, too: it is asked for twice
    if not heard:
        return []
    now_ms, due = context.clock(), set[UserId]()
    for stripe, users in group_by_stripe(context, heard).items():
        with stripe_transaction(context, stripe) as tx:
            due.update(user for user in users if _is_check_due(context, tx, user, now_ms))
    return [user for user in heard if user in due][:_MAX_CHECKS]


def note_checked(context: Context, users: Sequence[UserId]) -> None:
    """Note that the back end was asked for the lists of accounts, whatever it has answered."""
    now_ms = context.clock()
    for stripe, of_stripe in group_by_stripe(context, users).items():
        with stripe_transaction(context, stripe) as tx:
            for user in of_stripe:
                record = find_account(tx, user) or NOTHING_KNOWN
                put_account(tx, user, replace(record, checked_at_ms=now_ms, check_wanted=False))


def _is_check_due(context: Context, tx: Transaction, user: UserId, now_ms: int) -> bool:
    """Whether the list of an account that was heard of is to be asked for now."""
    record = find_account(tx, user)
    if record is None or _is_within(_CHECK_MS, record.checked_at_ms, now_ms):
        return False
    # Of the own account, in a store with stripes, that stands nowhere: who has told of a newer list
    # was heard in another stripe.
    is_only_heard_of = user == context.address.user_id and tx.stripe_count() > 0
    return record.check_wanted or is_only_heard_of


def _find(context: Context, tx: Transaction, user: UserId) -> AccountRecord | None:
    return find_account(peer_view(context, tx, user), user)


def _is_behind(
    context: Context,
    tx: Transaction,
    user: UserId,
    known: AccountRecord | None,
    told: tuple[int, bytes],
    sent_at_ms: int,
) -> bool:
    """Hold a hint against the list of an account; tells whether its sender should get the list."""
    record, (seq, hint) = known or NOTHING_KNOWN, told
    held = record.held
    is_behind = is_newer = False
    if held is None or seq > held.list.seq:
        is_newer = True
    elif seq == held.list.seq:
        is_behind = is_newer = hint != _hint(held)
    else:  # renewals are no news; and what was sent before the list was signed could not know it
        is_behind = seq < record.changed_seq and sent_at_ms >= held.list.signed_at_ms
    is_own = user == context.address.user_id
    if is_newer and not record.check_wanted and not (is_own and tx.stripe_count()):
        put_account(peer_view(context, tx, user), user, replace(record, check_wanted=True))
    if is_newer or record.check_wanted:
        context.heard_of[user] = None
    return is_behind


def _may_be_told(context: Context, tx: Transaction, device: Address) -> bool:
    user = device.user_id
    if user != context.address.user_id and not _is_accepted(tx, user):
        return False
    return not waits_for_decision(tx, device)


def _is_accepted(tx: Transaction, user: UserId) -> bool:
    record = find_account(tx, user)
    return record is not None and record.written


def waits_for_decision(tx: Transaction, device: Address) -> bool:
    """Whether the user has to decide about a key first, of the device or of its account."""
    identities = (find_identity(tx, each) for each in (device, primary_of(tx, device)))
    return any(each is not None and each.pending_key is not None for each in identities)


def _listed(context: Context, tx: Transaction, users: Iterable[UserId]) -> Iterator[Address]:
    """Walk over the devices of accounts but this one; of one without a list that is device 1."""
    for user in dict.fromkeys(users):
        held = find_list(peer_view(context, tx, user), user)
        numbers = (PRIMARY,) if held is None else tuple(each.device for each in held.devices)
        for number in numbers:
            device = Address(user.app, user.user, number)
            if device != context.address:
                yield device


def _is_within(period_ms: int, then_ms: int, now_ms: int) -> bool:
    """Whether something was done lately; a time after now, of a clock that was wrong, is not."""
    return then_ms > 0 and 0 <= now_ms - then_ms < period_ms


def _hint(signed: SignedDeviceList) -> bytes:
    return _hint_of_data(signed.data)


@lru_cache(_REMEMBERED)
def _hint_of_data(data: bytes) -> bytes:
    return hash_device_list(data)[:HINT_BYTES]

# SPDX-License-Identifier: Apache-2.0
"""How many messages may be asked for again, and sent again, in a day.

Rules:
- Whoever can put bytes into a mailbox can make messages fail, and so make us ask; whoever is a
  contact can ask. Both are counted, for each address and in all; of a store with stripes in all of
  a stripe, which has its part of what there may be.
- Only `Client` counts: a failed `Device.decrypt` changes nothing.
- How often a device may have its entry in the account's list changed is counted beside that.
- What is asked of members of groups, and told them, is counted beside that, and in all with it.
- A device that nothing authentic has ever come from is written to in one new session a day, which
  takes one of its one-time prekeys; all that it is asked for in the day goes in that session.
"""

import enum
from dataclasses import replace
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.state.accounts import user_key
from e2ecross.state.context import Context, address_key, require_device
from e2ecross.state.shelf import Shelf
from e2ecross.state.stripe import bound_of_stripe
from e2ecross.state.trust import find_identity
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.group import GroupId
from e2ecross.wire.shelf_records import RetryBudgetRecord, decode_retry, encode_retry

__all__ = [
    "BUDGET",
    "Request",
    "spend_answer",
    "spend_change",
    "spend_commits",
    "spend_group_question",
    "spend_group_resend",
    "spend_request",
    "spend_word_of_exit",
    "tend_attempts",
]

BUDGET: Final = b"budget"
_TOTAL: Final = b""
_CHANGES: Final = b"\0changes\0"
"""Before the address of who makes them; no address begins so."""
_COMMITS: Final = b"\0commits\0"
"""Likewise, before the address of who gets them."""
_HOUR_MS: Final = 60 * 60 * 1000
_DAY_MS: Final = 24 * _HOUR_MS
_MAX_ATTEMPTS: Final = 3
"""How often one message is asked for: a request or its answer may be lost, too."""
_MAX_STRANGERS: Final = 100
"""Devices never heard of that are asked in a day: each costs one of their one-time prekeys."""
_MAX_CHANGES: Final = 4
"""Changes of one device's entry in a day: each has device 1 sign and publish a list."""
_MAX_COMMIT_BYTES: Final = 4 * 1024 * 1024
"""Commits that one device gets in a day, bytes: a group of 1,024 members has 643 KB after 2,000
changes."""
_ATTEMPTS: Final = Shelf(Table.RETRIES, 7 * _DAY_MS, 10_000)
"""The failed messages of the last days, so that a back end that repeats one gains nothing."""
_RESENT: Final = Shelf(Table.RETRIES, 45 * _DAY_MS, 10_000, b"resent")
"""Which messages into groups were sent again to which device, for as long as they may be kept."""
_QUESTIONS: Final = Shelf(Table.RETRIES, _HOUR_MS, 10_000, b"questions")
"""Which devices were asked for the commits of which group."""
_WORDS: Final = Shelf(Table.RETRIES, _DAY_MS, 10_000, b"words")
"""Which accounts were told that they are out of which group."""


class Request(enum.Enum):
    """Whether a message may be asked for, and how."""

    REFUSED = enum.auto()
    IN_NEW_SESSION = enum.auto()
    IN_SAME_SESSION = enum.auto()
    """In the one that was started when the device was last asked."""


def spend_request(
    context: Context,
    tx: Transaction,
    sender: Address,
    message_id: bytes,
    now_ms: int,
    *,
    in_group: bool = False,
) -> Request:
    """Note that a failed message (16 bytes of id) is asked for, if it may be.

    Of a stranger's messages into groups one in a day: no session shows that he is anybody. While
    the identity is new here, everybody is a stranger, and that is not asked.
    """
    total = _total(tx, now_ms)
    own = _load(tx, address_key(sender), total.window_started_at_ms)
    identity = find_identity(tx, sender)
    is_stranger = identity is None or identity.asked_at_ms > 0
    if _is_used_up(context, tx, total, own):
        return Request.REFUSED
    # A time after now, of a clock that was wrong, stops nothing until it has come.
    was_asked = own.strangers > 0 or (
        identity is not None and 0 <= now_ms - identity.asked_at_ms < _DAY_MS
    )
    starts = is_stranger and not was_asked
    if in_group and is_stranger and was_asked and not _is_new_here(tx, now_ms):
        return Request.REFUSED
    strangers = bound_of_stripe(_MAX_STRANGERS, tx.stripe_count())
    if starts and total.strangers >= strangers and not _is_new_here(tx, now_ms):
        return Request.REFUSED
    if not _spend(tx, _ATTEMPTS, address_key(sender) + message_id, _MAX_ATTEMPTS, now_ms):
        return Request.REFUSED
    _save(
        tx,
        _TOTAL,
        replace(total, requests=total.requests + 1, strangers=total.strangers + int(starts)),
    )
    _save(
        tx,
        address_key(sender),
        replace(own, requests=own.requests + 1, strangers=own.strangers + int(starts)),
    )
    return Request.IN_SAME_SESSION if is_stranger and was_asked else Request.IN_NEW_SESSION


def _is_new_here(tx: Transaction, now_ms: int) -> bool:
    """Whether the identity came here lately: then everybody with messages waiting is a stranger."""
    imported_at_ms = require_device(tx).imported_at_ms
    return imported_at_ms > 0 and 0 <= now_ms - imported_at_ms < _DAY_MS


def spend_answer(context: Context, tx: Transaction, requester: Address, now_ms: int) -> bool:
    """Note that a message is sent again to a device; tells whether it may be."""
    policy, most = context.policy, bound_of_stripe(context.policy.resends, tx.stripe_count())
    total = _total(tx, now_ms)
    own = _load(tx, address_key(requester), total.window_started_at_ms)
    if total.answers >= most or own.answers >= policy.resends_per_peer:
        return False
    _save(tx, _TOTAL, replace(total, answers=total.answers + 1))
    _save(tx, address_key(requester), replace(own, answers=own.answers + 1))
    return True


def spend_change(tx: Transaction, device: Address, now_ms: int) -> bool:
    """Note that an own device changes its entry in the account's list; tells whether it may."""
    total = _total(tx, now_ms)
    row = _CHANGES + address_key(device)
    own = _load(tx, row, total.window_started_at_ms)
    if own.requests >= _MAX_CHANGES:
        return False
    _save(tx, _TOTAL, total)  # else the window would begin anew each time
    _save(tx, row, replace(own, requests=own.requests + 1))
    return True


def spend_group_question(
    context: Context, tx: Transaction, device: Address, group: GroupId, now_ms: int
) -> bool:
    """Note that a device is asked for commits of a group; tells whether it may be."""
    total = _total(tx, now_ms)
    own = _load(tx, address_key(device), total.window_started_at_ms)
    if _is_used_up(context, tx, total, own):
        return False
    if not _spend(tx, _QUESTIONS, address_key(device) + group.value, 1, now_ms):
        return False
    _save(tx, _TOTAL, replace(total, requests=total.requests + 1))
    _save(tx, address_key(device), replace(own, requests=own.requests + 1))
    return True


def spend_group_resend(
    tx: Transaction, device: Address, message_id: bytes, most: int, now_ms: int
) -> bool:
    """Note that a message into a group (16 bytes of id) is sent again to a device, if it may be.

    That is: it was not, so many times.
    """
    return _spend(tx, _RESENT, address_key(device) + message_id, most, now_ms)


def spend_commits(tx: Transaction, device: Address, size: int, now_ms: int) -> bool:
    """Note that a device gets so many bytes of commits; tells whether it may."""
    total, row = _total(tx, now_ms), _COMMITS + address_key(device)
    own = _load(tx, row, total.window_started_at_ms)
    if own.answers + size > _MAX_COMMIT_BYTES:
        return False
    _save(tx, _TOTAL, total)  # else the window would begin anew each time
    _save(tx, row, replace(own, answers=own.answers + size))
    return True


def spend_word_of_exit(tx: Transaction, user: UserId, group: GroupId, now_ms: int) -> bool:
    """Note that an account is told that it is out of a group; tells whether it may be."""
    return _spend(tx, _WORDS, user_key(user) + group.value, 1, now_ms)


def tend_attempts(tx: Transaction, now_ms: int) -> None:
    """See `Shelf.tend`."""
    for shelf in (_ATTEMPTS, _RESENT, _QUESTIONS, _WORDS):
        shelf.tend(tx, now_ms)


def _is_used_up(
    context: Context, tx: Transaction, total: RetryBudgetRecord, own: RetryBudgetRecord
) -> bool:
    """Whether nothing more may be asked of a device today, or of anybody."""
    policy, most = context.policy, bound_of_stripe(context.policy.retry_requests, tx.stripe_count())
    return total.requests >= most or own.requests >= policy.retry_requests_per_peer


def _spend(tx: Transaction, shelf: Shelf, row: bytes, most: int, now_ms: int) -> bool:
    """Count what a row of a shelf stands for, if it was not counted so many times."""
    before = shelf.find(tx, row, now_ms)
    if before is None:
        shelf.add(tx, row, encode_retry(1), now_ms)
        return True
    attempts = decode_retry(before.record)
    if attempts >= most:
        return False
    shelf.replace(tx, before, row, encode_retry(attempts + 1))
    return True


def _total(tx: Transaction, now_ms: int) -> RetryBudgetRecord:
    """Return what was counted in all since the window began; a new window forgets everything."""
    total = _load(tx, _TOTAL, now_ms)
    # A clock that went back must not stop everything until it has come forward again.
    if 0 <= now_ms - total.window_started_at_ms < _DAY_MS:
        return total
    tx.clear(Table.RETRIES, BUDGET)
    return RetryBudgetRecord(now_ms)


def _load(tx: Transaction, row: bytes, window_started_at_ms: int) -> RetryBudgetRecord:
    data = tx.get(Table.RETRIES, BUDGET, row)
    if data is None:
        return RetryBudgetRecord(window_started_at_ms)
    return RetryBudgetRecord.decode(data)


def _save(tx: Transaction, row: bytes, record: RetryBudgetRecord) -> None:
    tx.put(Table.RETRIES, BUDGET, row, record.encode())

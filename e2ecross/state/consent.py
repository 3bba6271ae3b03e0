# SPDX-License-Identifier: Apache-2.0
"""What accounts have consented to, and how many messages were sent by that: a row for each.

Rules:
- The number only grows: a grant with a greater one takes the place of another, a revoke with the
  same or a greater one leaves none. What has a lower one is ignored, so it does not matter in which
  order they come.
- A message is counted in the transaction that encrypts it, so two workers cannot overspend. Their
  clocks differ by seconds: a day that another worker has begun is gone on with.
"""

from dataclasses import replace
from typing import Final

from e2ecross.address import UserId
from e2ecross.errors import ConsentMissing
from e2ecross.state.accounts import user_key
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.consent_records import ConsentRecord
from e2ecross.wire.content import ConsentGrant, ConsentRevoke

__all__ = ["count_message", "empty_grant", "put_grant", "put_revoke", "read_token"]

_DAY_MS: Final = 24 * 60 * 60 * 1000
_CONSENT: Final = Codec(ConsentRecord.encode, ConsentRecord.decode)


def count_message(tx: Transaction, user: UserId, purpose: int, now_ms: int) -> None:
    """Count a message that goes to an account by its consent.

    Args:
        tx: the transaction that encrypts it.
        user: the account.
        purpose: of the message, 1 to 4.
        now_ms: milliseconds since 1970.

    Raises:
        ConsentMissing: it has granted none for that now, or no more on this day (UTC).
    """
    record = _find(tx, user)
    grant = _live(record, now_ms)
    if record is None or grant is None or purpose not in grant.purposes:
        raise ConsentMissing(user, purpose)
    day, count = now_ms // _DAY_MS, 0
    if record.day in (day, day + 1):
        day, count = record.day, record.count
    if count >= grant.max_per_day:
        raise ConsentMissing(user, purpose)
    _put(tx, user, replace(record, day=day, count=count + 1))


def read_token(tx: Transaction, user: UserId, now_ms: int) -> bytes:
    """Return the token of what an account has granted (32 bytes, secret); empty: nothing now."""
    grant = _live(_find(tx, user), now_ms)
    return b"" if grant is None else grant.token


def put_grant(tx: Transaction, user: UserId, grant: ConsentGrant) -> None:
    """Note what an account has granted, unless a later grant or revoke is known."""
    known = _find(tx, user)
    if known is None:
        _put(tx, user, ConsentRecord(grant, grant.number))
    elif grant.number > known.number:
        _put(tx, user, replace(known, grant=grant, number=grant.number))


def put_revoke(tx: Transaction, user: UserId, revoke: ConsentRevoke) -> bool:
    """Note that an account has taken back what it had granted; returns whether that ends a grant.

    Also before that came: its number is lower then.
    """
    known = _find(tx, user)
    if known is not None and revoke.number < known.number:
        return False
    known = known or ConsentRecord(None, revoke.number)
    _put(tx, user, replace(known, grant=None, number=revoke.number))
    return known.grant is not None


def empty_grant(tx: Transaction, user: UserId) -> bool:
    """Let nothing be sent by what an account has granted, until it grants anew.

    Returns whether there was a grant.
    """
    known = _find(tx, user)
    if known is None or known.grant is None:
        return False
    _put(tx, user, replace(known, grant=None))
    return True


def _find(tx: Transaction, user: UserId) -> ConsentRecord | None:
    return tx.get_value(Table.CONSENT, user_key(user), b"", _CONSENT)


def _put(tx: Transaction, user: UserId, record: ConsentRecord) -> None:
    tx.put_value(Table.CONSENT, user_key(user), b"", record, _CONSENT)


def _live(record: ConsentRecord | None, now_ms: int) -> ConsentGrant | None:
    grant = None if record is None else record.grant
    return None if grant is None or grant.expires_at_ms <= now_ms else grant

# SPDX-License-Identifier: Apache-2.0
"""What is counted of a stripe, and which stripe an account is of.

Rules:
- All devices of an account are of one stripe, so one transaction has all of them.
- A store without stripes has the one row of stripe 0.
- How often a signed prekey was used is counted in each stripe by itself: nobody waits for a count
  of all. Of which prekeys there are entries is put right whenever one is written.
"""

import hashlib
from functools import lru_cache
from typing import Final

from e2ecross.address import UserId
from e2ecross.errors import FleetUnsupported
from e2ecross.stores.base import Codec, Store, Table, Transaction
from e2ecross.wire.limits import MAX_SEEN_BASE_KEYS, MAX_SEEN_BASE_KEYS_OF_STRIPE
from e2ecross.wire.stripe_record import MAX_SEEN_COUNTS, StripeRecord

__all__ = [
    "bound_of_stripe",
    "count_seen",
    "is_full",
    "note_outbox_due",
    "read_stripe",
    "refuse_groups",
    "save_stripe",
    "stripe_of",
]

_LABEL: Final = b"e2ecross stripe 1"
_HASH_BITS: Final = 16
_REMEMBERED: Final = 4_096  # accounts, whose hash takes 1 us

_LEAST_OF_STRIPE: Final = 64  # accounts are not spread evenly

_STRIPE_TABLE: Final = Table.STRIPE  # looking up a member takes Python 0.1 us, four times a message
_STRIPE: Final = Codec(StripeRecord.encode, StripeRecord.decode)
_NEW: Final = StripeRecord()


def read_stripe(tx: Transaction) -> StripeRecord:
    """Return what is counted of the stripe of this view."""
    return tx.get_value(_STRIPE_TABLE, b"", b"", _STRIPE) or _NEW


def save_stripe(tx: Transaction, record: StripeRecord) -> None:
    """Write what is counted of the stripe of this view."""
    tx.put_value(_STRIPE_TABLE, b"", b"", record, _STRIPE)


def note_outbox_due(tx: Transaction, at_ms: int) -> None:
    """Note that something may be due to be sent at a time, milliseconds since 1970, above 0.

    Stores without stripes need no time for it.
    """
    if tx.stripe_count():
        stripe = read_stripe(tx)
        if not stripe.outbox_due_ms or at_ms < stripe.outbox_due_ms:
            save_stripe(tx, stripe._replace(outbox_due_ms=at_ms))


@lru_cache(_REMEMBERED)
def stripe_of(user: UserId, stripes: int) -> int:
    """Return the stripe, 1 to `stripes`, of an account that is not the device's own.

    Args:
        user: whose account.
        stripes: of the store, a power of two; 0: the answer is 0.
    """
    if not stripes:
        return 0
    name = _LABEL + user.app.encode() + b"\0" + user.user.encode()
    first = int.from_bytes(hashlib.sha256(name).digest()[: _HASH_BITS // 8])
    return 1 + (first * stripes >> _HASH_BITS)


def bound_of_stripe(bound: int, stripes: int) -> int:
    """Return how much of something that is bounded there may be in each stripe of a store.

    Args:
        bound: of all of it; in a stripe its part, but never less than 64 of what there may be.
        stripes: of the store; 0: the answer is the bound.
    """
    return min(bound, max(-(-bound // max(stripes, 1)), _LEAST_OF_STRIPE))


def refuse_groups(store: Store) -> None:
    """Refuse what reads rows of all members of a group, who are of all stripes.

    Raises:
        FleetUnsupported: the store has stripes.
    """
    if store.stripes:
        raise FleetUnsupported("groups need a store without stripes")


def is_full(tx: Transaction, prekey_id: int, stripes: int) -> bool:
    """Tell whether a signed prekey takes no more first messages that have to be remembered.

    Args:
        tx: in the stripe of the sender.
        prekey_id: which.
        stripes: of the store.
    """
    return dict(read_stripe(tx).seen).get(prekey_id, 0) >= _limit(stripes)


def count_seen(tx: Transaction, prekey_id: int, kept: set[int], stripes: int) -> bool:
    """Count a first message that was remembered; tells whether the signed prekey is full now.

    Args:
        tx: in the stripe of the sender.
        prekey_id: which signed prekey it has used.
        kept: the signed prekeys that there are: entries of others go.
        stripes: of the store.
    """
    stripe = read_stripe(tx)
    counts = {each: count for each, count in stripe.seen if each in kept}
    counts[prekey_id] = counts.get(prekey_id, 0) + 1
    newest = sorted(counts.items())[-MAX_SEEN_COUNTS:]
    save_stripe(tx, stripe._replace(seen=tuple(newest)))
    return counts[prekey_id] >= _limit(stripes)


def _limit(stripes: int) -> int:
    return MAX_SEEN_BASE_KEYS_OF_STRIPE if stripes else MAX_SEEN_BASE_KEYS

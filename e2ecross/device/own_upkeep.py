# SPDX-License-Identifier: Apache-2.0
"""What is to be done about the list of the own account's devices, and what was.

Rules:
- A list that was signed is published until the back end is known to have it. While somebody else
  signs lists with the account's key, or only a reset may be signed, nothing is published.
- That the list is too old is told the app once for each list.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from e2ecross.crypto.keys import PublicKey
from e2ecross.protocol.device_list import is_expired
from e2ecross.state.accounts import find_account, find_list, find_own_account, put_own_account
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedTransaction, read_epoch
from e2ecross.state.inbox import put_notice
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.transactions import reading_transaction, stripe_transaction
from e2ecross.stores.base import Transaction
from e2ecross.wire.account_records import OwnAccountRecord
from e2ecross.wire.device_list import PRIMARY

__all__ = [
    "ListToPublish",
    "find_new_devices",
    "is_own_list_expired",
    "list_to_publish",
    "must_reset",
    "note_has_keys",
    "note_list_published",
    "note_list_unpublished",
    "tell_expired",
]


# --- Publishing -----------------------------------------------------------------------------


class ListToPublish(NamedTuple):
    """A list that the back end may not have yet.

    Attributes:
        seq: its number.
        encoded: an encoded `SignedDeviceList`.
        tokens: SHA-256 of the tokens of devices that were linked, 32 bytes each, by number.
        epoch: that of the store.
    """

    seq: int
    encoded: bytes
    tokens: Mapping[int, bytes]
    epoch: int


def list_to_publish(context: Context) -> ListToPublish | None:
    """Return the own list, if this device signs it and the back end may not have it."""
    with reading_transaction(context) as tx:
        if not _is_waiting(context, tx):
            return None
    with WitnessedTransaction(context) as tx:
        own, record = find_own_account(tx), find_account(tx, context.address.user_id)
        if own is None or record is None or record.held is None:
            return None
        tokens = {new.device: new.token_hash for new in own.new_devices}
        return ListToPublish(record.held.list.seq, record.held.encode(), tokens, read_epoch(tx))


def note_list_published(context: Context, seq: int) -> None:
    """Note that the back end has the list of a number, if that is still the newest one."""
    with stripe_transaction(context) as tx:
        own, listed = find_own_account(tx), find_list(tx, context.address.user_id)
        if own is not None and listed is not None and listed.seq == seq:
            put_own_account(tx, replace(own, published=True))


def note_list_unpublished(context: Context) -> None:
    """Note that the back end may have lost the list: it was registered at anew."""
    with stripe_transaction(context) as tx:
        own = find_own_account(tx)
        if own is not None and own.published:
            put_own_account(tx, replace(own, published=False))


def must_reset(context: Context) -> bool:
    """Tell whether this is device 1 of an account that was restored, whose list waits for that."""
    with reading_transaction(context) as tx:
        own = find_own_account(tx)
        return own is not None and own.must_reset


def _is_waiting(context: Context, tx: Transaction) -> bool:
    own = find_own_account(tx)
    is_free = own is not None and not (own.published or own.must_reset or own.conflict)
    return is_free and context.address.device == PRIMARY


# --- Devices that were linked ---------------------------------------------------------------


def find_new_devices(context: Context) -> dict[int, PublicKey]:
    """Return the keys (33 bytes) by number of devices that are not known to have published any."""
    with reading_transaction(context) as tx:
        own, listed = find_own_account(tx), find_list(tx, context.address.user_id)
        if own is None or listed is None or own.must_reset or own.conflict:
            return {}
        entries = [listed.find(new.device) for new in own.new_devices]
        return {each.device: each.identity_key for each in entries if each is not None}


def note_has_keys(context: Context, device: int) -> None:
    """Note that a device that was linked has published keys, and was told what it has to know."""
    with stripe_transaction(context) as tx:
        own = find_own_account(tx) or OwnAccountRecord()
        left = tuple(new for new in own.new_devices if new.device != device)
        put_own_account(tx, replace(own, new_devices=left))


# --- The age of the list --------------------------------------------------------------------


def is_own_list_expired(context: Context) -> bool:
    """Tell whether others send to device 1 alone, because the own list is too old."""
    with reading_transaction(context) as tx:
        return _is_expired(context, tx)


def tell_expired(context: Context) -> None:
    """Tell the app if the own list is too old, once for each list."""
    with reading_transaction(context) as tx:  # mostly it is not, and others go on
        if not _is_to_be_told(context, tx):
            return
    with stripe_transaction(context) as tx:
        user = context.address.user_id
        own, listed = find_own_account(tx) or OwnAccountRecord(), find_list(tx, user)
        if listed is not None and _is_to_be_told(context, tx):
            put_own_account(tx, replace(own, expired_seq=listed.seq))
            put_notice(context, tx, Notice(NoticeKind.OWN_LIST_EXPIRED, user))


def _is_to_be_told(context: Context, tx: Transaction) -> bool:
    own, listed = find_own_account(tx), find_list(tx, context.address.user_id)
    told = 0 if own is None else own.expired_seq
    return listed is not None and told != listed.seq and _is_expired(context, tx)


def _is_expired(context: Context, tx: Transaction) -> bool:
    record = find_account(tx, context.address.user_id)
    if record is None or record.held is None:
        return False
    max_age_ms = context.policy.device_list_max_age_ms
    return is_expired(record.held, record.accepted_at_ms, context.clock(), max_age_ms)

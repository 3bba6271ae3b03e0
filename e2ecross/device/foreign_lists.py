# SPDX-License-Identifier: Apache-2.0
"""Lists under the own account's key that device 1 has not signed: what it keeps of them.

Rules:
- Somebody else has the key, or an old phone was found again. Nothing is signed before the user has
  decided (`own_list.restore_devices`).
- A contact may have seen such a list alone, so the reset has to be above all of them, and may say
  no less of who holds the key than any.
"""

from dataclasses import replace

from e2ecross.state.accounts import (
    NOTHING_KNOWN,
    find_account,
    find_own_account,
    put_account,
    put_own_account,
)
from e2ecross.state.context import Context
from e2ecross.state.inbox import put_notice
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.stores.base import Transaction
from e2ecross.wire.account_records import OwnAccountRecord
from e2ecross.wire.device_list import SignedDeviceList

__all__ = ["note_conflict", "note_hosting"]


def note_conflict(context: Context, tx: Transaction, signed: SignedDeviceList) -> None:
    """Note a verified list under the own account's key that this device has not signed.

    Of several the one with the highest number is kept, and the most that any of them says of who
    holds the account's keys: a reset has to be above the one, and may not say less than the other.
    """
    user = context.address.user_id
    record = find_account(tx, user) or NOTHING_KNOWN
    if record.rival is None or record.rival.list.seq < signed.list.seq:
        put_account(tx, user, replace(record, rival=signed))
    note_hosting(tx, signed)
    own = find_own_account(tx) or OwnAccountRecord()
    if not own.conflict:
        put_own_account(tx, replace(own, conflict=True))
        put_notice(context, tx, Notice(NoticeKind.FOREIGN_LIST, user))


def note_hosting(tx: Transaction, signed: SignedDeviceList) -> None:
    """Keep what a list of somebody else says of who holds the account's keys, if that is the most.

    A contact may have seen it, and refuses a list that says less.
    """
    own, said = find_own_account(tx) or OwnAccountRecord(), signed.list
    if said.hosting > own.foreign_hosting:
        noted = replace(own, foreign_hosting=said.hosting, foreign_vendor=said.vendor)
        put_own_account(tx, noted)

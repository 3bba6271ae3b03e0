# SPDX-License-Identifier: Apache-2.0
"""The list of the own account's devices, at device 1, which signs it.

Rules:
- Nothing is signed while somebody else has signed a list with the account's key.
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

__all__ = ["note_conflict", "request_capabilities", "request_unlink"]


def note_conflict(context: Context, tx: Transaction, signed: SignedDeviceList) -> None:
    """Note a verified list under the own account's key that this device has not signed."""
    user, own = context.address.user_id, find_own_account(tx) or OwnAccountRecord()
    if own.conflict:
        return
    put_own_account(tx, replace(own, conflict=True))
    put_account(tx, user, replace(find_account(tx, user) or NOTHING_KNOWN, rival=signed))
    put_notice(context, tx, Notice(NoticeKind.FOREIGN_LIST, user))


def request_unlink(context: Context, tx: Transaction, device: int) -> None:
    raise NotImplementedError


def request_capabilities(context: Context, tx: Transaction, device: int, data: bytes) -> None:
    raise NotImplementedError

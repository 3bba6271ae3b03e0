# SPDX-License-Identifier: Apache-2.0
"""What is known of an account that copies of a message go to, in the transaction of these."""

from typing import NamedTuple

from e2ecross.address import UserId
from e2ecross.device.device_lists import Targets, targets_by
from e2ecross.state.accounts import find_account
from e2ecross.state.consent import read_token
from e2ecross.state.context import Context
from e2ecross.state.transactions import peer_view
from e2ecross.stores.base import Transaction
from e2ecross.wire.account_records import AccountRecord

__all__ = ["CopyAccount", "read_account"]


class CopyAccount(NamedTuple):
    """What is known of an account.

    Attributes:
        user: which.
        record: its row, or None.
        targets: the devices that are sent to; None: it has no list.
        seq: of the list by which that is, 0: none.
        consent: the token of what it has granted, 32 bytes, secret; or empty.
    """

    user: UserId
    record: AccountRecord | None
    targets: Targets | None
    seq: int
    consent: bytes

    def __repr__(self) -> str:
        return f"<CopyAccount {self.user}>"


def read_account(context: Context, tx: Transaction, user: UserId, now_ms: int) -> CopyAccount:
    """Read what is known of an account: the recipient's, or the own one.

    Args:
        context: of the device.
        tx: of the stripe of the recipient.
        user: which.
        now_ms: milliseconds since 1970.
    """
    view = peer_view(context, tx, user)
    record = find_account(view, user)
    held = None if record is None else record.held
    targets = targets_by(context, user, record, now_ms)
    is_own = user == context.address.user_id
    consent = b"" if is_own else read_token(view, user, now_ms)
    return CopyAccount(user, record, targets, 0 if held is None else held.list.seq, consent)

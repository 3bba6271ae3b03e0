# SPDX-License-Identifier: Apache-2.0
"""What contacts grant and take back: what a device does about it, in the commit that received it.

Rules:
- It counts whether the app is shown the message or not: also a blocked account, and a stranger of
  whom enough waits, may take back what it has granted.
- Under an identity key that was not accepted a grant does not count: it could be the back end's.
  A revoke does, but its number does not: else the account itself could never grant anything again.
- A revoke takes back what waits to be sent by the grant. The app hears of each such message.
"""

from contextlib import suppress

from e2ecross.address import MAX_DEVICE, UserId
from e2ecross.device.settling import file_in_flight, give_up
from e2ecross.errors import ConsentMissing, RecordCorrupted
from e2ecross.state.consent import empty_grant, put_grant, put_revoke
from e2ecross.state.context import Context
from e2ecross.state.message import DeviceMessage
from e2ecross.state.outbox import Backlog, BacklogName, find_row, read_backlog
from e2ecross.state.outbox_repair import rebuild_backlog
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import ConsentGrant, ConsentRevoke
from e2ecross.wire.device_list import PRIMARY

__all__ = ["take_consent"]


def take_consent(
    context: Context, tx: Transaction, message: DeviceMessage, *, is_trusted: bool
) -> None:
    """Note what a message grants or takes back, if it does.

    Args:
        context: of the device.
        tx: the transaction that has received it.
        message: what came; no second copy, and not into a group.
        is_trusted: it came under an identity key that is accepted.
    """
    content, user = message.content, message.sender.user_id
    if message.own_copy:
        return
    if isinstance(content, ConsentGrant):
        if is_trusted:
            put_grant(tx, user, content)
    elif isinstance(content, ConsentRevoke):
        has_ended = put_revoke(tx, user, content) if is_trusted else empty_grant(tx, user)
        if has_ended:
            _take_back(context, tx, user)


def _take_back(context: Context, tx: Transaction, user: UserId) -> None:
    """Give up what waits for an account with a purpose."""
    file_in_flight(context, tx)
    for device in range(PRIMARY, MAX_DEVICE + 1):  # also those that no list has
        backlog = Backlog(BacklogName.MESSAGES, user.device(device))
        rebuild_backlog(tx, backlog)
        record = read_backlog(tx, backlog)
        for number in () if record is None else range(record.first, record.next):
            waiting = None
            with suppress(RecordCorrupted):  # it hides no other
                waiting = find_row(tx, backlog, number)
            if waiting is not None and waiting.purpose:
                give_up(context, tx, waiting, ConsentMissing.code)

# SPDX-License-Identifier: Apache-2.0
"""Messages that were sent, without sending them.

with store.transaction() as tx:
    keep_sent(tx, policy, BUDI, MESSAGE_ID, Text("halo"), NOW_MS)
"""

from collections.abc import Sequence

from e2ecross import Address, Policy
from e2ecross.state.sent import forget_content, forget_copy, keep_copies
from e2ecross.state.sent_ids import forget_id, keep_id
from e2ecross.stores import Transaction
from e2ecross.wire.content import AnyContent

__all__ = ["forget_sent", "keep_sent"]


def keep_sent(
    tx: Transaction,
    policy: Policy,
    recipient: Address,
    message_id: bytes,
    content: AnyContent,
    now_ms: int,
    copies: Sequence[Address] = (),
) -> None:
    """Keep what is kept of a message that was sent to a device, or to several of an account."""
    devices, user = copies or (recipient,), recipient.user_id
    keep_id(tx, recipient, message_id, content, devices, message_id, now_ms)
    keep_copies(tx, policy, user, message_id, message_id, content, devices, now_ms, now_ms)


def forget_sent(
    tx: Transaction, policy: Policy, recipient: Address, message_id: bytes, now_ms: int
) -> None:
    """Forget a message that was sent to one device."""
    forget_id(tx, recipient, message_id, now_ms)
    forget_content(tx, policy, recipient.user_id, message_id, now_ms)
    forget_copy(tx, policy, recipient, message_id, now_ms)

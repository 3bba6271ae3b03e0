# SPDX-License-Identifier: Apache-2.0
"""What is handed over of a group: a message that was judged, on its way into the inbox.

Rules:
- A message is shown once, by its sender and its id, however it came.
- Of a blocked account it is shown, and says so: the others see it, and answer it.
- What the own user writes on another device accepts the group here, too.
- Receipts, what clients tell each other, and consent are no messages of a group.
"""

from dataclasses import replace

from e2ecross.address import Address
from e2ecross.device.conversations import admit_in_group
from e2ecross.device.group_receiving import Judged
from e2ecross.device.receipts import note_arrived
from e2ecross.state.accounts import find_account
from e2ecross.state.context import Context
from e2ecross.state.delivered import note_delivered, was_delivered
from e2ecross.state.groups import put_group
from e2ecross.state.inbox import put_message
from e2ecross.state.message import Message
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import AnyContent, Consent, Receipt
from e2ecross.wire.group import GroupId
from e2ecross.wire.group_records import GroupRecord

__all__ = ["keep_group_message"]


def keep_group_message(
    context: Context,
    tx: Transaction,
    sender: Address,
    group: GroupId,
    message_id: bytes,
    sent_at_ms: int,
    content: AnyContent,
    record: GroupRecord,
    judged: Judged,
    now_ms: int,
) -> None:
    """Keep a message of a group for the app, unless it was received before.

    Args:
        context: of the device.
        tx: the transaction that has received it.
        sender: the device that has sent it.
        group: into which.
        message_id: of its first copy, 16 bytes.
        sent_at_ms: likewise, milliseconds since 1970.
        content: what was sent, as it travels.
        record: how it stands with the group.
        judged: that its sender may send it.
        now_ms: milliseconds since 1970.
    """
    names = (sender, message_id, now_ms)
    if was_delivered(tx, context.policy, *names):
        return
    note_delivered(tx, context.policy, *names)
    if isinstance(content, Receipt | Consent):
        return
    user = sender.user_id
    own_copy = user == context.address.user_id
    if own_copy and not record.accepted:  # the user has written to it, on another device
        record = replace(record, accepted=True)
        put_group(tx, group, record)
    message = Message(
        *(sender, message_id, sent_at_ms, content),
        identity_changed=False,
        peer=user,
        own_copy=own_copy,
        request=not record.accepted,
        moderator=judged.is_moderator,
        group=group,
    )
    admitted = admit_in_group(context, tx, message, now_ms)
    put_message(context, tx, admitted.message)
    context.live.typing.pop((sender, group), None)  # nobody types what is sent
    note_arrived(context, tx, admitted, find_account(tx, user), now_ms)

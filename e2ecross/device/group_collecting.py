# SPDX-License-Identifier: Apache-2.0
"""Envelopes with messages into groups, on their way into the inbox.

Rules:
- The message is kept in the commit that has used up its key. If it is refused, the key stays as it
  was: it may come again, when what was missing is here.
- Commits are taken in by themselves, whoever is in the group: only that they are of the device that
  gave the key is asked.

Source: docs/wire-format.md, groups.
"""

from e2ecross.device.group_controls import take_group_commits
from e2ecross.device.group_keeping import keep_group_message
from e2ecross.device.group_receiving import (
    Judged,
    OpenedGroupMessage,
    find_entered,
    judge_message,
    open_group_message,
    use_group_key,
)
from e2ecross.device.hints import note_hints
from e2ecross.device.self_sync import note_seen
from e2ecross.state.context import Context
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import AnyContent, GroupCommits, is_of_users
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.sender_key_message import SenderKeyMessage

__all__ = ["take_in_group"]


def take_in_group(
    context: Context, tx: Transaction, envelope: Envelope, message: SenderKeyMessage
) -> None:
    """Put a message into a group into the inbox, or do what it tells.

    Args:
        context: of the device.
        tx: the transaction that notes the arrival of the envelope.
        envelope: as it arrived; for this device, from another one.
        message: what is in it.

    Raises:
        RemoteError: it cannot be read, or does not count; nothing was changed.
        RecordCorrupted: what is held of the group is damaged.
    """
    opened, now_ms = open_group_message(tx, envelope, message), context.clock()
    payload, judged = opened.payload, None
    content, group = payload.content, payload.destination.group_id
    if is_of_users(content):
        judged = _take_message(context, tx, opened, content, now_ms)
    elif isinstance(content, GroupCommits) and content.group_id == group:
        take_group_commits(context, tx, payload.sender, content, now_ms)
    use_group_key(tx, opened, message, judged)


def _take_message(
    context: Context, tx: Transaction, opened: OpenedGroupMessage, content: AnyContent, now_ms: int
) -> Judged | None:
    payload = opened.payload
    sender, group = payload.sender, payload.destination.group_id
    entered = find_entered(context, tx, group)
    if entered is None:
        return None
    record, state = entered
    judged = judge_message(context, tx, opened, state)
    if sender.user_id == context.address.user_id:
        note_seen(context, tx, sender.device, now_ms)
    note_hints(context, tx, payload, now_ms)
    place = (payload.message_id, payload.sent_at_ms, content)
    keep_group_message(context, tx, sender, group, *place, record, judged, now_ms)
    return judged

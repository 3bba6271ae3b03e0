# SPDX-License-Identifier: Apache-2.0
"""What clients tell each other about groups between two devices: what is done about each kind.

Rules:
- Of a device that its account lists, under the identity that is accepted; of anybody else it counts
  as received, and nothing else.
- A key is bound by its distribution id to the group, the heads, the device that has sent it and its
  identity: another's key is refused. Who is in the group is not asked: the key may come before the
  commits that explain it.
- Commits prove themselves; `device/group_taking.py` says whose are heard.

Source: docs/wire-format.md, groups.
"""

from e2ecross.address import Address
from e2ecross.crypto.group_kdf import make_distribution_id
from e2ecross.device.group_keeping import keep_group_message
from e2ecross.device.group_members import member_of
from e2ecross.device.group_receiving import find_entered, judge_resent
from e2ecross.device.group_retrying import (
    answer_group_request,
    ask_for_commits,
    ask_for_group_message,
)
from e2ecross.device.group_taking import take_commits
from e2ecross.device.receiving import Received
from e2ecross.errors import EnvelopeMismatch, NotAllowedInGroup, UnknownGroupState
from e2ecross.state.context import Context
from e2ecross.state.conversations import is_blocked
from e2ecross.state.delivered import was_delivered
from e2ecross.state.groups import find_group
from e2ecross.state.sender_keys import add_sender_key, group_key_place
from e2ecross.state.trust import find_identity
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import GroupCommits, GroupResent, GroupRetryRequest, SenderKeyGrant
from e2ecross.wire.sender_key_message import SenderKeyForm, decode_distribution
from e2ecross.wire.sender_key_records import KeyOrigin

__all__ = ["GroupControl", "take_group_commits", "take_group_control"]

GroupControl = SenderKeyGrant | GroupCommits | GroupRetryRequest | GroupResent


def take_group_control(
    context: Context, tx: Transaction, received: Received, content: GroupControl, now_ms: int
) -> None:
    """Do what another client has told this one about a group, if it may.

    Args:
        context: of the device.
        tx: the transaction that has received it.
        received: the message that it came in.
        content: what was told.
        now_ms: milliseconds since 1970.

    Raises:
        RemoteError: it is a key that cannot be read, or another's, or one for another group.
        RecordCorrupted: what is held of the group is damaged.
    """
    sender = received.payload.sender
    known = find_identity(tx, sender)
    is_accepted = known is not None and known.identity_key == received.identity_key
    if not is_accepted or received.is_under_other_key:
        return
    if isinstance(content, SenderKeyGrant):
        _take_grant(tx, received, content)
    elif isinstance(content, GroupCommits):
        take_group_commits(context, tx, sender, content, now_ms)
    elif is_blocked(tx, sender.user_id):
        return
    elif isinstance(content, GroupRetryRequest):
        answer_group_request(context, tx, received, content, now_ms)
    else:
        _take_resent(context, tx, sender, content, now_ms)


def take_group_commits(
    context: Context, tx: Transaction, sender: Address, told: GroupCommits, now_ms: int
) -> None:
    """Take in commits that a device has sent, and ask it for what they come after.

    No group is first heard of from a blocked account.

    Args:
        context: of the device.
        tx: the transaction that has received them.
        sender: the device.
        told: the commits.
        now_ms: milliseconds since 1970.

    Raises:
        RecordCorrupted: what is held of the group is damaged.
    """
    group, user = told.group_id, sender.user_id
    member = member_of(context, tx, user)
    if member is None or (find_group(tx, group) is None and is_blocked(tx, user)):
        return
    taken = take_commits(context, tx, group, told.commits, member, now_ms)
    if taken.is_lacking:
        ask_for_commits(context, tx, sender, group, now_ms)


def _take_grant(tx: Transaction, received: Received, grant: SenderKeyGrant) -> None:
    sender, made, key = received.payload.sender, grant.made, received.identity_key
    distribution = decode_distribution(SenderKeyForm.UUID, grant.distribution)
    expected = make_distribution_id(made.group_id.value, made.heads, str(sender), key)
    if distribution.distribution_id != expected:
        raise EnvelopeMismatch(
            f"{sender} gives a sender key that is another device's, or for another group or heads"
        )
    add_sender_key(tx, sender, group_key_place(expected), distribution, KeyOrigin(made, key))


def _take_resent(
    context: Context, tx: Transaction, sender: Address, resent: GroupResent, now_ms: int
) -> None:
    """Keep a message of a group that was sent again, as if it had come into the group."""
    group, message_id = resent.destination.group_id, resent.message_id
    if was_delivered(tx, context.policy, sender, message_id, now_ms):
        return
    try:
        entered = find_entered(context, tx, group)
        if entered is not None:
            judged = judge_resent(context, tx, sender, resent.destination, entered[1])
            place = (message_id, resent.sent_at_ms, resent.content)
            keep_group_message(context, tx, sender, group, *place, entered[0], judged, now_ms)
    except UnknownGroupState as error:  # its commits were lost: they come with the next answer
        ask_for_group_message(context, tx, sender, group, message_id, b"", error)
    except NotAllowedInGroup:
        return

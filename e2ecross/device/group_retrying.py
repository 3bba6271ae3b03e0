# SPDX-License-Identifier: Apache-2.0
"""What could not be read of a group comes again: asking for it, and answering who asks.

Rules:
- One request brings all that is missing: the key, the commits, the message; each for the asking
  device alone, in its session.
- Who is a member now, and was one where the message stands, gets it again. Who was one once gets
  the commits by which he went out, and nothing else. Who never was gets nothing.
- While the user has not accepted a group, nothing is asked and nothing is answered about it.
- Everything is counted (`state/retry_budget.py`).

Source: docs/wire-format.md, groups.
"""

from dataclasses import replace
from typing import Final

from e2ecross.address import Address
from e2ecross.device.answering import ask_for
from e2ecross.device.group_granting import make_grant
from e2ecross.device.group_members import counts_as_in, member_of, own_member
from e2ecross.device.group_receiving import open_group_message
from e2ecross.device.group_recipients import who_obeys
from e2ecross.device.receiving import Received
from e2ecross.errors import (
    AuthenticationFailed,
    DecodeError,
    InvalidSignature,
    NotAllowedInGroup,
    RemoteError,
    StaleSenderKey,
    TooManySkipped,
    UnknownGroupState,
    UnknownSenderKey,
)
from e2ecross.protocol.group_graph import GroupGraph
from e2ecross.protocol.group_history import exit_of, lacking, list_commits_at, split_commits
from e2ecross.protocol.group_state import GroupView
from e2ecross.state.context import Context
from e2ecross.state.delivered import was_delivered
from e2ecross.state.group_keys import (
    drop_group_key,
    find_group_key,
    forget_grant,
    put_grant,
    read_grants,
)
from e2ecross.state.groups import find_group, find_state, load_graph, put_group
from e2ecross.state.outbox import put_control
from e2ecross.state.retry_budget import (
    spend_answer,
    spend_commits,
    spend_group_question,
    spend_group_resend,
    spend_word_of_exit,
)
from e2ecross.state.sender_keys import drop_damaged_sender_key, find_group_of, group_key_place
from e2ecross.state.sent import MAX_RESENDS
from e2ecross.state.sent_to_groups import KeptGroupMessage, find_sent_to_group
from e2ecross.state.session_store import send_with_session
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import ControlContent, GroupResent, GroupRetryRequest
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.group import GroupId, MemberId, Role
from e2ecross.wire.group_records import GroupRecord
from e2ecross.wire.limits import MAX_PARENTS, MESSAGE_ID_BYTES
from e2ecross.wire.sender_key_message import SenderKeyMessage

__all__ = [
    "answer_group_request",
    "ask_for_commits",
    "ask_for_group_message",
    "request_group_message",
]

_HEALED: Final = (
    UnknownSenderKey,
    InvalidSignature,
    AuthenticationFailed,
    TooManySkipped,
    UnknownGroupState,
    StaleSenderKey,
    DecodeError,
)
"""With a key, with commits, or with the message in a session it may be read."""
_ENDS_A_KEY: Final = (InvalidSignature.code, AuthenticationFailed.code, TooManySkipped.code)
"""The receiver's state of the key is not ours, and a known one is never moved."""
_HOUR_MS: Final = 60 * 60 * 1000
_POWER: Final = (Role.OWNER, Role.ADMIN)


# --- Asking -------------------------------------------------------------------------------------


def request_group_message(
    context: Context,
    tx: Transaction,
    envelope: Envelope,
    message: SenderKeyMessage,
    error: RemoteError,
) -> tuple[GroupId | None, bool]:
    """Ask the sender of a message into a group that could not be read for it, if there is sense.

    A sender who is out, and may not know it, is sent what says so.

    Args:
        context: of the device.
        tx: the transaction that keeps the failure.
        envelope: as it arrived; for this device, from another one.
        message: what is in it; not authenticated.
        error: why it could not be read.

    Returns:
        Which group it may be of, as far as that is known; and whether the sender will be asked.
    """
    sender, distribution_id = envelope.sender, message.distribution_id or b""
    group = find_group_of(tx, sender, distribution_id)
    drop_damaged_sender_key(tx, sender, group_key_place(distribution_id), message)
    if isinstance(error, NotAllowedInGroup):
        _tell_former_member(context, tx, envelope, message, context.clock())
    if not isinstance(error, _HEALED):
        return group, False
    names = (envelope.message_id, distribution_id, error)
    return group, ask_for_group_message(context, tx, sender, group, *names)


def ask_for_group_message(
    context: Context,
    tx: Transaction,
    sender: Address,
    group: GroupId | None,
    message_id: bytes,
    distribution_id: bytes,
    error: RemoteError,
) -> bool:
    """Ask a device for a message into a group, if that is to be asked for; see `ask_for`.

    Args:
        context: of the device.
        tx: the transaction that has found out that it cannot be read.
        sender: the device.
        group: which, as far as it is known.
        message_id: 16 bytes.
        distribution_id: of the key that it came under, 16 bytes, or empty.
        error: why it cannot be read.
    """
    if was_delivered(tx, context.policy, sender, message_id, context.clock()):
        return False
    if group is not None and not _may_be_talked_of(tx, group):
        return False
    request = GroupRetryRequest(
        group, _own_heads(tx, group), message_id, distribution_id, error.code
    )
    return ask_for(context, tx, sender, request)


def ask_for_commits(
    context: Context, tx: Transaction, device: Address, group: GroupId, now_ms: int
) -> None:
    """Ask a device for the commits of a known group that are missing here: once in an hour.

    Args:
        context: of the device.
        tx: the transaction that has found out that some are.
        device: of whom that was found out.
        group: which.
        now_ms: milliseconds since 1970.
    """
    if _may_be_talked_of(tx, group) and spend_group_question(context, tx, device, group, now_ms):
        code = UnknownGroupState.code
        _put(context, tx, device, GroupRetryRequest(group, _own_heads(tx, group), b"", b"", code))


# --- Answering ----------------------------------------------------------------------------------


def answer_group_request(
    context: Context, tx: Transaction, received: Received, request: GroupRetryRequest, now_ms: int
) -> None:
    """Answer a request that came under the accepted identity of a listed device.

    Args:
        context: of the device.
        tx: the transaction that has received it.
        received: the message that it came in.
        request: what is asked for.
        now_ms: milliseconds since 1970.
    """
    kept = None
    if request.message_id:
        kept = find_sent_to_group(tx, context.policy, request.message_id, now_ms)
    group = request.group_id if kept is None else kept.destination.group_id
    requester = received.payload.sender
    member = member_of(context, tx, requester.user_id)
    record = None if group is None else find_group(tx, group)
    if group is None or record is None or not record.accepted or member is None:
        return
    if not spend_answer(context, tx, requester, now_ms):
        return
    send_with_session(tx, requester, received.base_key, received.identity_key)
    graph = load_graph(context, tx, group)
    answer = _Answer(context, tx, group, graph, requester, now_ms)
    if not _is_member(tx, group, record, member):
        answer.send_commits(exit_of(graph, member) & lacking(graph, request.heads))
    elif kept is None or _was_member(graph, kept, member):
        _end_key(tx, group, record, requester, request, now_ms)
        answer.send_key(received)
        if request.group_id is not None:
            answer.send_commits(lacking(graph, request.heads))
        if kept is not None:
            answer.send_message(kept)
    else:
        return
    if any(graph.find(each) is None for each in request.heads):
        ask_for_commits(context, tx, requester, group, now_ms)


def _tell_former_member(
    context: Context, tx: Transaction, envelope: Envelope, message: SenderKeyMessage, now_ms: int
) -> None:
    """Send somebody who has written into a group although he is out the commits of his end.

    At an owner's or admin's client, once in a day. So who was cut off from them hears of them from
    the first of those whom his message reaches.

    Args:
        context: of the device.
        tx: the transaction that keeps the failure.
        envelope: as it arrived.
        message: what is in it; it was refused because its sender may not send.
        now_ms: milliseconds since 1970.
    """
    sender = envelope.sender
    heads = open_group_message(tx, envelope, message).payload.destination.heads
    group = find_group_of(tx, sender, message.distribution_id or b"")
    member = member_of(context, tx, sender.user_id)
    if group is None or member is None or not _may_be_talked_of(tx, group):
        return
    state = find_state(tx, group)
    if state is None or state.members.get(own_member(context)) not in _POWER:
        return
    graph = load_graph(context, tx, group)
    missing = exit_of(graph, member) & lacking(graph, heads)
    if missing and spend_word_of_exit(tx, sender.user_id, group, now_ms):
        _Answer(context, tx, group, graph, sender, now_ms).send_commits(missing)


class _Answer:
    """What one device is sent of a group."""

    def __init__(
        self,
        context: Context,
        tx: Transaction,
        group: GroupId,
        graph: GroupGraph,
        device: Address,
        now_ms: int,
    ) -> None:
        self._context = context
        self._tx = tx
        self._group = group
        self._graph = graph
        self._device = device
        self._now_ms = now_ms

    def send_key(self, received: Received) -> None:
        """Send the present key, if there is one; the device has it then."""
        key = find_group_key(self._tx, self._group)
        if key is None:
            forget_grant(self._tx, self._group, self._device)
        else:
            _put(self._context, self._tx, self._device, make_grant(self._group, key, key.key))
            put_grant(self._tx, self._group, self._device, received.identity_key)

    def send_commits(self, places: int) -> None:
        """Send commits, as many as may go to the device today."""
        for part in split_commits(self._group, list_commits_at(self._graph, places)):
            size = sum(len(each.commit) + len(each.signature) for each in part.commits)
            if not spend_commits(self._tx, self._device, size, self._now_ms):
                return
            _put(self._context, self._tx, self._device, part)

    def send_message(self, kept: KeptGroupMessage) -> None:
        """Send a message again, if the device obeys it, and that was not done too often."""
        names = (self._device, kept.message_id, MAX_RESENDS, self._now_ms)
        if not who_obeys(self._context, self._tx, kept.content, (self._device,)):
            return
        if spend_group_resend(self._tx, *names):
            content = GroupResent(kept.destination, kept.message_id, kept.sent_at_ms, kept.content)
            _put(self._context, self._tx, self._device, content)


def _put(context: Context, tx: Transaction, device: Address, content: ControlContent) -> None:
    put_control(tx, device, context.entropy.bytes(MESSAGE_ID_BYTES), content)


def _may_be_talked_of(tx: Transaction, group: GroupId) -> bool:
    """Whether a group is not known, or accepted."""
    record = find_group(tx, group)
    return record is None or record.accepted


def _own_heads(tx: Transaction, group: GroupId | None) -> tuple[bytes, ...]:
    state = None if group is None else find_state(tx, group)
    return () if state is None else state.heads[:MAX_PARENTS]


def _is_member(tx: Transaction, group: GroupId, record: GroupRecord, member: MemberId) -> bool:
    state = find_state(tx, group)
    return state is not None and counts_as_in(record, state, member)


def _was_member(graph: GroupGraph, kept: KeptGroupMessage, member: MemberId) -> bool:
    heads = kept.destination.heads
    is_held = all(graph.find(each) is not None for each in heads)
    return is_held and GroupView(graph, graph.behind(heads)).role(member) is not None


def _end_key(
    tx: Transaction,
    group: GroupId,
    record: GroupRecord,
    requester: Address,
    request: GroupRetryRequest,
    now_ms: int,
) -> None:
    """Send with another key from the next message on, if a device cannot read the present one."""
    key = find_group_key(tx, group)
    is_ours = key is not None and key.distribution_id == request.distribution_id
    if not is_ours or request.reason not in _ENDS_A_KEY:
        return
    was_given = requester in (read_grants(tx, group) or ())
    is_too_soon = 0 <= now_ms - record.key_ended_at_ms < _HOUR_MS
    if was_given and not is_too_soon:
        drop_group_key(tx, group)
        put_group(tx, group, replace(record, key_ended_at_ms=now_ms))

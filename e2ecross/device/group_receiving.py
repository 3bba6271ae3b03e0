# SPDX-License-Identifier: Apache-2.0
"""Messages into groups: opened, and judged by the commits that are held.

Rules:
- First row that fails, in the order of the table: what was signed, what it says of itself, the
  group, the device, the account, the key. Nothing here writes.
- A message is judged where its sender stood (the heads that it names) and where the group is now.
  Who is out at either of both is not heard.
- That a message at some heads was found to be allowed is noted in its key, with the state and the
  account key that it was judged by: the next one there takes no graph. A difference in any of them
  has it judged anew.

Source: docs/wire-format.md, groups.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from e2ecross.address import Address
from e2ecross.crypto.group_kdf import hash_context
from e2ecross.crypto.keys import PublicKey
from e2ecross.crypto.secret import Secret
from e2ecross.device.group_members import member_of, own_member
from e2ecross.device.sender_check import require_listed
from e2ecross.errors import (
    EnvelopeMismatch,
    NotAllowedInGroup,
    RecordCorrupted,
    UnknownGroupState,
    UnknownSenderKey,
    UnlistedDevice,
)
from e2ecross.protocol.group_state import GroupView
from e2ecross.protocol.group_verdict import require_current_key, require_may_send, require_member
from e2ecross.protocol.sender_key import SenderKeyState, group_decrypt
from e2ecross.state.context import Context
from e2ecross.state.groups import find_group, find_state, load_graph
from e2ecross.state.sender_keys import (
    HeldSenderKey,
    find_sender_key,
    group_key_place,
    save_sender_key,
)
from e2ecross.state.trust import find_identity
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import GroupPayload, decode_group_payload
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.group import GroupDestination, GroupId, Role
from e2ecross.wire.group_records import GroupRecord, GroupState
from e2ecross.wire.limits import MAX_SENDER_KEY_MESSAGES
from e2ecross.wire.sender_key_message import SenderKeyMessage
from e2ecross.wire.sender_key_records import KeyOrigin

__all__ = [
    "Judged",
    "OpenedGroupMessage",
    "find_entered",
    "judge_message",
    "judge_resent",
    "open_group_message",
    "use_group_key",
]

_POWER: Final = (Role.OWNER, Role.ADMIN)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class OpenedGroupMessage(Secret):
    """A message into a group that was decrypted, and is what its envelope says.

    Attributes:
        payload: what it holds.
        held: the key that has read it, as it was before.
        origin: where that comes from.
        after: the key as the message leaves it.
    """

    payload: GroupPayload
    held: HeldSenderKey
    origin: KeyOrigin
    after: SenderKeyState


class Judged(NamedTuple):
    """A message that its sender may send.

    Attributes:
        is_moderator: its sender was owner or admin where it stands, and is now.
        note: what is noted of that in its key, 98 bytes.
    """

    is_moderator: bool
    note: bytes


def open_group_message(
    tx: Transaction, envelope: Envelope, message: SenderKeyMessage
) -> OpenedGroupMessage:
    """Decrypt a message into a group, and hold it against its envelope and its key.

    Args:
        tx: the operation's transaction.
        envelope: as it arrived; for this device, from another one.
        message: what is in it.

    Raises:
        UnknownSenderKey: its sender has not given this key, or it is damaged.
        EnvelopeMismatch: it says something else than the envelope, or is of another group than the
            key.
        RemoteError: it cannot be read; see `group_decrypt` and `decode_group_payload`.
    """
    sender = envelope.sender
    held = _find_key(tx, sender, message)
    if held is None or held.origin is None:
        raise UnknownSenderKey(
            f"{sender} has given no sender key for a message into a group, or it is not here any "
            f"more: it is asked for the key"
        )
    after, plaintext = group_decrypt(held.state, message, MAX_SENDER_KEY_MESSAGES)
    payload = decode_group_payload(plaintext)
    if payload.sender != sender:
        raise EnvelopeMismatch("the envelope names another sender than the message")
    if payload.message_id != envelope.message_id:
        raise EnvelopeMismatch("the envelope has another message id than the message")
    if payload.destination.group_id != held.origin.made.group_id:
        raise EnvelopeMismatch("a message into a group is under the key of another group")
    return OpenedGroupMessage(payload, held, held.origin, after)


def find_entered(
    context: Context, tx: Transaction, group: GroupId
) -> tuple[GroupRecord, GroupState] | None:
    """Return how it stands with a group that the own account is in; None: it is out.

    Raises:
        UnknownGroupState: the group is not known, or not so far that the own account would be in.
    """
    record, state = find_group(tx, group), find_state(tx, group)
    if record is None or state is None or not record.joined_at_ms:
        raise UnknownGroupState("a message of a group that is not known here: it is asked for")
    return (record, state) if own_member(context) in state.members else None


def judge_message(
    context: Context, tx: Transaction, opened: OpenedGroupMessage, state: GroupState
) -> Judged:
    """Judge a message into a group that the own account is in.

    Args:
        context: of the device.
        tx: the operation's transaction.
        opened: the message.
        state: of its group.

    Raises:
        UnknownGroupState: commits are missing here that the message or its key is made at.
        UnlistedDevice: the key came under another identity than the accepted one of its device, or
            the account does not list that.
        NotAllowedInGroup: its sender is out, or only owners and admins send.
        StaleSenderKey: its sender ought to have changed the key.
        RecordCorrupted: what is held of the group is damaged.
    """
    sender, destination = opened.payload.sender, opened.payload.destination
    note, member = opened.held.judged, member_of(context, tx, sender.user_id)
    if note and member is not None:
        same = _note(destination, state, member.account_key)
        for role in Role:
            if note == same + bytes((role,)):
                _require_accepted(tx, sender, opened.origin.identity_key)
                return _judged(note, role, state.members.get(member))
    graph = load_graph(context, tx, destination.group_id)
    for heads in (destination.heads, opened.origin.made.heads):
        graph.behind(heads)
    _require_accepted(tx, sender, opened.origin.identity_key)
    return _judge(context, tx, sender, destination, state, opened.origin.made.heads)


def judge_resent(
    context: Context,
    tx: Transaction,
    sender: Address,
    destination: GroupDestination,
    state: GroupState,
) -> Judged:
    """Judge a message of a group that was sent again to this device alone.

    Args:
        context: of the device.
        tx: the operation's transaction.
        sender: the device whose session it came in, under its accepted identity.
        destination: where the message stands.
        state: of its group, which the own account is in.

    Raises:
        UnknownGroupState: commits are missing here that the message is made at.
        NotAllowedInGroup: its sender is out, or only owners and admins send.
        RecordCorrupted: what is held of the group is damaged.
    """
    return _judge(context, tx, sender, destination, state, ())


def use_group_key(
    tx: Transaction,
    opened: OpenedGroupMessage,
    message: SenderKeyMessage,
    judged: Judged | None = None,
) -> None:
    """Write that the key of a message is used up.

    Args:
        tx: the operation's transaction.
        opened: the message.
        message: the same as it came.
        judged: how it was judged; None: it was not.
    """
    place = group_key_place(message.distribution_id or b"")
    note = opened.held.judged if judged is None else judged.note
    save_sender_key(tx, opened.payload.sender, place, opened.held, opened.after, note)


def _find_key(tx: Transaction, sender: Address, message: SenderKeyMessage) -> HeldSenderKey | None:
    try:
        return find_sender_key(tx, sender, group_key_place(message.distribution_id or b""), message)
    except RecordCorrupted:  # of seeds: as good as none, since it is asked for
        return None


def _require_accepted(tx: Transaction, sender: Address, identity_key: PublicKey) -> None:
    known = find_identity(tx, sender)
    if known is None or known.identity_key != identity_key:
        raise UnlistedDevice(
            f"the sender key of {sender} came under an identity key that is not the accepted one"
        )
    require_listed(tx, sender, identity_key)


def _judge(
    context: Context,
    tx: Transaction,
    sender: Address,
    destination: GroupDestination,
    state: GroupState,
    key_heads: tuple[bytes, ...],
) -> Judged:
    graph, heads = load_graph(context, tx, destination.group_id), destination.heads
    then = GroupView(graph, graph.behind(heads))
    member = member_of(context, tx, sender.user_id)
    if member is None:
        raise NotAllowedInGroup("no key of the sender's account is accepted")
    require_member(graph, heads, member)
    if key_heads:
        require_current_key(graph, key_heads, heads)
    require_may_send(graph, heads, member)
    role = then.role(member) or Role.MEMBER
    note = _note(destination, state, member.account_key) + bytes((role,))
    return _judged(note, role, state.members.get(member))


def _judged(note: bytes, then: Role, now: Role | None) -> Judged:
    return Judged(then in _POWER and now in _POWER, note)


def _note(destination: GroupDestination, state: GroupState, account_key: PublicKey) -> bytes:
    """By what a message was judged, but for the role that its sender had there."""
    group = destination.group_id.value
    hashes = hash_context(group, destination.heads) + hash_context(group, state.heads)
    return hashes + account_key

# SPDX-License-Identifier: Apache-2.0
"""What an app must hear that no message says: `Notice`, handed out by `Client.receive`.

Rules:
- A notice is written in the transaction in which it becomes true, so that work in the background
  cannot drop it.
"""

import enum
from dataclasses import dataclass, field

from e2ecross.address import UserId
from e2ecross.errors import RecordCorrupted
from e2ecross.state.receipt import Receipt
from e2ecross.wire.group import GroupId, Role
from e2ecross.wire.inbox_records import InboxNotice

__all__ = ["Notice", "NoticeKind", "is_about", "notice_from_record", "notice_to_record"]


class NoticeKind(enum.StrEnum):
    """What a notice says."""

    IDENTITY_CHANGED = "identity_changed"
    """Another identity key of a contact was accepted, by the policy or on the own device 1."""
    IDENTITY_PENDING = "identity_pending"
    """Messages wait until the user accepts or rejects a contact's key."""
    VERSION_DOWNGRADED = "version_downgraded"
    """A session without post-quantum keys was accepted by the policy."""
    NOT_DELIVERED = "not_delivered"
    """A message that was promised is refused or given up for good."""
    RESTORED = "restored"
    """The store was opened as restored; `messages` may not have arrived."""
    DEVICE_LINKED = "device_linked"
    """Devices belong to the own account from now on."""
    DEVICE_UNLINKED = "device_unlinked"
    """Devices belong to the own account no more."""
    FOREIGN_LIST = "foreign_list"
    """Somebody else has signed a list of the own account's devices with its key."""
    OWN_LIST_EXPIRED = "own_list_expired"
    """The list of the own account's devices is too old: device 1 has to renew it."""
    LIST_FORK = "list_fork"
    """Two lists of an account's devices contradict each other: its key may be in two hands."""
    ACCOUNT_RESTORED = "account_restored"
    """Device 1 of an account was restored from a backup."""
    HOSTING_CHANGED = "hosting_changed"
    """More than before hold keys of an account."""
    READ_ELSEWHERE = "read_elsewhere"
    """`messages` were read on another device of the own account."""
    GROUP_JOINED = "group_joined"
    """The own account is in a group from now on."""
    GROUP_ADDED = "group_added"
    """`users` are in a group from now on."""
    GROUP_REMOVED = "group_removed"
    """`users` were taken out of a group."""
    GROUP_LEFT = "group_left"
    """`users` have left a group."""
    GROUP_ROLE = "group_role"
    """`users` have another role in a group, `role`."""
    GROUP_SETTINGS = "group_settings"
    """Name, data or who may send was changed in a group."""
    GROUP_UNDONE = "group_undone"
    """`users` are in a group, or out, because what was done about them does not
    count any more."""
    GROUP_OUT = "group_out"
    """The own account is out of a group."""
    GROUP_KEY_DIFFERS = "group_key_differs"
    """`users` are in a group with another account key than the accepted one."""
    GROUP_OUTDATED = "group_outdated"
    """A group was changed in a way that this release cannot read: upgrade."""
    GROUP_FULL = "group_full"
    """Nothing can be changed in a group any more, nor sent: make a new one."""
    TYPING = "typing"
    """A contact is writing (`code` is `on`), or no more (`off`); over after 6 s in any case. It is
    not in the inbox: `receipt` is None, and nobody has to confirm it."""


_NUMBERS = {
    NoticeKind.IDENTITY_CHANGED: 1,
    NoticeKind.IDENTITY_PENDING: 2,
    NoticeKind.VERSION_DOWNGRADED: 3,
    NoticeKind.NOT_DELIVERED: 4,
    NoticeKind.RESTORED: 5,
    NoticeKind.DEVICE_LINKED: 16,
    NoticeKind.DEVICE_UNLINKED: 17,
    NoticeKind.FOREIGN_LIST: 18,
    NoticeKind.OWN_LIST_EXPIRED: 19,
    NoticeKind.LIST_FORK: 20,
    NoticeKind.ACCOUNT_RESTORED: 21,
    NoticeKind.HOSTING_CHANGED: 22,
    NoticeKind.READ_ELSEWHERE: 23,
    NoticeKind.GROUP_JOINED: 32,
    NoticeKind.GROUP_ADDED: 33,
    NoticeKind.GROUP_REMOVED: 34,
    NoticeKind.GROUP_LEFT: 35,
    NoticeKind.GROUP_ROLE: 36,
    NoticeKind.GROUP_SETTINGS: 37,
    NoticeKind.GROUP_UNDONE: 38,
    NoticeKind.GROUP_OUT: 39,
    NoticeKind.GROUP_KEY_DIFFERS: 40,
    NoticeKind.GROUP_OUTDATED: 41,
    NoticeKind.GROUP_FULL: 42,
}
"""At rest; docs/wire-format.md, records at rest."""
_KINDS = {number: kind for kind, number in _NUMBERS.items()}


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the app must hear; confirmed like a message.

    Attributes:
        kind: what it says.
        user: whom it is about: the contact, or of `restored` the device's own user; of a group
            whose change it was, None: of several, or of nobody.
        devices: which of their devices.
        identity_key: the key that was accepted or that waits, 33 bytes, or empty.
        messages: ids of the messages that it is about, 16 bytes each; at most 1,000. Of
            `not_delivered` one; none where the store is damaged and does not say which.
        code: of `not_delivered`: that of the error, or `expired` when the content was not kept any
            more. Of `typing` `on` or `off`.
        group: the group that it is about, or None.
        users: of a group: to whom it was done.
        role: of `group_role`: that they have now.
        redelivered: it may have been handed over before a crash.
        receipt: by which `Client.confirm` finds it.
    """

    kind: NoticeKind
    user: UserId | None
    devices: tuple[int, ...] = ()
    identity_key: bytes = b""
    messages: tuple[bytes, ...] = ()
    code: str = ""
    group: GroupId | None = None
    users: tuple[UserId, ...] = ()
    role: Role | None = None
    redelivered: bool = False
    receipt: Receipt | None = field(default=None, repr=False, compare=False)


def notice_to_record(notice: Notice) -> InboxNotice:
    """Return what is kept of a notice."""
    return InboxNotice(
        _NUMBERS[notice.kind],
        notice.user,
        notice.devices,
        notice.identity_key,
        notice.messages,
        notice.code,
        notice.group,
        notice.users,
        notice.role,
    )


def is_about(record: InboxNotice, kind: NoticeKind, user: UserId) -> bool:
    """Tell whether the notice of a record is of a kind, and about a user."""
    return (record.kind, record.user) == (_NUMBERS.get(kind), user)


def notice_from_record(record: InboxNotice, receipt: Receipt) -> Notice:
    """Return the notice of a record.

    Raises:
        RecordCorrupted: it is of no kind that there is.
    """
    kind = _KINDS.get(record.kind)
    if kind is None:
        raise RecordCorrupted("an inbox record holds a notice of no kind: the store is damaged")
    return Notice(
        kind,
        record.user,
        record.devices,
        record.identity_key,
        record.message_ids,
        record.code,
        record.group,
        record.users,
        record.role,
        receipt=receipt,
    )

# SPDX-License-Identifier: Apache-2.0
"""`Group`: a group as an app sees it.

Rules:
- A view: it holds the id alone, and each property is read when it is asked for.
- A change is committed, then told the others; after a crash, or while the back end is out of reach,
  with the next call that reaches it: `Group.send`, `receive`, `maintain`.
"""

from collections.abc import Iterable

from e2ecross.address import Recipient, UserId
from e2ecross.client.group_ways import GroupWays
from e2ecross.client.sent import Sent
from e2ecross.device.composing import draft_of
from e2ecross.device.group_changes import (
    accept_back,
    accept_group,
    add_members,
    change_settings,
    forget_group,
    leave_group,
    remove_members,
    set_role,
    step_down,
)
from e2ecross.device.group_reading import GroupFacts, GroupMember, GroupStatus, read_group
from e2ecross.device.recipient import recipient_address
from e2ecross.wire.content import Expiry, SentContent
from e2ecross.wire.group import GroupId, Role

__all__ = ["Group"]


class Group:
    """A group that this device knows; from `Client.create_group`, `group` and `groups`.

    Reading a property raises `NotInGroup` once it is forgotten, `StoreError` if the store cannot
    be read.
    """

    __slots__ = ("_client", "_id")

    def __init__(self, client: GroupWays, group: GroupId) -> None:
        """Of a client."""
        self._client = client
        self._id = group

    def __repr__(self) -> str:
        return f"<Group {self._id}>"

    @property
    def id(self) -> GroupId:
        """What names it, for ever and everywhere."""
        return self._id

    @property
    def name(self) -> str:
        """Its name, at most 256 bytes in UTF-8."""
        return self._shown.settings.name

    @property
    def app_data(self) -> bytes:
        """What the app keeps there, at most 4,096 bytes."""
        return self._shown.settings.app_data

    @property
    def only_admins_send(self) -> bool:
        """Whether owners and admins alone may send."""
        return self._shown.settings.only_admins_send

    @property
    def members(self) -> tuple[GroupMember, ...]:
        """Who is in it: owners, admins, then members as they came."""
        return self._shown.members

    @property
    def role(self) -> Role | None:
        """The own role; None: out."""
        return self._shown.role

    @property
    def accepted(self) -> bool:
        """Whether the user has made, accepted or written to it."""
        return self._shown.accepted

    @property
    def state(self) -> GroupStatus:
        """Whether anything can be done in it: `active`, `outdated`, `full` or `left`."""
        return self._shown.status

    def send(
        self,
        content: SentContent,
        *,
        message_id: bytes | None = None,
        expiry: Expiry | None = None,
        view_once: bool = False,
        fallback: str | None = None,
        allow_lossy: bool = False,
    ) -> Sent:
        """Encrypt content once for all members' devices, and deposit it. It accepts the group.

        A device or an account that cannot be reached stops no other: `Sent.deliveries` says why it
        has no copy.

        Args:
            content: what `Client.send` takes; likewise the others.
            message_id: see `content`; an id belongs to its group and content. Of a message that is
                repeated `Sent.deliveries` are those that still waited.
            expiry: see `content`.
            view_once: see `content`.
            fallback: see `content`.
            allow_lossy: see `content`.

        Raises:
            NotInGroup: the own account is not in it, or it is not known here any more.
            GroupRefused: only owners and admins send in it; or it is outdated, or full.
            LossyContent: some devices do not show all of it, and `allow_lossy` is not set.
            ContentRefused: some do not obey the expiry, or that it can be looked at once.
            BackendError: the back end cannot be reached. What was encrypted waits, and is sent with
                the next call that reaches it; where members are to be met first, nothing was.
            NotRegistered: call `Client.register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            InvalidArgument: an argument is not acceptable; or the message id was used for other
                content.
            StoreError: the store cannot be read or written.
        """
        draft = draft_of(
            content,
            expiry=expiry,
            view_once=view_once,
            fallback=fallback,
            allow_lossy=allow_lossy,
            in_group=True,
        )
        return self._client._send_into_group(self._id, draft, message_id)

    def add(self, *users: Recipient) -> None:
        """Add accounts. Where one is in with another key of it, that entry goes, if it may.

        What is changed is told the others at once, or with the next call that reaches the back end.
        So with an error of the back end or the store that only telling them has met
        (`NotRegistered`, `RestoredStore`, `StoreError`) it is changed all the same.

        Args:
            users: users, or their texts, such as "instagram:budi"; or addresses.

        Raises:
            NotPrimary: only device 1 of an account changes groups.
            NotInGroup: the own account is not in it.
            GroupRefused: only owners and admins add; or nothing can be changed in it.
            GroupsUnsupported: accounts have no device that takes part in groups.
            UnknownRecipient: an account has not registered.
            UntrustedIdentity: an account's key has changed and was not accepted.
            BackendError: the back end cannot be reached, and has to be asked about an account.
            NotRegistered: call `Client.register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            InvalidArgument: one is no user, or the own one; they are too many; or one is to be
                confirmed (`accept_back`).
            StoreError: the store cannot be read or written.
        """
        named = _users(users)
        self._client._change_groups(
            lambda context, asked: add_members(context, self._id, named, asked)
        )

    def remove(self, *users: Recipient) -> None:
        """Remove accounts, with all keys that they are in with; admins those without a role.

        Raises: as `add`, and
            GroupRefused: the own role is not above that of each.
            InvalidArgument: one is not in it.
        """
        named = _users(users)
        self._client._change_groups(lambda context, _: remove_members(context, self._id, named))

    def set_role(self, user: Recipient, role: Role) -> None:
        """Give another account a role; owners alone may, and nobody takes it from an owner.

        **A former owner keeps one power for good**: docs/groups.md, owners.

        Raises: as `add`, and
            InvalidArgument: it is not in the group, or with another key than the accepted one.
        """
        named = _user(user)
        self._client._change_groups(lambda context, _: set_role(context, self._id, named, role))

    def step_down(self, role: Role) -> None:
        """Give the own account less power.

        Raises: as `add`, and
            InvalidArgument: it is no less; or the last owner would be none, with others in it.
        """
        self._client._change_groups(lambda context, _: step_down(context, self._id, role))

    def rename(self, name: str) -> None:
        """Give it another name, at most 256 bytes in UTF-8; raises as `add`."""
        self._client._change_groups(
            lambda context, _: change_settings(context, self._id, name=name)
        )

    def set_app_data(self, data: bytes) -> None:
        """Keep something of the app there, at most 4,096 bytes; raises as `add`."""
        self._client._change_groups(
            lambda context, _: change_settings(context, self._id, app_data=data)
        )

    def set_only_admins_send(self, on: bool) -> None:
        """Let owners and admins alone send, or everybody; raises as `add`."""
        self._client._change_groups(
            lambda context, _: change_settings(context, self._id, only_admins_send=on)
        )

    def leave(self) -> None:
        """Leave it.

        Raises: as `add`, and
            InvalidArgument: the last owner stays while others are in it.
        """
        self._client._change_groups(lambda context, _: leave_group(context, self._id))

    def accept(self) -> None:
        """Take part: this device asks for what it cannot read, and answers. Sending does it, too.

        Nothing happens where the own account is out by now.

        Raises:
            NotInGroup: it is not known here any more.
            StoreError: the store cannot be read or written.
        """
        accept_group(self._client._context, self._id)

    def accept_back(self, user: Recipient) -> None:
        """Let an account have keys and messages that is in again by an act that became void.

        Raises:
            NotInGroup: the own account is not in it.
            InvalidArgument: the other one is not in it, or is no user.
            StoreError: the store cannot be read or written.
        """
        accept_back(self._client._context, self._id, _user(user))

    def forget(self) -> None:
        """Delete all that this device keeps of it, but for messages.

        What was sent there goes when its time is over, as other messages.

        Raises:
            NotInGroup: it is not known here any more.
            GroupRefused: the own account is in it, and could leave it: do that first. Or nobody
                could be told of that yet: call `Client.maintain`.
            StoreError: the store cannot be written.
        """
        forget_group(self._client._context, self._id)

    @property
    def _shown(self) -> GroupFacts:
        return read_group(self._client._context, self._id)


def _user(user: Recipient) -> UserId:
    return recipient_address(user, "user").user_id


def _users(users: Iterable[Recipient]) -> list[UserId]:
    return [recipient_address(each, "users").user_id for each in users]

# SPDX-License-Identifier: Apache-2.0
"""`Group`: a group as an app sees it.

Rules:
- A view: it holds the id alone, and each property is read when it is asked for.
- What is changed is committed, then told the others; what a crash or a back end that is out of reach
  has left is told with the next call that reaches it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from e2ecross.client.sent import Recipient, Sent, recipient_address
from e2ecross.device.composing import draft_of
from e2ecross.device.group_changes import (
    GroupMember,
    ShownGroup,
    accept_back,
    accept_group,
    add_members,
    change_settings,
    forget_group,
    leave_group,
    read_group,
    remove_members,
    set_role,
    step_down,
)
from e2ecross.wire.content import Content, Expiry
from e2ecross.wire.group import GroupId, Role

if TYPE_CHECKING:
    from e2ecross.client.group_calls import GroupCalls

__all__ = ["Group"]


class Group:
    """A group that this device knows; from `Client.create_group`, `group` and `groups`.

    Reading a property raises `NotInGroup` once it is forgotten, `StoreError` if the store cannot
    be read.
    """

    __slots__ = ("_calls", "_id")

    def __init__(self, calls: "GroupCalls", group: GroupId) -> None:
        """Of a client."""
        self._calls = calls
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
    def state(self) -> str:
        """How it stands: `active`, `outdated`, `full` or `left`.

        `outdated`: somebody has changed it in a way that this release cannot read. `full`: nothing
        can be changed or sent any more. `left`: the own account is out.
        """
        return self._shown.state

    def send(
        self,
        content: Content,
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
            message_id: see `content`; an id belongs to its group and content.
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
                the next call that reaches it.
            NotRegistered: call `Client.register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            InvalidArgument: an argument is not acceptable; or the message id was used for other
                content.
            StoreError: the store cannot be read or written.
        """
        draft = draft_of(
            content, expiry=expiry, view_once=view_once, fallback=fallback, allow_lossy=allow_lossy
        )
        return self._calls._send_into_group(self._id, draft, message_id)

    def add(self, *users: Recipient) -> None:
        """Add accounts. With a new key of an account, also who is in with another one.

        Args:
            users: users, or their texts, such as "instagram:budi".

        Raises:
            NotPrimary: only device 1 of an account changes groups.
            NotInGroup: the own account is not in it.
            GroupRefused: only owners and admins add; or it is outdated, or full.
            GroupsUnsupported: some accounts have no device that reads groups; nothing was changed.
            UnknownRecipient: an account has not registered.
            UntrustedIdentity: an account's key has changed and was not accepted.
            BackendError: the back end cannot be reached: then nothing was changed, or it is told
                later.
            NotRegistered: call `Client.register` first.
            InvalidArgument: an argument is no user; none is given, or too many.
            StoreError: the store cannot be read or written.
        """
        named = [recipient_address(each, "users").user_id for each in users]
        self._change(lambda context, asked: add_members(context, self._id, named, asked))

    def remove(self, *users: Recipient) -> None:
        """Remove accounts, whatever keys they are in with.

        Raises: as `add`, and
            GroupRefused: owners remove all but owners, admins members alone.
            InvalidArgument: one is not in it.
        """
        named = [recipient_address(each, "users").user_id for each in users]
        self._change(lambda context, _: remove_members(context, self._id, named))

# SPDX-License-Identifier: Apache-2.0
"""The methods of `Client` about groups; what is done with one is in `groups.py`."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from e2ecross.arguments import require_list, require_type
from e2ecross.client.connected import Connected
from e2ecross.client.group_sending import GroupSending, announce_all
from e2ecross.client.groups import Group
from e2ecross.client.planning import prepare
from e2ecross.client.sent import Recipient, Sent, recipient_address
from e2ecross.device.composing import Draft
from e2ecross.device.group_changes import create_group
from e2ecross.device.group_reading import read_group, read_groups
from e2ecross.device.group_sending import OutgoingToGroup
from e2ecross.device.posted import KeysAsked, KeysNeeded
from e2ecross.device.sending import checked_message_id
from e2ecross.errors import BackendError, NotRegistered
from e2ecross.state.context import Context
from e2ecross.wire.group import GroupId, GroupSettings

__all__ = ["GroupCalls"]

_MAX_QUESTIONS: Final = 3

T = TypeVar("T")


class GroupCalls(Connected):
    """What a `Client` does about groups."""

    __slots__ = ()

    def create_group(
        self,
        name: str,
        users: Iterable[Recipient],
        *,
        app_data: bytes = b"",
        only_admins_send: bool = False,
    ) -> Group:
        """Make a group of the own account, its owner, and others.

        They are told of it at once, or with the next call that reaches the back end.

        Args:
            name: at most 256 bytes in UTF-8.
            users: users, or their texts, such as "instagram:budi"; at most 1,023.
            app_data: what the app keeps there, at most 4,096 bytes.
            only_admins_send: whether owners and admins alone may send.

        Raises:
            NotPrimary: only device 1 of an account makes groups. Whatever is raised, there is none.
            GroupsUnsupported: accounts have no device that takes part in groups.
            UnknownRecipient: an account has not registered.
            UntrustedIdentity: an account's key has changed and was not accepted.
            RemoteError: the back end has handed out a list of devices that is not acceptable.
            BackendError: the back end cannot be reached, and has to be asked about an account.
            NotRegistered: call `register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            InvalidArgument: an argument is not acceptable; the own account is among the others.
            StoreError: the store cannot be read or written.
        """
        settings = GroupSettings(name, app_data, only_admins_send)
        named = [recipient_address(e, "users").user_id for e in require_list("users", users)]
        made = self._change_groups(
            lambda context, asked: create_group(context, named, settings, asked)
        )
        return Group(self, made)

    def group(self, group: GroupId) -> Group:
        """Return a group.

        Args:
            group: its id; of a text that was stored `GroupId.parse(text)`.

        Raises:
            NotInGroup: it is not known here.
            InvalidArgument: it is no `GroupId`.
            StoreError: the store cannot be read.
        """
        require_type("group", group, GroupId)
        read_group(self._context, group)
        return Group(self, group)

    def groups(self) -> list[Group]:
        """Return all groups that the own account is in, or was and has not forgotten.

        Raises:
            StoreError: the store cannot be read.
        """
        return [Group(self, group) for group in read_groups(self._context)]

    def _send_into_group(self, group: GroupId, draft: Draft, message_id: bytes | None) -> Sent:
        link, failure = self._way_or_failure()
        is_new = message_id is None
        outgoing = OutgoingToGroup(group, checked_message_id(self._context, message_id), is_new)
        return GroupSending(link, outgoing, failure).send(draft)

    def _change_groups(self, change: Callable[[Context, KeysAsked], T | KeysNeeded]) -> T:
        """Make a change of the own account, and tell the others.

        Args:
            change: makes it, or says what has to be asked of the back end before.
        """
        link, failure = self._way_or_failure()
        asked = KeysAsked()
        for _ in range(_MAX_QUESTIONS):
            done = change(link.context, asked)
            if not isinstance(done, KeysNeeded):
                break
            if failure is None:
                _, failure = prepare(link, [done], asked)
            if failure is not None:
                raise failure
        else:
            raise BackendError("the devices of the accounts keep changing: try again")
        if failure is None:
            try:
                announce_all(link)
                self._flush(link)
            except NotRegistered:
                raise
            except BackendError:  # it is told later
                pass
        return done

# SPDX-License-Identifier: Apache-2.0
"""The methods of `Client` about groups; what is done with one is in `groups.py`."""

from collections.abc import Iterable

from e2ecross.address import Recipient
from e2ecross.arguments import require_list, require_type
from e2ecross.client.group_ways import GroupWays
from e2ecross.client.groups import Group
from e2ecross.device.group_changes import create_group
from e2ecross.device.group_reading import read_group, read_groups
from e2ecross.device.recipient import recipient_address
from e2ecross.state.stripe import refuse_groups
from e2ecross.wire.group import GroupId, GroupSettings

__all__ = ["GroupCalls"]


class GroupCalls(GroupWays):
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

        They are told of it at once, or with the next call that reaches the back end. So with an
        error of the back end or the store that only telling them has met (`NotRegistered`,
        `RestoredStore`, `StoreError`) it is made all the same: `groups` has it.

        Args:
            name: at most 256 bytes in UTF-8.
            users: users, or their texts, such as "instagram:budi"; at most 1,023.
            app_data: what the app keeps there, at most 4,096 bytes.
            only_admins_send: whether owners and admins alone may send.

        Raises:
            NotPrimary: only device 1 of an account makes groups.
            GroupsUnsupported: accounts have no device that takes part in groups.
            UnknownRecipient: an account has not registered.
            UntrustedIdentity: an account's key has changed and was not accepted.
            RemoteError: the back end has handed out a list of devices that is not acceptable.
            BackendError: the back end cannot be reached, and has to be asked about an account.
            NotRegistered: call `register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            InvalidArgument: an argument is not acceptable; the own account is among the others.
            FleetUnsupported: the store has stripes.
            StoreError: the store cannot be read or written.
        """
        refuse_groups(self._context.store)
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
            FleetUnsupported: the store has stripes.
            StoreError: the store cannot be read.
        """
        require_type("group", group, GroupId)
        refuse_groups(self._context.store)
        read_group(self._context, group)
        return Group(self, group)

    def groups(self) -> list[Group]:
        """Return all groups that the own account is in, or was and has not forgotten.

        Raises:
            FleetUnsupported: the store has stripes.
            StoreError: the store cannot be read.
        """
        refuse_groups(self._context.store)
        return [Group(self, group) for group in read_groups(self._context)]

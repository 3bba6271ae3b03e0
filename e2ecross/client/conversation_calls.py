# SPDX-License-Identifier: Apache-2.0
"""The methods of `Client` about conversations: who may write, what was read, who is typing."""

from collections.abc import Iterable

from e2ecross.address import Recipient, UserId
from e2ecross.arguments import require_type
from e2ecross.client.connected import Connected
from e2ecross.client.typing import tell_typing
from e2ecross.device.conversations import accept, block, list_requests, unblock
from e2ecross.device.recipient import recipient_address
from e2ecross.device.self_sync import mark_opened, mark_read
from e2ecross.state.message import Message
from e2ecross.wire.group import GroupId

__all__ = ["ConversationCalls"]


class ConversationCalls(Connected):
    """What a `Client` does about conversations.

    Whoever writes first is a stranger: nothing leaves this device for them, but that a message
    which could not be read is asked for. Writing to them, or `accept`, makes them accepted.
    """

    __slots__ = ()

    def accept(self, user: Recipient, *, receipts: bool = True, typing: bool = True) -> None:
        """Accept an account on all devices of the own one, as if the user had written to it.

        Args:
            user: a user, or its text, such as "instagram:budi"; or an address.
            receipts: whether it gets receipts, where the policy sends any.
            typing: whether it is told of typing.

        Raises:
            NotRegistered: call `register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            InvalidArgument: `user` is none, or the own one; or a switch is no bool.
            StoreError: the store cannot be read or written.
        """
        require_type("receipts", receipts, bool)
        require_type("typing", typing, bool)
        link = self._way()
        accept(link.context, _user(user), receipts=receipts, typing=typing)
        self._flush(link)

    def block(self, user: Recipient) -> None:
        """Block an account on all devices of the own one.

        What it sends to this account is not kept, handed over or answered from then on. It is not
        told. Sending to it, or `accept`, ends that.

        Raises:
            NotRegistered: call `register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            InvalidArgument: `user` is none, or the own one.
            StoreError: the store cannot be read or written.
        """
        link = self._way()
        block(link.context, _user(user))
        self._flush(link)

    def unblock(self, user: Recipient) -> None:
        """Make an account a stranger again, on all devices of the own one; raises as `block`."""
        link = self._way()
        unblock(link.context, _user(user))
        self._flush(link)

    def requests(self) -> list[UserId]:
        """Return strangers whose messages were handed over and not answered.

        Raises:
            StoreError: the store cannot be read.
        """
        return list_requests(self._context)

    def typing(self, to: Recipient | GroupId, on: bool) -> None:
        """Tell a contact, or the members of a group, that the user is typing, or no more.

        At most once in 3 s, and over after 6 s there. It goes to accepted contacts, and in
        accepted groups of at most 32 members, if their device and this app announce `TYPING`; else
        nothing happens, nor if the back end cannot be reached at once.

        Args:
            to: a user, or its text, such as "instagram:budi"; or an address; or a group's id.
            on: is typing.

        Raises:
            NotInGroup: the group is not known here.
            NotRegistered: call `register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            InvalidArgument: an argument is not acceptable.
            StoreError: the store cannot be read or written.
        """
        require_type("on", on, bool)
        whom = to if isinstance(to, GroupId) else _user(to, "to")
        link = self._way()
        if self._reaches(link):
            tell_typing(link, whom, on=on)

    def mark_read(self, messages: Iterable[Message]) -> None:
        """Tell that messages of others were read here: who sent them, and the own devices.

        There it comes as a `Notice` of the kind `read_elsewhere`. Senders get a `Receipt` a few
        seconds later, if they are accepted, want it, and `Policy.send_read_receipts` says so. It
        goes with this call, or with the next ones that reach the back end.

        Args:
            messages: what `receive` returned, or values with the same sender, id and content. What
                the user has sent, and what may be looked at once, is left out: see `opened`.

        Raises:
            NotRegistered: call `register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            InvalidArgument: `messages` holds something else.
            StoreError: the store cannot be read or written.
        """
        link = self._way()
        mark_read(link.context, messages)
        self._flush(link)

    def opened(self, message: Message) -> None:
        """Tell that a message was looked at that may be looked at once.

        Its sender and the other own devices hear of it as of what was read, and nothing of it is
        left in the inbox here or there. The app forgets it, too.

        Args:
            message: what `receive` returned, with `view_once`.

        Raises:
            NotRegistered: call `register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            InvalidArgument: it is none that others have sent to be viewed once.
            StoreError: the store cannot be read or written.
        """
        link = self._way()
        mark_opened(link.context, message)
        self._flush(link)


def _user(user: Recipient, name: str = "user") -> UserId:
    return recipient_address(user, name).user_id

# SPDX-License-Identifier: Apache-2.0
"""The methods of `Client` about accounts and their devices; the bodies are in `account.py`."""

from collections.abc import Iterable

from e2ecross.address import Recipient
from e2ecross.arguments import forgets_secrets
from e2ecross.client.account import leave_account, restore_account, show_devices, unlink
from e2ecross.client.connected import Connected
from e2ecross.client.pairing import Pairing, begin_pairing
from e2ecross.device.account_devices import AccountDevices
from e2ecross.device.recipient import recipient_address
from e2ecross.device.self_sync import share_history
from e2ecross.state.message import Message

__all__ = ["AccountCalls"]


class AccountCalls(Connected):
    """What a `Client` does about accounts."""

    __slots__ = ()

    def devices(self, user: Recipient | None = None) -> AccountDevices:
        """Return the devices of an account, as its signed list says; by default of the own one.

        If no list is known of it, it is asked for.

        Args:
            user: a user, or its text, such as "instagram:budi"; or an address.

        Raises:
            UnknownRecipient: nobody of the account has registered.
            UntrustedIdentity: the account has another key than the accepted one.
            RemoteError: the back end has handed out a list that is not acceptable.
            BackendError: the back end cannot be reached.
            NotRegistered: call `register` first.
            InvalidArgument: `user` is none.
            StoreError: the store cannot be read or written.
        """
        link = self._way()
        address = link.context.address if user is None else recipient_address(user, "user")
        return show_devices(link, address.user_id)

    @forgets_secrets
    def link_device(self, code: str) -> Pairing:
        """Offer a new device to belong to the own account; see `Pairing` for what follows.

        Args:
            code: what was scanned: the text that a `DeviceLink` shows. Secret.

        Raises:
            NotPrimary: this is not device 1, which signs the list.
            DevicesConflict: show the user `devices()`, then call `restore_devices`.
            InvalidArgument: the policy allows no more devices, or the code is not text.
            DecodeError: it is no code; likewise UnsupportedVersion, InvalidKey.
            LinkFailed: it is a code of another app.
            BackendRefused: another phone has scanned it before.
            BackendError: the back end cannot be reached.
            NotRegistered: call `register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            StoreError: the store cannot be read.
        """
        return begin_pairing(self._connected(), code)

    def unlink(self, device: int) -> None:
        """Take a device out of the own account; from then on its messages are refused.

        What it has sent before is read first, as far as the back end can be reached. The list
        without it is signed then; other devices of this account, and of those that were written to
        lately, are told at once.

        Args:
            device: its number, 2 to 127.

        Raises:
            NotPrimary: this is not device 1, which signs the list.
            DevicesConflict: show the user `devices()`, then call `restore_devices`.
            InvalidArgument: it is no other device of this account.
            BackendError: the back end cannot be reached, or refuses. If the device is not in
                `devices()` any more, it is taken out here, and `maintain` tells others.
            NotRegistered: call `register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            StoreError: the store cannot be read or written.
        """
        unlink(self._connected(), device)

    def leave(self) -> None:
        """Ask device 1 to take this device out of the account; then delete the store.

        Raises:
            InvalidArgument: this is device 1.
            BackendError: the back end cannot be reached; device 1 is asked with the next
                `maintain`, as long as the store is there.
            NotRegistered: device 1 has taken it out already; or call `register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            StoreError: the store cannot be read or written.
        """
        leave_account(self._connected())

    def restore_devices(self, keep: Iterable[int]) -> None:
        """Go on with those devices of the own account that the user knows, and no others.

        After a restore or an import, and after a `foreign_list`: a list is signed above all that
        were seen. What somebody else has signed counts for nothing then.

        Args:
            keep: numbers of devices that are in `devices()`; this one stays in any case.

        Raises:
            NotPrimary: this is not device 1, which signs the list.
            InvalidArgument: a number is of no device in the list; or there is nothing to decide.
            DevicesConflict: somebody else has gone on signing lists: decide again; or none can
                follow theirs, and the account needs another key.
            BackendError: the back end cannot be reached. If nothing is to be decided any more, the
                list is signed, and `maintain` publishes it.
            NotRegistered: call `register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            StoreError: the store cannot be read or written.
        """
        restore_account(self._connected(), keep)

    def share_history(self, device: int, messages: Iterable[Message]) -> None:
        """Hand messages on to a device that was linked within the last 24 hours.

        There they come as `Message(historical=True)`, but for those that it has. They go with this
        call, or with the next ones that reach the back end; files that they point to do not.

        Args:
            device: its number, 2 to 127.
            messages: as the app has kept them, with `peer`; at most 10,000, of 16 MiB together.
                What was said in groups or was to be viewed once, and what has no content, is left
                out.

        Raises:
            NotPrimary: this is not device 1.
            NotRegistered: call `register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            InvalidArgument: it is no device that was linked lately; there are too many messages, or
                too large ones; one is of nobody in its conversation.
            StoreError: the store cannot be read or written. Some may have been handed on; those are
                skipped when they come again.
        """
        link = self._way()
        share_history(link.context, device, messages)
        self._flush(link)

# SPDX-License-Identifier: Apache-2.0
"""The back end as a client sees it: a directory of keys and mailboxes.

Rules:
- Every call is made under the token that the device registered with.
- Every call may be repeated: a second time it changes nothing.
- What goes wrong on the way comes out as `BackendError`; what the back end returns is not trusted.
"""

from collections.abc import Sequence
from typing import Protocol

from e2ecross.address import Address
from e2ecross.wire.bundle import PreKeyBundle, PublishedKeys

__all__ = ["Backend"]


class Backend(Protocol):
    """What `Client` needs of a back end; `e2ecross.relay.Relay` is the reference one."""

    def register(self, address: Address, token: bytes) -> None:
        """Claim an address under a secret token (32 bytes).

        Raises:
            BackendRefused: the address is taken under another token, or may not be claimed.
        """
        ...

    def publish(self, token: bytes, published: PublishedKeys) -> None:
        """Set the published keys of the token's address, adding the one-time prekeys.

        A one-time prekey id that was published before is ignored, also when it has been handed
        out since.

        Raises:
            NotRegistered: the token is not that of the address.
            BackendRefused: a limit is exceeded.
        """
        ...

    def one_time_prekey_count(self, address: Address, token: bytes) -> int:
        """Return how many one-time prekeys of the address are left to hand out."""
        ...

    def fetch_bundle(self, requester: Address, token: bytes, address: Address) -> PreKeyBundle:
        """Hand out keys of a device, with a one-time prekey as long as there are any.

        Args:
            requester: the asking device.
            token: the asking device's token.
            address: whose keys are wanted.

        Raises:
            UnknownRecipient: the address has not published keys.
            NotRegistered: the token is not that of the requester.
        """
        ...

    def deposit(self, token: bytes, envelope: bytes) -> None:
        """Put an encoded envelope into its recipient's mailbox, once per message id.

        Raises:
            UnknownRecipient: the recipient is not registered.
            MailboxFull: too many messages wait for the recipient.
            NotRegistered: the token is not that of the envelope's sender.
            DecodeError: not an envelope.
        """
        ...

    def fetch(
        self, address: Address, token: bytes, limit: int, after: int = 0
    ) -> list[tuple[int, bytes]]:
        """Return waiting envelopes with their numbers, oldest first.

        Args:
            address: whose mailbox.
            token: that address's token.
            limit: how many at most, 1 to 1000.
            after: only those with higher numbers.
        """
        ...

    def acknowledge(self, address: Address, token: bytes, numbers: Sequence[int]) -> None:
        """Remove envelopes from the address's mailbox; unknown numbers are ignored."""
        ...

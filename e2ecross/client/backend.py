# SPDX-License-Identifier: Apache-2.0
"""The back end as a client sees it: a directory of keys and mailboxes.

Rules:
- Every call is made under the token that the device registered with.
- Every call may be repeated: a second time it changes nothing.
- The store of a device counts its operations (its epoch). The device tells it with what it deposits
  and publishes; the back end keeps the highest, by which a device finds that its store was
  restored. 0 stands for "not told", and never lowers it.
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

    def publish(
        self, token: bytes, published: PublishedKeys, *, epoch: int = 0, replace: bool = False
    ) -> None:
        """Set the published keys of the token's address, adding the one-time prekeys.

        A one-time prekey id that was published before is ignored, also when it has been handed
        out since. A publication with a lower epoch than an earlier one does not change the signed
        prekey; its one-time prekeys are added, unless the earlier one had `replace`.

        Args:
            token: that of the publishing device, 32 bytes.
            published: the public keys.
            epoch: that of the publication, 0 to 2^63-1; 0 if it is not told: then it counts as the
                latest.
            replace: unused one-time prekeys of publications up to this epoch (with epoch 0: of all)
                are not to be handed out any more, unless they are in this one; ids stay known.

        Raises:
            InvalidArgument: the epoch is out of range.
            NotRegistered: the token is not that of the address.
            BackendRefused: a limit is exceeded.
        """
        ...

    def epoch(self, address: Address, token: bytes) -> int:
        """Return the highest epoch that the device has told, 0 if none.

        It begins at 0 again when the address is claimed under another token.

        Raises:
            NotRegistered: the token is not that of the address.
        """
        ...

    def one_time_prekey_count(self, address: Address, token: bytes) -> int:
        """Return how many one-time prekeys of the address are left to hand out."""
        ...

    def fetch_bundle(self, requester: Address, token: bytes, address: Address) -> PreKeyBundle:
        """Hand out keys of a device, with a one-time prekey as long as there are any.

        A back end may leave the one-time prekey out for a requester who has taken many.

        Args:
            requester: the asking device.
            token: the asking device's token.
            address: whose keys are wanted.

        Raises:
            UnknownRecipient: the address has not published keys.
            NotRegistered: the token is not that of the requester.
        """
        ...

    def deposit(self, token: bytes, envelope: bytes, *, epoch: int = 0) -> None:
        """Put an encoded envelope into its recipient's mailbox, once per message id.

        Args:
            token: that of the envelope's sender, 32 bytes.
            envelope: encoded.
            epoch: that of the sender's store, 0 to 2^63-1; 0 if it is not told. It counts also for
                a repetition, and with `UnknownRecipient` and `MailboxFull`.

        Raises:
            InvalidArgument: the epoch is out of range.
            UnknownRecipient: the recipient is not registered.
            MailboxFull: too many messages wait for the recipient, or too many of the sender.
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

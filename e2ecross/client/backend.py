# SPDX-License-Identifier: Apache-2.0
"""The back end as a client sees it: a directory of keys and mailboxes.

Rules:
- Every call is synchronous, and made under the token that the device registered with, 32 bytes;
  only a device that is being linked has none yet.
- Every call may be repeated: a second time it changes nothing, except that keys that are handed out
  are used up.
- The store of a device counts its operations (its epoch). The device tells it with what it deposits
  and publishes; the back end keeps the highest, by which a device finds that its store was
  restored. 0 stands for "not told", and never lowers it.
- What goes wrong on the way comes out as `BackendError`; what the back end returns is not trusted.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from e2ecross.address import Address
from e2ecross.errors import UnknownRecipient
from e2ecross.wire.bundle import PublishedKeys
from e2ecross.wire.exchange import Deposited, KeysWanted, UserKeys, Waiting

__all__ = ["Backend"]


class Backend(Protocol):
    """What `Client` needs of a back end; `e2ecross.relay.Relay` is the reference one."""

    def register(
        self, address: Address, token: bytes, *, replaces: bytes = b"", credential: bytes = b""
    ) -> None:
        """Claim an address under a secret token (32 bytes).

        Args:
            address: of the device.
            token: the new one.
            replaces: the token that the address was claimed under before, 32 bytes, when the
                identity has moved to this installation; or empty. The old one is none any more.
                What waits in the mailbox stays, and so does the epoch.
            credential: what the service behind the back end asks for; or empty.

        Of an account with a list of its devices only device 1 can be claimed anew: then the list is
        dropped with all others in it. Those get their tokens by `publish_devices`.

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
            token: that of the publishing device.
            published: the public keys.
            epoch: that of the publication, 0 to 2^63-1; 0 if it is not told: then it counts as the
                latest.
            replace: unused one-time prekeys of publications up to this epoch (with epoch 0: of all)
                are not to be handed out any more, unless they are in this one; ids stay known.

        Raises:
            NotRegistered: the token is not that of the address.
            BackendRefused: a limit is exceeded; nothing was changed.
        """
        ...

    def publish_devices(
        self, token: bytes, signed_list: bytes, tokens: Mapping[int, bytes], *, epoch: int = 0
    ) -> None:
        """Set the list of the devices of an account, for everybody to fetch.

        What an address of the account has that is not in it is dropped: token, keys, mailbox. So is
        what another holder had under the address of a companion that gets a token.

        Args:
            token: that of device 1 of the account.
            signed_list: an encoded `SignedDeviceList`, at most 8,264 bytes.
            tokens: SHA-256 of the tokens of companions, 32 bytes each, by their number; the others
                in the list keep the ones they have.
            epoch: that of the store of device 1, 0 to 2^63-1; 0 if it is not told.

        Raises:
            NotRegistered: the token is nobody's.
            BackendRefused: it is that of another device than device 1 of the account; or a list is
                known that is newer, or another one of the same number.
        """
        ...

    def epochs(self, address: Address, token: bytes) -> Mapping[int, int]:
        """Return the highest epoch that the device has told, by stripe; without fleets stripe 0.

        Raises:
            NotRegistered: the token is not that of the address.
        """
        ...

    def one_time_prekey_count(self, address: Address, token: bytes) -> int:
        """Return how many one-time prekeys of the address are left to hand out."""
        ...

    def fetch_keys(
        self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]
    ) -> list[UserKeys | UnknownRecipient]:
        """Hand out lists of devices, and keys, with a one-time prekey as long as there are any.

        A back end may leave the one-time prekey out for a requester who has taken many.

        Args:
            requester: the asking device.
            token: the asking device's token.
            wanted: whose keys, of 1 to 32 different users.

        Returns:
            In the order of `wanted`, list and keys of each user, or that nobody of the account is
            registered. Devices that have published no keys are left out.

        Raises:
            NotRegistered: the token is not that of the requester.
        """
        ...

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        """Put encoded envelopes into their recipients' mailboxes, each once per message id.

        Each is taken or refused on its own, in order. That it raises, as it may when a part of the
        back end is out of reach, says nothing about any of them. After one that has found its
        recipient's mailbox full, later ones for the same device are refused likewise. Copies for
        the sender's own account are refused if there are others under the same message id, for
        another account, and none of those is taken.

        Args:
            token: that of the envelopes' sender.
            envelopes: 1 to 1,024, of one sender, 4,194,304 bytes at most.
            epochs: those of the sender's store, by stripe. They count also for what is refused.
            consents: of fleets.

        Raises:
            NotRegistered: the token is not that of the envelopes' sender.
        """
        ...

    def deposit_copies(
        self, token: bytes, copies: bytes, *, epochs: Mapping[int, int] | None = None
    ) -> Deposited:
        """Put one message into the mailboxes of many, each once per message id, in one transaction.

        Each recipient gets the `Envelope` that `EnvelopeCopies.encode_for` returns for it, and is
        refused on its own, under its place among the recipients; else as by `deposit_all`.

        Args:
            token: that of the sender.
            copies: an encoded `EnvelopeCopies`: 1 to 1,024 recipients, at most 262,144 bytes.
            epochs: those of the sender's store, by stripe. They count also for who is refused.

        Raises:
            DecodeError: these are no copies.
            NotRegistered: the token is not that of the sender.
            BackendRefused: too large.
        """
        ...

    def fetch(
        self,
        address: Address,
        token: bytes,
        limit: int,
        after: int = 0,
        *,
        wait_ms: int = 0,
        hold_ms: int = 0,
        holder: bytes = b"",
    ) -> list[Waiting]:
        """Return waiting envelopes with their numbers, oldest first.

        Args:
            address: whose mailbox.
            token: that address's token.
            limit: how many at most, 1 to 1000.
            after: only those with higher numbers.
            wait_ms: how long it may wait for one if there is none, milliseconds.
            hold_ms: of fleets; likewise `holder`.
            holder: who holds them.
        """
        ...

    def acknowledge(self, address: Address, token: bytes, numbers: Sequence[int]) -> None:
        """Remove envelopes from the address's mailbox; unknown numbers are ignored."""
        ...

    def put_link(
        self,
        link_id: bytes,
        slot: int,
        data: bytes,
        *,
        address: Address | None = None,
        token: bytes = b"",
    ) -> None:
        """Put a message into the box in which a device is linked that has no address yet.

        Each slot is written once. A box is there for ten minutes, and an account has three.

        Args:
            link_id: names the box, 16 bytes.
            slot: 0 the offer, which opens the box; 1 the answer; 2 the result.
            data: the message, at most 10,240 bytes, sealed.
            address: the registered device that opens the box, with the offer and the result.
            token: that address's token.

        Raises:
            NotRegistered: the token is not that of the address.
            BackendRefused: the slot has another message; there is no such box; it is another
                device's; or a limit is exceeded.
        """
        ...

    def get_link(self, link_id: bytes, slot: int) -> bytes | None:
        """Return the message in a slot (0 to 2) of a box (16 bytes), or None."""
        ...

# SPDX-License-Identifier: Apache-2.0
"""The calls of a relay about accounts: their keys, their devices, and how one more is linked."""

from collections.abc import Mapping, Sequence

from e2ecross.address import Address
from e2ecross.arguments import (
    forgets_secrets,
    require_bytes,
    require_type,
    require_whole_number,
)
from e2ecross.errors import UnknownRecipient
from e2ecross.relay import devices, directory, link_boxes
from e2ecross.relay.calls import hand_out
from e2ecross.relay.database import Connection
from e2ecross.relay.epochs import read_epochs, record_own_epoch
from e2ecross.relay.relay_file import RelayFile
from e2ecross.relay.rows import MAX_NUMBER
from e2ecross.wire import call_arguments as arguments
from e2ecross.wire.bundle import PublishedKeys
from e2ecross.wire.device_list import SignedDeviceList
from e2ecross.wire.exchange import KeysWanted, UserKeys
from e2ecross.wire.limits import TOKEN_BYTES

__all__ = ["AccountCalls"]


class AccountCalls(RelayFile):
    """What a `Relay` does with accounts that are registered."""

    @forgets_secrets
    def publish(
        self, token: bytes, published: PublishedKeys, *, epoch: int = 0, replace: bool = False
    ) -> None:
        """Set the published keys of the token's address; see `e2ecross.Backend`.

        A changed identity key drops the one-time prekeys of the old one.

        A publication is late when one with a higher epoch came before it, under the same identity
        key. Of a late one only the one-time prekeys count; after one with `replace` not even those.
        One-time prekeys of publications with a higher epoch are not replaced.

        Raises:
            InvalidKey: one of the keys is not acceptable.
            NotRegistered: the token is not that of the address.
            BackendRefused: too many unused one-time prekeys; nothing was changed, and the epoch
                not kept.
        """
        require_bytes("token", token, TOKEN_BYTES)
        require_type("published", published, PublishedKeys)
        require_whole_number("epoch", epoch, 0, MAX_NUMBER)
        require_type("replace", replace, bool)
        # As it would arrive over a network: `decode` also checks the keys themselves.
        published = PublishedKeys.decode(published.encode())

        def work(connection: Connection) -> None:
            directory.require_holder(connection, published.address, token)
            record_own_epoch(connection, published.address, epoch, self._limits)
            directory.publish(connection, published, self._limits, epoch, replace)

        self._database.write(work, published.address)

    @forgets_secrets
    def publish_devices(
        self, token: bytes, signed_list: bytes, tokens: Mapping[int, bytes], *, epoch: int = 0
    ) -> None:
        """Set the list of the devices of an account; see `e2ecross.Backend`.

        An address of the account that is not in it is dropped: its token, keys and mailbox. So is
        what somebody else had under the address of a companion that gets its token.

        Args:
            token: that of device 1, 32 bytes, secret.
            signed_list: an encoded `SignedDeviceList`; no signature is checked.
            tokens: SHA-256 of the tokens of companions, 32 bytes each, by their number, 2 to 127.
                Those of devices that are not in the list are ignored.
            epoch: that of the store of device 1, 0 to 2^63-1; 0 if it is not told.

        Raises:
            DecodeError: it is no list.
            UnsupportedVersion: a list of a later version.
            InvalidKey: one of the keys is not acceptable.
            NotRegistered: the token is nobody's.
            BackendRefused: the token is that of another device than device 1 of the account, or a
                list that is no older one is known; nothing was changed, and the epoch not kept.
        """
        require_bytes("token", token, TOKEN_BYTES)
        require_bytes("signed_list", signed_list)
        companions = arguments.require_companion_tokens(tokens)
        require_whole_number("epoch", epoch, 0, MAX_NUMBER)
        signed = SignedDeviceList.decode(signed_list)

        def work(connection: Connection) -> None:
            primary = devices.require_primary(connection, signed.list.user, token)
            record_own_epoch(connection, primary, epoch, self._limits)
            devices.publish(connection, signed, companions, self._limits, self._clock())

        self._database.write(work, signed.list.user)

    @forgets_secrets
    def epochs(self, address: Address, token: bytes) -> dict[int, int]:
        """Return by stripe the highest epoch that the device has told; of stripe 0 at least 0.

        Raises:
            NotRegistered: the token (32 bytes, secret) is not that of the address.
        """
        require_type("address", address, Address)
        require_bytes("token", token, TOKEN_BYTES)

        def work(connection: Connection) -> dict[int, int]:
            directory.require_holder(connection, address, token)
            return {0: 0} | read_epochs(connection, address)

        return self._database.read(work)

    @forgets_secrets
    def one_time_prekey_count(self, address: Address, token: bytes) -> int:
        """Return how many one-time prekeys of the address are left to hand out.

        Of two kinds, if the address offers Kyber prekeys: the lower number.

        Raises:
            NotRegistered: the token (32 bytes, secret) is not that of the address.
        """
        require_type("address", address, Address)
        require_bytes("token", token, TOKEN_BYTES)

        def work(connection: Connection) -> int:
            directory.require_holder(connection, address, token)
            return directory.unused_count(connection, address)

        return self._database.read(work)

    @forgets_secrets
    def fetch_keys(
        self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]
    ) -> list[UserKeys | UnknownRecipient]:
        """Hand out lists of devices, and keys, each with a one-time prekey of each kind if any.

        If all devices are wanted, those are the ones in the account's list, or device 1 if it has
        no list. Devices without keys are left out. Without devices asked for, nothing is used up:
        the answer is the list alone.

        Without a one-time Kyber prekey the device's last-resort one is in the bundle, if it offers
        Kyber prekeys. The asking user gets at most `RelayLimits.one_time_prekeys_per_requester`
        bundles of a device with one-time prekeys in a while. After that, too, bundles come,
        without any.

        Args:
            requester: the asking device.
            token: the asking device's token, 32 bytes, secret.
            wanted: whose keys, of 1 to 32 different users.

        Returns:
            In the order of `wanted`, list and keys of each user, or that nobody is registered.

        Raises:
            NotRegistered: the token is not that of the requester.
            BackendRefused: too many users, or one twice.
        """
        require_type("requester", requester, Address)
        require_bytes("token", token, TOKEN_BYTES)
        asked = arguments.require_wanted(wanted)

        def work(connection: Connection) -> list[UserKeys | UnknownRecipient]:
            directory.require_holder(connection, requester, token)
            now_ms, limits = self._clock(), self._limits
            return [hand_out(connection, requester, keys, limits, now_ms) for keys in asked]

        return self._database.write(work, *(keys.user for keys in asked))

    @forgets_secrets
    def put_link(
        self,
        link_id: bytes,
        slot: int,
        data: bytes,
        *,
        address: Address | None = None,
        token: bytes = b"",
    ) -> None:
        """Put a message of linking into a box; see `e2ecross.Backend`.

        Args:
            link_id: names the box, 16 bytes.
            slot: 0 the offer, which opens the box for ten minutes; 1 the answer; 2 the result, from
                the device that has opened it. An account has three boxes at most.
            data: 1 to 10,240 bytes, sealed.
            address: the registered device; not used with an answer, likewise `token`.
            token: its token, 32 bytes, secret.

        Raises:
            NotRegistered: the token is not that of the address.
            BackendRefused: too long; there is no such box; the slot has other bytes; the box is
                another device's; the account has too many.
        """
        arguments.require_link(link_id, slot)
        arguments.require_link_message(data)
        holder = None
        if slot != link_boxes.ANSWER:
            require_type("address", address, Address)
            require_bytes("token", token, TOKEN_BYTES)
            holder = address

        def work(connection: Connection) -> None:
            if holder is not None:
                directory.require_holder(connection, holder, token)
            link_boxes.put(connection, link_id, slot, data, holder, self._clock())

        self._database.write(work, *(() if holder is None else (holder.user_id,)))

    def get_link(self, link_id: bytes, slot: int) -> bytes | None:
        """Return what is in a slot (0 to 2) of a box (16 bytes), or None; see `e2ecross.Backend`.

        A box whose time is over is none.
        """
        arguments.require_link(link_id, slot)
        return self._database.read(
            lambda connection: link_boxes.get(connection, link_id, slot, self._clock())
        )

# SPDX-License-Identifier: Apache-2.0
"""A device that the back end of the demo invents: all that who runs a back end can do for it.

It draws keys of its own, writes itself into a list of somebody's devices, and signs that with
what it has. The key that would be needed is on that person's phone.
"""

import secrets
from dataclasses import replace
from pathlib import Path

from e2ecross.address import Address, UserId
from e2ecross.cli.demo_people import DemoFailed, Person
from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from e2ecross.device.device import Device, context_of
from e2ecross.protocol.device_list import hash_list, sign_consent, sign_list
from e2ecross.relay import Relay
from e2ecross.stores import MemoryStore
from e2ecross.wire.content import Text
from e2ecross.wire.device_list import ListedDevice, SignedDeviceList
from e2ecross.wire.exchange import KeysWanted, UserKeys
from e2ecross.wire.limits import TOKEN_BYTES

__all__ = ["GhostDevice"]

_OPERATOR = Address("operator", "relay")


class GhostDevice:
    """Another device of somebody's account, which they know nothing of."""

    def __init__(self, person: Person, number: int) -> None:
        user = UserId.parse(person.user)
        self.address = Address(user.app, user.user, number)
        self._device = Device.create(self.address, MemoryStore())

    def forge_list(self, genuine: SignedDeviceList) -> SignedDeviceList:
        """Return the next list, with this device in it, and signed by it."""
        own, before = context_of(self._device).identity_key_pair, genuine.list
        number = self.address.device
        consent = sign_consent(before.user, number, own, before.account_key, SYSTEM_ENTROPY)
        forged = replace(
            before,
            seq=before.seq + 1,
            previous=hash_list(genuine),
            devices=(*before.devices, ListedDevice(number, own.public, consent)),
        )
        return sign_list(forged, own, SYSTEM_ENTROPY)

    def write(self, relay_file: Path, recipient: Person, text: str) -> bytes:
        """Return a first message of this device, encrypted to keys that the relay has.

        Raises:
            DemoFailed: there are none.
        """
        token, wanted = secrets.token_bytes(TOKEN_BYTES), Address.parse(recipient.user)
        with Relay(relay_file) as relay:
            relay.register(_OPERATOR, token)
            keys = KeysWanted(wanted.user_id, (wanted.device,))
            (found,) = relay.fetch_keys(_OPERATOR, token, [keys])
        if not isinstance(found, UserKeys) or not found.bundles:
            raise DemoFailed(f"the relay has no keys of {recipient.address}")
        self._device.start_session(found.bundles[0])
        return self._device.encrypt(wanted, Text(text)).encode()

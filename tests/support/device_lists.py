# SPDX-License-Identifier: Apache-2.0
"""Lists of the devices of an account, signed by whoever a test likes.

home = Household(ANA.user_id)
first = home.sign(1)
second = home.sign(2, previous=first, devices=(1, 2))
"""

from collections.abc import Iterable
from dataclasses import replace

from e2ecross.address import UserId
from e2ecross.crypto.keys import KeyPair, PublicKey, generate_key_pair, key_pair_from_private
from e2ecross.protocol.device_list import hash_list, sign_consent, sign_list
from e2ecross.state.policy import Policy
from e2ecross.wire.capabilities import announced_by
from e2ecross.wire.device_list import DeviceList, ListedDevice, SignedDeviceList
from tests.support.devices import NOW_MS
from tests.support.entropy import SeededEntropy
from tests.support.vectors import devices, unhex

__all__ = ["Household", "recorded_list", "recorded_pair"]

_USUAL = announced_by(Policy().capabilities)


class Household:
    """An account and the keys of its devices, which a real one never has in one place.

    Args:
        user: the account.
        seed: another one gives other keys, so also another account key.
        primary: the identity of device 1, where that is a device of the test.
    """

    def __init__(self, user: UserId, seed: str = "", primary: KeyPair | None = None) -> None:
        self.user = user
        self.entropy = SeededEntropy(f"household of {user} {seed}")
        self._pairs: dict[int, KeyPair] = {} if primary is None else {1: primary}
        self._consents: dict[tuple[int, PublicKey], bytes] = {}
        self._capabilities: dict[int, bytes] = {}

    def pair(self, device: int) -> KeyPair:
        """The identity of a device, drawn when it is first asked for."""
        if device not in self._pairs:
            self._pairs[device] = generate_key_pair(self.entropy)
        return self._pairs[device]

    def move_in(
        self, device: int, pair: KeyPair | None = None, capabilities: bytes = _USUAL
    ) -> KeyPair:
        """Give a number to another key, of an app that can do that."""
        self._capabilities[device] = capabilities
        self._pairs[device] = generate_key_pair(self.entropy) if pair is None else pair
        return self._pairs[device]

    def entry(self, device: int, capabilities: bytes | None = None) -> ListedDevice:
        """A device as it stands in lists, with its consent, which it gives once."""
        pair, account_key = self.pair(device), self.pair(1).public
        given = (device, pair.public)
        if given not in self._consents:
            consent = sign_consent(self.user, device, pair, account_key, self.entropy)
            self._consents[given] = b"" if device == 1 else consent
        if capabilities is None:
            capabilities = self._capabilities.get(device, _USUAL)
        return ListedDevice(device, pair.public, self._consents[given], capabilities)

    def list(
        self,
        seq: int = 1,
        *,
        previous: SignedDeviceList | bytes = b"",
        devices: Iterable[int] = (1,),
        signed_at_ms: int = NOW_MS,
        hosting: int = 0,
        vendor: str = "",
    ) -> DeviceList:
        """A list that is not signed yet."""
        before = previous if isinstance(previous, bytes) else hash_list(previous)
        entries = tuple(self.entry(device) for device in devices)
        return DeviceList(self.user, seq, before, signed_at_ms, entries, hosting, vendor)

    def sign(self, seq: int = 1, **how: object) -> SignedDeviceList:
        """A list signed with the account's key; the keywords are those of `list`."""
        unsigned = self.list(seq, **how)  # type: ignore[arg-type]
        return sign_list(unsigned, self.pair(1), self.entropy)

    def sign_anew(self, signed: SignedDeviceList, **changes: object) -> SignedDeviceList:
        """The same list with some fields changed, signed."""
        changed = replace(signed.list, **changes)  # type: ignore[arg-type]
        return sign_list(changed, self.pair(1), self.entropy)


def recorded_pair(name: str) -> KeyPair:
    """One of the key pairs of `devices.json`."""
    return key_pair_from_private(unhex(devices("keys")[name]["private"]))


def recorded_list(name: str) -> SignedDeviceList:
    """One of its lists."""
    (signed,) = [item["signed"] for item in devices("lists") if item["name"] == name]
    return SignedDeviceList.decode(unhex(signed))

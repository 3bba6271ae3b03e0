# SPDX-License-Identifier: Apache-2.0
"""Lists of the devices of an account, signed with the account's key: bytes and checked values.

Rules:
- A list is kept and passed on as it came: it is verified over the bytes that were signed.
- Exactly one encoding. No signature is checked here: `protocol/device_list.py`.

Source: docs/wire-format.md, device lists.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.address import MAX_DEVICE, UserId
from e2ecross.crypto.keys import PublicKey, decode_public_key
from e2ecross.crypto.xeddsa import SIGNATURE_BYTES
from e2ecross.errors import DecodeError, UnsupportedVersion
from e2ecross.wire._pb.e2ecross.v1 import devices_pb2
from e2ecross.wire._pb.e2ecross.v1.address_pb2 import User
from e2ecross.wire.encoding import decode_user, parse, require_canonical, serialize
from e2ecross.wire.limits import (
    MAX_CAPABILITIES_BYTES,
    MAX_DEVICE_LIST_BYTES,
    MAX_LISTED_DEVICES,
    MAX_SIGNED_DEVICE_LIST_BYTES,
    MAX_VENDOR_BYTES,
)

__all__ = [
    "LIST_HASH_BYTES",
    "MAX_SEQ",
    "PRIMARY",
    "DeviceList",
    "ListedDevice",
    "SignedDeviceList",
    "is_hosting",
]

PRIMARY: Final = 1
"""The number of the device whose identity key is the account's, and signs its lists."""
MAX_SEQ: Final = 2**63 - 1
LIST_HASH_BYTES: Final = 32
_VERSION: Final = 1
_MAX_TIME_MS: Final = 2**63 - 1
_VENDOR: Final = 1
_HIGHEST_HOSTING: Final = 2


@dataclass(frozen=True, slots=True)
class ListedDevice:
    """A device in a list.

    Attributes:
        device: its number, 1 to 127.
        identity_key: its own, 33 bytes.
        device_signature: its consent to belong to the account, 64 bytes; empty for device 1.
        capabilities: what it understands, encoded, at most 256 bytes; empty: not told.
    """

    device: int
    identity_key: PublicKey
    device_signature: bytes
    capabilities: bytes = b""


@dataclass(frozen=True, slots=True)
class DeviceList:
    """Who belongs to an account.

    Attributes:
        user: the account.
        seq: 1 to 2^63-1; a higher one is newer.
        previous: hash of the list before it, 32 bytes; empty: it is the first, or a reset.
        signed_at_ms: when it was signed, milliseconds since 1970 by the clock of device 1.
        devices: 1 to 16, ascending by number; the first is device 1.
        hosting: who holds keys of the account beside its user: 0 nobody, 1 a vendor, 2 the app's
            operator.
        vendor: which, 1 to 64 bytes with hosting 1, else empty.
    """

    user: UserId
    seq: int
    previous: bytes
    signed_at_ms: int
    devices: tuple[ListedDevice, ...]
    hosting: int = 0
    vendor: str = ""

    @property
    def account_key(self) -> PublicKey:
        """The account's key, 33 bytes: the identity key of device 1."""
        return self.devices[0].identity_key

    def find(self, number: int) -> ListedDevice | None:
        """Return the device of a number, or None."""
        return next((each for each in self.devices if each.device == number), None)

    def encode(self) -> bytes:
        """Return its one encoding, what is signed."""
        fields = devices_pb2.DeviceList(
            version=_VERSION,
            app=self.user.app,
            user=self.user.user,
            seq=self.seq,
            previous=self.previous,
            signed_at_ms=self.signed_at_ms,
            hosting=self.hosting,
            vendor=self.vendor,
        )
        for each in self.devices:
            fields.devices.add(
                device=each.device,
                identity_key=each.identity_key,
                device_signature=each.device_signature,
                capabilities=each.capabilities,
            )
        return serialize(fields)

    @classmethod
    def decode(cls, data: bytes) -> "DeviceList":
        """Read a list, at most 8,192 bytes.

        Raises:
            DecodeError: malformed, not in its one encoding, or it contradicts itself.
            UnsupportedVersion: a list of a later version.
            InvalidKey: a key is malformed, not canonical or of low order.
        """
        fields = parse(devices_pb2.DeviceList, data, "a device list", MAX_DEVICE_LIST_BYTES)
        if fields.version > _VERSION:
            raise UnsupportedVersion(
                f"device list version {fields.version} is not supported, only 1 is: upgrade "
                f"e2ecross"
            )
        require_canonical(fields, data, "a device list")
        if fields.version != _VERSION:
            raise DecodeError("a device list has no version")
        _check(fields)
        devices = tuple(
            ListedDevice(
                each.device,
                decode_public_key(each.identity_key),
                each.device_signature,
                each.capabilities,
            )
            for each in fields.devices
        )
        return cls(
            decode_user(User(app=fields.app, user=fields.user)),
            fields.seq,
            fields.previous,
            fields.signed_at_ms,
            devices,
            fields.hosting,
            fields.vendor,
        )


@dataclass(frozen=True, slots=True)
class SignedDeviceList:
    """A list and the signature over it; not verified.

    Attributes:
        data: the list, as it was signed.
        signature: by the account's key, 64 bytes.
        list: what `data` says.
    """

    data: bytes
    signature: bytes
    list: DeviceList

    def encode(self) -> bytes:
        """Return its one encoding."""
        fields = devices_pb2.SignedDeviceList(list=self.data, signature=self.signature)
        return serialize(fields)

    @classmethod
    def decode(cls, data: bytes) -> "SignedDeviceList":
        """Read a signed list, at most 8,264 bytes; raises as `DeviceList.decode`."""
        what = "a signed device list"
        fields = parse(devices_pb2.SignedDeviceList, data, what, MAX_SIGNED_DEVICE_LIST_BYTES)
        require_canonical(fields, data, what)
        if len(fields.signature) != SIGNATURE_BYTES:
            raise DecodeError(f"{what} has no signature of {SIGNATURE_BYTES} bytes")
        return cls(fields.list, fields.signature, DeviceList.decode(fields.list))


def _check(fields: devices_pb2.DeviceList) -> None:
    numbers = [each.device for each in fields.devices]
    keys = {each.identity_key for each in fields.devices}
    if numbers[:1] != [PRIMARY] or numbers != sorted(set(numbers)) or numbers[-1] > MAX_DEVICE:
        raise DecodeError("a device list does not begin with device 1, or does not ascend from it")
    if len(numbers) > MAX_LISTED_DEVICES or len(keys) != len(numbers):
        raise DecodeError("a device list has more than 16 devices, or a key twice")
    for each in fields.devices:
        signature_bytes = 0 if each.device == PRIMARY else SIGNATURE_BYTES
        if len(each.device_signature) != signature_bytes:
            raise DecodeError(f"a device list has no proper signature of device {each.device}")
        if len(each.capabilities) > MAX_CAPABILITIES_BYTES:
            raise DecodeError("a device list has capabilities that are too long")
    if not 1 <= fields.seq <= MAX_SEQ or fields.signed_at_ms > _MAX_TIME_MS:
        raise DecodeError("a device list has a number or a time that none has")
    if len(fields.previous) not in (0, LIST_HASH_BYTES) or (fields.seq == 1 and fields.previous):
        raise DecodeError("a device list names a list before it that cannot be")
    if not is_hosting(fields.hosting, fields.vendor):
        raise DecodeError("a device list says of hosting what none says")


def is_hosting(hosting: int, vendor: str) -> bool:
    """Tell whether a list may say this of who holds keys of the account."""
    vendor_bytes = len(vendor.encode())
    return (
        hosting <= _HIGHEST_HOSTING
        and vendor_bytes <= MAX_VENDOR_BYTES
        and bool(vendor_bytes) is (hosting == _VENDOR)
    )

# SPDX-License-Identifier: Apache-2.0
"""What a signed list of devices says, and what the code says that a new device shows.

Rules:
- Of a list public values only, and all of them; its signatures are checked, under keys that it
  names itself.
- The secret of a code is never told: who has it can answer in the place of the new device.
"""

from dataclasses import dataclass

from e2ecross.errors import DecodeError, InvalidSignature
from e2ecross.protocol.device_list import hash_list, verify_consent, verify_list
from e2ecross.wire.device_list import ListedDevice, SignedDeviceList
from e2ecross.wire.linking import LinkCode

__all__ = [
    "LINK_CODE_PREFIX",
    "DeviceListView",
    "LinkCodeView",
    "ListedDeviceView",
    "describe_device_list",
    "describe_link_code",
]

LINK_CODE_PREFIX = b"e2x1:"


@dataclass(frozen=True, slots=True)
class ListedDeviceView:
    """One device in a list.

    Attributes:
        device: its number.
        identity_key: 33 bytes as hex.
        device_signature: its consent to belong to the account, 64 bytes as hex; None of device 1.
        capabilities: what it understands, encoded, as hex; None if it does not say.
    """

    device: int
    identity_key: str
    device_signature: str | None
    capabilities: str | None


@dataclass(frozen=True, slots=True)
class DeviceListView:
    """All that a signed list of devices says.

    Attributes:
        kind: "device_list".
        size_bytes: of the whole.
        user: whose devices they are, such as `whatsapp:ana`.
        seq: its number; a higher one is newer.
        previous: hash of the list before it, 32 bytes as hex; None: the first, or a reset.
        hash: its own, likewise.
        signed_at_ms: when it was signed, milliseconds since 1970 by the clock of device 1.
        hosting: who holds keys beside the user: 0 nobody, 1 a vendor, 2 the app's operator.
        vendor: which vendor; None if there is none.
        signature: by the identity key of device 1, 64 bytes as hex.
        devices: by number, device 1 first.
        problem: why its signatures do not verify, or None.
    """

    kind: str
    size_bytes: int
    user: str
    seq: int
    previous: str | None
    hash: str
    signed_at_ms: int
    hosting: int
    vendor: str | None
    signature: str
    devices: tuple[ListedDeviceView, ...]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class LinkCodeView:
    """What the code of a new device says, but for its secret.

    Attributes:
        kind: "link_code".
        size_chars: of its text.
        app: the app that the device is to be linked for.
        ephemeral_key: 33 bytes as hex.
    """

    kind: str
    size_chars: int
    app: str
    ephemeral_key: str


def describe_device_list(data: bytes) -> DeviceListView:
    """Read an encoded signed list.

    Raises:
        DecodeError: none.
        UnsupportedVersion: of a later version.
        InvalidKey: with a key that is not acceptable.
    """
    signed = SignedDeviceList.decode(data)
    return DeviceListView(
        kind="device_list",
        size_bytes=len(data),
        user=str(signed.list.user),
        seq=signed.list.seq,
        previous=signed.list.previous.hex() or None,
        hash=hash_list(signed).hex(),
        signed_at_ms=signed.list.signed_at_ms,
        hosting=signed.list.hosting,
        vendor=signed.list.vendor or None,
        signature=signed.signature.hex(),
        devices=tuple(_describe_device(each) for each in signed.list.devices),
        problem=_find_problem(signed),
    )


def describe_link_code(data: bytes) -> LinkCodeView:
    """Read the text of a code; an end of line behind it is passed over.

    Raises:
        DecodeError: none.
        UnsupportedVersion: of a later version.
        InvalidKey: with a key that is not acceptable.
    """
    try:
        text = data.removesuffix(b"\n").removesuffix(b"\r").decode("ascii")
    except UnicodeDecodeError:
        raise DecodeError("a link code is ASCII text") from None
    code = LinkCode.from_text(text)
    return LinkCodeView("link_code", len(text), str(code.app), code.ephemeral_key.hex())


def _describe_device(listed: ListedDevice) -> ListedDeviceView:
    return ListedDeviceView(
        listed.device,
        listed.identity_key.hex(),
        listed.device_signature.hex() or None,
        listed.capabilities.hex() or None,
    )


def _find_problem(signed: SignedDeviceList) -> str | None:
    try:
        verify_list(signed)
    except InvalidSignature:
        for each in signed.list.devices[1:]:
            try:
                verify_consent(signed.list.user, each, signed.list.account_key)
            except InvalidSignature:
                return f"the consent of device {each.device} does not verify"
        return "the signature by device 1 does not verify"
    return None

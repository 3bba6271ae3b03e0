# SPDX-License-Identifier: Apache-2.0
"""`DeviceListPush`, content kind 2^31 + 16: signed lists for whoever seems not to have them."""

from dataclasses import dataclass
from typing import Final

from e2ecross.arguments import require_bytes
from e2ecross.errors import InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content.kind import ContentKind, parse_body, require_length
from e2ecross.wire.encoding import serialize
from e2ecross.wire.limits import MAX_SIGNED_DEVICE_LIST_BYTES

__all__ = ["DEVICE_LIST_PUSH", "DeviceListPush"]

_MAX_LISTS: Final = 2
"""One of either account that a message is between."""


@dataclass(frozen=True, slots=True)
class DeviceListPush:
    """Signed lists of devices, as they came; whoever reads them judges each by itself.

    Attributes:
        device_lists: 1 or 2 encoded `SignedDeviceList`s, each 1 to 8,264 bytes.

    Raises:
        InvalidArgument: a field has the wrong type, length or value.
    """

    device_lists: tuple[bytes, ...]

    def __post_init__(self) -> None:
        require_length("device_lists", self.device_lists, _MAX_LISTS)
        for signed in self.device_lists:
            require_bytes("device_lists", signed)
            if not 1 <= len(signed) <= MAX_SIGNED_DEVICE_LIST_BYTES:
                raise InvalidArgument(
                    f"device_lists must hold 1 to {MAX_SIGNED_DEVICE_LIST_BYTES} bytes each, "
                    f"not {len(signed)}"
                )


def _encode(content: DeviceListPush) -> bytes:
    return serialize(content_pb2.DeviceListPush(device_lists=content.device_lists))


def _decode(body: bytes) -> DeviceListPush:
    fields = parse_body(content_pb2.DeviceListPush, body, "a push of device lists")
    return DeviceListPush(tuple(fields.device_lists))


DEVICE_LIST_PUSH: Final = ContentKind(2**31 + 16, (DeviceListPush,), _encode, _decode)

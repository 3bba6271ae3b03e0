# SPDX-License-Identifier: Apache-2.0
"""`DeviceRequest`, content kind 2^31 + 20: what a linked device asks device 1 for."""

from dataclasses import dataclass
from typing import Final

from e2ecross.arguments import require_bytes, require_type
from e2ecross.errors import InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content.kind import ContentKind, parse_body
from e2ecross.wire.encoding import serialize
from e2ecross.wire.limits import MAX_CAPABILITIES_BYTES

__all__ = ["DEVICE_REQUEST", "DeviceRequest"]


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A linked device wants its entry in the list of the account changed.

    Attributes:
        unlink: to be taken out of it.
        capabilities: what is to stand in it from now on, at most 256 bytes.

    Raises:
        InvalidArgument: a field has the wrong type or length.
    """

    unlink: bool
    capabilities: bytes

    def __post_init__(self) -> None:
        require_type("unlink", self.unlink, bool)
        require_bytes("capabilities", self.capabilities)
        if len(self.capabilities) > MAX_CAPABILITIES_BYTES:
            raise InvalidArgument(f"capabilities has more than {MAX_CAPABILITIES_BYTES} bytes")


def _encode(content: DeviceRequest) -> bytes:
    return serialize(
        content_pb2.DeviceRequest(unlink=content.unlink, capabilities=content.capabilities)
    )


def _decode(body: bytes) -> DeviceRequest:
    fields = parse_body(content_pb2.DeviceRequest, body, "a device request")
    return DeviceRequest(fields.unlink, fields.capabilities)


DEVICE_REQUEST: Final = ContentKind(2**31 + 20, (DeviceRequest,), _encode, _decode)

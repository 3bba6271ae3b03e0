# SPDX-License-Identifier: Apache-2.0
"""Bodies of the calls about lists of devices, and of those that link one.

Source: docs/service.md, bodies.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from e2ecross.address import MAX_DEVICE, Address
from e2ecross.errors import DecodeError
from e2ecross.wire._pb.e2ecross.v1 import service_pb2
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.encoding import (
    decode_address,
    encode_address,
    parse,
    serialize,
)
from e2ecross.wire.exchange import (
    LINK_ID_BYTES,
    LINK_SLOTS,
    TOKEN_SHA256_BYTES,
)
from e2ecross.wire.limits import (
    MAX_SIGNED_DEVICE_LIST_BYTES,
)
from e2ecross.wire.service_calls import CALLS
from e2ecross.wire.service_encoding import (
    require_count,
    require_length,
    require_number,
)

__all__ = [
    "LinkRequest",
    "PublishDevicesRequest",
    "decode_link",
    "encode_link",
]


@dataclass(frozen=True, slots=True)
class PublishDevicesRequest:
    """A list of devices.

    Attributes:
        signed_list: an encoded `SignedDeviceList`.
        tokens: SHA-256 of tokens of companions, 32 bytes each, by number, 2 to 127.
        epoch: of the store of device 1, 0 to 2^63-1.
    """

    signed_list: bytes
    tokens: Mapping[int, bytes] = field(repr=False)
    epoch: int = 0

    def encode(self) -> bytes:
        """Return the body."""
        devices = sorted(self.tokens)
        return serialize(
            service_pb2.PublishDevicesRequest(
                signed_list=self.signed_list,
                devices=devices,
                token_hashes=[self.tokens[number] for number in devices],
                epoch=self.epoch,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the body.

        Raises:
            DecodeError: malformed, or a bound is exceeded.
        """
        largest = CALLS["publish_devices"].max_request
        fields = parse(service_pb2.PublishDevicesRequest, data, "a publication", largest)
        size = len(fields.signed_list)
        require_count("bytes of a list of devices", size, MAX_SIGNED_DEVICE_LIST_BYTES)
        if len(fields.devices) != len(fields.token_hashes):
            raise DecodeError("there must be as many devices as tokens")
        for number, sha256 in zip(fields.devices, fields.token_hashes, strict=True):
            require_number("a device", number, MAX_DEVICE, PRIMARY + 1)
            require_length("what is told of a token", sha256, TOKEN_SHA256_BYTES)
        tokens = dict(zip(fields.devices, fields.token_hashes, strict=True))
        if len(tokens) != len(fields.devices):
            raise DecodeError("a device is named twice")
        return cls(fields.signed_list, tokens, require_number("an epoch", fields.epoch))


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """A slot of a link box.

    Attributes:
        link_id: names the box, 16 bytes.
        slot: 0 to 2.
        data: what is put there; empty in a question.
        address: of the registered device; None without.
    """

    link_id: bytes
    slot: int
    data: bytes = field(default=b"", repr=False)
    address: Address | None = None

    def encode(self) -> bytes:
        """Return the body."""
        address = None if self.address is None else encode_address(self.address)
        return serialize(
            service_pb2.LinkRequest(
                link_id=self.link_id, slot=self.slot, data=self.data, address=address
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the body.

        Raises:
            DecodeError: malformed, or a bound is exceeded.
        """
        largest = CALLS["put_link"].max_request
        fields = parse(service_pb2.LinkRequest, data, "a message for a link box", largest)
        require_length("link_id", fields.link_id, LINK_ID_BYTES)
        require_number("slot", fields.slot, LINK_SLOTS - 1)
        address = decode_address(fields.address) if fields.HasField("address") else None
        return cls(fields.link_id, fields.slot, fields.data, address)


def encode_link(data: bytes | None) -> bytes:
    """Return the body that tells what is in a slot of a link box."""
    return serialize(service_pb2.LinkResponse(found=data is not None, data=data or b""))


def decode_link(data: bytes) -> bytes | None:
    """Read what is in a slot of a link box, or that nothing is.

    Raises:
        DecodeError: malformed, or it is and is not there.
    """
    largest = CALLS["get_link"].max_answer
    fields = parse(service_pb2.LinkResponse, data, "an answer", largest)
    if fields.found != bool(fields.data):
        raise DecodeError("an answer says that something is there, or not, and shows the contrary")
    return fields.data or None

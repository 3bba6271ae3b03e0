# SPDX-License-Identifier: Apache-2.0
"""Bodies of the calls about the own account: its address, its keys, its epochs.

Source: docs/service.md, bodies.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from e2ecross.address import Address
from e2ecross.wire._pb.e2ecross.v1 import service_pb2
from e2ecross.wire.encoding import (
    decode_address,
    encode_address,
    parse,
    serialize,
)
from e2ecross.wire.exchange import (
    MAX_CREDENTIAL_BYTES,
)
from e2ecross.wire.limits import (
    MAX_PUBLISHED_KEYS_BYTES,
    MAX_UINT32,
    TOKEN_BYTES,
)
from e2ecross.wire.service_calls import CALLS
from e2ecross.wire.service_encoding import (
    pack_epochs,
    require_count,
    require_length,
    require_number,
    unpack_epochs,
)

__all__ = [
    "AddressRequest",
    "PublishRequest",
    "RegisterRequest",
    "decode_count",
    "decode_epochs",
    "encode_count",
    "encode_epochs",
]


@dataclass(frozen=True, slots=True)
class RegisterRequest:
    """A claim of an address.

    Attributes:
        address: which.
        credential: what the service asks for, at most 4,096 bytes, secret.
        replaces: the token that it is claimed under now, 32 bytes, secret, or empty.
    """

    address: Address
    credential: bytes = field(default=b"", repr=False)
    replaces: bytes = field(default=b"", repr=False)

    def encode(self) -> bytes:
        """Return the body."""
        return serialize(
            service_pb2.RegisterRequest(
                address=encode_address(self.address),
                credential=self.credential,
                replaces=self.replaces,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the body.

        Raises:
            DecodeError: malformed, or a bound is exceeded.
        """
        largest = CALLS["register"].max_request
        fields = parse(service_pb2.RegisterRequest, data, "a registration", largest)
        require_count("bytes of a credential", len(fields.credential), MAX_CREDENTIAL_BYTES)
        require_length("replaces", fields.replaces, 0, TOKEN_BYTES)
        return cls(decode_address(fields.address), fields.credential, fields.replaces)


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """A publication.

    Attributes:
        published_keys: an encoded `PublishedKeys`.
        epoch: of the publication, 0 to 2^63-1.
        replace: whether earlier one-time prekeys are void.
    """

    published_keys: bytes = field(repr=False)
    epoch: int = 0
    replace: bool = False

    def encode(self) -> bytes:
        """Return the body."""
        return serialize(
            service_pb2.PublishRequest(
                published_keys=self.published_keys, epoch=self.epoch, replace=self.replace
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the body.

        Raises:
            DecodeError: malformed, or a bound is exceeded.
        """
        largest = CALLS["publish"].max_request
        fields = parse(service_pb2.PublishRequest, data, "a publication", largest)
        require_count("bytes of keys", len(fields.published_keys), MAX_PUBLISHED_KEYS_BYTES)
        require_number("an epoch", fields.epoch)
        return cls(fields.published_keys, fields.epoch, fields.replace)


@dataclass(frozen=True, slots=True)
class AddressRequest:
    """What is asked about one's own address: epochs, how many prekeys are left."""

    address: Address

    def encode(self) -> bytes:
        """Return the body."""
        return serialize(service_pb2.EpochsRequest(address=encode_address(self.address)))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the body.

        Raises:
            DecodeError: malformed.
        """
        largest = CALLS["epochs"].max_request
        fields = parse(service_pb2.EpochsRequest, data, "a question", largest)
        return cls(decode_address(fields.address))


def encode_epochs(epochs: Mapping[int, int]) -> bytes:
    """Return the body that tells epochs by stripe; one of 0 is not told."""
    return serialize(pack_epochs(epochs))


def decode_epochs(data: bytes) -> dict[int, int]:
    """Read epochs by stripe, at most 65,537, each 1 to 2^63-1.

    Raises:
        DecodeError: malformed, or a bound is exceeded.
    """
    largest = CALLS["epochs"].max_answer
    return unpack_epochs(parse(service_pb2.Epochs, data, "an answer", largest))


def encode_count(count: int) -> bytes:
    """Return the body that tells how many prekeys are left."""
    return serialize(service_pb2.OneTimePrekeyCountResponse(count=min(count, MAX_UINT32)))


def decode_count(data: bytes) -> int:
    """Read how many prekeys are left, 0 to 2^32-1.

    Raises:
        DecodeError: malformed.
    """
    largest = CALLS["one_time_prekey_count"].max_answer
    return parse(service_pb2.OneTimePrekeyCountResponse, data, "an answer", largest).count

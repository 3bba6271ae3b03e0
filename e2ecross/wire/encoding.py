# SPDX-License-Identifier: Apache-2.0
"""Protobuf parsing under our rules.

Rules:
- Size is checked before anything is parsed.
- Our own formats have exactly one encoding: parse, discard unknown fields (recursively), serialise,
  compare with the input. Any difference is an error. Growth goes through version numbers.
- Signal's own messages are parsed as their peers do: unknown fields ignored, any order.
"""

from functools import lru_cache
from typing import Final, TypeVar

from google.protobuf.message import DecodeError as _LibraryDecodeError
from google.protobuf.message import Message

from e2ecross.address import Address, UserId
from e2ecross.arguments import require_bytes
from e2ecross.errors import DecodeError, InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import address_pb2

__all__ = [
    "decode_address",
    "decode_user",
    "encode_address",
    "encode_user",
    "parse",
    "require_canonical",
    "serialize",
]

_M = TypeVar("_M", bound=Message)

_REMEMBERED: Final = 4_096
"""Addresses that need not be checked again: a message names each of its two at both ends twice, and
one into a group may have 1,024 recipients."""


def parse(kind: type[_M], data: bytes, what: str, max_bytes: int) -> _M:
    """Parse bytes from outside into a protobuf message of that kind.

    Raises:
        InvalidArgument: `data` is not bytes.
        DecodeError: too long, or not protobuf.
    """
    require_bytes("data", data)
    if len(data) > max_bytes:
        raise DecodeError(f"{what} has {len(data)} bytes, more than the {max_bytes} allowed")
    try:
        return kind.FromString(data)
    except (_LibraryDecodeError, ValueError) as error:  # ValueError: text that is not UTF-8
        raise DecodeError(f"{what} is not well-formed") from error


def require_canonical(message: Message, data: bytes, what: str) -> None:
    """Refuse bytes that are not the one encoding of the message parsed from them.

    Raises:
        DecodeError: there is a difference. The message is changed in that case.
    """
    message.DiscardUnknownFields()
    if serialize(message) != data:
        raise DecodeError(f"{what} is not in its one encoding")


def serialize(message: Message) -> bytes:
    """Encode a message of ours, always to the same bytes."""
    return message.SerializeToString(deterministic=True)


def encode_address(address: Address) -> address_pb2.Address:
    """The protobuf form of an address."""
    return address_pb2.Address(app=address.app, user=address.user, device=address.device)


def decode_address(value: address_pb2.Address) -> Address:
    """Check an address from outside.

    Raises:
        DecodeError: a part does not match its grammar.
    """
    try:
        return _address(value.app, value.user, value.device)
    except InvalidArgument as error:
        raise DecodeError(f"an address is not well-formed: {error}") from error


@lru_cache(_REMEMBERED)
def _address(app: str, user: str, device: int) -> Address:
    return Address(app, user, device)


def encode_user(user: UserId) -> address_pb2.User:
    """The protobuf form of a user."""
    return address_pb2.User(app=user.app, user=user.user)


def decode_user(value: address_pb2.User) -> UserId:
    """Check a user from outside.

    Raises:
        DecodeError: a part does not match its grammar.
    """
    try:
        return UserId(value.app, value.user)
    except InvalidArgument as error:
        raise DecodeError(f"a user is not well-formed: {error}") from error

# SPDX-License-Identifier: Apache-2.0
"""How every record at rest is encoded.

Rules:
- A record is one version byte and a protobuf message in its one encoding. Every released version
  stays readable; a later one is refused with both numbers.
- What does not decode is `RecordCorrupted`, a `StoreError`: the store is damaged, not a peer.

Source: docs/wire-format.md, records at rest.
"""

from typing import Final, TypeVar

from google.protobuf.message import Message

from e2ecross.address import Address, UserId
from e2ecross.errors import DecodeError, RecordCorrupted, StoreTooNew
from e2ecross.wire._pb.e2ecross.v1 import address_pb2
from e2ecross.wire.encoding import (
    decode_address,
    decode_user,
    parse,
    require_canonical,
    serialize,
)
from e2ecross.wire.limits import MAX_ENVELOPE_BYTES

__all__ = [
    "check_lengths",
    "decode_record",
    "decode_stored_address",
    "decode_stored_user",
    "encode_record",
]

_VERSION: Final = 1
_MAX_RECORD_BYTES: Final = 2 * MAX_ENVELOPE_BYTES

_M = TypeVar("_M", bound=Message)


def encode_record(message: Message) -> bytes:
    """Return the record of a message."""
    return bytes((_VERSION,)) + serialize(message)


def decode_record(kind: type[_M], data: bytes, what: str, max_bytes: int = _MAX_RECORD_BYTES) -> _M:
    """Read a record as a message of that kind.

    Args:
        kind: of message.
        data: the record.
        what: its name in errors.
        max_bytes: how many it may have, without the version.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    if not data:
        raise RecordCorrupted(f"{what} is empty: the store is damaged")
    if data[0] > _VERSION:
        raise StoreTooNew(what, data[0], _VERSION)
    if data[0] < _VERSION:
        raise RecordCorrupted(f"{what} has version {data[0]}: the store is damaged")
    if len(data) > 1 + max_bytes:  # before it is copied
        raise RecordCorrupted(f"{what} has {len(data)} bytes: the store is damaged")
    body = data[1:]
    try:
        message = parse(kind, body, what, max_bytes)
        require_canonical(message, body, what)
    except DecodeError as error:
        raise RecordCorrupted(f"{what} does not decode: the store is damaged") from error
    return message


def decode_stored_address(value: address_pb2.Address, what: str) -> Address:
    """Read an address in a record.

    Raises:
        RecordCorrupted: it is none.
    """
    try:
        return decode_address(value)
    except DecodeError as error:
        raise RecordCorrupted(f"{what} holds no address: the store is damaged") from error


def decode_stored_user(value: address_pb2.User, what: str) -> UserId:
    """Read a user in a record.

    Raises:
        RecordCorrupted: it is none.
    """
    try:
        return decode_user(value)
    except DecodeError as error:
        raise RecordCorrupted(f"{what} holds no user: the store is damaged") from error


def check_lengths(what: str, *values: tuple[bytes, int]) -> None:
    """Raise `RecordCorrupted` unless every value has the length (bytes) beside it."""
    for value, length in values:
        if len(value) != length:
            raise RecordCorrupted(f"{what} holds a value of wrong length: the store is damaged")

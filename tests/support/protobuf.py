# SPDX-License-Identifier: Apache-2.0
"""Protobuf by hand, to write what no encoder would: unknown, repeated, reordered, absent fields.

Written apart from the library, whose parser is under test.
"""

from collections.abc import Collection, Iterator, Sequence

__all__ = ["Field", "byte_fields", "fields", "message", "split", "varint"]

Field = tuple[int, int | bytes]
"""Field number, and a number (wire type 0) or bytes (wire type 2)."""


def varint(value: int, padding: int = 0) -> bytes:
    """Encode a number; with `padding` that many bytes longer than need be."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    for _ in range(padding):
        out[-1] |= 0x80
        out.append(0)
    return bytes(out)


def field(number: int, value: int | bytes) -> bytes:
    """Encode one field."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(items: Sequence[Field]) -> bytes:
    """Encode fields in the order given."""
    return b"".join(field(number, value) for number, value in items)


def fields(data: bytes) -> list[Field]:
    """Read fields as they stand; every length-delimited one as bytes."""
    return [item for item, _ in split(data)]


def byte_fields(data: bytes, lengths: Collection[int] = (32,)) -> Iterator[bytes]:
    """Every field that has one of these lengths, at any depth, also in a record within a record.

    A record begins with its version, 1, which no message of protobuf can begin with.
    """
    try:
        items = fields(data[1:] if data[:1] == b"\x01" else data)
    except IndexError:  # no protobuf after all
        return
    for _, value in items:
        if isinstance(value, bytes):
            if len(value) in lengths:
                yield value
            else:
                yield from byte_fields(value, lengths)


def split(data: bytes) -> Iterator[tuple[Field, bytes]]:
    """Read fields as they stand, each with its encoding."""
    at = 0
    while at < len(data):
        start = at
        tag, at = _varint(data, at)
        value: int | bytes
        number, at = _varint(data, at)
        value = number
        if tag & 7 == 2:
            value = data[at : at + number]
            at += number
        yield (tag >> 3, value), data[start:at]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at

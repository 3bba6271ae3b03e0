# SPDX-License-Identifier: Apache-2.0
"""Bytes that are made to cost: protobuf that no encoder writes, of any size."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tests.support.protobuf import varint

__all__ = ["BOMBS", "malformed"]


def _repeat(unit: bytes) -> Callable[[int], bytes]:
    return lambda size: unit * (size // len(unit))


def _long_field(number: int) -> Callable[[int], bytes]:
    """One field that takes all the room."""

    def bomb(size: int) -> bytes:
        head = varint(number << 3 | 2)
        return head + varint(size - 8) + bytes(size - 8)

    return bomb


def _nested(number: int) -> Callable[[int], bytes]:
    """A message in a message in a message, as deep as there is room."""

    def bomb(size: int) -> bytes:
        heads, length = [], 0
        while length < size - 8:
            head = varint(number << 3 | 2) + varint(length)
            heads.append(head)
            length += len(head)
        return b"".join(reversed(heads))

    return bomb


BOMBS: Final[Mapping[str, Callable[[int], bytes]]] = {
    "zeros": _repeat(b"\0"),
    "ones": _repeat(b"\xff"),
    "long unknown field": _long_field(2000),
    **{f"long field {n}": _long_field(n) for n in (1, 2, 3, 4, 6, 8)},
    "unknown numbers": _repeat(varint(2000 << 3) + b"\1"),
    "the same number": _repeat(b"\x08\x01"),
    **{f"empty field {n}": _repeat(bytes((n << 3 | 2, 0))) for n in (1, 2, 3, 4, 5, 6, 12)},
    **{f"nested in field {n}": _nested(n) for n in (1, 2, 3, 12)},
    "groups never closed": _repeat(b"\x0b"),
    "groups closed at once": _repeat(b"\x0b\x0c"),
    "groups closed only": _repeat(b"\x0c"),
    "numbers of 64 bits": _repeat(b"\x09" + b"\xff" * 8),
    "versions of ours": _repeat(b"\x01"),
    "message versions": _repeat(b"\x33"),
}
"""By name: makes a bomb of about that many bytes."""


def malformed(example: bytes) -> Iterator[tuple[str, bytes]]:
    """Small damage in front of, in, and behind an encoding."""
    pieces = {
        "varint of eleven bytes": b"\x08" + b"\x80" * 10 + b"\1",
        "varint above 64 bits": b"\x08" + b"\xff" * 9 + b"\x7f",
        "varint that does not end": b"\x08\xff",
        "overlong tag": b"\x88\x80\x80\x80\x00\x01",
        "field number 0": b"\x00\x01",
        "highest field number": varint(536_870_911 << 3) + b"\1",
        "field number above all": b"\xf8\xff\xff\xff\x7f\x01",
        "wire type 3": b"\x0b",
        "wire type 4": b"\x0c",
        "wire type 6": b"\x0e\x01",
        "wire type 7": b"\x0f\x01",
        "length behind the end": b"\x0a\x7f",
        "length of 2^31-1": b"\x0a\xff\xff\xff\xff\x07",
        "length of 2^32-1": b"\x0a\xff\xff\xff\xff\x0f",
        "length of 2^63": b"\x0a" + b"\x80" * 9 + b"\x01",
        "negative length": b"\x0a" + b"\xff" * 9 + b"\x01",
        "half a fixed number": b"\x09\1\2\3",
        "unknown text": varint(99 << 3 | 2) + b"\2\xc3\x28",
    }
    for name, piece in pieces.items():
        yield f"{name}, in front", piece + example
        yield f"{name}, behind", example + piece
        yield f"{name}, alone", piece
    for number in range(1, 16):
        yield f"field {number} again, as a number", example + bytes((number << 3, 1))
        yield f"field {number} again, as bytes", example + bytes((number << 3 | 2, 1, 65))
    yield "twice", example + example
    yield "cut", example[:-1]
    yield "one byte more", example + b"\0"

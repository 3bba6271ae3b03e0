# SPDX-License-Identifier: Apache-2.0
"""Where things are in a message on the wire, in order to damage it in a chosen place.

Field numbers: docs/wire-format.md. Written apart from the library, whose parser is under test.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from .peers import PREKEY, Bundle, Sealed

MAC_BYTES = 8
_VARINT = 0
_LENGTH_DELIMITED = 2
# Field numbers of the message inside, and of the wrapper of a first message.
RATCHET_KEY, COUNTER, PREVIOUS_COUNTER, CIPHERTEXT = 1, 2, 3, 4
PQ_RATCHET, ADDRESSES = 5, 6  # version 4 only
PREKEY_ID, BASE_KEY, IDENTITY_KEY, MESSAGE = 1, 2, 3, 4
KYBER_PREKEY_ID, KYBER_CIPHERTEXT = 7, 8  # version 4 only


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, slice]]:
    """Number and place of every field: of its bytes, or of its number as a varint."""
    while at < end:
        tag, at = _varint(data, at)
        value, after = _varint(data, at)
        if tag & 7 == _LENGTH_DELIMITED:
            place = slice(after, after + value)
        elif tag & 7 == _VARINT:
            place = slice(at, after)
        else:
            raise AssertionError(f"no peer sends wire type {tag & 7}")
        yield tag >> 3, place
        at = place.stop


def inner(sealed: Sealed) -> slice:
    """The authenticated message: all of it, or in a first message the part inside the wrapper."""
    if sealed.kind != PREKEY:
        return slice(0, len(sealed.data))
    return wrapper_field(sealed, MESSAGE)


def wrapper_field(sealed: Sealed, number: int) -> slice:
    """The place of a field in the wrapper of a first message."""
    return dict(_fields(sealed.data, 1, len(sealed.data)))[number]


def inner_field(sealed: Sealed, number: int) -> slice:
    """The place of a field in the authenticated message."""
    place = inner(sealed)
    return dict(_fields(sealed.data, place.start + 1, place.stop - MAC_BYTES))[number]


def ratchet_key(sealed: Sealed) -> bytes:
    """Tells which chain a message belongs to."""
    return sealed.data[inner_field(sealed, RATCHET_KEY)]


def counters(sealed: Sealed) -> tuple[int, int]:
    """The message's number in its chain, and what it says of the chain before."""
    places = (inner_field(sealed, COUNTER), inner_field(sealed, PREVIOUS_COUNTER))
    counter, previous = (_varint(sealed.data, place.start)[0] for place in places)
    return counter, previous


def version(sealed: Sealed) -> int:
    """The message version that a message says it is of."""
    first_byte: int = sealed.data[inner(sealed).start]
    return first_byte >> 4


class Spqr(NamedTuple):
    """What a message says of the post-quantum ratchet."""

    epoch: int  # the key exchange that is going on
    key_index: int  # of the key among those of `key_epoch`; 0 if there is none yet
    kind: int

    @property
    def key_epoch(self) -> int:
        """The epoch that the message's key is of: the last one that is complete."""
        return self.epoch - 1


def spqr(sealed: Sealed) -> Spqr | None:
    """The post-quantum ratchet's part of a message, or None if it has none."""
    place = find_inner_field(sealed, PQ_RATCHET)
    if place is None:
        return None
    assert sealed.data[place.start] == 1, "the version of that ratchet"
    epoch, at = _varint(sealed.data, place.start + 1)
    index, at = _varint(sealed.data, at)
    return Spqr(epoch, index, sealed.data[at])


def find_inner_field(sealed: Sealed, number: int) -> slice | None:
    """The place of a field in the authenticated message, or None where it is absent."""
    place = inner(sealed)
    return dict(_fields(sealed.data, place.start + 1, place.stop - MAC_BYTES)).get(number)


def flip(sealed: Sealed, offset: int, bit: int = 0) -> Sealed:
    """The message with one bit changed."""
    damaged = bytearray(sealed.data)
    damaged[offset] ^= 1 << bit
    return Sealed(sealed.kind, bytes(damaged))


def without_field(sealed: Sealed, number: int) -> Sealed:
    """A first message without one field of its wrapper."""
    kept = _without(sealed.data, slice(1, len(sealed.data)), number)
    return Sealed(sealed.kind, sealed.data[:1] + kept)


def without_inner_field(sealed: Sealed, number: int) -> Sealed:
    """An ordinary message without one field, its MAC as it was."""
    assert sealed.kind != PREKEY
    end = len(sealed.data) - MAC_BYTES
    kept = _without(sealed.data, slice(1, end), number)
    return Sealed(sealed.kind, sealed.data[:1] + kept + sealed.data[end:])


def _without(data: bytes, fields: slice, number: int) -> bytes:
    kept, at = b"", fields.start
    for found, place in _fields(data, fields.start, fields.stop):
        if found != number:
            kept += data[at : place.stop]
        at = place.stop
    return kept


def without_kyber(bundle: Bundle) -> Bundle:
    """The bundle as a client of version 3 offers it."""
    return replace(bundle, kyber_prekey_id=None, kyber_prekey=None, kyber_prekey_signature=None)

# SPDX-License-Identifier: Apache-2.0
"""Capabilities: what the app of a device shows and obeys, in its entry of the signed device list.

Rules:
- Nothing is assumed of an app by its name: what its devices do not announce, they cannot.
- What is not well-formed announces nothing. Then a sender offers less, never more.

Source: docs/wire-format.md, capabilities.
"""

import enum
from collections.abc import Collection
from typing import Final

from e2ecross.arguments import require_whole_number
from e2ecross.errors import DecodeError, InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.encoding import parse, require_canonical, serialize
from e2ecross.wire.limits import MAX_CAPABILITIES_BYTES

__all__ = [
    "Capability",
    "announced_by",
    "check_capabilities",
    "decode_capabilities",
    "encode_capabilities",
]

_VERSION: Final = 1
_MAX_IDS: Final = 64


class Capability(enum.IntEnum):
    """The ids that have a meaning; any other whole number from 1 on is carried.

    Ids from 32 to 63 protect somebody: a sender never does without them.
    """

    POST = 10
    """Frames, and the kinds 3 to 8 decode; text with mentions and replies is shown."""
    MEDIA = 13
    OPTIONS = 14
    REACTION = 15
    EDIT = 16
    DELETE = 17
    ANSWER = 18
    RECEIPTS = 19
    TYPING = 20
    SEALED = 21
    EXPIRY = 32
    VIEW_ONCE = 33
    FRANKING = 34
    GROUPS = 35

    @property
    def protects(self) -> bool:
        """Whether somebody relies on it."""
        return 32 <= self <= 63


_NEED_POST: Final = frozenset(id_ for id_ in Capability if id_.protects)
_OF_APPS: Final = frozenset(Capability) - {
    Capability.SEALED,
    Capability.FRANKING,
    Capability.GROUPS,
}


def check_capabilities(ids: object) -> None:
    """Check what an app says of itself.

    Raises:
        InvalidArgument: not a frozenset of 10, 13 to 20, 32 and 33, or some of them without 10.
    """
    if type(ids) is not frozenset or not ids <= _OF_APPS:
        raise InvalidArgument("capabilities must be a frozenset of some of 10, 13 to 20, 32, 33")
    if ids and Capability.POST not in ids:
        raise InvalidArgument("capabilities must hold 10 (POST), which all others need, or be none")


def announced_by(ids: frozenset[int], *, groups: bool = True) -> bytes:
    """Return what a device with an app that does this announces: that, and what we do ourselves.

    Args:
        ids: what the app shows and obeys, see `check_capabilities`.
        groups: whether the store is one for groups.
    """
    is_member = groups and Capability.POST in ids
    return encode_capabilities(ids | {Capability.GROUPS} if is_member else ids)


def encode_capabilities(ids: Collection[int]) -> bytes:
    """Return the one encoding of some ids, at most 256 bytes; of none it is empty.

    Raises:
        InvalidArgument: an id below 1 or above 2^32-1, more than 64, more than 256 bytes, or one of
            32 to 35 without 10.
    """
    if not ids:
        return b""
    for id_ in ids:
        require_whole_number("capabilities", int(id_), low=1)
    if len(ids) > _MAX_IDS:
        raise InvalidArgument(f"capabilities must be at most {_MAX_IDS}, not {len(ids)}")
    # Without frames an expiry could be lost in a text.
    if Capability.POST not in ids and not _NEED_POST.isdisjoint(ids):
        raise InvalidArgument("capabilities from 32 to 35 need 10 (POST)")
    encoded = serialize(content_pb2.Capabilities(version=_VERSION, ids=sorted(ids)))
    if len(encoded) > MAX_CAPABILITIES_BYTES:
        raise InvalidArgument(f"capabilities have more than {MAX_CAPABILITIES_BYTES} bytes encoded")
    return encoded


def decode_capabilities(data: bytes) -> frozenset[int]:
    """Read what a device announces: nothing, if it is empty or not as `encode_capabilities` does.

    Raises:
        InvalidArgument: not bytes.
    """
    what = "a set of capabilities"
    try:
        fields = parse(content_pb2.Capabilities, data, what, MAX_CAPABILITIES_BYTES)
        require_canonical(fields, data, what)
    except DecodeError:
        return frozenset()
    ids = frozenset(fields.ids)
    try:
        return ids if encode_capabilities(ids) == data else frozenset()
    except InvalidArgument:
        return frozenset()

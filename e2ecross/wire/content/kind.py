# SPDX-License-Identifier: Apache-2.0
"""What one kind of content is: a number, a class, and how its body is written and read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from google.protobuf.message import Message

from e2ecross.arguments import require_bytes, require_type
from e2ecross.errors import InvalidArgument
from e2ecross.wire.encoding import parse, require_canonical
from e2ecross.wire.limits import MAX_CONTENT_BODY_BYTES, MAX_CONTENT_BYTES

__all__ = [
    "ContentKind",
    "parse_body",
    "require_body_size",
    "require_content_size",
    "require_group_id",
    "require_length",
]

_GROUP_ID_BYTES: Final = 32

_C = TypeVar("_C")
_M = TypeVar("_M", bound=Message)


@dataclass(frozen=True, slots=True)
class ContentKind(Generic[_C]):
    """A row of the table in `kinds.py`.

    Attributes:
        number: `content_kind`; from 2^31 on for what clients tell each other. `frame.py` says
            which are in a frame: `encode` and `decode` are about what is inside.
        classes: those of its values.
        encode: makes the body of a value.
        decode: makes the value of a body from outside; raises `DecodeError`, or what the class
            raises.
        describe: says what a value is in plain text, for who cannot show it: of kinds in a frame.
    """

    number: int
    classes: tuple[type[_C], ...]
    encode: Callable[[_C], bytes]
    decode: Callable[[bytes], _C]
    describe: Callable[[_C], str] = repr


def parse_body(
    kind: type[_M], body: bytes, what: str, max_bytes: int = MAX_CONTENT_BODY_BYTES
) -> _M:
    """Parse the body of a content, which has exactly one encoding.

    Raises:
        DecodeError: too long, malformed, or not in its one encoding.
    """
    fields = parse(kind, body, what, max_bytes)
    require_canonical(fields, body, what)
    return fields


def require_content_size(name: str, size: int) -> None:
    """Raise `InvalidArgument` if what a user puts into a message has too many bytes."""
    if size > MAX_CONTENT_BYTES:
        raise InvalidArgument(f"{name} has {size} bytes, more than the {MAX_CONTENT_BYTES} allowed")


def require_body_size(name: str, size: int, most: int = MAX_CONTENT_BODY_BYTES) -> None:
    """Raise `InvalidArgument` if what becomes the body of a content has too many bytes."""
    if size > most:
        raise InvalidArgument(f"{name} has {size} bytes encoded, more than the {most} allowed")


def require_length(name: str, values: tuple[object, ...], most: int | None = None) -> None:
    """Raise `InvalidArgument` unless it is a tuple of at least one value, and of at most `most`."""
    require_type(name, values, tuple)
    if not values or (most is not None and len(values) > most):
        bound = "at least 1" if most is None else f"1 to {most}"
        raise InvalidArgument(f"{name} must be {bound}, not {len(values)}")


def require_group_id(group_id: bytes) -> None:
    """Raise `InvalidArgument` unless it is empty or of 32 bytes."""
    require_bytes("group_id", group_id)
    if len(group_id) not in (0, _GROUP_ID_BYTES):
        raise InvalidArgument(f"group_id must have {_GROUP_ID_BYTES} bytes or none")

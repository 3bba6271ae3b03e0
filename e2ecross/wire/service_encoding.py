# SPDX-License-Identifier: Apache-2.0
"""Bodies of calls over a network: what all of them are read and written by.

Rules:
- Size first, then protobuf, then every field against its bound; else `DecodeError`.
- Unknown fields are ignored: both ends may be of neighbouring releases. These bodies are neither
  signed nor kept. What they carry keeps its own strict decoding, which is not done here.

Source: docs/service.md, bodies.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from e2ecross.errors import DecodeError, E2ECrossError, InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import service_pb2
from e2ecross.wire.encoding import serialize
from e2ecross.wire.exchange import HIGHEST_STRIPE, MAX_NUMBER

__all__ = [
    "checked",
    "clean_text",
    "pack_epochs",
    "require_count",
    "require_length",
    "require_number",
    "serialize",
    "text_of",
    "unpack_epochs",
]

_MAX_TEXT_CHARS: Final = 200
_T = TypeVar("_T")


def checked(make: Callable[[], _T], what: str) -> _T:
    """Make a value of fields from outside.

    Raises:
        DecodeError: its own checks refuse them.
    """
    try:
        return make()
    except InvalidArgument as error:
        raise DecodeError(f"{what} is not acceptable: {error}") from error


def require_number(what: str, value: int, high: int = MAX_NUMBER, low: int = 0) -> int:
    """Return a number from outside that is within its bounds."""
    if not low <= value <= high:
        raise DecodeError(f"{what} must be {low} to {high}")
    return value


def require_length(what: str, value: bytes, *lengths: int) -> bytes:
    """Return bytes from outside that have one of these lengths."""
    if len(value) not in lengths:
        raise DecodeError(f"{what} must have {' or '.join(map(str, lengths))} bytes")
    return value


def require_count(what: str, count: int, high: int, low: int = 0) -> None:
    """Refuse what has too many or too few parts."""
    if not low <= count <= high:
        raise DecodeError(f"{what} must be {low} to {high}, not {count}")


def clean_text(text: str) -> str:
    """Return what a stranger says, for people: 200 characters of printable ASCII at most."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:_MAX_TEXT_CHARS])


def text_of(error: E2ECrossError) -> str:
    """Return the message of an error of ours as it is told to a client."""
    return str(error)[:500]


def pack_epochs(epochs: Mapping[int, int]) -> service_pb2.Epochs:
    """The protobuf form of epochs by stripe; an epoch of 0 is not told."""
    told = sorted((stripe, epoch) for stripe, epoch in epochs.items() if epoch)
    return service_pb2.Epochs(
        stripes=[stripe for stripe, _ in told], epochs=[epoch for _, epoch in told]
    )


def unpack_epochs(fields: service_pb2.Epochs, most: int = HIGHEST_STRIPE + 1) -> dict[int, int]:
    """Check epochs from outside.

    Raises:
        DecodeError: not as many of both, too many, not ascending, out of range, or one that is 0.
    """
    require_count("epochs", len(fields.epochs), most)
    if len(fields.stripes) != len(fields.epochs):
        raise DecodeError("there must be as many stripes as epochs")
    if any(low >= high for low, high in zip(fields.stripes, fields.stripes[1:], strict=False)):
        raise DecodeError("stripes must ascend")
    for stripe, epoch in zip(fields.stripes, fields.epochs, strict=True):
        require_number("a stripe", stripe, HIGHEST_STRIPE)
        require_number("an epoch", epoch, low=1)
    return dict(zip(fields.stripes, fields.epochs, strict=True))

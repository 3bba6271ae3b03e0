# SPDX-License-Identifier: Apache-2.0
"""Checks of what a caller hands in: `InvalidArgument` that names the argument, nothing else."""

import os
from collections.abc import Sequence
from typing import Final

from e2ecross.errors import InvalidArgument

__all__ = [
    "MAX_NUMBER",
    "TOKEN_BYTES",
    "require_callable",
    "require_file_name",
    "require_token",
    "require_type",
    "require_whole_number",
    "require_whole_numbers",
]

TOKEN_BYTES: Final = 32
MAX_NUMBER: Final = 2**63 - 1
"""The highest number that a row of SQLite can have."""


def require_type(name: str, value: object, wanted: type) -> None:
    """Raise `InvalidArgument` unless the value is an instance of the type."""
    if not isinstance(value, wanted):
        raise InvalidArgument(f"{name} must be {wanted.__name__}, not {type(value).__name__}")


def require_whole_number(name: str, value: object, low: int, high: int) -> None:
    """Raise `InvalidArgument` unless the value is an int (no bool) from `low` to `high`."""
    # type(), not isinstance: True is an int, and would be a second spelling of 1.
    if type(value) is not int or not low <= value <= high:
        raise InvalidArgument(f"{name} must be a whole number from {low} to {high}")


def require_whole_numbers(name: str, values: object) -> None:
    """Raise `InvalidArgument` unless it is a list, or another sequence, of ints (no bools)."""
    if isinstance(values, str | bytes | bytearray) or not isinstance(values, Sequence):
        raise InvalidArgument(f"{name} must be a list, not {type(values).__name__}")
    if not all(type(value) is int for value in values):
        raise InvalidArgument(f"{name} must hold whole numbers only")


def require_callable(name: str, value: object) -> None:
    """Raise `InvalidArgument` unless the value can be called."""
    if not callable(value):
        raise InvalidArgument(f"{name} must be a function, not {type(value).__name__}")


def require_file_name(name: str, value: object) -> str:
    """Return a path as text; raise `InvalidArgument` unless it can name a file on disk."""
    if not isinstance(value, str | os.PathLike):
        raise InvalidArgument(f"{name} must be a str or a path, not {type(value).__name__}")
    text = os.fspath(value)
    # ":memory:" would be another database for each thread.
    if not isinstance(text, str) or text in ("", ":memory:") or "\0" in text:
        raise InvalidArgument(f"{name} must name a file, as text")
    return text


def require_token(token: object) -> None:
    """Raise `InvalidArgument` unless the token is 32 bytes; its value is never in the message."""
    if not isinstance(token, bytes):
        raise InvalidArgument(f"token must be bytes, not {type(token).__name__}")
    if len(token) != TOKEN_BYTES:
        raise InvalidArgument(f"token must have {TOKEN_BYTES} bytes, not {len(token)}")

# SPDX-License-Identifier: Apache-2.0
"""What a caller hands in: checked, with `InvalidArgument` that names the argument, and kept hidden.

Rules:
- The message never shows the value: it may be secret, or plaintext. Nor does a traceback, where the
  argument is a key, a token or a passphrase: crash reporters collect the variables of every frame.
- Exact types where a value is kept or compared: a subclass of `bytes` or `int` could change its
  meaning, and True would be a second spelling of 1.
"""

import os
from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec, TypeVar

from e2ecross.errors import E2ECrossError, InvalidArgument

__all__ = [
    "hides_arguments",
    "require_bytes",
    "require_callable",
    "require_file_name",
    "require_list",
    "require_methods",
    "require_type",
    "require_whole_number",
]

P = ParamSpec("P")
T = TypeVar("T")


def hides_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function whose arguments are secret leave none of its frames in errors of ours.

    The error says what went wrong; where it did, within the function, is given up for that. What it
    came from stays as its cause, without frames.
    """

    @wraps(function)
    def call(*arguments: P.args, **keywords: P.kwargs) -> T:
        try:
            return function(*arguments, **keywords)
        except E2ECrossError as error:
            raised = error
        del arguments, keywords
        cause = raised.__cause__
        while cause is not None:
            cause.__traceback__, cause = None, cause.__cause__
        raised.__context__ = None
        try:
            raise raised.with_traceback(None)
        finally:
            del raised  # else the frame and its error keep each other, and the caller's arguments

    return call


def require_type(name: str, value: object, *types: type) -> None:
    """Raise `InvalidArgument` unless the value is an instance of one of the types."""
    if not isinstance(value, types):
        wanted = " or ".join(cls.__name__ for cls in types)
        raise InvalidArgument(f"{name} must be {wanted}, not {type(value).__name__}")


def require_bytes(name: str, value: object, length: int | None = None) -> None:
    """Raise `InvalidArgument` unless the value is exactly `bytes` (of that length)."""
    if type(value) is not bytes:
        raise InvalidArgument(f"{name} must be bytes, not {type(value).__name__}")
    if length is not None and len(value) != length:
        raise InvalidArgument(f"{name} must have {length} bytes, not {len(value)}")


def require_whole_number(name: str, value: object, low: int = 0, high: int = 2**32 - 1) -> None:
    """Raise `InvalidArgument` unless the value is exactly an `int` from `low` to `high`."""
    if type(value) is not int or not low <= value <= high:
        raise InvalidArgument(f"{name} must be a whole number from {low} to {high}")


def require_list(name: str, values: Iterable[T]) -> list[T]:
    """Return the values as a list; raise `InvalidArgument` for one value in the place of many."""
    # Text and bytes are iterable too, and one of them alone is likely to be meant otherwise.
    if isinstance(values, bytes | bytearray | str) or not isinstance(values, Iterable):
        raise InvalidArgument(f"{name} must be a list, not {type(values).__name__}")
    return list(values)


def require_callable(name: str, value: object) -> None:
    """Raise `InvalidArgument` unless the value can be called."""
    if not callable(value):
        raise InvalidArgument(f"{name} must be a function, not {type(value).__name__}")


def require_methods(name: str, value: object, *methods: str) -> None:
    """Raise `InvalidArgument` unless the value has these methods: it is what a protocol asks."""
    for method in methods:
        if not callable(getattr(value, method, None)):
            raise InvalidArgument(
                f"{name} must have a method {method}, which {type(value).__name__} has not"
            )


def require_file_name(name: str, value: object) -> str:
    """Return a path as text; raise `InvalidArgument` unless it can name a file on disk."""
    if not isinstance(value, str | os.PathLike):
        raise InvalidArgument(f"{name} must be a str or a path, not {type(value).__name__}")
    text = os.fspath(value)
    # ":memory:" would be another database for each thread.
    if not isinstance(text, str) or text in ("", ":memory:") or "\0" in text:
        raise InvalidArgument(f"{name} must be the name of a file, as text")
    return text

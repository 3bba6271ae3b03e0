# SPDX-License-Identifier: Apache-2.0
"""Keeping secrets out of what an app shows.

Rules:
- Values that hold secrets do not show them, and are not pickled or copied.
- An error that somebody else can bring about leaves the functions that hold keys in local
  variables without their frames: crash reporters collect the variables of every frame.
"""

from typing import NoReturn, SupportsIndex, TypeVar

__all__ = ["Secret", "without_frames"]

_E = TypeVar("_E", bound=Exception)


def without_frames(error: _E) -> _E:
    """Return the error cut off from the frames and the errors that it came from, to be raised."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


class Secret:
    """Mixin for (data)classes with secret fields; declare those with `repr=False, eq=False`.

    `==` on such values is identity: secrets are compared in constant time or not at all.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: secret>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds secrets and is not pickled or copied")

# SPDX-License-Identifier: Apache-2.0
"""Checks of what a caller hands in: `InvalidArgument` that names the argument, nothing else."""

from e2ecross.errors import InvalidArgument
from e2ecross.wire.limits import MAX_UINT32

__all__ = ["require_bytes", "require_methods", "require_type", "require_whole_number"]


def require_type(name: str, value: object, *types: type) -> None:
    """Raise `InvalidArgument` unless the value is an instance of one of the types."""
    if not isinstance(value, types):
        wanted = " or ".join(cls.__name__ for cls in types)
        raise InvalidArgument(f"{name} must be {wanted}, not {type(value).__name__}")


def require_bytes(name: str, value: object, length: int | None = None) -> None:
    """Raise `InvalidArgument` unless the value is `bytes` (of that length)."""
    if not isinstance(value, bytes):
        raise InvalidArgument(f"{name} must be bytes, not {type(value).__name__}")
    if length is not None and len(value) != length:
        raise InvalidArgument(f"{name} must have {length} bytes, not {len(value)}")


def require_whole_number(name: str, value: object, low: int = 0, high: int = MAX_UINT32) -> None:
    """Raise `InvalidArgument` unless the value is an int (no bool) from `low` to `high`."""
    # type(), not isinstance: True is an int, and would be a second spelling of 1.
    if type(value) is not int or not low <= value <= high:
        raise InvalidArgument(f"{name} must be a whole number from {low} to {high}")


def require_methods(name: str, value: object, *methods: str) -> None:
    """Raise `InvalidArgument` unless the value has these methods: it is what a protocol asks."""
    for method in methods:
        if not callable(getattr(value, method, None)):
            raise InvalidArgument(
                f"{name} must have a method {method}, which {type(value).__name__} has not"
            )

# SPDX-License-Identifier: Apache-2.0
"""What is said when a room is entered without the extra that it needs."""

__all__ = ["missing_extra"]


def missing_extra(module: str, extra: str) -> ImportError:
    """Return the error; to be raised from the one of the import.

    Args:
        module: the room.
        extra: what it needs.
    """
    return ImportError(
        f"{module} needs the extra {extra!r}: install it with  pip install 'e2ecross[{extra}]'",
        name=module,
    )

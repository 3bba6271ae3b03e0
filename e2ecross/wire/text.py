# SPDX-License-Identifier: Apache-2.0
"""Text that goes into a message: it can be encoded, and has a bound in bytes."""

import re
from typing import Final

from e2ecross.arguments import require_type
from e2ecross.errors import InvalidArgument

__all__ = ["require_text"]

_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def require_text(name: str, value: str, most: int) -> None:
    """Raise `InvalidArgument` unless it is a string of at most `most` bytes in UTF-8."""
    require_type(name, value, str)
    # Not by try and except: the library's error holds the text, and would stay in the chain.
    if _LONE_SURROGATE.search(value):
        raise InvalidArgument(f"{name} holds a character that UTF-8 cannot encode")
    size = len(value.encode())
    if size > most:
        raise InvalidArgument(f"{name} has {size} bytes, more than the {most} allowed")

# SPDX-License-Identifier: Apache-2.0
"""How a database is reached: where that comes from, and that it is not shown.

Rules:
- It may hold a password. What looks like it is never printed, not even as a wrong argument.
"""

import os
import re
from typing import Final

__all__ = ["DATABASE", "is_conninfo", "without_conninfo"]

DATABASE: Final = "E2ECROSS_DATABASE"
"""The environment variable that has the conninfo where none is given."""

_LIKELY: Final = re.compile(r"\s*([a-z_]+\s*=|postgres(ql)?:)", re.ASCII | re.IGNORECASE)
_SHOWN: Final = re.compile(
    r"\S*://\S*|\b(?:host|hostaddr|dbname|user|password|passfile|service|sslkey)\s*=.*", re.ASCII
)


def is_conninfo(text: str) -> bool:
    """Tell whether a text says how a database is reached, and does not name a file."""
    if text.startswith(("postgresql://", "postgres://")):
        return True
    return ("://" in text or _LIKELY.match(text) is not None) and not _is_there(text)


def without_conninfo(text: str) -> str:
    """Take out of a message what says how a database is reached."""
    return _SHOWN.sub("(not shown)", text)


def _is_there(name: str) -> bool:
    try:
        return os.path.exists(name)
    except ValueError:  # a null character
        return False

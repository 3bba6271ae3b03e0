# SPDX-License-Identifier: Apache-2.0
"""One thing that `e2ecross doctor` has found, and how numbers are put into it."""

from typing import Final, NamedTuple

__all__ = ["DAY_MS", "Finding", "count"]

DAY_MS: Final = 24 * 60 * 60 * 1000


class Finding(NamedTuple):
    """One thing to know.

    Attributes:
        code: what it is, for programs.
        text: what it is and what to do, for people.
    """

    code: str
    text: str


def count(number: int, what: str) -> str:
    """So many of something."""
    if number == 1:
        return f"1 {what}"
    return f"{number} {what}es" if what.endswith("s") else f"{number} {what}s"

# SPDX-License-Identifier: Apache-2.0
"""Which of some envelopes the back end still has.

Rules:
- A page may be shorter than was asked for, for its size: only an empty one is the end.
- What is asked is bounded: of what is left over nothing is known, and it is asked for another time.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from e2ecross.client.link import Link

__all__ = ["Remaining", "ask_for"]

_MAX_PAGE: Final = 1_000
_MAX_CALLS: Final = 16
"""Mostly one is enough: what arrived together has numbers that follow each other."""


class Remaining(NamedTuple):
    """What the back end has said of numbers.

    Attributes:
        there: under which it has something, and what: an envelope, encoded.
        gone: under which it has nothing any more.
    """

    there: dict[int, bytes]
    gone: list[int]


def ask_for(link: Link, numbers: Iterable[int]) -> Remaining:
    """Ask the back end what it has under some numbers.

    Raises:
        BackendError: it cannot be reached.
    """
    found = Remaining({}, [])
    left = sorted(set(numbers))
    for _ in range(_MAX_CALLS):
        if not left:
            break
        most, after = min(len(left), _MAX_PAGE), left[0] - 1
        page = dict(link.backend.fetch(link.context.address, link.token, most, after))
        last = max(page, default=left[-1])
        for number in [number for number in left if number <= last]:
            if number in page:
                found.there[number] = page[number]
            else:
                found.gone.append(number)
        left = [number for number in left if number > last]
    return found

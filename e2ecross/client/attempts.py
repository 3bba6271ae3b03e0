# SPDX-License-Identifier: Apache-2.0
"""Calls of which one may fail: for many at once, or one after the other.

Rules:
- Where a call for many fails as a whole, each is tried alone: none waits for another.
- How much is tried in vain is bounded: a back end that is out of reach costs a few calls, however
  many are to be sent to.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from e2ecross.errors import BackendError, E2ECrossError, RemoteError

__all__ = ["MAX_FAILURES", "Failure", "attempt_all", "try_parts"]

MAX_FAILURES: Final = 6
"""Calls that may fail one after another: after one for many, some are tried alone."""

Failure = BackendError | RemoteError
"""Of a call as a whole; also of a peer, which a back end may raise that decodes for us."""

T = TypeVar("T")


def try_parts(
    items: Sequence[T],
    most: int,
    call: Callable[[Sequence[T]], Failure | None],
    fail: Callable[[T, Failure], None],
) -> Failure | None:
    """Make a call for each part of a list.

    Args:
        items: in their order.
        most: items of one call.
        call: makes it; returns the error if it fails as a whole.
        fail: hears of each item for which it failed, or was not made any more.

    Returns:
        Why it was given up to reach anybody; None if it was not.
    """
    at, size, failures = 0, most, 0
    while at < len(items):
        part = items[at : at + size]
        failure = call(part)
        if failure is None:
            at, size, failures = at + len(part), min(2 * size, most), 0
            continue
        failures, size = failures + 1, 1
        if failures == MAX_FAILURES:
            for item in items[at:]:
                fail(item, failure)
            return failure
        if len(part) == 1:
            fail(part[0], failure)
            at += 1
    return None


def attempt_all(*parts: Callable[[], None]) -> None:
    """Do each, whatever becomes of the others; then the first error is raised, if any."""
    errors: list[E2ECrossError] = []
    for part in parts:
        try:
            part()
        except E2ECrossError as error:
            errors.append(error)
    if errors:
        raise errors[0]

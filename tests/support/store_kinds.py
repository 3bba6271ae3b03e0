# SPDX-License-Identifier: Apache-2.0
"""Which stores the tests of devices and clients are run over: `E2ECROSS_TEST_STORES`.

Not set: stores in memory, and where a test takes `stores` also files, sealed or not. `stripes`: in
memory alone, and with 64 stripes wherever a test does not say how many. `postgres`: the same, and
what `new_store` makes is in a PostgreSQL server of the tests' own.

What no store with stripes can do is told in `OVER_STRIPES`. A test that is named there has to fail
then: a line that is not needed any more fails the run. Of a module that is about nothing else no
test is run.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Final, TypeVar

import pytest

from e2ecross.stores import MemoryStore, Store
from tests.support.over_stripes import OVER_STRIPES
from tests.support.postgres_stores import make_postgres_store
from tests.support.routed import route, route_one

__all__ = [
    "KINDS",
    "STRIPES",
    "close_stores",
    "copied",
    "copying",
    "expect_failures",
    "new_store",
    "plain_store",
    "raises_over_stripes",
    "use_stores",
]

T = TypeVar("T")

_STORES: Final = os.environ.get("E2ECROSS_TEST_STORES", "")
STRIPES: Final = 64 if _STORES else 0
"""Of a store of which nothing is said."""
# Mutation testing runs thousands of suites, and mutates no store: memory will do (.ci/mutate.py).
_IN_MEMORY: Final = bool(_STORES) or "MUTANT_UNDER_TEST" in os.environ
KINDS: Final = ("memory",) if _IN_MEMORY else ("memory", "sqlite", "sealed")

_in_postgres: Final[list[Store]] = []


def new_store(stripes: int | None = None) -> Store:
    """A store of the kind that the tests are run over; in a server it always has stripes."""
    if _STORES != "postgres":
        return MemoryStore() if stripes is None else MemoryStore(stripes)
    store = make_postgres_store(connections=2, keys={1: bytes(32)})
    _in_postgres.append(store)
    if stripes is None:
        route_one(store)
    return store


def plain_store() -> Store:
    """A store without stripes, whatever the tests are run over: its device sends own copies."""
    return MemoryStore(0)


def copying(number: int) -> Callable[[int], Store]:
    """Makes the stores of an account's devices, of whom one always sends own copies."""
    return lambda each: plain_store() if each == number else new_store()


def copied(*what: T) -> tuple[T, ...]:
    """What is there because of copies for own devices: a store with stripes sends none."""
    return () if STRIPES else what


def raises_over_stripes(error: type[Exception]) -> AbstractContextManager[object]:
    """Around what a store with stripes refuses, or tells at once, and others do not."""
    return pytest.raises(error) if STRIPES else nullcontext()


def close_stores() -> None:
    """Close what the test that is over had in a server."""
    while _in_postgres:
        _in_postgres.pop().close()


def use_stores() -> None:
    """Let the tests of this process have the stores that were asked for."""
    assert _STORES in ("", "stripes", "postgres"), "E2ECROSS_TEST_STORES: `stripes` or `postgres`"
    if _STORES:
        route(STRIPES)


def expect_failures(items: Iterable[pytest.Item]) -> None:
    """Mark what cannot pass over these stores: a named test fails, or else the run does."""
    if not _STORES:
        return
    reasons = {name: reason for reason, names in OVER_STRIPES.items() for name in names}
    for item in items:
        module, test = item.nodeid.partition("::")[0], item.nodeid.partition("[")[0]
        for name in {module, test, item.nodeid} & reasons.keys():
            named = name != module
            item.add_marker(pytest.mark.xfail(reason=reasons[name], strict=named, run=named))

# SPDX-License-Identifier: Apache-2.0
"""Which stores the tests of devices and clients are run over: `E2ECROSS_TEST_STORES`.

Not set: stores in memory, and where a test takes `stores` also files, sealed or not. `stripes`: in
memory alone, and with 64 stripes wherever a test does not say how many. `postgres`: the same, and
what `new_store` makes is in a PostgreSQL server of the tests' own.

What no store with stripes can do is told in `OVER_STRIPES`, and has to fail then: a line that is
not needed fails the run.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Final

import pytest

from e2ecross.stores import MemoryStore, Store
from tests.support.postgres_stores import make_postgres_store

__all__ = [
    "KINDS",
    "OVER_STRIPES",
    "close_stores",
    "expect_failures",
    "new_store",
    "use_stores",
]

_STORES: Final = os.environ.get("E2ECROSS_TEST_STORES", "")
_STRIPES: Final = 64
# Mutation testing runs thousands of suites, and mutates no store: memory will do (pyproject.toml).
_IN_MEMORY: Final = bool(_STORES) or "MUTANT_UNDER_TEST" in os.environ
KINDS: Final = ("memory",) if _IN_MEMORY else ("memory", "sqlite", "sealed")

OVER_STRIPES: Final[Mapping[str, tuple[str, ...]]] = {}
"""Why, and of which tests: a module, a function in it, or one with its parameters."""


_in_postgres: Final[list[Store]] = []


def new_store() -> Store:
    """A store of the kind that the tests are run over."""
    if _STORES != "postgres":
        return MemoryStore()
    _in_postgres.append(make_postgres_store(connections=2, keys={1: bytes(32)}))
    return _in_postgres[-1]


def close_stores() -> None:
    """Close what the test that is over had in a server."""
    while _in_postgres:
        _in_postgres.pop().close()


def use_stores() -> None:
    """Let the tests of this process have the stores that were asked for."""
    assert _STORES in ("", "stripes", "postgres"), "E2ECROSS_TEST_STORES: `stripes` or `postgres`"
    if _STORES:
        MemoryStore.__init__.__defaults__ = (_STRIPES,)  # type: ignore[attr-defined]


def expect_failures(items: Iterable[pytest.Item]) -> None:
    """Mark what cannot pass over these stores: it fails, or the run does."""
    if not _STORES:
        return
    reasons = {name: reason for reason, names in OVER_STRIPES.items() for name in names}
    for item in items:
        path, _, name = item.nodeid.partition("::")
        names = (path, f"{path}::{name.partition('[')[0]}", item.nodeid)
        reason = next((reasons[each] for each in names if each in reasons), None)
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))

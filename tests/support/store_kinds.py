# SPDX-License-Identifier: Apache-2.0
"""Which stores the tests of devices and clients are run over: `E2ECROSS_TEST_STORES`.

Not set: stores in memory, and where a test takes `stores` also files, sealed or not. `stripes`: in
memory alone, and with 64 stripes wherever a test does not say how many. `postgres`: the same, and
what `new_store` makes is in a PostgreSQL server of the tests' own.

What no store with stripes can do is told in `OVER_STRIPES`. A test that is named there has to fail
then: a line that is not needed any more fails the run. Of a module that is about nothing else each
test may.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Final

import pytest

from e2ecross.stores import MemoryStore, Store
from tests.support.postgres_stores import make_postgres_store
from tests.support.routed import route

__all__ = [
    "KINDS",
    "OVER_STRIPES",
    "STRIPES",
    "close_stores",
    "expect_failures",
    "new_store",
    "use_stores",
]

_STORES: Final = os.environ.get("E2ECROSS_TEST_STORES", "")
STRIPES: Final = 64 if _STORES else 0
"""Of a store of which nothing is said."""
# Mutation testing runs thousands of suites, and mutates no store: memory will do (pyproject.toml).
_IN_MEMORY: Final = bool(_STORES) or "MUTANT_UNDER_TEST" in os.environ
KINDS: Final = ("memory",) if _IN_MEMORY else ("memory", "sqlite", "sealed")

OVER_STRIPES: Final[Mapping[str, tuple[str, ...]]] = {
    "a store with stripes has no groups, and its device does not announce them": (
        "tests/client/test_group_depositing.py",
        "tests/client/test_group_envelopes.py",
        "tests/client/test_group_signals.py",
        "tests/client/test_group_timeline.py",
        "tests/client/test_groups.py",
        "tests/client/test_groups_failing.py",
        "tests/device/test_group_raw.py",
        "tests/state/test_sender_keys.py",
        "tests/client/test_account.py::test_what_a_companion_shows_comes_into_the_list",
        "tests/client/test_announcing.py::test_a_device_that_is_linked_says_it_at_once",
        "tests/client/test_announcing.py::test_an_update_of_the_app_leads_to_a_list",
        "tests/client/test_announcing.py::test_another_device_has_it_noted_by_device_1",
        "tests/client/test_announcing.py::test_the_first_list_has_what_the_policy_says",
        "tests/client/test_pairing.py::test_the_list_says_what_the_new_device_shows",
        "tests/device/test_list_signing.py::test_the_first_list_has_device_1_alone",
        "tests/device/test_own_list.py::test_a_list_is_renewed_when_the_app_shows_more_or_less",
        "tests/device/test_own_list.py::test_a_reset_says_what_the_app_shows_now",
        "tests/device/test_self_sync.py::TestAnnounceCapabilities::test_device_1_is_asked_where_the_list_says_otherwise",
    ),
    "a store with stripes has no witness": (
        "tests/state/test_witness.py",
        "tests/client/test_device_link.py::test_a_witness_that_cannot_be_read_may_be_tried_again",
        "tests/client/test_device_link.py::test_a_witness_that_has_known_an_earlier_device_is_gone_on_from",
        "tests/client/test_device_link.py::test_it_works_with_what_it_was_given",
        "tests/client/test_promised_messages.py::test_a_locked_witness_makes_no_promise_vanish",
        "tests/client/test_restored_client.py::test_nothing_is_deposited_before_the_witness_knows",
        "tests/device/test_batch.py::test_the_witness_hears_of_it_once",
        "tests/device/test_batch.py::test_when_the_witness_fails_what_was_read_is_released_and_what_was_sent_is_not",
        "tests/device/test_identity_backup.py::test_an_imported_device_goes_on_where_the_witness_is",
        "tests/device/test_joining.py::test_a_witness_that_cannot_be_read_keeps_it_from_being_written",
        "tests/device/test_joining.py::test_all_is_written_or_nothing",
        "tests/device/test_joining.py::test_there_are_as_many_writes",
        "tests/device/test_restoring.py::test_a_second_restore_is_done_when_something_newer_was_seen",
        "tests/device/test_restoring.py::test_a_second_time_with_nothing_in_between_does_nothing",
        "tests/device/test_restoring.py::test_a_witness_that_cannot_be_told_leaves_a_restored_store",
        "tests/device/test_restoring.py::test_the_epoch_goes_on_above_store_and_witness",
        "tests/properties/test_restore_machine.py::TestRestores::runTest",
    ),
}
"""Why, and of what: a module that is about it, or a test."""

_in_postgres: Final[list[Store]] = []


def new_store(stripes: int = STRIPES) -> Store:
    """A store of the kind that the tests are run over; in a server it always has stripes."""
    if _STORES != "postgres":
        return MemoryStore(stripes)
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
        route()
        MemoryStore.__init__.__defaults__ = (STRIPES,)


def expect_failures(items: Iterable[pytest.Item]) -> None:
    """Mark what cannot pass over these stores: a named test fails, or else the run does."""
    if not _STORES:
        return
    reasons = {name: reason for reason, names in OVER_STRIPES.items() for name in names}
    for item in items:
        test, module = item.nodeid.partition("[")[0], item.nodeid.partition("::")[0]
        for name in {test, module} & reasons.keys():
            item.add_marker(pytest.mark.xfail(reason=reasons[name], strict=name == test))

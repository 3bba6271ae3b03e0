# SPDX-License-Identifier: Apache-2.0
"""What holds for a `Relay` on a file holds for one on PostgreSQL: the same tests."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from e2ecross.relay import Relay
from tests.relay import blob_support, support
from tests.relay.blob_support import Place, relay_in
from tests.relay.support import ANA, BUDI, FakeClock, register
from tests.support.postgres import require_postgres

NOT_HERE: Final = {
    # A column has one type, and PostgreSQL keeps to it.
    "test_a_copy_without_its_ciphertext_is_damage_of_the_file",
    "test_a_damaged_box_is_an_error_of_the_file",
    "test_a_damaged_list_is_an_error_of_the_file",
    "test_a_damaged_row_of_one_recipient_decides_over_no_other",
    "test_a_list_that_is_damaged_in_the_file_is_left_out",
    "test_a_row_that_no_relay_wrote_is_damage",
    "test_a_token_that_somebody_damaged_in_the_file",
    "test_damage_of_one_mailbox_decides_over_no_other",
    "test_keys_that_somebody_damaged_in_the_file",
    "test_kyber_keys_that_somebody_damaged_in_the_file",
    "test_numbers_that_somebody_damaged_in_the_file",
    "test_what_may_pass_passes_for_own_copies_too",
    # What SQLite says, does, or is asked.
    "test_a_file_that_is_busy_changes_nothing",
    "test_a_fetch_is_a_read_and_waits_for_no_writer",
    "test_an_error_of_sqlite_for_one_caller_is_no_other_ones",
    "test_data_and_names_are_on_the_disk_before_they_are_counted",
    "test_no_query_scans_the_mailbox",
    "test_no_statement_of_a_call_scans_a_table",
    "test_one_call_is_one_transaction",
    "test_what_a_call_costs_does_not_grow_with_the_mailbox",
    "test_what_fails_behind_the_writing_counts_nothing[commit]",
    # Of a file: its name, its bytes, its header.
    "test_a_file_of_another_schema_is_refused_and_not_changed",
    "test_a_new_file_has_the_one_schema",
    "test_a_path_that_names_no_file_is_refused",
    "test_a_file_that_many_make_at_once_is_made_once",
    "test_no_shared_ciphertext_stays_in_the_file_without_its_copies",
    "test_no_copy_of_an_acknowledged_envelope_stays_in_the_file",
    "test_the_file_holds_no_token_and_no_list_of_who_wrote_to_whom",
    "test_what_all_share_is_in_the_file_once",
}


OF_POSTGRES_ALONE: Final = {"test_lost_commits", "test_postgres"}


def leave_out(items: list[pytest.Item], folder: Path) -> None:
    """Leave out what does not hold here, of the tests in a folder."""
    items[:] = [
        item
        for item in items
        if not str(item.path).startswith(str(folder))
        or NOT_HERE.isdisjoint((item.name, item.name.partition("[")[0]))
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    leave_out(items, Path(__file__).parent)


@pytest.fixture(autouse=True)
def on_postgres(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    require_postgres()
    from tests.relay.postgres.on_postgres import OnPostgres, Operators, forget_paths

    forget_paths()
    modules = [blob_support, support]
    if request.path.stem not in OF_POSTGRES_ALONE:
        modules.append(importlib.import_module(f"tests.relay.{request.path.stem}"))
    for each in modules:
        monkeypatch.setattr(each, "Relay", OnPostgres, raising=False)
        monkeypatch.setattr(each, "sqlite3", Operators, raising=False)


@pytest.fixture
def relay(path: Path, clock: FakeClock) -> Iterator[Relay]:
    """A relay where ana and budi are registered."""
    from tests.relay.postgres.on_postgres import OnPostgres

    with OnPostgres(path, clock=clock) as relay:
        register(relay, ANA, BUDI)
        yield relay


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Where a relay keeps files."""
    return relay_in(tmp_path)

# SPDX-License-Identifier: Apache-2.0
"""Upkeep of what is kept for a time: every shelf that there is, also where nothing new comes."""

import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest

import e2ecross.state
from e2ecross import Policy
from e2ecross.device.expiring import tend_shelves
from e2ecross.state import delivered
from e2ecross.state.sent import sent_shelf
from e2ecross.state.shelf import Shelf
from e2ecross.stores import MemoryStore
from tests.support.devices import NOW_MS

POLICY = Policy()
MODULES = [
    import_module(f"e2ecross.state.{m.name}") for m in pkgutil.iter_modules(e2ecross.state.__path__)
]
FOUND = [
    *(each for module in MODULES for each in vars(module).values() if isinstance(each, Shelf)),
    *(delivered._shelf(POLICY), delivered._read_shelf(POLICY), sent_shelf(POLICY)),
]
SHELVES = [*dict.fromkeys(FOUND)]  # some modules import those of others


def test_no_shelf_is_forgotten_here() -> None:
    texts = [Path(str(module.__file__)).read_text("utf-8") for module in MODULES]
    assert len(SHELVES) == sum(len(re.findall(r"(= |return )Shelf\(", text)) for text in texts)


@pytest.mark.parametrize("shelf", SHELVES, ids=lambda shelf: f"{shelf.table.value} {shelf.name!r}")
def test_what_is_over_is_erased(shelf: Shelf) -> None:
    with MemoryStore().transaction() as tx:
        shelf.add(tx, bytes(16), b"record", NOW_MS)
        tend_shelves(tx, POLICY, NOW_MS + shelf.kept_ms)
        assert shelf.find(tx, bytes(16), NOW_MS + shelf.kept_ms)
        tend_shelves(tx, POLICY, NOW_MS + 2 * shelf.kept_ms)
        assert not [partition for partition, _, _ in tx.scan(shelf.table) if partition]


@pytest.mark.parametrize("shelf", SHELVES, ids=lambda shelf: f"{shelf.table.value} {shelf.name!r}")
def test_what_is_dated_after_now_is_dated_now(shelf: Shelf) -> None:
    with MemoryStore().transaction() as tx:
        shelf.add(tx, bytes(16), b"record", NOW_MS + 100 * shelf.kept_ms)
        tend_shelves(tx, POLICY, NOW_MS)
        tend_shelves(tx, POLICY, NOW_MS + 2 * shelf.kept_ms)
        assert not [partition for partition, _, _ in tx.scan(shelf.table) if partition]

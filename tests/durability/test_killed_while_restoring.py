# SPDX-License-Identifier: Apache-2.0
"""A process that is killed while it restores a store has restored it, or has not touched it.

A child opens a copy of one store as restored, with points in and around its transactions
(`points.py`), and kills itself at the n-th visit of one; each point, at every visit that there is.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from e2ecross import Device, Text
from e2ecross.errors import NoSession
from e2ecross.state.context import require_device
from e2ecross.stores import SQLiteStore, Store
from tests.durability.points import TRANSACTION_POINTS, Killer, KillingStore
from tests.support.devices import (
    ANA,
    BUDI,
    STORE_KEY,
    TOKO,
    dump,
    introduce,
    make_device,
    start,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL and no fork")


def build(path: Path, key: bytes | None) -> None:
    """A store with something of all that a restore changes."""
    with SQLiteStore(path, key=key) as store:
        ana = make_device(ANA, store)
        for address in (BUDI, TOKO):
            introduce(ana, make_device(address))
        start(make_device(BUDI, seed="stranger"), ana, one_time=False)
        ana.publish(5)


def restore_and_die(path: Path, key: bytes | None, point: str, visits: int) -> bool:
    """Restore in a process of its own; tells whether it was killed."""
    child = os.fork()
    if child == 0:  # pragma: no cover: no coverage is written by a process that is killed
        try:
            Device.open(
                KillingStore(SQLiteStore(path, key=key), Killer(point, visits)), restored=True
            )
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def is_restored(store: Store) -> bool:
    with store.transaction() as tx:
        return require_device(tx).replaces_prekeys


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("point", TRANSACTION_POINTS)
def test_a_restore_is_one_commit(point: str, sealed: bool, tmp_path: Path) -> None:
    key = STORE_KEY if sealed else None
    original = tmp_path / "original.db"
    build(original, key)
    with SQLiteStore(original, key=key) as store:
        before = dump(store)
    kills = restored = 0
    while True:
        path = tmp_path / f"{kills}.db"
        shutil.copy(original, path)
        if not restore_and_die(path, key, point, kills + 1):
            break
        kills += 1
        with SQLiteStore(path, key=key) as store:
            if is_restored(store):
                restored += 1
                ana = Device.open(store)
                with pytest.raises(NoSession):
                    ana.encrypt(BUDI, Text("under an old key"))
            else:
                assert dump(store) == before
                Device.open(store, restored=True)
                assert is_restored(store)
    assert kills >= {"in a transaction, after a write": 8}.get(point, 1)
    # Only what comes after the commit finds it restored.
    assert restored == (1 if point == "after a commit, before the hand-over" else 0)

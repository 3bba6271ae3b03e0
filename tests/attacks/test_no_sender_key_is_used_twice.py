# SPDX-License-Identifier: Apache-2.0
"""No two group messages ever leave a device under one key and iteration, restores included.

The attacker: makes commits fail, copies the store and puts the copy back, opens it twice, and
compares all messages of all timelines.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2ecross import Device, SenderKeyGroup
from e2ecross.errors import NoSession, RestoredStore, StoreBusy
from e2ecross.stores import MemoryStore, SQLiteStore, Store, Transaction
from e2ecross.wire.sender_key_message import decode_sender_key_message
from tests.attacks.support import ANA, BUDI, FakeClock, Person, person
from tests.attacks.support_groups import GROUPS, UUID
from tests.support.entropy import SeededEntropy
from tests.support.restores import put_back, take_copy
from tests.support.witness import Keychain


class Used:
    """Which (chain id, iteration) messages were seen under."""

    def __init__(self, group: SenderKeyGroup) -> None:
        """Nothing was seen yet."""
        self.group = group
        self.pairs: set[tuple[int, int]] = set()

    def see(self, data: bytes) -> None:
        """A message leaves: nobody has seen its pair before."""
        message = decode_sender_key_message(self.group.form, data)
        pair = (message.chain_id, message.iteration)
        assert pair not in self.pairs
        self.pairs.add(pair)


@GROUPS
def test_when_one_store_is_open_twice(group: SenderKeyGroup) -> None:
    ana = person(ANA)
    twin = Device.open(ana.store, clock=FakeClock(), entropy=SeededEntropy("twin"))
    used = Used(group)
    ana.device.new_sender_key_raw(group)
    for number in range(12):
        for device in (ana.device, twin, twin):
            used.see(device.encrypt_group_raw(group, b""))
        if number % 5 == 4:
            twin.new_sender_key_raw(group)
    assert len(used.pairs) == 36


class _FailingStore(MemoryStore):
    """A store whose transactions fail when asked to: at their end, as a full disk does it."""

    __slots__ = ("failing",)

    def __init__(self) -> None:
        super().__init__()
        self.failing = False

    @contextmanager
    def transaction(self, stripe: int = 0, *, moved: bool = False) -> Iterator[Transaction]:
        with super().transaction(stripe, moved=moved) as tx:
            yield tx
            if self.failing:
                raise StoreBusy("the commit fails")


@GROUPS
def test_a_message_whose_commit_fails_does_not_leave(group: SenderKeyGroup) -> None:
    store = _FailingStore()
    ana, used = person(ANA, store=store), Used(group)
    ana.device.new_sender_key_raw(group)
    for _ in range(5):
        before = ana.dump()
        store.failing = True
        released: object = None
        with pytest.raises(StoreBusy):
            released = ana.device.encrypt_group_raw(group, b"lost")
        assert released is None
        store.failing = False
        assert ana.dump() == before
        used.see(ana.device.encrypt_group_raw(group, b""))
    assert {iteration for _, iteration in used.pairs} == set(range(5))


@GROUPS
def test_a_restored_store_makes_a_new_key_first(group: SenderKeyGroup) -> None:
    """Put back at every step of a conversation, and opened as restored."""
    ana, used = person(ANA), Used(group)
    ana.device.new_sender_key_raw(group)
    copies = []
    for number in range(4):
        copies.append(take_copy(ana.store))
        used.see(ana.device.encrypt_group_raw(group, str(number).encode()))
    for number, copy in enumerate(copies):
        put_back(ana.store, copy)
        restored = Device.open(
            ana.store, clock=ana.clock, entropy=SeededEntropy(f"restored {number}"), restored=True
        )
        before = ana.dump()
        with pytest.raises(NoSession):
            restored.encrypt_group_raw(group, b"under an old key")
        with pytest.raises(NoSession):
            restored.distribution_raw(group)
        assert ana.dump() == before
        restored.new_sender_key_raw(group)
        for _ in range(6):
            used.see(restored.encrypt_group_raw(group, b""))
    assert len(used.pairs) == 4 + 4 * 6


@GROUPS
def test_a_store_that_was_put_back_is_noticed_by_the_witness(group: SenderKeyGroup) -> None:
    """A message counts in the epoch, so the witness has seen more than the copy."""
    store, keychain = MemoryStore(), Keychain()
    ana = Device.create(ANA, store, witness=keychain, entropy=SeededEntropy("ana"))
    ana.new_sender_key_raw(group)
    copy = take_copy(store)
    ana.encrypt_group_raw(group, b"in the timeline that is lost")
    put_back(store, copy)
    with pytest.raises(RestoredStore):
        ana.encrypt_group_raw(group, b"")
    with pytest.raises(RestoredStore):
        Device.open(store, witness=keychain)
    assert take_copy(store) == copy


def _image(path: Path, into: Path) -> Path:
    """What a killed process leaves behind: the files as they are, with no goodbye."""
    into.mkdir()
    for file in path.parent.glob(path.name + "*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, into / file.name)
    return into / path.name


def test_what_has_left_is_on_disk(tmp_path: Path) -> None:
    """Killed right after `encrypt_group_raw` returned, a process goes on with the next number."""
    path, used = tmp_path / "ana.db", Used(UUID)
    store: Store = SQLiteStore(path)
    ana: Person = person(ANA, store=store)
    data = ana.device.new_sender_key_raw(UUID)
    budi = person(BUDI)
    budi.device.process_distribution_raw(ANA, UUID, data)
    for number in range(5):
        used.see(ana.device.encrypt_group_raw(UUID, b""))
        crashed = SQLiteStore(_image(path, tmp_path / f"crash {number}"))
        revived = Device.open(crashed, clock=FakeClock(), entropy=SeededEntropy("revived"))
        next_data = revived.encrypt_group_raw(UUID, b"after the crash")
        assert budi.device.decrypt_group_raw(ANA, UUID, next_data) == b"after the crash"
        used.see(next_data)
        crashed.close()
        ana.device.encrypt_group_raw(UUID, b"")  # in the other timeline: nobody sees it
    store.close()

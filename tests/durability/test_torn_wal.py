# SPDX-License-Identifier: Apache-2.0
"""File and WAL, cut where a power cut can cut them, reopen as a state that was committed.

A power cut loses what was written and not yet synced: here the WAL ends at any write, whole or
not, with nothing or rubbish behind it, and a checkpoint has reached any page of the file. That
every connection syncs each commit (WAL, `synchronous` 2) is held in `tests/stores/test_sqlite.py`
and `tests/relay/test_database.py`.
"""

import random
import sqlite3
import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2ecross import Address, Device, Envelope, Text
from e2ecross.stores import MemoryStore, SQLiteStore, Store, Table
from e2ecross.stores.sqlite_schema import PAGE_BYTES
from tests.durability.checks import check_store
from tests.support.devices import bundle_from

KEY = bytes(range(32))
ANA, BUDI = Address("whatsapp", "ana"), Address("instagram", "budi")

# https://www.sqlite.org/fileformat2.html#the_write_ahead_log
_WAL_HEADER_BYTES = 32
_SALTS = slice(16, 24)  # in the WAL's header; a frame repeats them from its eighth byte on
_FRAME_HEADER_BYTES = 24
_FRAME_BYTES = _FRAME_HEADER_BYTES + PAGE_BYTES

State = dict[tuple[Table, bytes, bytes], bytes]


@dataclass
class Life:
    """What a device's files were, and what they meant.

    Attributes:
        key: of the store.
        file: the database file; no checkpoint was made, so it is that of the beginning.
        wal: all frames that were written since.
        states: what the store held after each of its commits, the first one at its beginning.
        ends: how long the WAL was then, bytes.
    """

    key: bytes | None
    file: bytes = b""
    wal: bytes = b""
    states: list[State] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def state_at(self, wal_bytes: int) -> State:
        """What must be found when so much of the WAL is there."""
        return self.states[bisect_right(self.ends, wal_bytes) - 1]

    def state_of(self, wal: bytes) -> State:
        """What must be found with a WAL that begins as ours does; chance may make it longer."""
        same = (ours == theirs for ours, theirs in zip(self.wal, wal, strict=False))
        return self.state_at(next((n for n, equal in enumerate(same) if not equal), len(self.wal)))

    def frames(self) -> Iterator[tuple[int, int, bytes]]:
        """Offset, page number and page of each frame."""
        for offset in range(_WAL_HEADER_BYTES, len(self.wal), _FRAME_BYTES):
            (page,) = struct.unpack_from(">I", self.wal, offset)
            yield offset, page, self.wal[offset + _FRAME_HEADER_BYTES : offset + _FRAME_BYTES]


def content(store: Store) -> State:
    with store.transaction() as tx:
        return {
            (table, partition, row): record
            for table in Table
            for partition, row, record in tx.scan(table)
        }


class Recorder:
    """Takes down the files and the state after each step of a device."""

    def __init__(self, path: Path, key: bytes | None) -> None:
        SQLiteStore(path, key=key).close()
        self.life = Life(key, path.read_bytes())
        self.store = SQLiteStore(path, key=key)
        self._wal = path.with_name(f"{path.name}-wal")
        self._path = path
        self._older_salts: bytes | None = None
        self.take_down()

    def begin_anew(self) -> bytes:
        """Forget what is in the file now; returns the WAL, which the next commit begins anew."""
        older = self._wal.read_bytes()
        self._older_salts = older[_SALTS]
        self.life = Life(self.life.key, self._path.read_bytes())
        self.take_down()
        return older

    def take_down(self) -> None:
        self.life.states.append(content(self.store))
        self.life.ends.append(self._valid_bytes())

    def _valid_bytes(self) -> int:
        """How far the WAL is of its present life, told by the salts in header and frames."""
        wal = self._wal.read_bytes() if self._wal.exists() else b""
        salts = wal[_SALTS]
        if not wal or salts == self._older_salts:
            return 0
        end = _WAL_HEADER_BYTES
        while wal[end + 8 : end + 16] == salts:
            end += _FRAME_BYTES
        return end

    def end(self) -> Life:
        assert self._path.read_bytes() == self.life.file  # no checkpoint came in between
        self.life.wal = self._wal.read_bytes()
        return self.life


def converse(recorder: Recorder) -> None:
    """A few commits of each kind: a device, its keys, sessions, skipped keys, messages."""
    peer = Device.create(BUDI, MemoryStore())

    def exchange(device: Device) -> None:
        late: list[Envelope] = []
        for number in range(3):
            reply = peer.encrypt(ANA, Text(f"reply {number}"))
            late.append(peer.encrypt(ANA, Text("late")))
            device.decrypt(reply)
            recorder.take_down()
            peer.decrypt(device.encrypt(BUDI, Text("x" * 700 * number)))
            recorder.take_down()
        for envelope in late:
            device.decrypt(envelope)
            recorder.take_down()

    device = Device.create(ANA, recorder.store)
    recorder.take_down()
    published = device.publish(2)
    recorder.take_down()
    device.confirm_published(published)
    recorder.take_down()
    peer.start_session(bundle_from(published))
    exchange(device)


@pytest.fixture(scope="module", params=[None, KEY], ids=["plain", "sealed"])
def life(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Life:
    recorder = Recorder(tmp_path_factory.mktemp("life") / "store.db", request.param)
    converse(recorder)
    life = recorder.end()
    recorder.store.close()
    assert len(life.wal) == life.ends[-1]
    assert (len(life.wal) - _WAL_HEADER_BYTES) % _FRAME_BYTES == 0
    assert len(set(life.ends)) == len(life.ends) > 12
    return life


def reopened(directory: Path, life: Life, file: bytes, wal: bytes, *, use: bool = False) -> State:
    """What a store finds in these files; it must be whole, and fit for use."""
    path = directory / "torn.db"
    path.write_bytes(file)
    path.with_name("torn.db-wal").write_bytes(wal)
    with SQLiteStore(path, key=life.key) as store:
        state = content(store)
        check_store(store)
        if use:
            device = Device.open(store) if state else Device.create(ANA, store)
            device.publish(1)
            check_store(store)
    path.unlink()
    return state


def test_a_wal_cut_around_each_write_reopens_as_the_last_whole_commit(
    life: Life, tmp_path: Path
) -> None:
    rng = random.Random(1)
    cuts = {0, 1, _WAL_HEADER_BYTES - 1, _WAL_HEADER_BYTES, len(life.wal)}
    for offset, _, _ in life.frames():
        inside = rng.choice((1, _FRAME_HEADER_BYTES, rng.randrange(1, _FRAME_BYTES)))
        cuts |= {offset + inside, offset + _FRAME_BYTES - 1, offset + _FRAME_BYTES}
    found = []
    for cut in sorted(cuts | set(life.ends)):
        use = cut % _FRAME_BYTES in (0, _WAL_HEADER_BYTES)
        state = reopened(tmp_path, life, life.file, life.wal[:cut], use=use)
        assert state == life.state_at(cut)
        found.append(state)
    assert all(state in found for state in life.states)


@pytest.mark.parametrize("rubbish", ["zeros", "noise", "older frames"])
def test_what_stands_behind_the_cut_is_not_taken_for_a_commit(
    life: Life, tmp_path: Path, rubbish: str
) -> None:
    # A file system may have made the file longer before it wrote what belongs there; and a WAL
    # that is written anew from its beginning has frames of its former life behind.
    rng = random.Random(2)
    for offset, _, _ in life.frames():
        rest = len(life.wal) - offset
        behind = {
            "zeros": bytes(rest),
            "noise": rng.randbytes(rest),
            "older frames": life.wal[_WAL_HEADER_BYTES : _WAL_HEADER_BYTES + rest],
        }[rubbish]
        state = reopened(tmp_path, life, life.file, life.wal[:offset] + behind)
        assert state == life.state_of(life.wal[:offset] + behind)


def test_a_write_that_never_came_ends_what_is_believed(life: Life, tmp_path: Path) -> None:
    # Disks reorder what is not synced: frames behind the missing one are there.
    for offset, _, _ in life.frames():
        wal = life.wal[:offset] + bytes(_FRAME_BYTES) + life.wal[offset + _FRAME_BYTES :]
        assert reopened(tmp_path, life, life.file, wal) == life.state_at(offset)


def test_a_checkpoint_cut_after_each_page_loses_nothing(life: Life, tmp_path: Path) -> None:
    """The WAL is complete and synced before a checkpoint writes; pages are then in any order."""
    rng = random.Random(4)
    newest = {page: data for _, page, data in life.frames()}
    pages = rng.sample(sorted(newest), len(newest))
    file = bytearray(life.file)
    for position, page in enumerate(pages):
        begin = (page - 1) * PAGE_BYTES
        half = newest[page][: PAGE_BYTES // 2]
        for part in (half, newest[page]):  # first torn, then whole
            if len(file) < begin + len(part):
                file.extend(bytes(begin + len(part) - len(file)))
            file[begin : begin + len(part)] = part
            if position % 3 == 0 and page != 1:
                assert reopened(tmp_path, life, bytes(file), life.wal) == life.states[-1]


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "sealed"])
def test_a_wal_that_is_written_anew_over_an_older_one_is_told_from_it(
    key: bytes | None, tmp_path: Path
) -> None:
    recorder = Recorder(tmp_path / "store.db", key)
    converse(recorder)
    checkpoint(tmp_path / "store.db")
    older = recorder.begin_anew()
    device = Device.open(recorder.store)
    for number in range(4):
        device.encrypt(BUDI, Text(str(number)))
        recorder.take_down()
    life = recorder.end()
    recorder.store.close()
    assert len(life.wal) == len(older)  # the newer frames stand before the rest of the older ones
    assert 0 < life.ends[1] < life.ends[-1] < len(older)
    for offset in [0, 1, 20, *range(_WAL_HEADER_BYTES, life.ends[-1] + 1, _FRAME_BYTES)]:
        for cut in (offset, offset + 7, offset + _FRAME_BYTES - 1):
            wal = life.wal[:cut] + older[cut:]
            assert reopened(tmp_path, life, life.file, wal) == life.state_of(wal)


def checkpoint(path: Path) -> None:
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()[0] == 0
    connection.close()

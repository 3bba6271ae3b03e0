# SPDX-License-Identifier: Apache-2.0
"""A process that works with files until it is killed: at a point, or whenever its parent does it.

Rules:
- Before each call it notes what it is about to do, and behind it what came of that.
- The package knows nothing of this: what it calls of the system is wrapped, in the child only.
"""

import io
import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from e2ecross.address import Address
from e2ecross.errors import BlobGone
from e2ecross.relay import FolderBlobs, Relay, RelayLimits, blob_files
from e2ecross.relay.sqlite_database import SQLiteDatabase
from tests.durability.journal import Journal, digest
from tests.relay.blob_support import blob_id, content

ANA: Final = Address("whatsapp", "ana")
TOKEN: Final = bytes(32)
SIZES: Final = (1, 5_000, 20_000, 50_000)
"""Of the blobs, by their number."""
KEPT_MS: Final = 1_000
STEPS: Final = (
    "writing",
    "flushing",
    "renaming",
    "cutting",
    "unlinking",
    "the commit",
)
POINTS: Final = (
    *(f"{when} {step}" for step in STEPS for when in ("before", "after")),
    "with half of it written",
)
LIMITS: Final = RelayLimits(blob_kept_ms=KEPT_MS, blob_part_kept_ms=KEPT_MS)


@dataclass(frozen=True)
class Order:
    """What a child is to do, and where it dies; without a point it is killed from outside."""

    directory: Path
    kind: str
    seed: int
    now_ms: int
    point: str | None
    visits: int


def data_of(number: int) -> bytes:
    return content(SIZES[number], f"{number}")


def open_store(order: Order) -> Relay | FolderBlobs:
    def clock() -> int:
        return order.now_ms

    if order.kind == "FolderBlobs":
        return FolderBlobs(order.directory, limits=LIMITS, clock=clock)
    relay = Relay(
        order.directory / "relay.db", blob_dir=order.directory, limits=LIMITS, clock=clock
    )
    relay.register(ANA, TOKEN)
    return relay


class _Killer:
    def __init__(self, point: str | None, visits: int) -> None:
        self._point = point
        self._left = visits

    def reach(self, point: str) -> None:
        assert point in POINTS
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: object, name: str, step: str) -> None:
        """Put points before and after a function."""
        inner: Callable[..., object] = getattr(owner, name)

        def wrapped(*arguments: object, **keywords: object) -> object:
            self.reach(f"before {step}")
            result = inner(*arguments, **keywords)
            self.reach(f"after {step}")
            return result

        setattr(owner, name, wrapped)

    def install(self) -> None:
        killer = self

        class Halving(io.FileIO):
            """A file of which a write takes half, as the system may."""

            def write(self, data: memoryview) -> int:  # type: ignore[override]
                killer.reach("before writing")
                taken = super().write(data[: len(data) // 2 + 1])
                killer.reach("with half of it written" if taken < len(data) else "after writing")
                return taken

        def opened(path: Path, mode: str, buffering: int, **how: Any) -> io.FileIO:  # noqa: ANN401
            return Halving(str(path), mode, **how)

        vars(blob_files)["open"] = opened
        self.around(os, "fsync", "flushing")
        self.around(os, "truncate", "cutting")
        self.around(Path, "replace", "renaming")
        self.around(Path, "unlink", "unlinking")
        inner = SQLiteDatabase.write

        def write(database: SQLiteDatabase, work: Callable[[Any], object], *_: object) -> object:
            def to_the_end(connection: object) -> object:
                result = work(connection)
                self.reach("before the commit")
                return result

            result = inner(database, to_the_end)
            self.reach("after the commit")
            return result

        cast("Any", SQLiteDatabase).write = write


class _Life:
    def __init__(self, order: Order, journal: Journal) -> None:
        self._rng = random.Random(order.seed)
        self._journal = journal
        self._store = open_store(order)

    def live(self) -> None:
        for number in range(len(SIZES)):
            self._begin(number)
        for _ in range(40):
            number = self._rng.randrange(len(SIZES))
            call = self._rng.choices(
                (self._begin, self._put, self._get, self._delete), (1, 6, 2, 1)
            )[0]
            call(number)
        self._store.close()

    def _begin(self, number: int) -> int:
        self._journal.note("begin", number=number)
        stored = self._store.begin_blob(ANA, TOKEN, blob_id(number), SIZES[number])
        self._journal.note("stands", number=number, stored=stored)
        return stored

    def _put(self, number: int) -> None:
        stored, size = self._begin(number), SIZES[number]
        offset = max(0, stored - self._rng.choice((0, 0, 100, size)))
        end = min(size, offset + max(1, size // self._rng.randint(1, 4)))
        if offset == end:
            return
        self._journal.note("put", number=number, stored=max(stored, end))
        piece = data_of(number)[offset:end]
        stored = self._store.put_blob(ANA, TOKEN, blob_id(number), offset, piece)
        self._journal.note("stands", number=number, stored=stored)

    def _get(self, number: int) -> None:
        try:
            found = self._store.get_blob(blob_id(number), 0, SIZES[number])
        except BlobGone:
            self._journal.note("gone", number=number)
        else:
            self._journal.note("read", number=number, digest=digest(found))

    def _delete(self, number: int) -> None:
        self._journal.note("delete", number=number)
        self._store.delete_blob(ANA, TOKEN, blob_id(number))
        self._journal.note("stands", number=number, stored=0)


def live(order: Order, journal: Path) -> None:  # pragma: no cover: who is killed writes none
    """Work, in a process that nothing else needs any more."""
    _Killer(order.point, order.visits).install()
    _Life(order, Journal(journal)).live()

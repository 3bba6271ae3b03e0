# SPDX-License-Identifier: Apache-2.0
"""A process in which files are sent and fetched until it is killed: at a point, or from outside.

Rules:
- It begins with what the one before has left: unfinished uploads, messages that are not confirmed,
  downloads that stand half done.
- The package knows nothing of this: what it calls is wrapped, in the child only.
"""

import io
import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from e2ecross import Client, Device, Media, Message, Policy
from e2ecross.client import attachment_calls, part_file, spool, uploads
from e2ecross.client.blob_answers import CheckedBlobs
from e2ecross.client.spool import Spool
from e2ecross.errors import NoDevice
from e2ecross.relay import Relay
from e2ecross.stores import SQLiteStore
from tests.durability.journal import Journal
from tests.relay.blob_support import content
from tests.support.devices import ANA, BUDI, EVERYTHING, STORE_KEY

SIZES: Final = (0, 1_000, 200_000, 400_000, 700_000)
"""Of the files, by their number modulo five: up to three pieces of an upload, eleven chunks."""
STEPS: Final = (
    "writing the spool",
    "flushing",
    "noting the upload",
    "asking where it stands",
    "putting a piece",
    "noting that it is complete",
    "removing the spool",
    "getting a piece",
    "writing the part file",
    "cutting the part file",
    "renaming it",
)
POINTS: Final = tuple(f"{when} {step}" for step in STEPS for when in ("before", "after"))


@dataclass(frozen=True)
class Order:
    """What a child is to do, and where it dies; without a point it is killed from outside."""

    directory: Path
    seed: int
    now_ms: int
    point: str | None
    visits: int


def data_of(number: int) -> bytes:
    return content(SIZES[number % len(SIZES)], f"{number}")


class World:
    """What the children work with; one after the other."""

    def __init__(self, directory: Path, now_ms: int) -> None:
        self.now_ms, self.got, self.spool = now_ms, directory / "got", directory / "spool"
        self.source = directory / "source"
        for folder in (self.got, self.spool):
            folder.mkdir(exist_ok=True)
        self._clock: Callable[[], int] = lambda: self.now_ms
        self.relay = Relay(directory / "relay.db", blob_dir=directory / "blobs", clock=self._clock)
        self._stores = [SQLiteStore(directory / f"{name}.db", key=STORE_KEY) for name in "ab"]
        self.ana, self.budi = self._clients()

    def begin(self) -> None:
        """Let them register, and know each other."""
        for client in (self.ana, self.budi):
            client.register()
        self.ana.accept(str(BUDI.user_id))
        self.budi.accept(str(ANA.user_id))

    def close(self) -> None:
        for store in self._stores:
            store.close()
        self.relay.close()

    def finish_uploads(self) -> None:
        """Bring away what waits, and send what is there, once."""
        for upload in self.ana.uploads():
            upload.run()
            media, message_id = Media(upload.attachment), upload.attachment.blob_id[:16]
            self.ana.send(str(BUDI.user_id), media, message_id=message_id)

    def upload(self, number: int, journal: Journal) -> None:
        """Begin another one."""
        self.source.write_bytes(data_of(number))
        self.ana.upload(self.source, name=str(number))
        journal.note("uploaded", number=number)

    def fetch(self, journal: Journal) -> None:
        """Fetch what was sent, and confirm it then."""
        for item in self.budi.receive():
            if isinstance(item, Message) and isinstance(item.content, Media):
                attachment = item.content.attachment
                path = self.got / attachment.name
                if not path.exists():
                    self.budi.download(attachment, path)
                journal.note("got", number=int(attachment.name))
            self.budi.confirm([item])

    def _clients(self) -> tuple[Client, Client]:
        policy = Policy(capabilities=EVERYTHING)
        found = []
        for address, store in zip((ANA, BUDI), self._stores, strict=True):
            settings: dict[str, Any] = {"policy": policy, "clock": self._clock}
            try:
                device = Device.open(store, **settings)
            except NoDevice:
                device = Device.create(address, store, **settings)
            found.append(Client(device, self.relay, spool_dir=self.spool))
        return found[0], found[1]


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

    def around(self, owner: Any, name: str, step: str) -> None:  # noqa: ANN401
        """Put points before and after a function."""
        inner: Callable[..., object] = getattr(owner, name)

        def wrapped(*arguments: object, **keywords: object) -> object:
            self.reach(f"before {step}")
            result = inner(*arguments, **keywords)
            self.reach(f"after {step}")
            return result

        setattr(owner, name, wrapped)

    def opener(self, writing: str, cutting: str | None) -> Callable[..., io.BufferedIOBase]:
        """What opens a file whose writes are points."""
        killer = self

        class File(io.FileIO):
            def write(self, data: Any) -> int:  # noqa: ANN401
                killer.reach(f"before {writing}")
                written = super().write(data)
                killer.reach(f"after {writing}")
                return written

            def truncate(self, size: int | None = None) -> int:
                killer.reach(f"before {cutting}")
                cut = super().truncate(size)
                killer.reach(f"after {cutting}")
                return cut

        def opened(file: Any, mode: str, buffering: int = -1) -> io.BufferedIOBase:  # noqa: ANN401
            raw = File(file, mode.replace("b", ""))
            if not buffering:
                return cast("io.BufferedIOBase", raw)
            kind: Any = {"rb": io.BufferedReader, "wb": io.BufferedWriter}.get(
                mode, io.BufferedRandom
            )
            return cast("io.BufferedIOBase", kind(raw))

        return opened

    def install(self) -> None:
        vars(spool)["open"] = self.opener("writing the spool", None)
        vars(part_file)["open"] = self.opener("writing the part file", "cutting the part file")
        self.around(os, "fsync", "flushing")
        self.around(attachment_calls, "add_upload", "noting the upload")
        self.around(CheckedBlobs, "begin", "asking where it stands")
        self.around(CheckedBlobs, "put", "putting a piece")
        self.around(CheckedBlobs, "get", "getting a piece")
        self.around(uploads, "note_complete", "noting that it is complete")
        self.around(Spool, "remove", "removing the spool")
        self.around(os, "replace", "renaming it")


def live(order: Order, journal_path: Path, first: int) -> None:  # pragma: no cover: it is killed
    """Work, in a process that nothing else needs any more; `first` is the number of a new file."""
    _Killer(order.point, order.visits).install()
    rng, journal = random.Random(order.seed), Journal(journal_path)
    world = World(order.directory, order.now_ms)
    numbers = list(range(first, first + rng.randint(1, 3)))
    while numbers:
        match rng.randrange(3):
            case 0:
                world.upload(numbers.pop(), journal)
            case 1:
                world.finish_uploads()
            case _:
                world.fetch(journal)
    world.finish_uploads()
    world.fetch(journal)
    world.ana.maintain()
    world.close()

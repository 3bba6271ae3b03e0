# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.long_run`: 100,000 messages to many on sealed files, and back a few.

One client sends to all others at once, over and over; they receive, confirm and answer, so that the
ratchets turn. Every message has to arrive once, in order. Told are the memory of the process, and
how large the files and their WALs are: memory must not get higher in the second half than it was
in the first, in which every cache has become full once.
"""

import argparse
import gc
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from math import ceil
from pathlib import Path
from time import perf_counter
from typing import Final, NamedTuple

from benchmarks.cells import format_value
from benchmarks.contestants.builds import send_to_all
from benchmarks.contestants.devices import STORE_KEY
from benchmarks.machine import resident_bytes
from e2ecross import Address, Client, Device, Message, Text
from e2ecross.relay import Relay
from e2ecross.stores import SQLiteStore

__all__ = ["main", "parse"]

_MOST_GROWTH: Final = 1.1
"""More than what an allocator does of its own accord."""
_HEAD: Final = ("messages", "each", "memory")
_FILES: Final = ("sender", "a recipient", "relay")
_WIDTH: Final = 12


class _Report(NamedTuple):
    """Where a run is.

    Attributes:
        done: messages that have arrived.
        each: seconds for one since the report before.
        memory: bytes of the process.
        sizes: bytes of the files of sender, of the recipient with the largest, and of the relay,
            each with its WAL.
    """

    done: int
    each: float
    memory: int
    sizes: Sequence[int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; 1 if memory has grown."""
    given = parse(arguments)
    _tell((*_HEAD, *(cell for file in _FILES for cell in (file, "its WAL"))))
    memory: dict[int, int] = {}
    with tempfile.TemporaryDirectory(dir=given.folder) as folder, ExitStack() as cleanup:
        clients = _clients(Path(folder), given.recipients, cleanup)
        for report in _run(clients, Path(folder), given):
            memory[report.done] = report.memory
            sizes = (format_value(size, "B") for size in (report.memory, *report.sizes))
            _tell((f"{report.done:,}", format_value(report.each, "s"), *sizes))
    return _judge(memory, given.messages)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read a command line; it ends the process if it makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long_run", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000, help="default: 100,000")
    parser.add_argument("--every", type=int, default=10_000, help="between two lines: 10,000")
    parser.add_argument("--recipients", type=int, default=10, help="default: 10")
    parser.add_argument("--waiting", type=int, default=100, help="for each when it receives: 100")
    parser.add_argument("--folder", type=Path, help="for the files; by default a temporary one")
    given = parser.parse_args(arguments)
    numbers = (given.messages, given.every, given.recipients, given.waiting)
    if min(numbers) < 1:
        parser.error("every number has to be at least 1")
    at_once = given.recipients * given.waiting
    if given.messages < 2 * at_once * ceil(given.every / at_once):
        parser.error("too few messages: there has to be a line before half of them are done")
    return given


def _tell(cells: Sequence[str]) -> None:
    print("".join(f"{cell:>{_WIDTH}}" for cell in cells), flush=True)


def _judge(memory: dict[int, int], messages: int) -> int:
    """Say whether memory has stayed as it was."""
    before = max(held for done, held in memory.items() if done <= messages / 2)
    growth = max(memory.values()) / before
    is_flat = growth <= _MOST_GROWTH
    verdict = "flat" if is_flat else f"not flat, {_MOST_GROWTH:g} is the limit"
    print(f"memory: at most {growth:.2f} times the highest of the first half: {verdict}")
    return 0 if is_flat else 1


def _clients(folder: Path, recipients: int, cleanup: ExitStack) -> list[Client]:
    """The sender, and all recipients."""
    relay = cleanup.enter_context(Relay(folder / "relay.db"))
    clients = []
    for number in range(1 + recipients):
        store = SQLiteStore(_store_file(folder, number), key=STORE_KEY)
        cleanup.callback(store.close)
        client = Client(Device.create(Address("whatsapp", f"user{number}"), store), relay)
        client.register()
        clients.append(client)
    for client in clients[1:]:
        client.accept("whatsapp:user0")  # else that many are too many of a stranger
    return clients


def _store_file(folder: Path, number: int) -> Path:
    return folder / f"user{number}.db"


def _run(clients: Sequence[Client], folder: Path, given: argparse.Namespace) -> Iterator[_Report]:
    """Send all messages; a report every so many of them, and one at the end."""
    ana, *others = clients
    addresses = [other.device.address for other in others]
    number = done = told = 0
    since = perf_counter()
    while done < given.messages:
        contents = [Text(str(place)) for place in range(number, number + given.waiting)]
        for content in contents:
            send_to_all(ana, addresses, content)
        for other in others:
            _receive(other, contents)
            other.send(ana.device.address, contents[-1])
        _receive(ana, [contents[-1]] * len(others))
        number += len(contents)
        done += len(contents) * len(others)
        if done - told >= given.every or done >= given.messages:
            each = (perf_counter() - since) / (done - told)
            yield _Report(done, each, _settled_memory(), _sizes(folder, len(others)))
            told, since = done, perf_counter()


def _receive(client: Client, expected: Sequence[Text]) -> None:
    """Receive what has to be there, and nothing else, in order."""
    received: list[object] = []
    while len(received) <= len(expected) and (items := client.receive()):
        received += [item.content if isinstance(item, Message) else item for item in items]
        client.confirm(items)
    if received != [*expected]:
        address = client.device.address
        raise ValueError(f"{address}: {len(received)} items instead of {len(expected)} messages")


def _settled_memory() -> int:
    gc.collect()
    return resident_bytes()


def _sizes(folder: Path, recipients: int) -> list[int]:
    stores = [_with_wal(_store_file(folder, number)) for number in range(1 + recipients)]
    return [*stores[0], *max(stores[1:]), *_with_wal(folder / "relay.db")]


def _with_wal(path: Path) -> tuple[int, int]:
    wal = path.with_name(f"{path.name}-wal")
    return path.stat().st_size, wal.stat().st_size if wal.exists() else 0


if __name__ == "__main__":
    sys.exit(main())

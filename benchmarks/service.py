# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.service`: what the service adds to a relay, and how many calls may wait.

On this machine alone, over loopback, with files in the folder that is given. Everything that is
compared is measured in turns, in one run; a ratio is that of the medians. With `--slept 1.3` each
commit of the relays sleeps for 1.3 ms more, as if the disk were slower: that is simulated, and said
in the output. `--load` holds up many calls that wait at one process of the service, and tells its
memory and how late mail comes.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.machine import describe_machine
from benchmarks.served import EMPTY
from benchmarks.service_deposits import compare_deposits
from benchmarks.service_parts import (
    BUDI,
    bare_connection,
    envelopes,
    in_thread,
    new_client,
    process,
    register,
    token,
)
from e2ecross import Address, Text
from e2ecross.relay import Relay
from e2ecross.service import AsyncClient, HTTPBackend

__all__ = ["main", "parse"]

_ANA: Final = Address("whatsapp", "ana")
_WAIT_MS: Final = 30_000
_SLEPT_MS: Final = (0.0, 1.3, 5.0)
Times = dict[str, list[float]]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read a command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="where files are kept")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each (default: 10)")
    parser.add_argument("--calls", type=int, default=100, help="calls in a turn (default: 100)")
    parser.add_argument(
        "--slept",
        type=float,
        nargs="+",
        metavar="MS",
        default=_SLEPT_MS,
        help="how much longer a commit takes, simulated (default: 0 1.3 5)",
    )
    parser.add_argument("--load", type=int, metavar="N", default=0, help="let N calls wait")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says."""
    given = parse(arguments)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        found = _load(folder, given.load) if given.load else _compare(folder, given)
    print(json.dumps(found, indent=2))
    return 0


# --- What the service adds ----------------------------------------------------------------------


def _compare(folder: Path, given: argparse.Namespace) -> dict[str, object]:
    deposits = []
    for slept_ms in given.slept:
        (folder / f"{slept_ms}").mkdir()
        row = compare_deposits(folder / f"{slept_ms}", given.rounds, given.calls, slept_ms)
        deposits.append(row)
    times: Times = {}
    with in_thread(folder / "near.db") as (url, relay), HTTPBackend(url) as backend:
        register(relay, BUDI, _ANA)
        for round_ in range(given.rounds):
            _deliveries(times, given.calls, round_, relay, backend, url)
        _sends(times, given, folder, url)
    middle = {name: statistics.median(each) for name, each in times.items()}
    return {
        "machine": describe_machine(),
        "deposits": deposits,
        "microseconds": {name: round(value * 1e6, 1) for name, value in middle.items()},
        "delivery_in_empty_posts": round(middle["delivery"] / middle["empty_post"], 2),
        "async_send_of_send": round(middle["async_send"] / middle["send_in_thread"], 3),
    }


def _deliveries(
    times: Times, calls: int, round_: int, relay: Relay, backend: HTTPBackend, url: str
) -> None:
    """From the end of a deposit to that of a call that waits, 0 if that is first; an empty post."""
    with bare_connection(url) as post:
        started = time.perf_counter()
        for _ in range(calls):
            post(EMPTY, b"", {})
        times.setdefault("empty_post", []).append((time.perf_counter() - started) / calls)
    took = []
    for envelope in envelopes(_ANA, round_, calls // 4):
        ended: list[float] = []

        def wait(ended: list[float] = ended) -> None:
            found = backend.fetch(BUDI, token(BUDI), 10, wait_ms=_WAIT_MS)
            ended.append(time.perf_counter())
            relay.acknowledge(BUDI, token(BUDI), [each.number for each in found])

        thread = threading.Thread(target=wait)
        thread.start()
        while not len(relay.bell):  # type: ignore[arg-type]
            time.sleep(0.001)
        time.sleep(0.005)
        relay.deposit_all(token(_ANA), [envelope])
        committed = time.perf_counter()
        thread.join()
        took.append(max(ended[0] - committed, 0.0))
    times.setdefault("delivery", []).append(statistics.median(took))


def _sends(times: Times, given: argparse.Namespace, folder: Path, url: str) -> None:
    """A message of a client in a thread, and of an `AsyncClient`."""
    with HTTPBackend(url) as backend:
        client = new_client(folder, "dewi", backend)
        new_client(folder, "eka", backend)
        client.send("whatsapp:eka", Text("halo"))

        async def run() -> None:
            async with AsyncClient(client, threads=1) as wrapped:
                own = client.for_thread()
                await wrapped.send("whatsapp:eka", Text("halo"))
                for _ in range(given.rounds):
                    for name in ("send_in_thread", "async_send"):
                        started = time.perf_counter()
                        for _ in range(given.calls // 4):
                            if name == "async_send":
                                await wrapped.send("whatsapp:eka", Text("halo"))
                            else:
                                await asyncio.to_thread(own.send, "whatsapp:eka", Text("halo"))
                        took = (time.perf_counter() - started) / (given.calls // 4)
                        times.setdefault(name, []).append(took)

        asyncio.run(run())


# --- Calls that wait ----------------------------------------------------------------------------


def _load(folder: Path, count: int) -> dict[str, object]:
    """Let many calls wait, each of another device; then deposit for each of them."""
    with process(folder / "served.db") as (url, child), HTTPBackend(url) as backend:
        devices = [Address("instagram", f"user{n}") for n in range(count)]
        register(backend, _ANA, *devices)
        before = _memory(child)
        with _waiters(url, devices) as ended:
            time.sleep(2)
            after = _memory(child)
            late = []
            for number, device in enumerate(devices):
                [envelope] = envelopes(_ANA, number, 1, device)
                backend.deposit_all(token(_ANA), [envelope])
                committed = time.perf_counter()
                while device not in ended and time.perf_counter() - committed < 10:
                    time.sleep(0.0002)
                late.append(max(ended.get(device, float("inf")) - committed, 0.0))
    late.sort()
    return {
        "waiting": count,
        "kib_per_call": round((after - before) / count / 1024, 1),
        "delivery_p50_ms": round(late[len(late) // 2] * 1e3, 2),
        "delivery_p99_ms": round(late[len(late) * 99 // 100] * 1e3, 2),
        "not_delivered": sum(1 for each in late if each == float("inf")),
    }


@contextlib.contextmanager
def _waiters(url: str, devices: Sequence[Address]) -> Iterator[dict[Address, float]]:
    """Connections with a call that waits, and when each was answered; in one thread."""
    from benchmarks.service_parts import Waiters

    waiters = Waiters(url, devices)
    try:
        waiters.start()
        yield waiters.ended
    finally:
        waiters.close()


def _memory(child: "subprocess.Popen[str]") -> int:
    text = Path(f"/proc/{child.pid}/statm").read_text()
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Deposits of one envelope a call: into a relay, through the service, and what is beside them.

All in turns, in one run, on one disk. A commit may be made to take longer in the relay and in that
of the service alike: it sleeps, which is said with the figures.
"""

import base64
import contextlib
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.matrix_peer import MatrixPeer, home_server
from benchmarks.matrix_peer import is_installed as has_peer
from benchmarks.served import EMPTY, commit_slowly
from benchmarks.service_parts import (
    BUDI,
    Post,
    bare_connection,
    envelopes,
    process,
    process_cpu_seconds,
    register,
    token,
)
from e2ecross import Address
from e2ecross.relay import Relay
from e2ecross.service import HTTPBackend
from e2ecross.wire.service_calls import CONTENT_TYPE
from e2ecross.wire.service_mail import DepositRequest

__all__ = ["compare_deposits"]

_ROW_BYTES: Final = 500
_CONNECTIONS: Final = 16
_SENDERS: Final = [Address("whatsapp", f"user{n}") for n in range(1 + _CONNECTIONS)]
"""The first of them alone, the others at once."""


class _Cost(NamedTuple):
    """Microseconds of one call: on the clock; of a processor, in this process, in the other one."""

    wall: float
    own_cpu: float
    other_cpu: float


class _Costs:
    """What calls cost, by name; each name is measured once in each round."""

    def __init__(self) -> None:
        self._found: dict[str, list[_Cost]] = {}

    def measure(self, name: str, calls: int, work: Callable[[], object], pid: int = 0) -> None:
        """Do so many calls, which the process `pid` answers, if there is one."""
        other = process_cpu_seconds(pid) if pid else 0.0
        own, started = time.process_time(), time.perf_counter()
        work()
        took, own = time.perf_counter() - started, time.process_time() - own
        other = process_cpu_seconds(pid) - other if pid else 0.0
        cost = _Cost(*(each / calls * 1e6 for each in (took, own, other)))
        self._found.setdefault(name, []).append(cost)

    def over_rounds(self, choose: Callable[[Sequence[float]], float]) -> dict[str, _Cost]:
        """Return one figure of each for all rounds."""
        return {
            name: _Cost(*(choose(values) for values in zip(*each, strict=True)))
            for name, each in self._found.items()
        }


def compare_deposits(folder: Path, rounds: int, calls: int, slept_ms: float) -> dict[str, object]:
    """Measure; with `slept_ms` each commit of the relays takes so much more.

    Where others use the machine, the quickest round of each says more than the median. A home
    server of Matrix stands beside them where it is installed, and no commit sleeps.
    """
    costs = _Costs()
    with (
        process(folder / "served.db", slept_ms) as (url, child),
        Relay(folder / "direct.db") as direct,
        HTTPBackend(url, connections=_CONNECTIONS) as backend,
        bare_connection(url) as post,
        ThreadPoolExecutor(_CONNECTIONS) as pool,
        contextlib.ExitStack() as stack,
    ):
        peer = None
        if has_peer() and not slept_ms:
            (folder / "matrix").mkdir()
            peer = stack.enter_context(home_server(folder / "matrix"))
        commit_slowly(direct, slept_ms)
        for each in (backend, direct):
            register(each, BUDI, *_SENDERS)
        turn = _Turn(costs, folder, calls, child.pid, direct, backend, post, pool, peer)
        for round_ in range(rounds):
            turn.take(round_)
    return {
        "each_commit_sleeps_ms": slept_ms,
        "medians": _report(costs.over_rounds(statistics.median)),
        "quickest_rounds": _report(costs.over_rounds(min)),
    }


class _Turn(NamedTuple):
    costs: _Costs
    folder: Path
    calls: int
    pid: int
    direct: Relay
    backend: HTTPBackend
    post: Post
    pool: ThreadPoolExecutor
    peer: MatrixPeer | None

    def take(self, round_: int) -> None:
        """Measure each once."""
        first, *others = (envelopes(sender, round_, self.calls) for sender in _SENDERS)
        measure, calls, pid, post = self.costs.measure, self.calls, self.pid, self.post
        measure("commit", calls, lambda: _commit(self.folder / "bare.db", calls))
        measure("direct", calls, lambda: _deposit(self.direct, 0, first))
        measure("http_1", calls, lambda: _deposit(self.backend, 0, first), pid)
        part = max(calls // _CONNECTIONS, 1)
        measure("http_16", part * _CONNECTIONS, lambda: self._deposit_at_once(others, part), pid)
        headers, bodies = _requests(envelopes(_SENDERS[0], -1 - round_, calls))
        measure(
            "urllib3_1", calls, lambda: [post("/v1/deposit_all", x, headers) for x in bodies], pid
        )
        measure("empty_post", calls, lambda: [post(EMPTY, b"", {}) for _ in range(calls)], pid)
        if self.peer is not None:
            send, few = self.peer.send, max(calls // 4, 1)
            measure("matrix_to_device", few, lambda: _repeat(send, few), self.peer.pid)

    def _deposit_at_once(self, others: Sequence[Sequence[bytes]], part: int) -> None:
        work = [
            self.pool.submit(_deposit, self.backend, number, each[:part])
            for number, each in enumerate(others, 1)
        ]
        for each in work:
            each.result()


def _report(cost: dict[str, _Cost]) -> dict[str, object]:
    http, direct, empty = cost["http_1"], cost["direct"], cost["empty_post"]
    cpu = sum(http[1:]) - direct.own_cpu - sum(empty[1:])
    return {
        "microseconds": {name: round(each.wall, 1) for name, each in cost.items()},
        "cpu_microseconds": {
            name: [round(each.own_cpu, 1), round(each.other_cpu, 1)] for name, each in cost.items()
        },
        "http_1_of_direct": round(direct.wall / http.wall, 3),
        "http_16_of_direct": round(direct.wall / cost["http_16"].wall, 3),
        "backend_cpu_in_urllib3": round(http.own_cpu / cost["urllib3_1"].own_cpu, 2),
        "above_direct_and_empty_post": {
            "microseconds": round(http.wall - direct.wall - empty.wall, 1),
            "cpu_microseconds": round(cpu, 1),
        },
    }


def _deposit(where: Relay | HTTPBackend, number: int, part: Sequence[bytes]) -> None:
    key = token(_SENDERS[number])
    for envelope in part:
        where.deposit_all(key, [envelope])


def _repeat(work: Callable[[], None], count: int) -> None:
    for _ in range(count):
        work()


def _requests(part: Sequence[bytes]) -> tuple[dict[str, str], list[bytes]]:
    """The same deposits as `HTTPBackend` would send them."""
    text = base64.urlsafe_b64encode(token(_SENDERS[0])).rstrip(b"=").decode()
    headers = {
        "Content-Type": CONTENT_TYPE,
        "Accept-Encoding": "identity",
        "User-Agent": "e2ecross",
        "Authorization": f"Bearer {text}",
    }
    return headers, [DepositRequest([each], {}).encode() for each in part]


def _commit(path: Path, calls: int) -> None:
    """A row in a commit of its own, as bare SQLite does it."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as bare:
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"):
            bare.execute(statement)
        bare.execute("CREATE TABLE IF NOT EXISTS rows (data)")
        for _ in range(calls):
            bare.execute("INSERT INTO rows VALUES (?)", (bytes(_ROW_BYTES),))

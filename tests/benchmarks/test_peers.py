# SPDX-License-Identifier: Apache-2.0
"""Every peer that is installed does every operation that its driver says it can."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.contestants.scratch import SCRATCH
from benchmarks.engine import Engine, EngineFailed
from benchmarks.job import Job
from benchmarks.registry import CONTESTANTS, Contestant
from benchmarks.rows import ROWS

PEERS = [one for one in CONTESTANTS if one.install]
SMALL = {
    "bytes": 100,
    "count": 3,
    "devices": 3,
    "mailboxes": 3,
    "skipped": 5,
    "turns": 1,
    "waiting": 2,
    "window": 2,
}
FILES = {"attachment_encrypt", "attachment_decrypt"}
BYTES = {row.operation for row in ROWS if row.unit == "B"}


@contextmanager
def started(peer: Contestant) -> Iterator[Engine]:
    try:
        engine = peer.start()
    except EngineFailed as error:
        if os.environ.get("E2ECROSS_REQUIRE_INTEROP"):
            raise
        pytest.skip(f"{peer.name} is not installed ({error}): {peer.install}")
    try:
        yield engine
    finally:
        engine.close()


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_peer_does_what_it_says(
    peer: Contestant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SCRATCH, str(tmp_path))  # the process of the peer inherits it
    with started(peer) as engine:
        assert engine.versions
        assert {"encrypt", "decrypt", "ping_pong"} <= engine.operations or (
            engine.operations == FILES
        )
        assert engine.operations <= {row.operation for row in ROWS}
        for operation in sorted(engine.operations):
            blocks = 1 if operation in BYTES else 2
            values = engine.sample(Job(operation, SMALL, 2, blocks, 1))
            assert len(values) == blocks, operation


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_peer_says_why_it_cannot(peer: Contestant) -> None:
    with started(peer) as engine:
        with pytest.raises(EngineFailed):
            engine.sample(Job("nothing", SMALL, 1, 1, 0))
        assert engine.sample(Job(min(engine.operations & {"encrypt", *FILES}), SMALL, 1, 1, 0))

# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a peer of each kind, a device of ours, and a count of what they said to each other."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2ecross import Address, Policy

from .conversation import Tally
from .ours import AS_DEPLOYED, MakeOurs, Ours
from .peers import (
    INSTALL,
    LIBSIGNAL_0_103,
    LIBSIGNAL_CLIENT,
    PEER_KINDS,
    STARTS,
    Peer,
    PeerKind,
    Start,
    StartPeer,
)

ANA = Address("whatsapp", "ana")  # ours
BUDI = Address("whatsapp", "budi")  # the peer's

_TALLIES = pytest.StashKey[dict[str, Tally]]()


def _require(kind: PeerKind) -> None:
    if kind.needs.exists() and shutil.which(kind.command[0]):
        return
    reason = f"{kind} is not installed: run {INSTALL}"
    if os.environ.get("E2ECROSS_REQUIRE_INTEROP") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def start_peer() -> Iterator[StartPeer]:
    """Start peers of any kind, with the contact they talk to; all are ended after the test."""
    started: list[Peer] = []

    def start(kind: PeerKind, contact: str, address: str = str(BUDI)) -> Peer:
        _require(kind)
        started.append(Peer(kind, contact, address))
        return started[-1]

    yield start
    for peer in started:
        peer.close()


@pytest.fixture(params=PEER_KINDS, ids=str)
def peer(request: pytest.FixtureRequest, start_peer: StartPeer) -> Peer:
    """A new device of each peer in turn, whose contact is `ours`."""
    return start_peer(request.param, str(ANA))


@pytest.fixture(params=STARTS, ids=str)
def case(request: pytest.FixtureRequest) -> Start:
    """Each way to start a conversation that the peer is capable of."""
    start: Start = request.param
    return start


@pytest.fixture
def libsignal_client(start_peer: StartPeer) -> Peer:
    """A new device of libsignal-client, whose contact is `ours`."""
    return start_peer(LIBSIGNAL_CLIENT, str(ANA))


@pytest.fixture
def make_ours(tmp_path: Path) -> Iterator[MakeOurs]:
    """Make devices of ours, with a policy or other names than Ana's and Budi's.

    Their stores are in memory where the system has a folder that is: these tests would wait for
    the disk most of the time, and what a disk keeps is tested elsewhere.
    """
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        made = 0

        def make(
            policy: Policy | None = None, address: Address = ANA, contact: Address = BUDI
        ) -> Ours:
            nonlocal made
            made += 1
            return Ours(Path(folder) / f"{made}.db", address, contact, policy or AS_DEPLOYED)

        yield make


@pytest.fixture
def ours(make_ours: MakeOurs) -> Ours:
    """A new device of ours, whose contact is `peer`."""
    return make_ours()


@pytest.fixture
def more_of_ours(make_ours: MakeOurs) -> Ours:
    """A second device of ours with the same contact."""
    return make_ours(address=Address("whatsapp", "citra"))


@pytest.fixture
def libsignal_0_103(start_peer: StartPeer) -> Peer:
    """A new device of libsignal-client 0.103, whose contact is `ours`."""
    return start_peer(LIBSIGNAL_0_103, str(ANA))


@pytest.fixture
def count(request: pytest.FixtureRequest) -> Callable[[Peer, Tally], None]:
    """Add to the figures that are printed after the run."""

    def add(peer: Peer, tally: Tally) -> None:
        request.config.stash[_TALLIES].setdefault(str(peer.kind), Tally()).add(tally)

    return add


def pytest_configure(config: pytest.Config) -> None:
    """Start counting."""
    config.stash[_TALLIES] = {}


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what was carried per peer."""
    tallies = config.stash[_TALLIES]
    if tallies:
        terminalreporter.section("carried between us and real peers")
    for name, tally in tallies.items():
        terminalreporter.write_line(f"{name}: {tally}")

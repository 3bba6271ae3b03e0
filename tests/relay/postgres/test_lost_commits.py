# SPDX-License-Identifier: Apache-2.0
"""Commits of a relay whose answer is lost, or that no standby has confirmed."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2ecross.errors import BackendError
from e2ecross.relay import Relay
from tests.relay.support import ANA, BUDI, deposit, envelope, register, token
from tests.support.cut_socket import CutSocket
from tests.support.postgres import Server, require_driver, server

require_driver()

from tests.relay.postgres.on_postgres import address_of

_CUTS = 60
_WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture
def cut(path: Path) -> Iterator[CutSocket]:
    address_of(path)
    made = CutSocket(server().folder)
    yield made
    made.close()


@pytest.fixture
def through(cut: CutSocket, path: Path) -> Iterator[Relay]:
    database = address_of(path).partition("?")[0].rpartition("/")[2]
    with Relay(cut.address(database)) as relay:
        register(relay, ANA, BUDI)
        yield relay
        heal(cut)


def heal(cut: CutSocket) -> None:
    cut.cut_before = cut.cut_after = lambda data: False


def nth(number: int) -> Callable[[bytes], bool]:
    """Whether that is the packet of this number, from 0 on."""
    left = [number]

    def ask(data: bytes) -> bool:
        left[0] -= 1
        return left[0] == -1

    return ask


def failure(relay: Relay, mail: bytes, epoch: int = 0) -> BackendError | None:
    """Deposit, and tell how that fails, if it does."""
    try:
        deposit(relay, token(ANA), mail, epoch=epoch)
    except BackendError as error:
        return error
    return None


def until_it_goes(relay: Relay, mail: bytes, epoch: int = 0) -> None:
    give_up = time.monotonic() + 60
    while failure(relay, mail, epoch) is not None:
        assert time.monotonic() < give_up


def test_every_statement_cut_at_any_place(cut: CutSocket, through: Relay) -> None:
    """What is answered is there; what is not is there or not, and once when it is repeated."""
    failed = 0
    for number in range(_CUTS):
        mail = envelope(ANA, BUDI, number).encode()
        place = nth(number // 2 % 8)
        if number % 2:
            cut.cut_before = place
        else:
            cut.cut_after = place
        if (error := failure(through, mail, number + 1)) is not None:
            assert "try again" in str(error)
            failed += 1
            heal(cut)
            until_it_goes(through, mail, number + 1)
        heal(cut)
        assert len(through.fetch(BUDI, token(BUDI), 1_000)) == number + 1
        assert through.epochs(ANA, token(ANA)) == {0: number + 1}
    assert failed > 5


@pytest.mark.parametrize("is_before", [True, False])
def test_a_commit_that_is_cut_off(cut: CutSocket, through: Relay, is_before: bool) -> None:
    mail = envelope(ANA, BUDI, 1).encode()
    left = [1]

    def at_commit(data: bytes) -> bool:
        left[0] -= b"COMMIT\0" in data
        return b"COMMIT\0" in data and left[0] == 0

    if is_before:
        cut.cut_before = at_commit
    else:
        cut.cut_after = at_commit
    with pytest.raises(BackendError, match="the connection was lost: try again"):
        deposit(through, token(ANA), mail)
    until_it_goes(through, mail)
    assert len(through.fetch(BUDI, token(BUDI), 10)) == 1


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server for which one may say who confirms commits."""
    made = Server()
    try:
        made.make()
        made.start()
        yield made
    finally:
        made.remove()


def confirmed_by(server: Server, standby: str) -> None:
    server.ask(f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
    server.ask("SELECT pg_reload_conf()")
    wait_until(lambda: server.ask("SHOW synchronous_standby_names") == [(standby,)])
    if standby:
        server.ask("CHECKPOINT")  # that process tells the others, and looks at settings first


@contextmanager
def nobody_confirms(server: Server) -> Iterator[None]:
    """Commits wait for a standby that is away."""
    confirmed_by(server, "nobody")
    try:
        yield
    finally:
        confirmed_by(server, "")


def wait_until(is_so: Callable[[], object]) -> None:
    give_up = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def waiting_for(own: Server) -> object:
    wait_until(lambda: own.ask(_WAITING))
    return own.ask(_WAITING)[0][0]


class Depositing(threading.Thread):
    """A deposit in a thread of its own, and how it has ended."""

    def __init__(self, relay: Relay, mail: bytes) -> None:
        super().__init__()
        self._relay, self._mail = relay, mail
        self.error: BackendError | None = None

    def run(self) -> None:
        self.error = failure(self._relay, self._mail)


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
def test_what_is_answered_was_confirmed_by_the_standbys(own: Server, how: str) -> None:
    with Relay(own.address()) as relay:
        register(relay, ANA, BUDI)
        mail = envelope(ANA, BUDI, 1 if how == "pg_cancel_backend" else 2).encode()
        before = len(relay.fetch(BUDI, token(BUDI), 10))
        with nobody_confirms(own):
            first = Depositing(relay, mail)
            first.start()
            own.ask(f"SELECT {how}({waiting_for(own)})")
            if how == "pg_cancel_backend":
                time.sleep(0.1)
                own.ask(f"SELECT {how}({waiting_for(own)})")  # it has waited once more
            first.join(30)
            assert isinstance(first.error, BackendError)
            assert "try again" in str(first.error)
            # What it finds done was confirmed by nobody: it waits all the same.
            second = Depositing(relay, mail)
            second.start()
            waiting_for(own)
            assert second.is_alive()
            confirmed_by(own, "")
            second.join(30)
            assert second.error is None
        assert len(relay.fetch(BUDI, token(BUDI), 10)) == before + 1


def test_a_commit_that_is_cancelled_once_is_confirmed_by_the_next(own: Server) -> None:
    with Relay(own.address()) as relay:
        register(relay, ANA, BUDI)
        with nobody_confirms(own):
            first = Depositing(relay, envelope(ANA, BUDI, 3).encode())
            first.start()
            own.ask(f"SELECT pg_cancel_backend({waiting_for(own)})")
            time.sleep(0.3)
            waiting_for(own)
            assert first.is_alive()
            confirmed_by(own, "")
            first.join(30)
            assert first.error is None

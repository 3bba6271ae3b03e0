# SPDX-License-Identifier: Apache-2.0
"""Deposits of several callers with one commit: none decides over another."""

import contextlib
import sqlite3
import traceback
from pathlib import Path

import pytest

from e2ecross.address import Address
from e2ecross.errors import BackendError, BackendRefused, InvalidArgument, NotRegistered
from e2ecross.relay import Relay
from e2ecross.relay.depositing import DepositCall
from e2ecross.wire.exchange import Deposited
from tests.relay.support import ANA, BUDI, TOKO, envelope, register, token


def data(number: int, sender: Address = ANA) -> bytes:
    return envelope(sender, BUDI, number).encode()


def waiting(relay: Relay) -> list[bytes]:
    return [item.encode() for item in relay.waiting(BUDI)]


def of(number: int, sender: Address = ANA, key: Address | None = None) -> DepositCall:
    return DepositCall(token(key or sender), [data(number, sender)])


class Bell:
    """Notes for whom it is rung, and what was in the file by then for everybody else."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rung: list[tuple[Address, int]] = []

    def ring(self, address: Address) -> None:
        with contextlib.closing(sqlite3.connect(self._path)) as file:
            [count] = file.execute("SELECT COUNT(*) FROM mailbox").fetchone()
        self.rung.append((address, count))


def test_several_callers_share_a_commit(path: Path) -> None:
    bell = Bell(path)
    with Relay(path, bell=bell) as relay:
        register(relay, ANA, BUDI, TOKO)
        came = relay.deposit_together([of(1), of(2, TOKO), of(1)])
        assert came == [
            Deposited({}, {ANA.user_id: 0, BUDI.user_id: 0}, {}),
            Deposited({}, {TOKO.user_id: 0, BUDI.user_id: 0}, {}),
            Deposited({}, {ANA.user_id: 0, BUDI.user_id: 0}, {}),
        ]
        assert waiting(relay) == [data(1), data(2, TOKO)]
        assert bell.rung == [(BUDI, 2)]  # once, after all were committed


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (of(3, ANA, TOKO), NotRegistered),
        (DepositCall(bytes(3), [data(3)]), InvalidArgument),
        (DepositCall(token(ANA), [data(3)], dict.fromkeys(range(1_025), 7)), BackendRefused),
        (DepositCall(token(ANA), []), BackendRefused),
    ],
)
def test_what_is_wrong_with_one_caller_is_told_to_that_one(
    path: Path, bad: DepositCall, kind: type[Exception]
) -> None:
    with Relay(path) as relay:
        register(relay, ANA, BUDI, TOKO)
        first, second, third = relay.deposit_together([of(1), bad, of(2, TOKO)])
        assert isinstance(first, Deposited)
        assert isinstance(second, kind)
        assert isinstance(third, Deposited)
        assert waiting(relay) == [data(1), data(2, TOKO)]
        frames = [frame for frame, _ in traceback.walk_tb(second.__traceback__)]
        assert frames
        assert not any(frame.f_locals for frame in frames)
        [alone] = relay.deposit_together([bad])
        assert isinstance(alone, kind)


def test_an_error_of_sqlite_for_one_caller_is_no_other_ones(path: Path) -> None:
    with Relay(path) as relay:
        register(relay, ANA, BUDI, TOKO)
        with contextlib.closing(sqlite3.connect(path)) as file:
            file.execute(
                "CREATE TRIGGER broken BEFORE INSERT ON mailbox WHEN NEW.sender = 'whatsapp:ana'"
                " BEGIN SELECT RAISE(ROLLBACK, 'broken'); END"
            )
            file.commit()
        first, second = relay.deposit_together([of(1), of(2, TOKO)])
        assert isinstance(first, BackendError)
        assert isinstance(second, Deposited)
        assert waiting(relay) == [data(2, TOKO)]


def test_nothing_is_rung_for_what_was_refused(path: Path) -> None:
    bell = Bell(path)
    with Relay(path, bell=bell) as relay:
        register(relay, ANA, BUDI, TOKO)
        of_another = envelope(TOKO, ANA, 3).encode()
        came = relay.deposit_together(
            [of(1, ANA, BUDI), DepositCall(token(ANA), [data(2), of_another])]
        )
        assert isinstance(came[0], NotRegistered)
        assert isinstance(came[1], Deposited)
        assert list(came[1].refused) == [1]
        assert bell.rung == [(BUDI, 1)]

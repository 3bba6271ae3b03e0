# SPDX-License-Identifier: Apache-2.0
"""A clock that was years ahead, and is right again: bounds on time hold within one period of it.

Nothing is written meanwhile that would show it: the upkeep of an idle device has to see to it.
"""

from collections.abc import Callable

from e2ecross import Client, Text
from e2ecross.state.delivered import was_delivered
from e2ecross.state.retry_budget import _ATTEMPTS
from e2ecross.state.sent import find_kept
from e2ecross.state.sent_ids import is_known_id
from e2ecross.stores import Table, Transaction
from e2ecross.wire.records import SignedPrekeyRecord
from tests.client.conversation import damage, forget_sessions, meet, read, read_notices, store_of
from tests.support.devices import ANA, BUDI, DAY_MS, BackendSimulator, FakeClock, make_client

YEARS_MS = 10 * 365 * DAY_MS


class Scene:
    """Ana has sent, received and asked under a clock that was ahead."""

    def __init__(self, backend: BackendSimulator) -> None:
        self.clock = FakeClock()
        self.clock.advance(YEARS_MS)
        self.ana = make_client(ANA, backend, clock=self.clock)
        self.budi = make_client(BUDI, backend, clock=self.clock)
        meet(self.ana, self.budi)
        self.sent = self.ana.send(BUDI, Text("lost")).message_id
        self.got = self.budi.send(ANA, Text("halo")).message_id
        assert read(self.ana) == ["halo"]
        self.clock.advance(-YEARS_MS)

    def tell(self, question: Callable[[Transaction], object]) -> bool:
        with store_of(self.ana).transaction() as tx:
            return bool(question(tx))

    def kept(self) -> list[bool]:
        policy, now_ms = self.ana.device._context.policy, self.clock()
        return [
            self.tell(lambda tx: find_kept(tx, policy, BUDI, self.sent, now_ms)),
            self.tell(lambda tx: was_delivered(tx, policy, BUDI, self.got, now_ms)),
            self.tell(lambda tx: is_known_id(tx, BUDI, self.sent, now_ms)),
        ]


def test_what_was_kept_is_forgotten_in_its_time(backend: BackendSimulator) -> None:
    scene = Scene(backend)
    assert scene.kept() == [True, True, True]
    assert read(scene.ana) == []
    for days, kept in ((5, [True] * 3), (3, [False, True, True]), (67, [False] * 3)):
        scene.clock.advance(days * DAY_MS)
        assert scene.kept() == kept
    with store_of(scene.ana).transaction() as tx:
        signed = [SignedPrekeyRecord.decode(data) for _, data in tx.list(Table.SIGNED_PREKEYS)]
    assert all(prekey.replaced_at_ms < scene.clock() for prekey in signed)


def test_what_was_sent_long_ago_is_not_sent_again(backend: BackendSimulator) -> None:
    scene = Scene(backend)
    assert read(scene.ana) == []
    scene.clock.advance(8 * DAY_MS)
    forget_sessions(scene.budi)
    assert read(scene.budi) == ["!unknown_session"]
    (notice,) = read_notices(scene.ana)
    assert (notice.messages, notice.code) == ((scene.sent,), "unknown_session")


def test_attempts_are_forgotten_in_their_time(backend: BackendSimulator) -> None:
    scene = Scene(backend)
    scene.clock.advance(YEARS_MS)
    scene.budi.send(ANA, Text("lost"))
    forget_sessions(scene.ana)
    assert read(scene.ana) == ["!unknown_session"]
    (row,) = (row for _, partition, row in _rows(scene.ana) if len(partition) == 4)
    scene.clock.advance(-YEARS_MS)
    assert scene.tell(lambda tx: _ATTEMPTS.find(tx, row, scene.clock()))
    read(scene.ana)
    scene.clock.advance(9 * DAY_MS)
    assert not scene.tell(lambda tx: _ATTEMPTS.find(tx, row, scene.clock()))


def test_a_damaged_shelf_keeps_nothing_else_from_its_upkeep(backend: BackendSimulator) -> None:
    scene = Scene(backend)
    scene.clock.advance(YEARS_MS)
    damage(scene.ana, Table.SENT)
    before = len(backend.publications)
    scene.clock.advance(40 * DAY_MS)
    scene.ana.maintain()
    assert len(backend.publications) == before + 1


def _rows(client: Client) -> list[tuple[Table, bytes, bytes]]:
    with store_of(client).transaction() as tx:
        return [(Table.RETRIES, place, row) for place, row, _ in tx.scan(Table.RETRIES)]

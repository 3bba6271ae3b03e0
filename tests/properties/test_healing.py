# SPDX-License-Identifier: Apache-2.0
"""A conversation in which one end's sessions are damaged, lost and rolled back at any moment.

Both ends are clients with a back end, which may hand out a message twice. Whatever happens to the
sessions of one of them, every message arrives, exactly once, within a bounded number of round
trips. Only where messages are handed out again and again while sessions are lost, a sender may
have sent one too often, and is told so.
"""

from collections import Counter
from collections.abc import Mapping

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from e2ecross import Address, Client, Message, Notice, NoticeKind, Text
from e2ecross.state.context import address_key
from e2ecross.stores import MemoryStore, Table
from tests.support.devices import ANA, BUDI, BackendSimulator, FakeClock, make_device

PEER = {ANA: BUDI, BUDI: ANA}
MAX_ROUND_TRIPS = 6
MAX_DAMAGES = 8
"""Fewer than a message is sent again for (`MAX_RESENDS`), but each repetition is asked for, too."""

Rows = Mapping[tuple[Table, bytes, bytes], bytes]
people = st.sampled_from([ANA, BUDI])


class Healing(RuleBasedStateMachine):
    """Ana and Budi write to each other; the sessions of one of them are not safe."""

    @initialize(unlucky=people)
    def meet(self, unlucky: Address) -> None:
        self.backend, clock = BackendSimulator(), FakeClock()
        self.stores = {address: MemoryStore() for address in PEER}
        self.clients = {
            address: Client(make_device(address, store, clock=clock), self.backend)
            for address, store in self.stores.items()
        }
        for client in self.clients.values():
            client.register()
        self.unlucky = unlucky
        self.snapshots: list[Rows] = []
        self.damages = self.repetitions = self.number = 0
        self.sent: dict[Address, list[str]] = {ANA: [], BUDI: []}
        self.shown: dict[Address, list[str]] = {ANA: [], BUDI: []}
        self.ids: dict[bytes, str] = {}
        self.told: set[str] = set()
        self.send(ANA)

    @rule(sender=people)
    def send(self, sender: Address) -> None:
        self.number += 1
        text = f"message {self.number}"
        sent = self.clients[sender].send(PEER[sender], Text(text))
        self.ids[sent.message_id] = text
        self.sent[PEER[sender]].append(text)

    @rule(receiver=people)
    def receive(self, receiver: Address) -> None:
        client = self.clients[receiver]
        items = client.receive()
        client.confirm(items)
        for item in items:
            if isinstance(item, Message):
                assert isinstance(item.content, Text)
                self.shown[receiver].append(item.content.text)
            elif isinstance(item, Notice) and item.kind is NoticeKind.NOT_DELIVERED:
                self.told |= {self.ids[message_id] for message_id in item.messages}

    @precondition(lambda self: self.repetitions < MAX_DAMAGES)
    @rule(receiver=people, data=st.data())
    def repeat(self, receiver: Address, data: st.DataObject) -> None:
        waiting = len(self.backend.mailbox(receiver))
        if waiting:
            self.repetitions += 1
            self.backend.replay(receiver, data.draw(st.integers(0, waiting - 1)))

    @rule()
    def remember(self) -> None:
        self.snapshots.append(self._sessions())

    @precondition(lambda self: self.damages < MAX_DAMAGES and self.snapshots)
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        self._put(data.draw(st.sampled_from(self.snapshots)))

    @precondition(lambda self: self.damages < MAX_DAMAGES)
    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        rows = dict(self._sessions())
        if rows:
            place = data.draw(st.sampled_from(sorted(rows)))
            rows[place] = data.draw(st.sampled_from([b"", b"\x01garbage", rows[place][:-1]]))
            self._put(rows)

    @precondition(lambda self: self.damages < MAX_DAMAGES)
    @rule(data=st.data())
    def lose_one(self, data: st.DataObject) -> None:
        rows = dict(self._sessions())
        if rows:
            del rows[data.draw(st.sampled_from(sorted(rows)))]
            self._put(rows)

    @precondition(lambda self: self.damages < MAX_DAMAGES)
    @rule()
    def lose_all(self) -> None:
        self._put({})

    def teardown(self) -> None:
        """Let both read until nothing waits, and look."""
        if not hasattr(self, "clients"):
            return
        round_trips = 0
        while any(self.backend.mailbox(address) for address in PEER):
            round_trips += 1
            assert round_trips <= MAX_ROUND_TRIPS
            for address in PEER:
                self.receive(address)
        assert self.repetitions or not self.told
        for address in PEER:
            shown, sent = Counter(self.shown[address]), Counter(self.sent[address])
            assert shown <= sent
            assert (sent - shown).keys() <= self.told

    def _sessions(self) -> Rows:
        """The rows of the unlucky one's sessions with the other."""
        key = address_key(PEER[self.unlucky])
        with self.stores[self.unlucky].transaction() as tx:
            return {
                (table, partition, row): record
                for table in (Table.SESSION_RECORDS, Table.SESSIONS, Table.SKIPPED_KEYS)
                for partition, row, record in tx.scan(table)
                if partition.startswith(key)
            }

    def _put(self, rows: Rows) -> None:
        self.damages += 1
        before = self._sessions()
        with self.stores[self.unlucky].transaction() as tx:
            for place in before.keys() - rows.keys():
                tx.delete(*place)
            for place, record in rows.items():
                tx.put(*place, record)


TestHealing = Healing.TestCase
TestHealing.settings = settings(stateful_step_count=50)

# SPDX-License-Identifier: Apache-2.0
"""Two pairs of the same seeds: one in memory only, one always from its stores.

pairs = Pairs(pq=True)
pairs.start(0)
pairs.send(0, 3)
pairs.deliver(1, 2)

Each step is taken by both, must have the same outcome in both, and leaves in the stores nothing
more and nothing less than a store has that never saw the steps in between.
"""

from collections.abc import Callable, Sequence

from e2ecross.errors import RemoteError
from e2ecross.protocol.session import Session
from e2ecross.protocol.session_reading import Reading, is_for_current
from e2ecross.protocol.session_record import NO_SESSIONS, SessionRecord
from e2ecross.state.context import address_key
from e2ecross.state.session_store import (
    load_sessions,
    read_current_session,
    read_sessions,
    read_sessions_for,
    save_sessions,
)
from e2ecross.stores import MemoryStore, Store, Transaction
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.signal_message import (
    VERSIONS,
    decode_prekey_signal_message,
    decode_signal_message,
)
from tests.support.devices import BUDI, Dump, SpyStore, dump
from tests.support.parties import Party, Sealed

__all__ = ["PLACE", "Pairs", "StoredParty", "records_as_bytes", "records_as_values", "saved"]

PLACE = address_key(BUDI)


def records_as_values() -> Store:
    """A store that hands out the values that were put into it, where it may."""
    return MemoryStore()


def records_as_bytes() -> Store:
    """A store that has nothing but records, as all that are durable."""
    return SpyStore(MemoryStore())


class StoredParty(Party):
    """A party whose sessions are read from a store before each step, and saved after it."""

    def __init__(self, name: str, store: Store, *, pq: bool = False) -> None:
        super().__init__(name, pq=pq)
        self.store = store

    def start(self, peer: Party, *, one_time: bool = True, pq: bool = True) -> Session:
        with self.store.transaction() as tx:
            before = self.record = load_sessions(tx, BUDI)
            session = super().start(peer, one_time=one_time, pq=pq)
            save_sessions(tx, PLACE, before, self.record)
        self.record = NO_SESSIONS
        return session

    def send(self, plaintext: bytes) -> Sealed:
        with self.store.transaction() as tx:
            before = self.record = read_current_session(tx, PLACE) or read_sessions(tx, PLACE)
            sealed = super().send(plaintext)
            save_sessions(tx, PLACE, before, self.record)
        self.record = NO_SESSIONS
        return sealed

    def receive(self, sealed: Sealed) -> bytes:
        try:
            with self.store.transaction() as tx:
                before = self.record = self.read_for(tx, sealed)
                plaintext = super().receive(sealed)
                save_sessions(tx, PLACE, before, self.record)
        finally:
            self.record = NO_SESSIONS
        return plaintext

    def read_for(self, tx: Transaction, sealed: Sealed) -> SessionRecord:
        """What reading a message takes: the current session alone where that does."""
        kind, data = sealed
        if kind is MessageKind.PREKEY:
            inner = decode_prekey_signal_message(data, VERSIONS).message
            return read_sessions_for(tx, PLACE, inner)
        message = decode_signal_message(data, VERSIONS)
        current = read_current_session(tx, PLACE, message)
        if current is not None and is_for_current(current, message):
            return current
        return read_sessions_for(tx, PLACE, message)

    def stored(self) -> Dump:
        return dump(self.store)


def saved(record: SessionRecord) -> Dump:
    """What a store holds that has only ever seen this record."""
    store = MemoryStore()
    with store.transaction() as tx:
        save_sessions(tx, PLACE, NO_SESSIONS, record)
    return dump(store)


class Pairs:
    """See the module. Ends are 0 and 1."""

    def __init__(
        self,
        *,
        pq: bool = False,
        make_store: Callable[[], Store] = records_as_values,
        max_forward_jump: int | None = None,
        require_spqr: bool = True,
        old: int | None = None,
    ) -> None:
        """For `old` see `Party.runs_spqr`: which end is so."""
        self.plain = tuple(Party(name, pq=pq) for name in ("ana", "budi"))
        self.stored = tuple(StoredParty(name, make_store(), pq=pq) for name in ("ana", "budi"))
        for party in (*self.plain, *self.stored):
            party.require_spqr = require_spqr
            party.runs_spqr = old is None or party.name != ("ana", "budi")[old]
            if max_forward_jump is not None:
                party.reading = Reading(max_forward_jump, None)
        self.waiting: tuple[list[Sealed], list[Sealed]] = ([], [])
        """What has been sent to either end; also what was delivered, to be delivered again."""
        self.read = 0

    def start(self, end: int, *, one_time: bool = True, pq: bool = True) -> None:
        self.plain[end].start(self.plain[1 - end], one_time=one_time, pq=pq)
        self.stored[end].start(self.stored[1 - end], one_time=one_time, pq=pq)

    def may_send(self, end: int) -> bool:
        return self.plain[end].record.current is not None

    def send(self, end: int, count: int = 1) -> None:
        for _ in range(count):
            sealed = self.plain[end].send(b"halo")
            assert self.stored[end].send(b"halo") == sealed
            self.waiting[1 - end].append(sealed)

    def deliver(self, end: int, index: int = -1) -> object:
        """Deliver one of the messages to an end; returns the plaintext or an error's code."""
        return self._arrive(end, self.waiting[end][index])

    def deliver_all(self, end: int, start: int = 0) -> None:
        """Deliver all from this one on, in their order."""
        for sealed in self.waiting[end][start:]:
            self._arrive(end, sealed)

    def talk(self, rounds: int, *, first: int = 0) -> None:
        """Take turns, nothing lost."""
        for _ in range(rounds):
            for end in (first, 1 - first):
                self.send(end)
                self.deliver(1 - end)

    def check(self) -> None:
        """Hold the stores against records that were never saved."""
        for plain, stored in zip(self.plain, self.stored, strict=True):
            assert stored.stored() == saved(plain.record)

    def epochs(self) -> Sequence[int]:
        """In which epoch of SPQR the current session of either end is."""
        spqrs = [party.current.ratchet.spqr for party in self.plain]
        return [0 if spqr is None else spqr.machine.epoch for spqr in spqrs]

    def _arrive(self, end: int, sealed: Sealed) -> object:
        outcome = _outcome(self.plain[end], sealed)
        assert _outcome(self.stored[end], sealed) == outcome
        self.read += isinstance(outcome, bytes)
        return outcome


def _outcome(party: Party, sealed: Sealed) -> object:
    try:
        return party.receive(sealed)
    except RemoteError as error:
        return error.code

# SPDX-License-Identifier: Apache-2.0
"""Workers of one device that are killed again and again: `python -m tests.durability.fleet_child`.

It reads what fleet it is from a line of JSON, forks its workers, and then kills one of them every
so often with SIGKILL, and forks another in its place. `quiet` ends the killing and the sending,
`end` all. It opens no store itself, so that nothing is shared over a fork. Most are killed once
they have begun to work, so that on a slow machine there is anything to interrupt.
"""

import json
import os
import random
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from e2ecross import Address, Client, Device, Envelope, Message, Policy, Text
from e2ecross.errors import BackendError, CommitUnknown, StoreBusy
from e2ecross.relay import Relay
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.exchange import Deposited
from e2ecross.wire.signal_message import (
    VERSION_3,
    VERSION_4,
    SignalMessage,
    decode_prekey_signal_message,
    decode_signal_message,
)
from tests.durability.journal import Journal, JournalReader, digest

if TYPE_CHECKING:
    from e2ecross.stores import PostgresStore

T = TypeVar("T")

KEYS: Final = {1: bytes(range(32))}
KILL_EVERY_S: Final = 0.25
POLICY: Final = Policy(
    signed_prekey_max_age_ms=120_000, one_time_prekeys_low=8, one_time_prekeys_target=24
)
_VERSIONS: Final = (VERSION_3, VERSION_4)
_PATIENCE_S: Final = 60  # only a hang comes near


@dataclass(frozen=True)
class Fleet:
    """What the processes of one device know of it.

    Attributes:
        directory: of the world: what they note, and whether they are to be quiet.
        database: the conninfo of the store.
        name: of the store.
        relay: the file of the relay, or its conninfo.
        customers: addresses that it writes to.
        workers: how many at once.
        seed: of what they do.
        since_ms: when their clock had the time of the system.
        speed: how much faster it goes since.
    """

    directory: str
    database: str
    name: str
    relay: str
    customers: Sequence[str]
    workers: int
    seed: int
    since_ms: int
    speed: int

    def encode(self) -> str:
        return json.dumps(asdict(self))

    def now_ms(self) -> int:
        """Holds and waits of a minute are over in seconds."""
        return self.since_ms + (time.time_ns() // 1_000_000 - self.since_ms) * self.speed

    @property
    def quiet(self) -> Path:
        """There when nothing new is to be sent."""
        return Path(self.directory) / "quiet"

    def journal_of(self, slot: int) -> Path:
        return Path(self.directory) / f"sends-{slot}"


class WatchedRelay(Relay):
    """A relay whose caller notes what is about to leave."""

    journal: Journal

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        for envelope in map(Envelope.decode, envelopes):
            sent = signal_message(envelope)
            self.journal.note(
                "left",
                sender=str(envelope.sender),
                key=f"{sent.ratchet_key.hex()} {sent.counter}",
                text=digest(sent.ciphertext),
            )
        return super().deposit_all(token, envelopes, epochs=epochs, consents=consents)


def signal_message(envelope: Envelope) -> SignalMessage:
    """The innermost message of an envelope."""
    if envelope.kind is MessageKind.PREKEY:
        return decode_prekey_signal_message(envelope.ciphertext, _VERSIONS).message
    return decode_signal_message(envelope.ciphertext, _VERSIONS)


def open_store(fleet: Fleet) -> "PostgresStore":
    from e2ecross.stores import PostgresStore  # its driver may not be installed

    return PostgresStore(
        fleet.database, fleet.name, keys=KEYS, stripes=64, connections=2, busy_timeout_ms=30_000
    )


def open_relay(fleet: Fleet) -> WatchedRelay:
    relay = WatchedRelay(fleet.relay, clock=fleet.now_ms)
    relay.journal = Journal(Path(fleet.directory) / "left")
    return relay


class Worker:
    """One life of one worker.

    Args:
        fleet: whose.
        slot: what it takes over from those that were killed before it.
        begun: the end of a pipe, closed once it has worked.
    """

    def __init__(self, fleet: Fleet, slot: int, begun: int) -> None:
        self._fleet = fleet
        self._begun = begun
        self._slot = slot
        self._random = random.Random(f"{fleet.seed} {slot} {os.getpid()}")
        self._handled = Journal(Path(fleet.directory) / "handled")
        self._sends = Journal(fleet.journal_of(slot))
        device = Device.open(open_store(fleet), policy=POLICY, clock=fleet.now_ms)
        self._client = Client(device, open_relay(fleet))
        self._number = 0

    def live(self) -> None:
        for to, text in self._open_sends():
            self._send(to, text)
        self._receive()
        os.close(self._begun)
        while True:
            if not self._fleet.quiet.exists() and self._random.random() < 0.5:
                self._send_another()
            self._receive()

    def _open_sends(self) -> list[tuple[str, str]]:
        """What those before it began to send, and nobody knows whether they did."""
        begun: dict[str, tuple[str, str]] = {}
        for note in JournalReader(self._fleet.journal_of(self._slot)).new():
            if note["what"] == "begun":
                begun[note["text"]] = note["to"], note["text"]
                self._number += 1
            else:
                del begun[note["text"]]
        return list(begun.values())

    def _send_another(self) -> None:
        to = self._random.choice(self._fleet.customers)
        text = f"{self._slot} {self._number} {'x' * self._random.randrange(400)}"
        self._number += 1
        self._sends.note("begun", to=to, text=text)
        self._send(to, text)

    def _send(self, to: str, text: str) -> None:
        """Until it is sent: what the app sends after it is after it."""
        message_id = bytes.fromhex(digest(text.encode()))
        _patiently(lambda: self._client.send(Address.parse(to), Text(text), message_id=message_id))
        self._sends.note("sent", text=text)

    def _receive(self) -> None:
        limit = self._random.choice((1, 5, 100))
        items = _patiently(lambda: self._client.receive(limit))
        for item in items:
            if isinstance(item, Message):
                assert isinstance(item.content, Text)
                self._handled.note(
                    "handled",
                    sender=str(item.sender),
                    id=item.message_id.hex(),
                    text=item.content.text,
                    again=item.redelivered,
                )
            else:
                self._handled.note("other", item=repr(item))
        _patiently(lambda: self._client.confirm(items))
        if not items and self._fleet.quiet.exists():
            time.sleep(0.02)


def _patiently(act: Callable[[], T]) -> T:
    give_up = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return act()
        except (BackendError, StoreBusy, CommitUnknown):
            if time.monotonic() > give_up:
                raise


class Child:
    """A process that is a worker until it is killed."""

    def __init__(self, fleet: Fleet, slot: int) -> None:
        self._has_begun, begun = os.pipe()
        self._pid = os.fork()
        if self._pid:
            os.close(begun)
            return
        try:
            Worker(fleet, slot, begun).live()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(3)

    def wait_until_it_works(self) -> None:
        ready, _, _ = select.select([self._has_begun], [], [], _PATIENCE_S)
        assert ready, "a worker does nothing"

    def kill(self) -> None:
        """First killed, then reaped: the id is still this child's."""
        os.kill(self._pid, signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        os.close(self._has_begun)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "a worker has failed"


def main() -> None:
    fleet = Fleet(**json.loads(sys.stdin.readline()))
    rng = random.Random(fleet.seed)
    workers = [Child(fleet, slot) for slot in range(fleet.workers)]
    kills = 0
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], KILL_EVERY_S)
        if ready:
            break
        slot = rng.randrange(len(workers))
        if rng.random() < 0.8:
            workers[slot].wait_until_it_works()
        workers[slot].kill()
        workers[slot] = Child(fleet, slot)
        kills += 1
    fleet.quiet.touch()
    sys.stdin.readline()
    sys.stdin.readline()
    for worker in workers:
        worker.kill()
    print(kills, flush=True)


if __name__ == "__main__":
    main()

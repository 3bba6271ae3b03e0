# SPDX-License-Identifier: Apache-2.0
"""Devices that are killed again and again, their relay, and what must hold all the while."""

import hashlib
import json
import random
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from e2ecross.stores import SQLiteStore
from tests.durability.checks import Facts, check_store
from tests.durability.child import KEY, Order, store_path
from tests.durability.journal import JournalReader, Note
from tests.durability.linking_child import Life
from tests.durability.points import TRANSACTION_POINTS

DEVICES = ("whatsapp:ana.1", "instagram:budi.1", "messenger:toko.1", "whatsapp:dewi.1")
KILLED = -9
RANDOM_MOMENT = "at a random moment"
_ROOT = Path(__file__).parents[2]
_LIFE_S = 0.06  # a child's; at twice that most random moments would come too late
# One child comes to these dozens of times, to the others a few times, to some only now and then.
_VISITS_RATE = dict.fromkeys(TRANSACTION_POINTS, 0.1)


class Message(NamedTuple):
    """A message as a device has it.

    Attributes:
        sender: the device.
        at: the device that it is for.
        peer: the account that the conversation is with, seen from there.
        id: of the message, which the envelope of a copy need not have.
        text: of it.
    """

    sender: str
    at: str
    peer: str
    id: str
    text: str


_ROUNDS = 24  # of one world: then most devices know each other


class Nursery:
    """The process that forks children; see `child.py`."""

    def __init__(self, module: str = "tests.durability.child") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "Nursery":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, orders: Sequence[Order | Life]) -> list[int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([order.encode() for order in orders]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the nursery has failed"
        ended: list[int] = json.loads(line)
        return ended


@dataclass
class Figures:
    """What was done, over all worlds."""

    rounds: int = 0
    worlds: int = 0
    accepted: int = 0
    handed_again: int = 0
    encryptions: int = 0
    abandoned: int = 0
    keys_taken_again: int = 0
    sessions: int = 0
    used_prekeys: int = 0
    kills: Counter[str] = field(default_factory=Counter)

    def report(self) -> str:
        lines = [
            f"{self.rounds} rounds in {self.worlds} worlds, {sum(self.kills.values())} kills",
            f"{self.accepted} messages accepted and handed over, {self.handed_again} hand-overs "
            f"flagged as repeated",
            f"{self.encryptions} encryptions, of which {self.abandoned} died with their process; "
            f"{self.keys_taken_again} times the key of such a one was taken again",
            f"{self.sessions} session states, {self.used_prekeys} one-time prekeys used",
        ]
        return "\n".join(
            [*lines, *(f"{n:6} {point}" for point, n in sorted(self.kills.items()))],
        )


class World:
    """Some devices on one relay, from their creation to the last message.

    Attributes:
        devices: their addresses.
    """

    devices: ClassVar[Sequence[str]] = DEVICES

    def __init__(
        self, directory: Path, nursery: Nursery, rng: random.Random, figures: Figures
    ) -> None:
        directory.mkdir()
        self._directory = directory
        self._nursery = nursery
        self._random = rng
        self._figures = figures
        self._sealed = rng.random() < 0.5
        self._repeats = rng.random() < 0.5  # sends whose end is not known; else it is the outbox's
        self._reader = JournalReader(directory / "journal")
        self._round = 0
        self._notes: dict[str, list[Note]] = defaultdict(list)
        self._ids: dict[str, str] = {}  # of messages, by that of an envelope
        self._shown: dict[tuple[str, str], tuple[str, str]] = {}  # as `Facts.inbox`; and by device
        self._open_sends: dict[str, dict[tuple[str, str], tuple[str, str, str]]] = defaultdict(dict)
        self._met: set[tuple[str, str]] = set()
        self._in_outboxes: set[str] = set()

    # --- Rounds -----------------------------------------------------------------------------

    def live(self, wanted: list[str]) -> None:
        """Run through the rounds; takes the points that it kills at from `wanted`."""
        for device in self._random.sample(self.devices, len(self.devices)):
            self._kill_somebody(wanted, device)
        while self._round < _ROUNDS:
            self._kill_somebody(wanted, self._random.choice(self.devices))
        self._drain()
        self._check_end()
        self._figures.worlds += 1

    def _kill_somebody(self, wanted: list[str], device: str) -> None:
        point = wanted.pop() if wanted else RANDOM_MOMENT
        victim = self._order(device, point)
        orders = [victim]
        if self._random.random() < 0.4:  # beside another device, or another process of the same
            other = self._random.choice(("", RANDOM_MOMENT))
            orders.append(self._order(self._random.choice(self.devices), other))
        ended = self._run(orders)
        for order, code in zip(orders, ended, strict=True):
            assert code in ((0, KILLED) if order.is_to_die else (0,))
            self._figures.kills[order.point or RANDOM_MOMENT] += code == KILLED
        if ended[0] != KILLED and victim.point:
            wanted.insert(max(len(wanted) - 3, 0), point)  # it was not reached: soon again

    def _order(self, device: str, point: str, *, steps: int = 6) -> Order:
        peers = self._peers_of(device)
        strangers = [peer for peer in peers if steps and (device, peer) not in self._met]
        meets = strangers and (point.endswith("fetch_keys") or self._random.random() < 0.2)
        retry = list(self._open_sends[device].values()) if self._repeats else []
        return Order(
            directory=str(self._directory),
            device=device,
            peers=peers,
            sealed=self._sealed,
            number=self._round,
            seed=self._random.randrange(2**32),
            steps=steps,
            retry=retry if not steps or self._random.random() < 0.7 else [],
            first_to=self._random.choice(strangers) if meets else "",
            point="" if point == RANDOM_MOMENT else point,
            visits=1 + int(self._random.expovariate(_VISITS_RATE.get(point, 2))),
            kill_after_s=self._random.uniform(0, _LIFE_S) if point == RANDOM_MOMENT else -1,
        )

    def _peers_of(self, device: str) -> list[str]:
        """Whom it can send to."""
        return sorted({note["at"] for note in self._notes["registered"]} - {device})

    def _run(self, orders: list[Order]) -> list[int]:
        self._round += 1
        self._figures.rounds += 1
        ended = self._nursery.run(orders)
        for note in self._reader.new():
            self._take(note)
        for device in {order.device for order in orders}:
            self._check_device(device)
        return ended

    def _take(self, note: Note) -> None:
        self._notes[note["what"]].append(note)
        if note["what"] == "intent":
            sender, to, message_id = note["sender"], note["to"], note["id"]
            self._open_sends[sender][message_id, to] = (to, message_id, note["text"])
            self._met |= {(sender, to), (to, sender)}
        elif note["what"] == "copy":
            self._ids[note["envelope"]] = note["id"]
            self._shown[note["envelope"], note["at"]] = note["id"], note["peer"]
        elif note["what"] in ("sent", "refused"):
            for sends in self._open_sends.values():
                sends.pop((note["id"], note["to"]), None)

    def _drain(self) -> None:
        """Let everybody go on in peace until nothing is on its way."""
        for _ in range(2):
            for device in self.devices:
                assert self._run([self._order(device, "", steps=0)]) == [0]

    # --- What must hold ---------------------------------------------------------------------

    def _check_device(self, device: str) -> Facts | None:
        """After each kill: the store is whole, and no prekey is gone without its message.

        A copy is looked at, so that the next child finds the files as the kill has left them.
        """
        path = self._directory / "copy.db"
        original = store_path(str(self._directory), device)
        for suffix in ("", "-wal", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
            if (found := original.with_name(original.name + suffix)).exists():
                shutil.copy(found, path.with_name(path.name + suffix))
        with SQLiteStore(path, key=KEY if self._sealed else None) as store:
            facts = check_store(store)
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if facts is None:
            return None
        self._in_outboxes |= {self._ids[envelope] for envelope in facts.outbox}
        notes = [note for note in self._notes["handed"] if note["at"] == device]
        handed = {(note["id"], note["peer"]) for note in notes}
        used = {
            note["prekey"]
            for note in self._notes["fetched"]
            if note["at"] == device and self._shown[note["id"], device] in handed | facts.inbox
        }
        assert facts.gone_prekeys == used - facts.last_resort_prekeys
        return facts

    def _check_end(self) -> None:
        assert self._notes["failed"] == self._notes["notice"] == []
        for device in self.devices:
            facts = self._check_device(device)
            assert facts is not None
            assert (facts.inbox, facts.outbox) == (set(), set())
            self._check_published(device, facts)
            self._figures.sessions += facts.sessions
            self._figures.used_prekeys += len(facts.gone_prekeys)
        self._check_deliveries()
        self._check_hand_overs()
        self._check_keys()

    def _check_published(self, device: str, facts: Facts) -> None:
        """What the relay hands out can be used, and what can be used was published."""
        with closing(sqlite3.connect(self._directory / "relay.db")) as connection:
            rows = connection.execute(
                "SELECT kind, id, public_key IS NULL FROM one_time_prekeys WHERE address = ?",
                (device,),
            ).fetchall()
            signed, last_resort = connection.execute(
                "SELECT signed_prekey_id, kyber_prekey_id FROM accounts WHERE address = ?",
                (device,),
            ).fetchone()
        for kind, kept in enumerate((facts.one_time_prekeys, facts.kyber_prekeys)):
            assert {number for k, number, is_gone in rows if k == kind and not is_gone} <= kept
            assert kept <= {number for k, number, _ in rows if k == kind}
        assert signed in facts.signed_prekeys
        assert last_resort in facts.last_resort_prekeys

    def _check_deliveries(self) -> None:
        """What the relay has accepted has arrived, as it was sent, and nothing else has.

        It has accepted whatever was ever found in an outbox, or sent without an error.
        """
        with closing(sqlite3.connect(self._directory / "relay.db")) as connection:
            rows = connection.execute("SELECT triple_sha256 FROM deposits").fetchall()
            waiting = connection.execute("SELECT COUNT(*) FROM mailbox").fetchone()
        assert waiting == (0,)
        known = {bytes(row[0]) for row in rows}
        accepted = self._accepted(known)
        assert len(accepted) == len(known)
        handed = {message_of(note) for note in self._notes["handed"]}
        assert handed == accepted
        ids = {message.id for message in accepted}
        assert {self._ids[note["id"]] for note in self._notes["left"]} == ids
        sent = {note["id"] for note in self._notes["sent"]}
        assert sent | self._in_outboxes <= ids
        self._figures.accepted += len(accepted)

    def _accepted(self, known: Set[bytes]) -> set[Message]:
        """What was sent, as far as the relay knows the hashes of its sender, recipient and id."""
        return {
            message_of(note)
            for note in self._notes["intent"]
            if triple_sha256(note["sender"], note["to"], note["id"]) in known
        }

    def _check_hand_overs(self) -> None:
        """What may have been handed over before is flagged.

        Two processes of one device may show the same message at once, one of them unflagged;
        that one need not be the first.
        """
        last: dict[Message, int] = {}
        unflagged: Counter[Message] = Counter()
        for note in self._notes["handed"]:
            copy = message_of(note)
            before = last.setdefault(copy, note["round"])
            assert note["again"] or before == note["round"]
            unflagged[copy] += not note["again"]
            self._figures.handed_again += note["again"]
        assert max(unflagged.values(), default=0) <= 1

    def _check_keys(self) -> None:
        """Of all that was encrypted with one cipher key and IV, one ciphertext may leave.

        A process that dies before its commit has encrypted with a key that the store still has;
        what it made is gone with it, and the key is used for another message later. That is no
        reuse as long as nobody has seen both.
        """
        pair_of = {note["text"]: note["pair"] for note in self._notes["key"]}
        texts: defaultdict[str, set[str]] = defaultdict(set)
        for note in self._notes["left"]:
            texts[pair_of[note["text"]]].add(note["text"])
        assert all(len(left) == 1 for left in texts.values())
        self._figures.encryptions += len(self._notes["key"])
        self._figures.abandoned += len(self._notes["key"]) - len(texts)
        pairs = {note["pair"] for note in self._notes["key"]}
        self._figures.keys_taken_again += len(self._notes["key"]) - len(pairs)


def message_of(note: dict[str, Any]) -> Message:
    """The message that a note tells of, of what was handed over or was to be sent."""
    sender = note["sender"]
    peer = note.get("peer") or sender.rpartition(".")[0]
    return Message(sender, note.get("to") or note["at"], peer, note["id"], note["text"])


def triple_sha256(sender: str, recipient: str, message_id: str) -> bytes:
    return hashlib.sha256(f"{sender} {recipient} {message_id}".encode()).digest()

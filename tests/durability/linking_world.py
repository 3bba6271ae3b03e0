# SPDX-License-Identifier: Apache-2.0
"""A phone to which devices are linked while both ends are killed, and what must hold meanwhile."""

import hashlib
import random
import shutil
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from e2ecross import Device
from e2ecross.crypto.keys import PublicKey
from e2ecross.protocol.device_list import hash_list, verify_list
from e2ecross.state.accounts import find_account, find_own_account
from e2ecross.state.context import require_device
from e2ecross.stores import SQLiteStore, Store
from e2ecross.wire.device_list import SignedDeviceList
from tests.durability.checks import check_store
from tests.durability.child import KEY
from tests.durability.journal import JournalReader, Note
from tests.durability.linking_child import CONTACT, PHONE, POLICY, Life
from tests.durability.points import RELAY_POINTS, TRANSACTION_POINTS
from tests.durability.world import KILLED, RANDOM_MOMENT, Nursery

_TRIES: Final = 24  # to kill somebody, in one world
_MOST: Final = 4  # devices, before one is unlinked
_LIFE_S: Final = {"link": 0.12, "join": 0.12, "unlink": 0.06, "leave": 0.06}
_VISITS_RATE: Final = {**dict.fromkeys(TRANSACTION_POINTS, 0.15), "get_link": 0.5}
_CALLS: Final = {
    "link": ("register", "epochs", "put_link", "get_link", "publish_devices", "fetch_keys"),
    "join": ("put_link", "get_link", "epochs", "one_time_prekey_count", "publish"),
    "unlink": ("fetch", "publish_devices", "deposit_all"),
    "leave": ("deposit_all",),
}
_STEPS: Final = {
    "link": (
        "after the code is scanned",
        "after the digits are shown",
        "after the user has confirmed",
    ),
    "join": ("after the code is shown", "after the digits are typed", "after it is linked"),
    "unlink": ("after it is unlinked",),
    "leave": (),
}


class Target(NamedTuple):
    """Whose process is killed, and where."""

    work: str
    point: str


TARGETS: Final = [
    Target(work, point)
    for work, calls in _CALLS.items()
    for point in (
        *TRANSACTION_POINTS,
        *RELAY_POINTS,
        *(f"{when} {call}" for call in calls for when in ("before", "after")),
        *_STEPS[work],
        "before closing the store",
    )
]
MOMENTS: Final = [Target(work, RANDOM_MOMENT) for work in ("link", "join", "unlink", "leave")]


@dataclass
class LinkFigures:
    """What was done, over all worlds."""

    rounds: int = 0
    tries: int = 0
    worlds: int = 0
    lists: int = 0
    linked: int = 0
    halfway: int = 0
    seals: int = 0
    encryptions: int = 0
    kills: Counter[Target] = field(default_factory=Counter)

    def report(self) -> str:
        lines = [
            f"{self.tries} tries to kill, {self.kills.total()} kills, in {self.worlds} worlds of "
            f"{self.rounds} rounds",
            f"{self.lists} lists signed, {self.linked} devices linked, {self.halfway} listed that "
            f"never learnt of it",
            f"{self.seals} link messages sealed, {self.encryptions} encryptions",
        ]
        kills = sorted(self.kills.items())
        return "\n".join([*lines, *(f"{n:6} {work}: {point}" for (work, point), n in kills)])


class LinkWorld:
    """One account on one relay, and somebody who writes to it."""

    def __init__(
        self, directory: Path, nursery: Nursery, rng: random.Random, figures: LinkFigures
    ) -> None:
        directory.mkdir()
        self._directory, self._nursery = directory, nursery
        self._random, self._figures = rng, figures
        self._sealed = rng.random() < 0.5
        self._reader = JournalReader(directory / "journal")
        self._notes: dict[str, list[Note]] = defaultdict(list)
        self._round = 0
        self._lists: dict[int, SignedDeviceList] = {}
        self._keys: dict[int, PublicKey] = {}
        self._stores: dict[int, str] = {}  # of devices that have learnt that they are linked
        for address, name in ((PHONE, "phone"), (CONTACT, "contact")):
            with self._open(name) as store:
                Device.create(address, store, policy=POLICY)
        self._talk("phone")
        self._talk("contact")

    # --- Rounds -----------------------------------------------------------------------------

    def live(self, wanted: list[Target]) -> None:
        """Run through the rounds; takes what it kills, and where, from `wanted`."""
        self._link()
        for _ in range(_TRIES):
            target = wanted.pop() if wanted else self._random.choice(MOMENTS)
            listed = [number for number in self._numbers() if number in self._stores]
            if target.work in ("unlink", "leave") and not listed:
                self._link()
            elif target.work in ("link", "join") and len(listed) > _MOST:
                self._unlink(self._random.choice(listed))
            self._figures.tries += 1
            if not self._kill(target) and target.point != RANDOM_MOMENT:
                wanted.insert(max(len(wanted) - 3, 0), target)  # it was not reached: soon again
            if self._random.random() < 0.25:  # what was killed disturbs nobody afterwards
                self._link()
        self._settle()
        self._check_conversation()
        self._check_keys()
        self._figures.worlds += 1
        self._figures.lists += len(self._lists)

    def _kill(self, target: Target) -> bool:
        work = target.work
        if work in ("link", "join"):
            lives = [self._life("link", "phone", target), self._life("join", "", target)]
            if target.point == RANDOM_MOMENT and self._random.random() < 0.3:
                lives = [self._life(each.work, each.store, Target(each.work, RANDOM_MOMENT))
                         for each in lives]  # fmt: skip
        elif work == "unlink":
            device = self._random.choice([number for number in self._numbers() if number > 1])
            lives = [self._life(work, "phone", target, device)]
        else:
            listed = [number for number in self._numbers() if number in self._stores]
            lives = [self._life(work, self._stores[self._random.choice(listed)], target)]
        ended = self._run(lives)
        killed = False
        for life, code in zip(lives, ended, strict=True):
            assert code in ((0, KILLED) if life.is_to_die else (0,)), (life, code)
            if code == KILLED:
                self._figures.kills[Target(life.work, life.point or RANDOM_MOMENT)] += 1
                killed = True
        return killed

    def _link(self) -> None:
        """Link a device in peace: whatever was killed before, this works."""
        before = set(self._stores)
        phone, laptop = self._life("link", "phone"), self._life("join", "")
        assert self._run([phone, laptop]) == [0, 0]
        for what in ("confirmed", "linked"):
            assert [n for n in self._notes[what] if n["round"] == phone.number], self._why()
        assert len(set(self._stores) - before) == 1
        self._check_published()

    def _unlink(self, device: int) -> None:
        assert self._run([self._life("unlink", "phone", device=device)]) == [0]
        assert device not in self._numbers()
        self._check_published()

    def _talk(self, store: str, text: str = "") -> bool:
        """Let a device take in what waits, and say something; tells whether it was let in."""
        life = self._life("talk", store, text=text)
        assert self._run([life]) == [0]
        return not [note for note in self._notes["out"] if note["round"] == life.number]

    def _life(
        self,
        work: str,
        store: str,
        target: Target | None = None,
        device: int = 0,
        text: str = "",
    ) -> Life:
        dies = target is not None and target.work == work
        point = target.point if dies and target is not None else ""
        is_random = point == RANDOM_MOMENT
        rate = _VISITS_RATE.get(point, _VISITS_RATE.get(point.partition(" ")[2], 2))
        return Life(
            directory=str(self._directory),
            work=work,
            store=store or f"laptop-{self._round}",
            sealed=self._sealed,
            number=self._round,
            device=device,
            text=text,
            point="" if is_random else point,
            visits=1 + int(self._random.expovariate(rate)),
            kill_after_s=self._random.uniform(0, _LIFE_S[work]) if is_random else -1,
        )

    def _run(self, lives: list[Life]) -> list[int]:
        lives[0].screen.mkdir()
        self._round += 1
        self._figures.rounds += 1
        ended = self._nursery.run(lives)
        for note in self._reader.new():
            self._notes[note["what"]].append(note)
        for life in lives:
            self._check_device(life.store)
        self._check_lists()
        return ended

    def _why(self) -> object:
        return self._notes["gave up"][-2:]

    # --- What must hold after each round ----------------------------------------------------

    def _check_device(self, name: str) -> None:
        """The store is whole. That of a new device is empty, or it is linked as the list says."""
        with self._copy(name) as store:
            if check_store(store) is None:
                assert name.startswith("laptop")
                return
            with store.transaction() as tx:
                record, own = require_device(tx), find_own_account(tx)
                known = find_account(tx, record.address.user_id)
        if name == "contact":
            return
        if name == "phone" and known is None:
            return  # it has no list yet
        assert own is not None
        assert known is not None
        assert known.held is not None
        self._take(known.held)
        number = record.address.device
        entry = known.held.list.find(number)
        device = self._device(name)
        if name.startswith("laptop"):
            self._stores[number] = name
            assert own.linked_at_ms
            assert record.registered
            assert device._context.account_key == known.held.list.account_key
            if entry is not None:
                self._check_token(number, record.backend_token)
        if entry is not None:
            assert entry.identity_key == device.identity_key

    def _device(self, name: str) -> Device:
        with self._copy(name) as store:
            return Device.open(store, policy=POLICY)

    def _check_token(self, number: int, token: bytes) -> None:
        """The relay knows the device by its own token, if it knows it."""
        with self._relay() as connection:
            rows = connection.execute(
                "SELECT token_sha256 FROM accounts WHERE address = ?",
                (f"{PHONE.user_id}.{number}",),
            ).fetchall()
        assert rows in ([], [(hashlib.sha256(token).digest(),)])

    def _take(self, signed: SignedDeviceList) -> None:
        """There is one list of each number, signed, and it continues the one before."""
        verify_list(signed)
        seq = signed.list.seq
        assert self._lists.setdefault(seq, signed).data == signed.data
        before, after = self._lists.get(seq - 1), self._lists.get(seq + 1)
        assert before is None or signed.list.previous == hash_list(before)
        assert after is None or after.list.previous == hash_list(signed)
        for each in signed.list.devices:  # a key has one number, and a number one key
            assert self._keys.setdefault(each.device, each.identity_key) == each.identity_key
        assert len(set(self._keys.values())) == len(self._keys)

    def _check_lists(self) -> None:
        """The relay has a list that the phone has signed, and none that is newer than its own."""
        published = self._published()
        if published is not None:
            self._take(published)
            assert published.list.seq <= self._held().list.seq

    def _check_published(self) -> None:
        assert self._published() == self._held()

    def _published(self) -> SignedDeviceList | None:
        with self._relay() as connection:
            rows = connection.execute(
                "SELECT seq, signed FROM device_lists WHERE user = ?", (str(PHONE.user_id),)
            ).fetchall()
        for seq, data in rows:
            published = SignedDeviceList.decode(data)
            assert published.list.seq == seq
            return published
        return None

    # --- What must hold in the end ----------------------------------------------------------

    def _settle(self) -> None:
        """Let the phone hear of who has left, and take out who never learnt that it was linked."""
        for store in ("phone", *self._stores.values(), "phone"):
            self._talk(store)
        for number in self._numbers():
            if number > 1 and number not in self._stores:
                self._figures.halfway += 1
                self._unlink(number)
        self._figures.linked += len(self._stores)
        self._check_published()

    def _check_conversation(self) -> None:
        """All devices that are listed, and no others, get what is said to the account and in it."""
        listed = self._numbers()
        names = ["phone", *(self._stores[number] for number in listed if number > 1)]
        for number, name in self._stores.items():
            assert self._talk(name) is (number in listed)
        said = {"contact": "from the contact", **{name: f"from {name}" for name in names}}
        for name, text in said.items():
            assert self._talk(name, text)
        for name in said:
            assert self._talk(name)
        texts = set(said.values())
        for name, own in said.items():
            handed = Counter(n["text"] for n in self._notes["handed"] if n["store"] == name)
            assert handed == Counter(texts - {own}), name
        # Who says twice that it leaves has left when the second one is read.
        left = {f"{PHONE.user_id}.{number}" for number in self._stores if number not in listed}
        assert {note["sender"] for note in self._notes["failed"]} <= left
        assert not [note for note in self._notes["handed"] if note["again"]]

    def _check_keys(self) -> None:
        """Of all that was made with one key and nonce, or IV, one text may leave."""
        for made, left in (("key", "left"), ("seal", "put")):
            pair_of = {note["text"]: note["pair"] for note in self._notes[made]}
            texts: defaultdict[str, set[str]] = defaultdict(set)
            for note in self._notes[left]:
                texts[pair_of[note["text"]]].add(note["text"])
            assert all(len(each) == 1 for each in texts.values())
        self._figures.seals += len(self._notes["seal"])
        self._figures.encryptions += len(self._notes["key"])

    # --- Files ------------------------------------------------------------------------------

    def _held(self) -> SignedDeviceList:
        with self._copy("phone") as store, store.transaction() as tx:
            record = find_account(tx, PHONE.user_id)
        assert record is not None
        assert record.held is not None
        return record.held

    def _numbers(self) -> list[int]:
        return [each.device for each in self._held().list.devices]

    @contextmanager
    def _relay(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._directory / "relay.db")) as connection:
            yield connection

    def _open(self, name: str) -> SQLiteStore:
        return SQLiteStore(self._directory / name, key=KEY if self._sealed else None)

    @contextmanager
    def _copy(self, name: str) -> Iterator[Store]:
        """A copy, so that the next child finds the files as the kill has left them."""
        path = self._directory / "copy"
        for suffix in ("", "-wal", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
            original = self._directory / f"{name}{suffix}"
            if original.exists():
                shutil.copy(original, path.with_name(path.name + suffix))
        with SQLiteStore(path, key=KEY if self._sealed else None) as store:
            yield store

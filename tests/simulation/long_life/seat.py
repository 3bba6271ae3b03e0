# SPDX-License-Identifier: Apache-2.0
"""A device of somebody, with its app: it receives, confirms, is restarted, copied and put back."""

import random
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from e2ecross import Address, Client, Device, FailedMessage, Message, Notice, NoticeKind, Policy
from e2ecross import Receipt as ReceiptContent
from e2ecross.address import UserId
from e2ecross.crypto.entropy import SYSTEM_ENTROPY, Encapsulation
from e2ecross.errors import BackendError, NoDevice, RestoredStore
from e2ecross.relay import Relay
from e2ecross.state.inbox import InboxItem
from e2ecross.stores import MemoryStore, SQLiteStore, Store
from e2ecross.wire.exchange import Deposited
from tests.simulation.long_life.interrupting import Interrupt, Interrupts
from tests.simulation.long_life.ledger import WAITING_MS, Ledger, MessageKey
from tests.support.devices import FakeClock
from tests.support.entropy import SeededEntropy

__all__ = ["Quick", "Seat", "Surroundings", "Unreliable"]


Result = TypeVar("Result")


class Quick(SeededEntropy):
    """Bytes by seed; what is encapsulated is the library's, which changes no course, and quick."""

    def encapsulate(self, kem_public_key: bytes) -> Encapsulation:
        return SYSTEM_ENTROPY.encapsulate(kem_public_key)


class Unreliable:
    """A relay that now and then cannot be reached with a deposit, or whose answer is lost."""

    def __init__(self, relay: Relay, rng: random.Random) -> None:
        self._relay, self._rng = relay, rng
        self.share = 0.0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._relay, name)

    @property
    def deposit_all(self) -> Any:  # noqa: ANN401
        """What now and then fails."""
        return self._deposit_all if self.share else self._relay.deposit_all

    def _deposit_all(self, *args: Any, **kwargs: Any) -> Deposited:  # noqa: ANN401
        chance = self._rng.random()
        if chance < self.share / 2:
            raise BackendError("the call was lost")
        answer = self._relay.deposit_all(*args, **kwargs)
        if chance < self.share:
            raise BackendError("the answer was lost")
        return answer


@dataclass
class Surroundings:
    """What all devices have in common."""

    seed: int
    folder: Path
    clock: FakeClock
    relay: Relay
    ledger: Ledger
    counts: Counter[str]
    rng: random.Random
    interrupts: Interrupts
    made: int = 0

    def entropy(self) -> Quick:
        """Draw a source that gives nothing that another one has given."""
        self.made += 1
        return Quick(f"{self.seed} {self.made}")


@dataclass(eq=False)
class Seat:
    """One device; `Receiver` says what is noted of it.

    Attributes:
        around: what all have in common.
        address: of the device.
        policy: of its app.
        key: of its store, or None: in the clear.
        in_memory: its store is no file.
        number: tells those apart that had one address after each other.
    """

    around: Surroundings
    address: Address
    policy: Policy
    key: bytes | None = None
    in_memory: bool = False
    number: int = 0
    shown: dict[MessageKey, int] = field(default_factory=dict)
    failed: dict[MessageKey, int] = field(default_factory=dict)
    gone_at_ms: int | None = None
    befallen_ms: list[int] = field(default_factory=list)
    put_back: list[tuple[int, int]] = field(default_factory=list)
    away: list[tuple[int, int]] = field(default_factory=list)
    out_of_group_ms: list[int] = field(default_factory=list)
    back_at_ms: int = 0
    received_at_ms: int = 0
    copied_at_ms: int | None = None
    refs: list[Message] = field(default_factory=list)
    upkept_at_ms: int = 0

    def __post_init__(self) -> None:
        self.around.made += 1
        self.number = self.around.made
        self.backend = Unreliable(self.around.relay, self.around.rng)
        self.store: Store = self.open_store()
        self.client: Client

    @property
    def name(self) -> str:
        """What it is called in what is told."""
        return f"{self.address}#{self.number}"

    @property
    def user(self) -> UserId:
        """The account that it belongs to."""
        return self.address.user_id

    @property
    def path(self) -> Path:
        """Its file."""
        return self.around.folder / f"{self.name.replace(':', '-')}.db"

    @property
    def is_online(self) -> bool:
        """Whether its app works just now."""
        return self.gone_at_ms is None and self.back_at_ms <= self.around.clock.now_ms

    def open_store(self) -> Store:
        """Open its store, or make it."""
        if self.in_memory:
            return MemoryStore()
        return SQLiteStore(self.path, key=self.key)

    # --- Its life ---

    def create(self) -> None:
        """Make a device with an identity of its own."""
        around = self.around
        device = Device.create(
            self.address,
            self.store,
            policy=self.policy,
            clock=around.clock,
            entropy=around.entropy(),
        )
        self.use(Client(device, self.backend, spool_dir=around.folder))
        self.call("register", self.client.register)

    def call(self, what: str, call: Callable[[], Result]) -> Result:
        """Do what may be interrupted, and is done again then."""
        return self.around.interrupts.call(what, call)

    def use(self, client: Client) -> None:
        """Go on with a client."""
        self.client = client

    def open(self, *, restored: bool = False) -> None:
        """Make the objects of a start of the app."""
        around = self.around
        device = Device.open(
            self.store,
            policy=self.policy,
            clock=around.clock,
            entropy=around.entropy(),
            restored=restored,
        )
        self.use(Client(device, self.backend, spool_dir=around.folder))

    def restart(self) -> None:
        """End the app, and start it."""
        if self.in_memory:
            self.call("open", self.open)
            return
        self.close()
        self.start()
        self.around.counts["restarts"] += 1

    def start(self) -> None:
        """Open the store, and what is in it."""
        self.store = self.call("opening a store", self.open_store)
        self.call("open", self.open)

    def close(self) -> None:
        """End the app: no WAL is left."""
        self.call("closing a store", self.store.close)
        wal = self.path.with_name(f"{self.path.name}-wal")
        assert self.in_memory or not wal.exists() or not wal.stat().st_size, "a WAL is left"

    def copy(self) -> None:
        """Make a copy of the closed store, as a backup of the platform does."""
        self.close()
        shutil.copyfile(self.path, self._copy_path)
        self.copied_at_ms = self.around.clock.now_ms
        self.start()

    @property
    def _copy_path(self) -> Path:
        return self.path.with_suffix(".copy")

    def restore(self) -> None:
        """Put the copy back, and say so; first, half of the time, without saying so."""
        assert self.copied_at_ms is not None
        around = self.around
        self.close()
        shutil.copyfile(self._copy_path, self.path)
        if around.rng.random() < 0.5:
            self.start()
            try:
                self.maintain()
            except RestoredStore:
                around.counts["stores put back that were refused"] += 1
            self.close()
        self.store = self.open_store()
        self.call("open as restored", lambda: self.open(restored=True))
        self.put_back.append((self.copied_at_ms, around.clock.now_ms))
        self.befallen_ms.append(around.clock.now_ms)
        self.copied_at_ms = None
        around.counts["stores put back"] += 1

    def reinstall(self) -> None:
        """Lose the phone, and go on with a new one that has the identity of a backup."""
        around, passphrase = self.around, "five words that nobody guesses"
        backup = self.client.device.export_identity(passphrase, cost="interactive")
        self.close()
        self.wipe()
        self.store = self.open_store()
        self.call("import of an identity", lambda: self._import(backup, passphrase))
        self.call("register", self.client.register)
        self.put_back.append((0, around.clock.now_ms))
        self.befallen_ms.append(around.clock.now_ms)
        self.copied_at_ms = None
        around.counts["phones lost, with a backup"] += 1

    def _import(self, backup: bytes, passphrase: str) -> None:
        around = self.around
        try:
            self.open()
        except NoDevice:
            device = Device.import_identity(
                backup,
                passphrase,
                self.store,
                policy=self.policy,
                clock=around.clock,
                entropy=around.entropy(),
            )
            self.use(Client(device, self.backend, spool_dir=around.folder))

    def end(self) -> None:
        """Lose it for good."""
        self.gone_at_ms = self.around.clock.now_ms
        self.close()
        self.wipe()

    def wipe(self) -> None:
        """Remove its files."""
        for path in (self.path, self._copy_path):
            path.unlink(missing_ok=True)

    def go_away(self, ms: int) -> None:
        """Be switched off for a time."""
        now_ms = self.around.clock.now_ms
        self.back_at_ms = now_ms + ms
        self.away.append((now_ms, self.back_at_ms))

    # --- What its app does ---

    def maintain(self) -> None:
        """Do what an app does in the background now and then."""
        self.call("maintain", self.client.maintain)
        self.upkept_at_ms = self.around.clock.now_ms

    def receive(self) -> list[Message]:
        """Receive and confirm all that there is; returns the messages of others' users."""
        found: list[Message] = []
        now_ms = self.around.clock.now_ms
        if self.received_at_ms and now_ms - self.received_at_ms >= WAITING_MS:
            self.away.append((self.received_at_ms, now_ms))  # on now and then, it did not fetch
        self.received_at_ms = now_ms
        while True:
            items = self._receive()
            for item in items:
                self._take(item, found)
            self._confirm(items)
            if len(items) < 1000:
                return found

    def _receive(self) -> list[InboxItem]:
        while True:
            with suppress(Interrupt):
                interrupts = self.around.interrupts
                return interrupts.try_once("receive", lambda: self.client.receive(1000))
            self.call("open", self.open)  # items may have been on their way back, and are lost

    def _confirm(self, items: list[InboxItem]) -> None:
        self.call("confirm", lambda: self.client.confirm(items))

    def _take(self, item: InboxItem, found: list[Message]) -> None:
        around = self.around
        match item:
            case Message(content=ReceiptContent()):
                around.counts["receipts"] += 1
            case Message():
                around.ledger.show(self, item, around.clock.now_ms)
                self._meet(item)
                if not item.own_copy:
                    found.append(item)
                if item.ref is not None and not item.group:
                    self.refs = [*self.refs[-4:], item]
            case FailedMessage():
                around.ledger.fail(self, item, around.clock.now_ms)
            case Notice():
                self._hear(item)

    def _meet(self, message: Message) -> None:
        """Accept whoever writes, and another key of theirs."""
        if message.request and message.group is None:
            self.call("accept", lambda: self.client.accept(message.sender))
        if message.identity_changed:
            self.accept_key(message.sender)

    def _hear(self, notice: Notice) -> None:
        around = self.around
        around.counts[f"notice {notice.kind.value}"] += 1
        match notice.kind:
            case NoticeKind.NOT_DELIVERED | NoticeKind.RESTORED:
                around.ledger.tell(str(self.address), notice)
            case NoticeKind.IDENTITY_PENDING if notice.user is not None:
                self.accept_key(notice.user)
            case NoticeKind.GROUP_JOINED if notice.group is not None:
                group = self.client.group(notice.group)
                self.call("accept a group", group.accept)

    def accept_key(self, user: UserId | Address) -> None:
        """Accept another key of an account, if one waits for that."""
        self.call("accept a key", lambda: self._accept_key(user))

    def _accept_key(self, user: UserId | Address) -> None:
        device = self.client.device
        known = device.remote_identity(user)
        if known is not None and known.pending_key:
            device.accept_identity(user, known.pending_key)
            self.around.counts["keys accepted"] += 1

    def prune(self, before_ms: int) -> None:
        """Forget what was shown before a time."""
        for noted in (self.shown, self.failed):
            for key, at_ms in list(noted.items()):
                if at_ms >= before_ms:
                    break
                del noted[key]

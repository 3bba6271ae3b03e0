# SPDX-License-Identifier: Apache-2.0
"""An installation of an app: a client, and what the app has noted of what it was handed.

What the app notes survives every crash. So what it is handed can be held against what it has:
nothing confirmed comes again, nothing comes twice from one `Client`, and what comes from another
one is flagged; a message is shown once.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from e2ecross import Address, Client, Device, FailedMessage, Message, Notice, Policy
from e2ecross.crypto.entropy import SYSTEM_ENTROPY, Encapsulation
from e2ecross.device.device import context_of
from e2ecross.device.registering import read_token
from e2ecross.errors import E2ECrossError
from e2ecross.state.inbox import InboxItem, receipt_of
from e2ecross.state.notice import NoticeKind
from e2ecross.stores import Store, Transaction
from tests.properties.hostile_backend import LyingBackend, Points
from tests.support.devices import FakeClock
from tests.support.entropy import SeededEntropy

__all__ = ["Installation", "Interrupted", "PointedStore"]


class Interrupted(BaseException):
    """What a signal handler may raise at any time."""


class _QuickEntropy(SeededEntropy):
    """Encapsulates as the system does: what comes out changes no decision, and takes no time."""

    def encapsulate(self, kem_public_key: bytes) -> Encapsulation:
        return SYSTEM_ENTROPY.encapsulate(kem_public_key)


class PointedStore:
    """A store in which every call is a point where something may be raised."""

    def __init__(self, inner: Store, points: Points) -> None:
        self.inner = inner
        self._points = points

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin a transaction."""
        return self._pointed() if self._points.armed else self.inner.transaction()

    @contextmanager
    def _pointed(self) -> Iterator[Transaction]:
        self._points.pass_by(is_store=True)
        with self.inner.transaction() as tx:
            pointed: Any = _PointedTransaction(tx, self._points)
            yield pointed
            self._points.pass_by(is_store=True)
        self._points.pass_by()

    def close(self) -> None:
        """Close it."""
        self.inner.close()


class _PointedTransaction:
    def __init__(self, inner: Transaction, points: Points) -> None:
        self._inner = inner
        self._points = points

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        method = getattr(self._inner, name)

        def call(*arguments: object, **keywords: object) -> object:
            self._points.pass_by(is_store=True)
            return method(*arguments, **keywords)

        return call


@dataclass(eq=False, repr=False)
class Installation:
    """One installation, from its first start until the app is deleted.

    Attributes:
        address: the user's.
        name: tells it apart.
        policy: of its device.
        clock: of its phone.
        backend: where it is registered.
        open_store: opens its store, again after a restart.
        points: of interruptions.
        on_message: called with each message that it is handed.
        is_gone: the app was deleted.
        shown: messages by sender and id, with the number of their item.
        failed: messages that could not be read by sender and id; True: it may still come.
        dropped: ids that a `not_delivered` notice named.
        pending: ids that an `identity_pending` notice named.
        keys: of notices and failures, by contact: those that the user may have to decide about.
    """

    address: Address
    name: str
    policy: Policy
    clock: FakeClock
    backend: LyingBackend
    open_store: Callable[[], Store]
    points: Points
    on_message: Callable[["Installation", Message], None]
    is_gone: bool = False
    starts: int = 0
    shown: dict[tuple[Address, bytes], int] = field(default_factory=dict)
    failed: dict[tuple[Address, bytes], bool] = field(default_factory=dict)
    dropped: set[bytes] = field(default_factory=set)
    pending: set[bytes] = field(default_factory=set)
    keys: list[tuple[Address, bytes]] = field(default_factory=list)
    _seen: dict[int, InboxItem] = field(default_factory=dict)
    _confirmed: set[int] = field(default_factory=set)
    _unsure: set[int] = field(default_factory=set)
    _handed: set[int] = field(default_factory=set)
    _owed: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.store = self.open_store()
        self.device = Device.create(
            self.address, PointedStore(self.store, self.points), **self._surroundings()
        )
        self.client = Client(self.device, self.backend)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def _surroundings(self) -> dict[str, Any]:
        self.starts += 1
        entropy = _QuickEntropy(f"{self.name} started {self.starts}")
        return {"policy": self.policy, "clock": self.clock, "entropy": entropy}

    @property
    def token(self) -> bytes:
        """What it is registered with."""
        return read_token(context_of(self.device)).value

    def restart(self) -> None:
        """End the app and start it again; what was not confirmed comes again."""
        self.store = self.open_store()
        self._handed.clear()
        self._owed = set(self._seen) - self._confirmed - self._unsure
        self.device = Device.open(PointedStore(self.store, self.points), **self._surroundings())
        self.client = Client(self.device, self.backend)

    def receive(self, limit: int = 100) -> list[InboxItem]:
        """Receive, and note all of it."""
        items = self.client.receive(limit)
        assert len(items) <= limit
        for item in items:
            self._note(item)
        return items

    def confirm(self, items: Iterable[InboxItem]) -> None:
        """Confirm; interrupted, nobody knows whether it was done."""
        listed = list(items)
        numbers = {receipt_of(item).number for item in listed}
        self._unsure |= numbers
        self.client.confirm(listed)
        self._confirmed |= numbers

    def unconfirmed(self) -> list[InboxItem]:
        """What was handed over and not confirmed for sure, in order."""
        return [item for number, item in self._seen.items() if number not in self._confirmed]

    def require_nothing_owed(self) -> None:
        """All that was not confirmed before the last restart has come again."""
        owed = self._owed - self._confirmed - self._unsure
        assert owed <= self._handed, "an item that was not confirmed did not come again"

    def is_owed(self, message_id: bytes) -> bool:
        """Whether the client lists a message among those that wait to be sent."""
        return message_id in {pending.message_id for pending in self.client.pending()}

    def _note(self, item: InboxItem) -> None:
        number = receipt_of(item).number
        assert number not in self._confirmed, "a confirmed item came again"
        assert number not in self._handed, "one client handed an item over twice"
        if number in self._seen:
            assert item.redelivered, "an item came again without its flag"
            assert type(self._seen[number]) is type(item)
        self._handed.add(number)
        self._seen[number] = item
        if isinstance(item, Message):
            key = (item.sender, item.message_id)
            assert self.shown.setdefault(key, number) == number, "a message was shown twice"
            self.on_message(self, item)
        elif isinstance(item, FailedMessage):
            if item.sender is not None and item.message_id is not None:
                key = (item.sender, item.message_id)
                self.failed[key] = self.failed.get(key, False) or item.retrying
        elif isinstance(item, Notice):
            self._note_notice(item)

    def _note_notice(self, notice: Notice) -> None:
        if notice.kind is NoticeKind.NOT_DELIVERED:
            self.dropped |= set(notice.messages)
        if notice.kind is NoticeKind.IDENTITY_PENDING:
            self.pending |= set(notice.messages)
            contact = Address(notice.user.app, notice.user.user, notice.devices[0])
            self.keys.append((contact, notice.identity_key))

    def decisions(self, contacts: Iterable[Address]) -> Iterator[tuple[Address, bytes]]:
        """What the user may decide about now: contacts, each with a key."""
        for contact in contacts:
            known = self.device.remote_identity(contact)
            if known is not None and known.pending_key is not None:
                yield contact, known.pending_key
        yield from list(dict.fromkeys(self.keys))

    def decide(self, contact: Address, key: bytes, *, accept: bool) -> bool:
        """Accept or reject a key; tells whether there was anything to decide."""
        try:
            if accept:
                self.device.accept_identity(contact, key)
            else:
                self.device.reject_identity(contact, key)
        except E2ECrossError as error:
            if error.code in ("invalid_argument", "no_session"):
                return False
            raise
        return True

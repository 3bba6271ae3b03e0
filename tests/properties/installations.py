# SPDX-License-Identifier: Apache-2.0
"""An installation of an app: clients of a store, and what the app has noted of what it was handed.

What the app notes survives every crash. So what it is handed can be held against what it has:
nothing confirmed comes again, nothing comes twice from one `Client`, and what comes from another
one of the same device, or of a device before it, is flagged; a message is shown once. When the
store is put back to a copy, that of its inbox is as it was then; what the user was told and shown
is not forgotten.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from e2ecross import Address, Client, Device, FailedMessage, Message, Notice, Policy
from e2ecross.crypto.entropy import SYSTEM_ENTROPY, Encapsulation
from e2ecross.device.device import context_of
from e2ecross.device.registering import read_token
from e2ecross.errors import E2ECrossError, IdentityChangedError, RestoredStore
from e2ecross.state.context import require_device
from e2ecross.state.inbox import ARRIVED, InboxItem, receipt_of
from e2ecross.state.inbox_holds import number_in, stripe_in
from e2ecross.state.notice import NoticeKind, notice_from_record
from e2ecross.state.receipt import Receipt
from e2ecross.stores import Store, Table, Transaction
from e2ecross.wire.inbox_records import InboxNotice, decode_arrival, decode_inbox_item
from e2ecross.wire.records import DeviceRecord
from tests.properties.epochs import Epochs, read_epochs
from tests.properties.hostile_backend import LyingBackend, Points
from tests.support.around import AroundStore
from tests.support.devices import FakeClock, Place
from tests.support.entropy import SeededEntropy
from tests.support.restores import Copy, put_back, take_copy
from tests.support.witness import Keychain

__all__ = ["MAX_RESTORES", "Installation", "Interrupted", "PointedStore", "number_at"]

MAX_RESTORES = 3  # of each installation: each takes a part of the prekey ids that are left


class Interrupted(BaseException):
    """What a signal handler may raise at any time."""


class _QuickEntropy(SeededEntropy):
    """Encapsulates as the system does: what comes out changes no decision, and takes no time."""

    def encapsulate(self, kem_public_key: bytes) -> Encapsulation:
        return SYSTEM_ENTROPY.encapsulate(kem_public_key)


class PointedStore(AroundStore):
    """A store in which every call is a point where something may be raised."""

    def __init__(self, inner: Store, points: Points) -> None:
        super().__init__(inner)
        self._points = points

    def transaction(
        self, stripe: int = 0, *, moved: bool = False
    ) -> AbstractContextManager[Transaction]:
        """Begin a transaction."""
        if self._points.armed:
            return self._pointed(stripe)
        return super().transaction(stripe, moved=moved)

    @contextmanager
    def _pointed(self, stripe: int) -> Iterator[Transaction]:
        self._points.pass_by(is_store=True)
        with self.inner.transaction(stripe) as tx:
            pointed: Any = _PointedTransaction(tx, self._points)
            yield pointed
            self._points.pass_by(is_store=True, is_inside=True)
        self._points.pass_by()


class _PointedTransaction:
    def __init__(self, inner: Transaction, points: Points) -> None:
        self._inner = inner
        self._points = points

    def at(self, stripe: int) -> "_PointedTransaction":
        """The view of a stripe, in which every call is a point, too."""
        return _PointedTransaction(self._inner.at(stripe), self._points)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        method = getattr(self._inner, name)

        def call(*arguments: object, **keywords: object) -> object:
            self._points.pass_by(is_store=True, is_inside=True)
            return method(*arguments, **keywords)

        return call


def number_at(place: tuple[Table, bytes, bytes]) -> int:
    """How the receipt of an item names it whose record is there."""
    assert isinstance(place, Place)
    number = int.from_bytes(place[2])
    return number_in(place.stripe, number) if place.stripe else number


@dataclass
class Sight:
    """What a device has seen of how far its store has come.

    Attributes:
        sure: the highest epochs that it has seen for sure.
        seen: the highest that it may have seen.
        told: the highest that the back end has told it.
        handed: numbers of items that it has handed over, or that were before it was opened.
    """

    sure: Epochs = field(default_factory=dict)
    seen: Epochs = field(default_factory=dict)
    told: Epochs = field(default_factory=dict)
    handed: set[int] = field(default_factory=set)


@dataclass(eq=False)
class Hand:
    """A client over a store that others may use at the same time.

    Attributes:
        device: of it; another client may have the same.
        client: of the device.
        sight: of the device.
        handed: numbers of items that it has handed over.
    """

    device: Device
    client: Client
    sight: Sight
    handed: set[int] = field(default_factory=set)


class Noted(NamedTuple):
    """What the app has noted of its inbox: items by number, and what it has confirmed."""

    seen: dict[int, InboxItem]
    confirmed: set[int]
    unsure: set[int]
    shown: dict[tuple[Address, bytes], int]

    def copy(self) -> "Noted":
        """The same, which may change by itself."""
        return Noted(dict(self.seen), set(self.confirmed), set(self.unsure), dict(self.shown))


class Copied(NamedTuple):
    """A copy of a store.

    Attributes:
        rows: all that it held.
        epochs: of the store.
        taken_at: when, in the back end's time.
        noted: of its inbox.
        pending: what waited to be sent.
        is_restored: nothing had been done since it was opened as restored.
    """

    rows: Copy
    epochs: Epochs
    taken_at: int
    noted: Noted
    pending: set[bytes]
    is_restored: bool

    def has_taken_in(self, data: bytes) -> bool:
        """Whether an envelope was in it although the back end had not heard of that yet."""
        taken = hashlib.sha256(data).digest()
        return any(
            place[:2] == (Table.INBOX, ARRIVED) and decode_arrival(found).envelope_hash == taken
            for place, found in self.rows.items()
        )


@dataclass(eq=False, repr=False)
class Installation:
    """One installation, from its first start until the app is deleted.

    Attributes:
        address: the user's.
        name: tells it apart.
        policy: of its device.
        clock: of its phone.
        witness: of its store, or None.
        backend: where it is registered.
        open_store: opens its store, again after a restart; or once more, as another process.
        points: of interruptions.
        on_message: called with each message that it is handed.
        is_gone: the app was deleted.
        hands: clients that are in use.
        failed: messages that could not be read by sender and id; whether it may still come, by the
            last item that said so.
        refused: messages that the policy has refused, because of the identity key that they came
            under, by sender and id.
        rejected: when the user has rejected identity keys, by contact and key.
        dropped: ids that a `not_delivered` notice named.
        pending: ids that an `identity_pending` notice named.
        keys: of notices and failures, by contact: those that the user may have to decide about.
        copies: of its store.
        losses: copies that it was put back to, and when.
        put_back_to: the last of them, as long as the store was not opened as restored.
        unheard: numbers of notices that say that it was restored, until they have come.
        stale: items that were handed over, and are not in the store any more.
    """

    address: Address
    name: str
    policy: Policy
    clock: FakeClock
    witness: Keychain | None
    backend: LyingBackend
    open_store: Callable[[bool], Store]
    points: Points
    on_message: Callable[["Installation", Message], None]
    is_gone: bool = False
    starts: int = 0
    hands: list[Hand] = field(default_factory=list)
    failed: dict[tuple[Address, bytes], bool] = field(default_factory=dict)
    refused: set[tuple[Address, bytes]] = field(default_factory=set)
    rejected: dict[tuple[Address, bytes], int] = field(default_factory=dict)
    dropped: set[bytes] = field(default_factory=set)
    pending: set[bytes] = field(default_factory=set)
    keys: list[tuple[Address, bytes]] = field(default_factory=list)
    copies: list[Copied] = field(default_factory=list)
    losses: list[tuple[Copied, int]] = field(default_factory=list)
    put_back_to: Copied | None = None
    unheard: set[int] = field(default_factory=set)
    stale: list[InboxItem] = field(default_factory=list)
    _noted: Noted = field(default_factory=lambda: Noted({}, set(), set(), {}))
    _handed: set[int] = field(default_factory=set)
    _owed: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.store = self.open_store(False)
        device = Device.create(
            self.address, PointedStore(self.store, self.points), **self._surroundings()
        )
        self.hands = [Hand(device, Client(device, self.backend), Sight())]

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def _surroundings(self) -> dict[str, Any]:
        self.starts += 1
        entropy = _QuickEntropy(f"{self.name} started {self.starts}")
        return {
            "policy": self.policy,
            "clock": self.clock,
            "entropy": entropy,
            "witness": self.witness,
        }

    # --- Clients ----------------------------------------------------------------------------

    @property
    def hand(self) -> Hand:
        """The client that is used now."""
        return self.hands[0]

    @property
    def device(self) -> Device:
        """Its device."""
        return self.hand.device

    @property
    def client(self) -> Client:
        """The client itself."""
        return self.hand.client

    @property
    def token(self) -> bytes:
        """What it is registered with."""
        return read_token(context_of(self.device)).value

    def restart(self) -> None:
        """End the app and start it again; what was not confirmed comes again.

        A store that was put back is opened as restored; a witness demands that.
        """
        self.store = self.open_store(False)
        store, copy = PointedStore(self.store, self.points), self.put_back_to
        if copy is not None and self.witness is not None and self.epoch < self.witness.number:
            with pytest.raises(RestoredStore):
                Device.open(store, **self._surroundings())
        device = Device.open(store, **self._surroundings(), restored=copy is not None)
        if copy is not None:
            device.restore_stripes()
        self._handed.clear()
        self._owed = set(self._noted.seen) - self._noted.confirmed - self._noted.unsure
        self.hands = [Hand(device, Client(device, self.backend), self._new_sight())]
        if copy is not None:
            self.put_back_to = None
            self.backend.note_new_prekeys(self.address)
            self.points.disarm()  # what is in the store is what came of opening it
            self._expect(copy)

    def _new_sight(self) -> Sight:
        return Sight(handed=set(self._noted.seen))

    def switch(self, *, same_device: bool) -> None:
        """Go on with another client of the store, of the same device or of one of its own."""
        if len(self.hands) == 1 and self.put_back_to is None:
            device, sight = self.device, self.hand.sight
            if not same_device:
                store = PointedStore(self.open_store(True), self.points)
                device, sight = Device.open(store, **self._surroundings()), self._new_sight()
            self.hands.append(Hand(device, Client(device, self.backend), sight))
        self.hands.reverse()

    @contextmanager
    def in_the_other_hand(self) -> Iterator[None]:
        """For as long as this lasts the other client is used."""
        hands = self.hands
        self.hands = hands[::-1]
        try:
            yield
        finally:
            if self.hands is not hands:  # unless the app was started again
                self.hands.reverse()

    @property
    def epochs(self) -> Epochs:
        """How far the store has come."""
        return read_epochs(self.store)

    @property
    def epoch(self) -> int:
        """How many operations were committed in it."""
        return sum(self.epochs.values())

    def stripe_of(self, contact: Address) -> int:
        """The stripe of a contact."""
        return context_of(self.device).stripe_of(contact.user_id)

    def stripes_of_items(self, items: Iterable[InboxItem]) -> set[int]:
        """The stripes of what was handed over; without stripes there is the one."""
        if not self.store.stripes:
            return {0}
        return {stripe_in(receipt_of(item).number) for item in items}

    @property
    def record(self) -> DeviceRecord:
        """Of the device."""
        with self.store.transaction() as tx:
            return require_device(tx)

    # --- Copies of the store ----------------------------------------------------------------

    def back_up(self) -> None:
        """Copy the store."""
        self.copies.append(
            Copied(
                take_copy(self.store),
                self.epochs,
                self.backend.tick(),
                self._noted.copy(),
                {waiting.message_id for waiting in self.client.pending()},
                self.record.restored_epoch == self.epoch,
            )
        )

    def put_back(self, copy: Copied) -> None:
        """Put the store back under all that use it; later copies are gone."""
        put_back(self.store, copy.rows)
        self.copies = self.copies[: self.copies.index(copy) + 1]
        self.losses.append((copy, self.backend.tick()))
        self.put_back_to, self.unheard = copy, set()
        before, self._noted = self._noted, copy.noted.copy()
        self.stale += [
            item for number, item in before.seen.items() if number not in copy.noted.seen
        ]

    def forgot(self, when: int, data: bytes | None = None) -> bool:
        """Whether it has forgotten what it did or took in then.

        Args:
            when: when it did it, or told the back end that it has it.
            data: an envelope that it has taken in, encoded.
        """
        return any(
            copy.taken_at < when < until and (data is None or not copy.has_taken_in(data))
            for copy, until in self.losses
        )

    def _expect(self, copy: Copied) -> None:
        """What waited in a copy waits, or the app is told."""
        waits = {waiting.message_id for waiting in self.client.pending()}
        before = copy.rows.keys()
        new = [
            (number_at(place), notice_from_record(item, Receipt(b"", 0)))
            for place, data in take_copy(self.store).items()
            if place[:2] == (Table.INBOX, b"") and place[2] and place not in before
            if isinstance(item := decode_inbox_item(data), InboxNotice)
        ]
        dropped = [set(each.messages) for _, each in new if each.kind is NoticeKind.NOT_DELIVERED]
        named = set[bytes]()
        for number, notice in new:
            if notice.kind is NoticeKind.RESTORED:  # of many stripes each tells its own
                named |= set(notice.messages)
                self.unheard.add(number)
        if not self.unheard:  # it is what it was when it was restored before
            self.stale.clear()
            assert copy.is_restored, "a store was opened as restored, and nobody is told"
        gone = copy.pending - waits
        assert waits <= copy.pending
        assert gone <= set[bytes]().union(*dropped), "what waited is neither there nor told"
        assert named <= gone, "what waits is told as given up"

    # --- The inbox --------------------------------------------------------------------------

    def receive(self, limit: int = 100) -> list[InboxItem]:
        """Receive, and note all of it."""
        hand, noted = self.hand, self._noted
        # What another client does meanwhile is neither before nor after.
        before, handed = noted.copy(), set(hand.sight.handed)
        items = self.client.receive(limit)
        assert len(items) <= limit
        for item in items:
            number = receipt_of(item).number
            assert number not in before.confirmed, "a confirmed item came again"
            assert item.redelivered or number not in handed, "an item came without its flag"
            self._note(hand, item)
        return items

    def confirm(self, items: Iterable[InboxItem]) -> None:
        """Confirm; interrupted, nobody knows whether it was done."""
        noted, listed = self._noted, list(items)
        numbers = {receipt_of(item).number for item in listed}
        noted.unsure.update(numbers)
        self.client.confirm(listed)
        noted.confirmed.update(numbers)

    def confirm_stale(self) -> None:
        """Confirm what is not in the store any more: nothing else may go for it."""
        self._noted.unsure.update(receipt_of(item).number for item in self.stale)
        self.client.confirm(self.stale)

    def unconfirmed(self) -> list[InboxItem]:
        """What was handed over and not confirmed for sure, in order."""
        noted = self._noted
        return [item for number, item in noted.seen.items() if number not in noted.confirmed]

    def require_nothing_owed(self) -> None:
        """All that was not confirmed before the last restart has come again."""
        assert not self.unheard, "nobody heard that a store was restored"
        owed = self._owed - self._noted.confirmed - self._noted.unsure
        assert owed <= self._handed, "an item that was not confirmed did not come again"

    def is_owed(self, message_id: bytes) -> bool:
        """Whether the client lists a message among those that wait to be sent."""
        return message_id in {pending.message_id for pending in self.client.pending()}

    def _note(self, hand: Hand, item: InboxItem) -> None:
        number, noted = receipt_of(item).number, self._noted
        # What nobody has confirmed in its time is handed to whichever of many workers looks next.
        is_again = bool(self.store.stripes) and item.redelivered
        assert number not in hand.handed or is_again, "one client handed an item over twice"
        if number in noted.seen:
            assert type(noted.seen[number]) is type(item)
        hand.handed.add(number)
        hand.sight.handed.add(number)
        self._handed.add(number)
        noted.seen[number] = item
        if isinstance(item, Message):
            key = (item.sender, item.message_id)
            assert noted.shown.setdefault(key, number) == number, "a message was shown twice"
            self.on_message(self, item)
        elif isinstance(item, FailedMessage):
            if item.sender is not None and item.message_id is not None:
                key = (item.sender, item.message_id)
                self.failed[key] = item.retrying
                if isinstance(item.error, IdentityChangedError):
                    self.keys.append((item.sender, item.error.identity_key))
                    if self.policy.refuse_changed_identity:
                        self.refused.add(key)
        elif isinstance(item, Notice):
            self._note_notice(item)

    def _note_notice(self, notice: Notice) -> None:
        if notice.kind is NoticeKind.NOT_DELIVERED:
            self.dropped |= set(notice.messages)
        if notice.kind is NoticeKind.IDENTITY_PENDING:
            assert notice.user is not None
            self.pending |= set(notice.messages)
            contact = Address(notice.user.app, notice.user.user, notice.devices[0])
            self.keys.append((contact, notice.identity_key))
        self.unheard.discard(receipt_of(notice).number)

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
                self.rejected.setdefault((contact, key), self.backend.tick())
        except E2ECrossError as error:
            if error.code in ("invalid_argument", "no_session"):
                return False
            raise
        return True

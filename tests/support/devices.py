# SPDX-License-Identifier: Apache-2.0
"""Devices, stores that can fail, and a back end that can misbehave.

ana, budi = make_device(ANA), make_device(BUDI)
introduce(ana, budi)
assert budi.decrypt(ana.encrypt(BUDI, Text("halo"))).content == Text("halo")
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from e2ecross import Address, Client, Device, Envelope, Policy, PreKeyBundle, PublishedKeys, Text
from e2ecross.address import UserId
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    DecodeError,
    MailboxFull,
    NotRegistered,
    StoreError,
    UnknownRecipient,
)
from e2ecross.stores import SQLiteStore, Store, Table, Transaction
from e2ecross.stores.base import ValuesAsBytes
from e2ecross.wire.bundle import KyberPrekey, OneTimePrekey
from e2ecross.wire.device_list import PRIMARY, SignedDeviceList
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.exchange import Deposited, KeysWanted, UserKeys, Waiting
from tests.support.around import AroundStore
from tests.support.entropy import SeededEntropy
from tests.support.store_kinds import new_store

ANA = Address("whatsapp", "ana")
BUDI = Address("instagram", "budi")
TOKO = Address("messenger", "toko-kopi")
DAY_MS = 24 * 60 * 60 * 1000
NOW_MS = 1_700_000_000_000
MESSAGE_ID = bytes(range(16))
STORE_KEY = bytes(range(32))
EVERYTHING = frozenset({10, *range(13, 21), 32, 33})
"""Capabilities of an app that shows and obeys whatever there is."""

Dump = Mapping[tuple[Table, bytes, bytes], bytes]
"""Records by `Place`."""


class Place(tuple[Table, bytes, bytes]):
    """Where a record is: table, partition and row. Of another stripe than 0 it is another place.

    Attributes:
        stripe: it is looked at with `tx.at(stripe)`.
    """

    stripe: int

    def __new__(cls, stripe: int, table: Table, partition: bytes, row: bytes) -> "Place":
        place = super().__new__(cls, (table, partition, row))
        place.stripe = stripe
        return place

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and self.stripe == getattr(other, "stripe", 0)

    __hash__ = tuple.__hash__


class FakeClock:
    """Stands still until it is advanced."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, ms: int) -> None:
        self.now_ms += ms


# --- Stores -------------------------------------------------------------------------------------


class Stores:
    """Stores of one kind, by name."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind = kind
        self._directory = directory
        self._open: dict[str, Store] = {}

    def open(self, name: str) -> Store:
        """The store of that name; the same object as long as it is open."""
        if name not in self._open:
            self._open[name] = self._new(name)
        return self._open[name]

    def reopen(self, name: str) -> Store:
        """The same store after a restart of the app; memory has no restart."""
        if self.kind == "memory":
            return self._open[name]
        self._open.pop(name).close()
        return self.open(name)

    def close(self) -> None:
        for store in self._open.values():
            store.close()

    def _new(self, name: str) -> Store:
        if self.kind == "memory":
            return new_store()
        key = STORE_KEY if self.kind == "sealed" else None
        return SQLiteStore(self._directory / f"{name}.db", key=key)


def dump(store: Store) -> Dump:
    """All that a store holds."""
    with store.transaction() as tx:
        return {
            Place(stripe, table, partition, row): record
            for table in Table
            for stripe, partition, row, record in tx.scan_all(table)
        }


def fill(store: Store, rows: Dump) -> None:
    """Put what another store holds, or held."""
    with store.transaction() as tx:
        for place, record in rows.items():
            tx.at(getattr(place, "stripe", 0)).put(*place, record)


def count_rows(store: Store, table: Table) -> int:
    return sum(1 for where in dump(store) if where[0] is table)


class Operation(NamedTuple):
    """One call of a transaction."""

    name: str
    table: Table
    partition: bytes
    row: bytes


class SpyStore(AroundStore):
    """Another store, watched: every call is noted, and it fails when told to."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.operations: list[Operation] = []
        self.rows_listed = 0
        self.fail_commit = False
        self.writes_until_failure: int | None = None
        self.fail_transactions: list[bool] = []

    @contextmanager
    def transaction(self, stripe: int = 0, *, moved: bool = False) -> Iterator[Transaction]:
        if self.fail_transactions and self.fail_transactions.pop(0):
            raise StoreError("the store is out of order")
        with self.inner.transaction(stripe, moved=moved) as tx:
            yield _SpyTransaction(tx, self)
            if self.fail_commit:
                raise StoreError("the commit has failed")

    def forget(self) -> None:
        """Begin anew to watch."""
        self.operations.clear()
        self.rows_listed = 0

    @property
    def writes(self) -> Counter[Table]:
        """How many rows of which table were written or deleted."""
        return Counter(o.table for o in self.operations if o.name in ("put", "delete"))

    @property
    def reads(self) -> Counter[Table]:
        """How often which table was read."""
        return Counter(o.table for o in self.operations if o.name in ("get", "list"))

    def note(self, name: str, table: Table, partition: bytes, row: bytes = b"") -> None:
        self.operations.append(Operation(name, table, partition, row))
        if name in ("put", "delete") and self.writes_until_failure is not None:
            if self.writes_until_failure == 0:
                raise StoreError("the write has failed")
            self.writes_until_failure -= 1


class _SpyTransaction(ValuesAsBytes):
    def __init__(self, inner: Transaction, spy: SpyStore) -> None:
        self._inner = inner
        self._spy = spy

    def get(self, table: Table, partition: bytes, row: bytes = b"") -> bytes | None:
        self._spy.note("get", table, partition, row)
        return self._inner.get(table, partition, row)

    def put(self, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
        self._spy.note("put", table, partition, row)
        self._inner.put(table, partition, row, record)

    def delete(self, table: Table, partition: bytes, row: bytes = b"") -> bool:
        self._spy.note("delete", table, partition, row)
        return self._inner.delete(table, partition, row)

    def add(self, table: Table, partition: bytes, row: bytes, record: bytes) -> bool:
        if self.get(table, partition, row) is not None:
            return False
        self._spy.note("put", table, partition, row)
        return self._inner.add(table, partition, row, record)

    def at(self, stripe: int) -> Transaction:
        return _SpyTransaction(self._inner.at(stripe), self._spy)

    def list(
        self,
        table: Table,
        partition: bytes = b"",
        *,
        limit: int | None = None,
        after: bytes | None = None,
    ) -> list[tuple[bytes, bytes]]:
        self._spy.note("list", table, partition)
        rows = self._inner.list(table, partition, limit=limit, after=after)
        self._spy.rows_listed += len(rows)
        return rows

    def partitions(
        self, table: Table, *, limit: int | None = None, after: bytes | None = None
    ) -> Sequence[bytes]:
        self._spy.note("partitions", table, b"")
        found = self._inner.partitions(table, limit=limit, after=after)
        self._spy.rows_listed += len(found)
        return found

    def clear(self, table: Table, partition: bytes, limit: int | None = None) -> int:
        self._spy.note("delete", table, partition)
        return self._inner.clear(table, partition, limit)

    def count(self, table: Table, partition: bytes = b"") -> int:
        self._spy.note("count", table, partition)
        return self._inner.count(table, partition)

    def scan(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
        for found in self._inner.scan(table):
            self._spy.rows_listed += 1
            yield found

    def scan_all(self, table: Table) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        for found in self._inner.scan_all(table):
            self._spy.rows_listed += 1
            yield found

    def stripe_count(self) -> int:
        return self._inner.stripe_count()

    def savepoint(self) -> AbstractContextManager[None]:
        return self._inner.savepoint()


# --- Devices ------------------------------------------------------------------------------------


def make_device(
    address: Address,
    store: Store | None = None,
    *,
    seed: str = "",
    clock: Callable[[], int] | None = None,
    policy: Policy | None = None,
) -> Device:
    """A device whose keys follow from its address and the seed."""
    return Device.create(
        address,
        new_store() if store is None else store,
        policy=policy,
        clock=FakeClock() if clock is None else clock,
        entropy=SeededEntropy(f"{address} {seed}"),
    )


def reopen_device(device: Device, store: Store, seed: str) -> Device:
    """The same device after a restart; the seed keeps its randomness from repeating."""
    context = device._context
    return Device.open(
        store, policy=context.policy, clock=context.clock, entropy=SeededEntropy(seed)
    )


def bundle_from(
    published: PublishedKeys, one_time: int | None = 0, *, kyber: bool = False
) -> PreKeyBundle:
    """A bundle of published keys.

    Args:
        published: by whom.
        one_time: a position among the one-time prekeys of each kind; None: without them.
        kyber: whether there is a Kyber prekey in it, the last-resort one if no one-time one.
    """
    bundle = PreKeyBundle(
        address=published.address,
        registration_id=published.registration_id,
        identity_key=published.identity_key,
        signed_prekey_id=published.signed_prekey.id,
        signed_prekey=published.signed_prekey.public_key,
        signed_prekey_signature=published.signed_prekey.signature,
    )
    if kyber:
        last_resort = published.last_resort_kyber_prekey
        bundle = with_kyber(
            bundle, last_resort if one_time is None else published.kyber_prekeys[one_time]
        )
    if one_time is None:
        return bundle
    prekey = published.one_time_prekeys[one_time]
    return replace(bundle, one_time_prekey_id=prekey.id, one_time_prekey=prekey.public_key)


def with_kyber(bundle: PreKeyBundle, prekey: KyberPrekey | None) -> PreKeyBundle:
    """The bundle with that Kyber prekey, or without any."""
    return replace(
        bundle,
        kyber_prekey_id=None if prekey is None else prekey.id,
        kyber_prekey=None if prekey is None else prekey.public_key,
        kyber_prekey_signature=None if prekey is None else prekey.signature,
    )


def new_bundle(device: Device, *, one_time: bool = True, kyber: bool = False) -> PreKeyBundle:
    """A bundle with fresh one-time prekeys, or without any."""
    published = device.publish(int(one_time))
    device.confirm_published(published)
    return bundle_from(published, 0 if one_time else None, kyber=kyber)


def start(
    initiator: Device, responder: Device, *, one_time: bool = True, kyber: bool = False
) -> None:
    """Start a session from a fresh bundle; nothing is sent."""
    initiator.start_session(new_bundle(responder, one_time=one_time, kyber=kyber))


def introduce(initiator: Device, responder: Device, *, kyber: bool = False) -> None:
    """Start a session, and exchange a message each way: neither end wraps any longer."""
    start(initiator, responder, kyber=kyber)
    say(initiator, responder, "first")
    say(responder, initiator, "answer")


def say(sender: Device, recipient: Device, text: str) -> None:
    """Send a text and see it arrive."""
    message = recipient.decrypt(sender.encrypt(recipient.address, Text(text)))
    assert (message.sender, message.content) == (sender.address, Text(text))


# --- The back end -------------------------------------------------------------------------------


@dataclass
class _Account:
    token_sha256: bytes
    published: PublishedKeys | None
    one_time: list[OneTimePrekey]
    kyber: list[KyberPrekey]
    seen_ids: set[int]  # of both kinds: a device gives no id twice
    mailbox: list[tuple[int, bytes]]
    epochs: dict[int, int] = field(default_factory=dict)

    def hear(self, told: Mapping[int, int] | None) -> dict[int, int]:
        """Keep the highest; returns what they were before."""
        told = told or {}
        before = {stripe: self.epochs.get(stripe, 0) for stripe in told}
        self.epochs.update({stripe: max(told[stripe], before[stripe]) for stripe in told})
        return before


def _new_account(token_sha256: bytes) -> _Account:
    return _Account(token_sha256, None, [], [], set(), [])


def _sha256(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


class BackendSimulator:
    """A back end in memory that can lose calls and answers, and tamper with mailboxes."""

    def __init__(self, *, capacity: int = 1000, clock: Callable[[], int] = lambda: NOW_MS) -> None:
        self.capacity = capacity
        self.clock = clock
        self.holds: dict[Address, dict[int, tuple[int, bytes]]] = {}  # until when, and for whom
        self.unreachable = False
        self.broken: dict[Address, BackendError] = {}
        self.calls: list[str] = []
        self.publications: list[bytes] = []
        self.deposits: list[bytes] = []
        self.acknowledged: list[int] = []
        self._accounts: dict[Address, _Account] = {}
        self._deposited: set[tuple[Address, Address, bytes]] = set()
        self.lists: dict[UserId, bytes] = {}  # signed lists of devices, encoded
        self.boxes: dict[bytes, list[bytes | None]] = {}  # link boxes, which stay
        self._openers: dict[bytes, Address] = {}
        self._faults: dict[str, list[tuple[Exception, bool]]] = {}
        self._next_number = 1

    # What the network does.

    def fail(self, method: str, error: Exception | None = None, *, times: int = 1) -> None:
        """Let the next calls of a method fail before they do anything."""
        assert hasattr(self, method)
        fault = (error or BackendError("the call was lost"), False)
        self._faults.setdefault(method, []).extend([fault] * times)

    def heal(self) -> None:
        """Let no call fail any more that was to."""
        self._faults.clear()

    def break_for(self, address: Address, error: BackendError | None = None) -> None:
        """Let what is deposited for somebody fail from now on: their part of the back end is down.

        What is no refusal of an envelope fails the call as a whole, whoever else is in it.
        """
        self.broken[address] = error or BackendError("a part of the back end is down")

    def lose_answer(self, method: str) -> None:
        """Let the next call of a method do its work, and its answer be lost."""
        assert hasattr(self, method)
        self._faults.setdefault(method, []).append((BackendError("the answer was lost"), True))

    # What a hostile back end does.

    def waiting(self, address: Address) -> list[Envelope]:
        return [Envelope.decode(data) for data in self.mailbox(address)]

    def mailbox(self, address: Address) -> list[bytes]:
        return [data for _, data in self._accounts[address].mailbox]

    def free(self, address: Address) -> list[bytes]:
        """What is in a mailbox and held for nobody: who receives next has it from there."""
        held = {n for n, (until, _) in self.holds.get(address, {}).items() if until > self.clock()}
        return [data for n, data in self._accounts[address].mailbox if n not in held]

    def drop(self, address: Address, index: int) -> None:
        del self._accounts[address].mailbox[index]

    def inject(self, address: Address, data: bytes) -> None:
        """Put any bytes into a mailbox."""
        self._accounts[address].mailbox.append((self._next_number, data))
        self._next_number += 1

    def backup(self) -> object:
        """All that the back end knows now, for `go_back_to`."""
        state = (self._accounts, self._deposited, self._next_number, self.lists, self.holds)
        return deepcopy(state)

    def go_back_to(self, backup: object) -> None:
        """Go on with what a backup holds."""
        state: Any = deepcopy(backup)
        self._accounts, self._deposited, self._next_number, self.lists, self.holds = state

    def forget(self, address: Address) -> None:
        """Free an address, with its keys and its mailbox; that of device 1 with the list, too."""
        del self._accounts[address]
        self._forget_list(address)

    def _forget_list(self, address: Address) -> None:
        if address.device == PRIMARY and self.lists.pop(address.user_id, b""):
            for device in self._devices(address.user_id):
                if device != PRIMARY:
                    del self._accounts[Address(address.app, address.user, device)]

    def replay(self, address: Address, index: int) -> None:
        self.inject(address, self.mailbox(address)[index])

    def reorder(self, address: Address, order: Iterable[int]) -> None:
        """Hand out what waits in another order, under the same ascending numbers."""
        box = self._accounts[address].mailbox
        datas = [box[index][1] for index in order]
        box[:] = [(number, data) for (number, _), data in zip(box, datas, strict=True)]

    def rewrite(self, address: Address, index: int, change: Callable[[bytes], bytes]) -> None:
        box = self._accounts[address].mailbox
        box[index] = (box[index][0], change(box[index][1]))

    def published(self, address: Address) -> PublishedKeys:
        published = self._accounts[address].published
        assert published is not None
        return published

    def left(self, address: Address) -> list[int]:
        """Ids of one-time prekeys that have not been handed out."""
        return [prekey.id for prekey in self._accounts[address].one_time]

    # What a back end does.

    def register(
        self, address: Address, token: bytes, *, replaces: bytes = b"", credential: bytes = b""
    ) -> None:
        with self._call("register"):
            account = self._accounts.get(address)
            if account is None:
                if address.device != PRIMARY and address.user_id in self.lists:
                    raise BackendRefused(f"{address} has to be linked")
                account = _new_account(_sha256(token))
                self._accounts[address] = account
            if replaces and account.token_sha256 == _sha256(replaces):
                account.token_sha256 = _sha256(token)
            if account.token_sha256 != _sha256(token):
                raise BackendRefused(f"{address} is taken")

    def publish(
        self, token: bytes, published: PublishedKeys, *, epoch: int = 0, replace: bool = False
    ) -> None:
        with self._call("publish"):
            account = self._account(published.address, token)
            account.hear({0: epoch})
            if replace:
                account.one_time.clear()
                account.kyber.clear()
            self.publications.append(published.encode())
            account.published = published
            for prekey in published.one_time_prekeys:
                if prekey.id not in account.seen_ids:
                    account.seen_ids.add(prekey.id)
                    account.one_time.append(prekey)
            for kyber in published.kyber_prekeys:
                if kyber.id not in account.seen_ids:
                    account.seen_ids.add(kyber.id)
                    account.kyber.append(kyber)

    def publish_devices(
        self, token: bytes, signed_list: bytes, tokens: Mapping[int, bytes], *, epoch: int = 0
    ) -> None:
        with self._call("publish_devices"):
            listed = SignedDeviceList.decode(signed_list).list
            user = listed.user
            primary = self._account(Address(user.app, user.user), token)
            primary.hear({0: epoch})
            if self.lists.get(user) == signed_list:
                return
            if listed.seq <= self._seq(user):
                raise BackendRefused(f"list {self._seq(user)} is known")
            self.lists[user] = signed_list
            for device in self._devices(user):
                if listed.find(device) is None:
                    del self._accounts[Address(user.app, user.user, device)]
            for number, sha256 in tokens.items():
                address = Address(user.app, user.user, number)
                account = self._accounts.get(address)
                is_held = account is not None and account.token_sha256 == sha256
                if listed.find(number) is not None and not is_held:
                    self._accounts[address] = _new_account(sha256)

    def _seq(self, user: UserId) -> int:
        data = self.lists.get(user)
        return 0 if data is None else SignedDeviceList.decode(data).list.seq

    def _devices(self, user: UserId) -> list[int]:
        return sorted(each.device for each in self._accounts if each.user_id == user)

    def epochs(self, address: Address, token: bytes) -> Mapping[int, int]:
        with self._call("epochs"):
            return {0: 0} | self._account(address, token).epochs

    def one_time_prekey_count(self, address: Address, token: bytes) -> int:
        with self._call("one_time_prekey_count"):
            account = self._account(address, token)
            if account.published is None or account.published.last_resort_kyber_prekey is None:
                return len(account.one_time)
            return min(len(account.one_time), len(account.kyber))

    def fetch_keys(
        self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]
    ) -> list[UserKeys | UnknownRecipient]:
        assert 1 <= len({keys.user for keys in wanted}) == len(wanted) <= 32
        with self._call("fetch_keys"):
            self._account(requester, token)
            return [self._keys_of(requester, token, keys) for keys in wanted]

    def _keys_of(
        self, requester: Address, token: bytes, wanted: KeysWanted
    ) -> UserKeys | UnknownRecipient:
        user, registered = wanted.user, self._devices(wanted.user)
        numbers = wanted.devices
        if numbers is None:
            numbers = registered if user in self.lists else [PRIMARY]
        bundles = []
        for number in sorted(numbers):
            with suppress(UnknownRecipient):
                address = Address(user.app, user.user, number)
                bundles.append(self.fetch_bundle(requester, token, address))
        if not registered and not bundles:
            return UnknownRecipient(f"{user} has not registered")
        return UserKeys(self.lists.get(user, b""), tuple(bundles))

    def fetch_bundle(self, requester: Address, token: bytes, address: Address) -> PreKeyBundle:
        with self._call("fetch_bundle"):
            self._account(requester, token)
            account = self._accounts.get(address)
            if account is None or account.published is None:
                raise UnknownRecipient(f"{address} has not registered")
            last_resort = account.published.last_resort_kyber_prekey
            bundle = bundle_from(account.published, None)
            if last_resort is not None:
                bundle = with_kyber(bundle, account.kyber.pop(0) if account.kyber else last_resort)
            if not account.one_time:
                return bundle
            prekey = account.one_time.pop(0)
            return replace(bundle, one_time_prekey_id=prekey.id, one_time_prekey=prekey.public_key)

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        assert 1 <= len(envelopes) <= 1024
        assert sum(map(len, envelopes)) <= 4 * 1024 * 1024
        refused: dict[int, BackendError] = {}
        decoded = [Envelope.decode(envelope) for envelope in envelopes]
        before = self._told_before(decoded[0].sender, epochs)
        own = decoded[0].sender.user_id
        # By message id, whether a copy for others was taken.
        heard: dict[bytes, bool] = {}
        # Those for the own account come last: they depend on the others.
        for place in sorted(range(len(decoded)), key=lambda n: decoded[n].recipient.user_id == own):
            recipient, message_id = decoded[place].recipient, decoded[place].message_id
            is_own = recipient.user_id == own
            try:
                if is_own and not heard.get(message_id, True):
                    raise BackendRefused("no copy for others was taken")
                self.deposit(token, envelopes[place], epochs=epochs)
            except (UnknownRecipient, BackendRefused, MailboxFull) as error:
                refused[place] = error
            if not is_own:
                heard[message_id] = heard.get(message_id, False) or place not in refused
        users = {own, *(envelope.recipient.user_id for envelope in decoded)}
        self._account(decoded[0].sender, token)
        return Deposited(refused, {user: self._seq(user) for user in users}, before)

    def _told_before(self, sender: Address, epochs: Mapping[int, int] | None) -> dict[int, int]:
        account = self._accounts.get(sender)
        return (
            {} if account is None else {each: account.epochs.get(each, 0) for each in epochs or ()}
        )

    def deposit_copies(
        self, token: bytes, copies: bytes, *, epochs: Mapping[int, int] | None = None
    ) -> Deposited:
        with self._call("deposit_copies"):
            decoded = EnvelopeCopies.decode(copies)
            before = self._account(decoded.sender, token).hear(epochs)
            refused: dict[int, BackendError] = {}
            for place, recipient in enumerate(decoded.recipients):
                try:
                    self.deposit(token, decoded.encode_for(recipient), epochs=epochs)
                except (UnknownRecipient, BackendRefused, MailboxFull) as error:
                    refused[place] = error
            users = {decoded.sender.user_id, *(each.user_id for each in decoded.recipients)}
            return Deposited(refused, {user: self._seq(user) for user in users}, before)

    def deposit(
        self, token: bytes, envelope: bytes, *, epochs: Mapping[int, int] | None = None
    ) -> None:
        """One envelope of a call; what is no error of its own fails the call as a whole."""
        with self._call("deposit"):
            decoded = Envelope.decode(envelope)
            if decoded.recipient in self.broken:
                raise self.broken[decoded.recipient]
            self._account(decoded.sender, token).hear(epochs)
            account = self._accounts.get(decoded.recipient)
            if account is None:
                raise UnknownRecipient(f"{decoded.recipient} has not registered")
            key = (decoded.sender, decoded.recipient, decoded.message_id)
            self.deposits.append(envelope)
            if key in self._deposited:
                return
            if len(account.mailbox) >= self.capacity:
                raise MailboxFull(f"too many messages wait for {decoded.recipient}")
            self._deposited.add(key)
            self.inject(decoded.recipient, envelope)

    def fetch(
        self,
        address: Address,
        token: bytes,
        limit: int,
        after: int = 0,
        *,
        wait_ms: int = 0,
        hold_ms: int = 0,
        holder: bytes = b"",
    ) -> list[Waiting]:
        assert limit > 0 or hold_ms
        with self._call("fetch"):
            box = self._account(address, token).mailbox
            if hold_ms:
                return self._fetch_and_hold(address, box, limit, after, hold_ms, holder)
            return [Waiting(number, data) for number, data in box if number > after][:limit]

    def _fetch_and_hold(
        self,
        address: Address,
        box: Sequence[tuple[int, bytes]],
        limit: int,
        after: int,
        hold_ms: int,
        holder: bytes,
    ) -> list[Waiting]:
        assert len(holder) == 16
        now_ms, holds = self.clock(), self.holds.setdefault(address, {})
        live = {number: held for number, held in holds.items() if held[0] > now_ms}
        new = (now_ms + hold_ms, holder)
        holds.clear()
        holds.update({number: new if held[1] == holder else held for number, held in live.items()})
        others = {
            _account_of(data)
            for number, data in box
            if number in holds and holds[number][1] != holder
        }
        found = [
            Waiting(number, data)
            for number, data in box
            if number > after
            and number not in holds
            and ((sender := _account_of(data)) is None or sender not in others)
        ][:limit]
        holds.update(dict.fromkeys((number for number, _ in found), new))
        return found

    def acknowledge(self, address: Address, token: bytes, numbers: Sequence[int]) -> None:
        with self._call("acknowledge"):
            account = self._account(address, token)
            self.acknowledged.extend(numbers)
            account.mailbox[:] = [item for item in account.mailbox if item[0] not in numbers]
            for number in numbers:
                self.holds.get(address, {}).pop(number, None)

    def put_link(
        self,
        link_id: bytes,
        slot: int,
        data: bytes,
        *,
        address: Address | None = None,
        token: bytes = b"",
    ) -> None:
        assert len(link_id) == 16
        assert 1 <= len(data) <= 10_240
        with self._call("put_link"):
            if slot != 1:
                assert address is not None
                self._account(address, token)
                if slot == 0 and link_id not in self.boxes:
                    self.boxes[link_id], self._openers[link_id] = [None, None, None], address
                if self._openers.get(link_id) != address:
                    raise BackendRefused("another device has opened this link box")
            box = self.boxes.get(link_id)
            if box is None:
                raise BackendRefused("there is no such link box")
            if box[slot] not in (None, data):
                raise BackendRefused("another message is in this link box already")
            box[slot] = data

    def get_link(self, link_id: bytes, slot: int) -> bytes | None:
        with self._call("get_link"):
            box = self.boxes.get(link_id)
            return None if box is None else box[slot]

    def _account(self, address: Address, token: bytes) -> _Account:
        account = self._accounts.get(address)
        if account is None or account.token_sha256 != _sha256(token):
            raise NotRegistered(f"the token is not that of {address}")
        return account

    @contextmanager
    def _call(self, method: str) -> Iterator[None]:
        self.calls.append(method)
        if self.unreachable:
            raise BackendError("the back end cannot be reached")
        faults = self._faults.get(method)
        error, is_late = faults.pop(0) if faults else (None, False)
        if error is not None and not is_late:
            raise error
        yield
        if error is not None:
            raise error


def _account_of(data: bytes) -> UserId | None:
    """Whom the back end takes an envelope to be from."""
    try:
        return Envelope.decode(data).sender.user_id
    except DecodeError:
        return None


def make_client(
    address: Address,
    backend: BackendSimulator,
    store: Store | None = None,
    *,
    clock: Callable[[], int] | None = None,
    policy: Policy | None = None,
) -> Client:
    """A registered client."""
    client = Client(make_device(address, store, clock=clock, policy=policy), backend)
    client.register()
    return client


def garbage() -> list[bytes]:
    """What is no envelope."""
    return [b"", b"\0", b"garbage", bytes(200), b"\xff" * 1000, bytes(128 * 1024 + 1)]

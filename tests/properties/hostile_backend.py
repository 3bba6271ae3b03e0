# SPDX-License-Identifier: Apache-2.0
"""A back end that lies, and knows afterwards what it has lost.

What it had taken and lost, and nothing else, may be missing in the end: an envelope has a `Fate`.
It is lost when no mailbox has it any more although its recipient never got it as it was. What the
recipient has fetched and acknowledged is the client's.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from e2ecross import Address, Envelope, MessageKind, PreKeyBundle, PublishedKeys
from e2ecross.address import UserId
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    MailboxFull,
    UnknownRecipient,
)
from e2ecross.wire.content import PayloadContent, RetryRequest
from e2ecross.wire.exchange import Deposited, Waiting
from e2ecross.wire.signal_message import (
    VERSIONS,
    decode_prekey_signal_message,
    decode_signal_message,
)
from tests.attacks.support import inner_message
from tests.properties.epochs import Epochs
from tests.support.devices import BackendSimulator, _Account, bundle_from, make_device

__all__ = ["BUNDLE_LIES", "NUMBER_LIES", "REFUSALS", "Fate", "LyingBackend", "Points", "Snapshot"]

REFUSALS = (UnknownRecipient, MailboxFull, BackendRefused, BackendError)
BUNDLE_LIES = ("nobody", "another", "changed", "broken")
NUMBER_LIES: Mapping[str, Callable[[int, int], int]] = {
    "higher": lambda number, _: number + 5,
    "one lower": lambda number, _: number - 1,
    "all the same": lambda _number, _place: 3,
    "descending": lambda number, place: number + 10 - 2 * place,
    "none": lambda _number, _place: 0,
    "negative": lambda number, _: -number,
    "too high": lambda number, _: number + 2**64,
    "highest": lambda _number, place: 2**64 - 2 + place,
}


class Points:
    """Where something happens in the next action: at its n-th call of a store or a back end."""

    def __init__(self) -> None:
        self._left: int | None = None
        self._event: BaseException | Callable[[], object] | None = None
        self._only_store = False
        self._is_running = False

    def arm(
        self, calls: int, event: BaseException | Callable[[], object], *, only_store: bool = False
    ) -> None:
        """Raise that, or call it, once, when so many points have been passed.

        What is called has the store for itself: it is never called inside a transaction.
        """
        self._left, self._event, self._only_store = calls, event, only_store

    @contextmanager
    def running(self) -> Iterator[None]:
        """The action that is interrupted; after it everything passes."""
        self._is_running = True
        try:
            yield
        finally:
            self.disarm()

    def disarm(self) -> None:
        """Let everything pass."""
        self._left, self._is_running = None, False

    @property
    def armed(self) -> bool:
        """Whether something is still to be raised."""
        return self._is_running and self._left is not None

    def pass_by(self, *, is_store: bool = False, is_inside: bool = False) -> None:
        """A point: before or after something is done."""
        if not self.armed or (self._only_store and not is_store):
            return
        event = self._event
        assert self._left is not None
        assert event is not None
        if is_inside and not isinstance(event, BaseException):
            return
        self._left -= 1
        if self._left < 0:
            self._left = None
            if isinstance(event, BaseException):
                raise event
            event()


@dataclass
class Fate:
    """What became of an envelope that the back end had taken.

    Attributes:
        envelope: decoded.
        content: what is in it.
        lost: how it was lost, or empty.
        damaged: the envelope with another ciphertext, when that was changed, or empty; who it is
            from and its id were not.
        readers: tokens of the installations that got it as it was, and when each said so last.
        failed: of those that got it damaged.
    """

    envelope: Envelope
    content: PayloadContent
    lost: str = ""
    damaged: bytes = b""
    readers: dict[bytes, int] = field(default_factory=dict)
    failed: dict[bytes, int] = field(default_factory=dict)

    @property
    def prekey_ids(self) -> set[int]:
        """Ids of the recipient's prekeys that it was encrypted to, when it starts a session."""
        if self.envelope.kind is not MessageKind.PREKEY:
            return set()
        message = decode_prekey_signal_message(self.envelope.ciphertext, VERSIONS)
        kyber_id = None if message.kyber is None else message.kyber.prekey_id
        ids = (message.signed_prekey_id, message.one_time_prekey_id, kyber_id)
        return {number for number in ids if number is not None}


class Snapshot(NamedTuple):
    """All of a back end's state."""

    accounts: dict[Address, _Account]
    deposited: set[tuple[Address, Address, bytes]]
    next_number: int
    lists: dict[UserId, bytes]


class LyingBackend(BackendSimulator):
    """Does all of it: drop, damage, replay, renumber, forget, refuse, hand out wrong keys."""

    def __init__(self, points: Points, contents: Mapping[bytes, PayloadContent]) -> None:
        super().__init__()
        self.points = points
        self.contents = contents
        self.fates: dict[bytes, Fate] = {}
        self.down_for: set[Address] = set()
        self.refusals: dict[Address, list[type[BackendError]]] = {}
        self.bundle_lies: dict[Address, list[str]] = {}
        self.number_lies: list[Callable[[int, int], int]] = []
        self._originals: dict[bytes, bytes] = {}  # by what they were changed to
        self.hides = 0  # so many fetches show nothing
        self.counts: list[int] = []
        self.tells_no_epoch = False
        self.epoch_lies: dict[Address, int] = {}  # so much is added
        self.told: list[Epochs] = []  # whoever calls may put another list there
        self.now = 0
        # What can go wrong with requests about messages; who asked whom.
        self.refused: set[tuple[Address, Address]] = set()
        self._released: set[Address] = set()
        # What was handed out under its number, and numbers under which something else was.
        self._served: dict[tuple[Address, int], bytes] = {}
        self._lied: set[tuple[Address, int]] = set()
        self._used_numbers: dict[tuple[bytes, int], bytes] = {}
        self._latest: dict[Address, PublishedKeys] = {}
        # Ids of prekeys that open nothing, or not for all who have got them.
        self._ids: dict[Address, set[int]] = {}
        self._handed_out: set[tuple[Address, int]] = set()
        self._useless: set[tuple[Address, int]] = set()

    # --- Lies -------------------------------------------------------------------------------

    def be_honest(self) -> None:
        """Stop lying. What was lost stays lost."""
        self._faults.clear()
        for lies in (self.down_for, self.refusals, self.bundle_lies, self.number_lies, self.counts):
            lies.clear()
        self.epoch_lies.clear()
        self.hides, self.tells_no_epoch, self.unreachable = 0, False, False

    def tick(self) -> int:
        """Let time pass; it is a number of its own then."""
        self.now += 1
        return self.now

    def known_epochs(self, address: Address) -> Epochs:
        """The highest epochs that a device has told."""
        return self._accounts[address].epochs

    def was_misled(self, fate: Fate) -> bool:
        """Whether whoever has encrypted this was handed keys that are gone, false, or another's."""
        recipient = fate.envelope.recipient
        return any((recipient, number) in self._useless for number in fate.prekey_ids)

    def note_new_prekeys(self, address: Address) -> None:
        """Note that whoever has an address has none of the prekeys that were published for it."""
        self._useless |= {(address, number) for number in self._ids.get(address, set())}

    def lose(self, address: Address, index: int) -> None:
        """Drop an envelope of a mailbox."""
        data = self.mailbox(address)[index]
        self.drop(address, index)
        self._note_losses({data}, "dropped")

    def damage(self, address: Address, index: int, place: int) -> None:
        """Change a bit of a ciphertext."""
        data = self.mailbox(address)[index]
        if data in self.fates:
            envelope = self.fates[data].envelope
            changed = bytearray(envelope.ciphertext)
            changed[place % len(changed)] ^= 1
            damaged = replace(envelope, ciphertext=bytes(changed)).encode()
            self.rewrite(address, index, lambda _: damaged)
            self.fates[data].damaged = damaged
            self._originals[damaged] = data

    def garble(self, address: Address, index: int) -> None:
        """Make an envelope something that is none."""
        data = self.mailbox(address)[index]
        self.rewrite(address, index, lambda data: data[:3])
        self._note_losses({data}, "garbled")

    def release(self, address: Address, *, keep_mail: bool = True) -> None:
        """Let whoever registers next have an address: a user has shown that it is theirs."""
        self._released.add(address)
        if not keep_mail:
            lost = set(self.mailbox(address))
            self._accounts[address].mailbox.clear()
            self._note_losses(lost, "released")

    def snapshot(self) -> Snapshot:
        """Back all up."""
        return Snapshot(
            _copied(self._accounts), set(self._deposited), self._next_number, dict(self.lists)
        )

    def put_back(self, backup: object) -> None:
        """Go back to a snapshot: everything since is forgotten, and numbers are given again."""
        assert isinstance(backup, Snapshot)
        before = {data for account in self._accounts.values() for _, data in account.mailbox}
        self._accounts = _copied(backup.accounts)
        self._deposited = set(backup.deposited)
        self._next_number = backup.next_number
        self.lists = dict(backup.lists)
        self._note_losses(before, "rolled back")

    def _note_losses(self, datas: set[bytes], how: str) -> None:
        left = {data for account in self._accounts.values() for _, data in account.mailbox}
        for data in datas - left:
            fate = self.fates.get(self._originals.get(data, data))
            if fate is not None and not fate.failed:
                fate.lost = how

    # --- Calls ------------------------------------------------------------------------------

    @contextmanager
    def _call(self, method: str) -> Iterator[None]:
        self.points.pass_by()
        with super()._call(method):
            yield
        self.points.pass_by()

    def inject(self, address: Address, data: bytes) -> None:
        """Put something into a mailbox: what was lost is there again."""
        super().inject(address, data)
        if data in self.fates:
            self.fates[data].lost = ""
        elif data in self.contents:
            self.fates[data] = Fate(Envelope.decode(data), self.contents[data])

    def register(
        self, address: Address, token: bytes, *, replaces: bytes = b"", credential: bytes = b""
    ) -> None:
        account = self._accounts.get(address)
        sha256 = hashlib.sha256(token).digest()
        if address in self._released and account is not None and account.token_sha256 != sha256:
            # The mail stays. No keys of the last installation are handed out any more.
            self._accounts[address] = _Account(sha256, None, [], [], set(), account.mailbox)
            self._forget_list(address)
        self._released.discard(address)
        super().register(address, token, replaces=replaces, credential=credential)

    def publish(
        self, token: bytes, published: PublishedKeys, *, epoch: int = 0, replace: bool = False
    ) -> None:
        try:
            super().publish(token, published, epoch=epoch, replace=replace)
        except BackendRefused:
            # If it was taken before, then its keys are still handed out.
            self._useless |= {(published.address, number) for number in _one_time_ids(published)}
            raise
        finally:
            self._latest[published.address] = published
            ids = self._ids.setdefault(published.address, set())
            ids |= {published.signed_prekey.id} | _one_time_ids(published)
            if published.last_resort_kyber_prekey is not None:
                ids.add(published.last_resort_kyber_prekey.id)

    def one_time_prekey_count(self, address: Address, token: bytes) -> int:
        left = super().one_time_prekey_count(address, token)
        return self.counts.pop(0) if self.counts else left

    def epochs(self, address: Address, token: bytes) -> Mapping[int, int]:
        return self._tell_epochs(address, super().epochs(address, token))

    def _tell_epochs(self, address: Address, epochs: Mapping[int, int]) -> Mapping[int, int]:
        lie = self.epoch_lies.get(address, 0)
        told = {each: 0 if self.tells_no_epoch else epochs[each] + lie for each in epochs}
        self.told.append(told)
        return told

    def fetch_bundle(self, requester: Address, token: bytes, address: Address) -> PreKeyBundle:
        lies = self.bundle_lies.get(address)
        lie = lies.pop(0) if lies else ""
        way = (requester, address)
        if lie == "nobody":
            self.refused.add(way)
            raise UnknownRecipient("a lie")
        try:
            bundle = super().fetch_bundle(requester, token, address)
        except (UnknownRecipient, BackendRefused):
            self.refused.add(way)
            raise
        if lie in ("another", "broken"):
            self.refused.add(way)
            if lie == "another":
                return replace(bundle, address=Address("other", "body"))
            return replace(bundle, signed_prekey_signature=bytes(64))
        if lie == "changed":
            bundle = false_bundle(address)
        self._note_useless(bundle, self._latest[address])
        return bundle

    def _note_useless(self, bundle: PreKeyBundle, latest: PublishedKeys) -> None:
        """Note keys that are gone, or that somebody else has got too."""
        address, signed = bundle.address, latest.signed_prekey.public_key
        if (bundle.identity_key, bundle.signed_prekey) != (latest.identity_key, signed):
            self._useless.add((address, bundle.signed_prekey_id))
        last_resort = latest.last_resort_kyber_prekey
        for number in (bundle.one_time_prekey_id, bundle.kyber_prekey_id):
            if number is None or (last_resort is not None and number == last_resort.id):
                continue
            if (address, number) in self._handed_out:
                self._useless.add((address, number))
            self._handed_out.add((address, number))

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        for data in envelopes:
            self._check_number(data)
            if Envelope.decode(data).recipient in self.down_for:
                raise BackendError("a part of the back end is out of reach")
        with self._call("deposit_all"):
            answer = super().deposit_all(token, envelopes, epochs=epochs, consents=consents)
        sender = Envelope.decode(envelopes[0]).sender
        return replace(answer, epochs=self._tell_epochs(sender, answer.epochs))

    def deposit(
        self, token: bytes, envelope: bytes, *, epochs: Mapping[int, int] | None = None
    ) -> None:
        decoded = Envelope.decode(envelope)
        waiting = self.refusals.get(decoded.recipient)
        try:
            if waiting:
                raise waiting.pop(0)("a lie")
            super().deposit(token, envelope, epochs=epochs)
        except BackendError:
            if isinstance(self.contents[envelope], RetryRequest):
                self.refused.add((decoded.sender, decoded.recipient))
            raise

    def _check_number(self, data: bytes) -> None:
        """No two messages leave under the same ratchet key and counter."""
        message = decode_signal_message(inner_message(Envelope.decode(data)), VERSIONS)
        inner = inner_message(Envelope.decode(data))
        before = self._used_numbers.setdefault((message.ratchet_key, message.counter), inner)
        assert before == inner, "a message key was used twice"

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
        found = super().fetch(address, token, limit, after)
        if self.hides:
            self.hides -= 1
            return []
        if self.number_lies:
            lie = self.number_lies.pop(0)
            lied = [Waiting(lie(n, place), data) for place, (n, data) in enumerate(found)]
            self._lied |= {(address, number) for number, _ in lied}
            return lied
        for number, data in found:
            self._served[address, number] = data
            # Else it may be looked for because of a lie, which is acknowledged next; by one of
            # many workers only when the app has confirmed it.
            if limit > 1 and not hold_ms:
                self._lied.discard((address, number))
        return found

    def acknowledge(self, address: Address, token: bytes, numbers: Sequence[int]) -> None:
        with self._call("acknowledge"):
            box = self._account(address, token).mailbox
            gone = dict(item for item in box if item[0] in numbers)
            box[:] = [item for item in box if item[0] not in numbers]
            for number, data in gone.items():
                if (address, number) in self._lied:
                    self._lied.discard((address, number))
                    self._note_losses({data}, "acknowledged after a lie about its number")
                elif data == self._served.get((address, number)):
                    if data in self.fates:
                        self.fates[data].readers[token] = self.tick()
                    elif data in self._originals:
                        self.fates[self._originals[data]].failed[token] = self.tick()


def false_bundle(address: Address) -> PreKeyBundle:
    """Keys that are not those of the address."""
    if address not in _FALSE:
        published = make_device(address, seed="false").publish(0)
        last = published.last_resort_kyber_prekey
        assert last is not None
        _FALSE[address] = replace(
            bundle_from(published, None),
            kyber_prekey_id=last.id,
            kyber_prekey=last.public_key,
            kyber_prekey_signature=last.signature,
        )
    return _FALSE[address]


_FALSE: dict[Address, PreKeyBundle] = {}


def _one_time_ids(published: PublishedKeys) -> set[int]:
    both = (published.one_time_prekeys, published.kyber_prekeys)
    return {prekey.id for prekeys in both for prekey in prekeys}


def _copied(accounts: Mapping[Address, _Account]) -> dict[Address, _Account]:
    return {
        address: replace(
            account,
            one_time=list(account.one_time),
            kyber=list(account.kyber),
            seen_ids=set(account.seen_ids),
            mailbox=list(account.mailbox),
            epochs=dict(account.epochs),
        )
        for address, account in accounts.items()
    }

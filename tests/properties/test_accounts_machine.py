# SPDX-License-Identifier: Apache-2.0
"""Accounts with several devices, over a back end that hides lists, shows old ones and lies.

Devices come and go while everybody writes to everybody. The back end hides the lists of an account
from another one, loses calls, answers nonsense, and somebody who has stolen an account's key shows
a list of their own to one contact. Whatever the order of events:
- nothing is encrypted to a device that is not in the list that its sender holds;
- no device hands out a message twice;
- when the back end is honest again, every live device has every message that it was promised, all
  hold the newest lists, and what is written then reaches every live device;
- nobody is warned of anything unless there are two lists, signed with one key.
"""

import itertools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from e2ecross import (
    Address,
    Client,
    FailedMessage,
    Message,
    Notice,
    NoticeKind,
    Policy,
    Text,
    UserId,
)
from e2ecross.errors import BackendError, DevicesConflict, UnknownRecipient
from e2ecross.state.accounts import find_list, find_own_account
from e2ecross.wire.device_list import SignedDeviceList
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.exchange import Deposited, KeysWanted, UserKeys
from tests.support.accounts import account, change_devices, device_of, new_client, sign_devices
from tests.support.depth import deepened
from tests.support.devices import NOW_MS, BackendSimulator, make_device
from tests.support.store_kinds import STRIPES

PRIMARIES = (Address("whatsapp", "ana"), Address("instagram", "budi"), Address("messenger", "toko"))
POLICY = Policy(one_time_prekeys_low=2, one_time_prekeys_target=6)
MAX_COMPANIONS = 2
MINUTE_MS = 60_000
CHECK_MS = 10 * MINUTE_MS
WARNINGS = {
    NoticeKind.LIST_FORK,
    NoticeKind.FOREIGN_LIST,
    NoticeKind.ACCOUNT_RESTORED,
    NoticeKind.HOSTING_CHANGED,
    NoticeKind.IDENTITY_CHANGED,
    NoticeKind.IDENTITY_PENDING,
    NoticeKind.VERSION_DOWNGRADED,
    NoticeKind.OWN_LIST_EXPIRED,
}

who = st.integers(0, len(PRIMARIES) - 1)
index = st.integers(0, 2**16)


class HidingBackend(BackendSimulator):
    """A back end that shows some accounts old lists of others, and says anything of lists.

    Attributes:
        shown: what an account is shown in the place of another's list.
        lies: numbers of lists that the next deposits are answered with.
        holders: clients by address, to see what their stores hold when they deposit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shown: dict[tuple[UserId, UserId], bytes] = {}
        self.lies: list[int] = []
        self.holders: dict[Address, Client] = {}

    def fetch_keys(
        self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]
    ) -> list[UserKeys | UnknownRecipient]:
        answers = super().fetch_keys(requester, token, wanted)
        for place, (keys, answer) in enumerate(zip(wanted, answers, strict=True)):
            shown = self.shown.get((requester.user_id, keys.user))
            if shown is not None and isinstance(answer, UserKeys):
                answers[place] = UserKeys(shown, answer.bundles)
        return answers

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        answer = super().deposit_all(token, envelopes, epochs=epochs, consents=consents)
        sender = Envelope.decode(envelopes[0]).sender
        seqs = dict(answer.seqs)
        for user in seqs:
            shown = self.shown.get((sender.user_id, user))
            if shown is not None:
                seqs[user] = SignedDeviceList.decode(shown).list.seq
            if self.lies:
                seqs[user] = self.lies.pop()
        return Deposited(answer.refused, seqs, answer.epochs)

    def deposit(
        self, token: bytes, envelope: bytes, *, epochs: Mapping[int, int] | None = None
    ) -> None:
        decoded = Envelope.decode(envelope)
        holder = self.holders[decoded.sender].device
        with holder._context.store.transaction() as tx:
            held = find_list(tx, decoded.recipient.user_id)
        assert held is not None
        assert held.find(decoded.recipient.device) is not None, "it was taken out before"
        super().deposit(token, envelope, epochs=epochs)


@dataclass
class Household:
    """An account and its devices, by number."""

    clients: dict[int, Client]
    next_number: int = 2
    is_forked: bool = False

    @property
    def phone(self) -> Client:
        return self.clients[1]

    @property
    def user(self) -> UserId:
        return self.phone.device.address.user_id


@dataclass
class Reader:
    """What a device has handed out."""

    texts: list[str] = field(default_factory=list)
    promised: set[str] = field(default_factory=set)


class AccountsMachine(RuleBasedStateMachine):
    """Three accounts on three apps."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = NOW_MS
        self.backend = HidingBackend()
        self.readers: dict[Address, Reader] = {}
        self.texts = itertools.count()
        self.houses = [Household({1: self._new(address)}) for address in PRIMARIES]
        self.warned: list[tuple[Address, Notice]] = []
        for house in self.houses:
            house.phone.register()

    def _new(self, address: Address) -> Client:
        client = new_client(address, self.backend, clock=lambda: self.now_ms, policy=POLICY)
        self.backend.holders[address] = client
        self.readers[address] = Reader()
        return client

    @property
    def _everybody(self) -> list[Client]:
        return [client for house in self.houses for client in house.clients.values()]

    def _client(self, which: int) -> Client:
        return self._everybody[which % len(self._everybody)]

    # --- What users do ----------------------------------------------------------------------

    @rule(owner=who)
    def link(self, owner: int) -> None:
        """Link a device, of which the others of the account hear later."""
        house = self.houses[owner]
        if house.is_forked or len(house.clients) > MAX_COMPANIONS or house.next_number > 60:
            return
        number, house.next_number = house.next_number, house.next_number + 1
        new = self._new(device_of(PRIMARIES[owner], number))
        house.clients[number] = new
        self.backend._faults.clear()
        change_devices(self.backend, *house.clients.values(), held_by=[house.phone, new])

    @rule(owner=who, which=index)
    def unlink(self, owner: int, which: int) -> None:
        """Take a companion out."""
        house = self.houses[owner]
        companions = sorted(number for number in house.clients if number > 1)
        if not companions or house.is_forked:
            return
        number = companions[which % len(companions)]
        del house.clients[number]
        self.backend._faults.pop("fetch", None)  # else what it has sent cannot be read any more
        with suppress(BackendError):  # it is signed, and published later
            house.phone.unlink(number)

    @rule(which=index, to=who)
    def send(self, which: int, to: int) -> None:
        """Write to an account, also to the own one."""
        self._send(self._client(which), self.houses[to])

    def _send(self, sender: Client, house: Household) -> None:
        text = f"text {next(self.texts)}"
        try:
            sent = sender.send(house.user, Text(text))
        except (BackendError, DevicesConflict):
            return
        for delivery in sent.deliveries:
            if not delivery.problem:
                self.readers[delivery.address].promised.add(text)

    @rule(which=index)
    def receive(self, which: int) -> None:
        """Receive what waits, some of it."""
        self._receive(self._client(which))

    def _receive(self, client: Client) -> int:
        address = client.device.address
        try:
            items = client.receive(50)
            client.confirm(items)
        except BackendError:
            return 0
        for item in items:
            if isinstance(item, Message):
                assert isinstance(item.content, Text)
                assert item.content.text not in self.readers[address].texts
                self.readers[address].texts.append(item.content.text)
            elif isinstance(item, FailedMessage):
                assert item.error.code == "unlisted_device"
                assert item.sender is not None
                assert item.sender not in [each.device.address for each in self._everybody]
            elif item.kind in WARNINGS:
                self.warned.append((address, item))
        return len(items)

    @rule(which=index)
    def maintain(self, which: int) -> None:
        """What an app does once an hour."""
        with suppress(BackendError, DevicesConflict):
            self._client(which).maintain()

    @rule(minutes=st.sampled_from([1, 11, 60 * 25, 60 * 24 * 8]))
    def wait(self, minutes: int) -> None:
        """Let time pass: until something is asked again, a day, until lists are renewed."""
        self.now_ms += minutes * MINUTE_MS

    # --- What the back end and thieves do ---------------------------------------------------

    @rule(reader=who, of=who)
    def hide(self, reader: int, of: int) -> None:
        """Show an account from now on what is now the list of another."""
        if reader != of:
            user = self.houses[of].user
            self.backend.shown[self.houses[reader].user, user] = self.backend.lists[user]

    @rule()
    def show(self) -> None:
        """Hide nothing any more."""
        self.backend.shown.clear()

    @rule(seqs=st.lists(st.sampled_from([0, 1, 5, 2**62]), max_size=3))
    def lie(self, seqs: list[int]) -> None:
        """Say anything of lists."""
        self.backend.lies = seqs

    @rule(method=st.sampled_from(["fetch_keys", "deposit", "fetch", "publish_devices"]))
    def lose(self, method: str) -> None:
        """Lose a call."""
        self.backend.fail(method)

    @rule(owner=who, reader=who)
    def forge(self, owner: int, reader: int) -> None:
        """Somebody who has an account's key shows one contact a list with a device of their own."""
        house = self.houses[owner]
        if owner == reader or house.is_forked:
            return
        house.is_forked = True
        held = account(house.phone.device, house.user).held
        assert held is not None
        thief = make_device(device_of(PRIMARIES[owner], 99))
        # One that leaves a device out would keep its messages from the contact, too.
        listed = [client.device for number, client in house.clients.items() if number > 1]
        forged = sign_devices(house.phone.device, *listed, thief, after=held)
        self.backend.shown[self.houses[reader].user, house.user] = forged.encode()

    # --- In the end -------------------------------------------------------------------------

    def teardown(self) -> None:
        """The back end is honest again, and everybody writes to everybody twice."""
        self.backend.shown.clear()
        self.backend.lies.clear()
        self.backend._faults.clear()
        self._until_quiet()
        for _ in range(4):
            for house in self.houses:
                if self._is_in_conflict(house):
                    house.phone.restore_devices([number for number in house.clients if number > 1])
            self.now_ms += CHECK_MS + MINUTE_MS
            for client in self._everybody:
                for house in self.houses:
                    self._send(client, house)
            self._until_quiet()
        self._check_lists()
        for client in self._everybody:
            reader = self.readers[client.device.address]
            assert reader.promised <= set(reader.texts)
        self._check_that_all_are_reached()
        if not any(house.is_forked for house in self.houses):
            assert not self.warned
        super().teardown()

    def _is_in_conflict(self, house: Household) -> bool:
        with house.phone.device._context.store.transaction() as tx:
            own = find_own_account(tx)
        return own is not None and own.conflict

    def _until_quiet(self) -> None:
        for _ in range(20):
            count = 0
            for client in self._everybody:
                with suppress(DevicesConflict):
                    client.maintain()
                count += self._receive(client)
            if not count:
                return
        raise AssertionError("it never ends")

    def _check_lists(self) -> None:
        for house in self.houses:
            own = account(house.phone.device, house.user).held
            assert own is not None
            assert [each.device for each in own.list.devices] == sorted(house.clients)
            for client in self._everybody:
                held = account(client.device, house.user).held
                assert held is not None
                assert held.list.seq == own.list.seq
                assert held.data == own.data

    def _check_that_all_are_reached(self) -> None:
        for sender, house in itertools.product(self._everybody, self.houses):
            text = f"text {next(self.texts)}"
            sent = sender.send(house.user, Text(text))
            expected = {*house.clients.values()}
            if not STRIPES:  # else other own devices get no copies
                own = next(each for each in self.houses if sender in each.clients.values())
                expected |= {*own.clients.values()}
            expected -= {sender}
            assert {delivery.address for delivery in sent.deliveries} == {
                client.device.address for client in expected
            }
            assert not any(delivery.problem for delivery in sent.deliveries)
            for client in expected:
                self._receive(client)
                assert text in self.readers[client.device.address].texts


TestAccounts = AccountsMachine.TestCase
TestAccounts.settings = settings(max_examples=deepened(25), stateful_step_count=25)

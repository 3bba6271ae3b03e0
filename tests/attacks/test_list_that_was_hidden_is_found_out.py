# SPDX-License-Identifier: Apache-2.0
"""What a back end hides of device lists comes out with the next messages between two people.

The attacker: a back end that shows one contact an old list, so that a removed device goes on
getting their messages; or that shows one contact a list which a thief of the account's key has
signed, and everybody else the true one.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import pytest

from e2ecross import Address, Device, Envelope, Notice, NoticeKind, Text, UserId
from e2ecross.device.device_lists import read_fetched_list, targets_of
from e2ecross.errors import DevicesConflict, RemoteError, UnknownRecipient
from e2ecross.protocol.device_list import Verdict
from e2ecross.state.inbox import InboxItem
from e2ecross.wire.device_list import SignedDeviceList
from e2ecross.wire.exchange import Deposited, KeysWanted, UserKeys
from tests.attacks.support import ANA, BUDI, TOKO, FakeClock
from tests.support.accounts import (
    account,
    carry,
    change_account,
    device_of,
    hold_list,
    link_devices,
    make_account,
    own_account,
    sign_devices,
    speak,
    told,
)
from tests.support.devices import (
    BackendSimulator,
    dump,
    introduce,
    make_client,
    make_device,
)

LAPTOP = device_of(ANA, 2)


class World:
    """Ana's phone and laptop, and two contacts of hers, who all have lists and talk."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.phone, self.laptop, self.budi, self.toko = (
            make_device(each, clock=self.clock) for each in (ANA, LAPTOP, BUDI, TOKO)
        )
        self.first = link_devices(self.phone, self.laptop)
        for contact in (self.budi, self.toko):
            introduce(contact, self.phone)
            introduce(contact, self.laptop)
            own = sign_devices(contact)
            for device in (contact, self.phone, self.laptop):
                hold_list(device, own)
            hold_list(contact, self.first)
            change_account(contact, ANA.user_id, written=True)
            change_account(self.phone, contact.address.user_id, written=True)

    def sent_to(self, contact: Device) -> list[int]:
        """Which of Ana's devices a contact sends to."""
        context = contact._context
        with context.store.transaction() as tx:
            targets = targets_of(context, tx, ANA.user_id, context.clock())
        assert targets is not None
        return sorted(address.device for address in targets.devices)

    def show(self, device: Device, signed: SignedDeviceList) -> Verdict:
        """Let a device ask the back end for Ana's list."""
        return read_fetched_list(device._context, ANA.user_id, signed.encode()).verdict


@pytest.fixture
def world() -> World:
    return World()


def notices(items: list[InboxItem]) -> list[NoticeKind]:
    return [item.kind for item in items if isinstance(item, Notice)]


class LyingBackend(BackendSimulator):
    """Shows one device other lists than the true ones, and keeps who was taken out."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: dict[tuple[Address, UserId], bytes] = {}

    def publish_devices(
        self, token: bytes, signed_list: bytes, tokens: Mapping[int, bytes], *, epoch: int = 0
    ) -> None:
        before = dict(self._accounts)
        super().publish_devices(token, signed_list, tokens, epoch=epoch)
        self._accounts = {**before, **self._accounts}

    def fetch_keys(
        self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]
    ) -> list[UserKeys | UnknownRecipient]:
        with self._lying_to(requester):
            return super().fetch_keys(requester, token, wanted)

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        with self._lying_to(Envelope.decode(envelopes[0]).sender):
            return super().deposit_all(token, envelopes, epochs=epochs, consents=consents)

    @contextmanager
    def _lying_to(self, whom: Address) -> Iterator[None]:
        true = self.lists
        self.lists = {
            **true,
            **{user: data for (who, user), data in self.shown.items() if who == whom},
        }
        try:
            yield
        finally:
            self.lists = true


class TestThroughClients:
    """The same with everything that clients do, and nothing else."""

    def test_a_hidden_removal(self) -> None:
        clock, backend = FakeClock(), LyingBackend()
        phone, laptop = make_account(ANA, (1, 2), backend, clock=clock)
        budi = make_client(BUDI, backend, clock=clock)
        budi.send(ANA.user_id, Text("to both"))
        phone.receive()
        phone.send(BUDI.user_id, Text("answer"))
        budi.receive()
        laptop.confirm(laptop.receive())
        clock.now_ms += 1
        old = account(budi.device, ANA.user_id).held
        assert old is not None
        backend.shown[BUDI, ANA.user_id] = old.encode()
        phone.unlink(2)
        while backend.mailbox(BUDI):
            backend.drop(BUDI, 0)  # what phone has sent at once
        clock.now_ms += 1
        budi.send(ANA.user_id, Text("the back end hides it so far"))
        phone.receive()
        before = len(backend.mailbox(LAPTOP))
        budi.receive()
        sent = budi.send(ANA.user_id, Text("not any more"))
        assert [each.address for each in sent.deliveries] == [ANA]
        assert len(backend.mailbox(LAPTOP)) == before

    def test_a_list_of_a_thief(self) -> None:
        clock, backend = FakeClock(), LyingBackend()
        (phone,) = make_account(ANA, (1,), backend, clock=clock)
        budi = make_client(BUDI, backend, clock=clock)
        budi.send(ANA.user_id, Text("halo"))
        phone.receive()
        phone.send(BUDI.user_id, Text("answer"))
        budi.receive()
        true = account(phone.device, ANA.user_id).held
        assert true is not None
        clock.now_ms += 1
        foreign = sign_devices(phone.device, make_device(device_of(ANA, 9)), after=true)
        backend.shown[BUDI, ANA.user_id] = foreign.encode()
        clock.now_ms += 1
        budi.send(ANA.user_id, Text("one"))  # the back end says that there is a newer list
        assert account(budi.device, ANA.user_id).held == foreign
        phone.receive()  # the hint: there is a newer list; the back end denies it
        assert not own_account(phone.device).conflict
        phone.send(BUDI.user_id, Text("two"))  # the hint: this one is older
        budi.receive()
        items = phone.receive()
        assert NoticeKind.FOREIGN_LIST in notices(items)
        assert own_account(phone.device).conflict
        assert account(phone.device, ANA.user_id).held == true
        with pytest.raises(DevicesConflict):
            phone.unlink(9)


class TestHiddenRemoval:
    @pytest.fixture
    def second(self, world: World) -> SignedDeviceList:
        """The laptop is removed; the back end shows Budi the list before."""
        world.clock.now_ms += 1
        second = sign_devices(world.phone, after=world.first)
        hold_list(world.phone, second)
        world.clock.now_ms += 1
        return second

    def test_her_next_message_brings_the_list(self, world: World, second: SignedDeviceList) -> None:
        before = dump(world.laptop._context.store)
        assert world.sent_to(world.budi) == [1, 2]
        speak(world.budi, world.phone)
        assert len(carry(world.phone, world.budi)) == 1
        assert account(world.budi, ANA.user_id).held == second
        assert world.sent_to(world.budi) == [1]
        assert dump(world.laptop._context.store) == before

    def test_so_does_a_message_of_the_phone(self, world: World, second: SignedDeviceList) -> None:
        """Which says that there is a list that she does not have; the back end goes on lying."""
        speak(world.phone, world.budi)
        assert account(world.budi, ANA.user_id).check_wanted
        assert world.show(world.budi, world.first) is Verdict.SAME
        assert world.sent_to(world.budi) == [1, 2]
        speak(world.budi, world.phone)
        carry(world.phone, world.budi)
        assert account(world.budi, ANA.user_id).held == second

    def test_a_message_from_before_brings_nothing(
        self, world: World, second: SignedDeviceList
    ) -> None:
        world.clock.now_ms = second.list.signed_at_ms - 1
        speak(world.budi, world.phone)
        assert not told(world.phone)

    def test_nor_does_a_renewal_that_was_not_seen(self, world: World) -> None:
        """Nothing is hidden by that, and each contact asks for it by itself."""
        renewed = sign_devices(world.phone, world.laptop, after=world.first)
        hold_list(world.phone, renewed)
        world.clock.now_ms += 1
        speak(world.budi, world.phone)
        assert not told(world.phone)

    def test_what_the_removed_device_says_is_not_followed(
        self, world: World, second: SignedDeviceList
    ) -> None:
        """It cannot have the phone push, or ask, for what it says of lists."""
        before = dump(world.phone._context.store)
        with pytest.raises(RemoteError):
            speak(world.laptop, world.phone)
        assert dump(world.phone._context.store) == before
        assert account(world.phone, ANA.user_id).held == second


class TestListOfAThief:
    @pytest.fixture
    def foreign(self, world: World) -> SignedDeviceList:
        """Whoever has the account's key adds a device; the back end shows that to Budi alone."""
        world.clock.now_ms += 1
        ghost = make_device(device_of(ANA, 9))
        foreign = sign_devices(world.phone, world.laptop, ghost, after=world.first)
        assert world.show(world.budi, foreign) is Verdict.NEWER
        assert world.sent_to(world.budi) == [1, 2, 9]
        world.clock.now_ms += 1
        return foreign

    def test_it_comes_back_to_the_phone_which_signs_nothing_more(
        self, world: World, foreign: SignedDeviceList
    ) -> None:
        before = dump(world.toko._context.store)
        speak(world.budi, world.phone)  # there is another list; the back end denies it
        assert account(world.phone, ANA.user_id).check_wanted
        assert world.show(world.phone, world.first) is Verdict.SAME
        assert not own_account(world.phone).conflict
        speak(world.phone, world.budi)  # who sees that the phone does not have it
        carry(world.budi, world.phone)
        assert own_account(world.phone).conflict
        record = account(world.phone, ANA.user_id)
        assert (record.held, record.rival) == (world.first, foreign)
        items = speak(world.budi, world.phone)
        assert notices(items) == [NoticeKind.FOREIGN_LIST]
        assert dump(world.toko._context.store) == before

    def test_whoever_is_shown_another_one_of_that_number_has_both(
        self, world: World, foreign: SignedDeviceList
    ) -> None:
        """Then the phone signs a list of its own, and either contact sends to what both have."""
        world.clock.now_ms += 1
        true = sign_devices(world.phone, world.laptop, after=world.first)
        hold_list(world.phone, true)
        world.clock.now_ms += 1
        speak(world.budi, world.phone)
        carry(world.phone, world.budi)
        assert account(world.budi, ANA.user_id).rival == true
        assert world.sent_to(world.budi) == [1, 2]
        items = speak(world.phone, world.budi)
        assert notices(items) == [NoticeKind.LIST_FORK]
        carry(world.budi, world.phone)
        assert own_account(world.phone).conflict
        assert cast("SignedDeviceList", account(world.phone, ANA.user_id).rival) == foreign

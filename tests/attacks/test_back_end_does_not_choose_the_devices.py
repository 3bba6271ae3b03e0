# SPDX-License-Identifier: Apache-2.0
"""Which devices a message is encrypted for is said by signed lists, and by no answer of a back end.

The attacker: a back end that adds devices of its own to lists and hands out their keys, puts other
keys in the place of genuine ones, denies lists, tells of newer ones that there are not, and lets
the devices of an account change while a message is on its way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from e2ecross import Address, Client, Envelope, Message, PreKeyBundle, Sent, Text, UserId
from e2ecross.errors import (
    BackendError,
    InvalidSignature,
    MailboxFull,
    UnknownRecipient,
    UntrustedIdentity,
)
from e2ecross.protocol.device_list import sign_list
from e2ecross.stores import Table
from e2ecross.wire.account_records import AccountRecord
from e2ecross.wire.device_list import ListedDevice, SignedDeviceList
from e2ecross.wire.exchange import Deposited, KeysWanted, UserKeys
from tests.attacks.support import ANA, BUDI, FakeClock
from tests.support.accounts import (
    account,
    change_account,
    change_devices,
    device_of,
    hold_list,
    make_account,
    new_client,
    sign_devices,
)
from tests.support.device_lists import Household
from tests.support.devices import BackendSimulator, Dump, dump, make_client, make_device

BUDIS = BUDI.user_id
TABLET, GHOST = device_of(BUDI, 2), device_of(BUDI, 3)


def _as_it_is(bundle: PreKeyBundle) -> PreKeyBundle:
    return bundle


def _nothing() -> None:
    pass


class HostileBackend(BackendSimulator):
    """One that says whatever it likes of Budi's devices, to everybody."""

    def __init__(self) -> None:
        super().__init__(capacity=100)
        self.shown: bytes | None = None
        self.swap: Callable[[PreKeyBundle], PreKeyBundle] = _as_it_is
        self.claimed: Mapping[UserId, int] = {}
        self.meanwhile: Callable[[], object] = _nothing
        self.hidden: set[Address] = set()
        self.questions = 0

    def fetch_keys(
        self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]
    ) -> list[UserKeys | UnknownRecipient]:
        self.questions += 1
        answers = list(super().fetch_keys(requester, token, wanted))
        for place, (asked, keys) in enumerate(zip(wanted, answers, strict=True)):
            if asked.user == BUDIS and isinstance(keys, UserKeys):
                shown = keys.device_list if self.shown is None else self.shown
                bundles = [each for each in keys.bundles if each.address not in self.hidden]
                answers[place] = UserKeys(shown, tuple(map(self.swap, bundles)))
        self.meanwhile()
        return answers

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        found = super().deposit_all(token, envelopes, epochs=epochs, consents=consents)
        return Deposited(found.refused, {**found.seqs, **self.claimed}, found.epochs)


class World:
    """Ana, who has Budi's list and writes to both of his devices."""

    def __init__(self) -> None:
        self.clock, self.backend = FakeClock(), HostileBackend()
        self.phone, self.tablet = make_account(BUDI, (1, 2), self.backend, clock=self.clock)
        self.ana = make_client(ANA, self.backend, clock=self.clock)

    def genuine(self) -> SignedDeviceList:
        return SignedDeviceList.decode(self.backend.lists[BUDIS])

    def forged(self, signer: str) -> SignedDeviceList:
        """The next list with a device of the back end in it, signed by whom the back end can be."""
        genuine = self.genuine()
        ghost = make_device(GHOST)._context.identity_key_pair
        home = Household(BUDIS)
        home.move_in(3, ghost)
        consent = home.entry(3).device_signature  # for another account key, as it is
        entry = ListedDevice(3, ghost.public, consent)
        forged = replace(genuine.list, seq=9, previous=b"", devices=(*genuine.list.devices, entry))
        pairs = {"ghost": ghost, "tablet": self.tablet.device._context.identity_key_pair}
        if signer in pairs:
            return sign_list(forged, pairs[signer], home.entropy)
        return SignedDeviceList(forged.encode(), genuine.signature, forged)  # nobody

    def write(self, text: str = "halo") -> Sent:
        return self.ana.send(str(BUDIS), Text(text))

    def put_in_the_place_of(self, victim: Address) -> None:
        """Hand out keys of somebody else for a device."""
        other = make_device(victim, seed="eve").publish(one_time=0).bundle()

        def swap(bundle: PreKeyBundle) -> PreKeyBundle:
            return other if bundle.address == victim else bundle

        self.backend.swap = swap

    def known(self) -> tuple[AccountRecord, Dump]:
        """What Ana's store has of Budi's list, but for when it has asked; and of all identities."""
        record = replace(account(self.ana.device, BUDIS), checked_at_ms=0, check_wanted=False)
        return record, self.rows(Table.REMOTE_IDENTITIES)

    def rows(self, *tables: Table) -> Dump:
        """What Ana's store holds in these tables."""
        rows = dump(self.ana.device._context.store)
        return {key: row for key, row in rows.items() if key[0] in tables}

    def written_to(self) -> set[Address]:
        """Whom something was encrypted for, of all that the back end has been given."""
        return {Envelope.decode(data).recipient for data in self.backend.deposits}


@pytest.fixture
def world() -> World:
    return World()


def reached(sent: Sent) -> dict[int, str]:
    """Which of Budi's devices a message is for, and what is wrong with each."""
    found = {each.address: each.problem for each in sent.deliveries}
    assert {address.user_id for address in found} == {BUDIS}
    return {address.device: problem for address, problem in found.items()}


def read(client: Client) -> list[str]:
    items = client.receive()
    client.confirm(items)
    texts = [item.content for item in items if isinstance(item, Message)]
    return [content.text for content in texts if isinstance(content, Text)]


# --- Lists --------------------------------------------------------------------------------------

SIGNERS = ["ghost", "tablet", "nobody"]


@pytest.mark.parametrize("signer", SIGNERS)
def test_a_device_that_is_added_to_a_list_gets_nothing(world: World, signer: str) -> None:
    world.write("before")
    before, forged = world.known(), world.forged(signer)
    asked = world.backend.questions
    world.backend.shown, world.backend.claimed = forged.encode(), {BUDIS: forged.list.seq}
    assert reached(world.write()) == {1: "", 2: ""}
    assert world.backend.questions == asked + 1  # the list was looked at
    assert world.known() == before
    assert world.written_to() == {BUDI, TABLET}
    assert read(world.phone) == read(world.tablet) == ["before", "halo"]


@pytest.mark.parametrize("signer", SIGNERS)
def test_at_first_contact_such_a_list_is_an_error(world: World, signer: str) -> None:
    before, forged = world.known(), world.forged(signer)
    world.backend.shown = forged.encode()
    with pytest.raises(InvalidSignature):
        world.write()
    assert (world.known(), world.written_to()) == (before, set())
    world.backend.shown = None
    assert reached(world.write()) == {1: "", 2: ""}


def test_an_account_that_had_a_list_never_counts_as_one_without(world: World) -> None:
    world.write("before")
    before = world.known()
    world.backend.shown, world.backend.claimed = b"", {BUDIS: 0}
    change_account(world.ana.device, BUDIS, check_wanted=True)
    assert reached(world.write()) == {1: "", 2: ""}
    assert world.known() == before


@pytest.mark.parametrize("seq", [3, 2**62])
def test_a_list_that_there_is_not_costs_one_question(world: World, seq: int) -> None:
    world.write("before")
    before, asked = world.known(), world.backend.questions
    world.backend.claimed = {BUDIS: seq, ANA.user_id: seq}
    for _ in range(20):
        assert reached(world.write()) == {1: "", 2: ""}
    assert world.backend.questions <= asked + 2  # of either account
    assert world.known() == before
    assert len(read(world.tablet)) == 21


# --- Keys ---------------------------------------------------------------------------------------


def test_other_keys_for_a_listed_device_get_nothing_and_stop_no_other(world: World) -> None:
    world.put_in_the_place_of(TABLET)
    assert reached(world.write()) == {1: "", 2: "unlisted_device"}
    assert world.written_to() == {BUDI}
    assert (read(world.phone), read(world.tablet)) == (["halo"], [])
    world.backend.swap = _as_it_is
    assert reached(world.write("again")) == {1: "", 2: ""}
    assert read(world.tablet) == ["again"]


@pytest.mark.parametrize("is_listed", [False, True])
def test_keys_that_nobody_has_signed_get_nothing_and_say_whose_they_are(
    world: World, is_listed: bool
) -> None:
    """Of a listed key it is the signature that is wrong, of another one first the key."""
    if not is_listed:
        world.put_in_the_place_of(TABLET)
    handed_out = world.backend.swap

    def swap(bundle: PreKeyBundle) -> PreKeyBundle:
        bundle = handed_out(bundle)
        if bundle.address != TABLET:
            return bundle
        return replace(bundle, signed_prekey_signature=bytes(64))

    world.backend.swap = swap
    problem = "invalid_signature" if is_listed else "unlisted_device"
    assert reached(world.write()) == {1: "", 2: problem}
    assert world.written_to() == {BUDI}
    assert not world.ana.device.has_session(TABLET)
    assert (read(world.phone), read(world.tablet)) == (["halo"], [])


def test_other_keys_for_device_1_are_a_changed_identity_of_the_account(world: World) -> None:
    world.put_in_the_place_of(BUDI)
    with pytest.raises(UntrustedIdentity):
        world.write()
    assert world.written_to() == set()
    known, rows = world.known()
    eve = make_device(BUDI, seed="eve").identity_key
    assert known.held is None or known.held == world.genuine()  # which is signed
    assert not any(eve in row for row in rows.values())
    world.backend.swap = _as_it_is
    assert reached(world.write()) == {1: "", 2: ""}


def test_a_device_without_keys_or_with_a_full_mailbox_stops_no_other(world: World) -> None:
    laptop = new_client(device_of(BUDI, 4), world.backend, clock=world.clock)
    change_devices(world.backend, world.phone, world.tablet, laptop)
    world.backend.hidden = {laptop.device.address}
    world.backend.break_for(TABLET, MailboxFull("there is no room"))
    assert reached(world.write()) == {1: "", 2: "mailbox_full", 4: "unknown_recipient"}
    assert (read(world.phone), read(world.tablet)) == (["halo"], [])


# --- Devices that come and go -------------------------------------------------------------------


def test_a_device_that_goes_while_a_message_is_planned_gets_nothing(world: World) -> None:
    """The list without it arrives by another way, between the question and the commit."""

    def remove() -> None:
        world.backend.meanwhile = _nothing
        hold_list(world.ana.device, change_devices(world.backend, world.phone))

    world.backend.meanwhile = remove
    assert reached(world.write()) == {1: ""}
    assert world.written_to() == {BUDI}


def test_devices_that_never_stand_still_are_not_written_to(world: World) -> None:
    spares = [new_client(device_of(BUDI, n), BackendSimulator()).device for n in range(3, 9)]

    def change() -> None:
        """Another list, with a device that there was not before."""
        held = account(world.ana.device, BUDIS).held
        listed = sign_devices(world.phone.device, spares.pop(), after=held)
        hold_list(world.ana.device, listed)

    world.write("before")
    change()
    world.backend.meanwhile = change
    before, deposits = world.rows(Table.SENT), len(world.backend.deposits)
    with pytest.raises(BackendError, match="keep changing"):
        world.write()
    assert len(world.backend.deposits) == deposits
    assert world.rows(Table.SENT) == before
    assert not world.ana.pending()
    assert len(spares) == 6 - 1 - 3
    world.backend.meanwhile = _nothing
    assert reached(world.write())[1] == ""

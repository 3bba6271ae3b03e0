# SPDX-License-Identifier: Apache-2.0
"""`confirm` closes what is of this device's inbox, whoever handed it out, and nothing else."""

from dataclasses import replace

import pytest

from e2ecross import Client, Device, Message, Notice, NoticeKind, Text
from e2ecross.errors import HostingChanged, InvalidArgument
from e2ecross.state.receipt import Receipt
from e2ecross.stores import MemoryStore
from tests.client.conversation import left, read, reopen, send, shown, store_of
from tests.support.accounts import account, hold_list, sign_devices
from tests.support.devices import ANA, BUDI, TOKO, BackendSimulator, dump, make_client
from tests.support.entropy import SeededEntropy


@pytest.fixture
def people(backend: BackendSimulator) -> tuple[Client, Client, Client]:
    """Two who were written to by the third."""
    ana, budi, toko = (make_client(address, backend) for address in (ANA, BUDI, TOKO))
    for address in (ANA, BUDI):
        for text in ("one", "two"):
            toko.send(address, Text(text))
    return ana, budi, toko


def test_items_of_another_account_close_nothing(
    people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    ana, budi, _ = people
    of_ana, of_budi = ana.receive(), budi.receive()
    before = dump(store_of(budi))
    for items in (of_ana, [*of_budi, of_ana[0]], [of_ana[0], *of_budi]):
        with pytest.raises(InvalidArgument, match="items must be of this device"):
            budi.confirm(items)
    assert dump(store_of(budi)) == before
    assert shown(reopen(budi, backend).receive()) == ["one", "two"]


def test_items_of_any_client_of_the_store_may_be_confirmed(
    people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    ana, _, _ = people
    items = ana.receive()
    again = reopen(ana, backend)
    again.confirm(items)  # of before the restart
    assert again.receive() == reopen(ana, backend).receive() == []
    ana.confirm(items)
    again.confirm(items)


def test_an_item_is_known_by_its_receipt_alone(
    people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    ana, _, _ = people
    one, _ = ana.receive()
    assert isinstance(one, Message)
    ana.confirm([replace(one, content=Text("as the app keeps it"), redelivered=True)])
    assert shown(reopen(ana, backend).receive()) == ["two"]


@pytest.mark.parametrize("number", [0, -1, 3, 2**63, 2**64, 2**80])
def test_a_number_that_was_never_given_is_refused(
    number: int, people: tuple[Client, Client, Client]
) -> None:
    ana, _, _ = people
    one, two = ana.receive()
    assert one.receipt is not None
    with pytest.raises(InvalidArgument, match="items must be of this device"):
        ana.confirm([two, replace(one, receipt=Receipt(one.receipt.inbox, number))])
    ana.confirm([one, two])


def test_items_of_the_installation_before_are_of_another_inbox(
    people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    """The identity is the same, the store is not."""
    ana, _, toko = people
    items = ana.receive()
    ana.confirm(items)
    backup = ana.device.export_identity("four words and more", cost="interactive")
    device = Device.import_identity(
        backup, "four words and more", MemoryStore(), entropy=SeededEntropy("imported")
    )
    new = Client(device, backend)
    new.register()
    toko.send(ANA, Text("three"))
    assert read(new) == ["!unknown_prekey"]
    toko.receive()
    of_new = new.receive()
    assert shown(of_new) == ["three"]
    with pytest.raises(InvalidArgument, match="items must be of this device"):
        new.confirm(items)
    new.confirm(of_new)


def test_items_of_before_a_restart_are_closed_by_any_client_of_the_store(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0", "1")
    items = budi.receive()
    again = reopen(budi, backend)
    again.confirm(items[:1])
    assert shown(again.receive()) == ["1"]
    budi.confirm(again.receive() + items)
    assert left(budi.device._context.store) == 0
    ana.maintain()
    before = dump(ana.device._context.store)
    send(budi, ANA, "2")
    theirs = ana.receive()
    with pytest.raises(InvalidArgument):
        budi.confirm(theirs)
    ana.confirm(theirs)
    assert before.keys() <= dump(ana.device._context.store).keys()


def raise_hosting(reader: Client, whose: Client, hosting: int) -> Notice:
    """Let a list be accepted in which more than before hold keys; returns what is told of it."""
    before = account(reader.device, whose.device.address.user_id).held
    hold_list(reader.device, sign_devices(whose.device, after=before, hosting=hosting))
    (notice,) = reader.receive()
    assert isinstance(notice, Notice)
    assert notice.kind is NoticeKind.HOSTING_CHANGED
    return notice


@pytest.mark.usefixtures("alone")
def test_who_hosts_an_account_has_to_be_confirmed_before_it_is_sent_to(
    people: tuple[Client, Client, Client],
) -> None:
    ana, budi, toko = people
    ana.confirm(ana.receive())
    for address in (BUDI, TOKO):
        ana.send(address, Text("halo"))
    first = raise_hosting(ana, budi, 2)
    other = raise_hosting(ana, toko, 2)
    ana.confirm([other])
    ana.send(TOKO, Text("halo"))
    with pytest.raises(HostingChanged):
        ana.send(BUDI, Text("halo"))
    ana.confirm([first])
    ana.confirm([first])
    ana.send(BUDI, Text("halo"))


@pytest.mark.usefixtures("alone")
def test_what_was_shown_before_the_newest_change_says_less(pair: tuple[Client, Client]) -> None:
    ana, budi = pair
    first = raise_hosting(ana, budi, 1)
    newest = raise_hosting(ana, budi, 2)
    ana.confirm([first])
    with pytest.raises(HostingChanged):
        ana.send(BUDI, Text("halo"))
    ana.confirm([newest])
    ana.send(BUDI, Text("halo"))

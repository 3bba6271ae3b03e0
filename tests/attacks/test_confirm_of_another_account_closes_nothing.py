# SPDX-License-Identifier: Apache-2.0
"""Confirming closes items of the own inbox alone, whatever else has the same number.

The attacker: an app with several accounts, which mixes up their items; and one that confirms what
nobody has handed out.
"""

from dataclasses import replace

import pytest

from e2ecross import Client, Text
from e2ecross.errors import InvalidArgument
from e2ecross.state.receipt import Receipt
from tests.attacks.hostile_backend import HostileBackend, Party, party, results
from tests.attacks.support import ANA, BUDI, TOKO


@pytest.fixture
def accounts() -> tuple[HostileBackend, Party, Party]:
    """Ana and Budi on one phone; for each a message waits, under the same number."""
    backend = HostileBackend()
    ana, budi, toko = party(ANA, backend), party(BUDI, backend), party(TOKO, backend)
    toko.client.send(ANA, Text("for ana"))
    toko.client.send(BUDI, Text("for budi"))
    return backend, ana, budi


def test_an_item_of_another_account(accounts: tuple[HostileBackend, Party, Party]) -> None:
    _, ana, budi = accounts
    of_ana, of_budi = ana.client.receive(), budi.client.receive()
    assert results(of_ana) == ["for ana"]
    assert of_ana[0].receipt is not None
    assert of_budi[0].receipt is not None
    assert of_ana[0].receipt.number == of_budi[0].receipt.number
    before = ana.person.dump(), budi.person.dump()
    for who, items in ((ana, of_budi), (budi, of_ana), (ana, [*of_ana, *of_budi])):
        with pytest.raises(InvalidArgument):
            who.client.confirm(items)
        assert (ana.person.dump(), budi.person.dump()) == before
    for who, text in ((ana, "for ana"), (budi, "for budi")):
        who.restart()
        items = who.client.receive()
        assert results(items) == [text]
        who.client.confirm(items)
        who.restart()
        assert who.client.receive() == []


def test_an_item_of_another_installation_of_the_address(
    accounts: tuple[HostileBackend, Party, Party],
) -> None:
    """The app was installed anew, and still holds what it was handed before."""
    backend, ana, _ = accounts
    old = ana.client.receive()
    backend.forget(ANA)
    new = party(ANA, backend, installation="new")
    toko = party(TOKO, HostileBackend())
    toko.person.start(new.person, one_time=False, kyber=True)
    backend.plant(ANA, [toko.person.send(new.person, "for the new one")])
    assert results(new.client.receive()) == ["for the new one"]
    before = new.person.dump()
    with pytest.raises(InvalidArgument):
        new.client.confirm(old)
    assert new.person.dump() == before


def test_an_item_that_was_never_there(accounts: tuple[HostileBackend, Party, Party]) -> None:
    _, ana, _ = accounts
    [item] = ana.client.receive()
    assert item.receipt is not None
    own = item.receipt
    before = ana.person.dump()
    made_up = [
        replace(item, receipt=None),
        *(replace(item, receipt=Receipt(own.inbox, n)) for n in (0, -1, own.number + 1, 2**63)),
        replace(item, receipt=Receipt(bytes(32), own.number)),
        replace(item, receipt=(own.inbox, own.number)),  # type: ignore[arg-type]
    ]
    for wrong in made_up:
        with pytest.raises(InvalidArgument):
            ana.client.confirm([wrong, item])
        assert ana.person.dump() == before
    ana.client.confirm([item])
    assert ana.client.receive() == []


def test_any_client_of_the_store_may_confirm_also_after_a_restart(
    accounts: tuple[HostileBackend, Party, Party],
) -> None:
    backend, ana, _ = accounts
    items = ana.client.receive()
    ana.restart()
    Client(ana.person.device, backend).confirm(items)
    ana.client.confirm(items)  # again: nothing
    assert ana.client.receive() == []

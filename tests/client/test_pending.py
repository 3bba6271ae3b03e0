# SPDX-License-Identifier: Apache-2.0
"""`Client.pending`: what still waits to be sent, and what for."""

import pytest

from e2ecross import Address, Client, Text
from e2ecross.device.waiting import Pending
from e2ecross.errors import BackendError, MailboxFull
from tests.client.conversation import forget_sessions, meet, promise, read, reopen, waiting
from tests.support.devices import ANA, BUDI, TOKO, BackendSimulator, make_client, make_device
from tests.support.lone_worker import end_holds


@pytest.fixture
def ana(backend: BackendSimulator) -> Client:
    ana = make_client(ANA, backend)
    for address in (BUDI, TOKO):
        meet(ana, make_client(address, backend))
    return ana


def test_nothing_waits_after_what_was_sent(ana: Client) -> None:
    ana.send(BUDI, Text("halo"))
    assert ana.pending() == []


def test_what_waits_is_listed_by_recipient_in_its_order_also_after_a_restart(
    ana: Client, backend: BackendSimulator
) -> None:
    backend.unreachable = True
    one, two = promise(ana, BUDI, "one", "two")
    (three,) = promise(ana, TOKO, "three")
    (four,) = promise(ana, BUDI, "four")
    listed = [Pending(n, BUDI, "backend_error") for n in (one, two, four)]
    other = [Pending(three, TOKO, "backend_error")]
    assert ana.pending() in (listed + other, other + listed)
    again = reopen(ana, backend)
    assert again.pending() == ana.pending()
    backend.unreachable = False
    again.maintain()
    assert ana.pending() == again.pending() == []


def test_it_says_what_each_waits_for(ana: Client, backend: BackendSimulator) -> None:
    backend.fail("deposit", times=2)
    (one,) = promise(ana, BUDI, "one")
    (two,) = promise(ana, TOKO, "two")
    backend.break_for(BUDI, MailboxFull("full"))
    backend.break_for(TOKO)
    with pytest.raises(BackendError):
        ana.maintain()
    assert set(ana.pending()) == {
        Pending(one, BUDI, "mailbox_full"),
        Pending(two, TOKO, "backend_error"),
    }
    backend.broken.clear()
    end_holds(ana, backend)
    backend.break_for(BUDI)
    with pytest.raises(BackendError):
        ana.maintain()
    assert ana.pending() == [Pending(one, BUDI, "backend_error")]


def test_requests_are_none_of_the_apps_messages(ana: Client, backend: BackendSimulator) -> None:
    budi = make_client(Address("threads", "citra"), backend)
    meet(ana, budi)
    budi.send(ANA, Text("lost"))
    forget_sessions(ana)
    backend.fail("fetch_bundle")
    assert read(ana) == ["!unknown_session"]
    assert len(waiting(ana)) == 1
    assert ana.pending() == []


def test_it_asks_nobody_and_changes_nothing(ana: Client, backend: BackendSimulator) -> None:
    backend.fail("deposit")
    promise(ana, BUDI, "one")
    backend.calls.clear()
    assert ana.pending() == ana.pending()
    assert backend.calls == []


def test_an_unregistered_device_has_nothing_to_send(backend: BackendSimulator) -> None:
    assert Client(make_device(ANA), backend).pending() == []

# SPDX-License-Identifier: Apache-2.0
"""What the back end still has, of which it is asked by number."""

from collections.abc import Iterable

import pytest

from e2ecross import Client, Text
from e2ecross.address import Address
from e2ecross.client.held_incoming import tell
from e2ecross.client.incoming import forget_what_is_gone
from e2ecross.client.remaining import ask_for
from e2ecross.device.acknowledging import Acknowledging
from e2ecross.state.inbox_holds import hash_envelope
from e2ecross.stores import MemoryStore
from e2ecross.wire.exchange import Waiting
from tests.client.conversation import read
from tests.support.devices import ANA, BUDI, BackendSimulator, make_client


class Cutting(BackendSimulator):
    """Hands out pages that are shorter than was asked for, and counts them."""

    size = 1_000
    pages = 0

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
        self.pages += 1
        return super().fetch(address, token, min(limit, self.size), after)


@pytest.fixture
def backend() -> Cutting:
    return Cutting()


@pytest.fixture
def ana(backend: Cutting) -> Client:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    for number in range(6):
        budi.send(ANA, Text(str(number)))
    box = backend._accounts[ANA].mailbox
    box[:] = [(10 * place, data) for place, (_, data) in enumerate(box, 1)]  # 10 to 60
    return ana


def ask(client: Client, numbers: Iterable[int]) -> tuple[list[int], list[int]]:
    there, gone = ask_for(client._way(), numbers)
    return sorted(there), gone


@pytest.mark.parametrize("size", [1, 2, 1_000])
def test_what_is_there_and_what_is_gone(size: int, backend: Cutting, ana: Client) -> None:
    backend.size = size
    assert ask(ana, (30, 5, 10, 20, 31, 60, 99)) == ([10, 20, 30, 60], [5, 31, 99])
    assert ask(ana, (99, 61)) == ([], [61, 99])


def test_it_is_told_what_it_has_there(backend: Cutting, ana: Client) -> None:
    there, gone = ask_for(ana._way(), [20, 20])
    assert (there, gone) == ({20: backend.mailbox(ANA)[1]}, [])


def test_nobody_is_asked_for_nothing(backend: Cutting, ana: Client) -> None:
    assert ask(ana, ()) == ([], [])
    assert backend.pages == 0


def test_what_follows_each_other_takes_one_call(backend: Cutting, ana: Client) -> None:
    ask(ana, range(10, 70, 10))
    assert backend.pages == 1


def test_of_what_would_take_too_many_calls_nothing_is_said(backend: Cutting, ana: Client) -> None:
    box = backend._accounts[ANA].mailbox
    data, backend.size = box[0][1], 1
    box[:] = [(number, data) for number in range(1, 101)]
    assert ask(ana, range(1, 101)) == ([*range(1, 17)], [])


def test_what_nothing_is_known_of_is_asked_for_again(backend: Cutting, ana: Client) -> None:
    box = backend._accounts[ANA].mailbox
    data, backend.size = box[0][1], 1
    box[:] = [(number, data) for number in range(1, 21)]
    acknowledging = Acknowledging()
    acknowledging.note_unsure(1, dict.fromkeys(range(1, 21), hash_envelope(data)))
    tell(ana._way(), acknowledging)
    assert [each.number for each in acknowledging.unsure(20)] == [17, 18, 19, 20]
    assert [number for number, _ in box] == [17, 18, 19, 20]
    tell(ana._way(), acknowledging)
    assert (acknowledging.unsure(20), box) == ([], [])


def test_no_number_is_forgotten_that_may_stand_behind_a_page_that_was_cut(backend: Cutting) -> None:
    """It is cut where it has 4 MiB."""
    ana, budi = make_client(ANA, backend, MemoryStore(0)), make_client(BUDI, backend)
    for text in ("one", "two", "three"):
        budi.send(ANA, Text(text))
    backend.fail("acknowledge")
    assert read(ana) == ["one", "two", "three"]
    backend.size = 1
    again = Client(ana.device, backend)
    forget_what_is_gone(again._way())
    assert read(again) == []
    assert backend.mailbox(ANA) == []

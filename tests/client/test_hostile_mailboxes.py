# SPDX-License-Identifier: Apache-2.0
"""Receiving from a back end that does not keep to what was asked, and beside another process."""

from collections.abc import Sequence

from e2ecross import Address, Client, FailedMessage
from e2ecross.state.inbox import InboxItem
from e2ecross.wire.exchange import Waiting
from tests.client.conversation import left, reopen, send, shown
from tests.support.devices import ANA, BUDI, BackendSimulator, make_client
from tests.support.store_kinds import STRIPES


class Overflowing(BackendSimulator):
    """Hands out more than was asked for, and everything again and again."""

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
        return super().fetch(address, token, 1000, 0)


def test_a_back_end_that_hands_out_too_much_or_repeats_itself_is_not_followed() -> None:
    backend = Overflowing()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    send(ana, BUDI, "0", "1", "2", "3")
    items = budi.receive(limit=3)
    assert shown(items) == ["0", "1", "2"]
    # Three items, and three numbers of the back end that go with the next commit.
    assert left(budi.device._context.store) == 6
    if STRIPES:  # what the app has not confirmed stands before it
        budi.confirm(items)
    assert shown(budi.receive()) == ["3"]


class Backwards(BackendSimulator):
    """Hands out numbers in descending order."""

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
        return super().fetch(address, token, limit, after)[::-1]


def test_numbers_in_the_wrong_order_lose_nothing() -> None:
    backend = Backwards()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    send(ana, BUDI, "0", "1", "2")
    found = []
    for _ in range(3):
        items = budi.receive()
        found.append(shown(items))
        if STRIPES:  # what the app has not confirmed stands before it
            budi.confirm(items)
    assert found == [["2"], ["1"], ["0"]]
    assert backend.mailbox(BUDI) == []


class Overtaken(BackendSimulator):
    """While messages are on their way to one process, another one on the same store has them."""

    other: Client | None = None
    items: Sequence[InboxItem] = ()

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
        batch = super().fetch(address, token, limit, after)
        other, self.other = self.other, None
        if other is not None:
            self.items = other.receive()
        return batch


def test_two_processes_that_receive_at_once_make_no_failure_of_it() -> None:
    backend = Overtaken()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    send(ana, BUDI, "0", "1")
    backend.other = other = reopen(budi, backend)
    items = budi.receive()
    assert len(backend.items) == 2
    if STRIPES:  # the other worker has them
        assert items == []
        other.confirm(backend.items)
    else:
        assert shown(items) == ["0", "1"]
        assert all(item.redelivered for item in items)  # the other process may have shown them
    assert backend.mailbox(BUDI) == []


class OvertakenAndConfirmed(Overtaken):
    """The other process also confirms: nothing of the message is left in the inbox."""

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
        other = self.other
        batch = super().fetch(address, token, limit, after)
        if other is not None:
            other.confirm(self.items)
        return batch


def test_what_another_process_has_taken_in_and_confirmed_meanwhile_is_no_failure() -> None:
    backend = OvertakenAndConfirmed()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    send(ana, BUDI, "0", "1")
    backend.other = reopen(budi, backend)
    assert budi.receive() == []
    assert shown(backend.items) == ["0", "1"]
    assert left(budi.device._context.store) == 0
    backend.inject(BUDI, b"garbage")  # what nobody can read still is one
    (failure,) = budi.receive()
    assert isinstance(failure, FailedMessage)

# SPDX-License-Identifier: Apache-2.0
"""Receiving when calls of the back end are lost, or the process is killed between two."""

from collections.abc import Sequence

import pytest

from e2ecross import Address, Client
from e2ecross.errors import BackendError
from e2ecross.wire.exchange import Waiting
from tests.client.conversation import left, names, reopen, send, shown
from tests.support.devices import ANA, BUDI, BackendSimulator, Stores, make_client
from tests.support.store_kinds import STRIPES


def test_what_has_arrived_is_returned_although_the_back_end_went_away(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0")
    backend.fail("acknowledge")
    assert shown(budi.receive()) == ["0"]
    assert len(backend.mailbox(BUDI)) == 1
    # Acknowledged with the next call, or held on, and not shown again.
    assert budi.receive() == []
    assert backend.free(BUDI) == []


def test_an_unreachable_back_end_is_told_when_there_is_nothing_to_return(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    _, budi = pair
    backend.unreachable = True
    with pytest.raises(BackendError):
        budi.receive()


def test_an_unreachable_back_end_does_not_hold_back_the_inbox(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0")
    budi.receive()
    backend.unreachable = True
    again = reopen(budi, backend)
    items = again.receive()
    assert shown(items) == ["0"]
    assert items[0].redelivered
    with pytest.raises(BackendError):
        again.receive()


def test_confirmed_before_the_acknowledgement_arrived_is_not_shown_again_by_the_same_client(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0")
    backend.fail("acknowledge", times=2)
    budi.confirm(budi.receive())
    with pytest.raises(BackendError):
        budi.receive()
    assert budi.receive() == []
    assert backend.mailbox(BUDI) == []


def test_confirmed_before_the_acknowledgement_arrived_is_no_failure_after_a_restart(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0")
    backend.fail("acknowledge")
    budi.confirm(budi.receive())
    assert shown(reopen(budi, backend).receive()) == []


@pytest.mark.parametrize("acknowledged", [False, True])
def test_an_unconfirmed_item_comes_once_and_flagged_after_a_crash(
    acknowledged: bool, backend: BackendSimulator, stores: Stores
) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, stores.open("budi"))
    send(ana, BUDI, "0")
    backend.inject(BUDI, b"garbage")
    if not acknowledged:
        backend.fail("acknowledge")
    first = budi.receive()
    assert not any(item.redelivered for item in first)
    # One of many workers acknowledges when the app has them.
    assert bool(backend.mailbox(BUDI)) is (not acknowledged or bool(STRIPES))
    backend.heal()
    again = reopen(budi, backend, stores.reopen("budi"))
    send(ana, BUDI, "1")
    items = again.receive()
    assert shown(items) == ["0", "!decode_error", "1"]
    assert [item.redelivered for item in items] == [True, True, False]
    assert names(items)[:2] == names(first)
    assert again.receive() == []
    assert backend.free(BUDI) == []
    again.confirm(items)
    assert backend.mailbox(BUDI) == []
    assert left(stores.open("budi")) == 0


class Killed(BaseException):
    """The process ends here."""


class Deadly(BackendSimulator):
    """Kills the process that acknowledges, once it is told to."""

    kills = False

    def acknowledge(self, address: Address, token: bytes, numbers: Sequence[int]) -> None:
        if self.kills:
            self.kills = False
            raise Killed
        super().acknowledge(address, token, numbers)


def test_a_crash_between_commit_and_acknowledgement_loses_nothing() -> None:
    backend = Deadly()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    send(ana, BUDI, "0")
    backend.kills = True
    with pytest.raises(Killed):
        budi.confirm(budi.receive())
    again = reopen(budi, backend)
    items = again.receive()
    assert shown(items) == ["0"]
    assert items[0].redelivered
    assert again.receive() == []
    assert backend.free(BUDI) == []


class OnePage(BackendSimulator):
    """Hands out one message, and loses the call for the next."""

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
        held = self.holds.get(address, {}).values()
        if after or any(each[1] == holder for each in held):
            raise BackendError("the second page is lost")
        return super().fetch(address, token, 1, after, hold_ms=hold_ms, holder=holder)


def test_a_fetch_that_fails_on_its_second_page_keeps_the_first() -> None:
    backend = OnePage()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    send(ana, BUDI, "0", "1")
    items = budi.receive()
    assert shown(items) == ["0"]
    assert len(backend.free(BUDI)) == 1
    budi.confirm(items)
    assert shown(budi.receive()) == ["1"]

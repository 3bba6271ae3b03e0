# SPDX-License-Identifier: Apache-2.0
"""Taking in: pages of any size, what comes with a message, and sessions that are damaged."""

from collections.abc import Sequence

import pytest

from e2ecross import Client, Message, Policy, Text
from e2ecross.address import Address
from e2ecross.client.incoming import forget_what_is_gone
from e2ecross.device.collecting import list_unacknowledged
from e2ecross.errors import RecordCorrupted
from e2ecross.state.inbox import note_arrival
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.exchange import Waiting
from tests.client.conversation import damage, meet, read, reinstalled, shown, store_of
from tests.support.devices import (
    ANA,
    BUDI,
    NOW_MS,
    TOKO,
    BackendSimulator,
    FakeClock,
    dump,
    make_client,
    new_bundle,
)
from tests.support.store_kinds import STRIPES


class Paging(BackendSimulator):
    """Hands out pages of its own size, and with `repeats` begins each with the last of before."""

    def __init__(self, size: int, *, repeats: bool) -> None:
        super().__init__()
        self.size = size
        self.repeats = repeats
        self.wanted: list[int] = []

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
        self.wanted.append(limit)
        if self.repeats:  # and holds nothing
            return super().fetch(address, token, self.size, after - (after > 0))
        size = min(limit, self.size)
        return super().fetch(address, token, size, after, hold_ms=hold_ms, holder=holder)

    def acknowledge(self, address: Address, token: bytes, numbers: Sequence[int]) -> None:
        if not self.repeats:
            super().acknowledge(address, token, numbers)


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("limit", [1, 3, 4, 7])
def test_pages_of_any_size_are_put_together_up_to_the_limit(
    limit: int, size: int, repeats: bool
) -> None:
    backend = Paging(size, repeats=repeats)
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    texts = [str(number) for number in range(7)]
    for text in texts:
        ana.send(BUDI, Text(text))
    items = budi.receive(limit=limit)
    assert [item.content for item in items if isinstance(item, Message)] == [
        Text(text) for text in texts[:limit]
    ]
    # Never more than is left, and not asked again when nothing is.
    step = size - repeats
    taken = [0, *range(size, limit, step)]
    if not (repeats and STRIPES):  # else what is not held is shown twice before the rest is
        assert backend.wanted[: len(taken)] == [limit - count for count in taken]
    assert all(1 <= wanted <= limit for wanted in backend.wanted)


def test_a_first_message_that_meets_damaged_sessions_is_read(backend: BackendSimulator) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    ana.device.start_session(new_bundle(budi.device, kyber=True))
    ana.send(BUDI, Text("in a new session"))
    damage(budi, Table.SESSIONS)
    (item,) = budi.receive()
    assert isinstance(item, Message)
    assert (item.sender, item.content) == (ANA, Text("in a new session"))
    assert backend.free(BUDI) == backend.mailbox(ANA) == []
    budi.confirm([item])
    assert read(budi) == []


def test_it_is_noted_when_a_key_was_first_seen(backend: BackendSimulator) -> None:
    clock = FakeClock()
    ana = make_client(ANA, backend, clock=clock, policy=Policy(accept_changed_identity=True))
    clock.advance(1)
    make_client(BUDI, backend).send(ANA, Text("halo"))
    assert read(ana) == ["halo"]
    assert first_seen(ana) == NOW_MS + 1
    clock.advance(1)
    reinstalled(BUDI, backend).send(ANA, Text("new phone"))
    assert read(ana) == ["*identity_changed", "new phone"]
    assert first_seen(ana) == NOW_MS + 2


def first_seen(ana: Client) -> int:
    known = ana.device.remote_identity(BUDI)
    assert known is not None
    return known.first_seen_at_ms


# --- What a call leaves at the back end, and what is forgotten ------------------------------


def note_arrivals(client: Client, *numbers: int) -> None:
    """Take envelopes in, and be killed before the back end has heard of it."""
    with store_of(client).transaction() as tx:
        for number in numbers:
            note_arrival(tx, number, b"")


def forgets(client: Client, waiting: Sequence[int], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers that are left when the back end has those envelopes."""

    def fetch(_address: object, _token: object, limit: int, after: int) -> list[Waiting]:
        return [Waiting(number, b"") for number in waiting if number > after][:limit]

    link = client._way()
    monkeypatch.setattr(link.backend._backend, "fetch", fetch)
    forget_what_is_gone(link)
    client.confirm([])  # they go with the next commit
    return list_unacknowledged(client.device._context)


def test_numbers_that_the_back_end_has_no_more_are_forgotten(
    backend: BackendSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = make_client(ANA, backend)
    note_arrivals(ana, 3, 5, 7, 9)
    assert forgets(ana, [1, 5, 6], monkeypatch) == [5]
    assert forgets(ana, [], monkeypatch) == []


def test_what_stands_behind_a_full_page_may_still_be_there(
    backend: BackendSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = make_client(ANA, backend)
    note_arrivals(ana, 2, 999, 1_500, 2_000)
    there = [number for number in range(2, 3_000) if number != 999]
    assert forgets(ana, there, monkeypatch) == [2, 1_500, 2_000]


def test_what_stands_behind_a_short_page_may_still_be_there_as_well() -> None:
    """A page is cut where it has 4 MiB."""
    backend = Paging(3, repeats=False)
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


def test_endless_envelopes_of_a_damaged_contact_are_left_after_so_many(
    backend: BackendSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    budi.send(ANA, Text("halo"))
    (data,) = backend.mailbox(ANA)
    damage(ana, Table.REMOTE_IDENTITIES)
    # Of one of many workers fewer, since it holds them all, and is shown each twice.
    most, handed_out = 1_000 if STRIPES else 10_000, 0

    def fetch(
        _address: object, _token: object, limit: int, after: int, **_hold: object
    ) -> list[Waiting]:
        nonlocal handed_out
        handed_out += limit
        assert handed_out <= 2 * most
        return [Waiting(after + n, data) for n in range(1, limit + 1)]

    monkeypatch.setattr(backend, "fetch", fetch)
    with pytest.raises(RecordCorrupted):
        ana.receive(1)
    assert most <= handed_out < most + 1_000  # a page more at most


def test_what_was_taken_in_before_the_limit_was_reached_is_acknowledged(
    backend: BackendSimulator,
) -> None:
    ana, budi, toko = (make_client(address, backend) for address in (ANA, BUDI, TOKO))
    meet(ana, budi)
    meet(ana, toko)
    budi.send(ANA, Text("cannot be read"))
    for text in ("one", "two"):
        toko.send(ANA, Text(text))
    (where,) = [
        where
        for where in dump(store_of(ana))
        if where[0] is Table.REMOTE_IDENTITIES and BUDI.user.encode() in where[1]
    ]
    with store_of(ana).transaction() as tx:
        tx.put(*where, b"\x01\xff")
    items = ana.receive(1)
    assert shown(items) == ["one"]
    if STRIPES:  # what it has is with this worker until the app has it
        ana.confirm(items)
    assert [envelope.sender for envelope in backend.waiting(ANA)] == [BUDI, TOKO]

# SPDX-License-Identifier: Apache-2.0
"""Keys at a back end that counts wrongly or refuses: what it says has bounds of ours."""

import pytest

from e2ecross import Address, Client, Policy, PublishedKeys, Text
from e2ecross.errors import BackendRefused
from e2ecross.state.context import require_device
from e2ecross.stores import Table
from tests.client.conversation import meet, promise, read, store_of
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    BackendSimulator,
    FakeClock,
    dump,
    make_client,
)

HOUR_MS = 60 * 60 * 1000


class Wrong(BackendSimulator):
    """Counts what it likes, and takes publications of so many one-time prekeys."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: int | None = None
        self.takes = 1000

    def one_time_prekey_count(self, address: Address, token: bytes) -> int:
        counted = super().one_time_prekey_count(address, token)
        return counted if self.counts is None else self.counts

    def publish(
        self, token: bytes, published: PublishedKeys, *, epoch: int = 0, replace: bool = False
    ) -> None:
        if len(published.one_time_prekeys) > self.takes:
            self.calls.append("refused")
            raise BackendRefused("too many unused one-time prekeys")
        super().publish(token, published, epoch=epoch, replace=replace)


@pytest.fixture
def backend() -> Wrong:
    return Wrong()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def stored(client: Client) -> int:
    """Unused one-time prekeys of both kinds."""
    tables = (Table.ONE_TIME_PREKEYS, Table.KYBER_PREKEYS)
    rows = [row for row in dump(store_of(client)) if row[0] in tables]
    return sum(1 for _, partition, _ in rows if not partition)


def next_id(client: Client) -> int:
    with store_of(client).transaction() as tx:
        return require_device(tx).next_prekey_id


# --- Counted wrongly ------------------------------------------------------------------------


def test_in_an_hour_as_many_are_made_as_there_are_to_be(backend: Wrong, clock: FakeClock) -> None:
    ana = make_client(ANA, backend, clock=clock)
    backend.counts = 0
    for hour in range(3):
        for _ in range(10):
            ana.maintain()  # asks each time, which `receive` does once a minute
        made = sum(len(PublishedKeys.decode(p).one_time_prekeys) for p in backend.publications)
        assert made == 100 * (hour + 1)
        clock.advance(HOUR_MS)


def test_what_is_stored_and_the_ids_of_a_day_are_bounded(backend: Wrong, clock: FakeClock) -> None:
    ana = make_client(ANA, backend, clock=clock)
    backend.counts = 0
    before = next_id(ana)
    for _ in range(23):
        clock.advance(HOUR_MS)
        ana.receive()
        ana.receive()
    assert 2_000 < next_id(ana) - before <= 2_500
    assert 1_800 < stored(ana) <= 2_000


def test_the_ids_of_a_rotation_are_among_those_of_the_day(backend: Wrong, clock: FakeClock) -> None:
    ana = make_client(ANA, backend, clock=clock)
    clock.advance(Policy().signed_prekey_max_age_ms - 20 * HOUR_MS)
    backend.counts = 0
    before, rotations = next_id(ana), set[int]()
    for _ in range(24):
        ana.receive()
        rotations.add(PublishedKeys.decode(backend.publications[-1]).signed_prekey.id)
        clock.advance(HOUR_MS)
    assert len(rotations) == 2
    assert next_id(ana) - before == 2_500


@pytest.mark.parametrize("counts", [-1, 0, 3, 2**80])
def test_a_counted_number_is_a_hint(counts: int, backend: Wrong, clock: FakeClock) -> None:
    ana = make_client(ANA, backend, clock=clock)
    clock.advance(HOUR_MS)
    backend.counts = counts
    ana.maintain()
    ana.maintain()
    assert stored(ana) == (200 if counts > 100 else 400)


# --- Refused --------------------------------------------------------------------------------


def test_a_refused_publication_is_taken_back_and_a_smaller_one_made(
    backend: Wrong, clock: FakeClock
) -> None:
    ana = make_client(ANA, backend, clock=clock)
    before = backend.published(ANA).signed_prekey
    backend.counts, backend.takes = 20, 0  # 80 are made; 20 more might be in this hour
    clock.advance(7 * DAY_MS)
    keys = stored(ana)
    with pytest.raises(BackendRefused, match="too many unused"):
        ana.maintain()
    assert stored(ana) == keys  # those that were refused are forgotten
    assert len(backend.publications) == 2
    assert backend.published(ANA).one_time_prekeys == ()
    assert backend.published(ANA).signed_prekey.id != before.id
    # Told once; for an hour no more are made.
    backend.calls.clear()
    for _ in range(5):
        ana.maintain()
        assert ana.receive() == []
    assert "refused" not in backend.calls
    clock.advance(HOUR_MS)
    backend.takes = 1000
    ana.maintain()
    assert len(backend.published(ANA).one_time_prekeys) == 80


def test_with_keys_refused_for_a_month_everything_else_goes_on(
    backend: Wrong, clock: FakeClock
) -> None:
    ana, budi = make_client(ANA, backend, clock=clock), make_client(BUDI, backend, clock=clock)
    meet(ana, budi)
    backend.counts, backend.takes = 0, 0
    signed = {backend.published(ANA).signed_prekey.id}
    refused = 0
    for day in range(30):
        clock.advance(DAY_MS)
        backend.fail("deposit")
        promise(ana, BUDI, str(day))
        for _ in range(3):
            try:
                ana.maintain()
            except BackendRefused:
                refused += 1
            assert ana.receive() == []
        assert ana.pending() == []
        assert str(day) in read_any(budi)
        signed.add(backend.published(ANA).signed_prekey.id)
    assert len(signed) == 1 + 30 // 7
    assert refused <= 30
    assert stored(ana) <= 200


def read_any(client: Client) -> list[str]:
    """What is shown, at a back end that refuses this one's keys too."""
    try:
        return read(client)
    except BackendRefused:
        return []


def test_a_signed_prekey_alone_that_is_refused_waits(backend: Wrong, clock: FakeClock) -> None:
    ana = make_client(ANA, backend, clock=clock)
    clock.advance(7 * DAY_MS)
    backend.takes = -1
    with pytest.raises(BackendRefused):
        ana.maintain()
    for _ in range(3):
        ana.maintain()
    waiting = ana.device.publish()
    clock.advance(HOUR_MS)
    with pytest.raises(BackendRefused):
        ana.maintain()
    backend.takes = 1000
    clock.advance(HOUR_MS)
    ana.maintain()
    assert backend.published(ANA).signed_prekey == waiting.signed_prekey


def test_registering_where_no_one_time_prekeys_are_taken(backend: Wrong, clock: FakeClock) -> None:
    backend.takes = 0
    with pytest.raises(BackendRefused):
        make_client(ANA, backend, clock=clock)
    assert backend.published(ANA).one_time_prekeys == ()


def test_a_policy_of_no_one_time_prekeys_makes_none(backend: Wrong, clock: FakeClock) -> None:
    policy = Policy(one_time_prekeys_low=0, one_time_prekeys_target=0)
    ana = make_client(ANA, backend, clock=clock, policy=policy)
    backend.counts = 0
    ana.maintain()
    assert stored(ana) == 0
    clock.advance(7 * DAY_MS)
    ana.maintain()
    assert len(backend.publications) == 2
    budi = make_client(BUDI, backend, clock=clock)
    backend.counts = None
    budi.send(ANA, Text("halo"))
    assert read(ana) == ["halo"]

# SPDX-License-Identifier: Apache-2.0
"""Taking in: pages of any size, what comes with a message, and sessions that are damaged."""

from collections.abc import Sequence

import pytest

from e2ecross import Client, Message, Policy, Text
from e2ecross.address import Address
from e2ecross.stores import Table
from e2ecross.wire.exchange import Waiting
from tests.client.conversation import damage, meet, read, reinstalled
from tests.support.devices import (
    ANA,
    BUDI,
    NOW_MS,
    BackendSimulator,
    FakeClock,
    make_client,
    new_bundle,
)


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
        size = self.size if self.repeats else min(limit, self.size)
        return super().fetch(address, token, size, after - (self.repeats and after > 0))

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
    assert backend.mailbox(BUDI) == backend.mailbox(ANA) == []
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

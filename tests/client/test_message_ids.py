# SPDX-License-Identifier: Apache-2.0
"""A message id belongs to its recipient and content as long as it is known."""

import pytest

from e2ecross import Bytes, Client, Policy, Text
from e2ecross.errors import BackendError, InvalidArgument
from tests.client.conversation import meet, promise, read, reopen, store_of
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    MESSAGE_ID,
    TOKO,
    BackendSimulator,
    FakeClock,
    dump,
    make_client,
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=[5_000, 0], ids=["kept", "not kept"])
def people(
    backend: BackendSimulator, clock: FakeClock, request: pytest.FixtureRequest
) -> tuple[Client, Client, Client]:
    policy = Policy(resend_kept_messages=request.param)
    ana = make_client(ANA, backend, clock=clock, policy=policy)
    budi, toko = (make_client(address, backend, clock=clock) for address in (BUDI, TOKO))
    meet(ana, budi)
    meet(ana, toko)
    return ana, budi, toko


@pytest.mark.parametrize("days", [0, 8, 20, 60])
def test_another_content_under_a_known_id_is_refused(
    days: int,
    people: tuple[Client, Client, Client],
    backend: BackendSimulator,
    clock: FakeClock,
) -> None:
    ana, budi, _ = people
    ana.send(BUDI, Text("one"), message_id=MESSAGE_ID)
    assert read(budi) == ["one"]
    clock.advance(days * DAY_MS)
    ana = reopen(ana, backend)
    ana.maintain()
    before, deposits = dump(store_of(ana)), len(backend.deposits)
    for content in (Text("two"), Bytes(b"one"), Text("")):
        with pytest.raises(InvalidArgument, match="message_id was used for another message"):
            ana.send(BUDI, content, message_id=MESSAGE_ID)
    assert dump(store_of(ana)) == before
    assert len(backend.deposits) == deposits
    ana.send(BUDI, Text("one"), message_id=MESSAGE_ID)  # sent before: nothing is
    assert len(backend.deposits) == deposits


def test_one_id_may_go_to_several_recipients(people: tuple[Client, Client, Client]) -> None:
    ana, budi, toko = people
    for address, text in ((BUDI, "one"), (TOKO, "another")):
        ana.send(address, Text(text), message_id=MESSAGE_ID)
    assert (read(budi), read(toko)) == (["one"], ["another"])


def test_a_promised_message_keeps_its_id(
    people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    ana, budi, _ = people
    backend.fail("deposit")
    (message_id,) = promise(ana, BUDI, "one")
    with pytest.raises(InvalidArgument, match="message_id was used for another message"):
        ana.send(BUDI, Text("two"), message_id=message_id)
    backend.fail("deposit")
    with pytest.raises(BackendError):
        ana.send(BUDI, Text("one"), message_id=message_id)
    assert [item.message_id for item in ana.pending()] == [message_id]
    ana.send(BUDI, Text("one"), message_id=message_id)
    assert read(budi) == ["one"]
    assert ana.pending() == []

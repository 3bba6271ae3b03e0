# SPDX-License-Identifier: Apache-2.0
"""Messages to several accounts under one id that the app has chosen, and the other own devices.

An id belongs to its recipient: the other devices of the sender, and the back end, must not take
one message for the second copy of another.
"""

from collections.abc import Callable, Sequence

import pytest

from e2ecross import Client, Device, FailedMessage, Message, Policy, Text
from e2ecross.client import fan_out
from e2ecross.errors import BackendError, InvalidArgument, MailboxFull
from e2ecross.state.inbox import InboxItem
from tests.support.accounts import change_devices, device_of, make_account, new_client
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    TOKO,
    BackendSimulator,
    FakeClock,
    make_client,
)
from tests.support.store_kinds import copying

HALO = Text("halo")
USERS = (BUDI.user_id, TOKO.user_id, ANA.user_id)


@pytest.fixture
def backend() -> BackendSimulator:
    return BackendSimulator()


@pytest.fixture
def own(backend: BackendSimulator) -> list[Client]:
    return make_account(ANA, (1, 2), backend, stores=copying(1))


@pytest.fixture
def others(backend: BackendSimulator) -> list[Client]:
    return [make_client(address, backend) for address in (BUDI, TOKO)]


def messages(*clients: Client) -> list[Message]:
    found: list[InboxItem] = []
    for client in clients:
        items = client.receive()
        client.confirm(items)
        found += items
    assert all(isinstance(item, Message) for item in found), found
    return [item for item in found if isinstance(item, Message)]


def require_all(own: Sequence[Client], others: Sequence[Client]) -> None:
    """Everybody has the message once, under its id; the laptop has one for each recipient."""
    got = messages(own[1])
    assert {each.peer for each in got} == {*USERS}
    assert len(got) == len(USERS)
    for message in (*got, *(each for client in others for each in messages(client))):
        assert (message.message_id, message.content) == (MESSAGE_ID, HALO)


def test_other_own_devices_have_the_message_to_each(
    own: list[Client], others: list[Client]
) -> None:
    sent = own[0].send_many(USERS, HALO, message_id=MESSAGE_ID)
    assert [getattr(each, "message_id", each) for each in sent] == [MESSAGE_ID] * 3
    require_all(own, others)


def test_repeated_after_a_restart_it_reaches_nobody_twice(
    backend: BackendSimulator, own: list[Client], others: list[Client]
) -> None:
    own[0].send_many([BUDI], HALO, message_id=MESSAGE_ID)
    for _ in range(2):
        phone = Client(Device.open(own[0].device._context.store, clock=FakeClock()), backend)
        phone.send_many(USERS, HALO, message_id=MESSAGE_ID)
    require_all(own, others)
    assert not messages(*own, *others)


@pytest.mark.parametrize(
    "again", [Client.maintain, lambda it: it.send_many(USERS, HALO, message_id=MESSAGE_ID)]
)
def test_what_waits_for_the_back_end_is_told_by_its_id(
    backend: BackendSimulator,
    own: list[Client],
    others: list[Client],
    again: Callable[[Client], object],
) -> None:
    own[0].send_many(USERS, Text("before"))
    messages(*own, *others)
    backend.unreachable = True
    sent = own[0].send_many(USERS, HALO, message_id=MESSAGE_ID)
    assert all(isinstance(each, BackendError) for each in sent)
    assert {each.message_id for each in own[0].pending()} == {MESSAGE_ID}
    backend.unreachable = False
    again(own[0])
    require_all(own, others)
    assert own[0].pending() == []


def test_one_that_is_taken_back_leaves_the_others(
    backend: BackendSimulator, own: list[Client], others: list[Client]
) -> None:
    own[0].send_many(USERS, Text("before"))
    messages(*own, *others)
    backend.broken[BUDI] = MailboxFull("full")
    sent = own[0].send_many(USERS, HALO, message_id=MESSAGE_ID)
    assert isinstance(sent[0], MailboxFull)
    assert own[0].pending() == []
    assert {each.peer for each in messages(own[1])} == {TOKO.user_id, ANA.user_id}
    assert not messages(*others[:1])
    backend.broken.clear()
    own[0].send(BUDI, HALO, message_id=MESSAGE_ID)
    (copy,) = messages(own[1])
    assert (copy.message_id, copy.peer) == (MESSAGE_ID, BUDI.user_id)


def test_what_an_own_device_cannot_read_it_gets_again(
    backend: BackendSimulator, own: list[Client], others: list[Client]
) -> None:
    """It asks for the envelope's id, which is none that an app knows."""
    own[0].send_many(USERS, Text("before"))
    messages(*own, *others)
    own[0].send_many(USERS, HALO, message_id=MESSAGE_ID)
    laptop = device_of(ANA, 2)
    for index in range(len(backend.waiting(laptop))):
        backend.rewrite(laptop, index, lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    failures = own[1].receive()
    own[1].confirm(failures)
    assert len(failures) == len(USERS)
    assert not messages(own[0])
    require_all(own, others)


def test_a_device_that_is_listed_meanwhile_gets_the_message_to_each(
    backend: BackendSimulator, own: list[Client], others: list[Client]
) -> None:
    own[0].send_many(USERS, Text("before"))
    messages(*own, *others)
    tablet = new_client(device_of(ANA, 3), backend)
    change_devices(backend, *own, tablet)
    own[0].send_many(USERS, HALO, message_id=MESSAGE_ID)
    require_all([own[0], tablet], others)


def test_nothing_depends_on_what_is_kept(backend: BackendSimulator) -> None:
    policy = Policy(resend_kept_messages=0)
    own = make_account(ANA, (1, 2), backend, stores=copying(1), policy=policy)
    others = [make_client(address, backend) for address in (BUDI, TOKO)]
    own[0].send_many(USERS, HALO, message_id=MESSAGE_ID)
    require_all(own, others)


@pytest.mark.parametrize("message_id", [None, MESSAGE_ID])
def test_they_are_deposited_together(
    backend: BackendSimulator,
    own: list[Client],
    others: list[Client],
    message_id: bytes | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Copies for own devices are many in one lane; each is no call of its own."""
    own[0].send_many(USERS, Text("before"))
    calls: list[int] = []
    deposit_all = backend.deposit_all

    def count(token: bytes, envelopes: Sequence[bytes], **rest: object) -> object:
        calls.append(len(envelopes))
        return deposit_all(token, envelopes, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(backend, "deposit_all", count)
    own[0].send_many(USERS, HALO, message_id=message_id)
    assert calls == ([5] if message_id is None else [3, 2])


def test_behind_something_else_none_goes_of_what_nobody_has_got(
    backend: BackendSimulator, own: list[Client], others: list[Client]
) -> None:
    own[0].send_many(USERS, Text("before"))
    messages(*own, *others)
    laptop = device_of(ANA, 2)
    backend.break_for(laptop)
    with pytest.raises(BackendError):
        own[0].send(TOKO, Text("waits for the laptop"))
    backend.broken.clear()
    backend.broken[BUDI] = MailboxFull("full")
    sent = own[0].send_many(USERS, HALO, message_id=MESSAGE_ID)
    assert isinstance(sent[0], MailboxFull)
    assert [each.peer for each in messages(own[1])] == [TOKO.user_id, TOKO.user_id, ANA.user_id]


def test_the_id_of_one_message_is_that_of_all_its_copies(
    backend: BackendSimulator, own: list[Client], others: list[Client]
) -> None:
    """They go in one call, as the back end then sees that they belong together."""
    own[0].send(BUDI, HALO, message_id=MESSAGE_ID)
    laptop = device_of(ANA, 2)
    assert [each.message_id for each in backend.waiting(laptop)] == [MESSAGE_ID]
    own[0].send(TOKO, HALO, message_id=MESSAGE_ID)
    with pytest.raises(InvalidArgument, match="own devices"):
        own[0].send(ANA.user_id, HALO, message_id=MESSAGE_ID)
    assert [each.message_id == MESSAGE_ID for each in backend.waiting(laptop)] == [True, False]
    got = messages(own[1])
    assert [(each.message_id, each.peer) for each in got] == [
        (MESSAGE_ID, BUDI.user_id),
        (MESSAGE_ID, TOKO.user_id),
    ]


def test_before_there_is_another_own_device_the_id_is_nobodys(backend: BackendSimulator) -> None:
    """A device that is linked a moment later gets the kept messages under ids of their own."""
    (ana,) = make_account(ANA, (1,), backend, stores=copying(1))
    others = [make_client(address, backend) for address in (BUDI, TOKO)]
    ana.send_many((BUDI, TOKO), Text("before"))
    messages(*others)
    laptop = new_client(device_of(ANA, 2), backend)
    change_devices(backend, ana, laptop)
    for address in (BUDI, TOKO):
        ana.send(address, HALO, message_id=MESSAGE_ID)
    got = messages(laptop)
    assert [(each.message_id, each.peer) for each in got] == [
        (MESSAGE_ID, BUDI.user_id),
        (MESSAGE_ID, TOKO.user_id),
    ]


@pytest.mark.parametrize("last", [Client.maintain, Client.receive])
def test_out_of_reach_no_own_device_has_what_nobody_else_has_got(
    backend: BackendSimulator,
    own: list[Client],
    others: list[Client],
    last: Callable[[Client], object],
) -> None:
    own[0].send_many(USERS, Text("before"))
    messages(*own, *others)
    backend.break_for(BUDI)
    own[0].send_many((TOKO, BUDI), HALO, message_id=MESSAGE_ID)
    with pytest.raises(BackendError):
        own[0].maintain()
    assert {each.peer for each in messages(own[1])} <= {TOKO.user_id}
    sent = own[0].send(TOKO, Text("another"))  # nor does its copy wait for what is Budi's
    assert [each.problem for each in sent.deliveries] == ["", ""]
    assert len(messages(others[1])) == 2
    assert messages(own[1])[-1].content == Text("another")
    backend.broken.clear()
    for _ in range(2):
        last(own[0])
    (copy,) = (each for each in messages(own[1]) if each.peer == BUDI.user_id)
    assert (copy.message_id, copy.content) == (MESSAGE_ID, HALO)


def test_behind_what_waits_for_others_an_own_copy_waits(
    backend: BackendSimulator, own: list[Client], others: list[Client]
) -> None:
    own[0].send(BUDI, Text("before"))
    messages(*own, *others)
    backend.break_for(BUDI)
    for text in ("first", "second"):
        (sent,) = own[0].send_many([BUDI], Text(text), message_id=text.encode().ljust(16))
        assert isinstance(sent, BackendError)
        assert messages(own[1]) == []
    backend.broken.clear()
    own[0].maintain()
    assert [each.content for each in messages(own[1])] == [Text("first"), Text("second")]


def test_an_own_copy_that_waits_for_others_is_told(
    backend: BackendSimulator,
    own: list[Client],
    others: list[Client],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where what it waits for has gone by another process since somebody looked."""
    own[0].send(BUDI, Text("before"))
    messages(*own, *others)
    laptop = device_of(ANA, 2)
    backend.break_for(laptop)
    own[0].send_many([BUDI], Text("stands before it"), message_id=MESSAGE_ID)
    backend.broken.clear()
    monkeypatch.setattr(fan_out, "send_waiting", lambda *_, **__: False)
    sent = own[0].send(BUDI, HALO)
    problems = {each.address: each.problem for each in sent.deliveries}
    assert problems == {BUDI: "", laptop: BackendError.code}


@pytest.mark.parametrize("message_id", [None, MESSAGE_ID])
def test_an_own_copy_that_is_replayed_is_not_asked_for(
    backend: BackendSimulator,
    own: list[Client],
    others: list[Client],
    message_id: bytes | None,
) -> None:
    laptop = device_of(ANA, 2)
    recipients = [client.device.address for client in others]
    own[0].send_many(recipients, HALO, message_id=message_id)
    copies = backend.mailbox(laptop)
    assert len(messages(own[1])) == len(copies) == 2
    deposits = len(backend.deposits)
    for data in copies:
        backend.inject(laptop, data[:-1] + bytes([data[-1] ^ 1]))
    failures = own[1].receive()
    assert all(isinstance(each, FailedMessage) and not each.retrying for each in failures)
    own[1].confirm(failures)
    own[1].maintain()
    assert len(backend.deposits) == deposits

# SPDX-License-Identifier: Apache-2.0
"""Clients in asyncio: the same results, a loop that goes on, what becomes of cancelled calls."""

import asyncio
import inspect
import threading
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2ecross import Client, Device, FailedMessage, Group, Message, Notice, Role, Text
from e2ecross.errors import BackendError, InvalidArgument, NotRegistered
from e2ecross.relay import Relay
from e2ecross.service import AsyncClient
from e2ecross.service.async_group import AsyncGroup, Awaited
from e2ecross.state.inbox import InboxItem
from e2ecross.stores import MemoryStore
from tests.support.devices import ANA, BUDI

Pair = tuple[Client, Client]
FACADES = {"create_group", "group", "groups"}
"""What gives groups, whose calls are to be awaited."""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with Relay(tmp_path / "relay.db") as relay:
        ana, budi = (Client(Device.create(a, MemoryStore()), relay) for a in (ANA, BUDI))
        ana.register()
        budi.register()
        budi.accept(ANA)
        yield ana, budi


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def texts(items: list[InboxItem]) -> list[str]:
    return [
        item.content.text
        for item in items
        if isinstance(item, Message) and isinstance(item.content, Text)
    ]


async def first(client: AsyncClient) -> list[str]:
    """The first that comes."""
    async for item in client.items():
        return texts([item])
    return []


def test_a_conversation(pair: Pair) -> None:
    async def work() -> None:
        async with AsyncClient(pair[0]) as ana, AsyncClient(pair[1]) as budi:
            await ana.register()
            sent = await ana.send("instagram:budi", Text("halo"))
            assert len(sent.message_id) == 16
            items = await budi.receive()
            assert texts(items) == ["halo"]
            await budi.confirm(items)
            assert await budi.receive() == []
            assert await ana.pending() == []
            assert (await ana.devices()).devices

    run(work())


def test_every_call_of_a_client_is_there() -> None:
    own = {"client", "items", "aclose", *FACADES}
    theirs = {"device", "for_thread", *FACADES}
    names = {name for name in dir(AsyncClient) if not name.startswith("_")} - own
    assert names == {name for name in dir(Client) if not name.startswith("_")} - theirs
    for name in names - {"receive"}:
        method = getattr(AsyncClient, name)
        assert inspect.iscoroutinefunction(method)
        assert inspect.signature(method) == inspect.signature(getattr(Client, name))
        assert method.__doc__ == getattr(Client, name).__doc__


def test_every_call_and_property_of_a_group_is_there() -> None:
    names = {name for name in dir(Group) if not name.startswith("_")}
    assert names == {name for name in dir(AsyncGroup) if not name.startswith("_")}
    for name in names - {"id"}:
        ours = vars(AsyncGroup)[name]
        if isinstance(vars(Group)[name], property):
            assert isinstance(ours, Awaited)
        else:
            assert inspect.iscoroutinefunction(ours)
            assert inspect.signature(ours) == inspect.signature(getattr(Group, name))
            assert ours.__doc__ == getattr(Group, name).__doc__


def test_a_group_is_awaited(pair: Pair) -> None:
    async def work() -> None:
        async with AsyncClient(pair[0]) as ana, AsyncClient(pair[1]) as budi:
            group = await ana.create_group("Trip", [str(BUDI.user_id)], app_data=b"x")
            await group.send(Text("halo"))
            joined, message = await budi.receive()
            assert isinstance(joined, Notice)
            assert isinstance(message, Message)
            assert message.group == group.id
            (found,) = await budi.groups()
            assert repr(found) == f"<AsyncGroup {group.id}>"
            assert (await found.name, await found.app_data) == ("Trip", b"x")
            assert (await found.role, await found.state) == (Role.MEMBER, "active")
            assert not await found.only_admins_send
            assert not await found.accepted
            await (await budi.group(group.id)).accept()
            assert await found.accepted
            assert len(await found.members) == 2
            await budi.confirm([joined, message])

    run(work())


def test_hold_is_of_the_client_that_has_received(tmp_path: Path) -> None:
    now_ms = [0]
    with Relay(tmp_path / "relay.db", clock=lambda: now_ms[0]) as relay:
        ana = Client(Device.create(ANA, MemoryStore(64), clock=lambda: now_ms[0]), relay)
        budi = Client(Device.create(BUDI, MemoryStore(), clock=lambda: now_ms[0]), relay)
        ana.register()
        budi.register()
        other = ana.for_thread()

        async def work() -> None:
            async with AsyncClient(ana) as client:
                budi.send(ANA, Text("one"))
                items = await client.receive()
                assert texts(items) == ["one"]
                now_ms[0] += 59_999
                await client.hold(items)
                now_ms[0] += 59_999
                budi.send(ANA, Text("two"))
                assert other.receive() == []
                assert texts(await client.receive()) == ["two"]
                with pytest.raises(InvalidArgument):
                    await client.hold(["item"])  # type: ignore[list-item]

        run(work())


class Shop:
    """The device ANA with stripes, of which this is one worker; BUDI has sent so many texts."""

    def __init__(self, directory: Path, texts: int) -> None:
        self.now_ms = 1_000_000
        self.relay = Relay(directory / "relay.db", clock=self._clock)
        self.client = Client(Device.create(ANA, MemoryStore(64), clock=self._clock), self.relay)
        self.client.register()
        self.budi = Client(Device.create(BUDI, MemoryStore(), clock=self._clock), self.relay)
        self.budi.register()
        for number in range(texts):
            self.budi.send(ANA, Text(str(number)))
        self.other = self.client.for_thread()

    def _clock(self) -> int:
        return self.now_ms


def test_what_waits_behind_others_is_held_in_time(tmp_path: Path) -> None:
    shop, seen = Shop(tmp_path, 5), list[str]()

    async def work() -> None:
        async with AsyncClient(shop.client) as client:
            async for item in client.items():
                seen.extend(texts([item]))
                shop.now_ms += 30_000
                assert shop.other.receive() == []
                await client.confirm([item])
                if len(seen) == 5:
                    break

    run(work())
    assert seen == ["0", "1", "2", "3", "4"]


def test_hold_holds_what_waits_behind_it(tmp_path: Path) -> None:
    shop, seen = Shop(tmp_path, 2), list[str]()

    async def work() -> None:
        async with AsyncClient(shop.client) as client:
            async for item in client.items():
                seen.extend(texts([item]))
                for _ in range(3):
                    shop.now_ms += 40_000
                    await client.hold([item])
                assert shop.other.receive() == []
                await client.confirm([item])
                if len(seen) == 2:
                    break

    run(work())
    assert seen == ["0", "1"]


def test_what_another_worker_has_got_is_not_handed_out(tmp_path: Path) -> None:
    shop = Shop(tmp_path, 3)

    async def work() -> None:
        async with AsyncClient(shop.client) as client:
            assert await first(client) == ["0"]
            shop.now_ms += 60_000
            items = shop.other.receive()
            assert texts(items) == ["0", "1", "2"]
            await client.hold(items[:1])  # of this one, not of what it had
            shop.other.confirm(items)
            assert len(client._arrived.items) == 0
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(first(client), 0.2)

    run(work())


def test_what_comes_again_is_not_overtaken(tmp_path: Path) -> None:
    shop, seen = Shop(tmp_path, 2), list[str]()

    async def work() -> None:
        async with AsyncClient(shop.client) as client:
            assert await first(client) == ["0"]
            shop.now_ms += 50_000
            shop.budi.send(ANA, Text("2"))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(first(client), 0.2)
            shop.now_ms += 10_000
            async for item in client.items():
                seen.extend(texts([item]))
                if len(seen) == 3:
                    break

    run(work())
    assert seen == ["0", "1", "2"]


def test_what_cannot_be_held_is_not_handed_out(tmp_path: Path) -> None:
    shop = Shop(tmp_path, 3)

    async def work() -> None:
        async with AsyncClient(shop.client) as client:
            assert await first(client) == ["0"]
            shop.now_ms += 30_000
            shop.relay.close()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(first(client), 0.2)

    run(work())


def test_items_hands_out_in_order_and_waits_for_more(pair: Pair) -> None:
    async def work() -> None:
        async with AsyncClient(pair[0]) as ana, AsyncClient(pair[1]) as budi:
            for number in range(3):
                await ana.send(BUDI, Text(str(number)))
            seen: list[str] = []
            async for item in budi.items():
                seen += texts([item])
                await budi.confirm([item])
                if len(seen) == 3:
                    await ana.send(BUDI, Text("3"))
                if len(seen) == 4:
                    break
            assert seen == ["0", "1", "2", "3"]

    run(work())


def test_what_items_left_comes_with_the_next(pair: Pair) -> None:
    async def work() -> None:
        async with AsyncClient(pair[0]) as ana, AsyncClient(pair[1]) as budi:
            for number in range(5):
                await ana.send(BUDI, Text(str(number)))
            seen: list[str] = []
            while len(seen) < 5:
                async for item in budi.items():
                    seen += texts([item])
                    break
            assert seen == ["0", "1", "2", "3", "4"]

    run(work())


def test_what_a_cancelled_items_was_fetching_comes_with_the_next(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    receive = Client.receive

    def slow(self: Client, *args: Any, **kwargs: Any) -> list[InboxItem]:  # noqa: ANN401
        found = receive(self, *args, **kwargs)
        begun.set()
        go_on.wait(20)
        return found

    async def work() -> None:
        async with AsyncClient(pair[0]) as ana, AsyncClient(pair[1]) as budi:
            await ana.send(BUDI, Text("halo"))
            monkeypatch.setattr(Client, "receive", slow)
            task = asyncio.create_task(first(budi))
            await asyncio.to_thread(begun.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            go_on.set()
            assert await first(budi) == ["halo"]

    run(work())


def test_an_error_that_a_cancelled_items_has_left_is_raised_by_the_next(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def fail(self: Client, *args: object) -> list[InboxItem]:
        begun.set()
        go_on.wait(20)
        raise InvalidArgument("of whichever kind")

    async def work() -> None:
        async with AsyncClient(pair[1]) as budi:
            monkeypatch.setattr(Client, "receive", fail)
            task = asyncio.create_task(first(budi))
            await asyncio.to_thread(begun.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            go_on.set()
            with pytest.raises(InvalidArgument):
                await anext(budi.items())

    run(work())


def test_a_call_that_is_cancelled_goes_on_and_its_repetition_sends_once(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    deposit_all = Relay.deposit_all

    def slow(self: Relay, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        begun.set()
        go_on.wait(20)
        return deposit_all(self, *args, **kwargs)

    async def work() -> None:
        async with AsyncClient(pair[0]) as ana, AsyncClient(pair[1]) as budi:
            monkeypatch.setattr(Relay, "deposit_all", slow)
            sending = ana.send(BUDI, Text("halo"), message_id=bytes(16))
            task = asyncio.create_task(sending)
            await asyncio.to_thread(begun.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            go_on.set()
            await ana.send(BUDI, Text("halo"), message_id=bytes(16))
            assert texts(await budi.receive()) == ["halo"]
            assert await budi.receive() == []

    run(work())


def test_the_loop_goes_on_while_calls_run(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """All threads are held up; the loop turns all the same."""
    go_on = threading.Event()
    monkeypatch.setattr(Relay, "deposit_all", lambda *_, **__: go_on.wait(20) and None)

    async def work() -> None:
        async with AsyncClient(pair[0], threads=2) as ana:
            calls = [asyncio.create_task(ana.send(BUDI, Text("halo"))) for _ in range(8)]
            for _ in range(1000):
                await asyncio.sleep(0)
            assert not any(call.done() for call in calls)
            go_on.set()
            await asyncio.wait(calls)
            for call in calls:
                call.exception()

    run(work())


def test_it_pauses_after_errors_of_the_back_end_and_goes_on(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep
    receive = Client.receive
    failures = 7
    own = threading.get_ident()

    async def note(seconds: float, result: Any = None) -> None:  # noqa: ANN401
        if threading.get_ident() != own:  # a service that another test has started
            await sleep(seconds)
            return
        pauses.append(seconds)
        await sleep(0)

    def fail(self: Client, *args: Any, **kwargs: Any) -> list[InboxItem]:  # noqa: ANN401
        nonlocal failures
        if failures:
            failures -= 1
            raise BackendError("out of reach")
        return receive(self, *args, **kwargs)

    async def work() -> None:
        async with AsyncClient(pair[0]) as ana, AsyncClient(pair[1]) as budi:
            await ana.send(BUDI, Text("halo"))
            monkeypatch.setattr(Client, "receive", fail)
            monkeypatch.setattr("e2ecross.service.aio.asyncio.sleep", note)
            async for item in budi.items():
                assert texts([item]) == ["halo"]
                break

    run(work())
    assert len(pauses) == 7
    for pause, expected in zip(pauses, (1, 2, 4, 8, 16, 30, 30), strict=True):
        assert 0.8 * expected <= pause <= 1.2 * expected


def test_who_is_not_registered_any_more_hears_it(tmp_path: Path) -> None:
    async def work() -> None:
        with Relay(tmp_path / "relay.db") as relay:
            client = Client(Device.create(ANA, MemoryStore()), relay)
            async with AsyncClient(client) as ana:
                with pytest.raises(NotRegistered):
                    await anext(ana.items())

    run(work())


def test_after_close_there_are_no_calls(pair: Pair) -> None:
    async def work() -> None:
        ana = AsyncClient(pair[0])
        await ana.aclose()
        await ana.aclose()
        for call in (ana.register(), ana.receive()):
            with pytest.raises(InvalidArgument, match="has been closed"):
                await call
        assert [item async for item in ana.items()] == []

    run(work())


def test_closing_waits_for_what_runs(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []

    def slow(self: Client) -> None:
        time.sleep(0.2)
        done.append(1)

    async def work() -> None:
        async with AsyncClient(pair[0]) as ana:
            monkeypatch.setattr(AsyncClient, "maintain", _call_of(slow))
            task = asyncio.create_task(ana.maintain())
            await asyncio.sleep(0.05)
        assert done == [1]
        await task

    run(work())


def _call_of(method: Any) -> Any:  # noqa: ANN401
    from e2ecross.service.aio import _in_thread

    return _in_thread(method)


def test_a_client_is_used_by_one_thread_at_a_time(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    users: dict[int, set[str]] = {}
    pending = Client.pending

    def note(self: Client) -> Any:  # noqa: ANN401
        users.setdefault(id(self), set()).add(threading.current_thread().name)
        time.sleep(0.02)
        return pending(self)

    async def work() -> None:
        async with AsyncClient(pair[0], threads=3) as ana:
            monkeypatch.setattr(AsyncClient, "pending", _call_of(note))
            await asyncio.gather(*(ana.pending() for _ in range(12)))

    run(work())
    assert all(len(threads) == 1 for threads in users.values())
    assert id(pair[0]) not in users


@pytest.mark.parametrize("threads", [0, 65, 1.5])
def test_wrong_arguments(pair: Pair, threads: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument):
        AsyncClient(pair[0], threads)
    with pytest.raises(InvalidArgument):
        AsyncClient(pair[0].device)  # type: ignore[arg-type]
    assert repr(AsyncClient(pair[0])) == "<AsyncClient of whatsapp:ana.1>"


def test_notices_and_failures_come_too() -> None:
    assert {Message, FailedMessage, Notice} == set(InboxItem.__args__)


def test_a_file_goes_through_the_clients_of_the_threads(tmp_path: Path) -> None:
    async def work() -> None:
        relay = Relay(tmp_path / "files.db", blob_dir=tmp_path / "blobs")
        devices = [Device.create(each, MemoryStore()) for each in (ANA, BUDI)]
        made = [Client(each, relay, spool_dir=tmp_path) for each in devices]
        path = tmp_path / "photo.png"
        path.write_bytes(bytes(range(256)) * 1000)
        async with AsyncClient(made[0]) as ana, AsyncClient(made[1]) as budi:
            await ana.register()
            await budi.register()
            upload = await ana.upload(path)
            await asyncio.to_thread(upload.run)
            assert [each.complete for each in await ana.uploads()] == [True]
            await budi.download(upload.attachment, tmp_path / "got")
            file = await budi.open_attachment(upload.attachment)
            assert await asyncio.to_thread(file.read, 3) == b"\0\1\2"

    run(work())
    assert (tmp_path / "got").read_bytes() == bytes(range(256)) * 1000

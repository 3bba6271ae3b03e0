# SPDX-License-Identifier: Apache-2.0
"""A client on a store that was put back: refused by what the back end remembers, then healed."""

from collections.abc import Callable

import pytest

from e2ecross import Client, Device, FailedMessage, Notice, NoticeKind, Policy, Text
from e2ecross.errors import BackendError, MailboxFull, RestoredStore, UnknownPrekey, WitnessFailed
from e2ecross.stores import MemoryStore
from tests.client.conversation import read
from tests.support.devices import (
    ANA,
    BUDI,
    BackendSimulator,
    Dump,
    FakeClock,
    bundle_from,
    dump,
    fill,
    make_client,
    make_device,
)
from tests.support.entropy import SeededEntropy
from tests.support.lone_worker import end_holds
from tests.support.store_kinds import STRIPES


def put_back(rows: Dump) -> MemoryStore:
    store = MemoryStore()
    fill(store, rows)
    return store


def opened(store: MemoryStore, *, restored: bool = False, seed: str = "later") -> Device:
    return Device.open(store, clock=FakeClock(), entropy=SeededEntropy(seed), restored=restored)


class Scene:
    """Ana and Budi have talked; Ana's store is put back to before her last messages."""

    def __init__(self, backend: BackendSimulator) -> None:
        self.backend = backend
        store = MemoryStore()
        ana = make_client(ANA, backend, store)
        self.budi = make_client(BUDI, backend)
        ana.send(BUDI, Text("first"))
        assert read(self.budi) == ["first"]
        self.budi.send(ANA, Text("answer"))
        assert read(ana) == ["answer"]
        self.backup = dump(store)
        for text in ("one", "two"):
            ana.send(BUDI, Text(text))
        self.store = put_back(self.backup)
        self.ana = Client(opened(self.store), backend)


@pytest.fixture
def scene(backend: BackendSimulator) -> Scene:
    return Scene(backend)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.send(BUDI, Text("halo")),
        lambda client: client.receive(),
        lambda client: client.maintain(),
        lambda client: client.register(),
    ],
    ids=["send", "receive", "maintain", "register"],
)
def test_a_store_that_is_behind_is_refused_before_anything_leaves(
    call: Callable[[Client], object], scene: Scene
) -> None:
    before, deposits = dump(scene.store), len(scene.backend.deposits)
    publications = len(scene.backend.publications)
    for _ in range(2):
        with pytest.raises(RestoredStore, match="restored=True"):
            call(scene.ana)
    assert dump(scene.store) == before
    assert len(scene.backend.deposits) == deposits
    assert len(scene.backend.publications) == publications


def test_what_is_in_the_inbox_is_not_released_by_a_store_that_is_behind(
    backend: BackendSimulator,
) -> None:
    store = MemoryStore()
    ana, budi = make_client(ANA, backend, store), make_client(BUDI, backend)
    budi.send(ANA, Text("not confirmed"))
    ana.receive()
    backup = dump(store)
    ana.send(BUDI, Text("lost"))
    behind = put_back(backup)
    again = Client(opened(behind), backend)
    for _ in range(2):
        with pytest.raises(RestoredStore):
            again.receive()
    restored = Client(opened(behind, restored=True), backend)
    end_holds(restored, backend)
    found = read(restored)
    # What is of different stripes has no order.
    assert (sorted(found) if STRIPES else found[::-1]) == ["*restored", "not confirmed"]


def test_a_store_that_is_ahead_is_normal(backend: BackendSimulator) -> None:
    """The commit comes before the deposit, and a crash may lie between."""
    store = MemoryStore()
    ana = make_client(ANA, backend, store)
    make_client(BUDI, backend)
    ana.send(BUDI, Text("first"))
    backend.fail("deposit")
    with pytest.raises(BackendError):
        ana.send(BUDI, Text("second"))
    Client(opened(store), backend).maintain()
    assert len(backend.mailbox(BUDI)) == 2


def test_opened_as_restored_everything_goes_on(scene: Scene) -> None:
    left = scene.backend.left(ANA)
    clock = FakeClock()
    device = Device.open(scene.store, clock=clock, entropy=SeededEntropy("later"), restored=True)
    ana = Client(device, scene.backend)
    ana.maintain()
    # All that was published is gone at once; more is made within the bound of an hour.
    assert scene.backend.left(ANA) == []
    clock.advance(60 * 60 * 1000)
    ana.maintain()
    assert not {*left} & {*scene.backend.left(ANA)}
    assert len(scene.backend.left(ANA)) == Policy().one_time_prekeys_target
    ana.send(BUDI, Text("three"))
    assert read(scene.budi) == ["one", "two", "*account_restored", "three"]
    scene.budi.send(ANA, Text("good"))
    assert read(ana) == ["*restored", "good"]
    # The back end's number was taken over: the next client is not refused.
    Client(opened(scene.store, seed="next"), scene.backend).maintain()


def test_a_first_message_to_lost_prekeys_comes_again(
    scene: Scene, backend: BackendSimulator
) -> None:
    citra = make_client(type(ANA)("messenger", "citra"), backend)
    citra.send(ANA, Text("to the old keys"))
    ana = Client(opened(scene.store, restored=True), backend)
    notice, failed = ana.receive()
    assert isinstance(notice, Notice)
    assert notice.kind is NoticeKind.RESTORED
    assert isinstance(failed, FailedMessage)
    assert isinstance(failed.error, UnknownPrekey)
    assert not failed.retrying  # asked for all the same; nothing was read of Citra before
    # One of many workers begins with its upkeep, so that the list is a new one by now.
    assert read(citra) == (["*account_restored"] if STRIPES else [])
    assert "to the old keys" in read(ana)


@pytest.mark.usefixtures("alone")
def test_what_waited_in_the_outbox_goes_once(backend: BackendSimulator) -> None:
    store = MemoryStore()
    ana, budi = make_client(ANA, backend, store), make_client(BUDI, backend)
    ana.send(BUDI, Text("first"))
    backend.fail("deposit")
    with pytest.raises(BackendError):
        ana.send(BUDI, Text("waits"))
    backup = dump(store)
    ana.maintain()  # deposited, in the lost time
    ana.send(BUDI, Text("lost"))
    again = Client(opened(put_back(backup), restored=True), backend)
    again.maintain()
    assert sorted(read(budi)) == ["*account_restored", "first", "lost", "waits"]
    assert read(budi) == []


@pytest.mark.usefixtures("alone")
def test_what_waited_in_the_outbox_waits_on_for_a_full_mailbox(backend: BackendSimulator) -> None:
    """It was promised to be sent, unlike a copy that somebody has asked for."""
    store = MemoryStore()
    ana, budi = make_client(ANA, backend, store), make_client(BUDI, backend)
    ana.send(BUDI, Text("first"))
    backend.fail("deposit")
    with pytest.raises(BackendError):
        ana.send(BUDI, Text("waits"))
    again = Client(opened(store, restored=True), backend)
    for _ in range(2):  # just encrypted anew, and then as it lies there
        backend.fail("deposit", MailboxFull("full"))
        again.maintain()
        assert [item.code for item in again.pending()] == ["mailbox_full"]
        end_holds(again, backend)
    again.maintain()
    assert read(budi) == ["first", "*account_restored", "waits"]


def test_out_of_reach_a_restored_store_encrypts_nothing(scene: Scene) -> None:
    """Nobody would count it, and a copy of that moment could repeat its keys."""
    ana = Client(opened(scene.store, restored=True), scene.backend)
    ana.device.restore_stripes()
    # There is a session to send with: the bundle came some other way.
    ana.device.start_session(bundle_from(scene.backend.published(BUDI), None, kyber=True))
    before = dump(scene.store)
    scene.backend.unreachable = True
    with pytest.raises(BackendError):
        ana.send(BUDI, Text("halo"))
    assert dump(scene.store) == before
    scene.backend.unreachable = False
    ana.send(BUDI, Text("halo"))
    assert "halo" in read(scene.budi)


def test_out_of_reach_a_store_that_is_behind_lets_nothing_leave_later(scene: Scene) -> None:
    scene.backend.unreachable = True
    with pytest.raises(BackendError):
        scene.ana.send(BUDI, Text("encrypted, with a key of the lost time"))
    scene.backend.unreachable = False
    deposits = len(scene.backend.deposits)
    with pytest.raises(RestoredStore):
        scene.ana.maintain()
    ana = Client(opened(scene.store, restored=True), scene.backend)
    ana.maintain()
    assert len(scene.backend.deposits) == deposits + 1
    text = "encrypted, with a key of the lost time"
    assert read(scene.budi) == ["one", "two", "*account_restored", text]


def test_nothing_is_deposited_before_the_witness_knows(backend: BackendSimulator) -> None:
    class Keychain:
        broken = False
        value = 0

        def read(self) -> int:
            return self.value

        def advance(self, n: int) -> None:
            if self.broken:
                raise OSError("locked")
            self.value = max(self.value, n)

    keychain, store = Keychain(), MemoryStore()
    make_client(BUDI, backend)
    make_device(ANA, store)
    ana = Client(
        Device.open(store, clock=FakeClock(), entropy=SeededEntropy("a"), witness=keychain), backend
    )
    ana.register()
    ana.send(BUDI, Text("first"))
    keychain.broken = True
    with pytest.raises(WitnessFailed):
        ana.send(BUDI, Text("second"))
    assert len(backend.mailbox(BUDI)) == 1
    with pytest.raises(WitnessFailed):
        ana.maintain()
    assert len(backend.mailbox(BUDI)) == 1
    keychain.broken = False
    ana.maintain()
    assert len(backend.mailbox(BUDI)) == 2
    assert ana.pending() == []

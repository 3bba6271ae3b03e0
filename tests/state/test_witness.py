# SPDX-License-Identifier: Apache-2.0
"""The witness: what it is told and when, what it may answer, and what happens when it fails."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from e2ecross import Device, Text, Witness
from e2ecross.errors import InvalidArgument, RestoredStore, StoreError, WitnessFailed
from e2ecross.state.epoch import read_epoch
from e2ecross.state.witness import MAX_EPOCH, CheckedWitness, EpochWatch
from e2ecross.stores import MemoryStore, Store
from tests.support.devices import (
    ANA,
    BUDI,
    FakeClock,
    SpyStore,
    dump,
    introduce,
    make_device,
    new_bundle,
    start,
)
from tests.support.entropy import SeededEntropy
from tests.support.restores import put_back, take_copy
from tests.support.witness import Keychain


def make(keychain: Keychain, store: Store | None = None, seed: str = "ana") -> Device:
    return Device.create(
        ANA,
        MemoryStore() if store is None else store,
        clock=FakeClock(),
        entropy=SeededEntropy(seed),
        witness=keychain,
    )


def reopen(store: Store, keychain: Keychain | None, *, restored: bool = False) -> Device:
    return Device.open(
        store,
        clock=FakeClock(),
        entropy=SeededEntropy("reopened"),
        witness=keychain,
        restored=restored,
    )


def epoch_of(store: Store) -> int:
    with store.transaction() as tx:
        return read_epoch(tx)


_COUNTED: dict[str, Callable[[Device, Device], object]] = {
    "encrypt": lambda ana, budi: ana.encrypt(BUDI, Text("halo")),
    "encrypt_raw": lambda ana, budi: ana.encrypt_raw(BUDI, b"halo"),
    "publish": lambda ana, budi: ana.publish(2),
    "start_session": lambda ana, budi: start(ana, budi),
}


def test_a_keychain_is_a_witness() -> None:
    witness: Witness = Keychain()
    assert witness.read() == 0


@pytest.mark.parametrize("name", _COUNTED)
def test_it_is_told_of_each_operation_before_the_result_is_released(name: str) -> None:
    keychain, store = Keychain(), MemoryStore()
    ana, budi = make(keychain, store), make_device(BUDI)
    introduce(ana, budi)
    before = epoch_of(store)
    assert keychain.number == before
    _COUNTED[name](ana, budi)
    assert keychain.number == epoch_of(store) == before + 1


class ReadOnly(Keychain):
    """Can be asked, but not told."""

    def advance(self, n: int) -> None:
        if self.error is not None:
            raise self.error
        super().advance(n)

    def read(self) -> int:
        return self.number


@pytest.mark.parametrize("name", _COUNTED)
def test_when_it_cannot_be_asked_nothing_is_done(name: str) -> None:
    keychain, store = Keychain(), MemoryStore()
    ana, budi = make(keychain, store), make_device(BUDI)
    introduce(ana, budi)
    before = dump(store)
    keychain.error = OSError("the keychain is locked, and this text may be secret")
    released: object = None
    with pytest.raises(WitnessFailed, match="cannot be read") as caught:
        released = _COUNTED[name](ana, budi)
    assert released is None
    assert "secret" not in str(caught.value)
    assert caught.value.code == "witness_failed"
    assert dump(store) == before
    keychain.error = None
    _COUNTED[name](ana, budi)
    assert keychain.number == epoch_of(store)


@pytest.mark.parametrize("name", _COUNTED)
def test_when_it_cannot_be_told_the_state_is_saved_and_nothing_is_released(name: str) -> None:
    keychain, store = ReadOnly(), MemoryStore()
    ana, budi = make(keychain, store), make_device(BUDI)
    introduce(ana, budi)
    before = epoch_of(store)
    keychain.error = OSError("the keychain is locked, and this text may be secret")
    released: object = None
    with pytest.raises(WitnessFailed, match="cannot be told") as caught:
        released = _COUNTED[name](ana, budi)
    assert released is None
    assert "secret" not in str(caught.value)
    assert caught.value.code == "witness_failed"
    assert epoch_of(store) == before + 1
    keychain.error = None
    # What was not told is told with the next operation: a copy from before is still noticed.
    budi.decrypt(ana.encrypt(BUDI, Text("again")))
    assert keychain.number == epoch_of(store)


def test_a_publication_that_waits_is_told_of_too() -> None:
    keychain = ReadOnly()
    ana = make(keychain)
    keychain.error = OSError()
    with pytest.raises(WitnessFailed):
        ana.publish(1)
    with pytest.raises(WitnessFailed):
        ana.publish(1)  # the same batch, which is not released either
    keychain.error = None
    assert len(ana.publish(1).one_time_prekeys) == 1
    assert keychain.number == 1


def test_what_was_read_is_released_in_any_case() -> None:
    """The key that opened it is gone: the message would be lost."""
    keychain, store = Keychain(), MemoryStore()
    ana, budi = make(keychain, store), make_device(BUDI)
    start(budi, ana)
    raw = budi.encrypt_raw(ANA, b"raw")
    told = keychain.number
    keychain.error = OSError()
    assert ana.decrypt(budi.encrypt(ANA, Text("first"))).content == Text("first")
    assert ana.decrypt_raw(BUDI, *raw) == b"raw"
    assert (keychain.number, epoch_of(store)) == (told, told + 1)
    keychain.error = None
    ana.encrypt(BUDI, Text("answer"))
    assert keychain.number == told + 2


def test_a_first_message_is_told_of() -> None:
    keychain, store = Keychain(), MemoryStore()
    ana, budi = make(keychain, store), make_device(BUDI)
    start(budi, ana)
    told = keychain.number
    ana.decrypt(budi.encrypt(ANA, Text("first")))
    assert keychain.number == epoch_of(store) == told + 1
    ana.decrypt(budi.encrypt(ANA, Text("second")))
    assert keychain.number == epoch_of(store) == told + 1


def test_it_is_told_after_the_commit() -> None:
    keychain, spy = Keychain(), SpyStore(MemoryStore())
    ana, budi = make(keychain, spy), make_device(BUDI)
    introduce(ana, budi)
    told = list(keychain.calls)
    spy.fail_commit = True
    with pytest.raises(StoreError):
        ana.encrypt(BUDI, Text("lost"))
    assert keychain.calls == told
    spy.fail_commit = False


def test_a_number_is_told_once() -> None:
    keychain = Keychain()
    checked = CheckedWitness(keychain)
    for n in (3, 3, 2, 4):
        checked.tell(n)
    assert keychain.calls == [3, 4]
    keychain = Keychain(7)
    checked = CheckedWitness(keychain)
    assert checked.read() == 7
    checked.tell(7)
    assert keychain.calls == []


def test_threads_may_come_out_of_order() -> None:
    keychain, store = Keychain(), MemoryStore()
    ana, budi = make(keychain, store), make_device(BUDI)
    introduce(ana, budi)
    threads = [
        threading.Thread(target=lambda: [ana.encrypt(BUDI, Text("x")) for _ in range(10)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert keychain.number == epoch_of(store)


# --- An older state under an open device --------------------------------------------------------


class Counting(Keychain):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def read(self) -> int:
        self.reads += 1
        return super().read()


def test_it_is_asked_in_each_operation_that_releases_something() -> None:
    keychain = Counting()
    ana, budi = make(keychain), make_device(BUDI)
    introduce(ana, budi)
    arrived = [budi.encrypt(ANA, Text(str(n))) for n in range(2)]
    raw = budi.encrypt_raw(ANA, b"raw")
    calls: list[Callable[[], object]] = [
        *[lambda name=name: _COUNTED[name](ana, budi) for name in _COUNTED],
        lambda: ana.decrypt(arrived[0]),
        lambda: ana.decrypt_many(arrived[1:]),
        lambda: ana.decrypt_raw(BUDI, *raw),
        lambda: ana.encrypt_many([BUDI], Text("halo")),
    ]
    for call in calls:
        before = keychain.reads
        call()
        assert keychain.reads > before


def behind() -> tuple[Device, Device, Keychain]:
    """Somebody else has sent from the store of an open device, and was put back."""
    keychain, store = Keychain(), MemoryStore()
    ana, budi = make(keychain, store), make_device(BUDI)
    introduce(ana, budi)
    copy = take_copy(store)
    reopen(store, keychain).encrypt(BUDI, Text("of another process"))
    put_back(store, copy)
    return ana, budi, keychain


@pytest.mark.parametrize("name", _COUNTED)
def test_what_only_the_witness_has_seen_is_refused_each_time(name: str) -> None:
    ana, budi, _ = behind()
    before = dump(ana._context.store)
    for _ in range(2):
        with pytest.raises(RestoredStore, match="the witness knows"):
            _COUNTED[name](ana, budi)
        assert dump(ana._context.store) == before


def test_receipts_are_refused_too_and_what_arrived_still_opens_after_a_restore() -> None:
    ana, budi, keychain = behind()
    store, waiting = ana._context.store, budi.encrypt(ANA, Text("waits"))
    before = dump(store)
    for _ in range(2):
        with pytest.raises(RestoredStore, match="the witness knows"):
            ana.decrypt(waiting)
        assert dump(store) == before
    assert reopen(store, keychain, restored=True).decrypt(waiting).content == Text("waits")


def test_what_was_seen_once_counts_when_the_witness_cannot_be_asked_for_a_receipt() -> None:
    ana, budi, keychain = behind()
    waiting = budi.encrypt(ANA, Text("waits"))
    with pytest.raises(RestoredStore):
        ana.decrypt(waiting)
    keychain.error = OSError()
    with pytest.raises(RestoredStore):
        ana.decrypt(waiting)


# --- Opening ------------------------------------------------------------------------------------


def test_a_store_that_is_behind_is_refused_and_not_changed() -> None:
    keychain, store = Keychain(), MemoryStore()
    introduce(make(keychain, store), make_device(BUDI))
    before = dump(store)
    keychain.number += 1
    with pytest.raises(RestoredStore, match="restored=True") as caught:
        reopen(store, keychain)
    known, there = keychain.number, keychain.number - 1
    assert f"the witness knows {known} operations of this device" in str(caught.value)
    assert f"its store only {there}:" in str(caught.value)
    assert caught.value.code == "restored_store"
    assert dump(store) == before
    assert keychain.calls[-1] == keychain.number - 1


def test_a_store_that_is_ahead_is_normal() -> None:
    """A crash between the commit and the call."""
    keychain, store = Keychain(), MemoryStore()
    ana, budi = make(keychain, store), make_device(BUDI)
    introduce(ana, budi)
    keychain.number -= 1
    reopen(store, keychain).encrypt(BUDI, Text("on"))
    assert keychain.number == epoch_of(store)


def test_a_store_is_read_after_the_witness() -> None:
    """Else what another process sends in between would look like a restored store."""
    keychain, store = Keychain(), MemoryStore()
    ana, budi = make(keychain, store), make_device(BUDI)
    introduce(ana, budi)

    class Overtaken(Keychain):
        def read(self) -> int:
            number = keychain.number
            ana.encrypt(BUDI, Text("meanwhile"))
            return number

    Device.open(store, clock=FakeClock(), witness=Overtaken())


def test_a_new_device_goes_on_where_the_witness_is() -> None:
    keychain, store = Keychain(41), MemoryStore()
    make(keychain, store)
    assert epoch_of(store) == 41
    reopen(store, keychain)
    bare = MemoryStore()
    make(Keychain(), bare)
    assert epoch_of(bare) == 0


@pytest.mark.parametrize("nonsense", [-1, 1.0, True, None, "1", b"1", MAX_EPOCH + 1])
def test_an_answer_that_is_no_number_is_refused(nonsense: object) -> None:
    store = MemoryStore()
    introduce(make(Keychain(), store), make_device(BUDI))
    before = dump(store)

    class Nonsense(Keychain):
        def read(self) -> int:
            return nonsense  # type: ignore[return-value]

    calls: list[Callable[[], Device]] = [
        lambda: reopen(store, Nonsense()),
        lambda: reopen(store, Nonsense(), restored=True),
        lambda: make(Nonsense()),
    ]
    for call in calls:
        with pytest.raises(WitnessFailed, match="whole number"):
            call()
    assert dump(store) == before


def test_a_witness_that_cannot_be_read_is_an_error_of_ours() -> None:
    store = MemoryStore()
    introduce(make(Keychain(), store), make_device(BUDI))
    keychain = Keychain()
    keychain.error = OSError("no access")
    calls: list[Callable[[], Device]] = [
        lambda: reopen(store, keychain),
        lambda: make(keychain),
    ]
    for call in calls:
        with pytest.raises(WitnessFailed):
            call()


class OnlyReads:
    def read(self) -> int:
        return 0


class OnlyAdvances:
    def advance(self, n: int) -> None:
        pass


@pytest.mark.parametrize("witness", [object(), OnlyReads(), OnlyAdvances()])
def test_what_is_no_witness_is_refused(witness: Any) -> None:  # noqa: ANN401
    store = MemoryStore()
    with pytest.raises(InvalidArgument, match=r"\bwitness\b"):
        make(witness, store)
    assert dump(store) == {}


def test_restored_is_a_plain_yes_or_no() -> None:
    store = MemoryStore()
    with pytest.raises(InvalidArgument, match=r"\brestored\b"):
        Device.open(store, restored=1)  # type: ignore[arg-type]


def test_without_a_witness_nothing_is_noticed() -> None:
    """As the documents say: this is why there is one."""
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    copy = take_copy(store)
    ana.start_session(new_bundle(budi))
    put_back(store, copy)
    reopen(store, None)


@pytest.mark.parametrize("epoch", [0, 1, MAX_EPOCH])
def test_what_a_witness_was_not_told_yet_it_is_told_once(epoch: int) -> None:
    told: list[int] = []

    class Recorder:
        def read(self) -> int:
            return epoch

        def advance(self, n: int) -> None:
            told.append(n)

    witness = CheckedWitness(Recorder())
    for _ in range(2):
        witness.tell(epoch)
        assert told == [epoch]
    assert CheckedWitness(Recorder()).read() == epoch


def test_each_refusal_is_counted() -> None:
    watch = EpochWatch()
    watch.note(5)
    for refused in range(3):
        assert watch.refusals == refused
        with pytest.raises(RestoredStore):
            watch.refuse(4)

# SPDX-License-Identifier: Apache-2.0
"""The epoch: which operations are counted, and how it is held against the back end's."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from e2ecross import Device, Envelope, Text
from e2ecross.errors import (
    BackendError,
    E2ECrossError,
    NoDevice,
    RestoredStore,
    StoreError,
    UnknownPrekey,
)
from e2ecross.state.context import require_device, save_device
from e2ecross.state.epoch import check_epoch, count_operation, read_epoch, set_epoch
from e2ecross.stores import MemoryStore, Store
from tests.support.devices import (
    ANA,
    BUDI,
    TOKO,
    FakeClock,
    SpyStore,
    dump,
    introduce,
    make_device,
    new_bundle,
    reopen_device,
    start,
)


def epoch_of(device: Device) -> int:
    with device._context.store.transaction() as tx:
        return read_epoch(tx)


def test_it_counts_from_one_and_is_kept() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        assert read_epoch(tx) == 0
        assert [count_operation(tx), count_operation(tx), read_epoch(tx)] == [1, 2, 2]
    with store.transaction() as tx:
        set_epoch(tx, 2**62)
        assert count_operation(tx) == 2**62 + 1


_COUNTED: dict[str, Callable[[Device, Device], object]] = {
    "encrypt": lambda ana, budi: ana.encrypt(BUDI, Text("halo")),
    "encrypt_raw": lambda ana, budi: ana.encrypt_raw(BUDI, b"halo"),
    "start_session": lambda ana, budi: start(ana, budi),
    "publish": lambda ana, budi: ana.publish(1),
    "reopened as restored": lambda ana, budi: Device.open(
        ana._context.store, clock=FakeClock(), restored=True
    ),
}
_UNCOUNTED: dict[str, Callable[[Device, Device], object]] = {
    "decrypt": lambda ana, budi: ana.decrypt(budi.encrypt(ANA, Text("halo"))),
    "confirm_published": lambda ana, budi: ana.confirm_published(ana.publish(1)),
    "mark_verified": lambda ana, budi: ana.mark_verified(BUDI, budi.identity_key),
    "accept_identity": lambda ana, budi: ana.accept_identity(
        BUDI, make_device(BUDI, seed="new").identity_key
    ),
    "has_session": lambda ana, budi: ana.has_session(BUDI),
    "session_info": lambda ana, budi: ana.session_info(BUDI),
    "safety_number": lambda ana, budi: ana.safety_number(BUDI),
    "export": lambda ana, budi: ana.export_identity("passphrase", cost="interactive"),
    "reopened": lambda ana, budi: reopen_device(ana, ana._context.store, "again"),
}


@pytest.mark.parametrize("name", _COUNTED)
def test_sending_and_prekey_operations_are_counted(name: str) -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    before = epoch_of(ana)
    _COUNTED[name](ana, budi)
    assert epoch_of(ana) == before + 1


@pytest.mark.parametrize("name", _UNCOUNTED)
def test_nothing_else_is_counted(name: str) -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    if name == "confirm_published":
        ana.publish(1)
    before = epoch_of(ana)
    _UNCOUNTED[name](ana, budi)
    assert epoch_of(ana) == before


@pytest.mark.parametrize("one_time", [True, False])
def test_a_first_message_is_counted_once(one_time: bool) -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(budi, ana, one_time=one_time)
    before = epoch_of(ana)
    first = budi.encrypt(ANA, Text("first"))
    ana.decrypt(first)
    assert epoch_of(ana) == before + 1
    ana.decrypt(budi.encrypt(ANA, Text("wrapped as well")))
    assert epoch_of(ana) == before + 1


def test_a_publication_is_counted_once_and_keeps_its_epoch() -> None:
    ana = make_device(ANA)
    published = ana.publish(1)
    assert ana.publish(1) == published
    start(ana, make_device(BUDI))
    with ana._context.store.transaction() as tx:
        assert (require_device(tx).publication_epoch, read_epoch(tx)) == (1, 2)
    ana.confirm_published(published)
    with ana._context.store.transaction() as tx:
        assert (require_device(tx).publication_epoch, read_epoch(tx)) == (0, 2)


def test_what_fails_is_not_counted() -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_device(ANA, spy), make_device(BUDI)
    introduce(ana, budi)
    spent: Envelope = make_spent(ana)
    bundle = new_bundle(budi)
    before = dump(spy)
    with pytest.raises(UnknownPrekey):
        ana.decrypt(spent)
    with pytest.raises(E2ECrossError):
        ana.start_session(replace(bundle, signed_prekey_signature=bytes(64)))
    spy.fail_commit = True
    for call in (
        lambda: ana.encrypt(BUDI, Text("halo")),
        lambda: ana.start_session(bundle),
        lambda: ana.publish(1),
    ):
        with pytest.raises(StoreError):
            call()
    spy.fail_commit = False
    assert dump(spy) == before


def make_spent(ana: Device) -> Envelope:
    """A first message whose one-time prekey was used by another one."""
    bundle = new_bundle(ana)
    envelopes = []
    for seed in ("one", "two"):
        stranger = make_device(TOKO, seed=seed)
        stranger.start_session(bundle)
        envelopes.append(stranger.encrypt(ANA, Text("first")))
    ana.decrypt(envelopes[0])
    return envelopes[1]


# --- Against the back end's ---------------------------------------------------------------------


def prepared(*, adopts: bool, epoch: int = 7) -> Store:
    ana = make_device(ANA)
    with ana._context.store.transaction() as tx:
        set_epoch(tx, epoch)
        save_device(tx, replace(require_device(tx), adopts_epoch=adopts))
    return ana._context.store


def check(store: Store, backend_epoch: object) -> tuple[int, bool]:
    with store.transaction() as tx:
        check_epoch(tx, backend_epoch)  # type: ignore[arg-type]
    with store.transaction() as tx:
        return read_epoch(tx), require_device(tx).adopts_epoch


@pytest.mark.parametrize("backend_epoch", [0, 6, 7])
def test_a_back_end_that_knows_less_is_normal(backend_epoch: int) -> None:
    store = prepared(adopts=False)
    before = dump(store)
    assert check(store, backend_epoch) == (7, False)
    assert dump(store) == before


@pytest.mark.parametrize("backend_epoch", [8, 2**62, 2**70])
def test_a_back_end_that_knows_more_means_a_restored_store(backend_epoch: int) -> None:
    store = prepared(adopts=False)
    before = dump(store)
    with pytest.raises(RestoredStore, match=r"Device\.open\(store, restored=True\)"):
        check(store, backend_epoch)
    assert dump(store) == before


@pytest.mark.parametrize(("backend_epoch", "epoch"), [(0, 7), (7, 7), (8, 8), (2**62, 2**62)])
def test_a_restored_store_takes_the_back_ends_epoch_over_once(
    backend_epoch: int, epoch: int
) -> None:
    store = prepared(adopts=True)
    assert check(store, backend_epoch) == (epoch, False)
    with pytest.raises(RestoredStore):
        check(store, epoch + 1)


def test_a_publication_that_waits_is_not_older_than_what_was_taken_over() -> None:
    store = prepared(adopts=True)
    Device.open(store, clock=FakeClock()).publish(1)
    assert check(store, 50) == (51, False)
    with store.transaction() as tx:
        assert require_device(tx).publication_epoch == 51


@pytest.mark.parametrize("adopts", [True, False])
@pytest.mark.parametrize("nonsense", [-1, True, None, 1.0, "8"])
def test_nonsense_of_the_back_end_is_its_own_error(nonsense: object, adopts: bool) -> None:
    store = prepared(adopts=adopts)
    before = dump(store)
    with pytest.raises(BackendError):
        check(store, nonsense)
    assert dump(store) == before


def test_a_lying_back_end_does_not_use_up_the_numbers() -> None:
    store = prepared(adopts=True)
    with pytest.raises(BackendError):
        check(store, 2**62 + 1)
    assert check(store, 2**62) == (2**62, False)
    with store.transaction() as tx:
        for _ in range(3):
            count_operation(tx)
        assert read_epoch(tx) == 2**62 + 3


def test_without_a_device_there_is_nothing_to_check() -> None:
    with pytest.raises(NoDevice):
        check(MemoryStore(), 0)

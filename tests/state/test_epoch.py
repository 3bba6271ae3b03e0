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
    RecordCorrupted,
    RestoredStore,
    StoreError,
    UnknownPrekey,
)
from e2ecross.state.context import require_device, save_device
from e2ecross.state.epoch import (
    WitnessedReceipt,
    WitnessedTransaction,
    check_backend_epoch,
    count_operation,
    read_epoch,
    set_epoch,
    sum_epochs,
)
from e2ecross.stores import MemoryStore, Table
from tests.support.devices import (
    ANA,
    BUDI,
    TOKO,
    FakeClock,
    SpyStore,
    Stores,
    dump,
    introduce,
    make_device,
    new_bundle,
    reopen_device,
    start,
)
from tests.support.restores import put_back, take_copy


def epoch_of(device: Device) -> int:
    """Operations in all stripes together."""
    with device._context.store.transaction() as tx:
        return sum_epochs(tx)


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
        assert (require_device(tx).publication_epoch, sum_epochs(tx)) == (1, 2)
    ana.confirm_published(published)
    with ana._context.store.transaction() as tx:
        assert (require_device(tx).publication_epoch, sum_epochs(tx)) == (0, 2)


@pytest.mark.parametrize("receipt", [False, True])
def test_what_cannot_be_read_at_the_end_undoes_the_operation_and_frees_the_store(
    receipt: bool, stores: Stores
) -> None:
    store = stores.open("ana")
    ana = make_device(ANA, store)
    ana.publish(1)
    before = dump(store)
    # Kept by its name: it must have ended, and not only been collected.
    operation = (WitnessedReceipt if receipt else WitnessedTransaction)(ana._context)

    def leave_it_unreadable() -> None:
        with operation as tx:
            tx.clear(Table.ONE_TIME_PREKEYS, b"")
            tx.put(Table.STRIPE, b"", b"", b"\x01\xff")

    with pytest.raises(RecordCorrupted):
        leave_it_unreadable()
    assert dump(store) == before
    start(ana, make_device(BUDI))


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


def prepared(*, adopts: bool, epoch: int = 7, restored_epoch: int = 0) -> Device:
    ana = make_device(ANA)
    with ana._context.store.transaction() as tx:
        set_epoch(tx, epoch)
        record = replace(require_device(tx), adopts_epoch=adopts, restored_epoch=restored_epoch)
        save_device(tx, record)
    return ana


def check(device: Device, told: int) -> tuple[int, bool]:
    context = device._context
    check_backend_epoch(context, {0: told})
    with context.store.transaction() as tx:
        return read_epoch(tx), require_device(tx).adopts_epoch


@pytest.mark.parametrize("told", [0, 6, 7])
def test_a_back_end_that_knows_less_is_normal(told: int) -> None:
    ana = prepared(adopts=False)
    before = dump(ana._context.store)
    assert check(ana, told) == (7, False)
    assert dump(ana._context.store) == before


@pytest.mark.parametrize("told", [8, 2**62, 2**70])
def test_a_back_end_that_knows_more_means_a_restored_store(told: int) -> None:
    ana = prepared(adopts=False)
    before = dump(ana._context.store)
    message = rf"the back end knows {told} operations .*, its store only 7: .*restored=True\)"
    if ana._context.store.stripes:
        message = r"the back end knows more .*, in 1 stripes: .*restored=True\)"
    with pytest.raises(RestoredStore, match=message):
        check(ana, told)
    assert dump(ana._context.store) == before
    assert check(ana, 0) == (7, False)  # that it says less now
    with pytest.raises(RestoredStore, match="the back end knows"):
        ana.publish(1)  # is no reason to forget it
    assert dump(ana._context.store) == before


@pytest.mark.parametrize(("told", "epoch"), [(0, 7), (7, 7), (8, 8), (2**62, 2**62)])
def test_a_restored_store_takes_the_back_ends_epoch_over_once(told: int, epoch: int) -> None:
    ana = prepared(adopts=True)
    assert check(ana, told) == (epoch, False)
    with pytest.raises(RestoredStore):
        check(ana, epoch + 1)


def test_what_was_taken_over_is_no_operation_of_a_restored_store() -> None:
    ana = prepared(adopts=True, restored_epoch=7)
    check(ana, 50)
    with ana._context.store.transaction() as tx:
        assert (read_epoch(tx), require_device(tx).restored_epoch) == (50, 50)
    imported = prepared(adopts=True)
    check(imported, 50)
    with imported._context.store.transaction() as tx:
        assert require_device(tx).restored_epoch == 0


def test_a_publication_that_waits_is_not_older_than_what_was_taken_over() -> None:
    ana = prepared(adopts=True)
    ana.publish(1)
    assert check(ana, 50) == (51, False)
    with ana._context.store.transaction() as tx:
        assert require_device(tx).publication_epoch == 51


def test_a_lying_back_end_does_not_use_up_the_numbers() -> None:
    ana = prepared(adopts=True)
    with pytest.raises(BackendError):
        check(ana, 2**62 + 1)
    assert check(ana, 2**62) == (2**62, False)
    with ana._context.store.transaction() as tx:
        for _ in range(3):
            count_operation(tx)
        assert read_epoch(tx) == 2**62 + 3


def test_without_a_device_there_is_nothing_to_check() -> None:
    ana = make_device(ANA)
    put_back(ana._context.store, {})
    with pytest.raises(NoDevice):
        check(ana, 0)


# --- An older state under an open device --------------------------------------------------------


def rolled_back(*, publishes: bool = False) -> tuple[Device, Device, Envelope]:
    """A device that has sent since the state that is put under it now; and what waits for it.

    Args:
        publishes: it has published instead: that is counted in another stripe, if there are some.
    """
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    waiting = budi.encrypt(ANA, Text("waits"))
    copy = take_copy(ana._context.store)
    if publishes:
        ana.publish(1)
    else:
        ana.encrypt(BUDI, Text("since"))
    put_back(ana._context.store, copy)
    return ana, budi, waiting


_RELEASES: dict[str, Callable[[Device, Device, Envelope], object]] = {
    "encrypt": lambda ana, budi, _: ana.encrypt(BUDI, Text("again under the same key")),
    "encrypt_raw": lambda ana, budi, _: ana.encrypt_raw(BUDI, b"again"),
    "encrypt_many": lambda ana, budi, _: ana.encrypt_many([BUDI], Text("again")),
    "start_session": lambda ana, budi, _: ana.start_session(new_bundle(budi)),
    "publish": lambda ana, budi, _: ana.publish(1),
    "decrypt": lambda ana, budi, waiting: ana.decrypt(waiting),
    "decrypt_many": lambda ana, budi, waiting: ana.decrypt_many([waiting]),
    "decrypt_raw": lambda ana, budi, waiting: ana.decrypt_raw(
        BUDI, waiting.kind, waiting.ciphertext
    ),
}


@pytest.mark.parametrize("name", _RELEASES)
def test_an_older_state_under_an_open_device_is_refused_each_time(name: str) -> None:
    ana, budi, waiting = rolled_back(publishes=name == "publish")
    before = dump(ana._context.store)
    for _ in range(3):
        released: object = None
        with pytest.raises(RestoredStore, match="this device knows"):
            released = _RELEASES[name](ana, budi, waiting)
        assert released is None
        assert dump(ana._context.store) == before
    # What it may do as restored, a device of the same store may that is opened so.
    again = Device.open(ana._context.store, clock=FakeClock(), restored=True)
    assert again.decrypt(waiting).content == Text("waits")


@pytest.mark.parametrize("kind", [WitnessedTransaction, WitnessedReceipt])
def test_a_refused_transaction_is_rolled_back_and_leaves_the_store_free(
    kind: type[WitnessedTransaction],
) -> None:
    ana, _, _ = rolled_back()
    stripe = ana._context.stripe_of(BUDI.user_id)
    with pytest.raises(RestoredStore), kind(ana._context, stripe):
        raise AssertionError("must not be reached")
    assert epoch_of(ana) > 0


def test_the_error_says_how_far_the_store_is_behind() -> None:
    ana, _, _ = rolled_back()
    stripe = ana._context.stripe_of(BUDI.user_id)
    with ana._context.store.transaction() as tx:
        there = read_epoch(tx.at(stripe))
    seen = ana._context.watch.seen(stripe)
    assert seen > there
    with pytest.raises(RestoredStore, match=rf"knows {seen} operations.* its store only {there}:"):
        ana.encrypt(BUDI, Text("not sent"))


def test_a_store_that_is_as_if_no_operation_had_been_is_an_older_one() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    copy = take_copy(ana._context.store)
    bundle = new_bundle(budi)
    assert epoch_of(ana) == 0
    ana.start_session(bundle)
    assert epoch_of(ana) == 1
    put_back(ana._context.store, copy)
    with pytest.raises(RestoredStore, match=r"knows 1 operations.* its store only 0:"):
        ana.start_session(bundle)


def test_what_only_this_device_has_committed_is_noticed_without_any_help() -> None:
    """A fresh object knows nothing of it: that is what back end and witness are for."""
    ana, _, _ = rolled_back()
    Device.open(ana._context.store, clock=FakeClock()).encrypt(BUDI, Text("not noticed"))


def test_what_fails_is_not_taken_for_something_that_was_seen() -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_device(ANA, spy), make_device(BUDI)
    introduce(ana, budi)
    spy.fail_commit = True
    with pytest.raises(StoreError):
        ana.encrypt(BUDI, Text("lost"))
    spy.fail_commit = False
    ana.encrypt(BUDI, Text("sent"))


def test_a_state_that_was_put_back_and_has_gone_on_elsewhere_is_not_refused() -> None:
    """The same number of operations: only who sees their content could tell."""
    ana, _, _ = rolled_back()
    Device.open(ana._context.store, clock=FakeClock()).encrypt(BUDI, Text("elsewhere"))
    ana.encrypt(BUDI, Text("goes on"))


# --- Stripe by stripe ---------------------------------------------------------------------------


def prepared_fleet(
    epochs: dict[int, int], *, adopts: bool, restored_epoch: int = 0, imported_at_ms: int = 0
) -> Device:
    ana = make_device(ANA, MemoryStore(64))
    with ana._context.store.transaction() as tx:
        for stripe, epoch in epochs.items():
            set_epoch(tx.at(stripe), epoch)
        record = replace(
            require_device(tx),
            adopts_epoch=adopts,
            restored_epoch=restored_epoch,
            imported_at_ms=imported_at_ms,
        )
        save_device(tx, record)
    return ana


def epochs_of(device: Device) -> dict[int, int]:
    with device._context.store.transaction() as tx:
        found = {stripe: read_epoch(tx.at(stripe)) for stripe in range(65)}
    return {stripe: epoch for stripe, epoch in found.items() if epoch}


def test_every_stripe_is_held_against_what_the_back_end_was_told() -> None:
    ana = prepared_fleet({0: 3, 1: 7, 64: 2}, adopts=False)
    before = dump(ana._context.store)
    check_backend_epoch(ana._context, {})
    check_backend_epoch(ana._context, {0: 3, 1: 6, 5: 0, 64: 2})
    with pytest.raises(RestoredStore, match=r"in 2 stripes: .*restored=True\)"):
        check_backend_epoch(ana._context, {0: 3, 1: 8, 2: 1, 64: 2})
    assert dump(ana._context.store) == before
    for stripe in (1, 2):
        with (
            pytest.raises(RestoredStore, match="the back end knows"),
            WitnessedTransaction(ana._context, stripe),
        ):
            raise AssertionError
    with WitnessedTransaction(ana._context, 64) as tx:
        count_operation(tx)
    assert epochs_of(ana) == {0: 3, 1: 7, 64: 3}


@pytest.mark.parametrize("adopts", [True, False])
@pytest.mark.parametrize("stripes", [0, 64])
def test_a_stripe_that_the_store_does_not_have_is_of_another_one(
    stripes: int, *, adopts: bool
) -> None:
    ana = make_device(ANA, MemoryStore(stripes))
    with ana._context.store.transaction() as tx:
        save_device(tx, replace(require_device(tx), adopts_epoch=adopts))
    before = dump(ana._context.store)
    with pytest.raises(RestoredStore, match="in 1 stripes"):
        check_backend_epoch(ana._context, {stripes + 1: 1})
    assert dump(ana._context.store) == before
    check_backend_epoch(ana._context, {stripes + 1: 0})


def test_an_imported_identity_may_have_been_in_a_store_with_more_stripes() -> None:
    ana = prepared_fleet({}, adopts=True, imported_at_ms=5)
    for _ in range(2):
        check_backend_epoch(ana._context, {0: 4, 7: 9, 65: 100})
    assert epochs_of(ana) == {0: 4, 7: 9}
    with pytest.raises(RestoredStore, match="in 1 stripes"):
        check_backend_epoch(ana._context, {7: 10, 65: 100})


def test_a_restored_store_takes_all_stripes_over_once() -> None:
    ana = prepared_fleet({0: 3, 1: 7, 2: 5}, adopts=True, restored_epoch=15)
    check_backend_epoch(ana._context, {0: 9, 1: 6, 2: 2**62, 64: 1})
    assert epochs_of(ana) == {0: 9, 1: 7, 2: 2**62, 64: 1}
    with ana._context.store.transaction() as tx:
        record = require_device(tx)
    assert (record.adopts_epoch, record.restored_epoch) == (False, 9 + 7 + 2**62 + 1)
    with pytest.raises(RestoredStore, match="in 1 stripes"):
        check_backend_epoch(ana._context, {64: 2})
    with ana._context.store.transaction() as tx:
        assert require_device(tx).restored_epoch == 0


def test_the_sum_of_all_stripes_fits_into_a_record() -> None:
    ana = prepared_fleet({}, adopts=True, restored_epoch=15)
    check_backend_epoch(ana._context, dict.fromkeys(range(65), 2**62))
    with ana._context.store.transaction() as tx:
        assert require_device(tx).restored_epoch == 65 * 2**62 % 2**64


def test_one_impossible_epoch_is_enough() -> None:
    ana = prepared_fleet({}, adopts=True)
    before = dump(ana._context.store)
    with pytest.raises(BackendError, match="impossible epoch"):
        check_backend_epoch(ana._context, {0: 4, 7: 2**62 + 1})
    assert dump(ana._context.store) == before


def test_a_stripe_that_is_put_back_under_a_device_is_not_taken_over() -> None:
    ana = prepared_fleet({3: 1}, adopts=True)
    with WitnessedTransaction(ana._context, 3) as tx:
        count_operation(tx)
    copy = take_copy(ana._context.store)
    with WitnessedTransaction(ana._context, 3) as tx:
        count_operation(tx)
    put_back(ana._context.store, copy)
    with pytest.raises(RestoredStore, match="this device knows 3 operations"):
        check_backend_epoch(ana._context, {0: 100, 3: 1})
    assert dump(ana._context.store) == copy


def test_operations_are_counted_in_the_stripe_of_the_contact() -> None:
    ana, budi = make_device(ANA, MemoryStore(64)), make_device(BUDI)
    introduce(ana, budi)
    before = epochs_of(ana)
    ana.encrypt(BUDI, Text("halo"))
    stripe = ana._context.stripe_of(BUDI.user_id)
    assert epochs_of(ana) == {**before, stripe: before[stripe] + 1}


def test_a_stripe_that_is_put_back_stops_at_its_first_message_and_no_other_does() -> None:
    ana, budi, toko = make_device(ANA, MemoryStore(64)), make_device(BUDI), make_device(TOKO)
    introduce(ana, budi)
    introduce(ana, toko)
    copy = take_copy(ana._context.store)
    ana.encrypt(BUDI, Text("since"))
    put_back(ana._context.store, copy)
    with pytest.raises(RestoredStore):
        ana.encrypt(BUDI, Text("under a key that was used"))
    ana.encrypt(TOKO, Text("halo"))


def test_a_store_whose_only_epoch_cannot_be_read_is_not_held_against_the_back_end(
    stores: Stores,
) -> None:
    store = stores.open("ana")
    ana = make_device(ANA, store)
    with store.transaction() as tx:
        tx.put(Table.STRIPE, b"", b"", b"\x01\xff")
    with pytest.raises(RecordCorrupted):
        check_backend_epoch(ana._context, {0: 0})

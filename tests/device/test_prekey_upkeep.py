# SPDX-License-Identifier: Apache-2.0
"""Publishing and replacing our own prekeys."""

from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from e2ecross import Device, Policy, PublishedKeys, Text
from e2ecross.crypto.kem import decode_kem_public_key
from e2ecross.crypto.keys import decode_public_key
from e2ecross.crypto.xeddsa import verify_signature
from e2ecross.device.prekey_upkeep import (
    make_publication,
    needs_rotation,
    plan_publication,
    prepare_publication,
    take_back_publication,
)
from e2ecross.errors import (
    InvalidArgument,
    PrekeysExhausted,
    RecordCorrupted,
    StoreError,
    UnknownPrekey,
)
from e2ecross.state.context import Context, require_device, save_device
from e2ecross.state.prekey_store import LAST_RESORT, find_kyber_prekey
from e2ecross.state.publication import PUBLICATION_ROW
from e2ecross.state.upkeep import UPKEEP_ROW
from e2ecross.stores import MemoryStore, Table, Transaction
from e2ecross.wire.records import KyberPrekeyRecord, UpkeepRecord
from tests.support.around import AroundStore
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    TOKO,
    FakeClock,
    SpyStore,
    Stores,
    bundle_from,
    count_rows,
    dump,
    make_device,
    new_bundle,
    reopen_device,
    say,
)
from tests.support.entropy import SeededEntropy

HOUR_MS = 60 * 60 * 1000


def confirmed(device: Device, one_time: int = 2) -> PublishedKeys:
    published = device.publish(one_time)
    device.confirm_published(published)
    return published


def ids(published: PublishedKeys) -> list[int]:
    return [prekey.id for prekey in published.one_time_prekeys]


# --- Publishing -----------------------------------------------------------------------------


def test_a_publication_holds_what_the_device_is() -> None:
    device = make_device(BUDI)
    published = device.publish()
    assert published.address == BUDI
    assert published.registration_id == device.registration_id
    assert published.identity_key == device.identity_key
    assert len(published.one_time_prekeys) == 100
    signed = published.signed_prekey
    verify_signature(decode_public_key(device.identity_key), signed.public_key, signed.signature)
    keys = {prekey.public_key for prekey in published.one_time_prekeys}
    assert len(keys | {signed.public_key, published.identity_key}) == 102


def test_a_publication_holds_signed_kyber_prekeys() -> None:
    device = make_device(BUDI)
    published = device.publish(3)
    last_resort = published.last_resort_kyber_prekey
    assert last_resort is not None
    assert len(published.kyber_prekeys) == 3
    keys = (*published.kyber_prekeys, last_resort)
    for prekey in keys:
        decode_kem_public_key(prekey.public_key)
        verify_signature(
            decode_public_key(device.identity_key), prekey.public_key, prekey.signature
        )
    assert len({prekey.public_key for prekey in keys}) == 4
    with device._context.store.transaction() as tx:
        for prekey in keys:
            found = find_kyber_prekey(tx, prekey.id)
            assert found is not None
            assert found.key_pair.public == prekey.public_key
            assert found.record.is_last_resort is (prekey is last_resort)


def test_no_id_is_given_twice_to_prekeys_of_any_kind() -> None:
    clock = FakeClock()
    device = make_device(BUDI, clock=clock)
    given: list[int] = []
    for _ in range(4):
        published = confirmed(device, 2)
        given += ids(published)
        for prekey in (*published.kyber_prekeys, published.last_resort_kyber_prekey):
            assert prekey is not None
            given.append(prekey.id)
        given.append(published.signed_prekey.id)
        clock.advance(7 * DAY_MS)
    assert len(set(given)) == len(given) == 4 * 6
    assert max(given) - min(given) == len(given) - 1


def test_a_publication_holds_no_private_key() -> None:
    store = MemoryStore()
    device = make_device(BUDI, store)
    encoded = device.publish(5).encode()
    with store.transaction() as tx:
        secrets = [record[-32:] for _, _, record in tx.scan(Table.ONE_TIME_PREKEYS)] + [
            device._context.identity_key_pair.private
        ]
        for _, _, record in tx.scan(Table.KYBER_PREKEYS):
            seed = KyberPrekeyRecord.decode(record).seed
            secrets += [seed, seed[:32], seed[32:]]
    assert len(secrets) == 6 + 6 * 3
    assert all(secret not in encoded for secret in secrets)


@pytest.mark.parametrize("one_time", [0, 1, 1000])
def test_up_to_1000_one_time_prekeys_are_published(one_time: int) -> None:
    published = make_device(BUDI).publish(one_time)
    assert len(published.one_time_prekeys) == len(published.kyber_prekeys) == one_time
    assert PublishedKeys.decode(published.encode()) == published


def test_no_more_unused_prekeys_than_the_bound_are_stored() -> None:
    """The oldest go, also where a policy, or a caller, wants more."""
    store = MemoryStore()
    device = make_device(BUDI, store)
    first = confirmed(device, 600)
    for one_time in (400, 1):
        published = confirmed(device, one_time)
        with store.transaction() as tx:
            assert tx.count(Table.ONE_TIME_PREKEYS) == tx.count(Table.KYBER_PREKEYS) == 1_000
            oldest = min(int.from_bytes(row) for row, _ in tx.list(Table.ONE_TIME_PREKEYS))
    assert oldest == first.one_time_prekeys[1].id
    assert len(published.kyber_prekeys) == 1


def test_the_ids_of_a_rotation_are_counted() -> None:
    clock, store = FakeClock(), MemoryStore()
    device = make_device(BUDI, store, clock=clock)
    clock.advance(Policy().signed_prekey_max_age_ms)
    with store.transaction() as tx:
        before = require_device(tx).next_prekey_id
    confirmed(device, 3)
    with store.transaction() as tx:
        record = UpkeepRecord.decode(tx.get(Table.DEVICE, b"", UPKEEP_ROW) or b"")
        assert record.ids == require_device(tx).next_prekey_id - before == 2 + 2 * 3


def test_the_same_publication_comes_back_until_it_is_confirmed(stores: Stores) -> None:
    device = make_device(BUDI, stores.open("budi"))
    first = device.publish(3)
    before = dump(stores.open("budi"))
    assert device.publish(3).encode() == first.encode()
    assert device.publish(50).encode() == first.encode()
    device = reopen_device(device, stores.reopen("budi"), "again")
    assert device.publish().encode() == first.encode()
    assert dump(stores.open("budi")) == before
    device.confirm_published(first)
    second = device.publish(3)
    assert not set(ids(first)) & set(ids(second))
    assert second.signed_prekey == first.signed_prekey
    assert second.last_resort_kyber_prekey == first.last_resort_kyber_prekey
    assert not set(first.kyber_prekeys) & set(second.kyber_prekeys)


def test_an_unconfirmed_publication_is_not_rotated_away() -> None:
    clock = FakeClock()
    device = make_device(BUDI, clock=clock)
    first = device.publish(1)
    clock.advance(8 * DAY_MS)
    assert device.publish(1).encode() == first.encode()
    device.confirm_published(first)
    assert device.publish(1).signed_prekey.id != first.signed_prekey.id


def test_confirming_twice_does_nothing_and_another_one_is_refused() -> None:
    store = MemoryStore()
    device = make_device(BUDI, store)
    first = confirmed(device)
    before = dump(store)
    device.confirm_published(first)
    assert dump(store) == before
    second = device.publish(1)
    before = dump(store)
    for wrong in (first, PublishedKeys.decode(make_device(BUDI, seed="other").publish(1).encode())):
        with pytest.raises(InvalidArgument, match="published"):
            device.confirm_published(wrong)
        assert dump(store) == before
    device.confirm_published(PublishedKeys.decode(second.encode()))


def test_no_id_is_used_twice_over_confirming_reopening_and_rotating(stores: Stores) -> None:
    clock = FakeClock()
    device = make_device(BUDI, stores.open("budi"), clock=clock)
    one_time: list[int] = []
    signed: list[int] = []
    for n in range(6):
        published = device.publish(3)
        one_time += ids(published)
        signed += [] if published.signed_prekey.id in signed else [published.signed_prekey.id]
        if n % 2:
            device = reopen_device(device, stores.reopen("budi"), f"budi {n}")
            assert device.publish(1) == published
        device.confirm_published(published)
        clock.advance(4 * DAY_MS)
    assert len(signed) > 2
    assert len(set(one_time + signed)) == len(one_time) + len(signed)
    assert one_time == sorted(one_time)
    assert all(0 < number <= 0xFFFFFF for number in one_time + signed)


def test_ids_end_at_24_bits() -> None:
    class LastIds(SeededEntropy):
        def bytes(self, n: int) -> bytes:
            return b"\xff\xff\xff" if n == 3 else super().bytes(n)

    store = MemoryStore()
    device = Device.create(BUDI, store, clock=FakeClock(), entropy=LastIds(0))
    assert device.publish(0).signed_prekey.id == 0x7FFFFF  # the lower half
    device.confirm_published(device.publish(0))
    with store.transaction() as tx:
        record = tx.get(Table.DEVICE, b"")
        assert record is not None
        # The next id, 0x800001, as the varint of field 4: now the last four that are left.
        changed = record.replace(b"\x20\x81\x80\x80\x04", b"\x20\xfc\xff\xff\x07")
        assert changed != record
        tx.put(Table.DEVICE, b"", b"", changed)
    before = dump(store)
    with pytest.raises(PrekeysExhausted, match="new device") as caught:
        device.publish(2)
    assert caught.value.code == "prekeys_exhausted"
    assert dump(store) == before
    published = device.publish(1)
    assert ids(published) == [0xFFFFFC]
    assert [prekey.id for prekey in published.kyber_prekeys] == [0xFFFFFD]


def test_a_rotation_leaves_no_id_out() -> None:
    clock, store = FakeClock(), MemoryStore()
    device = make_device(BUDI, store, clock=clock)
    with store.transaction() as tx:
        save_device(tx, replace(require_device(tx), next_prekey_id=0xFFFFFC))
    clock.advance(7 * DAY_MS)
    published = device.publish(1)
    last_resort = published.last_resort_kyber_prekey
    assert last_resort is not None
    kyber = [prekey.id for prekey in published.kyber_prekeys]
    made = [published.signed_prekey.id, last_resort.id, *ids(published), *kyber]
    assert sorted(made) == [*range(0xFFFFFC, 0x1000000)]
    PublishedKeys.decode(published.encode())


def test_a_publication_whose_store_fails_is_not_made() -> None:
    spy = SpyStore(MemoryStore())
    device = make_device(BUDI, spy)
    before = dump(spy.inner)
    for writes in range(4):
        spy.writes_until_failure = writes
        with pytest.raises(StoreError):
            device.publish(3)
        assert dump(spy.inner) == before


def test_when_two_processes_publish_at_once_both_get_the_same() -> None:
    class Interrupting(SeededEntropy):
        """Lets another process publish while this one generates its keys."""

        other: Device | None = None

        def bytes(self, n: int) -> bytes:
            if self.other is not None:
                other, self.other = self.other, None
                self.published = other.publish(1)
            return super().bytes(n)

    store, entropy = MemoryStore(), Interrupting(0)
    device = Device.create(BUDI, store, clock=FakeClock(), entropy=entropy)
    entropy.other = reopen_device(device, store, "other process")
    assert device.publish(5) == entropy.published
    assert count_rows(store, Table.ONE_TIME_PREKEYS) == 1


def test_a_damaged_publication_is_a_damaged_store() -> None:
    store = MemoryStore()
    device = make_device(BUDI, store)
    encoded = device.publish(1).encode()
    with store.transaction() as tx:
        record = tx.get(Table.DEVICE, b"", PUBLICATION_ROW)
        assert record is not None
        damaged = record.replace(encoded, b"\xff" * len(encoded))
        assert damaged != record
        tx.put(Table.DEVICE, b"", PUBLICATION_ROW, damaged)
    with pytest.raises(RecordCorrupted, match="damaged"):
        device.publish(1)


def test_a_missing_current_signed_prekey_is_a_damaged_store() -> None:
    store = MemoryStore()
    device = make_device(BUDI, store)
    with store.transaction() as tx:
        for partition, row, _ in list(tx.scan(Table.SIGNED_PREKEYS)):
            tx.delete(Table.SIGNED_PREKEYS, partition, row)
    with pytest.raises(RecordCorrupted, match="signed prekey"):
        device.publish(1)


def test_a_missing_last_resort_prekey_is_a_damaged_store() -> None:
    store = MemoryStore()
    device = make_device(BUDI, store)
    with store.transaction() as tx:
        tx.clear(Table.KYBER_PREKEYS, LAST_RESORT)
    before = dump(store)
    with pytest.raises(RecordCorrupted, match="last-resort Kyber prekey"):
        device.publish(1)
    assert dump(store) == before


# --- Rotation -------------------------------------------------------------------------------


@pytest.mark.parametrize(("age_ms", "replaced"), [(7 * DAY_MS - 1, False), (7 * DAY_MS, True)])
def test_the_signed_prekey_is_replaced_at_its_age(age_ms: int, replaced: bool) -> None:
    clock = FakeClock()
    device = make_device(BUDI, clock=clock)
    first = confirmed(device)
    clock.advance(age_ms)
    second = confirmed(device)
    assert (second.signed_prekey.id != first.signed_prekey.id) is replaced
    assert (second.signed_prekey.public_key != first.signed_prekey.public_key) is replaced
    assert (second.last_resort_kyber_prekey != first.last_resort_kyber_prekey) is replaced


@pytest.mark.parametrize("ahead_ms", [1, 400 * DAY_MS])
def test_keys_dated_in_the_future_are_due(ahead_ms: int) -> None:
    """They were made by a clock that was wrong: nobody knows how old they are."""
    clock, store = FakeClock(), MemoryStore()
    device = make_device(BUDI, store, clock=clock)
    first = confirmed(device)
    clock.advance(-ahead_ms)
    second = confirmed(device)
    assert second.signed_prekey.id != first.signed_prekey.id
    assert second.last_resort_kyber_prekey != first.last_resort_kyber_prekey
    assert confirmed(device).signed_prekey == second.signed_prekey  # once
    # What they have replaced goes in its time, by the right clock.
    clock.advance(30 * DAY_MS - 1)
    plan_publication(device._context, 100)
    assert count_rows(store, Table.SIGNED_PREKEYS) == 2
    clock.advance(1)
    plan_publication(device._context, 100)
    assert count_rows(store, Table.SIGNED_PREKEYS) == 1
    with store.transaction() as tx:
        assert tx.count(Table.KYBER_PREKEYS, LAST_RESORT) == 1


def test_a_key_that_was_replaced_in_the_future_goes_in_its_time() -> None:
    clock, store = FakeClock(), MemoryStore()
    device = make_device(BUDI, store, clock=clock)
    confirmed(device)
    clock.advance(1000 * DAY_MS)
    confirmed(device)  # replaces it, at a time that does not come for years
    clock.advance(-1000 * DAY_MS)
    confirmed(device)  # the new one is dated in the future: replaced as well
    assert count_rows(store, Table.SIGNED_PREKEYS) == 3
    clock.advance(6 * DAY_MS)
    plan_publication(device._context, 100)
    clock.advance(24 * DAY_MS)
    plan_publication(device._context, 100)
    assert count_rows(store, Table.SIGNED_PREKEYS) == 1


# --- What is due at a back end --------------------------------------------------------------


def test_what_is_to_be_published_is_planned_from_what_is_left() -> None:
    device = make_device(BUDI)
    context = device._context
    low, target = context.policy.one_time_prekeys_low, context.policy.one_time_prekeys_target
    assert plan_publication(context, low) is None
    assert plan_publication(context, low - 1) == target - low + 1
    for nothing in (0, -1, -(2**70)):
        assert plan_publication(context, nothing) == target
    assert plan_publication(context, 2**70) is None


def test_a_publication_that_waits_is_due_again() -> None:
    clock = FakeClock()
    device = make_device(BUDI, clock=clock)
    published = device.publish(5)
    assert plan_publication(device._context, 1000) == 0
    made = make_publication(device._context, 0)
    assert made is not None
    assert (made.published, made.epoch, made.replaces) == (published, 1, False)
    device.confirm_published(published)
    assert plan_publication(device._context, 1000) is None


def test_a_rotation_is_due_without_one_time_prekeys() -> None:
    clock = FakeClock()
    device = make_device(BUDI, clock=clock)
    confirmed(device, 1)
    clock.advance(7 * DAY_MS)
    assert plan_publication(device._context, 1000) == 0


def test_a_refused_publication_is_taken_back_and_a_smaller_one_made() -> None:
    store = MemoryStore()
    device = make_device(BUDI, store)
    context = device._context
    made = make_publication(context, 5)
    assert made is not None
    given = {*ids(made.published), *(key.id for key in made.published.kyber_prekeys)}
    assert take_back_publication(context, made.published)
    assert count_rows(store, Table.ONE_TIME_PREKEYS) == 0
    with store.transaction() as tx:
        assert tx.count(Table.KYBER_PREKEYS) == 0
    smaller = make_publication(context, 0)
    assert smaller is not None
    assert not smaller.published.one_time_prekeys
    assert not smaller.published.kyber_prekeys
    assert smaller.published.signed_prekey == made.published.signed_prekey
    # That one holds nothing that could be left out: it waits, and is not tried for an hour.
    assert not take_back_publication(context, smaller.published)
    assert plan_publication(context, 0) is None
    again = make_publication(context, 5)
    assert again is not None
    assert again.published == smaller.published
    device.confirm_published(again.published)
    later = make_publication(context, 5)
    assert later is not None
    assert not given & set(ids(later.published))  # no id twice, also of what nobody has got


def test_only_the_publication_that_waits_is_taken_back() -> None:
    store = MemoryStore()
    device = make_device(BUDI, store)
    old = confirmed(device, 2)
    waiting = device.publish(3)
    assert not take_back_publication(device._context, old)
    assert device.publish(1) == waiting
    assert count_rows(store, Table.ONE_TIME_PREKEYS) == 5


def test_a_publication_that_was_confirmed_meanwhile_is_not_sent_again() -> None:
    class Confirming(AroundStore):
        """Another process confirms between two transactions of this one."""

        left = 0

        def __init__(self) -> None:
            super().__init__(MemoryStore())

        def transaction(
            self, stripe: int = 0, *, moved: bool = False
        ) -> AbstractContextManager[Transaction]:
            self.left -= 1
            if self.left == 0:
                other.confirm_published(other.publish(1))
            return super().transaction(stripe, moved=moved)

    spy = Confirming()
    device = make_device(BUDI, spy)
    other = reopen_device(device, spy.inner, "another process")
    other.publish(1)
    spy.left = 2
    assert make_publication(device._context, 1) is None


def test_after_a_refusal_no_one_time_prekeys_are_made_for_an_hour_but_a_rotation_goes_on() -> None:
    clock = FakeClock()
    device = make_device(BUDI, clock=clock)
    context = device._context
    made = make_publication(context, 5)
    assert made is not None
    take_back_publication(context, made.published)
    assert plan_publication(context, 0) is None
    clock.advance(HOUR_MS - 1)
    assert plan_publication(context, 0) is None
    clock.advance(7 * DAY_MS - HOUR_MS)
    again = make_publication(context, 5)
    assert again is not None
    take_back_publication(context, again.published)
    clock.advance(1)
    assert plan_publication(context, 0) == 0  # the signed prekey is due, and alone
    clock.advance(HOUR_MS)
    target = context.policy.one_time_prekeys_target
    assert plan_publication(context, 0) == target


def test_a_back_end_that_always_counts_none_gets_no_more_than_the_bounds() -> None:
    clock, store = FakeClock(), MemoryStore()
    device = make_device(BUDI, store, clock=clock)
    context, made, first = device._context, list[int](), None
    for _ in range(24 * 4):  # every quarter of an hour
        one_time = plan_publication(context, 0)
        if one_time is not None:
            published = confirmed(device, one_time)
            first = first or published.signed_prekey.id
            made.append(one_time)
        clock.advance(HOUR_MS // 4)
    assert max(made) <= context.policy.one_time_prekeys_target
    assert 2 * sum(made) <= 2_500
    assert count_rows(store, Table.ONE_TIME_PREKEYS) <= 1_000
    with store.transaction() as tx:
        assert tx.count(Table.KYBER_PREKEYS) <= 1_000


def test_policy_sets_age_and_how_long_a_replaced_one_is_kept() -> None:
    clock = FakeClock()
    policy = Policy(signed_prekey_max_age_ms=10, signed_prekey_kept_ms=25)
    device = make_device(BUDI, clock=clock, policy=policy)
    counts = []
    for _ in range(8):
        confirmed(device, 0)
        counts.append(count_rows(device._context.store, Table.SIGNED_PREKEYS))
        assert count_rows(device._context.store, Table.KYBER_PREKEYS) == counts[-1]
        clock.advance(10)
    # The current one, and those replaced less than 25 ms ago.
    assert counts == [1, 2, 3, 4, 4, 4, 4, 4]


@pytest.mark.parametrize("one_time", [0, None])
def test_a_late_first_message_on_a_replaced_signed_prekey_opens(
    stores: Stores, one_time: int | None
) -> None:
    clock = FakeClock()
    budi = make_device(BUDI, stores.open("budi"), clock=clock)
    generations = []
    for _ in range(5):  # days 0, 7, 14, 21, 28
        generations.append(bundle_from(confirmed(budi), one_time))
        clock.advance(7 * DAY_MS)
    assert len({bundle.signed_prekey_id for bundle in generations}) == 5
    assert count_rows(stores.open("budi"), Table.SIGNED_PREKEYS) == 5
    for n, bundle in enumerate(generations):
        ana = make_device(ANA, seed=str(n))
        ana.start_session(bundle)
        envelope = ana.encrypt(BUDI, Text(f"generation {n}"))
        assert budi.decrypt(envelope).content == Text(f"generation {n}")


def test_an_expired_signed_prekey_is_deleted_with_the_base_keys_seen_of_it() -> None:
    clock, store = FakeClock(), MemoryStore()
    budi = make_device(BUDI, store, clock=clock)
    old = bundle_from(confirmed(budi), None)
    ana, toko = make_device(ANA), make_device(TOKO)
    ana.start_session(old)
    say(ana, budi, "in time")
    toko.start_session(old)
    late = toko.encrypt(BUDI, Text("too late"))
    clock.advance(7 * DAY_MS)
    confirmed(budi)  # replaces it
    clock.advance(30 * DAY_MS - 1)
    confirmed(budi)
    assert count_rows(store, Table.SEEN_BASE_KEYS) == 1
    clock.advance(7 * DAY_MS)
    confirmed(budi)
    assert count_rows(store, Table.SEEN_BASE_KEYS) == 0
    before = dump(store)
    with pytest.raises(UnknownPrekey, match="signed prekey"):
        budi.decrypt(late)
    assert dump(store) == before
    say(ana, budi, "sessions outlive the prekey that they began with")


def test_a_replaced_signed_prekey_goes_when_its_time_is_over_not_at_the_next_rotation() -> None:
    clock, store = FakeClock(), MemoryStore()
    policy = Policy(signed_prekey_max_age_ms=7 * DAY_MS, signed_prekey_kept_ms=DAY_MS)
    device = make_device(BUDI, store, clock=clock, policy=policy)
    confirmed(device)
    clock.advance(7 * DAY_MS)
    confirmed(device)
    assert count_rows(store, Table.SIGNED_PREKEYS) == 2
    clock.advance(DAY_MS)
    confirmed(device)  # replaces nothing
    assert count_rows(store, Table.SIGNED_PREKEYS) == 1


def test_a_replaced_signed_prekey_is_kept_no_longer_for_being_used() -> None:
    clock, store = FakeClock(), MemoryStore()
    budi, ana = make_device(BUDI, store, clock=clock), make_device(ANA)
    ana.start_session(bundle_from(confirmed(budi), None))
    clock.advance(7 * DAY_MS)
    confirmed(budi)  # replaces it
    clock.advance(6 * DAY_MS)
    say(ana, budi, "late")
    clock.advance(24 * DAY_MS - 1)
    confirmed(budi)  # replaces the second
    assert count_rows(store, Table.SIGNED_PREKEYS) == 3
    clock.advance(1)
    confirmed(budi)
    assert count_rows(store, Table.SIGNED_PREKEYS) == 2
    assert count_rows(store, Table.SEEN_BASE_KEYS) == 0


def test_several_full_generations_keep_their_base_keys_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("e2ecross.state.stripe.MAX_SEEN_BASE_KEYS", 1)
    store = MemoryStore(0)  # whose bound that is
    budi = make_device(BUDI, store)
    for n in range(3):
        ana = make_device(ANA, seed=str(n))
        ana.start_session(new_bundle(budi, one_time=False))
        assert budi.decrypt(ana.encrypt(BUDI, Text("halo"))).content == Text("halo")
    assert count_rows(store, Table.SIGNED_PREKEYS) == 3
    with store.transaction() as tx:
        partitions = {partition for partition, _, _ in tx.scan(Table.SEEN_BASE_KEYS)}
    assert len(partitions) == 3


def test_keys_are_generated_and_signed_outside_of_transactions() -> None:
    class OutsideOnly(SeededEntropy):
        def bytes(self, n: int) -> bytes:
            with store.transaction():  # a store refuses a transaction within another
                return super().bytes(n)

    store = MemoryStore()
    clock = FakeClock()
    device = Device.create(BUDI, store, clock=clock, entropy=OutsideOnly(0))
    confirmed(device)
    clock.advance(8 * DAY_MS)
    confirmed(device)


def test_rotation_is_needed_by_age_only_as_long_as_there_is_room() -> None:
    clock = FakeClock()
    context: Context = make_device(BUDI, clock=clock)._context
    prepare_publication(context, 0)
    with context.store.transaction() as tx:
        assert not needs_rotation(context, tx, require_device(tx))
        clock.advance(7 * DAY_MS)
        assert needs_rotation(context, tx, require_device(tx))

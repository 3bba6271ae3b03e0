# SPDX-License-Identifier: Apache-2.0
"""Sending: what one encryption reads and writes, and that nothing leaves before the commit."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from e2ecross import Device, Envelope, MessageKind, Text
from e2ecross.errors import E2ECrossError, InvalidArgument, StoreError
from e2ecross.stores import MemoryStore, SQLiteStore, Table
from e2ecross.wire.limits import MAX_HELD_MESSAGES
from e2ecross.wire.signal_message import decode_prekey_signal_message, decode_signal_message
from tests.support.devices import (
    ANA,
    BUDI,
    SpyStore,
    Stores,
    bundle_from,
    count_rows,
    dump,
    introduce,
    make_device,
    say,
    start,
)


def spied(*, sessions: int = 1) -> tuple[Device, Device, SpyStore]:
    """Ana with a watched store and several sessions with Budi, all but one archived."""
    spy = SpyStore(MemoryStore())
    ana, budi = make_device(ANA, spy), make_device(BUDI)
    for _ in range(sessions):
        introduce(ana, budi)
    spy.forget()
    return ana, budi, spy


def test_an_encryption_writes_exactly_the_session_and_the_epoch() -> None:
    ana, _, spy = spied()
    ana.encrypt(BUDI, Text("halo"))
    assert spy.writes == {Table.SESSIONS: 1, Table.STRIPE: 1}  # the epoch


def test_an_encryption_reads_no_archived_session() -> None:
    ana, budi, spy = spied(sessions=41)
    assert count_rows(spy.inner, Table.SESSIONS) == 41
    envelope = ana.encrypt(BUDI, Text("halo"))
    assert spy.reads[Table.SESSIONS] == 1
    assert spy.writes == {Table.SESSIONS: 1, Table.STRIPE: 1}
    assert count_rows(spy.inner, Table.SESSIONS) == 41
    assert budi.decrypt(envelope).content == Text("halo")


def test_the_first_message_wraps_until_the_answer() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    kinds = [ana.encrypt(BUDI, Text(str(n))).kind for n in range(3)]
    assert kinds == [MessageKind.PREKEY] * 3
    say(ana, budi, "fourth")
    say(budi, ana, "answer")
    assert ana.encrypt(BUDI, Text("fifth")).kind is MessageKind.SIGNAL


def test_a_new_session_takes_the_place_of_the_old_one_which_still_reads() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    late = budi.encrypt(ANA, Text("late"))
    start(ana, budi)
    assert ana.encrypt(BUDI, Text("new")).kind is MessageKind.PREKEY
    assert ana.decrypt(late).content == Text("late")
    say(budi, ana, "halo")
    say(ana, budi, "halo")


def test_a_held_session_is_given_way_to_when_sending_after_eight_of_its_messages() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    start(budi, ana)  # both at once
    ours = base_key(ana.encrypt(BUDI, Text("lost")))
    for n in range(MAX_HELD_MESSAGES):
        assert base_key(ana.encrypt(BUDI, Text("we stay with ours"))) == ours
        say(budi, ana, str(n))
    envelope = ana.encrypt(BUDI, Text("given way"))
    assert envelope.kind is MessageKind.SIGNAL
    assert budi.decrypt(envelope).content == Text("given way")


def base_key(envelope: Envelope) -> bytes:
    return decode_prekey_signal_message(envelope.ciphertext).base_key


# --- All or nothing -------------------------------------------------------------------------

_OPERATIONS: dict[str, Callable[[Device, Device], object]] = {
    "encrypt": lambda ana, budi: ana.encrypt(BUDI, Text("halo")),
    "encrypt_raw": lambda ana, budi: ana.encrypt_raw(BUDI, b"halo"),
    "decrypt": lambda ana, budi: ana.decrypt(budi.encrypt(ANA, Text("halo"))),
    "start_session": lambda ana, budi: start(ana, budi),
    "publish": lambda ana, budi: ana.publish(5),
    "accept_identity": lambda ana, budi: ana.accept_identity(
        BUDI, make_device(BUDI, seed="new").identity_key
    ),
    "mark_verified": lambda ana, budi: ana.mark_verified(BUDI, budi.identity_key),
}


@pytest.mark.parametrize("name", _OPERATIONS)
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_an_operation_whose_store_fails_changes_nothing_and_returns_nothing(
    name: str, kind: str, tmp_path: Path
) -> None:
    spy = SpyStore(MemoryStore() if kind == "memory" else SQLiteStore(tmp_path / "ana.db"))
    ana, budi = make_device(ANA, spy), make_device(BUDI)
    introduce(ana, budi)
    before = dump(spy.inner)
    writes = 0
    while True:
        spy.writes_until_failure = writes
        try:
            _OPERATIONS[name](ana, budi)
        except StoreError:
            assert dump(spy.inner) == before
            writes += 1
        else:
            break
    assert writes > 0
    spy.close()


@pytest.mark.parametrize("name", _OPERATIONS)
def test_an_operation_whose_commit_fails_changes_nothing_and_returns_nothing(name: str) -> None:
    ana, budi, spy = spied()
    before = dump(spy.inner)
    spy.fail_commit = True
    with pytest.raises(StoreError, match="commit"):
        _OPERATIONS[name](ana, budi)
    assert dump(spy.inner) == before
    spy.fail_commit = False
    _OPERATIONS[name](ana, budi)
    assert dump(spy.inner) != before


def test_a_device_is_created_whole_or_not_at_all() -> None:
    for writes in range(2):
        spy = SpyStore(MemoryStore())
        spy.writes_until_failure = writes
        with pytest.raises(StoreError):
            make_device(ANA, spy)
        assert not dump(spy.inner)
    spy = SpyStore(MemoryStore())
    spy.fail_commit = True
    with pytest.raises(StoreError):
        make_device(ANA, spy)
    assert not dump(spy.inner)


def test_no_message_number_is_used_twice_when_commits_fail() -> None:
    ana, _, spy = spied()
    first = decode_signal_message(ana.encrypt_raw(BUDI, b"")[1]).counter + 1
    numbers = []
    for n in range(6):
        spy.fail_commit = n % 2 == 0
        try:
            numbers.append(decode_signal_message(ana.encrypt_raw(BUDI, b"")[1]).counter)
        except StoreError:
            continue
    assert numbers == [first, first + 1, first + 2]


# --- Several threads ------------------------------------------------------------------------


def test_threads_of_one_device_never_share_a_message_number(stores: Stores) -> None:
    ana, budi = make_device(ANA, stores.open("ana")), make_device(BUDI)
    introduce(ana, budi)
    sent: list[Envelope] = []
    errors: list[E2ECrossError] = []

    def send(thread: int) -> None:
        try:
            for n in range(10):
                sent.append(ana.encrypt(BUDI, Text(f"{thread} {n}")))  # noqa: PERF401
        except E2ECrossError as error:
            errors.append(error)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    counters = {decode_signal_message(envelope.ciphertext).counter for envelope in sent}
    assert len(counters) == len(sent) == 40
    texts = {budi.decrypt(envelope).content for envelope in sent}
    assert texts == {Text(f"{thread} {n}") for thread in range(4) for n in range(10)}


def test_two_devices_objects_of_one_store_advance_one_session(stores: Stores) -> None:
    store = stores.open("ana")
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    other = Device.open(store)
    for n in range(3):
        say(ana, budi, f"one {n}")
        say(other, budi, f"two {n}")


def test_a_bundle_of_our_own_address_under_another_identity_is_refused_too() -> None:
    ana, other = make_device(ANA), make_device(BUDI)
    bundle = replace(bundle_from(other.publish(1)), address=ANA)
    with pytest.raises(InvalidArgument, match="own"):
        ana.start_session(bundle)

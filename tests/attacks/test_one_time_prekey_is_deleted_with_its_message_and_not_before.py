# SPDX-License-Identifier: Apache-2.0
"""A one-time prekey is deleted in the commit of the first message that it opened, not before.

The attacker: a stranger who sends first messages that do not open, to drain the one-time prekeys;
and a crash at any step of reading one that does.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import pytest

from e2ecross import Policy
from e2ecross.errors import (
    AuthenticationFailed,
    EnvelopeMismatch,
    IdentityChangedError,
    StoreError,
    UnknownPrekey,
)
from e2ecross.state.changes import CHANGES_ROW
from e2ecross.stores import MemoryStore, Table, Transaction
from e2ecross.stores.base import ValuesAsBytes, WholeStore
from tests.attacks.support import (
    ANA,
    BUDI,
    TOKO,
    Attacker,
    Person,
    assert_refused,
    edit_wrapper,
    flips,
    inner_message,
    meet,
    payload_for,
    person,
    wrapper_fields,
)
from tests.attacks.support_4 import kyber_prekeys, pq_bundle

VERSIONS = pytest.mark.parametrize("kyber", [False, True], ids=["version 3", "version 4"])


@VERSIONS
def test_forged_first_messages_never_drain_them(kyber: bool) -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, kyber=kyber)
    first = ana.send(budi, "first")
    ids, kyber_ids = budi.one_time_prekeys(), kyber_prekeys(budi)
    assert len(ids) == 8
    damaged = inner_message(first)[:-1] + b"\0"
    for prekey_id in sorted(ids):
        forged = edit_wrapper(first, pre_key_id=prekey_id, message=damaged)
        assert_refused(budi, forged, AuthenticationFailed)
        others = edit_wrapper(first, pre_key_id=prekey_id)
        if prekey_id != dict(wrapper_fields(first))[1]:
            assert_refused(budi, others, AuthenticationFailed)
    for prekey_id in sorted(kyber_ids) if kyber else ():
        forged = edit_wrapper(first, kyber_pre_key_id=prekey_id, message=damaged)
        assert_refused(budi, forged, AuthenticationFailed)
        if prekey_id != dict(wrapper_fields(first))[7]:
            others = edit_wrapper(first, kyber_pre_key_id=prekey_id)
            assert_refused(budi, others, AuthenticationFailed)
    assert (budi.one_time_prekeys(), kyber_prekeys(budi)) == (ids, kyber_ids)
    assert budi.read(first) == "first"
    assert len(ids - budi.one_time_prekeys()) == 1
    used = {dict(wrapper_fields(first))[7]} if kyber else set()
    assert kyber_ids - kyber_prekeys(budi) == used


@pytest.mark.parametrize("one_time", [True, False], ids=["one-time", "last-resort"])
def test_a_one_time_kyber_prekey_goes_and_a_last_resort_one_stays(one_time: bool) -> None:
    """With the first message that opens, whichever it is; later ones need none."""
    ana, budi = person(ANA), person(BUDI)
    ana.device.start_session(pq_bundle(budi, one_time=False, one_time_kyber=one_time))
    ids = kyber_prekeys(budi)
    messages = [ana.send(budi, str(number)) for number in range(4)]
    used = dict(wrapper_fields(messages[0]))[7]
    assert used in ids
    for number in (2, 0, 3, 1):
        assert budi.read(messages[number]) == str(number)
        assert ids - kyber_prekeys(budi) == ({used} if one_time else set())


def test_two_sessions_from_one_kyber_prekey_open_once() -> None:
    """A back end that hands out a one-time one twice: the second message is refused."""
    ana, budi, toko = person(ANA), person(BUDI), person(TOKO)
    bundle = pq_bundle(budi, one_time=False)
    firsts = []
    for somebody in (ana, toko):
        somebody.device.start_session(bundle)
        firsts.append(somebody.send(budi, "first"))
    assert budi.read(firsts[1]) == "first"
    assert_refused(budi, firsts[0], UnknownPrekey)


@VERSIONS
def test_a_message_that_fails_after_it_was_decrypted_keeps_it(kyber: bool) -> None:
    """The MAC is right, but the envelope lies, or the identity is refused."""
    ana, toko = person(ANA), person(TOKO)
    budi = person(BUDI)
    ana.start(budi, kyber=kyber)
    first = ana.send(budi, "first")
    assert_refused(budi, edit_wrapper(first, registration_id=1), EnvelopeMismatch)
    assert budi.read(first) == "first"
    attacker = Attacker()
    session = attacker.session(budi.bundle(kyber=kyber))
    lie = attacker.seal(session, payload_for(TOKO, ANA))
    assert_refused(budi, lie, EnvelopeMismatch)
    moved = attacker.seal(session, payload_for(toko.address, ANA))
    assert_refused(budi, moved, EnvelopeMismatch)


def test_a_refused_identity_keeps_it() -> None:
    ana, budi = person(ANA), person(BUDI, policy=Policy(refuse_changed_identity=True))
    meet(ana, budi)
    ids = budi.one_time_prekeys()
    assert_refused(budi, Attacker().first_message(budi, ANA), IdentityChangedError)
    assert budi.one_time_prekeys() == ids


def test_exactly_the_one_that_was_used_goes_and_later_messages_need_none() -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    ids = budi.one_time_prekeys()
    messages = [ana.send(budi, str(number)) for number in range(4)]
    used = dict(wrapper_fields(messages[0]))[1]
    for number in (2, 0, 3, 1):  # whichever comes first
        assert budi.read(messages[number]) == str(number)
        assert ids - budi.one_time_prekeys() == {used}


def test_two_sessions_from_one_bundle_open_once() -> None:
    """A back end that hands out a one-time prekey twice: the second message is refused."""
    ana, budi = person(ANA), person(BUDI)
    bundle = budi.bundle()
    ana.device.start_session(bundle)
    one = ana.send(budi, "one")
    ana.device.start_session(bundle)
    two = ana.send(budi, "two")
    assert budi.read(two) == "two"
    assert_refused(budi, one, UnknownPrekey)


class _Breaking(MemoryStore):
    """A store that fails at a chosen step: at an operation, or (the last one) at the commit."""

    __slots__ = ("steps",)

    def __init__(self) -> None:
        super().__init__()
        self.steps: int | None = None

    @contextmanager
    def transaction(self, stripe: int = 0, *, moved: bool = False) -> Iterator[Transaction]:
        with super().transaction(stripe, moved=moved) as tx:
            yield tx if self.steps is None else _BreakingTransaction(self, tx)
            self.step()

    def step(self) -> None:
        if self.steps is None:
            return
        if self.steps == 0:
            raise StoreError("the disk is full")
        self.steps -= 1


class _BreakingTransaction(WholeStore, ValuesAsBytes):
    def __init__(self, store: _Breaking, inner: Transaction) -> None:
        self._store = store
        self._inner = inner

    def get(self, table: Table, partition: bytes, row: bytes = b"") -> bytes | None:
        self._store.step()
        return self._inner.get(table, partition, row)

    def put(self, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
        self._store.step()
        self._inner.put(table, partition, row, record)

    def delete(self, table: Table, partition: bytes, row: bytes = b"") -> bool:
        self._store.step()
        return self._inner.delete(table, partition, row)

    def list(
        self,
        table: Table,
        partition: bytes = b"",
        *,
        limit: int | None = None,
        after: bytes | None = None,
    ) -> list[tuple[bytes, bytes]]:
        self._store.step()
        return self._inner.list(table, partition, limit=limit, after=after)

    def partitions(
        self, table: Table, *, limit: int | None = None, after: bytes | None = None
    ) -> Sequence[bytes]:
        self._store.step()
        return self._inner.partitions(table, limit=limit, after=after)

    def clear(self, table: Table, partition: bytes, limit: int | None = None) -> int:
        self._store.step()
        return self._inner.clear(table, partition, limit)

    def count(self, table: Table, partition: bytes = b"") -> int:
        self._store.step()
        return self._inner.count(table, partition)

    def scan(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
        self._store.step()
        return self._inner.scan(table)

    def savepoint(self) -> AbstractContextManager[None]:
        return self._inner.savepoint()


@VERSIONS
@pytest.mark.parametrize("one_time", [True, False], ids=["one-time prekey", "no one-time prekey"])
def test_session_identity_and_deletion_are_kept_together_or_not_at_all(
    one_time: bool, kyber: bool
) -> None:
    """A failure at any operation of the transaction, or at its commit, undoes all of it."""
    store = _Breaking()
    ana, budi = person(ANA), person(BUDI, store=store)
    ana.start(budi, one_time=one_time, kyber=kyber)
    first = ana.send(budi, "first")
    before = budi.dump()
    steps = 0
    while True:
        store.steps = steps
        try:
            text = budi.read(first)
        except StoreError:
            store.steps = None
            assert budi.dump() == before
            steps += 1
        else:
            break
    store.steps = None
    assert text == "first"
    assert steps >= 7, "reading a first message takes several operations"
    changed = {
        table if table != "device" else row for table, _, row, _ in set(before) ^ set(budi.dump())
    }
    prekeys = {"one_time_prekeys"} if one_time else {"seen_base_keys"}
    if kyber:
        prekeys |= {"spqr", "kyber_prekeys"} if one_time else {"spqr"}
    kept = {"sessions", "session_records", "remote_identities", "stripe", CHANGES_ROW}
    assert changed == kept | prekeys


def test_damaged_first_messages_of_many_strangers_leave_nothing_behind() -> None:
    budi: Person = person(BUDI)
    before = budi.dump()
    for number in range(8):
        attacker = Attacker(str(number))
        first = attacker.first_message(budi, ANA)
        _, damaged = list(flips(inner_message(first)))[-1]
        assert_refused(budi, edit_wrapper(first, message=damaged), AuthenticationFailed)
    assert budi.dump() == before

# SPDX-License-Identifier: Apache-2.0
"""Which stripes the operations of a bare device have for themselves."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import cast

import pytest

from e2ecross import Bytes, Device, Envelope, MessageKind, Policy, PreKeyBundle, Text
from e2ecross.address import Address, UserId
from e2ecross.device.bundles import NO_NEWS, repair_sessions, start_from_bundles
from e2ecross.device.conversations import accept, block, list_requests, unblock
from e2ecross.device.device_lists import find_without_session
from e2ecross.device.hints import note_checked, take_wanted_checks
from e2ecross.device.own_list import unlink_device
from e2ecross.device.self_sync import mark_read
from e2ecross.errors import (
    E2ECrossError,
    IdentityChangedError,
    RecordCorrupted,
    RemoteError,
    StoreBusy,
    StoreError,
    UnknownPrekey,
)
from e2ecross.state.accounts import find_account, put_account
from e2ecross.state.context import address_key
from e2ecross.state.conversations import ContactState, find_conversation, put_conversation
from e2ecross.state.message import Message
from e2ecross.state.outbox import Backlog, BacklogName, list_backlog
from e2ecross.state.retry_budget import Request, spend_answer, spend_request
from e2ecross.state.sent import find_kept, keep_copies
from e2ecross.state.stripe import stripe_of
from e2ecross.state.transactions import peer_transaction
from e2ecross.stores import MemoryStore, Table, Transaction
from e2ecross.wire.account_records import AccountRecord
from e2ecross.wire.content import DeviceListPush
from e2ecross.wire.conversation_records import ConversationRecord
from tests.support.accounts import device_of, hold_list, link_devices, sign_devices
from tests.support.around import AroundStore
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    NOW_MS,
    TOKO,
    SpyStore,
    dump,
    introduce,
    make_device,
    new_bundle,
)
from tests.support.kept import keep_sent

STRIPES = 64
BUDIS, TOKOS = (stripe_of(each.user_id, STRIPES) for each in (BUDI, TOKO))


class Watched(AroundStore):
    """Notes which stripes transactions were of."""

    def __init__(self) -> None:
        super().__init__(MemoryStore(STRIPES))
        self.begun: list[int] = []

    def transaction(
        self, stripe: int = 0, *, moved: bool = False
    ) -> AbstractContextManager[Transaction]:
        self.begun.append(stripe)
        return super().transaction(stripe, moved=moved)

    def taken(self) -> list[int]:
        """Those since the last time."""
        begun, self.begun = self.begun, []
        return begun


STRIPE_OF = {BUDI: BUDIS, TOKO: TOKOS}


class Scene:
    def __init__(self) -> None:
        self.store = Watched()
        self.ana, self.budi, self.toko = (
            make_device(ANA, self.store),
            make_device(BUDI),
            make_device(TOKO),
        )
        introduce(self.ana, self.budi)
        introduce(self.ana, self.toko)
        self.store.taken()


@pytest.fixture
def scene() -> Scene:
    return Scene()


CALLS: dict[str, Callable[[Scene], object]] = {
    "encrypt": lambda s: s.ana.encrypt(BUDI, Text("halo")),
    "encrypt_raw": lambda s: s.ana.encrypt_raw(BUDI, b"halo"),
    "decrypt": lambda s: s.ana.decrypt(s.budi.encrypt(ANA, Text("halo"))),
    "decrypt_raw": lambda s: s.ana.decrypt_raw(BUDI, *s.budi.encrypt_raw(ANA, b"halo")),
    "start_session": lambda s: s.ana.start_session(new_bundle(s.budi)),
    "has_session": lambda s: s.ana.has_session(BUDI),
    "session_info": lambda s: s.ana.session_info(BUDI),
    "remote_identity": lambda s: s.ana.remote_identity(BUDI),
    "safety_number": lambda s: s.ana.safety_number(BUDI),
    "repair_sessions": lambda s: repair_sessions(s.ana._context, BUDI),
    "encrypt_many": lambda s: s.ana.encrypt_many([BUDI, BUDI], Text("halo")),
    "decrypt_many": lambda s: s.ana.decrypt_many([s.budi.encrypt(ANA, Text("halo")), b"?"]),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_what_names_one_account_has_its_stripe(call: Callable[[Scene], object]) -> None:
    scene = Scene()
    call(scene)
    assert scene.store.taken() == [BUDIS]


def test_a_bundle_is_judged_and_kept_there(scene: Scene) -> None:
    start_from_bundles(scene.ana._context, [new_bundle(scene.budi, kyber=True)])
    assert scene.store.taken() == [BUDIS, BUDIS]


def test_bundles_of_many_are_kept_stripe_by_stripe_in_their_order(scene: Scene) -> None:
    low, high = sorted((BUDIS, TOKOS))
    reason = StoreError("none")
    bundles: list[PreKeyBundle | E2ECrossError] = [
        *(new_bundle(each, kyber=True) for each in (scene.toko, scene.budi)),
        reason,
    ]
    assert start_from_bundles(scene.ana._context, bundles) == [NO_NEWS, NO_NEWS, reason]
    assert scene.store.taken() == [low, high, low, high]
    for device in (scene.budi, scene.toko):
        sent = scene.ana.encrypt(device.address, Text("halo"))
        assert sent.kind is MessageKind.PREKEY
        assert device.decrypt(sent).content == Text("halo")


def test_two_of_different_stripes_do_not_wait_for_each_other(scene: Scene) -> None:
    """In memory the gate is one; that they are of one stripe each is all that there is to it."""
    context = scene.ana._context
    assert BUDIS != TOKOS
    with peer_transaction(context, BUDI.user_id) as tx, pytest.raises(StoreError):
        tx.at(TOKOS)


# --- Batches ------------------------------------------------------------------------------------


def test_many_are_encrypted_stripe_by_stripe_and_come_in_their_order(scene: Scene) -> None:
    low, high = sorted((BUDIS, TOKOS))
    told: list[tuple[int, int]] = []
    sent = scene.ana.encrypt_many(
        [TOKO, BUDI, TOKO], Text("halo"), progress=lambda *step: told.append(step)
    )
    assert scene.store.taken() == [low, high]
    assert [each.recipient for each in sent if isinstance(each, Envelope)] == [TOKO, BUDI, TOKO]
    assert [step[1] for step in told] == [3, 3]
    assert [step[0] for step in told] in ([1, 3], [2, 3])
    assert scene.ana.encrypt_many([], Text("halo")) == []
    assert scene.store.taken() == []


def test_many_are_decrypted_stripe_by_stripe_and_come_in_their_order(scene: Scene) -> None:
    low, high = sorted((BUDIS, TOKOS))
    waiting: list[Envelope | bytes] = [
        scene.toko.encrypt(ANA, Bytes(b"1")),
        b"?",
        scene.budi.encrypt(ANA, Bytes(b"2")),
        scene.toko.encrypt(ANA, Bytes(b"3")),
    ]
    told: list[tuple[int, int]] = []
    found = scene.ana.decrypt_many(waiting, progress=lambda *step: told.append(step))
    assert scene.store.taken() == [low, high]
    contents = [each.content.data for each in found if isinstance(each, Message)]  # type: ignore[union-attr]
    assert contents == [b"1", b"2", b"3"]
    assert not isinstance(found[1], Message)
    assert told[-1] == (4, 4)
    assert scene.ana.decrypt_many([b"?"])[0] is not None
    assert scene.store.taken() == [1]


@pytest.mark.parametrize("is_low_first", [False, True])
def test_stripes_ascend_whoever_comes_first_and_progress_counts_on(
    scene: Scene, is_low_first: bool
) -> None:
    """Who nobody knows stands with the first stripe of those that are known."""
    devices = sorted((scene.budi, scene.toko), key=lambda each: STRIPE_OF[each.address])
    low, high = devices
    first, second = devices if is_low_first else reversed(devices)
    told: list[tuple[int, int]] = []

    def progress(done: int, count: int) -> None:
        told.append((done, count))

    both = [STRIPE_OF[low.address], STRIPE_OF[high.address]]
    scene.ana.encrypt_many([first.address, second.address], Text("halo"), progress=progress)
    assert scene.store.taken() == both
    assert told == [(1, 2), (2, 2)]
    waiting: list[Envelope | bytes] = [first.encrypt(ANA, Bytes(b"1")), b"?", b"!"]
    waiting.append(second.encrypt(ANA, Bytes(b"2")))
    told.clear()
    found = scene.ana.decrypt_many(waiting, progress=progress)
    assert [isinstance(each, Message) for each in found] == [True, False, False, True]
    assert scene.store.taken() == both
    # Of the lower stripe there are three, of whom two are nobody's.
    assert told == ([(1, 4), (3, 4), (4, 4)] if is_low_first else [(2, 4), (3, 4), (4, 4)])


def test_of_a_damaged_contact_each_message_is_refused_whatever_their_places(scene: Scene) -> None:
    waiting = [
        sender.encrypt(ANA, Bytes(b"%d" % number))
        for number, sender in enumerate((scene.toko, scene.budi, scene.toko, scene.budi))
    ]
    places = [where for where in dump(scene.store) if where[0] is Table.SESSIONS]
    (place,) = [where for where in places if where[1] == address_key(BUDI)]
    with scene.store.transaction(BUDIS) as tx:
        tx.put(*place, b"\x01damaged")
    found = scene.ana.decrypt_many(waiting)
    assert [isinstance(each, Message) for each in found] == [True, False, True, False]
    assert isinstance(found[1], RecordCorrupted)
    assert isinstance(found[3], RecordCorrupted)


def test_what_was_committed_before_a_store_error_stands(scene: Scene) -> None:
    low, high = sorted([(BUDIS, BUDI), (TOKOS, TOKO)])
    first, second = low[1], high[1]

    class Failing(AroundStore):
        def transaction(
            self, stripe: int = 0, *, moved: bool = False
        ) -> AbstractContextManager[Transaction]:
            if stripe == high[0]:
                raise StoreBusy("held")
            return super().transaction(stripe, moved=moved)

    ana = Device.open(Failing(scene.store), clock=lambda: NOW_MS)
    before = {where for where in dump(scene.store).items() if address_key(first) in where[0][1]}
    others = {where for where in dump(scene.store).items() if address_key(second) in where[0][1]}
    with pytest.raises(StoreBusy):
        ana.encrypt_many([second, first], Text("halo"))
    after = dump(scene.store).items()
    assert before - set(after)
    assert not others - set(after)


# --- Decisions ----------------------------------------------------------------------------------


DECISIONS: dict[str, Callable[[Scene], object]] = {
    "mark_verified": lambda s: s.ana.mark_verified(BUDI, s.budi.identity_key),
    "accept_identity": lambda s: s.ana.accept_identity(BUDI, s.budi.identity_key),
    "accept": lambda s: accept(s.ana._context, BUDI.user_id),
    "block": lambda s: block(s.ana._context, BUDI.user_id),
    "mark_read": lambda s: mark_read(s.ana._context, [read(BUDI)]),
}


def read(sender: Address, message_id: bytes = MESSAGE_ID) -> Message:
    return Message(sender, message_id, NOW_MS, Text("halo"), False, peer=sender.user_id)


@pytest.mark.parametrize("decide", DECISIONS.values(), ids=DECISIONS)
def test_a_decision_is_made_in_the_stripe_of_the_account(
    decide: Callable[[Scene], object],
) -> None:
    scene = Scene()
    decide(scene)
    assert scene.store.taken() == [BUDIS, BUDIS]


@pytest.mark.parametrize("decide", DECISIONS.values(), ids=DECISIONS)
def test_where_other_own_devices_are_told_it_has_the_whole_store(
    decide: Callable[[Scene], object],
) -> None:
    scene = Scene()
    laptop = make_device(device_of(ANA, 2))
    link_devices(scene.ana, laptop)
    scene.store.taken()
    decide(scene)
    assert scene.store.taken() == [BUDIS, 0]
    with scene.store.inner.transaction(1) as tx:
        waiting = list_backlog(tx.at(0), Backlog(BacklogName.REQUESTS, laptop.address))
    assert [each.control is not None for each in waiting] == [True]


def test_what_is_decided_stands_in_the_stripe_of_the_account(scene: Scene) -> None:
    context = scene.ana._context
    block(context, BUDI.user_id)
    accept(context, TOKO.user_id)
    with scene.store.inner.transaction(BUDIS) as tx:
        assert find_conversation(tx, BUDI.user_id).state == ContactState.BLOCKED
    with scene.store.inner.transaction(TOKOS) as tx:
        assert find_conversation(tx, TOKO.user_id).state == ContactState.ACCEPTED
        account = find_account(tx, TOKO.user_id)
    assert account is not None
    assert account.written
    unblock(context, BUDI.user_id)
    with scene.store.inner.transaction(BUDIS) as tx:
        assert find_conversation(tx, BUDI.user_id).state == ContactState.STRANGER


def test_requests_of_all_stripes_are_listed(scene: Scene) -> None:
    context = scene.ana._context
    for user in (BUDI.user_id, TOKO.user_id):
        with peer_transaction(context, user) as tx:
            put_conversation(tx, user, ConversationRecord(waiting=2))
    scene.store.taken()
    assert sorted(list_requests(context), key=str) == sorted([BUDI.user_id, TOKO.user_id], key=str)
    assert scene.store.taken() == sorted((BUDIS, TOKOS))


# --- Lists --------------------------------------------------------------------------------------


def test_who_lacks_a_session_is_found_stripe_by_stripe(scene: Scene) -> None:
    hold_list(scene.ana, sign_devices(scene.budi, make_device(device_of(BUDI, 2))))
    scene.store.taken()
    found = find_without_session(scene.ana._context, [TOKO.user_id, BUDI.user_id])
    assert found == {BUDI.user_id: [device_of(BUDI, 2)], TOKO.user_id: None}
    assert scene.store.taken() == sorted((BUDIS, TOKOS))


def test_lists_that_were_heard_of_are_looked_up_stripe_by_stripe(scene: Scene) -> None:
    context = scene.ana._context
    users: list[UserId] = [TOKO.user_id, BUDI.user_id]
    for user in users:
        with peer_transaction(context, user) as tx:
            put_account(tx, user, AccountRecord(check_wanted=True))
        context.heard_of[user] = None
    scene.store.taken()
    assert take_wanted_checks(context) == users  # in the order in which they were heard of
    assert scene.store.taken() == sorted((BUDIS, TOKOS))
    note_checked(context, users)
    assert scene.store.taken() == sorted((BUDIS, TOKOS))
    context.heard_of.update(dict.fromkeys(users))
    assert take_wanted_checks(context) == []


def test_a_list_of_the_own_account_that_was_heard_of_in_another_stripe_is_asked_for(
    scene: Scene,
) -> None:
    context = scene.ana._context
    hold_list(scene.ana, sign_devices(scene.ana))
    context.heard_of[ANA.user_id] = None
    assert take_wanted_checks(context) == [ANA.user_id]
    note_checked(context, [ANA.user_id])
    context.heard_of[ANA.user_id] = None
    assert take_wanted_checks(context) == []


def test_no_count_of_changes_is_written(scene: Scene) -> None:
    block(scene.ana._context, BUDI.user_id)
    rows = [row for table, _, row in dump(scene.store) if table is Table.DEVICE]
    assert b"changes" not in rows


def test_contacts_of_all_stripes_are_told_that_a_device_was_removed(scene: Scene) -> None:
    laptop = make_device(device_of(ANA, 2))
    link_devices(scene.ana, laptop)
    context = scene.ana._context
    for address in (BUDI, TOKO):
        with peer_transaction(context, address.user_id) as tx:
            keep_sent(tx, context.policy, address, MESSAGE_ID, Text("halo"), NOW_MS)
        accept(context, address.user_id)
    unlink_device(context, 2)
    for address, stripe in ((BUDI, BUDIS), (TOKO, TOKOS)):
        with scene.store.inner.transaction(stripe) as tx:
            (waiting,) = list_backlog(tx, Backlog(BacklogName.REQUESTS, address))
        assert isinstance(waiting.control, DeviceListPush)


def test_in_a_stripe_no_more_is_asked_for_than_its_part(scene: Scene) -> None:
    policy = Policy(retry_requests=64 * 64, resends=64 * 64)
    ana = Device.open(scene.store, policy=policy, clock=lambda: NOW_MS)
    ids = [bytes([number]) * 16 for number in range(80)]
    senders = [Address("instagram", "budi", 1 + number % 10) for number in range(80)]
    with peer_transaction(ana._context, BUDI.user_id) as tx:
        asked = [
            spend_request(ana._context, tx, sender, message_id, NOW_MS)
            for sender, message_id in zip(senders, ids, strict=True)
        ]
        assert sum(each is not Request.REFUSED for each in asked) == 64
        answered = [spend_answer(ana._context, tx, sender, NOW_MS) for sender in senders]
        assert sum(answered) == 64
    with peer_transaction(ana._context, TOKO.user_id) as tx:
        assert spend_answer(ana._context, tx, TOKO, NOW_MS)


def test_of_what_is_kept_a_stripe_has_its_part(scene: Scene) -> None:
    context = scene.ana._context
    policy = Policy(resend_kept_messages=64 * 100)
    with peer_transaction(context, BUDI.user_id) as tx:
        for number in range(140):
            message_id = number.to_bytes(16)
            keep_copies(
                *(tx, policy, BUDI.user_id, message_id, message_id, Text("x"), [BUDI]),
                *(NOW_MS, NOW_MS),
            )
        kept = [
            find_kept(tx, policy, BUDI, number.to_bytes(16), NOW_MS) is not None
            for number in range(140)
        ]
    assert 40 <= sum(kept) <= 50  # content and copy are a row each; a fifth goes at once
    assert kept[-1]


# --- Prekeys ------------------------------------------------------------------------------------


def test_prekeys_go_before_anything_else_is_written_the_kyber_prekey_first() -> None:
    spy = SpyStore(MemoryStore(STRIPES))
    ana, budi = make_device(ANA, spy), make_device(BUDI)
    budi.start_session(new_bundle(ana, kyber=True))
    first = budi.encrypt(ANA, Text("halo"))
    spy.forget()
    ana.decrypt(first)
    written = [each.table for each in spy.operations if each.name in ("put", "add", "delete")]
    assert written[:2] == [Table.KYBER_PREKEYS, Table.ONE_TIME_PREKEYS]


class UsedAtOnce(AroundStore):
    """Another stripe has used the prekey just before."""

    @contextmanager
    def transaction(self, stripe: int = 0, *, moved: bool = False) -> Iterator[Transaction]:
        with self.inner.transaction(stripe, moved=moved) as tx:
            yield cast(Transaction, _Losing(tx) if stripe else tx)


class _Losing:
    def __init__(self, inner: Transaction) -> None:
        self._inner = inner

    def delete(self, table: Table, partition: bytes, row: bytes = b"") -> bool:
        return table is not Table.ONE_TIME_PREKEYS and self._inner.delete(table, partition, row)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


def test_one_prekey_for_two_stripes_is_used_by_one(scene: Scene) -> None:
    first = {}
    stolen = new_bundle(scene.ana)
    for name in ("instagram:one", "instagram:two"):
        sender = make_device(Address.parse(f"{name}.1"))
        sender.start_session(stolen)
        first[name] = sender.encrypt(ANA, Text(name))
    losing = Device.open(UsedAtOnce(scene.store.inner), clock=lambda: NOW_MS)
    before = dump(scene.store)
    with pytest.raises(StoreBusy, match="another message used the same prekey at this moment"):
        losing.decrypt(first["instagram:two"])
    assert dump(scene.store) == before
    assert scene.ana.decrypt(first["instagram:one"]).content == Text("instagram:one")
    with pytest.raises(UnknownPrekey):
        losing.decrypt(first["instagram:two"])


def test_a_refused_key_uses_no_prekey_up() -> None:
    store = MemoryStore(STRIPES)
    ana = make_device(ANA, store, policy=Policy(refuse_changed_identity=True))
    budi = make_device(BUDI)
    introduce(ana, budi)
    other = make_device(BUDI, seed="other")
    other.start_session(new_bundle(ana))
    before = dump(store)
    with pytest.raises(IdentityChangedError):
        ana.decrypt(other.encrypt(ANA, Text("halo")))
    assert isinstance(ana.decrypt_many([other.encrypt(ANA, Text("halo"))])[0], RemoteError)
    assert dump(store) == before

# SPDX-License-Identifier: Apache-2.0
"""A business sends what its customers have granted: counted, shown to the back end, taken back."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from e2ecross import (
    Address,
    Client,
    ConsentGrant,
    ConsentRevoke,
    Device,
    Envelope,
    Expiry,
    Message,
    MessageRef,
    Notice,
    NoticeKind,
    Policy,
    Reaction,
    Receipt,
    Text,
)
from e2ecross.errors import (
    BackendError,
    ConsentMissing,
    E2ECrossError,
    InvalidArgument,
    LossyContent,
    UntrustedIdentity,
)
from e2ecross.state.outbox import Backlog, BacklogName, list_backlog
from e2ecross.state.transactions import peer_transaction
from e2ecross.stores import MemoryStore, Store, Table
from e2ecross.wire.consent_records import ConsentRecord
from e2ecross.wire.exchange import Deposited
from tests.client.circle import Circle
from tests.client.conversation import read
from tests.support.accounts import change_devices, device_of, make_account, new_client
from tests.support.devices import (
    ANA,
    BUDI,
    NOW_MS,
    BackendSimulator,
    FakeClock,
    dump,
    make_client,
    make_device,
)
from tests.support.store_kinds import copied, copying

CITRA = Address("messenger", "citra")
DAY_MS = 24 * 60 * 60 * 1000
TOKEN = bytes(range(32))
GRANT = ConsentGrant(b"g" * 16, (1, 2), 2, NOW_MS + 30 * DAY_MS, 5, TOKEN)
REVOKE = ConsentRevoke(b"g" * 16, 5)
ID = b"an order number!"


class Counter(BackendSimulator):
    """Remembers the token that came with each envelope."""

    def __init__(self, clock: Callable[[], int] = lambda: NOW_MS) -> None:
        super().__init__(clock=clock)
        self.shown: list[tuple[Address, bytes]] = []

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        assert len(consents) == len(envelopes)
        answer = super().deposit_all(token, envelopes, epochs=epochs, consents=consents)
        for data, consent in zip(envelopes, consents, strict=True):
            self.shown.append((Envelope.decode(data).recipient, consent))
        return answer


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backend(clock: FakeClock) -> Counter:
    return Counter(clock)


@pytest.fixture(params=[0, 64], ids=["no stripes", "stripes"])
def store(request: pytest.FixtureRequest) -> MemoryStore:
    return MemoryStore(request.param)


@pytest.fixture
def ana(backend: Counter, store: MemoryStore, clock: FakeClock) -> Client:
    """The business."""
    return make_client(ANA, backend, store, clock=clock)


@pytest.fixture
def budi(backend: Counter, clock: FakeClock) -> Client:
    """A customer."""
    return make_client(BUDI, backend, clock=clock)


def grant(customer: Client, business: Client, content: ConsentGrant = GRANT) -> None:
    customer.send(ANA, content)
    take_in(business, content)


def revoke(customer: Client, business: Client, content: ConsentRevoke = REVOKE) -> list[Notice]:
    customer.send(ANA, content)
    return take_in(business, content)


def take_in(business: Client, content: object) -> list[Notice]:
    """Receive and confirm all; exactly this content is in it. Returns the notices."""
    items = business.receive()
    business.confirm(items)
    assert [item.content for item in items if isinstance(item, Message)] == [content]
    return [item for item in items if isinstance(item, Notice)]


def row(client: Client, user: Address = BUDI) -> ConsentRecord | None:
    context = client._context
    with peer_transaction(context, user.user_id) as tx:
        data = tx.get(Table.CONSENT, f"{user.app}\0{user.user}".encode())
    return None if data is None else ConsentRecord.decode(data)


def restart(business: Client, backend: BackendSimulator, store: Store, clock: FakeClock) -> Client:
    """The same device in another process."""
    del business
    return Client(Device.open(store, clock=clock), backend)


def test_a_grant_and_a_revoke_are_messages_like_others(ana: Client, budi: Client) -> None:
    sent = budi.send("whatsapp:ana", GRANT)
    assert (sent.content, sent.ref) == (GRANT, None)
    [message] = ana.receive()
    assert isinstance(message, Message)
    assert (message.content, message.sender, message.ref) == (GRANT, BUDI, None)
    assert not message.forwardable
    assert TOKEN.hex() not in repr(message)
    budi.send("whatsapp:ana", REVOKE)
    assert [item.content for item in ana.receive() if isinstance(item, Message)] == [REVOKE]


def test_without_a_grant_nothing_with_a_purpose_is_sent(
    ana: Client, budi: Client, backend: Counter, store: MemoryStore
) -> None:
    ana.send(BUDI, Text("first"))
    for _ in range(2):
        before = dump(store)  # the first time what was sent before is forgotten
        with pytest.raises(ConsentMissing, match="instagram:budi"):
            ana.send("instagram:budi", Text("offer"), purpose=2)
    assert dump(store) == before
    assert ana.pending() == []
    assert read(budi) == ["first"]


def test_what_was_granted_is_sent_and_counted(
    ana: Client, budi: Client, backend: Counter, clock: FakeClock
) -> None:
    grant(budi, ana)
    ana.send(BUDI, Text("one"), purpose=ConsentGrant.SERVICE)
    ana.send(BUDI, Text("two"), purpose=ConsentGrant.UTILITY)
    for purpose in (1, 2):
        with pytest.raises(ConsentMissing):
            ana.send(BUDI, Text("three"), purpose=purpose)
    record = row(ana)
    assert record is not None
    assert (record.day, record.count) == (NOW_MS // DAY_MS, 2)
    clock.advance(DAY_MS)
    ana.send(BUDI, Text("four"), purpose=1)
    assert read(budi) == ["one", "two", "four"]


@pytest.mark.parametrize("purpose", [3, 4])
def test_other_purposes_are_not_granted(ana: Client, budi: Client, purpose: int) -> None:
    grant(budi, ana)
    with pytest.raises(ConsentMissing) as caught:
        ana.send(BUDI, Text("offer"), purpose=purpose)
    assert (caught.value.user, caught.value.purpose) == (BUDI.user_id, purpose)


def test_without_a_purpose_nothing_is_asked_and_nothing_counted(ana: Client, budi: Client) -> None:
    grant(budi, ana)
    for _ in range(5):
        ana.send(BUDI, Text("answer"))
    assert row(ana) == ConsentRecord(GRANT, 5)


def test_a_grant_that_is_over_is_none(ana: Client, budi: Client, clock: FakeClock) -> None:
    grant(budi, ana)
    clock.now_ms = GRANT.expires_at_ms
    with pytest.raises(ConsentMissing):
        ana.send(BUDI, Text("late"), purpose=1)


@pytest.mark.parametrize("purpose", [0, 5, -1, True, "2", 2.0, b"\2"])
@pytest.mark.parametrize("many", [False, True])
def test_a_purpose_is_one_of_four(ana: Client, purpose: Any, many: bool) -> None:  # noqa: ANN401
    def send() -> object:
        if many:
            return ana.send_many([BUDI], Text("offer"), purpose=purpose)
        return ana.send(BUDI, Text("offer"), purpose=purpose)

    with pytest.raises(InvalidArgument, match=r"^purpose"):
        send()


def test_a_message_id_that_is_repeated_is_not_counted_again(
    ana: Client, budi: Client, backend: Counter, store: MemoryStore, clock: FakeClock
) -> None:
    grant(budi, ana, replace(GRANT, max_per_day=1))
    ana.send(BUDI, Text("one"), message_id=ID, purpose=1)
    ana.send(BUDI, Text("one"), message_id=ID, purpose=1)
    again = restart(ana, backend, store, clock)
    again.send(BUDI, Text("one"), message_id=ID, purpose=1)
    assert read(budi) == ["one"]
    with pytest.raises(ConsentMissing):
        again.send(BUDI, Text("two"), purpose=1)


def test_a_deposit_that_failed_was_counted_and_goes_on_without_a_grant(
    ana: Client, budi: Client, backend: Counter, clock: FakeClock
) -> None:
    """Counted with the encryption: the same message, tried again, is no second one."""
    grant(budi, ana, replace(GRANT, max_per_day=1))
    backend.fail("deposit")
    with pytest.raises(BackendError):
        ana.send(BUDI, Text("one"), message_id=ID, purpose=1)
    clock.now_ms = GRANT.expires_at_ms
    ana.send(BUDI, Text("one"), message_id=ID, purpose=1)
    assert read(budi) == ["one"]


def test_what_fails_is_not_counted(ana: Client, budi: Client, backend: Counter) -> None:
    grant(budi, ana)
    ana.send(BUDI, Text("one"), message_id=ID, purpose=1)
    counted = row(ana)
    with pytest.raises(InvalidArgument):
        ana.send(BUDI, Text("another"), message_id=ID, purpose=1)
    reaction = Reaction(MessageRef(ANA.user_id, ID, bytes(32)), 1, "+")
    with pytest.raises(LossyContent):
        ana.send(BUDI, reaction, purpose=1)
    assert row(ana) == counted


def test_keys_that_could_not_be_fetched_count_nothing(
    ana: Client, budi: Client, backend: Counter
) -> None:
    """A grant that came from elsewhere, and no session yet."""
    grant(budi, ana)
    context = ana._context
    with peer_transaction(context, BUDI.user_id) as tx:
        for table in (Table.SESSION_RECORDS, Table.SESSIONS):
            tx.clear(table, b"instagram\0budi\0\1")
    backend.fail("fetch_keys")
    with pytest.raises(E2ECrossError):
        ana.send(BUDI, Text("one"), purpose=1)
    record = row(ana)
    assert record is not None
    assert record.count == 0
    ana.send(BUDI, Text("one"), purpose=1)
    record = row(ana)
    assert record is not None
    assert record.count == 1


def test_each_of_many_is_asked_for_its_own(
    ana: Client, budi: Client, backend: Counter, clock: FakeClock
) -> None:
    citra = make_client(CITRA, backend, clock=clock)
    grant(budi, ana)
    ana.send(CITRA, Text("hello"))
    results = ana.send_many([BUDI, CITRA, BUDI, BUDI], Text("offer"), purpose=1)
    assert [isinstance(each, ConsentMissing) for each in results] == [False, True, False, True]
    assert read(budi) == ["offer", "offer"]
    assert read(citra) == ["hello"]


def test_a_revoke_ends_it(ana: Client, budi: Client) -> None:
    grant(budi, ana)
    assert revoke(budi, ana) == []
    with pytest.raises(ConsentMissing):
        ana.send(BUDI, Text("offer"), purpose=1)
    assert row(ana) == ConsentRecord(None, 5)
    grant(budi, ana, replace(GRANT, number=6))
    ana.send(BUDI, Text("offer"), purpose=1)


def test_a_lower_number_is_ignored(ana: Client, budi: Client) -> None:
    grant(budi, ana)
    revoke(budi, ana, replace(REVOKE, number=4))
    ana.send(BUDI, Text("offer"), purpose=1)
    revoke(budi, ana)
    grant(budi, ana)  # sent again, as an attacker could
    grant(budi, ana, replace(GRANT, number=4))
    with pytest.raises(ConsentMissing):
        ana.send(BUDI, Text("offer"), purpose=1)


def test_a_revoke_takes_back_what_waits_and_has_a_purpose(
    ana: Client, budi: Client, backend: Counter, store: MemoryStore, clock: FakeClock
) -> None:
    grant(budi, ana)
    ana.send(BUDI, Text("before"))
    backend.fail("deposit", times=3)
    ids = []
    for number, purpose in enumerate((1, None, 2)):
        ids.append(bytes([number]) * 16)
        with suppress(BackendError):
            ana.send(BUDI, Text(f"waits {number}"), message_id=ids[-1], purpose=purpose)
    backend.heal()
    assert [each.message_id for each in ana.pending()] == ids
    budi.send(ANA, REVOKE)
    backend.break_for(BUDI)  # so that nothing leaves before the revoke is read
    again = restart(ana, backend, store, clock)
    notices = take_in(again, REVOKE)
    assert [each.message_id for each in again.pending()] == [ids[1]]
    del backend.broken[BUDI]
    clock.advance(3_600_000)
    again.maintain()
    items = again.receive()
    again.confirm(items)
    notices += [item for item in items if isinstance(item, Notice)]
    assert sorted(notice.messages for notice in notices) == [(ids[0],), (ids[2],)]
    for notice in notices:
        told = (notice.kind, notice.user, notice.code)
        assert told == (NoticeKind.NOT_DELIVERED, BUDI.user_id, "consent_missing")
    assert read(budi) == ["before", "waits 1"]


def test_what_waits_for_others_is_left(
    ana: Client, budi: Client, backend: Counter, clock: FakeClock
) -> None:
    citra = make_client(CITRA, backend, clock=clock)
    grant(budi, ana)
    grant(citra, ana)
    backend.fail("deposit", times=2)
    for recipient in (BUDI, CITRA):
        with suppress(BackendError):
            ana.send(recipient, Text("offer"), purpose=1)
    backend.heal()
    budi.send(ANA, REVOKE)
    backend.break_for(CITRA)
    backend.break_for(BUDI)
    take_in(ana, REVOKE)
    assert [each.recipient for each in ana.pending()] == [CITRA]


def test_a_revoke_of_a_lower_number_takes_nothing_back(
    ana: Client, budi: Client, backend: Counter
) -> None:
    grant(budi, ana)
    backend.break_for(BUDI)
    with suppress(BackendError):
        ana.send(BUDI, Text("offer"), purpose=1)
    assert revoke(budi, ana, replace(REVOKE, number=4)) == []
    assert len(ana.pending()) == 1


def test_deposits_show_the_token_of_what_was_granted(
    ana: Client, budi: Client, backend: Counter, clock: FakeClock
) -> None:
    citra = make_client(CITRA, backend, clock=clock)
    grant(budi, ana)
    backend.shown.clear()
    ana.send(BUDI, Text("with a purpose"), purpose=1)
    ana.send(BUDI, Text("without"))
    ana.send_many([CITRA, BUDI], Text("both"))
    assert sorted(backend.shown, key=str) == sorted(
        [(BUDI, TOKEN), (BUDI, TOKEN), (CITRA, b""), (BUDI, TOKEN)], key=str
    )
    backend.shown.clear()
    clock.now_ms = GRANT.expires_at_ms
    ana.send(BUDI, Text("late"))
    assert backend.shown == [(BUDI, b"")]
    assert citra.receive()


def test_what_waited_shows_the_token_that_is_granted_when_it_leaves(
    ana: Client, budi: Client, backend: Counter, clock: FakeClock
) -> None:
    grant(budi, ana)
    backend.break_for(BUDI)
    for _ in range(2):
        with suppress(BackendError):
            ana.send(BUDI, Text("waits"), purpose=1)
    newer = replace(GRANT, number=6, token=bytes(32))
    grant(budi, ana, newer)
    backend.shown.clear()
    del backend.broken[BUDI]
    clock.advance(3_600_000)
    ana.maintain()
    assert [consent for to, consent in backend.shown if to == BUDI][:2] == [bytes(32)] * 2
    assert len(read(budi)) == 2


def test_a_message_that_is_sent_again_shows_the_token_too(
    ana: Client, budi: Client, backend: Counter
) -> None:
    """Also behind something else in its backlog, by the same call."""
    grant(budi, ana)
    backend.fail("deposit")
    with suppress(BackendError):
        ana.send(BUDI, Text("one"), message_id=ID, purpose=1)
    backend.shown.clear()
    ana.send(BUDI, Text("one"), message_id=ID, purpose=1)
    ana.send(BUDI, Text("two"), purpose=1)
    assert [consent for to, consent in backend.shown if to == BUDI] == [TOKEN, TOKEN]
    assert read(budi) == ["one", "two"]


def test_two_workers_do_not_overspend(budi: Client, backend: Counter, clock: FakeClock) -> None:
    store = MemoryStore(64)
    ana = make_client(ANA, backend, store, clock=clock)
    grant(budi, ana)
    workers = [Client(Device.open(store, clock=clock), backend) for _ in range(3)]
    results = []
    for worker in workers:
        try:
            worker.send(BUDI, Text("offer"), purpose=1)
            results.append("")
        except ConsentMissing as error:
            results.append(error.code)
    assert results == ["", "", "consent_missing"]


def test_a_revoke_that_one_worker_reads_holds_for_all(
    budi: Client, backend: Counter, clock: FakeClock
) -> None:
    store = MemoryStore(64)
    ana = make_client(ANA, backend, store, clock=clock)
    grant(budi, ana)
    other = Client(Device.open(store, clock=clock), backend)
    backend.break_for(BUDI)
    with suppress(BackendError):
        other.send(BUDI, Text("offer"), message_id=ID, purpose=1)
    revoke(budi, ana)
    with pytest.raises(ConsentMissing):
        other.send(BUDI, Text("offer"), purpose=2)
    assert other.pending() == []


class TestWhoCounts:
    """Whose grants and revokes count."""

    def test_also_those_of_a_blocked_account(self, ana: Client, budi: Client) -> None:
        grant(budi, ana)
        ana.block("instagram:budi")
        budi.send(ANA, REVOKE)
        assert ana.receive() == []
        assert row(ana) == ConsentRecord(None, 5)

    def test_also_those_of_a_stranger_of_whom_enough_waits(
        self, budi: Client, backend: Counter, clock: FakeClock, store: MemoryStore
    ) -> None:
        policy = Policy(request_messages=1)
        ana = make_client(ANA, backend, store, clock=clock, policy=policy)
        budi.send(ANA, GRANT)
        budi.send(ANA, Text("not shown"))
        budi.send(ANA, REVOKE)
        assert len(ana.receive()) == 1
        assert row(ana) == ConsentRecord(None, 5)

    def test_not_a_grant_under_a_key_that_was_not_accepted(
        self, ana: Client, budi: Client, backend: Counter, clock: FakeClock
    ) -> None:
        grant(budi, ana)
        impostor = self._impostor(backend, clock)
        impostor.send(ANA, replace(GRANT, number=2**32 - 1, purposes=(1, 2, 3, 4)))
        [message] = ana.receive()
        assert isinstance(message, Message)
        assert message.identity_changed
        assert row(ana) == ConsentRecord(GRANT, 5)

    def test_a_revoke_under_such_a_key_ends_the_grant_and_no_later_one(
        self, ana: Client, budi: Client, backend: Counter, clock: FakeClock
    ) -> None:
        """Who has a new phone can revoke; who has none of theirs cannot revoke for ever."""
        grant(budi, ana)
        backend.break_for(BUDI)
        with suppress(BackendError):
            ana.send(BUDI, Text("offer"), message_id=ID, purpose=1)
        impostor = self._impostor(backend, clock)
        impostor.send(ANA, ConsentRevoke(bytes(16), 2**32 - 1))
        ana.receive()
        assert row(ana) == ConsentRecord(None, 5, NOW_MS // DAY_MS, 1)
        assert ana.pending() == []
        with pytest.raises((ConsentMissing, UntrustedIdentity)):
            ana.send(BUDI, Text("offer"), purpose=1)

    def test_under_a_key_that_the_policy_accepts_both_count(
        self, budi: Client, backend: Counter, clock: FakeClock, store: MemoryStore
    ) -> None:
        policy = Policy(accept_changed_identity=True)
        ana = make_client(ANA, backend, store, clock=clock, policy=policy)
        grant(budi, ana)
        impostor = self._impostor(backend, clock)
        impostor.send(ANA, replace(GRANT, number=9))
        ana.receive()
        assert row(ana) == ConsentRecord(replace(GRANT, number=9), 9)

    def test_not_what_another_own_device_has_granted(
        self, ana: Client, backend: Counter, clock: FakeClock
    ) -> None:
        """A copy says what the own account has granted, not what it may send."""
        phone, laptop = make_account(BUDI, (1, 2), backend, stores=copying(1), clock=clock)
        phone.send(ANA, GRANT)
        [copy] = [item for item in laptop.receive() if isinstance(item, Message)]
        assert (copy.content, copy.own_copy) == (GRANT, True)
        assert row(laptop, BUDI) is row(laptop, ANA) is None
        take_in(ana, GRANT)
        laptop.send(ANA, REVOKE)  # each device of the account may take it back
        take_in(ana, REVOKE)
        assert row(ana) == ConsentRecord(None, 5)

    @staticmethod
    def _impostor(backend: Counter, clock: FakeClock) -> Client:
        """Whoever has taken over the customer's address."""
        del backend._accounts[BUDI]
        backend.lists.clear()
        other = Client(make_device(BUDI, MemoryStore(), clock=clock, seed="impostor"), backend)
        other.register()
        return other


def test_consent_is_in_no_frame_and_in_no_group(ana: Client, budi: Client) -> None:
    with pytest.raises(InvalidArgument):
        budi.send(ANA, GRANT, expiry=Expiry(60))
    with pytest.raises(InvalidArgument):
        budi.send(ANA, REVOKE, view_once=True)
    assert budi.plan(ANA, GRANT).outcome == "loss_free"


def test_consent_is_between_two_accounts(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    circle = Circle(BackendSimulator(clock=clock), clock)
    ana, budi = circle.join("whatsapp:ana", "instagram:budi")
    group = circle.found(budi, ana)
    for content in (GRANT, REVOKE):
        with pytest.raises(InvalidArgument, match="not in a group"):
            group.send(content)
    monkeypatch.setattr("e2ecross.device.composing.Consent", Receipt)  # another's client may
    group.send(GRANT)
    group.send(Text("halo"))
    circle.settle()
    assert circle.said(ana) == ["instagram:budi: halo"]
    assert row(ana) is None


def test_all_copies_of_what_waits_are_taken_back_also_those_for_own_devices(
    backend: Counter, clock: FakeClock
) -> None:
    """To both devices of a customer, and for the other one of the business."""
    phone, _ = make_account(ANA, (1, 2), backend, clock=clock)
    customer, laptop = make_account(BUDI, (1, 2), backend, clock=clock)
    customer.send(ANA, GRANT)
    take_in(phone, GRANT)
    phone.send(BUDI, Text("hello"), purpose=1)
    before = len(backend.waiting(device_of(ANA, 2)))
    backend.fail("deposit")
    with suppress(BackendError):
        phone.send(BUDI, Text("offer"), message_id=ID, purpose=1)
    assert len(phone.pending()) == len([BUDI, device_of(BUDI, 2), *copied(device_of(ANA, 2))])
    customer.send(ANA, REVOKE)
    for address in (BUDI, device_of(BUDI, 2), device_of(ANA, 2)):
        backend.break_for(address)
    notices = take_in(phone, REVOKE)
    assert [(each.messages, each.code) for each in notices] == [((ID,), "consent_missing")]
    backend.broken.clear()
    assert phone.pending() == []
    phone.maintain()
    assert len(backend.waiting(device_of(ANA, 2))) == before + 1  # a copy of the revoke
    for client in (customer, laptop):
        shown = [each.content for each in client.receive() if isinstance(each, Message)]
        assert Text("hello") in shown
        assert Text("offer") not in shown


def test_a_revoke_takes_back_what_a_crash_has_left_in_flight(
    ana: Client,
    budi: Client,
    backend: Counter,
    store: MemoryStore,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grant(budi, ana)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(backend, "deposit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ana.send(BUDI, Text("offer"), message_id=ID, purpose=1)
    monkeypatch.undo()
    budi.send(ANA, REVOKE)
    again = restart(ana, backend, store, clock)
    again.receive()
    clock.advance(3_600_000)
    again.maintain()
    assert again.pending() == []
    assert read(budi) == []


@pytest.mark.parametrize("row", [b"", b"the first"], ids=["backlog", "message"])
def test_what_is_damaged_hides_no_other_message_from_a_revoke(
    ana: Client, budi: Client, backend: Counter, row: bytes, store: MemoryStore
) -> None:
    grant(budi, ana)
    backend.break_for(BUDI)
    for number in (1, 2):
        with suppress(BackendError):
            ana.send(BUDI, Text("offer"), message_id=bytes([number]) * 16, purpose=1)
    backlog = Backlog(BacklogName.MESSAGES, BUDI)
    with store.transaction(store.stripes and ana._context.stripe_of(BUDI.user_id)) as tx:
        first = list_backlog(tx, backlog)[0].number
        tx.put(Table.OUTBOX, backlog.partition, row and first.to_bytes(8), b"\1damaged")
    revoke(budi, ana)
    left = {each.message_id for each in ana.pending()}
    assert bytes([2]) * 16 not in left
    assert left <= {bytes([1]) * 16} if row else not left


def test_a_device_that_is_listed_since_gets_its_copy_with_the_purpose(
    ana: Client, backend: Counter, clock: FakeClock
) -> None:
    """It waits for that device, and is taken back with the rest of what waits."""
    phone = make_client(BUDI, backend, clock=clock)
    grant(phone, ana)
    ana.send(BUDI, Text("hello"))
    laptop = new_client(device_of(BUDI, 2), backend, clock=clock)
    change_devices(backend, phone, laptop)
    backend.break_for(device_of(BUDI, 2))
    with suppress(BackendError):
        ana.send(BUDI, Text("offer"), message_id=ID, purpose=1)
    assert [each.recipient for each in ana.pending()] == [device_of(BUDI, 2)]
    record = row(ana)
    assert record is not None
    assert record.count == 1
    with suppress(BackendError):  # of the copy for the own laptop
        phone.send(ANA, REVOKE)
    take_in(ana, REVOKE)
    assert ana.pending() == []

# SPDX-License-Identifier: Apache-2.0
"""`Client.send_many`: each recipient has a result of their own, and nobody gets a message twice."""

from collections.abc import Mapping, Sequence

import pytest

from e2ecross import (
    Address,
    Bytes,
    Client,
    Device,
    E2ECrossError,
    Message,
    NoticeKind,
    PreKeyBundle,
    Sent,
    Text,
    UserId,
)
from e2ecross.client.sent import Delivery
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    InvalidArgument,
    MailboxFull,
    NotRegistered,
    RecordCorrupted,
    RestoredStore,
    StoreError,
    StoreTooNew,
    UnknownRecipient,
    UntrustedIdentity,
)
from e2ecross.state.in_flight import IN_FLIGHT
from e2ecross.state.policy import Policy
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.exchange import Deposited, KeysWanted, UserKeys
from tests.client.conversation import (
    forget_sessions,
    meet,
    read,
    read_notices,
    reinstalled,
    reopen,
    send,
    store_of,
)
from tests.support.accounts import change_devices, device_of, new_client
from tests.support.devices import ANA, BUDI, TOKO, BackendSimulator, SpyStore, dump, make_client
from tests.support.restores import put_back, take_copy
from tests.support.store_kinds import STRIPES

MESSAGE_ID = bytes(range(16))
HALO = Text("halo")


def crowd(backend: BackendSimulator, number: int) -> list[Client]:
    return [make_client(Address("messenger", f"user{n}"), backend) for n in range(number)]


def texts(client: Client) -> list[str]:
    items = client.receive(1000)
    client.confirm(items)
    return [
        str(i.content.text) for i in items if isinstance(i, Message) and isinstance(i.content, Text)
    ]


def addresses(clients: Sequence[Client]) -> list[Address]:
    return [client.device.address for client in clients]


class Counting(BackendSimulator):
    """Counts its calls, and how many envelopes came with each deposit."""

    def __init__(self) -> None:
        super().__init__()
        self.deposited: list[int] = []

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        self.deposited.append(len(envelopes))
        return super().deposit_all(token, envelopes, epochs=epochs, consents=consents)


@pytest.mark.parametrize("first", [True, False])
def test_everybody_gets_a_message_of_their_own_in_one_commit_and_one_call(first: bool) -> None:
    backend, spy = Counting(), SpyStore(MemoryStore())
    ana, people = make_client(ANA, backend, spy), crowd(backend, 7)
    if not first:
        ana.send_many(addresses(people), Text("before"))
    backend.deposited.clear()
    sent = ana.send_many(addresses(people), HALO)
    assert [each.deliveries for each in sent if isinstance(each, Sent)] == [
        (Delivery(address),) for address in addresses(people)
    ]
    assert len({each.message_id for each in sent if isinstance(each, Sent)}) == 7
    assert backend.deposited == [7]
    assert ana.pending() == []
    for client in people:
        assert texts(client) == ["before"] * (not first) + ["halo"]


def test_recipients_are_users_texts_and_addresses() -> None:
    backend = BackendSimulator()
    ana = make_client(ANA, backend)
    budi, toko = make_client(BUDI, backend), make_client(TOKO, backend)
    recipients: list[Address | UserId | str] = [
        *(f"{BUDI.app}:{BUDI.user}", UserId(TOKO.app, TOKO.user), BUDI),
    ]
    results = ana.send_many(iter(recipients), HALO)
    assert all(isinstance(each, Sent) for each in results)
    assert texts(budi) == ["halo", "halo"]
    assert texts(toko) == ["halo"]
    assert ana.send_many([], HALO) == []


def test_what_fails_with_one_recipient_touches_no_other() -> None:
    backend = BackendSimulator()
    ana, people = make_client(ANA, backend), crowd(backend, 3)
    nobody = "messenger:nobody"
    results = ana.send_many(
        [people[0].device.address, nobody, "no address", 7, *addresses(people[1:])],  # type: ignore[list-item]
        HALO,
    )
    assert [type(each) for each in results] == [
        *(Sent, UnknownRecipient, InvalidArgument, InvalidArgument, Sent, Sent),
    ]
    for client in people:
        assert texts(client) == ["halo"]
    assert ana.pending() == []


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (MailboxFull("full"), False),
        (BackendRefused("no"), False),
        (UnknownRecipient("gone"), False),
        (BackendError("later"), True),
    ],
    ids=str,
)
def test_one_envelope_that_is_refused_is_told_by_its_result_alone(
    error: BackendError, waits: bool
) -> None:
    class Refusing(BackendSimulator):
        def deposit_all(
            self,
            token: bytes,
            envelopes: Sequence[bytes],
            *,
            epochs: Mapping[int, int] | None = None,
            consents: Sequence[bytes] = (),
        ) -> Deposited:
            if len(envelopes) == 1:
                return super().deposit_all(token, envelopes, epochs=epochs, consents=consents)
            others = [*envelopes[:1], *envelopes[2:]]
            done = super().deposit_all(token, others, epochs=epochs, consents=consents)
            return Deposited({1: error}, epochs=done.epochs)

    backend = Refusing()
    ana, people = make_client(ANA, backend), crowd(backend, 3)
    results = ana.send_many(addresses(people), HALO)
    assert [isinstance(each, Sent) for each in results] == [True, False, True]
    assert results[1] is error
    assert [each.recipient for each in ana.pending()] == [people[1].device.address] * waits
    assert ana.receive() == []  # no notice: the caller was told
    assert [texts(client) for client in people] == [["halo"], ["halo"] * waits, ["halo"]]


def test_a_call_repeated_with_its_id_reaches_nobody_twice() -> None:
    backend, store = BackendSimulator(), MemoryStore()
    ana, people = make_client(ANA, backend, store), crowd(backend, 4)
    first = ana.send_many(addresses(people[:2]), HALO, message_id=MESSAGE_ID)
    again = Client(Device.open(store), backend).send_many(
        [*addresses(people), people[3].device.address], HALO, message_id=MESSAGE_ID
    )
    assert {each.message_id for each in first + again if isinstance(each, Sent)} == {MESSAGE_ID}
    assert all(isinstance(each, Sent) for each in again)
    assert [texts(client) for client in people] == [["halo"]] * 4
    others = ana.send_many(addresses(people), Text("another text"), message_id=MESSAGE_ID)
    assert [type(each) for each in others] == [InvalidArgument] * 4
    assert [texts(client) for client in people] == [[]] * 4


def test_a_call_repeated_with_its_id_deposits_what_has_not_left_and_nothing_else() -> None:
    backend = Counting()
    ana, people = make_client(ANA, backend), crowd(backend, 4)
    ana.send_many(addresses(people[:3]), HALO, message_id=MESSAGE_ID)
    backend.deposited.clear()
    results = ana.send_many(addresses(people), HALO, message_id=MESSAGE_ID)
    assert all(isinstance(each, Sent) for each in results)
    assert backend.deposited == [1]
    ana.send_many(addresses(people), HALO, message_id=MESSAGE_ID)
    ana.maintain()
    assert backend.deposited == [1]


def test_of_one_who_is_named_twice_under_one_id_both_results_say_what_became_of_it() -> None:
    backend = BackendSimulator(capacity=1)
    ana, people = make_client(ANA, backend), crowd(backend, 2)
    twice = addresses(people) * 2
    results = ana.send_many(twice, HALO, message_id=MESSAGE_ID)
    assert all(isinstance(each, Sent) for each in results)
    another = bytes(16)
    results = ana.send_many(twice, Text("too much"), message_id=another)
    assert [type(each) for each in results] == [MailboxFull] * 4
    assert [texts(client) for client in people] == [["halo"]] * 2
    backend.unreachable = True
    results = ana.send_many(twice, Text("later"), message_id=another)
    assert [type(each) for each in results] == [BackendError] * 4
    assert len(ana.pending()) == 2


def test_what_cannot_leave_waits_and_goes_with_the_call_repeated() -> None:
    backend = Counting()
    ana, people = make_client(ANA, backend), crowd(backend, 20)
    ana.send_many(addresses(people), Text("first"))
    backend.unreachable = True
    results = ana.send_many(addresses(people), HALO, message_id=MESSAGE_ID)
    assert [type(each) for each in results] == [BackendError] * 20
    assert len(ana.pending()) == 20
    backend.unreachable = False
    backend.deposited.clear()
    results = ana.send_many(addresses(people), HALO, message_id=MESSAGE_ID)
    assert all(isinstance(each, Sent) for each in results)
    assert backend.deposited == [20]
    assert [texts(client) for client in people] == [["first", "halo"]] * 20


@pytest.mark.parametrize("acquainted", [True, False])
def test_a_back_end_that_is_out_of_reach_is_not_asked_for_each(acquainted: bool) -> None:
    class Down(Counting):
        asked = 0
        down = False

        def _gone(self) -> None:
            self.asked += 1
            if self.down:
                raise BackendError("down")

        def deposit_all(
            self,
            token: bytes,
            envelopes: Sequence[bytes],
            *,
            epochs: Mapping[int, int] | None = None,
            consents: Sequence[bytes] = (),
        ) -> Deposited:
            self._gone()
            return super().deposit_all(token, envelopes, epochs=epochs, consents=consents)

        def fetch_bundle(self, requester: Address, token: bytes, address: Address) -> PreKeyBundle:
            self._gone()
            return super().fetch_bundle(requester, token, address)

    backend = Down()
    ana, people = make_client(ANA, backend), crowd(backend, 40)
    if acquainted:
        ana.send_many(addresses(people), Text("first"))
    backend.down, backend.asked = True, 0
    results = ana.send_many(addresses(people), HALO)
    assert [type(each) for each in results] == [BackendError] * 40
    assert backend.asked <= 7
    assert len(ana.pending()) == 40 * acquainted
    backend.down = False
    ana.maintain()
    for client in people:
        assert texts(client) == ["first", "halo"] * acquainted


def test_a_back_end_that_was_given_up_is_asked_for_no_newer_list_either() -> None:
    backend = BackendSimulator()
    ana, people = make_client(ANA, backend), crowd(backend, 9)
    ana.send_many(addresses(people), Text("first"))
    listed, *others = people
    laptop = new_client(device_of(listed.device.address, 2), backend)
    change_devices(backend, listed, laptop)
    for client in others:
        backend.break_for(client.device.address)
    before = len(backend.calls)
    result, *failed = ana.send_many(addresses(people), HALO)
    assert isinstance(result, Sent)
    assert [type(each) for each in failed] == [BackendError] * 8
    assert "fetch_keys" not in backend.calls[before:]
    ana.send(listed.device.address.user_id, Text("more"))
    assert "more" in texts(laptop)


def test_a_back_end_that_was_given_up_is_not_asked_for_who_stands_behind_something_either() -> None:
    backend = BackendSimulator()
    ana, people = make_client(ANA, backend), crowd(backend, 9)
    ana.send_many(addresses(people), Text("first"))
    waits, *others = people
    backend.unreachable = True
    with pytest.raises(BackendError):
        ana.send(waits.device.address, Text("waits"))
    backend.unreachable = False
    for client in others:
        backend.break_for(client.device.address)
    result, *_ = ana.send_many(addresses(people), HALO)
    assert isinstance(result, BackendError)  # who could be reached, but nobody tried
    assert texts(waits) == ["first"]
    backend.broken.clear()
    ana.maintain()
    assert texts(waits) == ["waits", "halo"]


def test_one_envelope_for_which_the_call_fails_stops_no_other() -> None:
    class Raising(BackendSimulator):
        def deposit(
            self, token: bytes, envelope: bytes, *, epochs: Mapping[int, int] | None = None
        ) -> None:
            if b"user1" in envelope:
                raise BackendError("a part of the back end is down")
            super().deposit(token, envelope, epochs=epochs)

    backend = Raising()
    ana, people = make_client(ANA, backend), crowd(backend, 4)
    results = ana.send_many(addresses(people), HALO)
    assert [isinstance(each, Sent) for each in results] == [True, False, True, True]
    assert [each.recipient.user for each in ana.pending()] == ["user1"]


@pytest.mark.parametrize(
    ("record", "error"), [(b"\x01\xff", RecordCorrupted), (b"\xff", StoreTooNew)]
)
def test_a_damaged_record_is_an_error_of_its_recipient(
    record: bytes, error: type[StoreError]
) -> None:
    backend, store = BackendSimulator(), MemoryStore()
    policy = Policy(accept_changed_identity=False)
    ana, people = make_client(ANA, backend, store, policy=policy), crowd(backend, 4)
    ana.send_many(addresses(people), Text("first"))
    for table, user in ((Table.REMOTE_IDENTITIES, b"user1"), (Table.SESSIONS, b"user2")):
        (where,) = [where for where in dump(store) if where[0] is table and user in where[1]]
        with store.transaction() as tx:
            tx.put(*where, record)
    results = ana.send_many(addresses(people), HALO)
    assert [type(each) for each in results] == [Sent, error, type(results[2]), Sent]
    assert isinstance(results[2], Sent) is (error is RecordCorrupted)  # a session is begun anew
    for place in (0, 3):
        assert texts(people[place]) == ["first", "halo"]


def test_a_new_identity_that_is_not_accepted_stops_only_its_owner() -> None:
    backend = BackendSimulator()
    policy = Policy(accept_changed_identity=False)
    ana, people = make_client(ANA, backend, policy=policy), crowd(backend, 2)
    ana.send_many(addresses(people), Text("first"))
    stranger = people[1].device.address
    reinstalled(stranger, backend)
    forget_sessions(ana)
    results = ana.send_many(addresses(people), HALO)
    assert [type(each) for each in results] == [Sent, UntrustedIdentity]
    assert texts(people[0]) == ["first", "halo"]


def test_progress_is_told_between_transactions_and_may_end_the_call() -> None:
    backend = BackendSimulator()
    ana, people = make_client(ANA, backend), crowd(backend, 2)
    for client in people:
        client.accept(ANA)  # else that many are too many of a stranger
    names = addresses(people) * 150
    seen: list[tuple[int, int]] = []
    ana.send_many(names, HALO, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(256, 300), (300, 300)]

    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        assert not ana.pending()  # the store can be used
        raise Stop

    with pytest.raises(Stop):
        ana.send_many(names, Text("stopped"), progress=stop)
    assert sum(text == "stopped" for client in people for text in texts(client)) == 256


def test_what_concerns_the_whole_call_is_raised_and_nothing_is_sent() -> None:
    backend, store = BackendSimulator(), MemoryStore()
    ana = make_client(ANA, backend, store)
    make_client(BUDI, backend)
    before = dump(store)
    for recipients, content, message_id, progress in (
        ("instagram:budi", HALO, None, None),
        (7, HALO, None, None),
        ([BUDI], "halo", None, None),
        ([BUDI], HALO, b"short", None),
        ([BUDI], HALO, None, 7),
    ):
        with pytest.raises(InvalidArgument):
            ana.send_many(recipients, content, message_id=message_id, progress=progress)  # type: ignore[arg-type]
    assert dump(store) == before
    assert backend.deposits == []
    stranger = Client(Device.create(TOKO, MemoryStore()), backend)
    with pytest.raises(NotRegistered):
        stranger.send_many([BUDI], HALO)
    ana.send_many([BUDI], HALO)
    copy = take_copy(store)
    ana.send_many([BUDI], HALO)
    put_back(store, copy)
    deposits = len(backend.deposits)
    with pytest.raises(RestoredStore):
        ana.send_many([BUDI], HALO)
    assert len(backend.deposits) == deposits


def test_an_error_of_the_store_after_some_were_sent_stands_in_the_place_of_the_others() -> None:
    backend, spy = BackendSimulator(), SpyStore(MemoryStore())
    ana, people = make_client(ANA, backend, spy), crowd(backend, 3)
    names = addresses(people) * 100
    ana.send_many(addresses(people), Text("first"))

    def break_store(done: int, total: int) -> None:
        spy.fail_transactions = [True]

    results = ana.send_many(names, HALO, message_id=MESSAGE_ID, progress=break_store)
    failed = [place for place, each in enumerate(results) if not isinstance(each, Sent)]
    # Or of one stripe alone, here that of one of the three.
    others = range(256, 300)
    assert failed == [n for n in others if not STRIPES or names[n] == names[failed[0]]]
    assert all(isinstance(results[place], StoreError) for place in failed)
    spy.fail_transactions = []
    with_everybody: list[Sent | E2ECrossError] = ana.send_many(names, HALO, message_id=MESSAGE_ID)
    assert all(isinstance(each, Sent) for each in with_everybody)
    assert [texts(client) for client in people] == [["first", "halo"]] * 3


def test_large_content_goes_in_calls_of_four_mebibytes() -> None:
    backend = Counting()
    ana, people = make_client(ANA, backend), crowd(backend, 70)
    ana.send_many(addresses(people), HALO)
    backend.deposited.clear()
    ana.send_many(addresses(people), Bytes(bytes(60_000)))
    assert sum(backend.deposited) == 70
    assert len(backend.deposited) == 2


# --- What is in flight -----------------------------------------------------------------------


class Dying(Counting):
    """Ends the process that deposits, once it is told to."""

    dies = False

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        if self.dies:
            self.dies = False
            raise KeyboardInterrupt
        return super().deposit_all(token, envelopes, epochs=epochs, consents=consents)


def left_in_flight(ana: Client, backend: Dying, recipients: Sequence[Address]) -> Client:
    """Ana's client after a restart: the process has ended between the commit and the deposit."""
    backend.dies = True
    with pytest.raises(KeyboardInterrupt):
        ana.send_many(recipients, Text("left in flight"))
    with store_of(ana).transaction() as tx:
        assert tx.count(Table.OUTBOX, IN_FLIGHT) == len(recipients)
    return reopen(ana, backend)


@pytest.mark.parametrize("call", ["maintain", "receive", "pending"])
def test_what_was_left_in_flight_is_listed_and_goes_with_the_next_call(call: str) -> None:
    backend = Dying()
    ana, people = make_client(ANA, backend), crowd(backend, 3)
    ana.send_many(addresses(people), Text("first"))
    ana = left_in_flight(ana, backend, addresses(people))
    if call == "pending":
        assert [each.recipient for each in ana.pending()] == addresses(people)
    else:
        getattr(ana, call)()
    ana.maintain()
    assert [texts(client) for client in people] == [["first", "left in flight"]] * 3
    assert ana.pending() == []


def test_no_message_overtakes_what_was_left_in_flight() -> None:
    backend = Dying()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    ana = left_in_flight(ana, backend, [BUDI])
    send(ana, BUDI, "next")
    assert read(budi) == ["left in flight", "next"]


def test_no_message_of_many_overtakes_what_waits_in_its_backlog() -> None:
    backend = Counting()
    ana, people = make_client(ANA, backend), crowd(backend, 2)
    ana.send_many(addresses(people), Text("first"))
    backend.break_for(people[1].device.address)
    for text in ("one", "two"):
        ana.send_many(addresses(people), Text(text))
    backend.broken.clear()
    ana.send_many(addresses(people), Text("three"))
    assert [texts(client) for client in people] == [["first", "one", "two", "three"]] * 2


def test_what_is_lost_in_flight_with_its_row_is_told() -> None:
    backend = Dying()
    ana, people = make_client(ANA, backend), crowd(backend, 3)
    ana = left_in_flight(ana, backend, addresses(people))
    with store_of(ana).transaction() as tx:
        (_, second, _) = sorted(row for row, _ in tx.list(Table.OUTBOX, IN_FLIGHT))
        tx.put(Table.OUTBOX, IN_FLIGHT, second, b"\x01\xff")
    ana.maintain()
    assert [texts(client) for client in people] == [["left in flight"], [], ["left in flight"]]
    (notice,) = read_notices(ana)  # whose it was is lost with the row
    assert (notice.kind, notice.user) == (NoticeKind.NOT_DELIVERED, ANA.user_id)
    assert (notice.messages, notice.code) == ((), "record_corrupted")


def test_what_has_left_is_forgotten_although_the_next_commit_fails() -> None:
    backend, spy = Counting(), SpyStore(MemoryStore())
    ana, people = make_client(ANA, backend, spy), crowd(backend, 3)
    ana.send_many(addresses(people), HALO)
    backend.deposited.clear()
    spy.fail_commit = True
    with pytest.raises(StoreError):
        ana.pending()
    spy.fail_commit = False
    assert ana.pending() == []
    ana.maintain()
    assert backend.deposited == []


def test_where_the_message_cannot_be_kept_nothing_has_changed() -> None:
    backend, store = Counting(), MemoryStore()
    ana, people = make_client(ANA, backend, store), crowd(backend, 2)
    ana.send_many(addresses(people), HALO)
    assert ana.pending() == []  # what has left is forgotten
    kept = [where for where in dump(store) if tuple(where) == (Table.SENT, b"", b"")]
    assert len(kept) == (2 if STRIPES else 1)
    with store.transaction() as tx:
        for where in kept:
            tx.at(getattr(where, "stripe", 0)).put(*where, b"\x01\xff")
    before = dump(store)
    results = ana.send_many(addresses(people), HALO)
    assert [type(each) for each in results] == [RecordCorrupted] * 2
    assert dump(store) == before


def test_one_new_contact_among_many_costs_the_others_nothing() -> None:
    """What the first round has put in flight is not filed by the second, which has the new one."""
    backend, spy = BackendSimulator(), SpyStore(MemoryStore())
    ana, people = make_client(ANA, backend, spy), crowd(backend, 30)
    ana.send_many(addresses(people), Text("first"))
    written = []
    for others in ([], [make_client(BUDI, backend)]):
        ana.maintain()
        spy.forget()
        results = ana.send_many(addresses([*people, *others]), HALO)
        assert all(isinstance(each, Sent) for each in results)
        written.append(spy.writes[Table.OUTBOX])
    # The row of the one, and the end of the queue; or its row, id and backlog, which go again.
    assert written[1] - written[0] <= (6 if STRIPES else 2)
    assert [texts(client) for client in people] == [["first", "halo", "halo"]] * 30


def test_keys_of_new_contacts_are_fetched_for_32_users_in_a_call() -> None:
    asked = []

    class Counted(BackendSimulator):
        def fetch_keys(
            self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]
        ) -> list[UserKeys | UnknownRecipient]:
            asked.append(len(wanted))
            return super().fetch_keys(requester, token, wanted)

    backend = Counted()
    ana, people = make_client(ANA, backend), crowd(backend, 40)
    assert all(isinstance(each, Sent) for each in ana.send_many(addresses(people), HALO))
    assert asked == [32, 8]

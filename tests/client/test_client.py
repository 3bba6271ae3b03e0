# SPDX-License-Identifier: Apache-2.0
"""`Client`: registering, sending, keeping prekeys, and confirming."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from e2ecross import (
    Address,
    App,
    Bytes,
    Client,
    Delivery,
    FailedMessage,
    Message,
    Notice,
    NoticeKind,
    Policy,
    PreKeyBundle,
    PublishedKeys,
    Sent,
    Text,
    UserId,
)
from e2ecross.client.backend import Backend
from e2ecross.errors import (
    AuthenticationFailed,
    BackendError,
    BackendRefused,
    EnvelopeMismatch,
    InvalidArgument,
    InvalidKey,
    InvalidSignature,
    MailboxFull,
    NotRegistered,
    PrekeysExhausted,
    StoreError,
    UnknownRecipient,
    UntrustedIdentity,
)
from e2ecross.relay import Relay
from e2ecross.state.context import require_device
from e2ecross.state.epoch import read_epoch
from e2ecross.state.receipt import Receipt
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.exchange import UserKeys, Waiting
from tests.client.conversation import read, waiting
from tests.support.accounts import make_account, sign_devices
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    MESSAGE_ID,
    TOKO,
    BackendSimulator,
    FakeClock,
    SpyStore,
    Stores,
    bundle_from,
    count_rows,
    dump,
    make_client,
    make_device,
    reopen_device,
)
from tests.support.lone_worker import end_holds


@pytest.fixture(params=["simulator", "relay"])
def any_backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    if request.param == "simulator":
        yield BackendSimulator()
        return
    with Relay(tmp_path / "relay.db") as relay:
        yield relay


def registered(address: Address, backend: Backend) -> Client:
    client = Client(make_device(address), backend)
    client.register()
    return client


# --- Conversations --------------------------------------------------------------------------


def test_three_apps_talk_in_all_six_directions(any_backend: Backend) -> None:
    clients = {address: registered(address, any_backend) for address in (ANA, BUDI, TOKO)}
    for _ in range(2):
        for sender in clients:
            for recipient in clients:
                if sender != recipient:
                    text = Text(f"{sender} to {recipient}")
                    clients[sender].send(recipient, text)
                    items = clients[recipient].receive()
                    assert [(i.sender, i.content) for i in items if isinstance(i, Message)] == [
                        (sender, text)
                    ]
                    clients[recipient].confirm(items)
    assert clients[ANA].receive() == []


def test_who_was_offline_gets_everything_later_in_order(any_backend: Backend) -> None:
    ana, budi = registered(ANA, any_backend), registered(BUDI, any_backend)
    for n in range(5):
        ana.send("instagram:budi", Text(str(n)))
    items = budi.receive(limit=3) + budi.receive(limit=3)
    assert [cast("Message", item).content for item in items] == [Text(str(n)) for n in range(5)]
    assert not any(item.redelivered for item in items)


@pytest.mark.parametrize(
    "recipient",
    [
        "instagram:budi",
        UserId("instagram", "budi"),
        UserId(App.INSTAGRAM, "budi"),
        Address("instagram", "budi"),
    ],
)
def test_a_recipient_is_an_address_a_user_or_a_text(
    recipient: Address | UserId | str, backend: BackendSimulator
) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    sent = ana.send(recipient, Text("halo"), message_id=MESSAGE_ID)
    assert sent == Sent(MESSAGE_ID, (Delivery(BUDI),))
    assert [cast("Message", item).message_id for item in budi.receive()] == [MESSAGE_ID]


def test_who_writes_to_himself_reaches_his_other_devices_if_there_are_any(
    backend: BackendSimulator,
) -> None:
    for ana in (make_client(ANA, backend), make_client(TOKO, backend)):
        address = ana.device.address
        for recipient in (address, str(address.user_id)):
            assert ana.send(recipient, Text("to myself")).deliveries == ()
        assert backend.deposits == []
        assert ana.pending() == []


def test_each_device_stands_for_all_of_its_user(backend: BackendSimulator) -> None:
    ana = make_client(ANA, backend)
    devices = make_account(BUDI, (1, 2, 127), backend)
    for client in devices:
        ana.send(client.device.address, Text(f"by {client.device.address}"))
    for client in devices:
        assert read(client) == [f"by {each.device.address}" for each in devices]


def test_an_unknown_app_is_carried(backend: BackendSimulator) -> None:
    ana, carla = make_client(ANA, backend), make_client(Address("threads", "carla"), backend)
    ana.send("threads:carla", Bytes(b"halo"))
    (item,) = carla.receive()
    carla.send(cast("Message", item).sender, Text("back"))
    (item,) = ana.receive()
    assert cast("Message", item).sender == Address("threads", "carla")


def test_the_repr_of_a_client_shows_its_address_only(backend: BackendSimulator) -> None:
    client = make_client(ANA, backend)
    assert repr(client) == "<Client of whatsapp:ana.1>"
    assert client.device.address == ANA


# --- Registering ----------------------------------------------------------------------------


def test_registering_publishes_the_target_of_one_time_prekeys(backend: BackendSimulator) -> None:
    client = make_client(BUDI, backend)
    assert len(backend.left(BUDI)) == 100
    assert backend.published(BUDI).identity_key == client.device.identity_key


def test_registering_again_changes_nothing(stores: Stores, backend: BackendSimulator) -> None:
    client = make_client(BUDI, backend, stores.open("budi"))
    before, left = dump(stores.open("budi")), backend.left(BUDI)
    client.register()
    device = reopen_device(client.device, stores.reopen("budi"), "again")
    Client(device, backend).register()
    assert dump(stores.open("budi")) == before
    assert backend.left(BUDI) == left
    assert len(backend.publications) == 1


def test_the_token_is_committed_before_it_is_used(backend: BackendSimulator) -> None:
    class Watching(BackendSimulator):
        watched = 0

        def register(
            self, address: Address, token: bytes, *, replaces: bytes = b"", credential: bytes = b""
        ) -> None:
            self.watched += 1
            record = dump(store)[Table.DEVICE, b"", b""]
            assert token in record
            assert len(token) == 32
            super().register(address, token, replaces=replaces, credential=credential)

    store, watching = MemoryStore(), Watching()
    make_client(BUDI, watching, store)
    assert watching.watched == 1


def test_a_token_whose_commit_fails_is_not_used(backend: BackendSimulator) -> None:
    spy = SpyStore(MemoryStore())
    client = Client(make_device(BUDI, spy), backend)
    spy.fail_commit = True
    with pytest.raises(StoreError):
        client.register()
    assert backend.calls == []


@pytest.mark.parametrize("method", ["register", "publish", "one_time_prekey_count"])
@pytest.mark.parametrize("late", [False, True])
def test_registering_goes_on_where_it_was_interrupted(
    method: str, late: bool, backend: BackendSimulator, stores: Stores
) -> None:
    device = make_device(BUDI, stores.open("budi"))
    (backend.lose_answer if late else backend.fail)(method)
    with pytest.raises(BackendError):
        Client(device, backend).register()
    device = reopen_device(device, stores.reopen("budi"), "again")
    Client(device, backend).register()
    assert len(set(backend.publications)) == 1
    assert len(backend.left(BUDI)) == 100


def test_an_address_that_is_taken_is_refused(any_backend: Backend) -> None:
    ana = registered(ANA, any_backend)
    thief = Client(make_device(ANA, seed="thief"), any_backend)
    with pytest.raises(BackendRefused) as caught:
        thief.register()
    assert caught.value.code == "backend_refused"
    budi = registered(BUDI, any_backend)
    for attempt in (lambda: thief.send(BUDI, Text("as ana")), thief.receive, thief.maintain):
        with pytest.raises(NotRegistered):
            attempt()
    budi.send(ANA, Text("for the first"))
    assert len(ana.receive()) == 1


def test_nothing_works_before_registering(backend: BackendSimulator) -> None:
    client = Client(make_device(ANA), backend)
    before = dump(client.device._context.store)
    for attempt in (
        client.receive,
        client.maintain,
        lambda: client.send("instagram:budi", Text("halo")),
    ):
        with pytest.raises(NotRegistered, match="call register") as caught:
            attempt()
        assert caught.value.code == "not_registered"
    assert backend.calls == []
    assert dump(client.device._context.store) == before


# --- Sending --------------------------------------------------------------------------------


def test_a_bundle_is_fetched_only_without_a_session(backend: BackendSimulator) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    for _ in range(3):
        ana.send(BUDI, Text("halo"))
    assert backend.calls.count("fetch_bundle") == 1
    budi.receive()
    budi.send(ANA, Text("back"))
    assert backend.calls.count("fetch_bundle") == 1


def test_an_unknown_recipient_is_told_and_nothing_is_kept(any_backend: Backend) -> None:
    ana = registered(ANA, any_backend)
    before = dump(ana.device._context.store)
    with pytest.raises(UnknownRecipient) as caught:
        ana.send("instagram:nobody", Text("halo"))
    assert caught.value.code == "unknown_recipient"
    assert dump(ana.device._context.store) == before


def test_a_recipient_who_has_gone_is_told_and_the_message_is_not_kept(
    backend: BackendSimulator,
) -> None:
    ana, _ = make_client(ANA, backend), make_client(BUDI, backend)
    backend.fail("deposit", UnknownRecipient("gone"))
    with pytest.raises(UnknownRecipient):
        ana.send(BUDI, Text("halo"))
    assert waiting(ana) == []
    assert read(ana) == []  # the caller was told


class HostileDirectory(BackendSimulator):
    """Hands out whatever a test wants as a bundle."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: dict[str, Any] = {}

    def fetch_bundle(self, requester: Address, token: bytes, address: Address) -> PreKeyBundle:
        return replace(super().fetch_bundle(requester, token, address), **self.changes)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"address": TOKO}, EnvelopeMismatch),
        ({"address": Address("whatsapp", "budi")}, EnvelopeMismatch),
        ({"address": Address("instagram", "budi", 2)}, UnknownRecipient),  # it was not asked for
        ({"address": ANA}, EnvelopeMismatch),
        ({"identity_key": make_device(TOKO).identity_key}, InvalidSignature),
        ({"signed_prekey": b"\x05" + bytes(32)}, InvalidKey),
        ({"signed_prekey_signature": bytes(64)}, InvalidSignature),
    ],
)
def test_a_bad_bundle_is_refused_and_nothing_was_encrypted(
    changes: dict[str, Any], error: type[Exception]
) -> None:
    backend = HostileDirectory()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    before = dump(ana.device._context.store)
    backend.changes = changes
    with pytest.raises(error):
        ana.send(BUDI, Text("halo"))
    after = dump(ana.device._context.store)
    # The list of his devices may be kept: that was signed. How many were is counted.
    counted = (Table.DEVICE, b"", b"changes")
    changed = {where for where in after if after[where] != before.get(where)} - {counted}
    assert {table for table, _, _ in changed} <= {Table.ACCOUNTS, Table.REMOTE_IDENTITIES}
    assert {where: after.get(where) for where in before if where != counted} == {
        where: record for where, record in before.items() if where != counted
    }
    assert backend.deposits == []
    backend.changes = {}
    ana.send(BUDI, Text("halo"))
    assert len(budi.receive()) == 1


def test_a_changed_identity_stops_sending_until_it_is_accepted(backend: BackendSimulator) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    budi.send(ANA, Text("old phone"))
    ana.confirm(ana.receive())
    other = make_device(BUDI, seed="new phone")
    other.start_session(_bundle(backend, ANA))
    backend.inject(ANA, other.encrypt(ANA, Text("new phone")).encode())
    (item,) = ana.receive()
    assert cast("Message", item).identity_changed
    with pytest.raises(UntrustedIdentity) as caught:
        ana.send(BUDI, Text("halo"))
    assert waiting(ana) == []
    ana.device.accept_identity(caught.value.address, caught.value.identity_key)
    backend.lists[BUDI.user_id] = sign_devices(other).encode()
    ana.send(BUDI, Text("halo"))
    assert other.decrypt(backend.waiting(BUDI)[-1]).content == Text("halo")


def _bundle(backend: BackendSimulator, address: Address) -> PreKeyBundle:
    return bundle_from(backend.published(address), None, kyber=True)


def test_a_full_mailbox_is_told_and_the_message_is_not_kept() -> None:
    backend = BackendSimulator(capacity=2)
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    for _ in range(2):
        ana.send(BUDI, Text("fits"))
    with pytest.raises(MailboxFull) as caught:
        ana.send(BUDI, Text("does not"))
    assert caught.value.code == "mailbox_full"
    assert waiting(ana) == []
    assert read(ana) == []  # the caller was told
    items = budi.receive()
    budi.confirm(items)
    ana.send(BUDI, Text("fits again"))
    contents = [cast("Message", item).content for item in (*items, *budi.receive())]
    assert contents == [Text("fits"), Text("fits"), Text("fits again")]


# --- Prekey upkeep --------------------------------------------------------------------------

_SMALL = Policy(one_time_prekeys_low=3, one_time_prekeys_target=5)
_HOUR_MS = 60 * 60 * 1000
"""In which no more one-time prekeys are made than there are to be at all."""


def test_one_time_prekeys_are_refilled_below_the_mark_and_not_before(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    budi = make_client(BUDI, backend, policy=_SMALL, clock=clock)
    seen = set(backend.left(BUDI))
    for n, left in enumerate((4, 3, 5, 4, 3, 5)):
        clock.advance(_HOUR_MS)
        make_client(Address("whatsapp", f"ana{n}"), backend).send(BUDI, Text("halo"))
        budi.receive()
        assert len(backend.left(BUDI)) == left
        seen |= set(backend.left(BUDI))
    assert len(seen) == 11  # never an id twice


def test_a_refill_after_the_last_one_time_prekey_has_gone(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    budi = make_client(BUDI, backend, policy=_SMALL, clock=clock)
    clock.advance(_HOUR_MS)
    for n in range(7):
        make_client(Address("whatsapp", f"ana{n}"), backend).send(BUDI, Text(str(n)))
    assert backend.left(BUDI) == []
    items = budi.receive()
    assert [cast("Message", item).content for item in items] == [Text(str(n)) for n in range(7)]
    assert len(backend.left(BUDI)) == 5


def test_the_back_end_hears_the_epoch_with_a_publication(backend: BackendSimulator) -> None:
    context = make_client(BUDI, backend).device._context
    with context.store.transaction() as tx:
        token, epoch = require_device(tx).backend_token, read_epoch(tx)
    assert backend.epochs(BUDI, token) == {0: epoch} == {0: 2}  # its keys, and the first list


def test_the_signed_prekey_is_replaced_by_maintain(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    budi = make_client(BUDI, backend, clock=clock)
    first = backend.published(BUDI).signed_prekey
    budi.maintain()
    assert backend.published(BUDI).signed_prekey == first
    assert len(backend.publications) == 1
    clock.advance(7 * DAY_MS)
    budi.maintain()
    assert backend.published(BUDI).signed_prekey.id != first.id
    assert len(backend.left(BUDI)) == 100


def test_maintain_deletes_a_replaced_signed_prekey_when_its_time_is_over(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    policy = Policy(signed_prekey_kept_ms=DAY_MS)
    budi = make_client(BUDI, backend, clock=clock, policy=policy)
    store = budi.device._context.store
    clock.advance(7 * DAY_MS)
    budi.maintain()
    clock.advance(DAY_MS - 1)
    budi.maintain()
    assert count_rows(store, Table.SIGNED_PREKEYS) == 2
    clock.advance(1)
    budi.maintain()
    assert count_rows(store, Table.SIGNED_PREKEYS) == 1


def test_a_replaced_signed_prekey_is_kept_as_long_as_the_new_one_may_not_have_arrived(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    budi = make_client(BUDI, backend, clock=clock)
    clock.advance(7 * DAY_MS)
    backend.fail("publish", times=2)
    with pytest.raises(BackendError):
        budi.maintain()
    clock.advance(31 * DAY_MS)
    with pytest.raises(BackendError):
        budi.maintain()
    make_client(ANA, backend).send(BUDI, Text("with the old one"))
    (item,) = budi.receive()
    assert cast("Message", item).content == Text("with the old one")


@pytest.mark.parametrize("late", [False, True])
def test_an_unconfirmed_publication_is_sent_again_byte_for_byte(
    late: bool, backend: BackendSimulator, clock: FakeClock, stores: Stores
) -> None:
    budi = make_client(BUDI, backend, stores.open("budi"), clock=clock)
    clock.advance(7 * DAY_MS)
    (backend.lose_answer if late else backend.fail)("publish")
    with pytest.raises(BackendError):
        budi.maintain()
    waiting = budi.device.publish().encode()
    device = reopen_device(budi.device, stores.reopen("budi"), "again")
    Client(device, backend).maintain()
    assert backend.publications[1:] == [waiting] * (1 + late)
    assert device.publish().encode() != waiting  # confirmed


@pytest.mark.usefixtures("alone")
def test_upkeep_that_fails_does_not_hold_back_messages(backend: BackendSimulator) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    ana.send(BUDI, Text("halo"))
    backend.fail("one_time_prekey_count")
    assert len(budi.receive()) == 1
    backend.fail("one_time_prekey_count")
    with pytest.raises(BackendError):
        budi.receive()


@pytest.mark.usefixtures("alone")
def test_a_device_without_ids_left_still_receives(
    backend: BackendSimulator, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, policy=_SMALL, clock=clock)
    clock.advance(_HOUR_MS)
    for n in range(3):
        make_client(Address("whatsapp", f"ana{n}"), backend).send(BUDI, Text("halo"))
    ana.send(BUDI, Text("halo"))
    monkeypatch.setattr("e2ecross.protocol.prekeys.MAX_PREKEY_ID", 1)
    assert len(budi.receive()) == 4
    with pytest.raises(PrekeysExhausted):
        budi.receive()


class LyingCount(BackendSimulator):
    def one_time_prekey_count(self, address: Address, token: bytes) -> int:
        super().one_time_prekey_count(address, token)
        return -1_000_000


def test_an_impossible_count_of_one_time_prekeys_does_no_harm() -> None:
    backend = LyingCount()
    budi = make_client(BUDI, backend, policy=_SMALL)
    budi.maintain()
    assert max(len(PublishedKeys.decode(p).one_time_prekeys) for p in backend.publications) == 5


class Overtaken(BackendSimulator):
    """While a publication is on its way, another thread publishes, confirms and makes the next."""

    other: Client | None = None

    def publish(
        self, token: bytes, published: PublishedKeys, *, epoch: int = 0, replace: bool = False
    ) -> None:
        other, self.other = self.other, None
        super().publish(token, published, epoch=epoch, replace=replace)
        if other is not None:
            other.maintain()
            other.device.publish(1)


def test_two_threads_may_publish_at_once() -> None:
    backend, clock = Overtaken(), FakeClock()
    budi = make_client(BUDI, backend, clock=clock)
    clock.advance(7 * DAY_MS)
    backend.other = Client(budi.device, backend)
    budi.maintain()
    budi.maintain()
    assert len(set(backend.publications)) == 3


# --- Confirming and arguments ---------------------------------------------------------------


def test_confirmed_items_do_not_come_again(stores: Stores, backend: BackendSimulator) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, stores.open("budi"))
    for n in range(3):
        ana.send(BUDI, Text(str(n)))
    items = budi.receive()
    budi.confirm(item for item in items[:2])
    budi.confirm([])
    budi.confirm(items[:1])  # twice is once
    assert budi.receive() == []
    end_holds(budi, backend)
    device = reopen_device(budi.device, stores.reopen("budi"), "again")
    again = Client(device, backend).receive()
    assert [cast("Message", item).content for item in again] == [Text("2")]


@pytest.mark.parametrize(
    "items",
    [
        None,
        5,
        [None],
        ["message"],
        [Message(ANA, MESSAGE_ID, 0, Text(""), False, peer=ANA.user_id)],
        [FailedMessage(None, None, AuthenticationFailed("x"))],
        [Message(ANA, MESSAGE_ID, 0, Text(""), False, False, cast("Any", "1"), peer=ANA.user_id)],
        [Message(ANA, MESSAGE_ID, 0, Text(""), False, False, cast("Any", 1), peer=ANA.user_id)],
        [
            Message(
                ANA, MESSAGE_ID, 0, Text(""), False, False, cast("Any", (b"", 1)), peer=ANA.user_id
            )
        ],
        [
            Message(
                ANA, MESSAGE_ID, 0, Text(""), False, False, Receipt(bytes(32), 1), peer=ANA.user_id
            )
        ],
        [Notice(NoticeKind.RESTORED, ANA.user_id)],
        Message(
            ANA, MESSAGE_ID, 0, Text(""), False, False, Receipt(bytes(32), 1), peer=ANA.user_id
        ),
    ],
)
def test_confirming_what_receive_did_not_return_is_refused(
    items: object, backend: BackendSimulator
) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    ana.send(BUDI, Text("halo"))
    received = budi.receive()
    before = dump(budi.device._context.store)
    with pytest.raises(InvalidArgument, match=r"\bitems\b"):
        budi.confirm(cast("Any", items))
    with pytest.raises(InvalidArgument, match=r"\bitems\b"):
        budi.confirm([*received, cast("Any", None)])
    assert dump(budi.device._context.store) == before


@pytest.mark.parametrize("limit", [0, -1, 1001, None, 1.0, "1", True])
def test_the_limit_is_from_1_to_1000(limit: object, backend: BackendSimulator) -> None:
    budi = make_client(BUDI, backend)
    calls = len(backend.calls)
    with pytest.raises(InvalidArgument, match=r"\blimit\b"):
        budi.receive(cast("Any", limit))
    assert len(backend.calls) == calls
    assert budi.receive(1) == budi.receive(1000) == []


def test_by_default_100_items_come_at_once(backend: BackendSimulator) -> None:
    budi = make_client(BUDI, backend)
    for _ in range(101):
        backend.inject(BUDI, b"garbage")
    assert [len(budi.receive()) for _ in range(3)] == [100, 1, 0]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("recipient", {"recipient": None}),
        ("recipient", {"recipient": b"instagram:budi"}),
        ("recipient", {"recipient": ("instagram", "budi")}),
        ("recipient", {"recipient": "budi"}),
        ("recipient", {"recipient": "Instagram:budi"}),
        ("recipient", {"recipient": "instagram:budi.0"}),
        ("recipient", {"recipient": "instagram:budi.1"}),
        ("recipient", {"recipient": "instagram:budi.2"}),
        ("content", {"content": "halo"}),
        ("content", {"content": b"halo"}),
        ("content", {"content": None}),
        ("message_id", {"message_id": b"short"}),
        ("message_id", {"message_id": "0123456789abcdef"}),
        ("message_id", {"message_id": bytes(17)}),
    ],
)
def test_a_wrong_argument_of_send_is_named_and_changes_nothing(
    name: str, arguments: dict[str, Any], backend: BackendSimulator
) -> None:
    ana, _ = make_client(ANA, backend), make_client(BUDI, backend)
    before, calls = dump(ana.device._context.store), len(backend.calls)
    with pytest.raises(InvalidArgument, match=rf"\b{name}\b"):
        ana.send(**{"recipient": BUDI, "content": Text("halo"), **arguments})
    assert dump(ana.device._context.store) == before
    assert len(backend.calls) == calls


# --- A changed identity key of a recipient ----------------------------------------------------


def test_a_lax_client_sends_to_a_reinstalled_contact_and_says_so(
    backend: BackendSimulator,
) -> None:
    policy = Policy(accept_changed_identity=True)
    clock = FakeClock()
    ana = make_client(ANA, backend, clock=clock, policy=policy)
    old = make_client(BUDI, backend)
    ana.send(BUDI, Text("first"))
    backend.forget(BUDI)
    new = Client(make_device(BUDI, seed="reinstalled"), backend)
    new.register()
    assert ana.send(BUDI, Text("second")).deliveries == (Delivery(BUDI),)  # nobody knows yet
    drop_sessions(ana)
    clock.advance(5)
    sent = ana.send(BUDI, Text("third"))
    assert sent.deliveries == (Delivery(BUDI, identity_changed=True),)
    identity = ana.device.remote_identity(BUDI)
    assert identity is not None
    assert identity.identity_key == new.device.identity_key != old.device.identity_key
    assert identity.by_policy
    assert identity.first_seen_at_ms == clock.now_ms
    assert ana.send(BUDI, Text("fourth")).deliveries == (Delivery(BUDI),)


@pytest.mark.parametrize("is_lax", [True, False])
def test_a_client_asks_before_it_sends_to_a_changed_contact(
    is_lax: bool, backend: BackendSimulator
) -> None:
    """Also a lax one, if the contact was verified."""
    ana = make_client(ANA, backend, policy=Policy(accept_changed_identity=is_lax))
    old = make_client(BUDI, backend)
    ana.send(BUDI, Text("first"))
    if is_lax:
        ana.device.mark_verified(BUDI, old.device.identity_key)
    backend.forget(BUDI)
    new = Client(make_device(BUDI, seed="reinstalled"), backend)
    new.register()
    drop_sessions(ana)
    with pytest.raises(UntrustedIdentity) as caught:
        ana.send(BUDI, Text("second"))
    assert (caught.value.address, caught.value.identity_key) == (BUDI, new.device.identity_key)
    assert backend.mailbox(BUDI) == []


def drop_sessions(client: Client) -> None:
    with client.device._context.store.transaction() as tx:
        for table in (Table.SESSION_RECORDS, Table.SESSIONS):
            for partition in {place for place, _, _ in tx.scan(table)}:
                tx.clear(table, partition)


# --- A back end that answers with nonsense ----------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        None,
        7,
        [None],
        [7],
        [(1,)],
        [(1, b"", b"")],
        [(1, b"no envelope of a number")],
        [Waiting(*cast("Any", (True, b"")))],
        [Waiting(*cast("Any", (1.5, b"")))],
        [Waiting(*cast("Any", ("3", b"")))],
        [Waiting(*cast("Any", (None, b"")))],
        [Waiting(*cast("Any", (2**64, b"")))],
        [Waiting(*cast("Any", (1, "text")))],
        [Waiting(*cast("Any", (1, None)))],
        [Waiting(*cast("Any", (1, bytearray(b"x"))))],
    ],
)
def test_a_mailbox_that_is_none_is_an_error_of_the_back_end(
    answer: object, backend: BackendSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = make_client(ANA, backend)
    before = dump(ana.device._context.store)
    monkeypatch.setattr(backend, "fetch", lambda *_, **__: answer)
    with pytest.raises(BackendError, match="answered fetch with no mailbox"):
        ana.receive()
    assert dump(ana.device._context.store) == before


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("one_time_prekey_count", "many"),
        ("one_time_prekey_count", None),
        ("one_time_prekey_count", 1.5),
        ("one_time_prekey_count", True),
        ("epochs", "many"),
        ("epochs", None),
        ("epochs", 3),
        ("epochs", {0: -1}),
        ("epochs", {0: True}),
        ("epochs", {0: "3"}),
        ("fetch_keys", None),
        ("fetch_keys", b"bundle"),
        ("fetch_keys", []),
        ("fetch_keys", [None]),
        ("fetch_keys", [b"bundle"]),
        ("fetch_keys", [UserKeys(b"", cast("Any", [1]))]),
        ("fetch_keys", [UserKeys(b"", cast("Any", (b"bundle",)))]),
        ("fetch_keys", [UserKeys(b"", ())] * 2),
    ],
)
def test_other_nonsense_is_an_error_of_the_back_end_too(
    method: str, answer: object, backend: BackendSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, _ = make_client(ANA, backend), make_client(BUDI, backend)
    ana = Client(ana.device, backend)
    before = dump(ana.device._context.store)
    monkeypatch.setattr(backend, method, lambda *_: answer)
    call = (lambda: ana.send(BUDI, Text("halo"))) if method == "fetch_keys" else ana.maintain
    with pytest.raises(BackendError, match=f"the back end answered {method} with "):
        call()
    assert dump(ana.device._context.store) == before

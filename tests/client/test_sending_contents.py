# SPDX-License-Identifier: Apache-2.0
"""Contents that not every app shows: planned, sent, sent again, and gone after their time."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2ecross import (
    Answer,
    Bytes,
    Client,
    Content,
    Delete,
    Expiry,
    Media,
    Mention,
    Message,
    MessageRef,
    Notice,
    NoticeKind,
    Options,
    Policy,
    Reaction,
    Sent,
    SentContent,
    Text,
)
from e2ecross.conversation.negotiation import Outcome
from e2ecross.device.composing import ALL_SHOWN
from e2ecross.errors import (
    BackendError,
    ContentRefused,
    InvalidArgument,
    LossyContent,
    UnknownRecipient,
)
from e2ecross.state.message_refs import ref_of
from e2ecross.state.sent import ENDS, find_content
from e2ecross.stores import Table
from e2ecross.wire.content import Framed, UnsupportedContent, decode_content
from tests.client.conversation import ask, store_of
from tests.support.accounts import (
    change_account,
    change_devices,
    device_of,
    make_account,
    new_client,
    sign_devices,
)
from tests.support.depth import deepened
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    TOKO,
    BackendSimulator,
    FakeClock,
    dump,
    make_client,
)
from tests.support.formats import ATTACHMENT, REF
from tests.support.store_kinds import copied, copying
from tests.wire.test_framed_content import contents

ALL = frozenset({10, *range(13, 21), 32, 33})
POLL = Options("When?", ("Mon", "Tue"))
LAPTOP = device_of(BUDI, 2)
PLAIN, FULL = Policy(capabilities=frozenset()), Policy(capabilities=ALL)


@pytest.fixture
def backend() -> BackendSimulator:
    return BackendSimulator()


@pytest.fixture
def own_copies() -> None:
    """Ana's phone sends copies to her laptop, whatever stores others have."""


@pytest.fixture
def ana(
    request: pytest.FixtureRequest, backend: BackendSimulator, clock: FakeClock
) -> list[Client]:
    stores = copying(1 if "own_copies" in request.fixturenames else 0)
    return make_account(ANA, (1, 2), backend, stores=stores, clock=clock, policy=FULL)


def budis(
    backend: BackendSimulator, clock: FakeClock, *capabilities: frozenset[int]
) -> list[Client]:
    """Devices of Budi's account, each of an app that can do that."""
    clients = [
        new_client(device_of(BUDI, number), backend, clock=clock, policy=Policy(capabilities=ids))
        for number, ids in enumerate(capabilities, 1)
    ]
    change_devices(backend, *clients)
    return clients


def framed(message: Message) -> Framed:
    """What a message came in."""
    content = message.framed or message.content
    if isinstance(content, UnsupportedContent):
        content = decode_content(content.kind, content.body)  # type: ignore[assignment]
    assert isinstance(content, Framed)
    return content


def said(message: Message) -> Content | None:
    """What it says, whatever the app announces."""
    if message.framed is None and isinstance(message.content, Text | Bytes | None):
        return message.content
    return framed(message).content


def got(client: Client) -> list[Message]:
    items = client.receive()
    client.confirm(items)
    return [item for item in items if isinstance(item, Message)]


def texts(client: Client) -> list[Content | None]:
    """What arrived as it travels, without its frame."""
    return [said(message) for message in got(client)]


# --- Plans --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("own_copies")
def test_who_shows_all_of_it_gets_all_of_it(
    backend: BackendSimulator, clock: FakeClock, ana: list[Client]
) -> None:
    (budi,) = budis(backend, clock, ALL)
    assert ana[0].plan(BUDI, POLL) == ALL_SHOWN
    sent = ana[0].send(BUDI, POLL)
    assert sent.plan == ALL_SHOWN
    assert [each.address for each in sent.deliveries] == [BUDI, device_of(ANA, 2)]
    assert texts(budi) == texts(ana[1]) == [POLL]


@pytest.mark.usefixtures("own_copies")
def test_what_is_lost_is_lost_with_consent_alone(
    backend: BackendSimulator, clock: FakeClock, ana: list[Client]
) -> None:
    phone, laptop = budis(backend, clock, ALL, frozenset())
    plan = ana[0].plan(BUDI, POLL)
    assert (plan.outcome, plan.plain) == (Outcome.LOSSY, (LAPTOP,))
    assert [(loss.capability, loss.devices) for loss in plan.losses] == [
        (10, (LAPTOP,)),
        (14, (LAPTOP,)),
    ]
    before = dump(store_of(ana[0]))
    with pytest.raises(LossyContent) as raised:
        ana[0].send(BUDI, POLL)
    assert raised.value.plan == plan
    assert not {row for row in dump(store_of(ana[0])).items() if row[0][0] is Table.SENT}
    assert Table.SESSIONS not in {row[0] for row in dump(store_of(ana[0])).keys() - before.keys()}
    assert got(phone) == got(laptop) == got(ana[1]) == []
    sent = ana[0].send(BUDI, POLL, allow_lossy=True)
    assert sent.plan == plan
    assert texts(phone) == texts(ana[1]) == [POLL]
    assert texts(laptop) == [Text("When?\n1. Mon\n2. Tue")]


def test_a_fallback_of_the_caller(
    backend: BackendSimulator, clock: FakeClock, ana: list[Client]
) -> None:
    phone, laptop = budis(backend, clock, frozenset({10}), frozenset())
    sent = ana[0].send(BUDI, POLL, fallback="Monday, or Tuesday?", allow_lossy=True)
    assert sent.plan.fallback == "Monday, or Tuesday?"
    (message,) = got(phone)
    assert framed(message).fallback == "Monday, or Tuesday?"
    assert texts(laptop) == [Text("Monday, or Tuesday?")]


@pytest.mark.usefixtures("own_copies")
def test_a_reply_goes_to_everybody(
    backend: BackendSimulator, clock: FakeClock, ana: list[Client]
) -> None:
    phone, laptop = budis(backend, clock, frozenset({10}), frozenset())
    reply = Text("Monday", (Mention(0, 6, BUDI.user_id),), REF)
    sent = ana[0].send(BUDI, reply)
    assert sent.plan.outcome is Outcome.MINOR
    assert texts(phone) == texts(ana[1]) == [reply]
    assert texts(laptop) == [Text("Monday")]


@pytest.mark.usefixtures("own_copies")
def test_nobody_sees_a_delete_as_a_text(
    backend: BackendSimulator, clock: FakeClock, ana: list[Client]
) -> None:
    phone, laptop = budis(backend, clock, ALL, frozenset())
    sent = ana[0].send(BUDI, Delete(REF), allow_lossy=True)
    assert [each.address for each in sent.deliveries] == [BUDI, device_of(ANA, 2)]
    assert texts(phone) == texts(ana[1]) == [Delete(REF)]
    assert got(laptop) == []


@pytest.mark.usefixtures("own_copies")
def test_a_delete_that_nobody_there_gets_reaches_own_devices(
    backend: BackendSimulator, clock: FakeClock, ana: list[Client]
) -> None:
    (budi,) = budis(backend, clock, frozenset())
    sent = ana[0].send(BUDI, Delete(REF), allow_lossy=True)
    assert [each.address for each in sent.deliveries] == [device_of(ANA, 2)]
    assert texts(ana[1]) == [Delete(REF)]
    assert got(budi) == []


def test_a_delete_that_nobody_gets_at_all(backend: BackendSimulator, clock: FakeClock) -> None:
    ana = make_client(ANA, backend, clock=clock)
    budis(backend, clock, frozenset())
    sent = ana.send(BUDI, Delete(REF), message_id=MESSAGE_ID, allow_lossy=True)
    assert (sent.deliveries, sent.plan.plain) == ((), (BUDI,))
    assert sent.ref is not None
    again = ana.send(BUDI, Delete(REF), message_id=MESSAGE_ID, allow_lossy=True)
    assert (again.deliveries, again.content) == ((), None)


@pytest.mark.usefixtures("own_copies")
@pytest.mark.parametrize(
    ("lacking", "options"), [(32, {"expiry": Expiry(60)}), (33, {"view_once": True})]
)
def test_what_protects_somebody_goes_to_who_obeys_it_or_to_nobody(
    backend: BackendSimulator,
    clock: FakeClock,
    ana: list[Client],
    lacking: int,
    options: dict[str, object],
) -> None:
    phone, _ = budis(backend, clock, ALL, ALL - {lacking})
    for allow_lossy in (False, True):
        with pytest.raises(ContentRefused) as raised:
            ana[0].send(BUDI, Text("halo"), allow_lossy=allow_lossy, **options)  # type: ignore[arg-type]
    assert [(loss.capability, loss.devices) for loss in raised.value.plan.losses] == [
        (lacking, (LAPTOP,))
    ]
    assert f"{lacking}" in str(raised.value)
    change_devices(backend, phone)
    change_account(ana[0].device, BUDI.user_id, check_wanted=True)
    sent = ana[0].send(BUDI, Text("halo"), **options)  # type: ignore[arg-type]
    assert sent.plan == ALL_SHOWN
    (message,) = got(phone)
    assert framed(message).expiry == options.get("expiry")
    assert framed(message).view_once is options.get("view_once", False)
    assert got(ana[1])


def test_own_devices_have_no_say(backend: BackendSimulator, clock: FakeClock) -> None:
    ana = make_account(ANA, (1, 2), backend, clock=clock, policy=PLAIN)
    assert ana[0].plan(ANA, POLL) == ALL_SHOWN
    assert ana[0].send(ANA, POLL, expiry=Expiry(60)).plan == ALL_SHOWN
    assert texts(ana[1]) == [POLL]


def test_many_are_planned_for_one_by_one(
    backend: BackendSimulator, clock: FakeClock, ana: list[Client]
) -> None:
    budi = budis(backend, clock, ALL)
    toko = make_client(TOKO, backend, clock=clock)
    results = ana[0].send_many([BUDI, TOKO, "instagram:nobody"], POLL)
    assert isinstance(results[0], Sent)
    assert isinstance(results[1], LossyContent)
    assert isinstance(results[2], UnknownRecipient)
    assert texts(budi[0]) == [POLL]
    assert texts(toko) == []
    results = ana[0].send_many([BUDI, TOKO], POLL, allow_lossy=True, fallback="When?")
    assert [each.plan.outcome for each in results if isinstance(each, Sent)] == [
        Outcome.LOSS_FREE,
        Outcome.LOSSY,
    ]
    keys = {each.content.opening_key for each in results if isinstance(each.content, Framed)}  # type: ignore[union-attr]
    assert len(keys) == 2


def test_a_plan_asks_for_a_list_that_is_not_known(
    backend: BackendSimulator, clock: FakeClock, ana: list[Client]
) -> None:
    with pytest.raises(UnknownRecipient):
        ana[0].plan(BUDI, POLL)
    budis(backend, clock, frozenset({10}))
    assert ana[0].plan("instagram:budi", POLL).outcome is Outcome.LOSSY
    assert ana[0].plan("instagram:budi", Text("halo")) == ALL_SHOWN
    backend.unreachable = True
    assert ana[0].plan(BUDI, POLL).outcome is Outcome.LOSSY  # by the list that is held


def test_nobody_who_is_not_known_is_planned_for_in_vain(
    backend: BackendSimulator, ana: list[Client]
) -> None:
    with pytest.raises(UnknownRecipient):  # and not that they show nothing
        ana[0].send(BUDI, POLL)


# --- Lists that change meanwhile ------------------------------------------------------------------


@pytest.fixture
def known(backend: BackendSimulator, clock: FakeClock, ana: list[Client]) -> list[Client]:
    """Budi, whose app shows and obeys everything, in conversation with Ana."""
    clients = budis(backend, clock, ALL)
    ana[0].send(BUDI, Text("halo"))
    ana[1].send(BUDI, Text("halo"))
    for client in (*clients, *ana):
        got(client)
    return clients


@pytest.mark.parametrize(
    ("content", "options", "error"),
    [
        (Text("halo"), {"expiry": Expiry(60)}, ContentRefused),
        (Media(ATTACHMENT), {"view_once": True}, ContentRefused),
        (POLL, {}, LossyContent),
    ],
    ids=["expiry", "view once", "options"],
)
def test_a_device_that_came_since_the_plan_is_planned_for(
    backend: BackendSimulator,
    clock: FakeClock,
    ana: list[Client],
    known: list[Client],
    content: Content,
    options: dict[str, object],
    error: type[Exception],
) -> None:
    assert ana[0].plan(BUDI, content, **options) == ALL_SHOWN  # type: ignore[arg-type]
    tablet = new_client(device_of(BUDI, 3), backend, clock=clock, policy=PLAIN)
    change_devices(backend, *known, tablet)
    change_account(ana[0].device, BUDI.user_id, check_wanted=True)
    with pytest.raises(error):
        ana[0].send(BUDI, content, **options)  # type: ignore[arg-type]
    for client in (*known, tablet, ana[1]):
        assert got(client) == []


@pytest.mark.usefixtures("own_copies")
def test_a_device_that_comes_after_the_commit_gets_nothing_that_it_does_not_obey(
    backend: BackendSimulator, clock: FakeClock, ana: list[Client], known: list[Client]
) -> None:
    tablet = new_client(device_of(BUDI, 3), backend, clock=clock, policy=PLAIN)
    change_devices(backend, *known, tablet)  # Ana hears of it with the answer to the deposit
    sent = ana[0].send(BUDI, Text("halo"), expiry=Expiry(60))
    assert {each.address for each in sent.deliveries} == {BUDI, device_of(ANA, 2)}
    assert texts(known[0]) == [Text("halo")]
    assert got(tablet) == []
    sent = ana[0].send(BUDI, Text("everybody"))
    assert texts(tablet) == [Text("everybody")]


@pytest.mark.usefixtures("own_copies")
@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (POLL, Text("When?\n1. Mon\n2. Tue")),
        (Text("halo", reply_to=REF), Text("halo")),
        (Reaction(REF, 1, "👍"), Text("reacted 👍")),
        (Delete(REF), None),
        (Bytes(b"halo"), Bytes(b"halo")),
    ],
    ids=repr,
)
def test_a_device_that_comes_after_the_commit_gets_what_it_shows(
    backend: BackendSimulator,
    clock: FakeClock,
    ana: list[Client],
    known: list[Client],
    content: SentContent,
    shown: Content | None,
) -> None:
    tablet = new_client(device_of(BUDI, 3), backend, clock=clock, policy=PLAIN)
    change_devices(backend, *known, tablet)
    sent = ana[0].send(BUDI, content)
    assert texts(known[0]) == texts(ana[1]) == [content]
    messages = got(tablet)
    assert [said(message) for message in messages] == ([] if shown is None else [shown])
    assert {message.message_id for message in messages} <= {sent.message_id}


# --- Again ----------------------------------------------------------------------------------------


def test_what_failed_goes_again_with_its_key(
    backend: BackendSimulator, ana: list[Client], known: list[Client]
) -> None:
    backend.unreachable = True
    with pytest.raises(BackendError):
        ana[0].send(BUDI, POLL, message_id=MESSAGE_ID)
    context = ana[0].device._context
    with context.store.transaction() as tx:
        kept = find_content(tx, context.policy, BUDI.user_id, MESSAGE_ID, context.clock())
    assert kept is not None
    backend.unreachable = False
    sent = ana[0].send(BUDI, POLL, message_id=MESSAGE_ID)
    again = ana[0].send(BUDI, POLL, message_id=MESSAGE_ID)
    (message,) = got(known[0])
    for content in (kept[1], sent.content, again.content):
        assert isinstance(content, Framed)
        assert content.content_body == framed(message).content_body
    assert sent.ref == again.ref
    assert sent.plan == again.plan == ALL_SHOWN
    assert (sent.sent_at_ms, message.sent_at_ms) == (kept[0], kept[0])
    for other in (Options("When?", ("Mon",), Options.CHOICES), Text("When?")):
        with pytest.raises(InvalidArgument, match="message_id"):
            ana[0].send(BUDI, other, message_id=MESSAGE_ID)
    with pytest.raises(InvalidArgument, match="message_id"):
        ana[0].send(BUDI, POLL, message_id=MESSAGE_ID, expiry=Expiry(60))


@pytest.mark.parametrize(
    ("ids", "content", "shown"),
    [
        (ALL, POLL, POLL),
        (frozenset({10}), POLL, POLL),
        (frozenset(), POLL, Text("When?\n1. Mon\n2. Tue")),
        (frozenset(), Text("halo", reply_to=REF), Text("halo")),
    ],
    ids=str,
)
def test_what_could_not_be_read_comes_again_in_its_form(
    backend: BackendSimulator,
    clock: FakeClock,
    ana: list[Client],
    ids: frozenset[int],
    content: SentContent,
    shown: Content,
) -> None:
    (budi,) = budis(backend, clock, ids)
    sent = ana[0].send(BUDI, content, allow_lossy=True)
    backend.drop(BUDI, -1)
    ask(budi, ANA, sent.message_id)
    ana[0].receive()
    (message,) = got(budi)
    assert (message.message_id, message.sent_at_ms) == (sent.message_id, sent.sent_at_ms)
    assert said(message) == shown
    if isinstance(shown, Options):
        assert isinstance(sent.content, Framed)
        assert framed(message).content_body == sent.content.content_body


@pytest.mark.usefixtures("alone")
def test_who_does_not_obey_it_any_more_gets_nothing_again(
    backend: BackendSimulator, clock: FakeClock, ana: list[Client]
) -> None:
    (budi,) = budis(backend, clock, ALL)
    sent = ana[0].send(BUDI, Text("halo"), expiry=Expiry(3600))
    backend.drop(BUDI, -1)
    ask(budi, ANA, sent.message_id)
    obeys_nothing = sign_devices(new_client(BUDI, backend, clock=clock, policy=PLAIN).device, seq=3)
    change_account(ana[0].device, BUDI.user_id, held=obeys_nothing)
    items = ana[0].receive()
    assert got(budi) == []
    assert [item.code for item in items if isinstance(item, Notice)] == ["content_refused"]


# --- Time -----------------------------------------------------------------------------------------


def kept_ends(client: Client) -> int:
    return sum(table is Table.SENT and part == ENDS for table, part, _ in dump(store_of(client)))


def test_what_is_over_is_forgotten_and_not_sent_again(
    backend: BackendSimulator, clock: FakeClock, ana: list[Client], known: list[Client]
) -> None:
    sent = ana[0].send(BUDI, Text("attack at dawn"), expiry=Expiry(60, from_read=True))
    assert kept_ends(ana[0]) == 1
    backend.drop(BUDI, -1)
    clock.advance(60_000)
    ask(known[0], ANA, sent.message_id)
    items = ana[0].receive()
    assert got(known[0]) == []
    assert [item.kind for item in items if isinstance(item, Notice)] == [NoticeKind.NOT_DELIVERED]
    ana[0].maintain()
    assert kept_ends(ana[0]) == 0
    assert not any(b"attack at dawn" in record for record in dump(store_of(ana[0])).values())


def test_what_is_not_over_stays(
    backend: BackendSimulator, clock: FakeClock, ana: list[Client], known: list[Client]
) -> None:
    ana[0].send(BUDI, Text("halo"), expiry=Expiry(60))
    ana[0].send(BUDI, Text("later"), expiry=Expiry(61))
    ana[0].send(BUDI, Text("forgotten before"), expiry=Expiry(8 * 24 * 3600))
    assert kept_ends(ana[0]) == 2
    for ms, left in ((59_999, 2), (1, 1), (999, 1), (1, 0)):
        clock.advance(ms)
        ana[0].maintain()
        assert kept_ends(ana[0]) == left
    assert any(b"forgotten before" in record for record in dump(store_of(ana[0])).values())


def test_what_is_over_is_sent_to_no_new_device(
    backend: BackendSimulator, clock: FakeClock, ana: list[Client], known: list[Client]
) -> None:
    backend.unreachable = True
    with pytest.raises(BackendError):
        ana[0].send(BUDI, Text("halo"), expiry=Expiry(60))
    backend.unreachable = False
    clock.advance(60_000)
    tablet = new_client(device_of(BUDI, 3), backend, clock=clock, policy=FULL)
    change_devices(backend, *known, tablet)
    ana[0].maintain()
    assert got(tablet) == []


# --- References and forwarding --------------------------------------------------------------------


@pytest.mark.usefixtures("own_copies")
def test_a_reference_is_the_same_at_all_ends(ana: list[Client], known: list[Client]) -> None:
    for content in (Text("halo"), POLL):
        sent = ana[0].send(BUDI, content, expiry=Expiry(60) if content is POLL else None)
        assert isinstance(sent.ref, MessageRef)
        assert (sent.sender, sent.peer) == (ANA, BUDI.user_id)
        for client in (known[0], ana[1]):
            (message,) = got(client)
            travelled, sent_at_ms = message.framed or message.content, message.sent_at_ms
            assert travelled is not None
            ref = ref_of(message.sender, BUDI.user_id, message.message_id, sent_at_ms, travelled)
            assert ref == sent.ref
            assert ref is not None
            assert ref.expiry == sent.ref.expiry
    assert Sent(MESSAGE_ID, ()).ref is None


def message_of(content: Any, **changes: object) -> Message:  # noqa: ANN401
    message = Message(BUDI, MESSAGE_ID, 1, content, identity_changed=False, peer=BUDI.user_id)
    return replace(message, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "goes_on"),
    [
        (Text("halo", (Mention(0, 4, BUDI.user_id),), REF), Text("halo")),
        (Media(ATTACHMENT, "halo", (), REF), Media(ATTACHMENT, "halo")),
        (POLL, POLL),
        (Bytes(b"halo"), Bytes(b"halo")),
    ],
    ids=repr,
)
def test_what_is_forwarded_answers_nothing(
    ana: list[Client], known: list[Client], content: Content, goes_on: Content
) -> None:
    sent = ana[0].forward(message_of(content), BUDI)
    assert sent.message_id != MESSAGE_ID
    assert texts(known[0]) == [goes_on]


@pytest.mark.parametrize(
    "message",
    [
        message_of(Text("halo"), expiry=Expiry(60)),
        message_of(Text("halo"), view_once=True),
        message_of(Reaction(REF, 1, "👍")),
        message_of(None, expired=True),
        "halo",
    ],
    ids=repr,
)
def test_what_is_not_forwarded(ana: list[Client], known: list[Client], message: Message) -> None:
    with pytest.raises(InvalidArgument, match="message"):
        ana[0].forward(message, BUDI)
    assert got(known[0]) == []


# --- Any devices, any content ---------------------------------------------------------------------

_SETS = st.sampled_from([frozenset[int](), frozenset({10}), ALL, ALL - {32}, ALL - {14, 33}])


@settings(max_examples=deepened(25))
@given(contents(), st.lists(_SETS, min_size=1, max_size=3), st.booleans(), st.booleans())
def test_whatever_is_sent_is_read_at_every_end(
    content: SentContent, announced: list[frozenset[int]], expires: bool, view_once: bool
) -> None:
    backend, clock = BackendSimulator(), FakeClock()
    ana = make_account(ANA, (1, 2), backend, clock=clock, policy=PLAIN)
    devices = budis(backend, clock, *announced)
    needed, options = set[int](), dict[str, Any]()
    if expires and not isinstance(content, Delete | Answer):
        needed.add(32)
        options["expiry"] = Expiry(3600)
    if view_once and isinstance(content, Text | Media):
        needed.add(33)
        options["view_once"] = True
    plan = ana[0].plan(BUDI, content, **options)
    if not all(needed <= ids for ids in announced):
        with pytest.raises(ContentRefused) as raised:
            ana[0].send(BUDI, content, allow_lossy=True, **options)
        assert raised.value.plan == plan
        assert [got(client) for client in (*devices, ana[1])] == [[]] * (len(devices) + 1)
        return
    sent = ana[0].send(BUDI, content, allow_lossy=True, **options)
    assert sent.plan == plan
    copies = got(ana[1])
    assert len(copies) == len(copied(ana[1]))
    assert view_once or all(said(copy) == content for copy in copies)
    for client, ids in zip(devices, announced, strict=True):
        messages = got(client)
        if 10 in ids or not isinstance(sent.content, Framed):
            assert [said(message) for message in messages] == [content]
        elif isinstance(content, Delete):
            assert messages == []
        else:
            (message,) = messages
            assert isinstance(message.content, Text)
            assert message.content.text

# SPDX-License-Identifier: Apache-2.0
"""A new device that is linked: each step of `DeviceLink`, and what becomes of the store."""

import copy
import inspect
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from e2ecross import Address, Client, Device, DeviceLink, LinkState, Message, Pairing, Policy, Text
from e2ecross.client.backend import Backend
from e2ecross.client.linking import Pause
from e2ecross.errors import (
    BackendError,
    DeviceExists,
    InvalidArgument,
    LinkFailed,
    LocalError,
    NotRegistered,
    StoreError,
    WitnessFailed,
)
from e2ecross.protocol.linking import LINK_LIFETIME_MS, RESULT_WAIT_MS
from e2ecross.relay import Relay
from e2ecross.state.accounts import find_list
from e2ecross.state.context import require_device
from e2ecross.stores import MemoryStore, SQLiteStore, Store, Table
from tests.support.accounts import account, device_of, own_account
from tests.support.devices import (
    ANA,
    BUDI,
    STORE_KEY,
    BackendSimulator,
    FakeClock,
    SpyStore,
    dump,
    make_device,
    reopen_device,
)
from tests.support.entropy import SeededEntropy
from tests.support.pairing import Faulty, Hooked, LinkScene, again, never
from tests.support.store_kinds import copied
from tests.support.witness import Keychain

LAPTOP = device_of(ANA, 2)
Show = Callable[[str], None]
Ask = Callable[[str], str]


@pytest.fixture
def scene(backend: BackendSimulator, clock: FakeClock) -> LinkScene:
    return LinkScene(backend, clock)


@pytest.fixture(params=["simulator", "relay"])
def both(
    request: pytest.FixtureRequest, backend: BackendSimulator, clock: FakeClock, tmp_path: Path
) -> Iterator[LinkScene]:
    """The same over either back end."""
    if request.param == "simulator":
        yield LinkScene(backend, clock)
        return
    with Relay(tmp_path / "relay.db", clock=clock) as relay:
        yield LinkScene(relay, clock)


# --- A whole attempt ------------------------------------------------------------------------


def test_a_device_is_linked_and_gets_what_the_phone_gets(both: LinkScene) -> None:
    link = both.new_link(name="Ana's laptop")
    assert link.poll() is LinkState.WAITING
    assert link.user is None
    pairing = both.phone.link_device(link.code)
    assert pairing.poll() is LinkState.WAITING
    assert link.poll() is LinkState.WANTS_DIGITS
    assert link.user == ANA.user_id
    assert pairing.poll() is LinkState.SHOWS_DIGITS
    link.enter_digits(pairing.digits)
    assert link.poll() is LinkState.WANTS_CONFIRMATION
    assert link.user == ANA.user_id
    assert not dump(both.store)
    pairing.confirm()
    assert pairing.poll() is LinkState.LINKED
    assert link.poll() is LinkState.LINKED
    assert link.user == ANA.user_id
    laptop = link.finish(pause=never)
    assert laptop.device.address == LAPTOP
    assert both.numbers == [1, 2]
    budi = Client(make_device(BUDI, clock=both.clock), both.backend)
    budi.register()
    budi.send("whatsapp:ana", Text("halo"))
    for client in (both.phone, laptop):
        (message,) = [item for item in client.receive() if isinstance(item, Message)]
        assert message.content == Text("halo")
    laptop.send("instagram:budi", Text("from the laptop"))
    messages = [item for item in both.phone.receive() if isinstance(item, Message)]
    assert [item.content for item in messages] == [*copied(Text("from the laptop"))]
    assert all(item.own_copy for item in messages)
    assert [each.name for each in both.phone.devices().devices] == ["", "Ana's laptop"]


def test_all_of_it_is_in_the_store_after_a_restart(scene: LinkScene) -> None:
    laptop = scene.link()
    reopened = reopen_device(laptop.device, scene.store, "again")
    context = reopened._context
    assert reopened.address == LAPTOP
    assert context.account_key == scene.phone.device.identity_key
    assert reopened.identity_key != scene.phone.device.identity_key
    assert account(reopened, ANA.user_id).held == scene.held
    own = own_account(reopened)
    assert own.linked_at_ms == scene.clock.now_ms
    assert (own.published, own.new_devices, own.names) == (False, (), ())
    primary = reopened.remote_identity(ANA)
    assert primary is not None
    assert primary.verified
    assert primary.identity_key == scene.phone.device.identity_key
    assert reopened.remote_identity(LAPTOP) == primary  # any address stands for its account
    with context.store.transaction() as tx:
        record = require_device(tx)
        assert record.registered
        assert len(record.backend_token) == 32
        assert not tx.list(Table.INBOX)
    assert Client(reopened, scene.backend).receive() == []


def test_other_devices_of_the_account_are_known_and_not_verified(scene: LinkScene) -> None:
    tablet = scene.link()
    scene.store = MemoryStore()
    laptop = scene.link().device
    assert scene.numbers == [1, 2, 3]
    with laptop._context.store.transaction() as tx:
        listed = find_list(tx, ANA.user_id)
        assert listed is not None
        entry = listed.find(2)
        assert entry is not None
        assert entry.identity_key == tablet.device.identity_key
    rows = [where for where in dump(scene.store) if where[0] is Table.REMOTE_IDENTITIES]
    assert len(rows) == 2  # device 1 and the tablet; none of its own


def test_its_keys_are_published(scene: LinkScene) -> None:
    laptop = scene.link()
    published = cast(BackendSimulator, scene.backend).published(LAPTOP)
    assert published.identity_key == laptop.device.identity_key
    assert len(published.one_time_prekeys) == Policy().one_time_prekeys_target


def test_it_works_with_what_it_was_given(backend: BackendSimulator, clock: FakeClock) -> None:
    policy, witness = Policy(one_time_prekeys_target=7, one_time_prekeys_low=3), Keychain()
    scene = LinkScene(backend, clock)
    link = DeviceLink(
        "whatsapp",
        "laptop",
        scene.store,
        backend,
        policy=policy,
        clock=clock,
        entropy=SeededEntropy("own"),
        witness=witness,
    )
    pairing = scene.phone.link_device(link.code)
    link.wait(pause=never)
    pairing.wait(pause=never)
    link.enter_digits(pairing.digits)
    pairing.confirm()
    laptop = link.finish(pause=never)
    assert laptop.device._context.policy is policy
    assert len(backend.published(LAPTOP).one_time_prekeys) == 7
    assert witness.number > 0


def test_a_witness_that_has_known_an_earlier_device_is_gone_on_from(scene: LinkScene) -> None:
    witness = Keychain(50)
    link = scene.new_link(witness=witness)
    pairing = scene.phone.link_device(link.code)
    link.poll()
    pairing.poll()
    link.enter_digits(pairing.digits)
    pairing.confirm()
    link.finish(pause=never)
    assert witness.number == 51


def test_a_clock_at_1970_leaves_no_doubt_that_it_was_linked(backend: BackendSimulator) -> None:
    scene = LinkScene(backend, FakeClock(0))
    laptop = scene.link().device
    assert own_account(laptop).linked_at_ms > 0
    reopened = reopen_device(laptop, scene.store, "again")
    assert reopened._context.account_key == scene.phone.device.identity_key


def test_a_sealed_file_is_a_store_like_any_other(scene: LinkScene, tmp_path: Path) -> None:
    with SQLiteStore(tmp_path / "laptop.db", key=STORE_KEY) as store:
        scene.store = store
        laptop = scene.link()
        laptop.send("whatsapp:ana", Text("to myself"))
    (_, message) = scene.phone.receive()
    assert isinstance(message, Message)
    assert message.sender == LAPTOP


# --- Two apps -------------------------------------------------------------------------------


def new_device(store: Store, backend: Backend, show: Show, ask: Ask, pause: Pause) -> Client:
    link = DeviceLink("whatsapp", "Ana's laptop", store, backend)
    show(link.code)
    link.wait(pause=pause)
    link.enter_digits(ask(f"Six digits that the phone of {link.user} shows: "))
    return link.finish(pause=pause)


def on_the_phone(phone: Client, scanned: str, show: Show, ask: Ask, pause: Pause) -> None:
    pairing = phone.link_device(scanned)
    pairing.wait(pause=pause)
    show(f"{pairing.name} {pairing.digits}")
    if ask("Has the new device taken the digits? ") == "yes":
        pairing.confirm()
    else:
        pairing.cancel()


def test_both_apps_together_have_less_than_twenty_lines() -> None:
    lines = [
        line
        for app in (new_device, on_the_phone)
        for line in inspect.getsource(app).splitlines()
        if line.strip()
    ]
    assert len(lines) < 20


def test_the_app_of_a_new_device(both: LinkScene) -> None:
    """What it waits for, the phone does meanwhile."""
    pairings: list[Pairing] = []
    asked: list[str] = []

    def type_digits(question: str) -> str:
        asked.append(question)
        pairings[0].wait(pause=never)
        return pairings[0].digits

    def turn(_: float) -> None:
        if asked:
            pairings[0].confirm()
        else:
            pairings.append(both.phone.link_device(shown[0]))

    shown: list[str] = []
    laptop = new_device(both.store, both.backend, shown.append, type_digits, turn)
    assert laptop.device.address == LAPTOP
    assert asked == ["Six digits that the phone of whatsapp:ana shows: "]


@pytest.mark.parametrize(("answer", "numbers"), [("yes", [1, 2]), ("no", [1])])
def test_the_app_on_the_phone(both: LinkScene, answer: str, numbers: list[int]) -> None:
    link = both.new_link(name="tablet")

    def show(text: str) -> None:
        name, digits = text.split()
        assert name == "tablet"
        link.enter_digits(digits)

    on_the_phone(both.phone, link.code, show, lambda _: answer, lambda _: link.poll())
    assert both.numbers == numbers


# --- What it is made with -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"app": "Whats App"}, "app"),
        ({"app": 7}, "app"),
        ({"name": "x" * 65}, "name"),
        ({"name": b"laptop"}, "name"),
        ({"store": None}, "store"),
        ({"backend": object()}, "backend"),
        ({"policy": 7}, "policy"),
        ({"clock": 7}, "clock"),
        ({"clock": lambda: 1.5}, "clock"),
        ({"entropy": 7}, "entropy"),
        ({"witness": 7}, "witness"),
    ],
)
def test_a_wrong_argument_is_named(
    backend: BackendSimulator, changes: dict[str, Any], what: str
) -> None:
    given: dict[str, Any] = {
        "app": "whatsapp",
        "name": "laptop",
        "store": MemoryStore(),
        "backend": backend,
    }
    with pytest.raises(InvalidArgument, match=what):
        DeviceLink(**given | changes)
    assert not backend.calls


def test_a_store_that_holds_a_device_shows_no_code(scene: LinkScene) -> None:
    """Also one that was made with the number of a companion: it has to be a new store."""
    make_device(LAPTOP, scene.store)
    with pytest.raises(DeviceExists):
        scene.new_link()


def test_a_store_that_gets_a_device_meanwhile_is_left_as_it_is(scene: LinkScene) -> None:
    link, _ = scene.confirmed()
    make_device(BUDI, scene.store)
    rows = dump(scene.store)
    with pytest.raises(DeviceExists):
        link.finish(pause=never)
    assert dump(scene.store) == rows
    with pytest.raises(LinkFailed, match="over"):
        link.finish(pause=never)


def test_an_app_that_is_not_known_by_name_is_as_good(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    scene = LinkScene(backend, clock, Address("telegraph", "ana"))
    assert scene.link().device.address == Address("telegraph", "ana", 2)


# --- The order of the steps -----------------------------------------------------------------


def test_the_code_is_shown_until_it_was_scanned(scene: LinkScene) -> None:
    link = scene.new_link()
    code = link.code
    assert code.startswith("e2x1:")
    assert link.code == code
    scene.phone.link_device(code)
    assert link.code == code
    link.poll()
    assert link.code == ""


def test_the_account_is_known_from_the_offer_on(scene: LinkScene) -> None:
    """The user is asked about it as soon as there is one, whatever became of the answer."""
    link, _ = scene.begin()
    cast(BackendSimulator, scene.backend).fail("put_link")
    with pytest.raises(BackendError):
        link.poll()
    assert link.user == ANA.user_id
    assert link.poll() is LinkState.WANTS_DIGITS


def test_two_devices_show_different_codes(scene: LinkScene) -> None:
    assert scene.new_link().code != scene.new_link().code


def test_digits_are_taken_when_they_are_wanted_and_once(scene: LinkScene) -> None:
    link, pairing = scene.begin()
    with pytest.raises(LocalError, match="digits"):
        link.enter_digits("123456")
    link.poll()
    pairing.poll()
    with pytest.raises(InvalidArgument, match="digits"):
        link.enter_digits(123456)  # type: ignore[arg-type]
    link.enter_digits(pairing.digits)
    with pytest.raises(LocalError, match="digits"):
        link.enter_digits("000000")
    pairing.confirm()
    link.finish(pause=never)
    with pytest.raises(LocalError, match="digits"):
        link.enter_digits(pairing.digits)


def test_spaces_between_digits_do_not_count(scene: LinkScene) -> None:
    link, pairing = scene.shown()
    digits = pairing.digits
    link.enter_digits(f" {digits[:3]} {digits[3:]}\n")
    assert link.poll() is LinkState.WANTS_CONFIRMATION


def test_finish_comes_after_the_digits(scene: LinkScene) -> None:
    link, pairing = scene.begin()
    for step in (link.poll, pairing.poll):
        with pytest.raises(LocalError, match="enter_digits"):
            link.finish(pause=never)
        step()
    link.enter_digits(pairing.digits)
    pairing.confirm()
    link.finish(pause=never)


def test_every_call_may_be_repeated(scene: LinkScene) -> None:
    backend = cast(BackendSimulator, scene.backend)
    link, pairing = scene.begin()
    assert {link.poll() for _ in range(3)} == {LinkState.WANTS_DIGITS}
    assert link.wait(pause=never) is LinkState.WANTS_DIGITS
    backend.calls.clear()
    assert link.poll() is LinkState.WANTS_DIGITS
    assert not backend.calls  # nothing is waited for but the user
    pairing.poll()
    link.enter_digits(pairing.digits)
    assert {link.poll() for _ in range(3)} == {LinkState.WANTS_CONFIRMATION}
    assert link.wait(pause=never) is LinkState.WANTS_CONFIRMATION
    pairing.confirm()
    assert {link.poll() for _ in range(3)} == {LinkState.LINKED}
    laptop = link.finish(pause=never)
    rows = dump(scene.store)
    assert link.finish(pause=never) is laptop
    assert dump(scene.store) == rows


# --- Waiting --------------------------------------------------------------------------------


def test_the_back_end_is_asked_once_a_second(scene: LinkScene) -> None:
    backend = cast(BackendSimulator, scene.backend)
    link = scene.new_link()
    backend.calls.clear()
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        assert len(backend.calls) == len(pauses) + 1
        pauses.append(seconds)
        scene.tick(seconds)
        if len(pauses) == 7:
            scene.phone.link_device(link.code)
            del backend.calls[8:]

    assert link.wait(pause=pause) is LinkState.WANTS_DIGITS
    assert pauses == [1.0] * 7


def test_waiting_ends_with_the_time(scene: LinkScene) -> None:
    link = scene.new_link()
    begun = scene.clock.now_ms
    with pytest.raises(LinkFailed, match="too long"):
        link.wait(pause=scene.tick)
    assert scene.clock.now_ms - begun == LINK_LIFETIME_MS + 1000
    link, _ = scene.typed()
    begun = scene.clock.now_ms
    with pytest.raises(LinkFailed, match="too long"):
        link.finish(pause=scene.tick)
    assert scene.clock.now_ms - begun == RESULT_WAIT_MS + 1000


@pytest.mark.parametrize("drift_ms", [0, -1000])
def test_waiting_ends_also_by_a_clock_that_does_not_go_on(scene: LinkScene, drift_ms: int) -> None:
    link = scene.new_link()
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        scene.clock.advance(drift_ms)

    with pytest.raises(LinkFailed, match="too long"):
        link.wait(pause=pause)
    assert sum(pauses) == pytest.approx(RESULT_WAIT_MS / 1000, abs=1)
    with pytest.raises(LinkFailed, match="over"):
        link.poll()


def test_a_pause_has_to_be_a_function(scene: LinkScene) -> None:
    link, pairing = scene.shown()
    for wait in (link.wait, pairing.wait):
        with pytest.raises(InvalidArgument, match="pause"):
            wait(pause=1.0)  # type: ignore[arg-type]
    assert link.poll() is LinkState.WANTS_DIGITS


# --- Times ----------------------------------------------------------------------------------


def to_the_code(scene: LinkScene) -> DeviceLink:
    return scene.new_link()


def to_the_digits(scene: LinkScene) -> DeviceLink:
    return scene.shown()[0]


def to_the_confirmation(scene: LinkScene) -> DeviceLink:
    return scene.typed()[0]


@pytest.mark.parametrize(
    ("lead", "lifetime_ms"),
    [
        (to_the_code, LINK_LIFETIME_MS),
        (to_the_digits, LINK_LIFETIME_MS),
        (to_the_confirmation, RESULT_WAIT_MS),
    ],
)
def test_each_step_has_its_time(
    scene: LinkScene, lead: Callable[[LinkScene], DeviceLink], lifetime_ms: int
) -> None:
    link = lead(scene)
    rows = scene.phone_rows()
    scene.clock.advance(lifetime_ms)
    state = link.poll()
    scene.clock.advance(1)
    with pytest.raises(LinkFailed, match="too long"):
        link.poll()
    assert state is not LinkState.LINKED
    scene.clock.advance(-1)
    with pytest.raises(LinkFailed, match="over"):  # once over, for ever
        link.poll()
    assert (link.code, link.user) == ("", None)
    scene.check_nothing_is_left(rows)


def test_what_is_late_is_not_looked_at(scene: LinkScene) -> None:
    """The offer, the digits and the result are there, and the time is over."""
    link, _ = scene.begin()
    scene.clock.advance(LINK_LIFETIME_MS + 1)
    with pytest.raises(LinkFailed):
        link.poll()
    link, pairing = scene.shown()
    digits = pairing.digits
    scene.clock.advance(LINK_LIFETIME_MS + 1)
    with pytest.raises(LinkFailed, match="too long"):
        link.enter_digits(digits)
    link, pairing = scene.confirmed()
    scene.clock.advance(RESULT_WAIT_MS + 1)
    with pytest.raises(LinkFailed):
        link.poll()
    assert not dump(scene.store)


def test_the_list_in_hand_has_all_the_time(scene: LinkScene) -> None:
    """It is there, and only the store was not: the time ends what is waited for."""
    scene.store = SpyStore(MemoryStore())
    link, _ = scene.confirmed()
    scene.store.fail_transactions = [True]
    with pytest.raises(StoreError):
        link.finish(pause=never)
    scene.clock.advance(RESULT_WAIT_MS + 1)
    assert link.finish(pause=never).device.address == LAPTOP


# --- What ends it ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "digits", ["", "12345", "\uff11\uff12\uff13\uff14\uff15\uff16", "1234567", "\udc80"]
)
def test_wrong_digits_end_it(scene: LinkScene, digits: str) -> None:
    link, pairing = scene.shown()
    rows = scene.phone_rows()
    right = pairing.digits
    with pytest.raises(LinkFailed, match="digits"):
        link.enter_digits(digits)
    with pytest.raises(LinkFailed, match="over"):
        link.enter_digits(right)
    pairing.cancel()
    scene.check_nothing_is_left(rows)
    scene.link()


def test_digits_that_are_next_to_right_end_it(scene: LinkScene) -> None:
    link, pairing = scene.shown()
    wrong = f"{(int(pairing.digits) + 1) % 1_000_000:06}"
    with pytest.raises(LinkFailed, match="digits"):
        link.enter_digits(wrong)


STEPS = [LinkScene.begin, LinkScene.shown, LinkScene.typed, LinkScene.confirmed]


@pytest.mark.parametrize("lead", STEPS)
def test_it_can_be_cancelled_at_each_step(
    scene: LinkScene, lead: Callable[[LinkScene], tuple[DeviceLink, Pairing]]
) -> None:
    link, _ = lead(scene)
    link.cancel()
    link.cancel()
    for call in (link.poll, link.wait, link.finish, lambda: link.enter_digits("000000")):
        with pytest.raises(LinkFailed, match="over"):
            call()
    assert (link.code, link.user) == ("", None)
    assert not dump(scene.store)
    scene.link()


def test_a_device_that_is_linked_stays_so(scene: LinkScene) -> None:
    link, _ = scene.confirmed()
    link.poll()
    for _ in range(2):
        with pytest.raises(LocalError, match="leave"):
            link.cancel()
    assert link.finish(pause=never).device.address == LAPTOP


def test_a_back_end_that_has_another_answer_ends_it(scene: LinkScene) -> None:
    """Somebody who has learnt the id was faster."""
    backend = cast(BackendSimulator, scene.backend)
    link, _ = scene.begin()
    (link_id,) = backend.boxes
    backend.put_link(link_id, 1, b"garbage")
    with pytest.raises(LinkFailed, match="another message"):
        link.poll()
    with pytest.raises(LinkFailed, match="over"):
        link.poll()


def test_what_is_no_message_of_linking_ends_nothing(scene: LinkScene) -> None:
    """The back end has lied to both once: what it says may be another thing a second later."""
    backend = cast(BackendSimulator, scene.backend)
    link, pairing = scene.begin()
    (box,) = backend.boxes.values()
    offer, box[0] = box[0], b"x" * 10_241
    with pytest.raises(BackendError):
        link.poll()
    box[0] = offer
    assert link.poll() is LinkState.WANTS_DIGITS
    answer, box[1] = box[1], cast(bytes, 7)
    with pytest.raises(BackendError):
        pairing.poll()
    box[1] = answer
    assert pairing.poll() is LinkState.SHOWS_DIGITS


# --- Calls and answers that are lost --------------------------------------------------------


def whole(scene: LinkScene, backend: Backend) -> Client:
    """Both ends, each call again if it fails."""
    scene.phone = Client(scene.phone.device, backend)
    link = scene.new_link(backend=backend)
    pairing = again(lambda: scene.phone.link_device(link.code))
    again(lambda: link.wait(pause=lambda _: pairing.poll()))
    again(lambda: pairing.wait(pause=scene.tick))
    link.enter_digits(pairing.digits)
    again(pairing.confirm)
    return again(lambda: link.finish(pause=never))


def count_calls() -> int:
    clock = FakeClock()
    scene = LinkScene(BackendSimulator(), clock)
    faulty = Faulty(scene.backend, -1, is_late=False)
    whole(scene, faulty)
    return len(faulty.calls)


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("at", range(count_calls()))
def test_a_call_or_an_answer_that_is_lost_costs_nothing(
    backend: BackendSimulator, clock: FakeClock, at: int, is_late: bool
) -> None:
    scene = LinkScene(backend, clock)
    faulty = Faulty(backend, at, is_late=is_late)
    laptop = whole(scene, faulty)
    assert len(faulty.calls) > at
    assert laptop.device.address == LAPTOP
    assert scene.held.list.seq == 2
    assert backend.lists[ANA.user_id] == scene.held.encode()
    assert len(backend.boxes) == 1
    scene.phone.maintain()
    laptop.send("whatsapp:ana", Text("halo"))
    assert [item.content for item in scene.phone.receive() if isinstance(item, Message)] == [
        Text("halo")
    ]


def test_a_device_that_was_unlinked_at_once_is_told(scene: LinkScene) -> None:
    link, _ = scene.confirmed()
    scene.phone.unlink(2)
    with pytest.raises(NotRegistered):
        link.finish(pause=never)


def test_keys_that_were_not_published_are_published_after_a_restart(scene: LinkScene) -> None:
    backend = cast(BackendSimulator, scene.backend)
    link, _ = scene.confirmed()
    backend.fail("publish")
    with pytest.raises(BackendError):
        link.finish(pause=never)
    assert link.poll() is LinkState.LINKED
    reopened = Client(Device.open(scene.store, clock=scene.clock), backend)
    reopened.maintain()
    assert backend.published(LAPTOP).identity_key == reopened.device.identity_key


# --- Stores and witnesses that fail ---------------------------------------------------------


@pytest.mark.parametrize("how", ["begin", "write", "commit"])
def test_a_store_that_fails_is_as_it_was_and_may_be_tried_again(scene: LinkScene, how: str) -> None:
    scene.store = spy = SpyStore(MemoryStore())
    link, _ = scene.confirmed()
    spy.fail_transactions = [how == "begin"]
    spy.writes_until_failure = 4 if how == "write" else None
    spy.fail_commit = how == "commit"
    with pytest.raises(StoreError):
        link.poll()
    assert not dump(spy.inner)
    assert link.user == ANA.user_id
    spy.writes_until_failure, spy.fail_commit = None, False
    assert link.poll() is LinkState.LINKED
    assert link.finish(pause=never).device.address == LAPTOP


def test_all_is_written_in_one_transaction(scene: LinkScene) -> None:
    scene.store = spy = SpyStore(MemoryStore())
    link, _ = scene.confirmed()
    spy.fail_transactions = [False, True]
    assert link.poll() is LinkState.LINKED
    assert spy.fail_transactions == [True]


def test_a_witness_that_cannot_be_read_may_be_tried_again(scene: LinkScene) -> None:
    witness = Keychain()
    link = scene.new_link(witness=witness)
    pairing = scene.phone.link_device(link.code)
    link.poll()
    pairing.poll()
    link.enter_digits(pairing.digits)
    pairing.confirm()
    witness.error = OSError("the keychain is locked")
    with pytest.raises(WitnessFailed):
        link.finish(pause=never)
    assert not dump(scene.store)
    witness.error = None
    assert link.finish(pause=never).device.address == LAPTOP


# --- Threads --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lead", "method", "state"),
    [
        (LinkScene.begin, "get_link", LinkState.WANTS_DIGITS),
        (LinkScene.begin, "put_link", LinkState.WANTS_DIGITS),
        (LinkScene.confirmed, "get_link", LinkState.LINKED),
    ],
)
def test_two_that_ask_at_once_do_each_step_once(
    scene: LinkScene,
    lead: Callable[[LinkScene], tuple[DeviceLink, Pairing]],
    method: str,
    state: LinkState,
) -> None:
    link, pairing = lead(scene)
    states: list[LinkState] = []
    link._checked._backend = Hooked(scene.backend, method, lambda: states.append(link.poll()))
    states.append(link.poll())
    assert states == [state] * 2
    if state is LinkState.WANTS_DIGITS:
        pairing.poll()
        link.enter_digits(pairing.digits)
        pairing.confirm()
    assert link.finish(pause=never).device.address == LAPTOP


@pytest.mark.parametrize(
    ("lead", "method"),
    [
        (LinkScene.begin, "get_link"),
        (LinkScene.begin, "put_link"),
        (LinkScene.typed, "get_link"),
        (LinkScene.confirmed, "get_link"),
    ],
)
def test_it_is_cancelled_also_while_the_back_end_is_asked(
    scene: LinkScene, lead: Callable[[LinkScene], tuple[DeviceLink, Pairing]], method: str
) -> None:
    link, _ = lead(scene)
    link._checked._backend = Hooked(scene.backend, method, link.cancel)
    with pytest.raises(LinkFailed, match="over"):
        link.poll()
    assert not dump(scene.store)


def test_a_wait_ends_when_another_thread_cancels(scene: LinkScene) -> None:
    link = scene.new_link()
    with pytest.raises(LinkFailed, match="over"):
        link.wait(pause=lambda _: link.cancel())


# --- Secrets --------------------------------------------------------------------------------


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_shows_nothing_and_is_not_copied(
    scene: LinkScene, take: Callable[[object], object]
) -> None:
    link, pairing = scene.shown()
    for each in (link, pairing, link._attempt, link._newcomer):
        assert pairing.digits not in repr(each)
        assert "secret" in repr(each)
        with pytest.raises(TypeError):
            take(each)

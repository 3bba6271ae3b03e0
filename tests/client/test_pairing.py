# SPDX-License-Identifier: Apache-2.0
"""The phone that links a device: `Client.link_device`, each step of `Pairing`, what follows it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from e2ecross import (
    Address,
    Client,
    DeviceLink,
    LinkState,
    Message,
    Notice,
    NoticeKind,
    Pairing,
    Text,
)
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    DecodeError,
    DevicesConflict,
    E2ECrossError,
    InvalidArgument,
    InvalidKey,
    InvalidSignature,
    LinkFailed,
    LocalError,
    NotPrimary,
    NotRegistered,
    RemoteError,
    StoreError,
)
from e2ecross.protocol.linking import LINK_LIFETIME_MS, CompanionAnswered, begin_companion
from e2ecross.relay import Relay
from e2ecross.state.policy import Policy
from e2ecross.stores import MemoryStore
from e2ecross.wire.capabilities import decode_capabilities
from e2ecross.wire.linking import LinkAnswer
from tests.support.accounts import account, device_of, own_account, put_own
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    BackendSimulator,
    FakeClock,
    SpyStore,
    dump,
    make_client,
    make_device,
)
from tests.support.entropy import SeededEntropy
from tests.support.linked import link as link_at_once
from tests.support.pairing import Hooked, LinkScene, never

Lead = Callable[[LinkScene], tuple[DeviceLink, Pairing]]


@pytest.fixture
def scene(backend: BackendSimulator, clock: FakeClock) -> LinkScene:
    return LinkScene(backend, clock)


@pytest.fixture
def at_relay(clock: FakeClock, tmp_path: Path) -> Iterator[LinkScene]:
    with Relay(tmp_path / "relay.db", clock=clock) as relay:
        yield LinkScene(relay, clock)


def simulator(scene: LinkScene) -> BackendSimulator:
    assert isinstance(scene.backend, BackendSimulator)
    return scene.backend


def notices(client: Client) -> list[tuple[NoticeKind, tuple[int, ...]]]:
    items = client.receive()
    client.confirm(items)
    return [(item.kind, item.devices) for item in items if isinstance(item, Notice)]


# --- What is refused when a code is scanned -------------------------------------------------


def refuse(scene: LinkScene, code: object, error: type[E2ECrossError]) -> str:
    """Scan a code that leads to nothing: no row changes, and no box is opened."""
    rows, boxes = scene.phone_rows(), dict(simulator(scene).boxes)
    with pytest.raises(error) as caught:
        scene.phone.link_device(code)  # type: ignore[arg-type]
    assert scene.phone_rows() == rows
    assert simulator(scene).boxes == boxes
    return str(caught.value)


def test_the_list_says_what_the_new_device_shows(scene: LinkScene) -> None:
    scene.link()
    shown = [decode_capabilities(each.capabilities) for each in scene.held.list.devices]
    assert shown == [{10, 35}, {10, 35}]


def test_another_device_links_none(scene: LinkScene) -> None:
    scene.phone = scene.link()
    code = scene.new_link(MemoryStore()).code
    boxes = dict(simulator(scene).boxes)
    rows = dump(scene.store)
    with pytest.raises(NotPrimary, match="device 1"):
        scene.phone.link_device(code)
    assert dump(scene.store) == rows
    assert simulator(scene).boxes == boxes


@pytest.mark.parametrize("what", ["conflict", "must_reset"])
def test_nobody_is_linked_before_a_decision(scene: LinkScene, what: str) -> None:
    changed = replace(own_account(scene.phone.device), **{what: True})  # type: ignore[arg-type]
    put_own(scene.phone.device, changed)
    assert "restore_devices" in refuse(scene, scene.new_link().code, DevicesConflict)


def test_an_account_has_as_many_devices_as_the_policy_allows(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    scene = LinkScene(backend, clock, policy=Policy(max_devices=2))
    scene.link()
    scene.store = MemoryStore()
    message = refuse(scene, scene.new_link().code, InvalidArgument)
    assert "max_devices" in message
    assert "2" in message


def test_a_code_of_another_app_is_none_of_ours(scene: LinkScene) -> None:
    start = begin_companion("instagram", SeededEntropy("other"), scene.clock.now_ms)
    assert "instagram" in refuse(scene, start.code, LinkFailed)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("", DecodeError),
        ("https://example.org/join", DecodeError),
        ("e2x1:AAAA", DecodeError),
        ("e2x1:" + "A" * 1000, DecodeError),
        (b"e2x1:", InvalidArgument),
        (None, InvalidArgument),
    ],
)
def test_what_is_no_code_is_refused(
    scene: LinkScene, code: object, error: type[E2ECrossError]
) -> None:
    refuse(scene, code, error)


def test_a_device_that_is_not_registered_links_none(backend: BackendSimulator) -> None:
    phone = Client(make_device(ANA), backend)
    with pytest.raises(NotRegistered):
        phone.link_device("e2x1:")


def test_a_restored_store_is_noticed_before_anything_is_offered(scene: LinkScene) -> None:
    backend = simulator(scene)
    other = Client(scene.phone.device, backend)
    backend.fail("epochs", BackendError("out of reach"))
    with pytest.raises(BackendError):
        other.link_device(scene.new_link().code)
    assert not backend.boxes


def test_the_phone_that_is_faster_gets_the_device(
    scene: LinkScene, backend: BackendSimulator
) -> None:
    """A photographed code: the owner is told at once, by either phone that comes second."""
    other = LinkScene(backend, scene.clock, Address("whatsapp", "mallory"))
    link = scene.new_link()
    pairing = scene.phone.link_device(link.code)
    rows = other.phone_rows()
    for phone in (other.phone, scene.phone):
        with pytest.raises(BackendRefused):
            phone.link_device(link.code)
    assert other.phone_rows() == rows
    link.poll()
    pairing.poll()
    link.enter_digits(pairing.digits)
    pairing.confirm()
    assert link.finish(pause=never).device.address == device_of(ANA, 2)


def test_attempts_that_lead_to_nothing_are_bounded_at_the_relay(at_relay: LinkScene) -> None:
    for _ in range(3):
        at_relay.begin()
    with pytest.raises(BackendRefused, match="10 minutes"):
        at_relay.begin()
    at_relay.clock.advance(10 * 60 * 1000 + 1)
    at_relay.link()


# --- The offer ------------------------------------------------------------------------------


@pytest.mark.parametrize("is_late", [False, True])
def test_an_offer_that_was_lost_goes_with_the_next_call(scene: LinkScene, is_late: bool) -> None:
    backend = simulator(scene)
    if is_late:
        backend.lose_answer("put_link")
    else:
        backend.fail("put_link")
    link, pairing = scene.begin()
    assert bool(backend.boxes) is is_late
    assert pairing.poll() is LinkState.WAITING
    assert link.poll() is LinkState.WANTS_DIGITS
    assert pairing.poll() is LinkState.SHOWS_DIGITS


def test_an_offer_that_cannot_be_sent_has_its_time_too(scene: LinkScene) -> None:
    backend = simulator(scene)
    backend.fail("put_link", times=2)
    _, pairing = scene.begin()
    with pytest.raises(BackendError, match="lost"):
        pairing.poll()
    scene.clock.advance(LINK_LIFETIME_MS + 1)
    with pytest.raises(LinkFailed, match="too long"):
        pairing.poll()
    assert not backend.boxes


def test_a_phone_that_lost_its_place_at_the_back_end_is_told(scene: LinkScene) -> None:
    simulator(scene).fail("put_link", NotRegistered("moved"))
    with pytest.raises(NotRegistered):
        scene.begin()


# --- The answer -----------------------------------------------------------------------------


def test_name_and_digits_are_there_when_it_has_answered(scene: LinkScene) -> None:
    link, pairing = scene.begin()
    for _ in range(2):
        assert pairing.poll() is LinkState.WAITING
        assert (pairing.name, pairing.digits) == ("", "")
    link.poll()
    for _ in range(2):
        assert pairing.poll() is LinkState.SHOWS_DIGITS
        assert pairing.name == "laptop"
        assert len(pairing.digits) == 6
        assert pairing.digits.isdecimal()
    simulator(scene).calls.clear()
    assert pairing.wait(pause=never) is LinkState.SHOWS_DIGITS
    assert not simulator(scene).calls


def test_the_back_end_is_asked_once_a_second(scene: LinkScene) -> None:
    link, pairing = scene.begin()
    backend = simulator(scene)
    backend.calls.clear()
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        assert backend.calls == ["get_link"] * len(pauses)
        if len(pauses) == 5:
            link.poll()
            del backend.calls[5:]

    assert pairing.wait(pause=pause) is LinkState.SHOWS_DIGITS
    assert pauses == [1.0] * 5


def test_waiting_ends_with_the_time(scene: LinkScene) -> None:
    _, pairing = scene.begin()
    begun = scene.clock.now_ms
    with pytest.raises(LinkFailed, match="too long"):
        pairing.wait(pause=scene.tick)
    assert scene.clock.now_ms - begun == LINK_LIFETIME_MS + 1000


class Craft:
    """A device that answers with what it likes."""

    def __init__(self, scene: LinkScene) -> None:
        self.start = begin_companion("whatsapp", SeededEntropy("crafty"), scene.clock.now_ms)
        self.pairing = scene.phone.link_device(self.start.code)
        backend = simulator(scene)
        offer = backend.get_link(self.start.link_id, 0)
        assert offer is not None
        self.answered: CompanionAnswered = self.start.take_offer(
            offer,
            name="crafty",
            token=bytes(32),
            entropy=SeededEntropy("identity"),
            now_ms=scene.clock.now_ms,
        )
        self.backend = backend
        self.answer = LinkAnswer.decode(self._opened(self.answered.answer))

    def _opened(self, answer: bytes) -> bytes:
        sealing = self.answered.sealing
        return sealing.open_later(sealing.keys.answer, answer)

    def put(self, content: bytes) -> None:
        sealing = self.answered.sealing
        sealed = sealing.seal(sealing.keys.answer, content)
        self.backend.put_link(self.start.link_id, 1, sealed)


def malformed(answer: LinkAnswer, _: Client) -> bytes:
    return answer.encode()[:-1]


def bad_key(answer: LinkAnswer, _: Client) -> bytes:
    return answer.encode().replace(answer.identity_key, b"\5" + bytes(32))


def no_consent(answer: LinkAnswer, _: Client) -> bytes:
    return LinkAnswer(
        generate_key_pair(SeededEntropy("stranger")).public,
        *(answer.device_signature, answer.token_hash, answer.name),
    ).encode()


def the_key_of_the_account(answer: LinkAnswer, phone: Client) -> bytes:
    own = phone.device._context.identity_key_pair.public
    return answer.encode().replace(answer.identity_key, own)


def named_at_length(answer: LinkAnswer, _: Client) -> bytes:
    return LinkAnswer(
        *(answer.identity_key, answer.device_signature, answer.token_hash, "x" * 65)
    ).encode()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (malformed, DecodeError),
        (named_at_length, DecodeError),
        (bad_key, InvalidKey),
        (no_consent, InvalidSignature),
        (the_key_of_the_account, LinkFailed),
    ],
)
def test_a_wrong_answer_ends_it(
    scene: LinkScene, change: Callable[[LinkAnswer, Client], bytes], error: type[RemoteError]
) -> None:
    craft = Craft(scene)
    rows = scene.phone_rows()
    craft.put(change(craft.answer, scene.phone))
    with pytest.raises(error):
        craft.pairing.poll()
    with pytest.raises(LinkFailed, match="over"):
        craft.pairing.poll()
    assert (craft.pairing.name, craft.pairing.digits) == ("", "")
    scene.check_nothing_is_left(rows)
    scene.link()


def test_a_right_answer_of_the_same_kind_does_not(scene: LinkScene) -> None:
    craft = Craft(scene)
    craft.put(craft.answer.encode())
    assert craft.pairing.poll() is LinkState.SHOWS_DIGITS


def test_what_does_not_open_ends_it(scene: LinkScene) -> None:
    _, pairing = scene.begin()
    (link_id,) = simulator(scene).boxes
    simulator(scene).put_link(link_id, 1, b"garbage")
    with pytest.raises(LinkFailed, match="cannot be used"):
        pairing.poll()


# --- The confirmation -----------------------------------------------------------------------


def test_nothing_is_signed_before_it_was_confirmed(scene: LinkScene) -> None:
    rows = scene.phone_rows()
    scene.typed()
    scene.check_nothing_is_left(rows)


def test_one_list_is_signed_and_published(scene: LinkScene) -> None:
    _, pairing = scene.confirmed()
    assert scene.held.list.seq == 2
    assert scene.numbers == [1, 2]
    assert simulator(scene).lists[ANA.user_id] == scene.held.encode()
    own = own_account(scene.phone.device)
    assert own.published
    assert [new.device for new in own.new_devices] == [2]
    assert [(each.device, each.name) for each in own.names] == [(2, "laptop")]
    assert own.next_device == 3
    rows, backend = scene.phone_rows(), simulator(scene)
    backend.calls.clear()
    for _ in range(2):
        pairing.confirm()
    assert pairing.poll() is LinkState.LINKED
    assert pairing.wait(pause=never) is LinkState.LINKED
    assert scene.phone_rows() == rows
    assert not backend.calls


def test_it_comes_after_the_answer(scene: LinkScene) -> None:
    link, pairing = scene.begin()
    rows = scene.phone_rows()
    with pytest.raises(LocalError, match="answered"):
        pairing.confirm()
    link.poll()
    with pytest.raises(LocalError, match="answered"):
        pairing.confirm()  # nobody has seen name and digits
    scene.check_nothing_is_left(rows)
    assert pairing.poll() is LinkState.SHOWS_DIGITS


def test_an_offer_that_never_left_cannot_be_confirmed(scene: LinkScene) -> None:
    simulator(scene).fail("put_link")
    _, pairing = scene.begin()
    with pytest.raises(LocalError, match="answered"):
        pairing.confirm()


def test_it_has_its_time(scene: LinkScene) -> None:
    _, pairing = scene.typed()
    rows = scene.phone_rows()
    scene.clock.advance(LINK_LIFETIME_MS)
    assert pairing.poll() is LinkState.SHOWS_DIGITS
    scene.clock.advance(1)
    with pytest.raises(LinkFailed, match="too long"):
        pairing.confirm()
    scene.clock.advance(-1)
    with pytest.raises(LinkFailed, match="over"):
        pairing.confirm()
    scene.check_nothing_is_left(rows)


def test_digits_are_not_shown_for_longer(scene: LinkScene) -> None:
    _, pairing = scene.shown()
    scene.clock.advance(LINK_LIFETIME_MS + 1)
    with pytest.raises(LinkFailed, match="too long"):
        pairing.poll()
    assert (pairing.name, pairing.digits) == ("", "")


def test_of_two_attempts_at_once_one_gets_the_number(scene: LinkScene) -> None:
    first, pairing = scene.shown()
    scene.store = MemoryStore()
    _, second = scene.shown()
    second.confirm()
    seq = scene.held.list.seq
    with pytest.raises(LinkFailed, match="meanwhile"):
        pairing.confirm()
    assert scene.held.list.seq == seq
    with pytest.raises(LinkFailed, match="over"):
        pairing.confirm()
    first.cancel()
    scene.store = MemoryStore()
    assert scene.link().device.address.device == 3


def test_room_that_was_taken_meanwhile_may_be_made(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    scene = LinkScene(backend, clock, policy=Policy(max_devices=2))
    link, pairing = scene.typed()
    link_at_once(scene.phone, backend, 5)
    seq = scene.held.list.seq
    with pytest.raises(InvalidArgument, match="max_devices"):
        pairing.confirm()
    assert scene.held.list.seq == seq
    scene.phone.unlink(5)
    pairing.confirm()
    assert scene.numbers == [1, 2]
    assert link.finish(pause=never).device.address.device == 2


def test_a_decision_that_is_due_meanwhile_comes_first(scene: LinkScene) -> None:
    link, pairing = scene.typed()
    put_own(scene.phone.device, replace(own_account(scene.phone.device), conflict=True))
    with pytest.raises(DevicesConflict):
        pairing.confirm()
    assert scene.held.list.seq == 1
    scene.phone.restore_devices([])
    pairing.confirm()
    assert scene.numbers == [1, 2]
    assert link.finish(pause=never).device.address.device == 2


def test_a_list_that_was_signed_meanwhile_is_continued(scene: LinkScene) -> None:
    link, pairing = scene.typed()
    link_at_once(scene.phone, simulator(scene), 7)
    pairing.confirm()
    assert scene.numbers == [1, 2, 7]
    assert account(link.finish(pause=never).device, ANA.user_id).held == scene.held


@pytest.mark.parametrize("method", ["publish_devices", "put_link"])
@pytest.mark.parametrize("is_late", [False, True])
def test_after_an_error_it_is_repeated_and_signs_nothing_again(
    scene: LinkScene, method: str, is_late: bool
) -> None:
    link, pairing = scene.typed()
    backend = simulator(scene)
    if is_late:
        backend.lose_answer(method)
    else:
        backend.fail(method)
    with pytest.raises(BackendError, match="lost"):
        pairing.confirm()
    signed = scene.held
    assert signed.list.seq == 2
    (box,) = backend.boxes.values()
    assert (box[2] is not None) is (method == "put_link" and is_late)  # published first
    assert pairing.poll() is LinkState.SHOWS_DIGITS
    assert pairing.name == "laptop"
    with pytest.raises(LocalError, match="unlink"):
        pairing.cancel()
    scene.clock.advance(LINK_LIFETIME_MS + 1)  # it was confirmed in time
    pairing.confirm()
    assert scene.held == signed
    assert pairing.poll() is LinkState.LINKED
    assert link.finish(pause=never).device.address.device == 2


def test_a_store_that_fails_is_as_it_was(backend: BackendSimulator, clock: FakeClock) -> None:
    spy = SpyStore(MemoryStore())
    scene = LinkScene(backend, clock, store=spy)
    link, pairing = scene.typed()
    rows = dump(spy.inner)
    spy.fail_commit = True
    with pytest.raises(StoreError):
        pairing.confirm()
    spy.fail_commit = False
    assert dump(spy.inner) == rows
    pairing.confirm()
    assert link.finish(pause=never).device.address.device == 2


def test_a_phone_that_is_killed_after_its_commit_publishes_the_list(scene: LinkScene) -> None:
    link, pairing = scene.typed()
    backend = simulator(scene)
    backend.fail("publish_devices")
    with pytest.raises(BackendError):
        pairing.confirm()
    assert backend.lists[ANA.user_id] != scene.held.encode()
    phone = Client(scene.phone.device, backend)
    phone.maintain()
    assert backend.lists[ANA.user_id] == scene.held.encode()
    # The new device never hears of it; after a day it is taken out again.
    with pytest.raises(LinkFailed, match="too long"):
        link.finish(pause=scene.tick)
    scene.clock.advance(DAY_MS)
    phone.maintain()
    assert scene.numbers == [1]
    assert backend.lists[ANA.user_id] == scene.held.encode()
    assert scene.link().device.address.device == 3


def test_a_box_that_is_gone_is_told_with_what_is_left_to_do(at_relay: LinkScene) -> None:
    scene = at_relay
    link, pairing = scene.typed()

    def expire() -> None:
        scene.clock.advance(10 * 60 * 1000)

    pairing._link.backend._backend = Hooked(scene.backend, "publish_devices", expire)
    with pytest.raises(LinkFailed, match=r"device 2 is listed.*unlink"):
        pairing.confirm()
    with pytest.raises(LinkFailed, match="over"):
        pairing.confirm()
    with pytest.raises(LinkFailed):
        link.finish(pause=scene.tick)
    scene.phone.unlink(2)
    assert scene.numbers == [1]


# --- Cancelling -----------------------------------------------------------------------------


@pytest.mark.parametrize("lead", [LinkScene.begin, LinkScene.shown, LinkScene.typed])
def test_it_can_be_cancelled_at_each_step(scene: LinkScene, lead: Lead) -> None:
    rows = scene.phone_rows()
    link, pairing = lead(scene)
    pairing.cancel()
    pairing.cancel()
    for call in (pairing.poll, pairing.wait, pairing.confirm):
        with pytest.raises(LinkFailed, match="over"):
            call()
    assert (pairing.name, pairing.digits) == ("", "")
    link.cancel()
    scene.check_nothing_is_left(rows)
    assert scene.link().device.address.device == 2


def test_what_was_confirmed_is_not_cancelled(scene: LinkScene) -> None:
    link, pairing = scene.confirmed()
    for _ in range(2):
        with pytest.raises(LocalError, match="unlink"):
            pairing.cancel()
    assert pairing.poll() is LinkState.LINKED
    assert link.finish(pause=never).device.address.device == 2


@pytest.mark.parametrize(
    ("lead", "method"), [(LinkScene.begin, "get_link"), (LinkScene.begin, "put_link")]
)
def test_it_is_cancelled_also_while_the_back_end_is_asked(
    scene: LinkScene, lead: Lead, method: str
) -> None:
    if method == "put_link":
        simulator(scene).fail("put_link")
    _, pairing = lead(scene)
    pairing._link.backend._backend = Hooked(scene.backend, method, pairing.cancel)
    with pytest.raises(LinkFailed, match="over"):
        pairing.poll()


def test_two_that_confirm_at_once_sign_one_list(scene: LinkScene) -> None:
    link, pairing = scene.typed()
    pairing._link.backend._backend = Hooked(scene.backend, "publish_devices", pairing.confirm)
    pairing.confirm()
    assert scene.held.list.seq == 2
    assert pairing.poll() is LinkState.LINKED
    assert link.finish(pause=never).device.address.device == 2


# --- What follows ---------------------------------------------------------------------------


@pytest.mark.usefixtures("alone")
def test_all_own_devices_hear_of_it(scene: LinkScene) -> None:
    tablet = scene.link()
    scene.phone.maintain()
    tablet.send("whatsapp:ana", Text("to have a session"))
    scene.phone.confirm(scene.phone.receive())
    tablet.confirm(tablet.receive())
    scene.store = MemoryStore()
    laptop = scene.link()
    assert (NoticeKind.DEVICE_LINKED, (3,)) in notices(scene.phone)
    assert notices(tablet) == [(NoticeKind.DEVICE_LINKED, (3,))]
    assert account(tablet.device, ANA.user_id).held == scene.held
    assert notices(laptop) == []


@pytest.mark.usefixtures("alone")
def test_a_push_that_is_lost_goes_later(scene: LinkScene) -> None:
    """It is no error of linking: everything that the user has asked for is done."""
    tablet = scene.link()
    scene.phone.maintain()
    scene.store = MemoryStore()
    link, pairing = scene.typed()
    backend = simulator(scene)

    def break_off() -> None:
        backend.unreachable = True

    pairing._link.backend._backend = Hooked(backend, "put_link", break_off)
    pairing.confirm()
    assert pairing.poll() is LinkState.LINKED
    backend.unreachable = False
    assert link.finish(pause=never).device.address.device == 3
    scene.phone.maintain()
    assert notices(tablet) == [(NoticeKind.DEVICE_LINKED, (3,))]


def test_a_device_with_keys_gets_the_pins(scene: LinkScene) -> None:
    budi = make_client(BUDI, simulator(scene), clock=scene.clock)
    scene.phone.send("instagram:budi", Text("halo"))
    scene.phone.device.mark_verified(BUDI, budi.device.identity_key)
    link, _ = scene.confirmed()
    scene.phone.maintain()
    assert own_account(scene.phone.device).new_devices  # it has no keys yet
    laptop = link.finish(pause=never)
    assert laptop.device.remote_identity(BUDI) is None
    scene.phone.maintain()
    assert own_account(scene.phone.device).new_devices == ()
    assert laptop.receive() == []
    pinned = laptop.device.remote_identity(BUDI)
    assert pinned is not None
    assert pinned.verified
    assert pinned.identity_key == budi.device.identity_key


def test_a_number_is_not_given_again_at_once(scene: LinkScene) -> None:
    scene.link()
    scene.phone.unlink(2)
    scene.store = MemoryStore()
    assert scene.link().device.address.device == 3


def test_a_device_that_leaves_while_it_is_unlinked_is_unlinked_once(scene: LinkScene) -> None:
    laptop = scene.link()
    laptop.leave()
    scene.phone.unlink(2)
    assert scene.held.list.seq == 3
    assert scene.numbers == [1]
    assert simulator(scene).lists[ANA.user_id] == scene.held.encode()


def test_an_unlinked_device_can_be_linked_again_in_a_new_store(scene: LinkScene) -> None:
    laptop = scene.link()
    laptop.leave()
    scene.phone.receive()
    assert scene.numbers == [1]
    scene.phone.maintain()
    scene.store = MemoryStore()
    laptop = scene.link()
    budi = make_client(BUDI, simulator(scene), clock=scene.clock)
    budi.send("whatsapp:ana", Text("halo"))
    (message,) = laptop.receive()
    assert isinstance(message, Message)

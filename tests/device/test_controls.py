# SPDX-License-Identifier: Apache-2.0
"""What clients tell each other: what each kind does, and from whom."""

from dataclasses import dataclass, replace
from typing import NamedTuple, cast

import pytest

from e2ecross import (
    Address,
    Content,
    Device,
    FailedMessage,
    Message,
    Notice,
    NoticeKind,
    Text,
    UserId,
)
from e2ecross.device import controls
from e2ecross.device.receiving import Received
from e2ecross.errors import UnlistedDevice
from e2ecross.state.context import Context
from e2ecross.state.inbox import InboxItem
from e2ecross.state.outbox import Backlog, BacklogName, block_backlog, put_control, read_backlog
from e2ecross.state.trust import RemoteIdentity, find_identity, observe_identity, require_identity
from e2ecross.stores import Table, Transaction
from e2ecross.wire.account_records import AccountRecord, DeviceName
from e2ecross.wire.content import (
    Bytes,
    ControlContent,
    DeviceListPush,
    DeviceRequest,
    Framed,
    History,
    HistoryItem,
    Payload,
    Pin,
    Pins,
    ReadMark,
    ReadMarks,
    Typing,
    UnsupportedContent,
    encode_content,
)
from e2ecross.wire.content.resent import PayloadContent
from e2ecross.wire.device_list import SignedDeviceList
from tests.support.accounts import (
    account,
    change_account,
    craft,
    device_of,
    hold_list,
    link_devices,
    own_account,
    put_own,
    receive,
    sign_devices,
)
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    MESSAGE_ID,
    TOKO,
    FakeClock,
    dump,
    introduce,
    make_device,
    start,
)

LAPTOP, TABLET = device_of(ANA, 2), device_of(ANA, 3)
OWN, CONTACT, STRANGER = ANA.user_id, BUDI.user_id, TOKO.user_id
OTHER_ID = bytes(range(16, 32))


@dataclass
class World:
    """Ana's three devices, and Budi, who has sessions with each."""

    clock: FakeClock
    phone: Device
    laptop: Device
    tablet: Device
    budi: Device
    own_list: SignedDeviceList

    def tell(self, sender: Device, recipient: Device, content: PayloadContent) -> list[InboxItem]:
        """Tell a device something; returns what is in its inbox then."""
        return receive(recipient, craft(sender, recipient.address, content))

    def ignores(self, sender: Device, recipient: Device, content: PayloadContent) -> bool:
        """Whether a device counts something as received, and does nothing else about it."""
        envelope = craft(sender, recipient.address, content)
        before = state(recipient)
        received = dump(recipient._context.store)
        items = receive(recipient, envelope)
        assert dump(recipient._context.store) != received
        return not items and state(recipient) == before


@pytest.fixture
def world() -> World:
    clock = FakeClock()
    phone, laptop, tablet, budi = (
        make_device(address, clock=clock) for address in (ANA, LAPTOP, TABLET, BUDI)
    )
    own_list = link_devices(phone, laptop, tablet)
    for device in (phone, laptop, tablet):
        introduce(budi, device)
    put_own(phone, replace(own_account(phone), names=()))
    return World(clock, phone, laptop, tablet, budi, own_list)


def state(device: Device) -> dict[tuple[Table, bytes, bytes], bytes]:
    """All that a device holds but what each message changes."""
    ignored = {Table.SESSIONS, Table.SESSION_RECORDS, Table.SPQR, Table.DELIVERED, Table.INBOX}
    return {
        where: row for where, row in dump(device._context.store).items() if where[0] not in ignored
    }


def identity(device: Device, address: Address) -> RemoteIdentity | None:
    with device._context.store.transaction() as tx:
        return find_identity(tx, address)


def let_key_wait(device: Device, address: Address, other: Device) -> None:
    """Let an address have shown another identity key, which the user has to decide about."""
    context, key = device._context, other._context.identity_key_pair.public
    with context.store.transaction() as tx:
        known, now_ms = require_identity(tx, address), context.clock()
        observe_identity(tx, address, known, key, context.policy, now_ms, starts_session=True)


class TestUnknownKinds:
    @pytest.mark.parametrize("kind", [2**31, 2**31 + 21, 2**32 - 1])
    def test_counts_as_received_and_nothing_else(self, world: World, kind: int) -> None:
        content = UnsupportedContent(kind, b"\x08\x01")
        assert world.ignores(world.budi, world.phone, content)
        assert world.ignores(world.laptop, world.phone, content)

    def test_below_2_31_the_app_gets_it(self, world: World) -> None:
        content = UnsupportedContent(15, b"\x08\x01")
        (item,) = world.tell(world.budi, world.phone, content)
        assert isinstance(item, Message)
        assert item.content == content

    def test_under_another_identity_key_it_is_told(self, world: World) -> None:
        impostor = make_device(BUDI, clock=world.clock, seed="other")
        start(impostor, world.phone, kyber=True)
        (item,) = world.tell(impostor, world.phone, UnsupportedContent(2**31, b""))
        assert isinstance(item, FailedMessage)


class TestTyping:
    @pytest.mark.parametrize("sender", ["budi", "phone"])
    def test_counts_as_received(self, world: World, sender: str) -> None:
        assert world.ignores(getattr(world, sender), world.laptop, Typing(on=True))


class TestDeviceListPush:
    @pytest.mark.parametrize("recipient", ["phone", "laptop"])
    def test_a_contact_tells_its_own_newer_list(self, world: World, recipient: str) -> None:
        device = getattr(world, recipient)
        signed = sign_devices(world.budi)
        assert not world.tell(world.budi, device, push(signed))
        assert account(device, CONTACT).held == signed
        newer = sign_devices(world.budi, make_device(device_of(BUDI, 2)), after=signed)
        assert not world.tell(world.budi, device, push(newer))
        assert account(device, CONTACT).held == newer
        assert world.ignores(world.budi, device, push(signed))

    def test_a_contact_tells_a_companion_of_a_newer_own_list(self, world: World) -> None:
        newer = sign_devices(world.phone, world.laptop, after=world.own_list)
        (notice,) = world.tell(world.budi, world.laptop, push(newer))
        assert account(world.laptop, OWN).held == newer
        assert isinstance(notice, Notice)
        assert (notice.kind, notice.devices) == (NoticeKind.DEVICE_UNLINKED, (3,))

    def test_what_the_phone_has_not_signed_is_a_conflict_there(self, world: World) -> None:
        newer = sign_devices(world.phone, after=world.own_list)
        (notice,) = world.tell(world.budi, world.phone, push(newer))
        assert isinstance(notice, Notice)
        assert notice.kind is NoticeKind.FOREIGN_LIST
        assert own_account(world.phone).conflict
        record = account(world.phone, OWN)
        assert (record.held, record.rival) == (world.own_list, newer)

    def test_two_lists_are_judged_each_by_itself(self, world: World) -> None:
        good, bad = sign_devices(world.budi), sign_devices(world.laptop, user=OWN)
        for lists in ((good, bad), (bad, good)):
            device = make_device(ANA, clock=world.clock)
            introduce(world.budi, device)
            assert not world.tell(world.budi, device, push(*lists))
            assert account(device, CONTACT).held == good

    @pytest.mark.parametrize("sender", ["budi", "laptop"])
    def test_what_is_no_list_or_forged_is_skipped(self, world: World, sender: str) -> None:
        signed = sign_devices(world.budi)
        forged = replace(signed, signature=bytes(64)).encode()
        for data in (b"\x00", signed.encode() + b"\x00", forged):
            told = DeviceListPush((data,))
            assert world.ignores(getattr(world, sender), world.phone, told)

    def test_a_list_under_another_account_key_is_ignored(self, world: World) -> None:
        hold_list(world.phone, sign_devices(world.budi))
        impostor = make_device(BUDI, seed="other")
        assert world.ignores(world.budi, world.phone, push(sign_devices(impostor, seq=9)))
        own = sign_devices(make_device(ANA, seed="other"), seq=9)
        assert world.ignores(world.budi, world.laptop, push(own))

    def test_a_contact_does_not_tell_of_others(self, world: World) -> None:
        toko = make_device(TOKO, clock=world.clock)
        introduce(toko, world.phone)
        assert world.ignores(world.budi, world.phone, push(sign_devices(toko)))

    def test_own_devices_tell_of_whom_this_one_knows(self, world: World) -> None:
        signed = sign_devices(world.budi)
        assert not world.tell(world.laptop, world.phone, push(signed))
        assert account(world.phone, CONTACT).held == signed

    def test_own_devices_do_not_tell_of_others(self, world: World) -> None:
        change_account(world.phone, STRANGER, check_wanted=True)
        assert world.ignores(world.laptop, world.phone, push(sign_devices(make_device(TOKO))))


class TestPins:
    def test_an_unknown_account_is_pinned(self, world: World) -> None:
        toko = make_device(TOKO)
        for verified, address in ((False, TOKO), (True, Address("messenger", "warung"))):
            assert not world.tell(world.phone, world.laptop, pins(address, toko, verified=verified))
            known = identity(world.laptop, address)
            assert known is not None
            assert (known.identity_key, known.verified) == (toko.identity_key, verified)
            assert account(world.laptop, address.user_id) == AccountRecord(has_list=True)

    def test_the_accepted_key_becomes_verified_and_stays_so(self, world: World) -> None:
        for verified in (False, True, False):
            assert not world.tell(
                world.phone, world.laptop, pins(BUDI, world.budi, verified=verified)
            )
        known = identity(world.laptop, BUDI)
        assert known is not None
        assert known.verified
        assert account(world.laptop, CONTACT) == AccountRecord(has_list=True)

    def test_the_key_that_waits_is_accepted_with_a_notice(self, world: World) -> None:
        hold_list(world.laptop, sign_devices(world.budi, make_device(device_of(BUDI, 2))))
        change_account(world.laptop, CONTACT, written=True)
        new = make_device(BUDI, seed="new")
        let_key_wait(world.laptop, BUDI, new)
        (notice,) = world.tell(world.phone, world.laptop, pins(BUDI, new, verified=True))
        assert isinstance(notice, Notice)
        assert notice.kind is NoticeKind.IDENTITY_CHANGED
        assert (notice.user, notice.devices) == (CONTACT, (1,))
        assert notice.identity_key == new.identity_key
        known = identity(world.laptop, BUDI)
        assert known is not None
        assert (known.identity_key, known.pending_key) == (new.identity_key, None)
        assert known.verified
        assert identity(world.laptop, device_of(BUDI, 2)) is None
        record = account(world.laptop, CONTACT)
        assert record.held is None
        assert record.written

    def test_what_waited_for_the_key_goes(self, world: World) -> None:
        new = make_device(BUDI, seed="new")
        let_key_wait(world.laptop, BUDI, new)
        backlog, context = Backlog(BacklogName.REQUESTS, BUDI), world.laptop._context
        with context.store.transaction() as tx:
            put_control(tx, BUDI, MESSAGE_ID, DeviceListPush((b"list",)))
            block_backlog(tx, backlog, "untrusted_identity", new.identity_key)
        world.tell(world.phone, world.laptop, pins(BUDI, new))
        with context.store.transaction() as tx:
            record = read_backlog(tx, backlog)
        assert record is not None
        assert not record.untrusted_key

    def test_that_a_key_is_verified_waits_for_a_decision_about_another(self, world: World) -> None:
        let_key_wait(world.laptop, BUDI, make_device(BUDI, seed="new"))
        assert world.ignores(world.phone, world.laptop, pins(BUDI, world.budi, verified=True))

    def test_a_key_that_was_not_seen_is_ignored(self, world: World) -> None:
        told = pins(BUDI, make_device(BUDI, seed="other"), verified=True)
        assert world.ignores(world.phone, world.laptop, told)

    def test_the_own_account_is_not_pinned(self, world: World) -> None:
        assert world.ignores(world.phone, world.laptop, pins(ANA, world.budi))
        assert world.ignores(world.phone, world.laptop, pins(ANA, world.phone, verified=True))

    @pytest.mark.parametrize(
        ("sender", "recipient"),
        [("laptop", "phone"), ("laptop", "tablet"), ("budi", "phone"), ("budi", "laptop")],
    )
    def test_nobody_else_pins(self, world: World, sender: str, recipient: str) -> None:
        told = pins(TOKO, make_device(TOKO), verified=True)
        assert world.ignores(getattr(world, sender), getattr(world, recipient), told)


class TestHistory:
    def test_what_was_received_and_sent_comes_as_history(self, world: World) -> None:
        items = (
            item(BUDI, text="from budi"),
            item(ANA, peer=CONTACT, text="from ana"),
            item(ANA, peer=OWN, message_id=OTHER_ID, text="a note"),
        )
        received = world.tell(world.phone, world.laptop, History(items))
        messages = [each for each in received if isinstance(each, Message)]
        assert len(messages) == len(received) == 3
        for shared, message in zip(items, messages, strict=True):
            assert message.historical
            assert (message.sender, message.peer) == (shared.sender, shared.peer)
            assert message.own_copy is (shared.sender == ANA)
            assert (message.message_id, message.sent_at_ms) == (shared.message_id, 1_000)
            assert encode_content(cast("Content", message.content)) == (1, shared.content_body)
            assert not message.identity_changed

    def test_kinds_of_content_that_are_not_known_are_carried(self, world: World) -> None:
        shared = replace(item(BUDI), content_kind=15, content_body=b"?")
        (message,) = world.tell(world.phone, world.laptop, History((shared,)))
        assert isinstance(message, Message)
        assert message.content == UnsupportedContent(15, b"?")

    def test_what_was_to_be_looked_at_once_is_shown_no_second_time(self, world: World) -> None:
        framed = Framed(Text("look once"), bytes(32), view_once=True)
        kind, body = encode_content(framed)
        shared = replace(item(BUDI), content_kind=kind, content_body=body)
        assert world.tell(world.phone, world.laptop, History((shared,))) == []

    def test_what_was_received_before_is_skipped(self, world: World) -> None:
        receive(world.laptop, craft(world.budi, LAPTOP, Text("halo"), message_id=MESSAGE_ID))
        assert len(world.tell(world.phone, world.laptop, History((item(BUDI),)))) == 1

    def test_what_comes_twice_is_skipped(self, world: World) -> None:
        shared = item(BUDI)
        assert len(world.tell(world.phone, world.laptop, History((shared, shared)))) == 1
        assert len(world.tell(world.phone, world.laptop, History((shared,)))) == 1
        late = craft(world.budi, LAPTOP, Text("halo"), message_id=shared.message_id)
        assert len(receive(world.laptop, late)) == 1

    def test_items_that_cannot_be_are_skipped_alone(self, world: World) -> None:
        request = encode_content(DeviceRequest(unlink=True, capabilities=b""))
        wrong = (
            item(LAPTOP, peer=CONTACT),  # this device's own
            item(BUDI, peer=STRANGER),
            replace(item(BUDI), content_kind=2**31 + 5),
            replace(item(BUDI), content_kind=request[0], content_body=request[1]),
            replace(item(BUDI), content_body=b"\xff"),
        )
        right = item(BUDI, message_id=OTHER_ID)
        (message,) = world.tell(world.phone, world.laptop, History((*wrong, right)))
        assert isinstance(message, Message)
        assert message.message_id == OTHER_ID

    @pytest.mark.parametrize(("ms", "is_taken"), [(DAY_MS - 1, True), (DAY_MS, False), (-1, False)])
    def test_it_is_taken_within_a_day_of_the_linking(
        self, world: World, ms: int, is_taken: bool
    ) -> None:
        world.clock.advance(ms)
        received = world.tell(world.phone, world.laptop, History((item(BUDI),)))
        assert bool(received) is is_taken

    def test_a_device_that_was_not_linked_takes_none(self, world: World) -> None:
        put_own(world.laptop, replace(own_account(world.laptop), linked_at_ms=0))
        assert world.ignores(world.phone, world.laptop, History((item(BUDI),)))
        context = world.laptop._context
        with context.store.transaction() as tx:
            tx.delete(Table.DEVICE, b"", b"account")
        assert world.ignores(world.phone, world.laptop, History((item(BUDI),)))

    def test_nor_does_it_in_1970(self, world: World) -> None:
        put_own(world.laptop, replace(own_account(world.laptop), linked_at_ms=0))
        world.clock.now_ms = 1_000
        assert world.ignores(world.phone, world.laptop, History((item(BUDI),)))

    @pytest.mark.parametrize(
        ("sender", "recipient"),
        [("laptop", "phone"), ("laptop", "tablet"), ("budi", "phone"), ("budi", "laptop")],
    )
    def test_nobody_else_hands_it_on(self, world: World, sender: str, recipient: str) -> None:
        told = History((item(BUDI),))
        assert world.ignores(getattr(world, sender), getattr(world, recipient), told)


class TestReadMarks:
    @pytest.mark.parametrize(
        ("sender", "recipient"), [("laptop", "phone"), ("phone", "laptop"), ("tablet", "laptop")]
    )
    def test_are_told_in_one_notice(self, world: World, sender: str, recipient: str) -> None:
        told = ReadMarks((ReadMark(BUDI, MESSAGE_ID), ReadMark(device_of(BUDI, 2), OTHER_ID)))
        (notice,) = world.tell(getattr(world, sender), getattr(world, recipient), told)
        assert isinstance(notice, Notice)
        assert (notice.kind, notice.user) == (NoticeKind.READ_ELSEWHERE, CONTACT)
        assert notice.messages == (MESSAGE_ID, OTHER_ID)

    def test_of_own_messages_are_ignored(self, world: World) -> None:
        assert world.ignores(world.laptop, world.phone, ReadMarks((ReadMark(ANA, MESSAGE_ID),)))

    def test_of_others_are_ignored(self, world: World) -> None:
        for device in (world.phone, world.laptop):
            assert world.ignores(world.budi, device, ReadMarks((ReadMark(BUDI, MESSAGE_ID),)))


class Asked(NamedTuple):
    device: int
    capabilities: bytes | None


class TestDeviceRequest:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[Asked]:
        found: list[Asked] = []

        def unlink(context: Context, tx: Transaction, device: int) -> None:
            found.append(Asked(device, None))

        def change(context: Context, tx: Transaction, device: int, data: bytes) -> None:
            found.append(Asked(device, data))

        monkeypatch.setattr(controls, "request_unlink", unlink)
        monkeypatch.setattr(controls, "request_capabilities", change)
        return found

    @pytest.mark.parametrize(
        ("request_", "expected"),
        [
            (DeviceRequest(unlink=True, capabilities=b""), Asked(2, None)),
            (DeviceRequest(unlink=True, capabilities=b"all"), Asked(2, None)),
            (DeviceRequest(unlink=False, capabilities=b"all"), Asked(2, b"all")),
            (DeviceRequest(unlink=False, capabilities=b""), Asked(2, b"")),
        ],
    )
    def test_is_for_device_1_to_grant(
        self, world: World, asked: list[Asked], request_: DeviceRequest, expected: Asked
    ) -> None:
        assert not world.tell(world.laptop, world.phone, request_)
        assert asked == [expected]

    def test_four_changes_a_day_are_granted(self, world: World, asked: list[Asked]) -> None:
        def ask(device: Device, number: int) -> int:
            data = bytes((number,))
            world.tell(device, world.phone, DeviceRequest(unlink=False, capabilities=data))
            return len(asked)

        assert [ask(world.laptop, number) for number in range(6)] == [1, 2, 3, 4, 4, 4]
        assert ask(world.tablet, 9) == 5
        assert asked[-1] == Asked(3, b"\x09")
        world.tell(world.laptop, world.phone, DeviceRequest(unlink=True, capabilities=b""))
        assert asked.pop() == Asked(2, None)
        world.clock.advance(DAY_MS - 1)
        assert ask(world.laptop, 1) == 5
        world.clock.advance(1)
        assert [ask(world.laptop, number) for number in range(6)] == [6, 7, 8, 9, 9, 9]

    @pytest.mark.parametrize(
        ("sender", "recipient"),
        [("phone", "laptop"), ("tablet", "laptop"), ("budi", "phone"), ("budi", "laptop")],
    )
    def test_is_nothing_to_others(
        self, world: World, asked: list[Asked], sender: str, recipient: str
    ) -> None:
        told = DeviceRequest(unlink=True, capabilities=b"")
        assert world.ignores(getattr(world, sender), getattr(world, recipient), told)
        assert not asked


class TestWhoIsOwn:
    CONTENTS = (
        ReadMarks((ReadMark(BUDI, MESSAGE_ID),)),
        DeviceRequest(unlink=True, capabilities=b""),
    )

    @pytest.mark.parametrize("content", CONTENTS)
    def test_nobody_is_at_a_device_without_a_list(
        self, world: World, content: ControlContent
    ) -> None:
        phone, laptop = make_device(ANA, seed="alone"), make_device(LAPTOP, seed="alone")
        introduce(phone, laptop)
        assert world.ignores(laptop, phone, content)

    def test_device_1_under_another_key_is_not(self, world: World) -> None:
        impostor = make_device(ANA, clock=world.clock, seed="other")
        start(impostor, world.laptop, kyber=True)
        for content in (pins(TOKO, make_device(TOKO)), History((item(BUDI),)), *self.CONTENTS):
            with pytest.raises(UnlistedDevice):
                world.tell(impostor, world.laptop, content)
        assert identity(world.laptop, TOKO) is None

    def test_the_key_has_to_be_the_one_that_is_listed(self, world: World) -> None:
        """Whoever else may let something else through: this is asked before anything is done."""
        context = world.phone._context
        key = world.laptop._context.identity_key_pair.public
        other = world.budi._context.identity_key_pair.public
        payload = Payload(LAPTOP, ANA, MESSAGE_ID, 1, 1, self.CONTENTS[0])
        answers = []
        for identity_key, sender in ((key, LAPTOP), (other, LAPTOP), (key, TABLET), (key, BUDI)):
            received = Received(
                *(replace(payload, sender=sender), False, False, key),
                *(identity_key, sender, identity_key, False),
            )
            with context.store.transaction() as tx:
                answers.append(controls.is_of_own_device(context, tx, received))
        assert answers == [True, False, False, False]


class TestOwnCopies:
    def test_an_own_copy_says_whom_the_user_has_written_to(self, world: World) -> None:
        envelope = craft(world.laptop, ANA, Text("halo"), peer=CONTACT)
        (message,) = receive(world.phone, envelope)
        assert isinstance(message, Message)
        assert message.own_copy
        assert message.peer == CONTACT
        assert not message.historical
        assert account(world.phone, CONTACT).written

    def test_what_is_known_of_the_account_stays(self, world: World) -> None:
        signed = sign_devices(world.budi)
        hold_list(world.phone, signed)
        for text in ("halo", "again"):
            receive(world.phone, craft(world.laptop, ANA, Text(text), peer=CONTACT))
        assert account(world.phone, CONTACT).written
        assert account(world.phone, CONTACT).held == signed

    def test_what_others_send_says_nothing_of_that(self, world: World) -> None:
        receive(world.phone, craft(world.budi, ANA, Text("halo")))
        assert not account(world.phone, CONTACT).written

    def test_device_1_notes_once_a_day_when_it_heard_of_another(self, world: World) -> None:
        names = (DeviceName(2, "laptop", 1), DeviceName(3, "tablet", 1))
        put_own(world.phone, replace(own_account(world.phone), names=names))

        def seen() -> list[int]:
            receive(world.phone, craft(world.laptop, ANA, Bytes(b"halo"), peer=CONTACT))
            return [each.last_seen_ms for each in own_account(world.phone).names]

        first_ms = world.clock()
        assert seen() == [first_ms, 0]
        world.clock.advance(DAY_MS - 1)
        assert seen() == [first_ms, 0]
        world.clock.advance(1)
        assert seen() == [first_ms + DAY_MS, 0]
        world.clock.advance(-2 * DAY_MS)
        assert seen() == [first_ms - DAY_MS, 0]

    def test_nor_of_devices_of_others(self, world: World) -> None:
        names = (DeviceName(2, "laptop", 1),)
        put_own(world.phone, replace(own_account(world.phone), names=names))
        second = make_device(device_of(BUDI, 2), clock=world.clock)
        introduce(second, world.phone)
        receive(world.phone, craft(second, ANA, Text("halo")))
        assert own_account(world.phone).names == names

    def test_a_device_that_knows_nothing_of_its_account_notes_nothing(self, world: World) -> None:
        with world.phone._context.store.transaction() as tx:
            tx.delete(Table.DEVICE, b"", b"account")
        receive(world.phone, craft(world.laptop, ANA, Text("halo"), peer=CONTACT))
        with world.phone._context.store.transaction() as tx:
            assert tx.get(Table.DEVICE, b"", b"account") is None


def push(*lists: SignedDeviceList) -> DeviceListPush:
    return DeviceListPush(tuple(each.encode() for each in lists))


def pins(address: Address, device: Device, *, verified: bool = False) -> Pins:
    """A pin of the key of a device for an account."""
    key = device._context.identity_key_pair.public
    return Pins((Pin(address.user_id, key, verified),))


def item(
    sender: Address,
    *,
    peer: UserId = CONTACT,
    message_id: bytes = MESSAGE_ID,
    text: str = "halo",
) -> HistoryItem:
    return HistoryItem(sender, peer, message_id, 1_000, *encode_content(Text(text)))

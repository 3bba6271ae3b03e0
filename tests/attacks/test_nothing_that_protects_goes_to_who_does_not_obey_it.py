# SPDX-License-Identifier: Apache-2.0
"""What is to be gone, or looked at once, is sent to nobody whose app has not said that it obeys.

The attacker: a back end that shows an old list of devices, or one whose capabilities it has
changed, or a new one just while a message is made; an account whose devices announce what is not
well-formed; a device that asks for what it was not to get.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from e2ecross import Client, Expiry, Media, Notice, Plan, Policy, Sent, SentContent, Text
from e2ecross.errors import ContentRefused, LossyContent, RemoteError
from e2ecross.stores import Table
from e2ecross.wire.capabilities import encode_capabilities
from e2ecross.wire.device_list import SignedDeviceList
from e2ecross.wire.exchange import KeysWanted, UserKeys
from tests.attacks.support import ANA, BUDI, FakeClock
from tests.client.conversation import ask, forget_sessions, store_of
from tests.support.accounts import (
    account,
    change_account,
    change_devices,
    device_of,
    make_account,
    new_client,
)
from tests.support.device_lists import Household
from tests.support.devices import BackendSimulator, Dump, dump
from tests.support.formats import ATTACHMENT

ALL = frozenset({10, *range(13, 21), 32, 33})
FULL, PLAIN = Policy(capabilities=ALL), Policy(capabilities=frozenset())


class Case(NamedTuple):
    """What is sent, and what protects somebody of it."""

    content: SentContent
    expiry: Expiry | None = None
    view_once: bool = False

    def send(self, client: Client) -> Sent:
        """Send it to Budi, whatever is lost."""
        return client.send(
            BUDI,
            self.content,
            expiry=self.expiry,
            view_once=self.view_once,
            allow_lossy=True,
        )

    def plan(self, client: Client) -> Plan:
        """What Budi would see of it."""
        return client.plan(BUDI, self.content, expiry=self.expiry, view_once=self.view_once)


protected = pytest.mark.parametrize(
    "case",
    [
        Case(Text("attack at dawn"), Expiry(60)),
        Case(Text("attack at dawn"), view_once=True),
        Case(Media(ATTACHMENT), Expiry(60), view_once=True),
    ],
    ids=["expiry", "view once", "both"],
)


class Meddler(BackendSimulator):
    """A back end that does something to what it hands out."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[], object] | None = None
        self.handed_out: Callable[[UserKeys], UserKeys] | None = None

    def fetch_keys(self, requester: Any, token: bytes, wanted: Sequence[KeysWanted]) -> Any:  # noqa: ANN401
        if self.before is not None:
            change, self.before = self.before, None
            change()
        answers = super().fetch_keys(requester, token, wanted)
        if self.handed_out is None:
            return answers
        return [self.handed_out(each) if isinstance(each, UserKeys) else each for each in answers]


@pytest.fixture
def backend() -> Meddler:
    return Meddler()


@pytest.fixture
def ana(backend: Meddler, clock: FakeClock) -> Client:
    return make_account(ANA, (1,), backend, clock=clock, policy=FULL)[0]


def kept(client: Client) -> Dump:
    """What a store holds of messages that were sent, and of what waits."""
    tables = (Table.SENT, Table.OUTBOX)
    return {row: held for row, held in dump(store_of(client)).items() if row[0] in tables}


def silent(client: Client) -> Household:
    """The account of a client whose app announces nothing."""
    home = Household(client.device.address.user_id)
    home.move_in(1, client.device._context.identity_key_pair, b"")
    return home


def received(client: Client) -> list[object]:
    return [item for item in client.receive() if not isinstance(item, Notice)]


@protected
def test_an_old_list_takes_abilities_away_and_gives_none(
    backend: Meddler, clock: FakeClock, ana: Client, case: Case
) -> None:
    budi = new_client(BUDI, backend, clock=clock, policy=FULL)
    change_devices(backend, budi)
    old = silent(budi).sign(1)
    backend.handed_out = lambda keys: replace(keys, device_list=old.encode())
    with pytest.raises(ContentRefused):
        case.send(ana)
    assert kept(ana) == {}
    assert received(budi) == []


@protected
def test_a_list_that_was_changed_is_no_list(
    backend: Meddler, clock: FakeClock, ana: Client, case: Case
) -> None:
    budi = new_client(BUDI, backend, clock=clock, policy=PLAIN)
    change_devices(backend, budi)

    def with_more(keys: UserKeys) -> UserKeys:
        signed = SignedDeviceList.decode(keys.device_list)
        (entry,) = signed.list.devices
        data = encode_capabilities(ALL)
        changed = replace(signed.list, devices=(replace(entry, capabilities=data),))
        forged = SignedDeviceList(changed.encode(), signed.signature, changed)
        return replace(keys, device_list=forged.encode())

    backend.handed_out = with_more
    with pytest.raises((ContentRefused, RemoteError)):
        case.send(ana)
    assert account(ana.device, BUDI.user_id).held is None
    assert kept(ana) == {}
    assert received(budi) == []


@protected
def test_a_device_that_is_linked_between_plan_and_commit(
    backend: Meddler, clock: FakeClock, ana: Client, case: Case
) -> None:
    """The plan is good; then a session is needed, and with its keys comes another list."""
    budi = new_client(BUDI, backend, clock=clock, policy=FULL)
    change_devices(backend, budi)
    ana.send(BUDI, Text("halo"))
    received(budi)
    tablet = new_client(device_of(BUDI, 2), backend, clock=clock, policy=PLAIN)
    assert case.plan(ana).losses == ()
    forget_sessions(ana)
    ana.maintain()
    before = kept(ana)
    backend.before = lambda: change_devices(backend, budi, tablet)
    with pytest.raises(ContentRefused):
        case.send(ana)
    assert backend.before is None
    assert kept(ana) == before
    assert received(budi) == received(tablet) == []


def test_what_the_user_has_not_agreed_to_lose_is_not_lost_in_between(
    backend: Meddler, clock: FakeClock, ana: Client
) -> None:
    budi = new_client(BUDI, backend, clock=clock, policy=FULL)
    change_devices(backend, budi)
    ana.send(BUDI, Text("halo"))
    received(budi)
    tablet = new_client(device_of(BUDI, 2), backend, clock=clock, policy=PLAIN)
    forget_sessions(ana)
    backend.before = lambda: change_devices(backend, budi, tablet)
    with pytest.raises(LossyContent):
        ana.send(BUDI, Media(ATTACHMENT))
    assert received(budi) == received(tablet) == []


@protected
@pytest.mark.parametrize(
    "announced",
    [
        b"",
        encode_capabilities(ALL) + b"\0",
        encode_capabilities(ALL)[:-1],
        b"\x08\x01\x12\x02\x20\x21",  # 32 and 33 without 10
        b"\x08\x02" + encode_capabilities(ALL)[2:],  # a later version
        bytes(256),
    ],
    ids=range(6),
)
def test_what_is_not_well_formed_announces_nothing(
    backend: Meddler, ana: Client, case: Case, announced: bytes
) -> None:
    home = Household(BUDI.user_id)
    home.move_in(1, None, announced)
    change_account(ana.device, BUDI.user_id, held=home.sign())
    before = dump(store_of(ana))
    with pytest.raises(ContentRefused):
        case.send(ana)
    assert dump(store_of(ana)) == before


@protected
def test_who_asks_for_it_later_gets_it_as_little(
    backend: Meddler, clock: FakeClock, ana: Client, case: Case
) -> None:
    """Its owner has put the app back to a release that does not obey, and asks again."""
    budi = new_client(BUDI, backend, clock=clock, policy=FULL)
    change_devices(backend, budi)
    sent = case.send(ana)
    backend.drop(BUDI, -1)
    change_account(ana.device, BUDI.user_id, held=silent(budi).sign(9))
    ask(budi, ANA, sent.message_id)
    items = ana.receive()
    assert [item.code for item in items if isinstance(item, Notice)] == ["content_refused"]
    assert received(budi) == []

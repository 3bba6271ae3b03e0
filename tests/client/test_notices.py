# SPDX-License-Identifier: Apache-2.0
"""What the policy accepts is told the app, whoever triggered it: a send, a retry, a flush."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from e2ecross import (
    Address,
    Client,
    Device,
    Message,
    Notice,
    NoticeKind,
    Policy,
    PreKeyBundle,
    Text,
)
from e2ecross.errors import BackendError, UnknownRecipient, VersionDowngrade
from e2ecross.state.inbox import put_notice
from e2ecross.wire.exchange import KeysWanted, UserKeys
from tests.client.conversation import (
    forget_sessions,
    meet,
    promise,
    read,
    read_notices,
    reinstalled,
    reopen,
)
from tests.support.accounts import sign_devices
from tests.support.devices import (
    ANA,
    BUDI,
    NOW_MS,
    BackendSimulator,
    FakeClock,
    bundle_from,
    make_client,
    make_device,
)
from tests.support.entropy import SeededEntropy

LAX = Policy(
    accept_changed_identity=True,
    accept_version_downgrade=True,
    minimum_version=3,
)


class Directory(BackendSimulator):
    """Hands out bundles without post-quantum keys, or of somebody else, when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.strips = False
        self.other: Device | None = None

    def play(self, other: Device) -> None:
        """Let somebody else be device 1 of an account."""
        self.other = other
        self.lists[other.address.user_id] = sign_devices(other).encode()

    def fetch_bundle(self, requester: Address, token: bytes, address: Address) -> PreKeyBundle:
        bundle = super().fetch_bundle(requester, token, address)
        if self.other is not None and address == self.other.address:
            bundle = bundle_from(self.other.publish(1), None, kyber=True)
        if self.strips:
            bundle = replace(
                bundle, kyber_prekey_id=None, kyber_prekey=None, kyber_prekey_signature=None
            )
        return bundle

    def fetch_keys(
        self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]
    ) -> list[UserKeys | UnknownRecipient]:
        """Somebody who has a new key has a new list, too; or none, as here."""
        answers = super().fetch_keys(requester, token, wanted)
        for place, (keys, answer) in enumerate(zip(wanted, answers, strict=True)):
            is_other = self.other is not None and keys.user == self.other.address.user_id
            if is_other and isinstance(answer, UserKeys):
                answers[place] = UserKeys(b"", answer.bundles)
        return answers


@pytest.fixture
def backend() -> Directory:
    return Directory()


@pytest.fixture
def pair(backend: Directory) -> tuple[Client, Client]:
    ana, budi = (make_client(address, backend, policy=LAX) for address in (ANA, BUDI))
    meet(ana, budi)
    return ana, budi


@pytest.fixture
def ana(pair: tuple[Client, Client]) -> Client:
    return pair[0]


def by_send(ana: Client, budi: Client, backend: Directory) -> Client:
    forget_sessions(ana)
    ana.send(BUDI, Text("sent"))
    return ana


def by_retry(ana: Client, budi: Client, backend: Directory) -> Client:
    """What arrives cannot be read, and is asked for in a new session."""
    backend.inject(ANA, damaged(budi))
    return ana


def by_flush(ana: Client, budi: Client, backend: Directory) -> Client:
    """What waits is encrypted anew after a restore."""
    backend.fail("deposit")
    promise(ana, BUDI, "waits")
    context = ana.device._context
    device = Device.open(
        context.store,
        policy=LAX,
        clock=FakeClock(),
        entropy=SeededEntropy("restored"),
        restored=True,
    )
    client = Client(device, backend)
    client.maintain()
    return client


WAYS = [by_send, by_retry, by_flush]
Way = Callable[[Client, Client, Directory], Client]


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("way", WAYS)
def test_a_changed_identity_that_the_policy_accepts_is_told(
    way: Way, pair: tuple[Client, Client], backend: Directory
) -> None:
    ana, budi = pair
    backend.play(other := make_device(BUDI, seed="of the back end"))
    again = way(ana, budi, backend)
    changed = [n for n in read_notices(again) if n.kind is NoticeKind.IDENTITY_CHANGED]
    assert changed == [
        Notice(
            NoticeKind.IDENTITY_CHANGED,
            BUDI.user_id,
            devices=(1,),
            identity_key=other.identity_key,
        )
    ]
    assert read(again) == []  # once


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("way", WAYS)
def test_a_downgrade_that_the_policy_accepts_is_told(
    way: Way, pair: tuple[Client, Client], backend: Directory
) -> None:
    ana, budi = pair
    backend.strips = True
    again = way(ana, budi, backend)
    notices = [n for n in read_notices(again) if n.kind is not NoticeKind.RESTORED]
    assert notices == [Notice(NoticeKind.VERSION_DOWNGRADED, BUDI.user_id, devices=(1,))]
    assert read(again) == []


def test_what_comes_under_an_accepted_key_is_told_and_flagged(
    ana: Client, backend: Directory
) -> None:
    new = reinstalled(BUDI, backend, LAX)
    new.send(ANA, Text("new phone"))
    notice, message = ana.receive()
    assert isinstance(notice, Notice)
    assert notice.kind is NoticeKind.IDENTITY_CHANGED
    assert notice.identity_key == new.device.identity_key
    assert getattr(message, "identity_changed", None) is True


@pytest.mark.usefixtures("alone")
def test_a_downgrade_that_arrives_is_told_and_flagged(
    pair: tuple[Client, Client], backend: Directory
) -> None:
    ana, budi = pair
    forget_sessions(budi)
    backend.strips = True
    budi.send(ANA, Text("in the older version"))
    notice, message = ana.receive()
    told = Notice(NoticeKind.VERSION_DOWNGRADED, BUDI.user_id, devices=(1,))
    assert notice == told
    assert isinstance(message, Message)
    assert (message.version_downgraded, message.identity_changed) == (True, False)
    again = reopen(ana, backend)
    assert again.receive() == [replace(item, redelivered=True) for item in (notice, message)]
    budi.send(ANA, Text("goes on"))  # said once, when the session begins
    assert read(again) == ["goes on"]


@pytest.mark.usefixtures("alone")
def test_a_notice_comes_until_it_is_confirmed_and_is_flagged_after_a_restart(
    ana: Client, backend: Directory
) -> None:
    reinstalled(BUDI, backend, LAX)
    forget_sessions(ana)
    ana.send(BUDI, Text("sent"))
    (notice,) = ana.receive()
    assert isinstance(notice, Notice)
    assert not notice.redelivered
    assert ana.receive() == []
    again = reopen(ana, backend)
    (repeated,) = again.receive()
    assert repeated == replace(notice, redelivered=True)
    again.confirm([repeated])
    assert reopen(again, backend).receive() == []


@pytest.mark.usefixtures("alone")
def test_a_notice_is_written_with_what_makes_it_true(ana: Client, backend: Directory) -> None:
    """The send fails after the key was accepted; that it was is told all the same."""
    new = reinstalled(BUDI, backend, LAX)
    forget_sessions(ana)
    backend.fail("deposit")
    with pytest.raises(BackendError):
        ana.send(BUDI, Text("waits"))
    (notice,) = read_notices(ana)
    assert (notice.kind, notice.identity_key) == (
        NoticeKind.IDENTITY_CHANGED,
        new.device.identity_key,
    )


@pytest.mark.usefixtures("alone")
def test_a_key_that_the_policy_does_not_accept_is_no_change(backend: Directory) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    backend.other = make_device(BUDI, seed="of the back end")
    backend.inject(ANA, damaged(budi))
    assert read(ana) == ["!authentication_failed", "*identity_pending"]
    known = ana.device.remote_identity(BUDI)
    assert known is not None
    assert known.identity_key == budi.device.identity_key


def damaged(client: Client) -> bytes:
    envelope = client.device.encrypt(ANA, Text("never read")).encode()
    return envelope[:-1] + bytes((envelope[-1] ^ 1,))


def test_an_older_version_that_a_message_brings_and_the_policy_accepts_is_told(
    pair: tuple[Client, Client], backend: Directory
) -> None:
    ana, budi = pair
    budi.device.start_session(bundle_from(ana.device.publish(1), None, kyber=False))
    backend.inject(ANA, budi.device.encrypt(ANA, Text("without post-quantum keys")).encode())
    items = ana.receive()
    (notice,) = [item for item in items if isinstance(item, Notice)]
    assert (notice.kind, notice.user, notice.devices) == (
        NoticeKind.VERSION_DOWNGRADED,
        BUDI.user_id,
        (BUDI.device,),
    )
    assert len(items) == 2


def test_a_bundle_without_post_quantum_keys_starts_nothing_unless_the_policy_says_so(
    backend: Directory,
) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    backend.strips = True
    with pytest.raises(VersionDowngrade, match=r"version 4 .* this is version 3"):
        ana.send(BUDI, Text("halo"))
    assert not ana.device.has_session(BUDI)
    backend.strips = False
    ana.send(BUDI, Text("halo"))
    assert read(budi) == ["halo"]


def test_who_sends_hears_what_the_bundle_has_brought(
    pair: tuple[Client, Client], backend: Directory
) -> None:
    ana, _ = pair
    known = ana.device.remote_identity(BUDI)
    assert known is not None
    assert known.first_seen_at_ms == NOW_MS
    backend.strips = True
    forget_sessions(ana)
    (delivery,) = ana.send(BUDI, Text("of an older version")).deliveries
    assert (delivery.identity_changed, delivery.version_downgraded) == (False, True)
    backend.strips = False
    backend.play(make_device(BUDI, seed="another"))
    forget_sessions(ana)
    (delivery,) = ana.send(BUDI, Text("under another key")).deliveries
    assert (delivery.identity_changed, delivery.version_downgraded) == (True, False)


@pytest.mark.usefixtures("alone")
def test_a_limit_holds_also_where_messages_bring_notices(
    pair: tuple[Client, Client], backend: Directory
) -> None:
    ana, budi = pair
    context = ana.device._context
    with context.store.transaction() as tx:
        put_notice(context, tx, Notice(NoticeKind.NOT_DELIVERED, BUDI.user_id, code="expired"))
    for text in ("one", "two"):
        budi.device.start_session(bundle_from(ana.device.publish(1), None, kyber=False))
        backend.inject(ANA, budi.device.encrypt(ANA, Text(text)).encode())
    assert [len(ana.receive(3)), len(ana.receive(3)), len(ana.receive(3))] == [3, 2, 0]

# SPDX-License-Identifier: Apache-2.0
"""What an app shows and obeys stands in the signed list of its account's devices."""

import pytest

from e2ecross import Client, Device, Policy
from e2ecross.stores import MemoryStore
from e2ecross.wire.capabilities import decode_capabilities
from e2ecross.wire.device_list import SignedDeviceList
from tests.support.accounts import account, make_account
from tests.support.devices import (
    ANA,
    BUDI,
    BackendSimulator,
    FakeClock,
    make_client,
)
from tests.support.entropy import SeededEntropy
from tests.support.pairing import LinkScene

ALL = frozenset({10, *range(13, 21), 32, 33})
GROUPS = frozenset({35})
"""What the library does by itself, where frames are read."""


@pytest.fixture
def backend() -> BackendSimulator:
    return BackendSimulator()


def policy(*ids: int) -> Policy:
    return Policy(capabilities=frozenset(ids))


def updated(client: Client, backend: BackendSimulator, *ids: int) -> Client:
    """The same installation after an update of its app, which announces that now."""
    context = client.device._context
    device = Device.open(
        context.store,
        policy=policy(*ids),
        clock=context.clock,
        entropy=SeededEntropy(f"{client!r} {ids}"),
    )
    return Client(device, backend)


def listed(client: Client) -> tuple[int, list[frozenset[int]]]:
    """Number of the own list that a device holds, and what its devices announce."""
    held = account(client.device, client.device.address.user_id).held
    assert held is not None
    return held.list.seq, [decode_capabilities(each.capabilities) for each in held.list.devices]


def published(client: Client, backend: BackendSimulator) -> tuple[int, list[frozenset[int]]]:
    """The same of the list that the back end has."""
    signed = SignedDeviceList.decode(backend.lists[client.device.address.user_id])
    found = [decode_capabilities(each.capabilities) for each in signed.list.devices]
    return signed.list.seq, found


def test_the_first_list_has_what_the_policy_says(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    assert listed(make_client(ANA, backend, clock=clock)) == (1, [frozenset({10, 35})])
    other = make_client(BUDI, backend, clock=clock, policy=Policy(capabilities=ALL))
    assert listed(other) == published(other, backend) == (1, [ALL | GROUPS])
    nothing = policy()
    silent = make_client(ANA, BackendSimulator(), MemoryStore(), clock=clock, policy=nothing)
    assert listed(silent) == (1, [frozenset()])


@pytest.mark.parametrize("call", ["maintain", "receive"])
def test_an_update_of_the_app_leads_to_a_list(
    backend: BackendSimulator, clock: FakeClock, call: str
) -> None:
    phone = make_client(ANA, backend, clock=clock)
    phone = updated(phone, backend, 10, 13)
    clock.advance(60_000)
    for _ in range(2):
        getattr(phone, call)()
        assert listed(phone) == published(phone, backend) == (2, [frozenset({10, 13, 35})])
    phone = updated(phone, backend)
    phone.maintain()
    assert listed(phone) == published(phone, backend) == (3, [frozenset()])


def test_another_device_has_it_noted_by_device_1(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    phone, laptop = make_account(ANA, (1, 2), backend, clock=clock)
    laptop.maintain()
    assert published(phone, backend) == (2, [frozenset({10, 35})] * 2)
    laptop = updated(laptop, backend, 10, 13)
    for _ in range(3):
        laptop.maintain()
        laptop.receive()
    phone.receive()
    phone.maintain()
    assert published(phone, backend) == (3, [frozenset({10, 35}), frozenset({10, 13, 35})])
    assert phone.receive() == []


def test_a_device_that_is_linked_says_it_at_once(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    scene = LinkScene(backend, clock, policy=Policy(capabilities=ALL))
    laptop = scene.link()
    assert listed(scene.phone)[1] == listed(laptop)[1] == [ALL | GROUPS, frozenset({10, 35})]

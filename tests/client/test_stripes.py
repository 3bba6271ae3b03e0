# SPDX-License-Identifier: Apache-2.0
"""What a store with stripes, which many workers share, is not for; the rest is as with others."""

from collections.abc import Callable

import pytest

from e2ecross import Client, Device, GroupId, Receipt, Text
from e2ecross.device.copy_accounts import CopyAccount
from e2ecross.device.group_raw import SenderKeyGroup
from e2ecross.device.own_list import ensure_own_list
from e2ecross.errors import FleetUnsupported, InvalidArgument
from e2ecross.state.accounts import find_list
from e2ecross.state.conversations import ContactState, find_conversation
from e2ecross.state.stripe import stripe_of
from e2ecross.stores import MemoryStore
from e2ecross.wire.capabilities import Capability, decode_capabilities
from tests.support.devices import ANA, BUDI, BackendSimulator, dump, make_client, make_device
from tests.support.witness import Keychain

GROUP = GroupId(bytes(32))
RAW = SenderKeyGroup.uuid(bytes(16))

GROUP_CALLS: dict[str, Callable[[Client], object]] = {
    "create_group": lambda client: client.create_group("name", [BUDI.user_id]),
    "group": lambda client: client.group(GROUP),
    "groups": lambda client: client.groups(),
}
RAW_CALLS: dict[str, Callable[[Device], object]] = {
    "new_sender_key_raw": lambda device: device.new_sender_key_raw(RAW),
    "distribution_raw": lambda device: device.distribution_raw(RAW),
    "encrypt_group_raw": lambda device: device.encrypt_group_raw(RAW, b"halo"),
    "process_distribution_raw": lambda device: device.process_distribution_raw(BUDI, RAW, b"?"),
    "decrypt_group_raw": lambda device: device.decrypt_group_raw(BUDI, RAW, b"?"),
}


@pytest.mark.parametrize("call", GROUP_CALLS.values(), ids=GROUP_CALLS)
def test_a_client_has_no_groups(call: Callable[[Client], object]) -> None:
    store = MemoryStore(64)
    ana = make_client(ANA, BackendSimulator(), store)
    before = dump(store)
    with pytest.raises(FleetUnsupported, match="without stripes"):
        call(ana)
    assert dump(store) == before


@pytest.mark.parametrize("call", RAW_CALLS.values(), ids=RAW_CALLS)
def test_a_device_has_no_sender_keys(call: Callable[[Device], object]) -> None:
    store = MemoryStore(64)
    ana = make_device(ANA, store)
    before = dump(store)
    with pytest.raises(FleetUnsupported, match="without stripes"):
        call(ana)
    assert dump(store) == before


@pytest.mark.parametrize(("stripes", "announces"), [(0, True), (64, False)])
def test_groups_are_announced_where_there_can_be_some(stripes: int, announces: bool) -> None:
    store = MemoryStore(stripes)
    ensure_own_list(make_device(ANA, store)._context)
    with store.transaction() as tx:
        held = find_list(tx, ANA.user_id)
    assert held is not None
    capabilities = decode_capabilities(held.devices[0].capabilities)
    assert (Capability.GROUPS in capabilities) is announces


def test_a_store_of_many_epochs_has_no_witness() -> None:
    store = MemoryStore(64)
    with pytest.raises(InvalidArgument, match="witness: of a store"):
        Device.create(ANA, store, witness=Keychain())
    assert dump(store) == dump(MemoryStore(64))
    Device.create(ANA, store)
    with pytest.raises(InvalidArgument, match="witness: of a store"):
        Device.open(store, witness=Keychain())


def test_messages_go_through_such_stores() -> None:
    backend = BackendSimulator()
    ana = make_client(ANA, backend, MemoryStore(64))
    budi = make_client(BUDI, backend, MemoryStore(64))
    for one, two, to in ((ana, budi, BUDI), (budi, ana, ANA)):
        one.send(to, Text("halo"))
        items = two.receive()
        assert [item.content for item in items if hasattr(item, "content")] == [Text("halo")]
        two.confirm(items)


def test_who_was_blocked_is_accepted_by_a_message_and_that_it_was_read_is_told() -> None:
    backend = BackendSimulator()
    store = MemoryStore(64)
    ana, budi = make_client(ANA, backend, store), make_client(BUDI, backend, MemoryStore(64))
    ana.block(BUDI.user_id)
    sent = ana.send(BUDI, Text("halo"))
    with store.transaction() as tx:
        view = tx.at(stripe_of(BUDI.user_id, 64))
        assert find_conversation(view, BUDI.user_id).state == ContactState.ACCEPTED
    assert ana.pending() == []  # no other own device is told
    budi.confirm(budi.receive())
    read = Receipt(Receipt.READ, (sent.message_id,))
    backend.inject(ANA, budi.device.encrypt(ANA, read).encode())
    ana.confirm(ana.receive())  # what is noted of its files has the whole store
    assert ana.pending() == []


def test_what_is_known_of_a_granted_account_is_not_shown() -> None:
    account = CopyAccount(BUDI.user_id, None, None, 0, b"a token, 32 bytes, that is secret")
    assert repr(account) == "<CopyAccount instagram:budi>"

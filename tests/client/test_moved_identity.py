# SPDX-License-Identifier: Apache-2.0
"""Moving an identity ends the old installation, and one restore is done once."""

from collections.abc import Callable

import pytest

from e2ecross import Client, Device, Text
from e2ecross.errors import BackendError, BackendRefused, NotRegistered
from e2ecross.state.context import require_device
from e2ecross.stores import MemoryStore
from tests.client.conversation import meet, read, reopen, store_of
from tests.support.devices import ANA, BUDI, BackendSimulator, FakeClock, dump, make_client
from tests.support.entropy import SeededEntropy

WORDS = "four words and more"


def moved(old: Client, backend: BackendSimulator, seed: str = "moved") -> Client:
    """A new installation, not registered yet."""
    backup = old.device.export_identity(WORDS, cost="interactive")
    device = Device.import_identity(
        backup, WORDS, MemoryStore(), clock=FakeClock(), entropy=SeededEntropy(seed)
    )
    return Client(device, backend)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    "call",
    [
        Client.receive,
        Client.maintain,
        Client.register,
        lambda client: client.send(ANA, Text("from the old phone")),
    ],
    ids=["receive", "maintain", "register", "send"],
)
@pytest.mark.parametrize("restarts", [False, True])
def test_the_old_installation_is_told_and_takes_nothing_away(
    call: Callable[[Client], object],
    restarts: bool,
    pair: tuple[Client, Client],
    backend: BackendSimulator,
) -> None:
    ana, old = pair
    new = moved(old, backend)
    new.register()
    ana.send(BUDI, Text("halo"))
    mailbox, deposits = backend.mailbox(BUDI), len(backend.deposits)
    if restarts:
        old = reopen(old, backend)
    for _ in range(2):
        with pytest.raises((NotRegistered, BackendRefused)) as caught:
            call(old)
        if call is not Client.register:
            assert isinstance(caught.value, NotRegistered)
    assert backend.mailbox(BUDI) == mailbox
    assert len(backend.deposits) == deposits
    assert read(new) == ["!unknown_session"]
    assert read(ana) == ["*account_restored"]
    assert read(new) == ["halo"]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("method", ["register", "publish", "one_time_prekey_count"])
def test_moving_goes_on_where_it_was_interrupted(
    method: str, late: bool, pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, old = pair
    new = moved(old, backend)
    (backend.lose_answer if late else backend.fail)(method)
    with pytest.raises(BackendError):
        new.register()
    new = reopen(new, backend)
    new.register()
    with pytest.raises(NotRegistered):
        old.receive()
    ana.send(BUDI, Text("halo"))
    assert read(new) == ["!unknown_session"]
    with store_of(new).transaction() as tx:
        record = require_device(tx)
    assert record.registered
    assert record.replaced_token == b""
    with store_of(old).transaction() as tx:
        assert require_device(tx).backend_token != record.backend_token


def test_whoever_has_no_token_of_the_old_installation_cannot_take_its_place(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    """Of two that were made from one backup the first to register is the one."""
    _, old = pair
    first, second = moved(old, backend, "first"), moved(old, backend, "second")
    first.register()
    with pytest.raises(BackendRefused):
        second.register()
    with pytest.raises(NotRegistered):
        second.receive()
    assert first.receive() == []


def test_a_restore_is_done_once(backend: BackendSimulator) -> None:
    """Opened as restored again with nothing in between: no id is used, nothing changes."""
    store = MemoryStore()
    ana, budi = make_client(ANA, backend, store), make_client(BUDI, backend)
    meet(ana, budi)

    def restore(seed: str) -> Device:
        entropy = SeededEntropy(seed)
        return Device.open(store, clock=FakeClock(), entropy=entropy, restored=True)

    restore("first")
    once = dump(store)
    for seed in ("second", "third"):
        restore(seed)
        assert dump(store) == once
    again = Client(restore("fourth"), backend)
    again.send(BUDI, Text("halo"))
    assert read(budi) == ["halo"]
    before = dump(store)
    restore("fifth")
    assert dump(store) != before  # something has happened since: another restore

# SPDX-License-Identifier: Apache-2.0
"""How often what is known of any account has changed."""

from e2ecross import Text
from e2ecross.device.trusting import accept_identity
from e2ecross.state.changes import count_change, read_changes
from e2ecross.state.trust import find_identity, note_asked
from e2ecross.stores import MemoryStore
from tests.support.accounts import hold_list, sign_devices
from tests.support.devices import ANA, BUDI, make_device, start


def test_it_is_counted() -> None:
    with MemoryStore().transaction() as tx:
        assert read_changes(tx) == 0
        count_change(tx)
        count_change(tx)
        assert read_changes(tx) == 2


def test_what_is_a_change_and_what_is_none() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    store = ana._context.store

    def changes() -> int:
        with store.transaction() as tx:
            return read_changes(tx)

    start(ana, budi)
    first = changes()
    assert first > 0  # a key that was not known
    budi.decrypt(ana.encrypt(BUDI, Text("halo")))
    ana.decrypt(budi.encrypt(ANA, Text("halo")))
    with store.transaction() as tx:
        note_asked(tx, BUDI, 5)
    assert changes() == first
    hold_list(ana, sign_devices(budi))
    listed = changes()
    assert listed > first
    other = make_device(BUDI, seed="other")
    start(other, ana)
    ana.decrypt(other.encrypt(ANA, Text("baru")))
    pending = changes()
    assert pending > listed  # another key waits
    with store.transaction() as tx:
        known = find_identity(tx, BUDI)
    assert known is not None
    assert known.pending_key is not None
    accept_identity(ana._context, BUDI, known.pending_key)
    assert changes() > pending


def test_with_stripes_nothing_is_counted() -> None:
    store = MemoryStore(64)
    ana, budi = make_device(ANA, store), make_device(BUDI)
    start(ana, budi)
    hold_list(ana, sign_devices(budi))
    with store.transaction() as tx:
        assert read_changes(tx) == 0

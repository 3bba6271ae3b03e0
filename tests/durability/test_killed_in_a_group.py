# SPDX-License-Identifier: Apache-2.0
"""A process that is killed while it sends to a group, or reads: no key and iteration twice.

A child opens the store, sends (or reads) what it can with points in and around its transactions
(`points.py`), notes what left it, and kills itself at the n-th visit of a point; each point, at
several visits. Then another one goes on.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from e2ecross import Address, Device, Envelope, Message, Text
from e2ecross.device.group_announcing import list_unannounced
from e2ecross.device.group_deposits import next_deposit
from e2ecross.device.leftovers import Leftovers
from e2ecross.errors import DuplicateMessage
from e2ecross.stores import MemoryStore, SQLiteStore, Store
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.sender_key_message import decode_sender_key_message
from tests.durability.journal import Journal, JournalReader
from tests.durability.points import TRANSACTION_POINTS, Killer, KillingStore
from tests.support.accounts import receive
from tests.support.devices import ANA, BUDI, STORE_KEY, TOKO, make_device
from tests.support.group_sending import announce, send
from tests.support.group_world import GroupWorld
from tests.support.sender_keys import UUID

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL and no fork")

VISITS = (1, 2, 5)
STEPS = 4


def live(path: Path, key: bytes | None, killer: Killer, life: Callable[[Device], None]) -> bool:
    """Live in a process of its own; tells whether it was killed."""
    child = os.fork()
    if child == 0:  # pragma: no cover: no coverage is written by a process that is killed
        try:
            store = KillingStore(SQLiteStore(path, key=key), killer)
            life(Device.open(store))
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("point", TRANSACTION_POINTS)
def test_no_key_sends_two_messages_under_one_iteration(
    point: str, sealed: bool, tmp_path: Path
) -> None:
    key = STORE_KEY if sealed else None
    path, journal = tmp_path / "ana.db", tmp_path / "journal"
    budi = make_device(BUDI)
    with SQLiteStore(path, key=key) as store:
        ana = make_device(ANA, store)
        budi.process_distribution_raw(ANA, UUID, ana.new_sender_key_raw(UUID))

    def send(device: Device) -> None:
        note = Journal(journal)
        for _ in range(STEPS):
            note.note("left", data=device.encrypt_group_raw(UUID, b"halo").hex())

    killed = sum(live(path, key, Killer(point, visits), send) for visits in VISITS)
    assert killed
    assert not live(path, key, Killer(None, 1), send)
    sent = [bytes.fromhex(note["data"]) for note in JournalReader(journal).new()]
    numbers = [decode_sender_key_message(UUID.form, data).iteration for data in sent]
    assert len(set(numbers)) == len(numbers) >= STEPS
    assert numbers == sorted(numbers)
    for data in sent:  # what has left is all of one chain
        assert budi.decrypt_group_raw(ANA, UUID, data) == b"halo"


@pytest.mark.parametrize("point", TRANSACTION_POINTS)
def test_a_message_is_read_again_or_was_read(point: str, tmp_path: Path) -> None:
    """A crash may lose the answer of a call that has committed; nothing is read twice."""
    path, journal = tmp_path / "budi.db", tmp_path / "journal"
    ana = make_device(ANA)
    with SQLiteStore(path) as store:
        budi = make_device(BUDI, store)
        budi.process_distribution_raw(ANA, UUID, ana.new_sender_key_raw(UUID))
    sent = [ana.encrypt_group_raw(UUID, str(number).encode()) for number in range(STEPS)]
    sent.reverse()  # the first leaves seeds, the others use them up

    def read(device: Device) -> None:
        note = Journal(journal)
        for data in sent:
            try:
                note.note("read", text=device.decrypt_group_raw(ANA, UUID, data).decode())
            except DuplicateMessage:
                note.note("before")

    for visits in VISITS:
        live(path, None, Killer(point, visits), read)
    assert not live(path, None, Killer(None, 1), read)
    notes = JournalReader(journal).new()
    texts = [note["text"] for note in notes if note["what"] == "read"]
    assert len(set(texts)) == len(texts)
    lost = STEPS - len(texts)
    assert lost <= (len(VISITS) if point == "after a commit, before the hand-over" else 0)


@pytest.mark.parametrize("point", TRANSACTION_POINTS)
def test_what_is_sent_into_a_group_of_ours_arrives_once(point: str, tmp_path: Path) -> None:
    """Killed anywhere between the first grant and the last message: all get each message once."""
    path, journal = tmp_path / "ana.db", tmp_path / "journal"
    with SQLiteStore(path) as store:
        stores: dict[str, Store] = {"ana": store}
        world = GroupWorld(sessions=True, stores=lambda name: stores.get(name) or MemoryStore())
        group = world.create(ANA, BUDI, TOKO)

    def life(device: Device) -> None:
        note = Journal(journal)
        if list_unannounced(device._context):
            announce(device, group)
        for step in range(STEPS):
            send(device, group, str(step), bytes((step,)) * 16)
            leftovers = Leftovers()
            while part := next_deposit(device._context, leftovers).waiting:
                for item in part:  # it leaves before it is forgotten
                    is_copies = isinstance(item.sent, EnvelopeCopies)
                    note.note("left", data=item.data.hex(), copies=is_copies)
                leftovers.note_sent_to_groups(item.number for item in part)

    killed = sum(live(path, None, Killer(point, visits), life) for visits in (*VISITS, 9, 14))
    assert killed
    assert not live(path, None, Killer(None, 1), life)
    used: dict[tuple[int, int], bytes] = {}
    seen: set[tuple[Address, bytes]] = set()
    devices = [world.devices[each] for each in (BUDI, TOKO)]
    texts: dict[Address, list[object]] = {}
    for left in JournalReader(journal).new():
        data = bytes.fromhex(left["data"])
        envelopes = [Envelope.decode(data)] if not left["copies"] else []
        if left["copies"]:
            copies = EnvelopeCopies.decode(data)
            message = decode_sender_key_message(UUID.form, copies.ciphertext)
            where = (message.chain_id, message.iteration)
            assert used.setdefault(where, copies.ciphertext) == copies.ciphertext
            envelopes = [Envelope.decode(copies.encode_for(each)) for each in copies.recipients]
        for envelope in envelopes:
            for device in devices:
                place = (device.address, envelope.encode())
                if device.address == envelope.recipient and place not in seen:
                    seen.add(place)  # as a back end that knows what it has
                    items = receive(device, envelope)
                    texts[device.address] = [
                        each.content for each in items if isinstance(each, Message)
                    ]
    for device in devices:
        assert texts[device.address] == [Text(str(step)) for step in range(STEPS)]

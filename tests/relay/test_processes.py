# SPDX-License-Identifier: Apache-2.0
"""Several operating-system processes on one relay file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2ecross.address import Address
from e2ecross.errors import NotRegistered
from e2ecross.relay import Relay
from e2ecross.wire.exchange import KeysWanted, UserKeys
from tests.relay.support import (
    ANA,
    BUDI,
    TOKO,
    copies,
    device_list,
    digest,
    envelope,
    epoch_of,
    published,
    register,
    shared_rows,
    token,
)

PROCESSES = 4
DATA = bytes(range(250)) * 80

# Each script waits for a line on its standard input, so that all begin at the same time.
PREAMBLE = """
import json, sys
from e2ecross.address import Address
from e2ecross.errors import BackendRefused, MailboxFull
from e2ecross.relay import Relay, RelayLimits
from tests.relay.support import (
    ANA, BUDI, TOKO, copies, deposit, device_list, digest, envelope, register, take, take_both,
    token, token_sha256
)
ALL = RelayLimits(one_time_prekeys_per_requester=1000)
TIGHT = RelayLimits(mailbox_messages=30, mailbox_reserve_per_sender=2)
path, me = sys.argv[1], int(sys.argv[2])
files, DATA = path.removesuffix(".db") + ".files", bytes(range(250)) * 80
print("ready", flush=True)
sys.stdin.readline()
"""
OPEN_AND_CLAIM = """
with Relay(path) as relay:
    try:
        relay.register(ANA, token(ANA, me))
        print(json.dumps("mine"))
    except BackendRefused:
        print(json.dumps("refused"))
"""
DRAIN = """
with Relay(path, limits=ALL) as relay:
    taken = []
    while (prekey := take(relay, BUDI, ANA)) is not None:
        taken.append(prekey)
    print(json.dumps(taken))
"""
DRAIN_BOTH = """
with Relay(path, limits=ALL) as relay:
    taken = []
    while (pair := take_both(relay, BUDI, ANA)) != (None, 1_000_007):
        taken.append(pair)
    print(json.dumps(taken))
"""
DRAIN_WITHIN_LIMITS = DRAIN.replace(", limits=ALL", "")
FLOOD = """
sender = BUDI
with Relay(path, limits=TIGHT) as relay:
    register(relay, sender)
    kept = 0
    for number in range(10):
        try:
            data = envelope(sender, ANA, me * 100 + number).encode()
            deposit(relay, token(sender), data, epoch=number + 1)
            kept += 1
        except MailboxFull:
            pass
    print(json.dumps(kept))
"""
FLOOD_FROM_TOKO = FLOOD.replace("sender = BUDI", "sender = TOKO")
FLOOD_FROM_EACH = FLOOD.replace("sender = BUDI", "sender = Address('messenger', f'user-{me}')")
DEPOSIT = """
with Relay(path) as relay:
    for number in range(25):
        deposit(relay, token(BUDI), envelope(BUDI, ANA, number).encode())  # the same in each
        deposit(relay, token(BUDI), envelope(BUDI, TOKO, me * 100 + number).encode())
    print(json.dumps("done"))
"""

DEPOSIT_AT_ONCE = """
with Relay(path) as relay:
    for call in range(5):
        numbers = range(me * 1000 + call * 20, me * 1000 + call * 20 + 20)
        batch = [envelope(BUDI, ANA, number).encode() for number in numbers]
        assert relay.deposit_all(token(BUDI), batch, epochs={0: me * 10 + call}).refused == {}
    print(json.dumps("done"))
"""
DEPOSIT_COPIES = """
crowd = [Address("x", f"user-{number}") for number in range(8)]
with Relay(path) as relay:
    for number in range(20):
        relay.deposit_copies(token(BUDI), copies(BUDI, number, ANA, TOKO, *crowd).encode())
        mine = copies(BUDI, 100 + 100 * me + number, ANA, *crowd, size=8_000).encode()
        relay.deposit_copies(token(BUDI), mine, epochs={0: me * 100 + number})
        for each in crowd[me * 2 : me * 2 + 2]:
            items = relay.fetch(each, token(each), 5)
            relay.acknowledge(each, token(each), [item.number for item in items])
    print(json.dumps("done"))
"""
MOVE = """
with Relay(path) as relay:
    try:
        relay.register(ANA, token(ANA, me + 1), replaces=token(ANA))
        print(json.dumps("mine"))
    except BackendRefused:
        print(json.dumps("refused"))
"""
PUBLISH_LISTS = """
mine = Address(ANA.app, ANA.user, me + 2)
with Relay(path) as relay:
    won = []
    for seq in range(1, 21):
        signed = device_list(ANA, seq, (1, me + 2), name=f"{me}").encode()
        try:
            relay.publish_devices(token(ANA), signed, {me + 2: token_sha256(token(mine))})
            won.append(seq)
        except BackendRefused:
            pass
        devices = [Address(ANA.app, ANA.user, number) for number in range(1, 6)]
        relay.deposit_all(token(BUDI), [envelope(BUDI, each, seq).encode() for each in devices])
    print(json.dumps(won))
"""
LINK = """
with Relay(path) as relay:
    opened = []
    for box in (b"the same for all", bytes([me]) * 16):
        try:
            relay.put_link(box, 0, bytes([me + 1]), address=ANA, token=token(ANA))
            opened.append(box.hex())
        except BackendRefused:
            pass
    print(json.dumps(opened))
"""
PUT_BLOB = """
with Relay(path, blob_dir=files) as relay:
    answers, step = [], 700 + 100 * me
    for offset in range(0, 20_000, step):
        piece = DATA[offset : offset + step]
        answers.append(relay.put_blob(ANA, token(ANA), digest("blob"), offset, piece))
    print(json.dumps(answers))
"""
BEGIN_BLOBS = """
who = ANA if me % 2 else BUDI
with Relay(path, blob_dir=files) as relay:
    won = []
    for number in range(30):
        try:
            name, size = digest(f"blob {number}"), 10 + me // 2
            relay.begin_blob(who, token(who), name, size)
            won.append(number)
        except BackendRefused:
            pass
    print(json.dumps(won))
"""
RESTART_AND_UPLOAD = """
for number in range(10):
    with Relay(path, blob_dir=files) as relay:
        name = digest(f"{me} {number}")
        assert relay.begin_blob(ANA, token(ANA), name, 20_000) == 0
        for offset in range(0, 20_000, 5_000):
            piece = DATA[offset : offset + 5_000]
            assert relay.put_blob(ANA, token(ANA), name, offset, piece) == offset + 5_000
print(json.dumps("done"))
"""
FILL = """
with Relay(path, blob_dir=files, limits=RelayLimits(blobs_per_user_bytes=300)) as relay:
    taken = 0
    for number in range(20):
        try:
            relay.begin_blob(ANA, token(ANA), digest(f"{me} {number}"), 10)
            taken += 1
        except BackendRefused:
            pass
    print(json.dumps(taken))
"""


def run(script: str, path: Path) -> list[object]:
    """Run a script in some processes at once; what each printed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PREAMBLE + script, str(path), str(me)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for me in range(PROCESSES)
    ]
    results = []
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            output, _ = process.communicate(timeout=60)
            assert process.returncode == 0
            results.append(json.loads(output))
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return results


def test_each_one_time_prekey_goes_out_exactly_once(path: Path) -> None:
    with Relay(path) as relay:
        register(relay, ANA, BUDI)
        relay.publish(token(ANA), published(ANA, range(1, 61)))
        taken = run(DRAIN, path)
        flat = [prekey for prekeys in taken if isinstance(prekeys, list) for prekey in prekeys]
        assert sorted(flat) == list(range(1, 61))
        assert relay.one_time_prekey_count(ANA, token(ANA)) == 0


def test_each_one_time_prekey_of_both_kinds_goes_out_exactly_once(path: Path) -> None:
    with Relay(path) as relay:
        register(relay, ANA, BUDI)
        relay.publish(token(ANA), published(ANA, range(1, 61), kyber=range(101, 181)))
        results = run(DRAIN_BOTH, path)
        pairs = [pair for taken in results if isinstance(taken, list) for pair in taken]
        assert sorted(first for first, _ in pairs if first is not None) == list(range(1, 61))
        # In one transaction: the n-th of one kind goes with the n-th of the other.
        assert sorted(second for _, second in pairs) == list(range(101, 181))
        assert all(second == first + 100 for first, second in pairs if first is not None)
        assert relay.one_time_prekey_count(ANA, token(ANA)) == 0


def test_one_user_gets_no_more_one_time_prekeys_through_many_processes(path: Path) -> None:
    with Relay(path) as relay:
        register(relay, ANA, BUDI)
        relay.publish(token(ANA), published(ANA, range(1, 61)))
        taken = run(DRAIN_WITHIN_LIMITS, path)
        flat = [prekey for prekeys in taken if isinstance(prekeys, list) for prekey in prekeys]
        assert sorted(flat) == list(range(1, 11))


def test_one_user_gets_no_more_room_through_many_processes(path: Path) -> None:
    with Relay(path) as relay:
        register(relay, ANA, BUDI, TOKO)
        for script, kept in ((FLOOD, 30), (FLOOD_FROM_TOKO, 2), (FLOOD_FROM_EACH, 1)):
            before = len(relay.waiting(ANA))
            counts = [number for number in run(script, path) if isinstance(number, int)]
            assert sum(counts) == len(relay.waiting(ANA)) - before == kept
        assert epoch_of(relay, BUDI, token(BUDI)) == 10  # also what was refused


def test_an_address_is_claimed_once_in_a_file_that_all_create_at_once(path: Path) -> None:
    assert sorted(map(str, run(OPEN_AND_CLAIM, path))) == ["mine"] + ["refused"] * (PROCESSES - 1)


def test_deposits_of_all_processes_arrive_once_and_in_order(path: Path) -> None:
    with Relay(path) as relay:
        register(relay, ANA, BUDI, TOKO)
        assert run(DEPOSIT, path) == ["done"] * PROCESSES
        assert len({e.message_id for e in relay.waiting(ANA)}) == len(relay.waiting(ANA)) == 25
        assert len(relay.waiting(TOKO)) == 25 * PROCESSES
        items = relay.fetch(TOKO, token(TOKO), 1000)
        assert [number for number, _ in items] == sorted(number for number, _ in items)


def test_envelopes_of_one_call_stay_together(path: Path) -> None:
    """In one transaction: nothing of another process comes in between."""
    with Relay(path) as relay:
        register(relay, ANA, BUDI)
        assert run(DEPOSIT_AT_ONCE, path) == ["done"] * PROCESSES
        ids = [e.message_id for e in relay.waiting(ANA)]
        assert len(set(ids)) == len(ids) == PROCESSES * 100
        number_of = {
            envelope(BUDI, ANA, number).message_id: number
            for process in range(PROCESSES)
            for number in range(process * 1000, process * 1000 + 100)
        }
        numbers = [number_of[message_id] for message_id in ids]
        for start in range(0, len(numbers), 20):
            batch = numbers[start : start + 20]
            assert batch == list(range(batch[0], batch[0] + 20))
            assert batch[0] % 20 == 0
        assert epoch_of(relay, BUDI, token(BUDI)) == (PROCESSES - 1) * 10 + 4


def test_copies_of_all_processes_arrive_once_and_what_they_share_leaves_with_them(
    path: Path,
) -> None:
    crowd = [Address("x", f"user-{number}") for number in range(8)]
    with Relay(path) as relay:
        register(relay, ANA, BUDI, TOKO, *crowd)
        assert run(DEPOSIT_COPIES, path) == ["done"] * PROCESSES
        of_all = {copies(BUDI, number, ANA).encode() for number in range(20)}
        waiting = [item.encode() for item in relay.waiting(ANA)]
        assert len(set(waiting)) == len(waiting) == 20 + 20 * PROCESSES
        assert of_all < set(waiting)
        assert {item.message_id for item in relay.waiting(TOKO)} == {
            item.message_id for item in relay.waiting(ANA) if item.encode() in of_all
        }
        assert epoch_of(relay, BUDI, token(BUDI)) == (PROCESSES - 1) * 100 + 19
        assert shared_rows(path)
        for each in (ANA, TOKO, *crowd):
            items = relay.fetch(each, token(each), 1_000)
            relay.acknowledge(each, token(each), [item.number for item in items])
        assert shared_rows(path) == []


def test_an_identity_moves_once(path: Path) -> None:
    with Relay(path) as relay:
        register(relay, ANA)
        assert sorted(map(str, run(MOVE, path))) == ["mine"] + ["refused"] * (PROCESSES - 1)


def test_each_list_of_an_account_is_published_by_one(path: Path) -> None:
    """And the devices of the last one are registered, whoever else was in between."""
    with Relay(path) as relay:
        register(relay, ANA, BUDI)
        results = [won for won in run(PUBLISH_LISTS, path) if isinstance(won, list)]
        seqs = [seq for won in results for seq in won]
        assert len(seqs) == len(set(seqs))
        (winner,) = [me for me, won in enumerate(results) if 20 in won]
        [keys] = relay.fetch_keys(BUDI, token(BUDI), [KeysWanted(ANA.user_id, [])])
        assert isinstance(keys, UserKeys)
        assert keys.device_list == device_list(ANA, 20, (1, winner + 2), name=f"{winner}").encode()
        for me in range(PROCESSES):
            device = Address(ANA.app, ANA.user, me + 2)
            if me == winner:
                relay.fetch(device, token(device), 1)
                continue
            assert relay.waiting(device) == []
            with pytest.raises(NotRegistered):
                relay.fetch(device, token(device), 1)
        # Device 1 was in all of them, and got each message once.
        assert len({e.message_id for e in relay.waiting(ANA)}) == len(relay.waiting(ANA)) == 20


def test_a_link_box_is_opened_by_one_and_an_account_has_three(path: Path) -> None:
    with Relay(path) as relay:
        register(relay, ANA)
        results = [opened for opened in run(LINK, path) if isinstance(opened, list)]
        boxes = [bytes.fromhex(box) for opened in results for box in opened]
        assert len(boxes) == len(set(boxes)) == 3
        assert all(relay.get_link(box, 0) for box in boxes)


def test_one_blob_from_all_processes_is_what_each_has_put(path: Path) -> None:
    """The row is taken by one at a time; the next gets what there is, and nothing is put twice."""
    with Relay(path, blob_dir=path.with_suffix(".files")) as relay:
        register(relay, ANA, BUDI)
        relay.begin_blob(ANA, token(ANA), digest("blob"), 20_000)
        for answers in run(PUT_BLOB, path):
            assert isinstance(answers, list)
            assert answers == sorted(answers)
            assert answers[-1] == 20_000
        assert relay.get_blob(digest("blob"), 0, 20_000) == DATA
        assert len(list(path.with_suffix(".files").iterdir())) == 1


def test_a_blob_is_begun_by_one_account_and_has_one_size(path: Path) -> None:
    with Relay(path, blob_dir=path.with_suffix(".files")) as relay:
        register(relay, ANA, BUDI)
        results = run(BEGIN_BLOBS, path)
        wins = [number for won in results if isinstance(won, list) for number in won]
        assert sorted(wins) == list(range(30))


def test_processes_that_start_and_stop_take_no_file_of_each_other(path: Path) -> None:
    with Relay(path, blob_dir=path.with_suffix(".files")) as relay:
        register(relay, ANA, BUDI)
        assert run(RESTART_AND_UPLOAD, path) == ["done"] * PROCESSES
        for me in range(PROCESSES):
            for number in range(10):
                assert relay.get_blob(digest(f"{me} {number}"), 0, 20_000) == DATA
        assert len(list(path.with_suffix(".files").iterdir())) == 10 * PROCESSES


def test_an_account_gets_no_more_room_for_files_through_many_processes(path: Path) -> None:
    with Relay(path, blob_dir=path.with_suffix(".files")) as relay:
        register(relay, ANA)
        assert sum(taken for taken in run(FILL, path) if isinstance(taken, int)) == 30

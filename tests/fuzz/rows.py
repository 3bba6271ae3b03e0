# SPDX-License-Identifier: Apache-2.0
"""Targets: a store whose records were changed by somebody who can write to it.

Not a promise of secrecy: whoever can write to an unsealed store has won. But a damaged store is
told as such, by an error of ours.
"""

from collections.abc import Callable, Mapping
from typing import Final

from e2ecross import Device, MessageKind, Text
from e2ecross.errors import E2ECrossError
from e2ecross.stores import MemoryStore
from tests.attacks.support import ANA, Rows, dump, inner_message
from tests.fuzz.target import ACCEPTED, Source, Target, outcome
from tests.fuzz.world import fill, first_message, scene
from tests.support.entropy import SeededEntropy

__all__ = ["STORED", "changed", "use_device", "use_rows"]


def use_device(device: Device) -> list[str]:
    """Call what an app calls; what came of each."""
    late, waiting = scene().late, scene().waiting
    actions: list[Callable[[], object]] = [
        lambda: device.remote_identity(ANA),
        lambda: device.has_session(ANA),
        lambda: device.session_info(ANA),
        lambda: device.decrypt(late),
        lambda: device.decrypt(waiting[2]),
        lambda: device.decrypt(waiting[0]),
        lambda: device.decrypt(first_message()),
        lambda: device.decrypt_raw(ANA, MessageKind.SIGNAL, inner_message(waiting[1])),
        lambda: device.encrypt(ANA, Text("halo")),
        lambda: device.start_session(scene().bundles[ANA]),
        lambda: device.confirm_published(device.publish(2)),
        lambda: device.publish(1),
        lambda: device.mark_verified(ANA, scene().ana.device.identity_key),
        lambda: device.accept_identity(ANA, scene().toko.device.identity_key),
        lambda: device.reject_identity(ANA, scene().toko.device.identity_key),
    ]
    return [outcome(action, E2ECrossError) for action in actions]


def changed(rows: Rows, source: Source) -> Rows:
    """Rows of which some are cut, patched, replaced, moved, or gone."""
    made = list(rows)
    for _ in range(1 + source.below(3)):
        place = source.number() % len(made)
        table, partition, row, record = made[place]
        choice = source.below(6)
        if choice == 0:
            at, patch = source.number(2) % (len(record) + 1), source.take(source.below(5))
            record = record[:at] + patch + record[at + len(patch) :]
        elif choice == 1:
            record = record[: source.number(2) % (len(record) + 1)]
        elif choice == 2:
            record = made[source.number() % len(made)][3]
        elif choice == 3:
            record = record[:1] + source.take(source.number())
        elif choice == 4:
            row = source.take(source.below(40))
        else:
            at = source.number(2) % (len(record) + 1)
            record = record[:at] + source.take(source.below(12)) + record[at:]
        made[place] = (table, partition, row, record)
    return tuple(made)


def use_rows(rows: Rows) -> str:
    """Open the device of a store that holds these rows, and use it."""
    store, again = MemoryStore(), MemoryStore()
    fill(store, rows)
    fill(again, rows)
    opened: list[Device] = []
    entropy = SeededEntropy("damaged")
    came = outcome(
        lambda: opened.append(
            Device.open(
                store, policy=scene().budi.policy, clock=scene().budi.clock, entropy=entropy
            )
        ),
        E2ECrossError,
    )
    for device in opened:
        came = ",".join(sorted({*use_device(device), _restore(again)}))
    return came


def _restore(store: MemoryStore) -> str:
    """Open a store as restored, after which no session sends; or nothing of it has changed."""
    before = dump(store)
    entropy, clock = SeededEntropy("restored"), scene().budi.clock
    came = outcome(
        lambda: Device.open(store, clock=clock, entropy=entropy, restored=True), E2ECrossError
    )
    if came == ACCEPTED:
        assert not Device.open(store, clock=clock, entropy=entropy).has_session(ANA)
    else:
        assert dump(store) == before, f"stored something, and raised {came}"
    return came


def _patched(data: bytes) -> str:
    return use_rows(changed(scene().budi_rows, Source(data)))


def _one_record(data: bytes) -> str:
    """One record of any table, replaced by any bytes behind its version."""
    source = Source(data)
    tables = sorted({row[0] for row in scene().budi_rows})
    table = tables[source.below(len(tables))]
    record = source.rest()
    return use_rows(
        tuple(
            (*row[:3], b"\1" + record if row[0] == table else row[3]) for row in scene().budi_rows
        )
    )


def _record_seeds() -> list[bytes]:
    tables = sorted({row[0] for row in scene().budi_rows})
    return [bytes((tables.index(table),)) + record[1:] for table, _, _, record in scene().budi_rows]


STORED: Final[Mapping[str, Target]] = {
    "stored-rows": Target(
        _patched,
        lambda: [
            bytes(8),
            *(
                bytes((0, place, choice, 0, 40, 3, 9, 9))
                for place in range(0, 24, 3)
                for choice in range(6)
            ),
        ],
        96,
    ),
    "stored-record": Target(_one_record, _record_seeds, 512),
}

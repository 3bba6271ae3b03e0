# SPDX-License-Identifier: Apache-2.0
"""Devices that are always the same: made once, and put back before each input."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import NamedTuple

from e2ecross import Address, Device, Envelope, PreKeyBundle
from e2ecross.stores import MemoryStore, Store, Table
from tests.attacks.support import ANA, BUDI, TOKO, Person, Rows, meet, person
from tests.support.entropy import SeededEntropy

__all__ = ["Scene", "fill", "first_message", "load", "scene"]


class Scene(NamedTuple):
    """Two people who know each other, and a third who knows nobody.

    Attributes:
        ana: she and Budi have met, and each has a message of the other's that was skipped.
        budi: the victim.
        toko: the victim has never heard of them.
        budi_rows: Budi's store.
        ana_rows: Ana's store.
        late: a message of Ana's that Budi has skipped.
        waiting: messages of Ana's that Budi has not read, in their order.
        bundles: what the back end hands out, the same each time.
    """

    ana: Person
    budi: Person
    toko: Person
    budi_rows: Rows
    ana_rows: Rows
    late: Envelope
    waiting: tuple[Envelope, ...]
    bundles: Mapping[Address, PreKeyBundle]


@cache
def scene() -> Scene:
    """Set the scene; everything is drawn from seeds."""
    ana, budi, toko = person(ANA), person(BUDI), person(TOKO)
    meet(budi, ana)
    meet(ana, budi)  # the session before is archived
    late = ana.send(budi, "late")
    assert budi.read(ana.send(budi, "early")) == "early"
    assert ana.read(budi.send(ana, "answer")) == "answer"
    waiting = tuple(ana.send(budi, f"waiting {number}") for number in range(3))
    bundles = {somebody.address: somebody.bundle() for somebody in (ana, budi, toko)}
    return Scene(ana, budi, toko, budi.dump(), ana.dump(), late, waiting, bundles)


def load(somebody: Person, rows: Rows, store: Store | None = None) -> Person:
    """Somebody in a store of their own that holds these rows, with randomness of their own."""
    store = MemoryStore() if store is None else store
    fill(store, rows)
    entropy = SeededEntropy(f"{somebody.address} anew")
    device = Device.open(store, policy=somebody.policy, clock=somebody.clock, entropy=entropy)
    return replace(somebody, device=device, store=store, entropy=entropy)


def fill(store: Store, rows: Rows) -> None:
    """Write rows into an empty store."""
    with store.transaction() as tx:
        for table, partition, row, record in rows:
            tx.put(Table(table), partition, row, record)


def first_message() -> Envelope:
    """What somebody writes to Budi who has never heard of him; the same each time."""
    toko = load(scene().toko, scene().toko.dump())
    toko.device.start_session(scene().bundles[BUDI])
    return toko.send(scene().budi, "hello")

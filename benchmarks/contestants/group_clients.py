# SPDX-License-Identifier: Apache-2.0
"""Sending into a group by `Client`, of a device that has sessions with all members, and receiving.

All but the sender are copies of one device. What is deposited goes nowhere, or to one of them: what
a relay takes for it has rows of its own.
"""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.contestants.accounts import hold, sign_devices
from benchmarks.contestants.builds import deposit_at_once
from benchmarks.contestants.clients import acquainted, content_of, copied, read, registered
from benchmarks.contestants.devices import ANA, BUDI, NewStore, bundles_of, moved
from benchmarks.contestants.several import Nowhere, relay_in
from benchmarks.job import Job, Maker, Step
from e2ecross import Address, Bytes, Client, Device, Envelope, Group, Sent
from e2ecross.device.device import context_of
from e2ecross.relay import Relay
from e2ecross.state.sender_keys import drop_own_sender_keys
from e2ecross.stores import MemoryStore
from e2ecross.wire.capabilities import Capability, announced_by
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.exchange import Deposited

__all__ = ["group_client_makers"]

_ANNOUNCED: Final = announced_by(frozenset({Capability.POST}))
_GREETING: Final = Bytes(b"halo")


def group_client_makers(new_store: NewStore) -> dict[str, Maker]:
    """The makers of sending into a group over such a store."""

    def send_into(job: Job, cleanup: ExitStack) -> Step:
        _, group, others = _group(new_store, job.parameters["members"], cleanup)
        content = content_of(job)
        return lambda: _require_all(group.send(content), others)

    def send_alone(job: Job, cleanup: ExitStack) -> Step:
        ana, _, others = _group(new_store, job.parameters["members"], cleanup)
        content, one = content_of(job), others[:1]
        return lambda: _require_all(ana.send(one[0], content), one)

    def send_new_key(job: Job, cleanup: ExitStack) -> Step:
        ana, group, others = _group(new_store, job.parameters["count"] + 1, cleanup)
        content, store = content_of(job), context_of(ana.device).store

        def step() -> None:
            with store.transaction() as tx:
                drop_own_sender_keys(tx)
            _require_all(group.send(content), others)

        return step

    def receive(job: Job, cleanup: ExitStack) -> Step:
        count, content, relay = job.parameters["count"], content_of(job), relay_in(cleanup)
        mail = _Mail(cleanup)
        device, group = _watched(new_store, job.parameters["members"], mail, cleanup)
        budi = registered(device, relay)
        for messages in (1, count * job.total):
            for _ in range(messages):
                group.send(content)
            deposit_at_once(relay.path, relay.limits, mail.collect())
            if messages == 1:  # the key comes with it, and who is in
                budi.confirm(budi.receive())
        return lambda: read(budi, count, count)

    return {
        "group_receive": receive,
        "group_send": send_into,
        "group_send_alone": send_alone,
        "group_send_new_key": send_new_key,
    }


def _group(
    new_store: NewStore, members: int, cleanup: ExitStack
) -> tuple[Client, Group, Sequence[Address]]:
    """A group of a client and so many others, who were told of it and have its key."""
    device, others = acquainted(new_store, members - 1, cleanup, _ANNOUNCED)
    ana = registered(device, relay_in(cleanup, Nowhere))
    return ana, ana.create_group("Trip", others), others


def _watched(
    new_store: NewStore, members: int, mail: "_Mail", cleanup: ExitStack
) -> tuple[Device, Group]:
    """A device over such a store, and a group that it is in, as its maker sees it."""
    stores = MemoryStore(), MemoryStore()
    ana, budi = Device.create(ANA, stores[0]), Device.create(BUDI, stores[1])
    ana.start_session(next(bundles_of(budi, 1, with_kyber=True)))
    budi.decrypt(ana.encrypt(BUDI, _GREETING))
    ana.decrypt(budi.encrypt(ANA, _GREETING))
    others = [BUDI, *copied(stores[0], BUDI, members - 2)]
    hold(ana, [sign_devices(budi, user=each.user_id, announced=_ANNOUNCED) for each in others])
    hold(budi, [sign_devices(ana, announced=_ANNOUNCED)])
    group = registered(ana, mail).create_group("Trip", others)
    return moved(stores[1], new_store, cleanup), group


class _Mail(Relay):
    """A back end that keeps what is for one device."""

    def __init__(self, cleanup: ExitStack) -> None:
        folder = cleanup.enter_context(tempfile.TemporaryDirectory())
        super().__init__(Path(folder) / "relay.db")
        cleanup.callback(self.close)
        self._kept: list[bytes] = []

    def deposit_all(self, token: bytes, envelopes: Sequence[bytes], **others: object) -> Deposited:
        self._kept += [each for each in envelopes if Envelope.decode(each).recipient == BUDI]
        return Deposited()

    def deposit_copies(self, token: bytes, copies: bytes, **others: object) -> Deposited:
        self._kept.append(EnvelopeCopies.decode(copies).encode_for(BUDI))
        return Deposited()

    def collect(self) -> Sequence[bytes]:
        """What it has kept since it was last asked."""
        kept, self._kept = self._kept, []
        return kept


def _require_all(sent: Sent, recipients: Sequence[Address]) -> None:
    """Refuse to have measured anything but a copy for everybody."""
    reached = [each.address for each in sent.deliveries if not each.problem]
    if len(reached) != len(recipients):
        raise ValueError(f"{len(reached)} of {len(recipients)} were reached")

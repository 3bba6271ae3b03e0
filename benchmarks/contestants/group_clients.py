# SPDX-License-Identifier: Apache-2.0
"""Sending into a group by `Client`: of a device that has sessions with all members.

All but the sender are copies of one device (`acquainted`). What is deposited goes nowhere: what a
relay takes for it has rows of its own.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from benchmarks.contestants.clients import acquainted, content_of, registered
from benchmarks.contestants.devices import NewStore
from benchmarks.contestants.several import Nowhere, relay_in
from benchmarks.job import Job, Maker, Step
from e2ecross import Address, Client, Group, Sent
from e2ecross.device.device import context_of
from e2ecross.state.sender_keys import drop_own_sender_keys
from e2ecross.wire.capabilities import Capability, announced_by

__all__ = ["group_client_makers"]

_ANNOUNCED: Final = announced_by(frozenset({Capability.POST}))


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

    return {
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


def _require_all(sent: Sent, recipients: Sequence[Address]) -> None:
    """Refuse to have measured anything but a copy for everybody."""
    reached = [each.address for each in sent.deliveries if not each.problem]
    if len(reached) != len(recipients):
        raise ValueError(f"{len(reached)} of {len(recipients)} were reached")

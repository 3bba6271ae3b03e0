# SPDX-License-Identifier: Apache-2.0
"""Operations of a relay at which many envelopes wait: in one mailbox, or in many."""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.contestants.builds import IS_BEFORE, deposit, deposit_at_once, register_at_once
from benchmarks.contestants.devices import ANA, BUDI
from benchmarks.contestants.scratch import built_once
from benchmarks.job import Job, Maker, Step
from e2ecross import Address, Envelope, MessageKind
from e2ecross.relay import Relay, RelayLimits

__all__ = ["relay_makers"]

_SENDER_TOKEN: Final = b"a" * 32
_TOKEN: Final = b"b" * 32
_STRIDE: Final = 7_919
"""A prime: one mailbox after the other, none of them beside the one before."""


def relay_makers() -> dict[str, Maker]:
    """The makers of operations of a relay at which many envelopes wait."""
    return {"deposit": _deposit, "fetch": _fetch}


def _deposit(job: Job, cleanup: ExitStack) -> Step:
    relay, owners = _open_relay(job, cleanup)
    envelopes = iter([_envelope(owner) for owner in islice(owners, job.total)])
    # What `Client.send` deposits: one in a call.
    return lambda: deposit(relay, _SENDER_TOKEN, [next(envelopes)])


def _fetch(job: Job, cleanup: ExitStack) -> Step:
    relay, owners = _open_relay(job, cleanup)
    asking = list(islice(owners, job.total))
    for owner in asking:
        deposit(relay, _SENDER_TOKEN, [_envelope(owner)])
    owners = iter(asking)

    def step() -> None:
        owner = next(owners)
        ((number, _),) = relay.fetch(owner, _TOKEN, 1)
        relay.acknowledge(owner, _TOKEN, [number])

    return step


def _open_relay(job: Job, cleanup: ExitStack) -> tuple[Relay, Iterator[Address]]:
    """A relay at which at least that many envelopes wait, and whose mailboxes to use in turn."""
    waiting, mailboxes = job.parameters["waiting"], job.parameters.get("mailboxes", 1)
    build = "before" if IS_BEFORE else "ours"
    limits = RelayLimits(mailbox_messages=100_000 + 10 * waiting)
    owners = [Address(BUDI.app, f"{BUDI.user}{number}") for number in range(mailboxes)]
    name = f"relay-{mailboxes}-{waiting}-{build}.db"
    relay = Relay(built_once(name, partial(_build, owners, waiting, limits)), limits=limits)
    cleanup.callback(relay.close)
    return relay, _in_turn(owners)


def _build(owners: Sequence[Address], waiting: int, limits: RelayLimits, path: Path) -> None:
    register_at_once(path, limits, [ANA], _SENDER_TOKEN)
    register_at_once(path, limits, owners, _TOKEN)
    everything = map(_envelope, islice(_in_turn(owners), waiting))
    # One commit for all: in each of several nearly every page of the file would change again.
    deposit_at_once(path, limits, everything)


def _in_turn(owners: Sequence[Address]) -> Iterator[Address]:
    """One after the other, for ever; not beside each other, as people write to each other."""
    place = secrets.randbelow(len(owners))
    while True:
        yield owners[place]
        place = (place + _STRIDE) % len(owners)


def _envelope(recipient: Address) -> bytes:
    """An encoded envelope of Ana; the relay does not see that all hold the same."""
    return Envelope(
        message_id=os.urandom(16),
        sender=ANA,
        recipient=recipient,
        kind=MessageKind.SIGNAL,
        ciphertext=bytes(200),
    ).encode()

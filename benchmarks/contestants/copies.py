# SPDX-License-Identifier: Apache-2.0
"""One message into a group at a relay: for all devices in one call, and as envelopes of their own.

Every mailbox is registered and holds what the calls before have left there.
"""

import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.contestants.builds import register_at_once
from benchmarks.contestants.devices import ANA, BUDI
from benchmarks.job import Job, Maker, Step
from e2ecross import Address
from e2ecross.relay import Relay, RelayLimits
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.exchange import Deposited

__all__ = ["copies_makers"]

_SENDER_TOKEN: Final = b"a" * 32
_TOKEN: Final = b"b" * 32


def copies_makers() -> dict[str, Maker]:
    """The makers of deposits for many devices."""
    return {"deposit_copies": _together, "deposit_apart": _apart}


def _together(job: Job, cleanup: ExitStack) -> Step:
    relay, messages = _prepare(job, cleanup)
    calls = iter([message.encode() for message in messages])
    return lambda: _require_all(relay.deposit_copies(_SENDER_TOKEN, next(calls)))


def _apart(job: Job, cleanup: ExitStack) -> Step:
    relay, messages = _prepare(job, cleanup)
    calls = iter([[one.encode_for(each) for each in one.recipients] for one in messages])
    return lambda: _require_all(relay.deposit_all(_SENDER_TOKEN, next(calls)))


def _require_all(answer: Deposited) -> None:
    for error in answer.refused.values():
        raise error


def _prepare(job: Job, cleanup: ExitStack) -> tuple[Relay, Sequence[EnvelopeCopies]]:
    folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
    numbers = range(job.parameters["devices"])
    crowd = sorted((Address(BUDI.app, f"{BUDI.user}{number}") for number in numbers), key=str)
    limits = RelayLimits(mailbox_messages=10 + job.total)
    register_at_once(folder / "relay.db", limits, [ANA], _SENDER_TOKEN)
    register_at_once(folder / "relay.db", limits, crowd, _TOKEN)
    relay = Relay(folder / "relay.db", limits=limits)
    cleanup.callback(relay.close)
    size = job.parameters["bytes"]
    return relay, [
        EnvelopeCopies(os.urandom(16), ANA, tuple(crowd), os.urandom(size))
        for _ in range(job.total)
    ]

# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.forged`: what a forged message costs the device that refuses it.

The device has as many sessions with its contact, and as many stored message keys, as there can be,
on a sealed SQLite file. A message is in the contact's name and has a wrong MAC; it claims to be so
many messages ahead. Each is refused, and the same device gets the next.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.machine import describe_machine
from e2ecross import Device, Envelope
from e2ecross.errors import AuthenticationFailed, TooManySkipped
from e2ecross.stores import SQLiteStore
from tests.attacks.crowded import crowded_rows, forgeries
from tests.fuzz.world import load

__all__ = ["main", "measure", "parse"]

_AHEAD: Final = (0, 780, 2_000, 25_000)


def measure(ahead: Sequence[int], times: int) -> dict[str, dict[int, float]]:
    """Milliseconds of the processor, by kind of forgery and how far ahead it claims to be.

    Args:
        ahead: how many messages.
        times: how often each is refused; the median counts.
    """
    _, budi, rows = crowded_rows()
    found: dict[str, dict[int, float]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        SQLiteStore(Path(folder, "budi.db"), key=bytes(32)) as store,
    ):
        victim = load(budi, rows, store)
        for name, (forge, _, _) in forgeries(victim).items():
            found[name] = {}
            for count in ahead:
                forged = forge(count)
                taken = [_refusal_ms(victim.device, forged) for _ in range(times)]
                found[name][count] = round(statistics.median(taken), 1)
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read a command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forged", description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="refusals of each (default: 5)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print."""
    found = measure(_AHEAD, parse(arguments).times)
    print(json.dumps({"machine": describe_machine(), "milliseconds_by_ahead": found}, indent=2))
    return 0


def _refusal_ms(device: Device, forged: Envelope) -> float:
    started = time.process_time()
    try:
        device.decrypt(forged)
    except (AuthenticationFailed, TooManySkipped):
        return 1_000 * (time.process_time() - started)
    raise AssertionError("a forged message was read")


if __name__ == "__main__":
    sys.exit(main())

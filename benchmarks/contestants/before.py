# SPDX-License-Identifier: Apache-2.0
"""Contestants: the build of before, in an environment of its own, by the makers of ours.

It stands beside ours in the rows of clients, and in some others that tell whether what they are
made of has become faster: not in all, which would take as long again.
"""

from collections.abc import Mapping
from typing import Final

from benchmarks.contestants.builds import IS_BEFORE
from benchmarks.contestants.clients import client_makers
from benchmarks.contestants.devices import STORES, device_makers
from benchmarks.contestants.many import many_makers
from benchmarks.contestants.relays import relay_makers
from benchmarks.implementation import Implementation
from benchmarks.job import Maker
from benchmarks.machine import PYTHON

__all__ = ["IMPLEMENTATIONS"]

if not IS_BEFORE:  # nothing would tell if it stood beside itself
    raise ImportError("this environment has our build, and not the one of before")

_PACKAGES: Final = ("e2ecross", "cryptography", "PyNaCl", "protobuf", PYTHON)
_OPERATIONS: Final = (
    "set_up",
    "set_up_v4",
    "encrypt",
    "decrypt",
    "ping_pong",
    "turn",
    "content_encrypt",
)


def _makers(store: str) -> Mapping[str, Maker]:
    new_store = STORES[store]
    makers = device_makers(new_store) | many_makers(new_store)
    return client_makers(new_store) | {name: makers[name] for name in _OPERATIONS}


IMPLEMENTATIONS: Final = {
    "before": Implementation({**_makers("memory"), **relay_makers()}, packages=_PACKAGES),
    "before-sealed": Implementation(_makers("sealed"), packages=_PACKAGES),
}

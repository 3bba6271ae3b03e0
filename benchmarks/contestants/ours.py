# SPDX-License-Identifier: Apache-2.0
"""Contestants: e2ecross at its two levels and over its stores, and the floor below it."""

from functools import partial
from typing import Final

from benchmarks.contestants import protocol
from benchmarks.contestants.chain import byte_measures
from benchmarks.contestants.client_floor import client_floor_makers
from benchmarks.contestants.clients import client_makers
from benchmarks.contestants.contents import content_makers
from benchmarks.contestants.copies import copies_makers
from benchmarks.contestants.devices import STORES, connect, device_makers, hold
from benchmarks.contestants.files import FLOOR as FLOOR_OF_FILES
from benchmarks.contestants.files import MAKERS as FILES
from benchmarks.contestants.files import TWO_THREADS, media_makers
from benchmarks.contestants.floor_makers import MAKERS as FLOOR_MAKERS
from benchmarks.contestants.floor_makers_groups import MAKERS as FLOOR_MAKERS_GROUPS
from benchmarks.contestants.floor_makers_v4 import MAKERS as FLOOR_MAKERS_V4
from benchmarks.contestants.group_clients import group_client_makers
from benchmarks.contestants.group_graphs import MAKERS as GROUP_GRAPHS
from benchmarks.contestants.groups import group_makers
from benchmarks.contestants.growth import crowd_makers, walk, walk_before
from benchmarks.contestants.imports import import_package
from benchmarks.contestants.lists import verify_alone, verify_whole
from benchmarks.contestants.many import many_makers
from benchmarks.contestants.pieces import MAKERS as PIECES
from benchmarks.contestants.relays import relay_makers
from benchmarks.contestants.several import further_measures, several_makers
from benchmarks.contestants.timelines import DICT_MAKERS
from benchmarks.contestants.timelines import MAKERS as TIMELINES
from benchmarks.contestants.written import bytes_written
from benchmarks.implementation import Implementation, measure_memory
from benchmarks.media_formats import SIGNAL, WHATSAPP

__all__ = ["IMPLEMENTATIONS"]

_PACKAGES: Final = ("e2ecross", "cryptography", "PyNaCl", "protobuf")

IMPLEMENTATIONS: Final = {
    "floor": Implementation(
        FLOOR_MAKERS
        | FLOOR_MAKERS_V4
        | FLOOR_MAKERS_GROUPS
        | PIECES
        | DICT_MAKERS
        | FLOOR_OF_FILES
        | client_floor_makers(STORES["memory"], is_durable=False)
        | {"verify_list": verify_alone},
        packages=_PACKAGES[1:],
    ),
    "floor-sealed": Implementation(
        client_floor_makers(STORES["sealed"], is_durable=True), packages=_PACKAGES
    ),
    "protocol": Implementation(
        protocol.MAKERS | GROUP_GRAPHS | {"verify_list": verify_whole},
        protocol.MEASURES | {"memory": measure_memory(protocol.hold)},
        _PACKAGES,
    ),
    "device": Implementation(
        device_makers(STORES["memory"])
        | many_makers(STORES["memory"])
        | group_makers(STORES["memory"])
        | group_client_makers(STORES["memory"])
        | client_makers(STORES["memory"])
        | several_makers(STORES["memory"])
        | content_makers(STORES["memory"])
        | relay_makers()
        | copies_makers()
        | FILES
        | TIMELINES,
        byte_measures(partial(connect, STORES["memory"], with_kyber=True))
        | further_measures(STORES["memory"])
        | {
            "memory": measure_memory(hold),
            "stored_bytes_v4": bytes_written,
            "import_package": import_package,
        },
        _PACKAGES,
    ),
    "sqlite": Implementation(
        device_makers(STORES["sqlite"])
        | many_makers(STORES["sqlite"])
        | group_makers(STORES["sqlite"]),
        packages=_PACKAGES,
    ),
    "sealed": Implementation(
        device_makers(STORES["sealed"])
        | many_makers(STORES["sealed"])
        | group_makers(STORES["sealed"])
        | group_client_makers(STORES["sealed"])
        | client_makers(STORES["sealed"])
        | several_makers(STORES["sealed"])
        | content_makers(STORES["sealed"])
        | crowd_makers(),
        further_measures(STORES["sealed"]) | {"walk": walk, "walk_before": walk_before},
        _PACKAGES,
    ),
    "two-threads": Implementation(TWO_THREADS, packages=_PACKAGES),
    "signal-media": Implementation(media_makers(SIGNAL), packages=_PACKAGES[1:2]),
    "whatsapp-media": Implementation(media_makers(WHATSAPP), packages=_PACKAGES[1:2]),
}

# SPDX-License-Identifier: Apache-2.0
"""Where each microsecond of an operation goes, from the cells of one run.

What the primitives take is measured one by one, and counted here. The rest is what a layer takes
more than the one below it: the floor more than its primitives, the protocol more than the floor,
a device more than the protocol, a durable store more than all of these, its sealing and its commit.
"""

from collections.abc import Mapping
from contextlib import suppress
from statistics import median
from typing import Final, NamedTuple

from benchmarks.results import Results

__all__ = ["BARS", "SEGMENTS", "Bar", "Breakdown", "break_down"]

SEGMENTS: Final = {
    "x25519": "X25519: agreements, key pairs",
    "signature": "XEdDSA: one verification",
    "keys": "HMAC, HKDF: keys",
    "cipher": "AES-256-CBC",
    "mac": "HMAC: MAC",
    "protobuf": "protobuf",
    "primitives": "primitives of version 4, together",
    "floor": "calls between primitives",
    "protocol": "protocol: states, checks",
    "device": "device: transaction, trust",
    "sealing": "sealing of records",
    "store": "records, SQLite's statements",
    "commit": "durable commit",
}
"""What an operation's time is divided into, and its title, from the bottom up."""

_KEYS: Final = {"chain-keys": 1, "message-keys": 1}
_ONE_MESSAGE: Final = {"chain-keys": 2, "message-keys": 2}
_BOTH_WAYS: Final = {"cbc-encrypt": 1, "cbc-decrypt": 1}

_ENCRYPT: Final = {
    "keys": _KEYS,
    "cipher": {"cbc-encrypt": 1},
    "mac": {"mac": 1},
    "protobuf": {"encode": 1},
}
_DECRYPT: Final = {
    "keys": _KEYS,
    "cipher": {"cbc-decrypt": 1},
    "mac": {"mac": 1},
    "protobuf": {"decode": 1},
}
_PING_PONG: Final = {
    "x25519": {"agree": 2, "key-pair": 1},
    "keys": {**_ONE_MESSAGE, "next-root": 2},
    "cipher": _BOTH_WAYS,
    "mac": {"mac": 2},
    "protobuf": {"encode": 1, "decode": 1},
}
_SET_UP: Final = {
    # X3DH of both ends, and half a turn at each; the initiator's two pairs are fresh.
    "x25519": {"agree": 2 * 4 + 2, "key-pair": 2},
    "signature": {"verify": 1},
    "keys": {**_ONE_MESSAGE, "initial-root": 2, "next-root": 2},
    "cipher": _BOTH_WAYS,
    "mac": {"mac": 2},
    "protobuf": {"encode": 1, "decode": 2, "wrap": 1, "unwrap": 1},
}

_Pieces = Mapping[str, Mapping[str, int]]


class Bar(NamedTuple):
    """An operation whose time is divided.

    Attributes:
        row: of the table.
        column: over which store; `device` is the one in memory.
        title: of the bar.
        pieces: how many of which primitives by segment; none where they are not divided.
        sealing: the row that measures the sealing of its records, if it is durable.
    """

    row: str
    column: str
    title: str
    pieces: _Pieces
    sealing: str = ""


BARS: Final = (
    Bar("encrypt-100", "device", "encrypt 100 B", _ENCRYPT),
    Bar("decrypt-100", "device", "decrypt 100 B", _DECRYPT),
    Bar("ping-pong", "device", "ping-pong, a message", _PING_PONG),
    Bar("set-up", "device", "set-up, both sides", _SET_UP),
    Bar("encrypt-100", "sealed", "encrypt, sealed SQLite", _ENCRYPT, "seal-encrypt"),
    Bar("decrypt-100", "sealed", "decrypt, sealed SQLite", _DECRYPT, "seal-decrypt"),
    Bar("v4-encrypt-100", "device", "version 4: encrypt", {}),
    Bar("v4-decrypt-100", "device", "version 4: decrypt", {}),
    Bar("v4-ping-pong", "device", "version 4: ping-pong", {}),
    Bar("v4-set-up", "device", "version 4: set-up", {}),
)


class Breakdown(NamedTuple):
    """The time of an operation, divided.

    Attributes:
        bar: which operation.
        total: seconds.
        segments: seconds by name; those that take nothing are left out.
    """

    bar: Bar
    total: float
    segments: Mapping[str, float]


def break_down(results: Results) -> list[Breakdown]:
    """Divide the time of every operation that the run has the figures for."""
    divided = []
    for bar in BARS:
        with suppress(LookupError):
            divided.append(_break_down(results, bar))
    return divided


def _break_down(results: Results, bar: Bar) -> Breakdown:
    floor, protocol, device = (
        _seconds(results, bar.row, column) for column in ("floor", "protocol", "device")
    )
    total = device
    segments = {
        name: sum(_seconds(results, f"piece-{piece}", "floor") * n for piece, n in pieces.items())
        for name, pieces in bar.pieces.items()
    }
    segments["floor" if bar.pieces else "primitives"] = floor - sum(segments.values())
    segments["protocol"] = protocol - floor
    segments["device"] = device - protocol
    if bar.sealing:
        total = _seconds(results, bar.row, bar.column)
        segments["sealing"] = _seconds(results, bar.sealing, "floor")
        segments["commit"] = _seconds(results, "commit", "floor")
        segments["store"] = total - device - segments["sealing"] - segments["commit"]
    # A layer that is measured to take less than the one below it takes nothing that can be told.
    return Breakdown(
        bar, total, {name: segments[name] for name in SEGMENTS if segments.get(name, 0.0) > 0}
    )


def _seconds(results: Results, row: str, column: str) -> float:
    cell = results.cell(row, column)
    if cell is None:
        raise LookupError(f"{row} of {column} was not measured")
    return median(map(median, cell))

# SPDX-License-Identifier: Apache-2.0
"""Bounds held against all stores and the relay, again and again; what grows is found at the end."""

from collections import defaultdict
from pathlib import Path
from typing import Final

from tests.simulation.long_life.relay_bounds import count_relay
from tests.simulation.long_life.seat import Seat
from tests.simulation.long_life.store_bounds import GROWING, Census, count_store
from tests.simulation.long_life.world import LIMITS, World

__all__ = ["HEAD", "Watch"]

_GROWING_AT_RELAY: Final = frozenset(
    {"one_time_prekeys", "mailbox", "shared_ciphertexts", "waiting_from"}
)
"""Of keys that were handed out the ids are kept: 10,000 of each device and kind. And what waits is
for who is away, at times longer in one half: each envelope for as long as `count_relay` allows."""
_MOST_GROWTH: Final = 1.5
"""More than chance does."""
_LEAST_DAYS: Final = 180
"""A life in whose first half all is there that is kept for a time: 75 days at most."""
_SMALL: Final = 200
"""Rows that may come and go."""
_SMALL_OF_HOUSEHOLDS: Final = 1_000
"""The same of devices that are lost, unlinked and begun anew: in one half they are older."""
_MEMBER: Final = "a member"
_RELAY: Final = "the relay"
_SMALL_FILE: Final = 2 * 1024 * 1024
HEAD: Final = (
    "day",
    "messages",
    "phone",
    "other",
    "relay",
    "files",
    "sent kept",
    "sent ids",
    "received",
    "sessions",
    "keys",
    "commits",
    "relay's",
    "blobs",
)
"""What a line of the table tells: sizes of the largest file of a phone, of another device and of
the relay, with its folder; then the most rows of kinds in any store, and two of the relay's."""


class Watch:
    """What was counted, by half of the life."""

    def __init__(self, world: World, days: int) -> None:
        self._world, self._half = world, days / 2
        self._most: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        self.checks = 0

    def check(self) -> list[object]:
        """Hold everything against its bounds; returns the cells of a line.

        Raises:
            AssertionError: a bound does not hold.
        """
        world, now_ms = self._world, self._world.clock.now_ms
        most: Census = Census()
        accounts = len(world.members) + len(world.households)
        devices = len(world.members) + sum(1 + each.linked for each in world.households)
        for seat in world.seats:
            if seat.is_online:
                seat.receive()
            try:
                census = count_store(
                    seat.store, seat.policy, now_ms, accounts, devices, seat.upkept_at_ms
                )
            except AssertionError as error:
                raise AssertionError(f"{seat.name}: {error}") from error
            most |= census
            self._note(self._role(seat), census)
        addresses = [seat.address for seat in world.seats]
        relay = count_relay(world.folder, LIMITS, addresses, now_ms)
        self._note(_RELAY, relay)
        self.checks += 1
        return self._line(most, relay)

    def _role(self, seat: Seat) -> str:
        if seat in self._world.members:
            return _MEMBER
        return str(seat.address) if seat.address.device == 1 else f"{seat.user}, another device"

    def _note(self, who: str, counted: Census) -> None:
        half = int(self._world.day > self._half)
        for kind, count in counted.items():
            found = self._most[who, kind]
            found[half] = max(found[half], count)

    def _line(self, most: Census, relay: Census) -> list[object]:
        world = self._world
        phones = [each.phone for each in world.households]
        others = [seat for each in world.households for seat in each.companions]
        blobs = sum(path.stat().st_size for path in (world.folder / "blobs").rglob("*"))
        sizes = {
            "the phones": max(_size(seat.path) for seat in phones),
            "the other devices": max([_size(seat.path) for seat in others], default=0),
            _RELAY: _size(world.folder / "relay.db"),
            "the folder": blobs,
        }
        for who, size in sizes.items():
            self._note(who, Census({"bytes": size}))
        return [
            world.day,
            world.sent,
            *(f"{size / 1024 / 1024:.1f} MB" for size in sizes.values()),
            most["sent messages"],
            most["ids of sent messages"],
            most["ids of received messages"],
            most["sessions"],
            most["stored message keys"],
            most["commits of groups"],
            relay["deposits"],
            relay["blobs"],
        ]

    def judge(self) -> None:
        """Find what has grown in the second half.

        Raises:
            AssertionError: something has that no document lets grow.
        """
        if 2 * self._half < _LEAST_DAYS:
            return
        grown = []
        for (who, kind), (first, second) in sorted(self._most.items()):
            may = _GROWING_AT_RELAY if who == _RELAY else GROWING
            rows = _SMALL if who in (_MEMBER, _RELAY) else _SMALL_OF_HOUSEHOLDS
            small = _SMALL_FILE if kind == "bytes" else rows
            if kind not in may and second > first * _MOST_GROWTH + small:
                grown.append(f"{who}: {kind}, from {first:,} to {second:,}")
        assert not grown, "these grow without a bound: " + "; ".join(grown)


def _size(path: Path) -> int:
    wal = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)

# SPDX-License-Identifier: Apache-2.0
"""Bytes that are made to cost memory or to break a parser: an error of ours, and nothing kept.

The attacker: anybody who can have bytes delivered, read as a code, or left in a file. Every decoder
and every entry point is one of `tests/fuzz`, whose functions raise what is not an error of ours,
and assert that a device's store is unchanged by what it refuses.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from e2ecross import Device, PreKeyBundle
from e2ecross.errors import RemoteError
from tests.attacks.support import ANA, SESSION_KINDS
from tests.fuzz.decoders import DECODE, DECODERS
from tests.fuzz.doors import DOORS
from tests.fuzz.files import FILES
from tests.fuzz.target import ACCEPTED
from tests.fuzz.world import first_message, load, scene
from tests.support.bombs import BOMBS, malformed
from tests.support.documents import ROOT

_MIB: Final = 1024 * 1024
_HUGE_BOMBS: Final = ("zeros", "long field 1", "empty field 6")
_STARTS: Final = (b"", b"\x01", b"\x33")  # a version of ours, and of Signal's messages
_LIMITS: Final = (4096, 100_864, 262_144)  # bundles, Signal's messages, records: the longest

ENTRIES: Final[Mapping[str, Callable[[bytes], str]]] = {
    **DECODE,
    **{name: target.run for name, target in DOORS.items()},
    "inspect": FILES["inspect"].run,
}
_SEEDS: Final = {**DECODERS, **DOORS, "inspect": FILES["inspect"]}


@pytest.mark.parametrize("bomb", list(BOMBS))
def test_a_bomb_of_the_largest_size_that_is_parsed(bomb: str) -> None:
    for limit in _LIMITS:
        for start in _STARTS:
            data = start + BOMBS[bomb](limit - len(start))
            for run in ENTRIES.values():
                run(data)


def test_a_device_that_was_given_all_of_them_is_as_it_was() -> None:
    """One device, one bomb after the other, and then the messages that were waiting."""
    budi = load(scene().budi, scene().budi_rows)
    before = budi.dump()
    for bomb in BOMBS.values():
        for start in _STARTS:
            data = start + bomb(4096 - len(start))
            actions: list[Callable[[], object]] = [
                lambda data=data: budi.device.decrypt(data),  # type: ignore[misc]
                lambda data=data: budi.device.start_session(PreKeyBundle.decode(data)),  # type: ignore[misc]
                lambda data=data: Device.import_identity(data, "passphrase", budi.store),  # type: ignore[misc]
            ]
            for kind, envelope in zip(SESSION_KINDS, (scene().late, first_message()), strict=True):
                actions += [
                    lambda data=data, kind=kind: budi.device.decrypt_raw(ANA, kind, data),  # type: ignore[misc]
                    lambda data=data, envelope=envelope: budi.device.decrypt(  # type: ignore[misc]
                        replace(envelope, ciphertext=data)
                    ),
                ]
            for action in actions:
                with pytest.raises(RemoteError):
                    action()
    assert budi.dump() == before
    assert budi.read(scene().late) == "late"


@pytest.mark.parametrize("start", _STARTS)
@pytest.mark.parametrize("bomb", _HUGE_BOMBS)
def test_64_mebibytes_are_refused(bomb: str, start: bytes) -> None:
    data = start + BOMBS[bomb](64 * _MIB)
    for name, run in ENTRIES.items():
        assert run(data) != ACCEPTED, name


@pytest.mark.parametrize("entry", list(ENTRIES))
def test_small_damage(entry: str) -> None:
    for example in _SEEDS[entry].seeds():
        for _, data in malformed(example):
            ENTRIES[entry](data)


@pytest.mark.parametrize("entry", [name for name in DECODE if name.startswith("format-")])
def test_small_damage_to_a_format_of_ours_is_refused(entry: str) -> None:
    """One encoding only: what is accepted is what an encoder writes (`ENTRIES` compares)."""
    example = _SEEDS[entry].seeds()[0]
    assert ENTRIES[entry](example) == ACCEPTED
    refused = [name for name, data in malformed(example) if ENTRIES[entry](data) != ACCEPTED]
    assert len(refused) >= len(list(malformed(example))) - 20


# --- Memory ---------------------------------------------------------------------------------


def _peak_bytes() -> int:
    # Not getrusage(): there a process begins with the peak of the one that started it.
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def measure() -> list[int]:
    """How much the peak of this process grows: by what is parsed, by huge bytes, by their end."""
    for name in ENTRIES:
        for seed in _SEEDS[name].seeds():
            ENTRIES[name](seed)
    # These copy what they are given, before the library sees it.
    mine = ("address", "format-payload", "link-code-text", "start-session-of-fields")
    large = ("format-group", "format-state-of-a-group")  # of the store: the bombs are within limits
    entries = [
        run for name, run in ENTRIES.items() if not name.startswith(mine) and name not in large
    ]
    peaks = [_peak_bytes()]
    for bomb in BOMBS.values():
        for start in _STARTS:
            for limit in _LIMITS[1:]:
                data = start + bomb(limit - len(start))
                for run in entries:
                    run(data)
    peaks.append(_peak_bytes())
    huge = bytearray(64 * _MIB)
    for start in _STARTS:
        huge[: len(start)] = start
        data = bytes(huge)
        if start == _STARTS[0]:
            peaks.append(_peak_bytes())
        for run in entries:
            run(data)
        del data
    peaks.append(_peak_bytes())
    return [after - before for before, after in pairwise(peaks)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak in /proc")
def test_memory_stays_within_a_small_multiple_of_what_is_parsed() -> None:
    """In a process of its own, because a peak never goes down."""
    command = f"from {__name__} import measure; print(*measure())"
    done = subprocess.run(
        [sys.executable, "-c", command],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    parsed, huge, refused = map(int, done.stdout.split())
    assert huge >= 100 * _MIB, "the peak is not measured"
    assert parsed <= 160 * max(_LIMITS)
    assert refused <= 16 * _MIB, "what is refused by its length is not even copied"

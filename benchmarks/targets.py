# SPDX-License-Identifier: Apache-2.0
"""What is aimed at: figures that are at most, or at least, so many times others of the same run.

Nothing fails when a target is missed: the table says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final, NamedTuple

from benchmarks.figures import Ratio, ratio_of
from benchmarks.registry import REVISION
from benchmarks.results import Results
from benchmarks.rows import ROWS, Row

__all__ = ["TARGETS", "Comparison", "Outcome", "Place", "Target", "judge"]


class Place(NamedTuple):
    """A cell of the table."""

    row: str
    contestant: str


class Comparison(NamedTuple):
    """A cell against the sum of others."""

    measured: Place
    references: tuple[Place, ...]


class Target(NamedTuple):
    """Comparisons of which none may exceed a limit, or fall below it if it is a lower one."""

    title: str
    limit: float
    comparisons: tuple[Comparison, ...]
    is_lower: bool = False

    @property
    def bound(self) -> str:
        """The limit in words."""
        return f"{'at least' if self.is_lower else 'at most'} {self.limit:g}"

    def is_met_by(self, ratio: Ratio) -> bool:
        """Whether a ratio is on the right side of the limit."""
        return ratio.value >= self.limit if self.is_lower else ratio.value <= self.limit


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a target.

    Attributes:
        target: which one.
        ratios: of its comparisons, as far as both sides were measured.
    """

    target: Target
    ratios: dict[Comparison, Ratio]

    @property
    def worst(self) -> tuple[Comparison, Ratio] | None:
        """The comparison that is furthest on the wrong side, if any was made."""
        furthest = min if self.target.is_lower else max
        return furthest(self.ratios.items(), key=lambda item: item[1].value, default=None)

    @property
    def missed(self) -> list[Comparison]:
        """Comparisons on the wrong side of the limit."""
        return [c for c, ratio in self.ratios.items() if not self.target.is_met_by(ratio)]

    @property
    def verdict(self) -> str:
        """In a few words."""
        if not self.ratios:
            return "not measured"
        if self.missed:
            of_all = f" in {len(self.missed)} of {len(self.ratios)}" if len(self.ratios) > 1 else ""
            return f"missed{of_all}"
        left = len(self.target.comparisons) - len(self.ratios)
        return f"met, {left} not measured" if left else "met"


def judge(results: Results) -> list[Outcome]:
    """Hold a run against all targets."""
    return [Outcome(target, dict(_ratios(results, target))) for target in TARGETS]


def _ratios(results: Results, target: Target) -> Iterator[tuple[Comparison, Ratio]]:
    for comparison in target.comparisons:
        measured = results.cell(*comparison.measured)
        references = [results.cell(*place) for place in comparison.references]
        found = [cell for cell in references if cell is not None]
        if measured is None or len(found) < len(references):
            continue
        ratio = ratio_of(measured, *found)
        if ratio is not None:
            yield comparison, ratio


def _one(title: str, limit: float, measured: Place, *references: Place) -> Target:
    return Target(title, limit, (Comparison(measured, references),))


def _columns(title: str, limit: float, column: str, other: str, *rows: str) -> Target:
    """Rows in which one column is held against another one."""
    pairs = [Comparison(Place(row, column), (Place(row, other),)) for row in rows]
    return Target(title, limit, tuple(pairs))


def _rows(limit: float, column: str, row: str, other: str) -> Target:
    """One row held against another one of the same column."""
    title = f"{column}: {row} by {other}"
    return _one(title, limit, Place(row, column), Place(other, column))


def _floor() -> Iterator[Target]:
    for row, limit in (
        ("encrypt-100", 1.5),
        ("decrypt-100", 1.5),
        ("ping-pong", 1.2),
        ("set-up", 1.3),
    ):
        yield _columns(f"{row}: protocol by floor", limit, "protocol", "floor", row)
    yield _columns("first contact by floor", 1.3, "device", "floor", "first-1000", "first-10")


def _peers() -> Iterator[Target]:
    sections = ("session", "message", "crowd")
    rows = [row.name for row in ROWS if row.section in sections and _is_of_peers(row)]
    for peer in ("libsignal-0.22", "libsignal-0.103", "libsignal-node", "axolotl", "doubleratchet"):
        yield _columns(
            f"messages and sessions by {peer}", 1.0, "device", peer, *rows, "encrypt-skipped"
        )
    # A device makes Kyber keys with every publication, so this row is of the protocol level.
    for peer in ("libsignal-0.22", "libsignal-node", "axolotl", "doubleratchet"):
        yield _columns(f"keys: protocol by {peer}", 1.0, "protocol", peer, "bundle")
    for peer in ("libsignal-0.22", "libsignal-0.103"):
        yield _columns(f"safety number by {peer}", 2.5, "device", peer, "safety-number")
    quick = ("encrypt-100", "encrypt-4k", "encrypt-64k", "ping-pong", "set-up")
    yield _columns("encrypt, ping-pong, set-up by vodozemac", 1.0, "device", "vodozemac", *quick)
    # Not of 100 bytes: our primitives alone, called from Python, take longer than that there.
    # What is aimed at is the floor, as `_floor` has it.
    slow = ("decrypt-4k", "decrypt-64k")
    yield _columns("decrypt by vodozemac", 6.0, "device", "vodozemac", *slow)


def _durable() -> Iterator[Target]:
    for version, way in product(("", "v4-"), ("encrypt", "decrypt")):
        yield _one(
            f"sealed {version}{way} by memory + sealing + commit",
            1.5,
            Place(f"{version}{way}-100", "sealed"),
            Place(f"{version}{way}-100", "device"),
            Place(f"{version}seal-{way}", "floor"),
            Place("commit", "floor"),
        )
    for many, limit, single in (
        ("fan-out-many", 2.0, "content-out"),
        ("inbox-many", 2.0, "content-in"),
        ("backlog-many", 1.5, "content-backlog"),
    ):
        memory = Place(single, "device")
        yield _one(f"sealed {many} by one in memory", limit, Place(many, "sealed"), memory)


def _before() -> Iterator[Target]:
    """Beside the build of before, in the same run."""
    for row, limit in (
        ("client-send", 0.5),
        ("client-receive-100", 0.2),
        ("client-send-many-100", 0.15),
        ("client-send-many-10000", 0.25),
        ("client-ping-pong", 0.6),
        ("content-encrypt", 0.85),
    ):
        title = f"sealed {row} by that of {REVISION}"
        yield _columns(title, limit, "sealed", "before-sealed", row)
    for row, limit in (("v4-set-up", 0.85), ("set-up", 0.92), ("turn", 0.65)):
        yield _columns(f"{row} by that of {REVISION}", limit, "device", "before", row)


def _accounts() -> Iterator[Target]:
    """What a copy costs, its first contact, and what is verified before."""
    for column in ("device", "sealed"):
        yield _rows(1.15, column, "client-encrypt-further", "encrypt-many-further")
        yield _rows(1.1, column, "client-first-account", "client-first-accounts")
    yield _columns("verify-list: protocol by floor", 1.1, "protocol", "floor", "verify-list")


def _files() -> Iterator[Target]:
    """Beside the primitives alone, in one thread; beside the formats and functions of others."""
    sizes = ("attachment-64MiB", "attachment-1GiB")
    for way, limits in (
        ("encrypt", {"floor": 0.8, "signal-media": 2.5, "whatsapp-media": 3.0, "matrix-nio": 1.6}),
        ("decrypt", {"floor": 0.8, "signal-media": 1.6, "whatsapp-media": 2.2, "matrix-nio": 1.6}),
    ):
        rows = [f"{size}-{way}" for size in sizes]
        for other, limit in limits.items():
            made = _columns(f"files, {way}: {other} by ours", limit, other, "device", *rows)
            yield made._replace(is_lower=True)
        made = _columns(f"files, {way}: floor by two threads", 1.4, "floor", "two-threads", *rows)
        yield made._replace(is_lower=True)


def _is_of_peers(row: Row) -> bool:
    """Whether peers do it, too: they have no content, and a device has no keys of version 3.

    Where a turn is made, at receipt or when something is sent, is another thing everywhere.
    """
    is_ours = row.operation.startswith("content") or row.name in ("bundle", "turn")
    return not is_ours and not row.is_batch


def _version_4() -> Iterator[Target]:
    peer = "libsignal-0.103"
    for title, limit, rows in (
        ("chain encrypt", 3.0, ("v4-encrypt-100", "v4-encrypt-chunk")),
        ("chain decrypt", 2.3, ("v4-decrypt-100",)),
        ("ping-pong", 1.8, ("v4-ping-pong",)),
        ("set-up", 1.5, ("v4-set-up",)),
    ):
        for column in ("device", "protocol"):
            made = _columns(f"v4 {title}: {peer} by {column}", limit, peer, column, *rows)
            yield made._replace(is_lower=True)
    for row in ("v4-chain-bytes", "v4-ping-pong-bytes"):
        pair = (Place(row, "device"), Place(row, peer))
        both = (Comparison(pair[0], pair[1:]), Comparison(pair[1], pair[:1]))
        yield Target(f"{row}: equal to those of {peer}", 1.0, both)
    rest = ("v4-bundle", "v4-backlog", "v4-skipped-2000", "v4-out-of-order", "v4-encrypt-skipped")
    yield _columns(f"v4, other rows by {peer}", 1.0, "device", peer, *rest)


def _groups() -> Iterator[Target]:
    """Beside the one peer that has the same form of sender keys; the floor; a group of two."""
    peer = "libsignal-0.103"
    for row, limit in (("group-encrypt", 3.0), ("group-decrypt", 2.0), ("group-distribution", 2.0)):
        yield _columns(f"{row}: {peer} by device", limit, peer, "device", row)._replace(
            is_lower=True
        )
    for row, limit in (("group-encrypt", 1.3), ("group-decrypt", 1.3)):
        yield _columns(f"{row} by floor", limit, "device", "floor", row)
    yield _columns("group-join: protocol by its signatures", 2.5, "protocol", "floor", "group-join")
    for column in ("device", "sealed"):
        yield _rows(1.5, column, "group-send-2", "group-send-alone")
        yield _rows(1.25, column, "group-receive-1024", "group-receive-2")


def _growth() -> Iterator[Target]:
    for column in ("device", "sealed"):
        yield _rows(1.25, column, "encrypt-skipped", "encrypt-100")
        yield _rows(1.25, column, "skipped-2000", "skipped-0")
        yield _rows(1.25, column, "encrypt-archived", "encrypt-100")
        yield _rows(1.25, column, "decrypt-archived", "decrypt-100")
        # What is sent is the same there: chunks of a ciphertext, because a header has arrived.
        yield _rows(1.25, column, "v4-encrypt-skipped", "v4-encrypt-chunk")
        yield _rows(1.25, column, "v4-skipped-2000", "v4-decrypt-100")
        yield _rows(1.25, column, "v4-encrypt-archived", "v4-encrypt-100")
        yield _rows(1.25, column, "v4-decrypt-archived", "v4-decrypt-100")
    yield _rows(1.25, "sealed", "encrypt-store", "encrypt-100")
    yield _rows(1.25, "sealed", "decrypt-store", "decrypt-100")
    yield _rows(0.05, "sealed", "walk", "walk-before")
    for column in ("device", "sealed"):
        yield _rows(1.15, column, "client-reply", "client-text")
    yield _rows(1.1, "device", "timeline-100k", "timeline-1k")
    yield _rows(1.25, "device", "deposit-100k", "deposit-0")
    yield _rows(1.25, "device", "fetch-100k", "fetch-0")
    yield _rows(1.25, "device", "deposit-crowd-1m", "deposit-crowd-0")
    yield _rows(1.25, "device", "fetch-crowd-1m", "fetch-crowd-0")
    needed = Place("import", "floor")
    for row, title in (("import-package", "import e2ecross"), ("import", "import for a device")):
        yield _one(f"{title} by what a device needs", 1.5, Place(row, "device"), needed)


TARGETS: Final = (
    *_floor(),
    *_before(),
    *_accounts(),
    *_files(),
    *_peers(),
    *_durable(),
    *_groups(),
    *_growth(),
    *_version_4(),
)

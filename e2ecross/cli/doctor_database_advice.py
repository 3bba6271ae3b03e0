# SPDX-License-Identifier: Apache-2.0
"""What `e2ecross doctor` says about a database: problems, and what is worth knowing.

Rules: those of `doctor_advice.py`. What may be right for who runs the server, and has a price, is
worth knowing only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from e2ecross.cli.doctor_finding import Finding, count
from e2ecross.device.health import StoreHealth

if TYPE_CHECKING:
    from e2ecross.stores.postgres_server import Server, Sizes

__all__ = ["Examined", "find_database_notes", "find_database_problems"]

_MANY_DEAD_ROWS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found.

    Attributes:
        server: where the store is.
        schema_version: the number of its schema.
        stripes: how many it has.
        key_ids: of its sealing keys; none: it is not sealed.
        records_by_key: how many of the records that were looked at each of them has sealed.
        moved_ago_ms: how long ago another server was noticed, milliseconds, or None.
        foreign_stripes: how many stripes were last used at another server.
        examined_stripes: how many were examined whole, beside stripe 0.
        queued_stripes: how many have something in the outbox or the inbox.
        queues_looked_at: of how many of those the queues were read.
        sizes: of the tables.
        health: of the device and the stripes that were examined; its queues are those of all that
            were looked at. None when something is there that no store wrote.
    """

    server: "Server"
    schema_version: int
    stripes: int
    key_ids: tuple[int, ...]
    records_by_key: Mapping[int, int]
    moved_ago_ms: int | None
    foreign_stripes: int
    examined_stripes: int
    queued_stripes: int
    queues_looked_at: int
    sizes: tuple["Sizes", ...]
    health: StoreHealth | None


def find_database_problems(found: Examined) -> Iterator[Finding]:
    """Say what needs something to be done."""
    for why in found.server.unfit:
        yield Finding("server_unfit", f"No store is opened on this server: {why}.")
    if found.moved_ago_ms is not None or found.foreign_stripes:
        yield Finding(
            "store_moved",
            "The database has failed over or was restored: a Client asks its back end, a minute "
            "after it was noticed, whether commits are lost. If the operator knows that none is, "
            "store.accept_move() does without; else open the device once as restored.",
        )
    if found.health is None:
        yield Finding(
            "store_damaged",
            "The database holds something that no store wrote: restore it, and open the device "
            "once as restored.",
        )


def find_database_notes(found: Examined) -> Iterator[Finding]:
    """Say what the operator should know."""
    if not found.server.waits_for_standby:
        yield Finding(
            "no_synchronous_standby",
            "synchronous_standby_names is empty: a standby that is promoted may lack commits, and "
            "that costs all sessions.",
        )
    if found.server.logs_parameters:
        yield Finding(
            "parameters_logged",
            f"The server's log gets the parameters of statements, which are the records: set "
            f"log_parameter_max_length to 0 ({', '.join(found.server.logs_parameters)}).",
        )
    if found.server.is_pooled:
        yield Finding(
            "pooler",
            "A pooler stands before the server: no statements are prepared. Open the store with "
            "prepare=None or False.",
        )
    yield from _table_notes(found)
    if found.health is not None and found.health.device is not None:
        behind = found.health.device.stripes_behind
        if behind:
            yield Finding(
                "stripes_behind",
                f"{count(behind, 'stripe')} still to be brought up since the store was opened as "
                f"restored: each is before its next use, and Device.restore_stripes does all "
                f"ahead.",
            )
    newest = max(found.key_ids, default=0)
    older = sum(number for key_id, number in found.records_by_key.items() if key_id != newest)
    if older:
        yield Finding(
            "older_keys",
            f"{count(older, 'record')} of those examined sealed with another key than {newest}: "
            f"call store.reseal until it gives 0, then forget_key and destroy the old key.",
        )
    if not found.key_ids:
        yield Finding(
            "not_sealed",
            "Records are in the clear: who reads the database, its log or a backup reads the "
            "ratchets. A store is encrypted when it is created with keys.",
        )


def _table_notes(found: Examined) -> Iterator[Finding]:
    for size in found.sizes:
        if size.dead_rows > max(_MANY_DEAD_ROWS, size.rows or 0):
            yield Finding(
                "dead_rows",
                f"{size.table} has more dead rows than rows: look whether autovacuum runs, and for "
                f"transactions that stay open.",
            )

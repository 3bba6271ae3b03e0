# SPDX-License-Identifier: Apache-2.0
"""What a PostgreSQL server is like, and its tables: for `e2ecross doctor`.

Rules:
- Read in whatever transaction the connection is in; nothing is changed, and no row is locked.
- What a standby cannot answer is not asked of one.
"""

from dataclasses import dataclass
from typing import Final

from psycopg.types.numeric import Int8

from e2ecross.stores.base import Table
from e2ecross.stores.postgres_link import IDENTITY, Link, find_unfit
from e2ecross.stores.postgres_rows import STORE_BITS

__all__ = ["Server", "Sizes", "read_move", "read_server", "read_sizes"]


@dataclass(frozen=True, slots=True)
class Server:
    """A server, with the settings that count for the role that asks.

    Attributes:
        version: as it calls itself.
        is_pooled: whether a pooler stands before it.
        unfit: why no store is opened there, if anything, in words.
        waits_for_standby: whether commits wait for a synchronous standby.
        logs_parameters: which settings have it write what is bound to statements into its log.
    """

    version: str
    is_pooled: bool
    unfit: tuple[str, ...]
    waits_for_standby: bool
    logs_parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sizes:
    """One table, of all stores of the database.

    Attributes:
        table: its name.
        rows: about how many it has, by the server's own statistics; None before the first.
        dead_rows: about how many old versions of rows wait to be removed.
        size_bytes: what it and its indexes take.
    """

    table: str
    rows: int | None
    dead_rows: int
    size_bytes: int


_SETTINGS: Final = """
    SELECT current_setting('server_version'), current_setting('synchronous_standby_names'),
        current_setting('log_statement') <> 'none',
        current_setting('log_min_duration_statement') <> '-1',
        current_setting('log_min_duration_sample') <> '-1'
            AND current_setting('log_statement_sample_rate')::float8 > 0,
        current_setting('log_transaction_sample_rate')::float8 > 0,
        coalesce(current_setting('auto_explain.log_min_duration', true), '-1') <> '-1',
        current_setting('log_parameter_max_length') <> '0',
        coalesce(current_setting('auto_explain.log_parameter_max_length', true),
            current_setting('log_parameter_max_length')) <> '0',
        current_setting('log_parameter_max_length_on_error') <> '0'
"""
_LOGS: Final = (
    "log_statement",
    "log_min_duration_statement",
    "log_min_duration_sample",
    "log_transaction_sample_rate",
)

_MOVE: Final = f"""
    SELECT (1000 * extract(epoch FROM clock_timestamp() - moved_at))::bigint, present, foreign_ones
    FROM e2ecross.stores, (
        SELECT count(*), count(*) FILTER (WHERE server <> here)
        FROM e2ecross.stripes, (
            SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE {IDENTITY} END
        ) AS one (here) WHERE stripe BETWEEN %s AND %s
    ) AS counted (present, foreign_ones)
    WHERE store = %s
"""  # noqa: S608

# A table may be one of partitions: then those have the rows.
_SIZES: Final = """
    SELECT parent.relname::text, min(part.reltuples), sum(greatest(part.reltuples, 0))::bigint,
        sum(coalesce(pg_stat_get_dead_tuples(part.oid), 0))::bigint,
        sum(pg_total_relation_size(part.oid))::bigint
    FROM pg_class AS parent
    JOIN pg_namespace AS home ON home.oid = parent.relnamespace AND home.nspname = 'e2ecross'
    JOIN pg_class AS part ON part.relkind = 'r' AND (part.oid = parent.oid OR part.oid IN
        (SELECT relid FROM pg_partition_tree(parent.oid)))
    WHERE parent.relname = ANY(%s) AND parent.relkind IN ('r', 'p')
    GROUP BY parent.relname ORDER BY parent.relname
"""


def read_server(link: Link) -> Server:
    """Ask a server what it is like.

    Raises:
        StoreError: it does not answer.
    """
    [[found]] = link.run([(_SETTINGS, ())])
    version, standbys, *logs, explains, bound, explained, on_error = found
    names = [name for name, is_on in zip(_LOGS, logs, strict=True) if is_on and bound]
    if explains and explained:
        names.append("auto_explain.log_min_duration")
    if on_error:
        names.append("log_parameter_max_length_on_error")
    return Server(
        version=version.split()[0],
        is_pooled=link.is_pooled,
        unfit=tuple(find_unfit(link)),
        waits_for_standby=bool(standbys),
        logs_parameters=tuple(names),
    )


def read_move(link: Link, store: int, stripes: int) -> tuple[int | None, int, int]:
    """Tell whether a store is at another server than before.

    Args:
        link: a connection.
        store: the number of the store.
        stripes: how many it has.

    Returns:
        How long ago that was first noticed, in milliseconds, or None; how many rows there are of
        stripes; and how many of those were last used at another server, which a standby does not
        know: 0.
    """
    base = store << STORE_BITS
    bounds = (Int8(base), Int8(base + stripes), store)
    [[(moved_ago_ms, present, foreign)]] = link.run([(_MOVE, bounds)])
    return moved_ago_ms, present, foreign


def read_sizes(link: Link) -> list[Sizes]:
    """Tell how large the tables are."""
    [rows] = link.run([(_SIZES, (["stripes", *(table.value for table in Table)],))])
    return [
        Sizes(name, None if fewest < 0 and not known else known, dead, size)
        for name, fewest, known, dead, size in rows
    ]

# SPDX-License-Identifier: Apache-2.0
"""What a relay's file and its folder may hold at most, held against real ones."""

import sqlite3
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from e2ecross.address import Address
from e2ecross.relay.limits import RelayLimits
from tests.support.devices import DAY_MS

__all__ = ["count_relay"]

_TABLES = (
    "accounts",
    "epochs",
    "device_lists",
    "link_boxes",
    "blobs",
    "one_time_prekeys",
    "prekey_requests",
    "mailboxes",
    "mailbox",
    "shared_ciphertexts",
    "waiting_from",
    "deposits",
)


def count_relay(
    folder: Path, limits: RelayLimits, addresses: Collection[Address], now_ms: int
) -> Counter[str]:
    """Count the rows of a relay, and hold them against its limits.

    Args:
        folder: where its file is, and beside it the folder of blobs.
        limits: of the relay.
        addresses: of all devices that there are.
        now_ms: the time; mail was deposited shortly before.

    Raises:
        AssertionError: a bound does not hold.
    """
    connection = sqlite3.connect(f"file:{folder / 'relay.db'}?mode=ro", uri=True)
    try:
        there = {
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not name.startswith("sqlite_")
        }
        assert there == set(_TABLES), "a table has no bound here"
        census = Counter({table: _number(connection, f"FROM {table}") for table in _TABLES})
        _check(connection, census, limits, addresses, now_ms)
    finally:
        connection.close()
    blobs = [path for path in (folder / "blobs").rglob("*") if path.is_file()]
    assert len(blobs) <= census["blobs"] + 1, "files that no row is of"
    return census


def _check(
    connection: sqlite3.Connection,
    census: Counter[str],
    limits: RelayLimits,
    addresses: Collection[Address],
    now_ms: int,
) -> None:
    spelled = {str(address) for address in addresses}
    users = {str(address.user_id) for address in addresses}

    def names(query: str) -> set[str]:
        return {name for (name,) in connection.execute(query)}

    assert names("SELECT address FROM accounts") <= spelled, "an address that is gone"
    assert names("SELECT address FROM epochs") <= spelled, "epochs of an address that is gone"
    assert names("SELECT recipient FROM mailboxes") <= spelled, "a mailbox of nobody"
    assert names("SELECT DISTINCT recipient FROM mailbox") <= spelled, "mail for nobody"
    assert names("SELECT DISTINCT address FROM one_time_prekeys") <= spelled, "keys of nobody"
    assert names('SELECT "user" FROM device_lists') <= users, "a list of nobody"
    for query, most, what in (
        (
            "SELECT MAX(n) FROM (SELECT COUNT(*) AS n FROM one_time_prekeys"
            " WHERE public_key IS NOT NULL GROUP BY address, kind)",
            limits.one_time_prekeys,
            "unused one-time prekeys of a kind",
        ),
        (
            "SELECT MAX(n) FROM (SELECT COUNT(*) AS n FROM one_time_prekeys"
            " WHERE public_key IS NULL GROUP BY address, kind)",
            limits.handed_out_prekeys,
            "ids of handed-out prekeys of a kind",
        ),
        (
            "SELECT MAX(n) FROM (SELECT COUNT(*) AS n FROM deposits WHERE place IS NOT NULL"
            " GROUP BY recipient)",
            limits.remembered_messages,
            "remembered envelopes of a mailbox",
        ),
        (
            "SELECT MAX(waiting) FROM mailboxes",
            limits.mailbox_messages + limits.mailbox_reserve,
            "envelopes that wait for a device",
        ),
    ):
        found = connection.execute(query).fetchone()[0] or 0
        assert found <= most, f"{found} {what}, at most {most}"
    day = DAY_MS  # something was done in it, and that forgets 100 at a time
    for query, what in (
        (f"FROM mailbox WHERE deposited_at_ms < {now_ms - limits.waiting_ms - day}", "mail"),
        (f"FROM deposits WHERE forget_at_ms < {now_ms - 7 * day}", "remembered envelopes"),
    ):
        count = _number(connection, query)
        assert not count, f"{count} {what}: their time is over"
    waiting = _number(connection, "FROM deposits WHERE place IS NULL")
    assert waiting == census["mailbox"], "deposits of no envelope"
    orphans = _number(
        connection,
        "FROM shared_ciphertexts WHERE number NOT IN"
        " (SELECT shared FROM mailbox WHERE shared IS NOT NULL)",
    )
    assert not orphans, "ciphertexts that no envelope has"
    # They go with the next one that is begun, 100 at a time.
    for table, column, most in (
        ("blobs", "until_ms", 100),
        ("link_boxes", "opened_at_ms + 600000", 100),
        ("prekey_requests", "forget_at_ms", 300),
    ):
        over = _number(connection, f"FROM {table} WHERE {column} < {now_ms - 60 * day}")
        assert over <= most, f"{over} rows of {table}: their time is over"


def _number(connection: sqlite3.Connection, rest: str) -> int:
    found: int = connection.execute(f"SELECT COUNT(*) {rest}").fetchone()[0]
    return found

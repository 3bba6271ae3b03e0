# SPDX-License-Identifier: Apache-2.0
"""How `store-schema-1.sqlite` was made; kept so that nobody has to guess. Never run again.

Run once, from the repository's root, when schema/0001.sql was released. The file is frozen: every
later release must open it (tests/stores/test_sqlite_schema.py).
"""

import sqlite3
from pathlib import Path

HERE = Path(__file__).parent
SCHEMA = HERE.parents[1] / "e2ecross" / "stores" / "schema" / "0001.sql"

ROWS = {
    "device": [(b"", b"", b"\x01a device record")],
    "sessions": [
        (b"whatsapp:ana.1", b"\x05" + bytes(range(32)), b"\x01" + bytes(range(256)) * 3),
        (b"whatsapp:ana.1", b"\x05" + bytes(32), b""),
        (b"instagram:budi.2", b"", b"\x01short"),
    ],
    "outbox": [(b"", b"\x00\x00\x00\x01", bytes(5_000))],
}


def main() -> None:
    connection = sqlite3.connect(HERE / "store-schema-1.sqlite", isolation_level=None)
    connection.execute("PRAGMA page_size = 1024")
    connection.execute("BEGIN IMMEDIATE")
    connection.executescript(SCHEMA.read_text("utf-8"))
    connection.execute("INSERT INTO store_meta (name, value) VALUES ('sealing', x'00')")
    connection.execute("PRAGMA application_id = 0x65326543")
    connection.execute("PRAGMA user_version = 1")
    for table, rows in ROWS.items():
        insert = f"INSERT INTO {table} (partition, row, record) VALUES (?, ?, ?)"  # noqa: S608
        connection.executemany(insert, rows)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""The tables of a relay's file.

Rules:
- An address is stored as its one spelling, `whatsapp:ana.1`.
- Nothing in the file is secret to its operator, and nothing in it opens a message: public keys,
  SHA-256 of tokens, encoded envelopes.
- How many envelopes wait is counted by triggers, so it stays true when an operator (or an attack
  in a test) changes the mailbox with a tool of their own; and no deposit has to count.
- A new file goes through all schemas, like an old one: so both end up the same. A schema that was
  released is not changed any more; the next one changes what it left.
"""

import sqlite3
from typing import Final

from e2ecross.errors import E2ECrossError
from e2ecross.wire.envelope import Envelope

__all__ = ["APPLICATION_ID", "SCHEMAS", "SCHEMA_VERSION", "migrate"]

APPLICATION_ID: Final = 0x65326572
"""ASCII `e2er` in the header of the file."""

# A row at 0 goes, so that who once wrote to whom is not kept, and the table does not grow.
_SENDER_IN: Final = """
    INSERT INTO waiting_from (recipient, sender, waiting) VALUES (NEW.recipient, NEW.sender, 1)
    ON CONFLICT (recipient, sender) DO UPDATE SET waiting = waiting + 1;
"""
_SENDER_OUT: Final = """
    UPDATE waiting_from SET waiting = waiting - 1
    WHERE recipient = OLD.recipient AND sender = OLD.sender;
    DELETE FROM waiting_from
    WHERE recipient = OLD.recipient AND sender = OLD.sender AND waiting <= 0;
"""

_SCHEMA_1: Final[tuple[str, ...]] = (
    # Who has registered, and the keys that they have published (NULL until then).
    """
    CREATE TABLE accounts (
        address TEXT PRIMARY KEY,
        token_sha256 BLOB NOT NULL,
        waiting INTEGER NOT NULL DEFAULT 0,  -- rows in mailbox; kept by the triggers below
        acknowledged INTEGER NOT NULL DEFAULT 0,  -- envelopes ever acknowledged
        registration_id INTEGER,
        identity_key BLOB,
        signed_prekey_id INTEGER,
        signed_prekey BLOB,
        signed_prekey_signature BLOB
    ) WITHOUT ROWID
    """,
    # One row per one-time prekey, in the order of publication. A handed-out one loses its key and
    # keeps its id, so that it cannot be published again.
    """
    CREATE TABLE one_time_prekeys (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        address TEXT NOT NULL,
        id INTEGER NOT NULL,
        public_key BLOB,
        UNIQUE (address, id)
    )
    """,
    """
    CREATE INDEX unused_prekeys ON one_time_prekeys (address, number)
    WHERE public_key IS NOT NULL
    """,
    """
    CREATE INDEX handed_out_prekeys ON one_time_prekeys (address, number)
    WHERE public_key IS NULL
    """,
    # The envelopes that wait, as they were deposited. AUTOINCREMENT, because a number that a
    # device has acknowledged must never name another envelope.
    """
    CREATE TABLE mailbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        recipient TEXT NOT NULL,
        envelope BLOB NOT NULL
    )
    """,
    "CREATE INDEX mailbox_of_recipient ON mailbox (recipient, number)",
    # What was deposited, to know a repetition: SHA-256 of (sender, recipient, message id), so that
    # who wrote to whom is not kept after delivery. The last two are NULL while the envelope waits;
    # then `place` is how many the recipient had acknowledged with it, to find those too many.
    """
    CREATE TABLE deposits (
        triple_sha256 BLOB PRIMARY KEY,
        recipient TEXT NOT NULL,
        number INTEGER NOT NULL UNIQUE,
        place INTEGER,
        forget_at_ms INTEGER
    ) WITHOUT ROWID
    """,
    """
    CREATE INDEX acknowledged_by_recipient ON deposits (recipient, place)
    WHERE place IS NOT NULL
    """,
    """
    CREATE INDEX acknowledged_by_time ON deposits (forget_at_ms)
    WHERE forget_at_ms IS NOT NULL
    """,
    """
    CREATE TRIGGER envelope_in AFTER INSERT ON mailbox BEGIN
        UPDATE accounts SET waiting = waiting + 1 WHERE address = NEW.recipient;
    END
    """,
    """
    CREATE TRIGGER envelope_out AFTER DELETE ON mailbox BEGIN
        UPDATE accounts SET waiting = waiting - 1 WHERE address = OLD.recipient;
    END
    """,
    """
    CREATE TRIGGER envelope_moved AFTER UPDATE OF recipient ON mailbox BEGIN
        UPDATE accounts SET waiting = waiting - 1 WHERE address = OLD.recipient;
        UPDATE accounts SET waiting = waiting + 1 WHERE address = NEW.recipient;
    END
    """,
)

_SCHEMA_2: Final[tuple[str, ...]] = (
    # The highest epoch that was heard of the device; the highest of the publications under its
    # identity key; and the highest of those that replaced what was published before. 0: none.
    "ALTER TABLE accounts ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE accounts ADD COLUMN published_epoch INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE accounts ADD COLUMN replaced_epoch INTEGER NOT NULL DEFAULT 0",
    # Of the publication that a one-time prekey came with; 0: not told.
    "ALTER TABLE one_time_prekeys ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0",
    # How many one-time prekeys of a device one user got: SHA-256 of (user, device), so that who
    # asked for whom is not listed. At most one row for each one-time prekey that was handed out.
    """
    CREATE TABLE prekey_requests (
        pair_sha256 BLOB PRIMARY KEY,
        taken INTEGER NOT NULL,
        forget_at_ms INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX prekey_requests_by_time ON prekey_requests (forget_at_ms)",
    # The user that deposited, `whatsapp:ana`, as long as the envelope waits (which says it too).
    # NULL for what an operator put there: counted for nobody.
    "ALTER TABLE mailbox ADD COLUMN sender TEXT",
    "UPDATE mailbox SET sender = sending_user(envelope)",
    """
    CREATE TABLE waiting_from (
        recipient TEXT NOT NULL,
        sender TEXT NOT NULL,
        waiting INTEGER NOT NULL,  -- rows in mailbox; kept by the triggers below
        PRIMARY KEY (recipient, sender)
    ) WITHOUT ROWID
    """,
    """
    INSERT INTO waiting_from SELECT recipient, sender, COUNT(*) FROM mailbox
    WHERE sender IS NOT NULL GROUP BY recipient, sender
    """,
    f"""
    CREATE TRIGGER sender_in AFTER INSERT ON mailbox WHEN NEW.sender IS NOT NULL BEGIN
        {_SENDER_IN}
    END
    """,
    f"""
    CREATE TRIGGER sender_out AFTER DELETE ON mailbox WHEN OLD.sender IS NOT NULL BEGIN
        {_SENDER_OUT}
    END
    """,
    # Two triggers, because one of the senders may be NULL and the other not.
    f"""
    CREATE TRIGGER sender_moved_out AFTER UPDATE OF recipient, sender ON mailbox
    WHEN OLD.sender IS NOT NULL BEGIN
        {_SENDER_OUT}
    END
    """,
    f"""
    CREATE TRIGGER sender_moved_in AFTER UPDATE OF recipient, sender ON mailbox
    WHEN NEW.sender IS NOT NULL BEGIN
        {_SENDER_IN}
    END
    """,
)

_SCHEMA_3: Final[tuple[str, ...]] = (
    # The last-resort Kyber prekey; NULL: the device offers no Kyber prekeys.
    "ALTER TABLE accounts ADD COLUMN kyber_prekey_id INTEGER",
    "ALTER TABLE accounts ADD COLUMN kyber_prekey BLOB",
    "ALTER TABLE accounts ADD COLUMN kyber_prekey_signature BLOB",
    # One-time prekeys of two kinds: 0 is X25519, 1 is Kyber, which are signed. In place of the
    # former table, whose ids were of one kind only.
    "DROP INDEX unused_prekeys",
    "DROP INDEX handed_out_prekeys",
    "ALTER TABLE one_time_prekeys RENAME TO former_prekeys",
    """
    CREATE TABLE one_time_prekeys (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        address TEXT NOT NULL,
        kind INTEGER NOT NULL,
        id INTEGER NOT NULL,
        public_key BLOB,
        signature BLOB NOT NULL DEFAULT x'',
        epoch INTEGER NOT NULL,
        UNIQUE (address, kind, id)
    )
    """,
    """
    INSERT INTO one_time_prekeys (number, address, kind, id, public_key, epoch)
    SELECT number, address, 0, id, public_key, epoch FROM former_prekeys
    """,
    "DROP TABLE former_prekeys",
    """
    CREATE INDEX unused_prekeys ON one_time_prekeys (address, kind, number)
    WHERE public_key IS NOT NULL
    """,
    """
    CREATE INDEX handed_out_prekeys ON one_time_prekeys (address, kind, number)
    WHERE public_key IS NULL
    """,
)

SCHEMAS: Final = (_SCHEMA_1, _SCHEMA_2, _SCHEMA_3)
"""The statements that lead to schema 1, from there to schema 2, and so on."""

SCHEMA_VERSION: Final = len(SCHEMAS)
"""The `user_version` of a file that this release writes."""


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a file to the current schema; nothing is lost.

    Args:
        connection: inside a writing transaction.
        version: the schema of the file, 0 for an empty one.

    Raises:
        sqlite3.Error: what SQLite says.
    """
    connection.create_function("sending_user", 1, _sending_user, deterministic=True)
    for statements in SCHEMAS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _sending_user(encoded: bytes) -> str | None:
    try:
        return str(Envelope.decode(encoded).sender.user_id)
    except E2ECrossError:  # put there by the operator: no envelope
        return None

# SPDX-License-Identifier: Apache-2.0
"""The tables of a relay's file.

Rules:
- An address is stored as its one spelling, `whatsapp:ana.1`.
- Nothing in the file is secret to its operator, and nothing in it opens a message: public keys,
  SHA-256 of tokens, encoded envelopes, signed lists of devices, sealed messages of linking. The
  files of blobs lie beside it, encrypted.
- How many envelopes wait is counted by triggers, so it stays true when an operator (or an attack
  in a test) changes the mailbox with a tool of their own; and no deposit has to count.
- There is one schema. Nothing has been released: until then it changes in place.
"""

import sqlite3
from typing import Final

__all__ = ["APPLICATION_ID", "SCHEMA", "SCHEMA_VERSION", "TABLES", "create_tables"]

APPLICATION_ID: Final = 0x65326572
"""ASCII `e2er` in the header of the file."""

SCHEMA_VERSION: Final = 1
"""The `user_version` of a file."""

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

# Looked up, not counted: a count would rewrite the ciphertext with each of its copies.
_COPY_OUT: Final = """
    DELETE FROM shared_ciphertexts WHERE number = OLD.shared
    AND NOT EXISTS (SELECT 1 FROM mailbox WHERE shared = OLD.shared);
"""

TABLES: Final[tuple[str, ...]] = (
    # Who has registered, and the keys that they have published (NULL until then).
    """
    CREATE TABLE accounts (
        address TEXT PRIMARY KEY,
        token_sha256 BLOB NOT NULL,
        registration_id INTEGER,
        identity_key BLOB,
        signed_prekey_id INTEGER,
        signed_prekey BLOB,
        signed_prekey_signature BLOB,
        -- The last-resort Kyber prekey; NULL: the device offers no Kyber prekeys.
        kyber_prekey_id INTEGER,
        kyber_prekey BLOB,
        kyber_prekey_signature BLOB,
        -- The highest epoch of the publications under its identity key; and the highest of those
        -- that replaced what was published before. 0: none.
        published_epoch INTEGER NOT NULL DEFAULT 0,
        replaced_epoch INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID
    """,
    # To tell whose token it is that came in the place of another device's.
    "CREATE INDEX accounts_by_token ON accounts (token_sha256)",
    # The highest epoch that was heard of each stripe of a device; none is 0. A table of its own,
    # because every deposit changes it, and an account's row is that of whoever deposits for it.
    """
    CREATE TABLE epochs (
        address TEXT NOT NULL,
        stripe INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        PRIMARY KEY (address, stripe)
    ) WITHOUT ROWID
    """,
    # The newest signed list of the devices of a user, `whatsapp:ana`, as it was published.
    """
    CREATE TABLE device_lists (
        "user" TEXT PRIMARY KEY,
        seq INTEGER NOT NULL,
        signed BLOB NOT NULL
    ) WITHOUT ROWID
    """,
    # Boxes for the messages by which a device is linked that has no address yet; each is opened by
    # the address of the other one, with its offer.
    """
    CREATE TABLE link_boxes (
        id BLOB PRIMARY KEY,
        opened_by TEXT NOT NULL,
        opened_at_ms INTEGER NOT NULL,
        offer BLOB,
        answer BLOB,
        result BLOB
    )
    """,
    "CREATE INDEX link_boxes_of_opener ON link_boxes (opened_by, opened_at_ms)",
    "CREATE INDEX link_boxes_by_time ON link_boxes (opened_at_ms)",
    # The files beside this one. SHA-256 of its id names a blob, so that neither this table nor the
    # folder holds an id, which is what allows to read. It is complete when stored is size.
    """
    CREATE TABLE blobs (
        id_sha256 BLOB PRIMARY KEY,
        "user" TEXT NOT NULL,  -- whatsapp:ana
        size INTEGER NOT NULL,  -- as begun, bytes
        stored INTEGER NOT NULL,  -- bytes that are in its file, on the disk
        until_ms INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    'CREATE INDEX blobs_of_user ON blobs ("user", until_ms, size)',
    "CREATE INDEX blobs_by_time ON blobs (until_ms)",
    # One row per one-time prekey, in the order of publication, of two kinds: 0 is X25519, 1 is
    # Kyber, which are signed. A handed-out one loses its key and keeps its id, so that it cannot be
    # published again. The epoch is that of the publication it came with; 0: not told.
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
    CREATE INDEX unused_prekeys ON one_time_prekeys (address, kind, number)
    WHERE public_key IS NOT NULL
    """,
    """
    CREATE INDEX handed_out_prekeys ON one_time_prekeys (address, kind, number)
    WHERE public_key IS NULL
    """,
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
    # What is counted of the mailbox of each registered address. A table of its own, because every
    # deposit changes it: an account's row is large, and there are a hundred of these in a page.
    """
    CREATE TABLE mailboxes (
        recipient TEXT PRIMARY KEY,
        waiting INTEGER NOT NULL DEFAULT 0,  -- rows in mailbox; kept by the triggers below
        acknowledged INTEGER NOT NULL DEFAULT 0  -- at least as many as any place in deposits
    ) WITHOUT ROWID
    """,
    # The envelopes that wait, as they were deposited. AUTOINCREMENT, because a number that a
    # device has acknowledged must never name another envelope as long as the file lives. The sender
    # is the user that deposited, `whatsapp:ana`, as long as the envelope waits (which says it too);
    # the triple is that of its row in deposits. Both are NULL for what an operator put there:
    # counted for nobody. The time of deposit is 0 then: such a row never waits for too long. Of a
    # copy the envelope is what stands before its ciphertext, and shared is where that is; of any
    # other, shared is NULL.
    """
    CREATE TABLE mailbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        recipient TEXT NOT NULL,
        envelope BLOB NOT NULL,
        sender TEXT,
        triple_sha256 BLOB,
        deposited_at_ms INTEGER NOT NULL DEFAULT 0,
        -- Until when which worker of the device holds it; 0: nobody.
        held_until_ms INTEGER NOT NULL DEFAULT 0,
        holder BLOB NOT NULL DEFAULT x'',
        shared INTEGER
    )
    """,
    "CREATE INDEX mailbox_of_recipient ON mailbox (recipient, number)",
    "CREATE INDEX copies ON mailbox (shared) WHERE shared IS NOT NULL",
    # What is the same in the envelopes of many, once: their ends, from the kind on. It goes with
    # the last of them, by the triggers below.
    """
    CREATE TABLE shared_ciphertexts (
        number INTEGER PRIMARY KEY,
        ciphertext BLOB NOT NULL
    )
    """,
    """
    CREATE INDEX held_of_recipient ON mailbox (recipient, held_until_ms)
    WHERE held_until_ms > 0
    """,
    """
    CREATE TABLE waiting_from (
        recipient TEXT NOT NULL,
        sender TEXT NOT NULL,
        waiting INTEGER NOT NULL,  -- rows in mailbox; kept by the triggers below
        PRIMARY KEY (recipient, sender)
    ) WITHOUT ROWID
    """,
    # What was deposited, to know a repetition: SHA-256 of (sender, recipient, message id), so that
    # who wrote to whom is not kept after delivery. By recipient, so that those of one mailbox lie
    # together. The last two are NULL while the envelope waits; then `place` is how many the
    # recipient had acknowledged with it, to find those too many.
    """
    CREATE TABLE deposits (
        recipient TEXT NOT NULL,
        triple_sha256 BLOB NOT NULL,
        place INTEGER,
        forget_at_ms INTEGER,
        PRIMARY KEY (recipient, triple_sha256)
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
)
"""The tables and their indexes, in words that `postgres_schema.py` knows."""

_TRIGGERS: Final[tuple[str, ...]] = (
    """
    CREATE TRIGGER envelope_in AFTER INSERT ON mailbox BEGIN
        UPDATE mailboxes SET waiting = waiting + 1 WHERE recipient = NEW.recipient;
    END
    """,
    """
    CREATE TRIGGER envelope_out AFTER DELETE ON mailbox BEGIN
        UPDATE mailboxes SET waiting = waiting - 1 WHERE recipient = OLD.recipient;
    END
    """,
    """
    CREATE TRIGGER envelope_moved AFTER UPDATE OF recipient ON mailbox BEGIN
        UPDATE mailboxes SET waiting = waiting - 1 WHERE recipient = OLD.recipient;
        UPDATE mailboxes SET waiting = waiting + 1 WHERE recipient = NEW.recipient;
    END
    """,
    f"""
    CREATE TRIGGER copy_out AFTER DELETE ON mailbox WHEN OLD.shared IS NOT NULL BEGIN
        {_COPY_OUT}
    END
    """,
    f"""
    CREATE TRIGGER copy_moved AFTER UPDATE OF shared ON mailbox WHEN OLD.shared IS NOT NULL BEGIN
        {_COPY_OUT}
    END
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

SCHEMA: Final = (*TABLES, *_TRIGGERS)
"""The statements that make an empty file a relay's."""


def create_tables(connection: sqlite3.Connection) -> None:
    """Make an empty file a relay's.

    Args:
        connection: inside a writing transaction.

    Raises:
        sqlite3.Error: what SQLite says.
    """
    for statement in SCHEMA:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

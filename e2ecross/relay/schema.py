# SPDX-License-Identifier: Apache-2.0
"""The tables of a relay's file.

Rules:
- An address is stored as its one spelling, `whatsapp:ana.1`.
- Nothing in the file is secret to its operator, and nothing in it opens a message: public keys,
  SHA-256 of tokens, encoded envelopes.
- How many envelopes wait is counted by triggers, so it stays true when an operator (or an attack
  in a test) changes the mailbox with a tool of their own.
"""

from typing import Final

__all__ = ["APPLICATION_ID", "SCHEMA", "SCHEMA_VERSION"]

APPLICATION_ID: Final = 0x65326572
"""ASCII `e2er` in the header of the file."""

SCHEMA_VERSION: Final = 1

SCHEMA: Final[tuple[str, ...]] = (
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

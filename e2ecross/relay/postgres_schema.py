# SPDX-License-Identifier: Apache-2.0
"""The tables of a relay on PostgreSQL: those of a file, in a schema of their own.

Rules:
- Texts are compared byte by byte, whatever the database's language: addresses are looked for
  between two of them.
- The trigger locks what copies share before it looks whether one is left: two of the last copies
  may leave at once, and neither would see that the other one goes.
"""

import re
from typing import Final

from e2ecross.relay.schema import SCHEMA_VERSION, TABLES

__all__ = ["SCHEMA", "STATEMENTS"]

SCHEMA: Final = "e2ecross_relay"
"""The schema that everything is in."""

_WORDS: Final = {
    r"--.*": "",
    r"INTEGER PRIMARY KEY( AUTOINCREMENT)?": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    r"\bINTEGER\b": "BIGINT",
    r"\bBLOB\b": "BYTEA",
    r"\bTEXT\b": 'TEXT COLLATE "C"',
    r"x''": "''",
    r"WITHOUT ROWID": "",
}

_COUNT_MAIL: Final = f"""
    CREATE FUNCTION {SCHEMA}.count_mail() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            UPDATE {SCHEMA}.mailboxes SET waiting = waiting - 1 WHERE recipient = OLD.recipient;
            UPDATE {SCHEMA}.waiting_from SET waiting = waiting - 1
                WHERE recipient = OLD.recipient AND sender = OLD.sender;
            DELETE FROM {SCHEMA}.waiting_from
                WHERE recipient = OLD.recipient AND sender = OLD.sender AND waiting <= 0;
            IF OLD.shared IS NOT NULL THEN
                PERFORM 1 FROM {SCHEMA}.shared_ciphertexts WHERE number = OLD.shared FOR UPDATE;
                DELETE FROM {SCHEMA}.shared_ciphertexts WHERE number = OLD.shared
                    AND NOT EXISTS (SELECT 1 FROM {SCHEMA}.mailbox WHERE shared = OLD.shared);
            END IF;
        END IF;
        IF TG_OP <> 'DELETE' THEN
            UPDATE {SCHEMA}.mailboxes SET waiting = waiting + 1 WHERE recipient = NEW.recipient;
            IF NEW.sender IS NOT NULL THEN
                INSERT INTO {SCHEMA}.waiting_from AS counted (recipient, sender, waiting)
                    VALUES (NEW.recipient, NEW.sender, 1)
                    ON CONFLICT (recipient, sender) DO UPDATE SET waiting = counted.waiting + 1;
            END IF;
        END IF;
        RETURN NULL;
    END $$
"""  # noqa: S608 - nothing but our own text
_COUNTED: Final = f"""
    CREATE TRIGGER counted AFTER INSERT OR DELETE OR UPDATE OF recipient, sender, shared
    ON {SCHEMA}.mailbox FOR EACH ROW EXECUTE FUNCTION {SCHEMA}.count_mail()
"""


def _translated(statement: str) -> str:
    for word, other in _WORDS.items():
        statement = re.sub(word, other, statement)
    return statement


STATEMENTS: Final = (
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
    f"SET LOCAL search_path = {SCHEMA}",
    *map(_translated, TABLES),
    _COUNT_MAIL,
    _COUNTED,
    "CREATE TABLE relay (schema_version BIGINT NOT NULL)",
    f"INSERT INTO relay VALUES ({SCHEMA_VERSION})",  # noqa: S608
)
"""What makes them, in one transaction."""

-- SPDX-License-Identifier: Apache-2.0
-- Schema 2: what may have to be sent again, what was received, what was asked for again.
--
-- `filler` as in schema 1, where a record holds what was written; the other two hold message ids
-- and counters, and stay small without it.

CREATE TABLE sent (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE delivered (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE retries (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

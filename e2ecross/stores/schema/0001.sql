-- SPDX-License-Identifier: Apache-2.0
-- Schema 1: one table per `Table`, and what the store knows about itself.
--
-- `filler` keeps every byte of a record out of b-tree pages. When SQLite splits or merges such
-- pages it leaves stale copies of cells in their free space, which secure_delete does not wipe; a
-- record superseded later would stay readable there. The first 230 bytes of a row (the most that a
-- WITHOUT ROWID table keeps in the b-tree with 1,024-byte pages: (1024-12)*64/255-23) are therefore
-- keys and zeros, and the record lies on overflow pages, which are never copied and are wiped when
-- freed. `delivered`, `retries` and `stripe` hold message ids and counters, and stay small without it.

CREATE TABLE store_meta (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE device (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE signed_prekeys (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE one_time_prekeys (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE kyber_prekeys (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE seen_base_keys (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE remote_identities (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE accounts (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE conversations (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE consent (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE receipts (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE uploads (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE session_records (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE sessions (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE skipped_keys (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE spqr (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE group_grants (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE own_sender_keys (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE sender_keys (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE sender_key_seeds (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE groups (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE group_commits (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE outbox (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

CREATE TABLE inbox (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    filler BLOB NOT NULL DEFAULT (zeroblob(230)),
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

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

CREATE TABLE stripe (
    partition BLOB NOT NULL,
    row BLOB NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (partition, row)
) WITHOUT ROWID;

-- SPDX-License-Identifier: Apache-2.0
-- Schema 3: Kyber prekeys, and the SPQR ratchets of sessions.
--
-- `filler` as in schema 1: both hold secrets.

CREATE TABLE kyber_prekeys (
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

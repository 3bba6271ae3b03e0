# SPDX-License-Identifier: Apache-2.0
"""How the two sealed stores here were made; kept so that nobody has to guess. Never run again.

Run once, from the repository's root, when sealing header 2 was released:
`store-sealed-key.sqlite` (header 1) and `store-sealed-passphrase.sqlite` (header 2), of the same
content. The files are frozen: every later release must open them
(tests/stores/test_sealed_files.py).

Nothing of e2ecross is imported: the format is written down here a second time, as docs/storage.md
describes it, with OpenSSL's Argon2id. Salts and nonces are hashes, so that a run can be repeated.
"""

import hashlib
import hmac
import sqlite3
import struct
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HERE = Path(__file__).parent
SCHEMA = HERE.parents[1] / "e2ecross" / "stores" / "schema" / "0001.sql"
KEY = bytes(range(32))
PASSPHRASE = "correct horse battery staple"

ROWS = {
    "device": [(b"", b"", b"\x01a device record")],
    "sessions": [
        (b"whatsapp:ana.1", b"\x05" + bytes(range(32)), b"\x01" + bytes(range(256)) * 3),
        (b"whatsapp:ana.1", b"\x05" + bytes(32), b""),
        (b"instagram:budi.2", b"", b"\x01short"),
    ],
    "outbox": [(b"", b"\x00\x00\x00\x01", bytes(5_000))],
}


def join(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def fixed(purpose: str, length: int) -> bytes:
    return hashlib.sha256(purpose.encode()).digest()[:length]


def build(name: str, store_key: bytes, prefix: bytes, check_data: bytes) -> None:
    def subkey(label: bytes) -> bytes:
        return HKDF(SHA256(), 32, salt, label).derive(store_key)

    salt, nonce = fixed(f"{name} salt", 32), fixed(f"{name} nonce", 12)
    cipher = AESGCMSIV(subkey(b"e2ecross store 1 sealing"))
    blinding_key = subkey(b"e2ecross store 1 blinding")
    header = prefix + salt + nonce + cipher.encrypt(nonce, bytes(32), check_data)

    connection = sqlite3.connect(HERE / name, isolation_level=None)
    connection.execute("PRAGMA page_size = 1024")
    connection.execute("BEGIN IMMEDIATE")
    connection.executescript(SCHEMA.read_text("utf-8"))
    connection.execute("INSERT INTO store_meta (name, value) VALUES ('sealing', ?)", (header,))
    connection.execute("PRAGMA application_id = 0x65326543")
    connection.execute("PRAGMA user_version = 1")
    for table, rows in ROWS.items():
        for number, (partition, row, record) in enumerate(rows):
            place = join(table.encode(), partition)
            blinded_partition = hmac.digest(blinding_key, b"\x01" + place, "sha256")
            place = join(table.encode(), partition, row)
            blinded_row = hmac.digest(blinding_key, b"\x02" + place, "sha256")
            nonce = fixed(f"{name} {table} {number}", 12)
            data = b"\x01" + join(table.encode(), blinded_partition, blinded_row)
            sealed = cipher.encrypt(nonce, join(partition, row) + record, data)
            insert = f"INSERT INTO {table} (partition, row, record) VALUES (?, ?, ?)"  # noqa: S608
            values = (blinded_partition, blinded_row, b"\x01" + nonce + sealed)
            connection.execute(insert, values)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def main() -> None:
    build("store-sealed-key.sqlite", KEY, b"\x01", b"e2ecross store 1 check")

    passes, memory_kib = 2, 65_536
    salt = fixed("passphrase salt", 16)
    prefix = b"\x02" + struct.pack(">II", passes, memory_kib) + salt
    argon2 = Argon2id(salt=salt, length=32, iterations=passes, lanes=1, memory_cost=memory_kib)
    store_key = argon2.derive(PASSPHRASE.encode())
    check_data = b"e2ecross store 1 check" + prefix
    build("store-sealed-passphrase.sqlite", store_key, prefix, check_data)


if __name__ == "__main__":
    main()

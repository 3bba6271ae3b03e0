# SPDX-License-Identifier: Apache-2.0
"""The sealed file as docs/storage.md has it, passphrases, and headers that somebody changed."""

import hmac
import shutil
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl.pwhash import argon2id

from e2ecross.crypto.passphrase import Passphrase
from e2ecross.errors import InvalidArgument, RecordCorrupted, StoreCorrupted, WrongStoreKey
from e2ecross.stores import PassphraseCost, SQLiteStore, Table
from e2ecross.stores.sealing_header import create_sealing, open_sealing
from tests.stores.support import KEY, content, files, get, put
from tests.support.entropy import NO_ENTROPY, SeededEntropy

PASSPHRASE = "correct horse battery staple"
CHEAP = PassphraseCost.INTERACTIVE
HEADER_BYTES = 117
ROWS = {
    (Table.DEVICE, b"", b""): b"\x01a device record",
    (Table.SESSIONS, b"whatsapp:ana.1", b"\x05" + bytes(range(32))): b"\x01"
    + bytes(range(256)) * 3,
    (Table.SESSIONS, b"whatsapp:ana.1", b"\x05" + bytes(32)): b"",
    (Table.SESSIONS, b"instagram:budi.2", b""): b"\x01short",
    (Table.OUTBOX, b"", b"\x00\x00\x00\x01"): bytes(5_000),
}


def header_of(path: Path) -> bytes:
    connection = sqlite3.connect(path)
    [(header,)] = connection.execute("SELECT value FROM store_meta WHERE name = 'sealing'")
    connection.close()
    assert type(header) is bytes
    return header


def replace_header(path: Path, header: bytes) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE store_meta SET value = ? WHERE name = 'sealing'", (header,))
    connection.commit()
    connection.close()


def refused(path: Path, error: type[Exception], **secret: Any) -> str:  # noqa: ANN401
    """Open the store, expect that error, and find everything as it was."""
    before = files(path)
    with pytest.raises(error) as caught:
        SQLiteStore(path, **secret).close()
    assert files(path) == before
    for value in secret.values():
        assert repr(value) not in repr(caught.value)
    return str(caught.value)


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def kdf(*_: object) -> bytes:
        raise AssertionError("Argon2id was run")

    monkeypatch.setattr(argon2id, "kdf", kdf)


@pytest.fixture(scope="module")
def made_with_passphrase(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "store.db"
    SQLiteStore(path, passphrase=PASSPHRASE, passphrase_cost=CHEAP).close()
    return path


def join(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def seal_by_hand(path: Path, store_key: bytes, prefix: bytes) -> None:
    """Seal an empty store as docs/storage.md says, with nothing of e2ecross."""

    def subkey(label: bytes) -> bytes:
        return HKDF(SHA256(), 32, salt, label).derive(store_key)

    salt, nonce = b"s" * 32, b"n" * 12
    cipher = AESGCMSIV(subkey(b"e2ecross store 1 sealing"))
    blinding_key = subkey(b"e2ecross store 1 blinding")
    check = cipher.encrypt(nonce, bytes(32), b"e2ecross store 1 check" + prefix)
    replace_header(path, prefix + salt + nonce + check)
    connection = sqlite3.connect(path)
    for number, ((table, partition, row), record) in enumerate(ROWS.items()):
        name, nonce = table.value.encode(), bytes([number]) * 12
        places = [
            hmac.digest(blinding_key, b"\x01" + join(name, partition), "sha256"),
            hmac.digest(blinding_key, b"\x02" + join(name, partition, row), "sha256"),
        ]
        data = b"\x01" + join(name, *places)
        sealed = b"\x01" + nonce + cipher.encrypt(nonce, join(partition, row) + record, data)
        insert = f"INSERT INTO {table.value} (partition, row, record) VALUES (?, ?, ?)"  # noqa: S608
        connection.execute(insert, (*places, sealed))
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "secret", [{"key": KEY}, {"passphrase": PASSPHRASE}, {"passphrase": PASSPHRASE.encode()}]
)
def test_a_file_that_was_sealed_as_documented_opens(secret: dict[str, Any], path: Path) -> None:
    SQLiteStore(path).close()
    if "key" in secret:
        seal_by_hand(path, KEY, b"\x01")
    else:
        salt, passes, kib = b"p" * 16, 2, 65_536
        argon2 = Argon2id(salt=salt, length=32, iterations=passes, lanes=1, memory_cost=kib)
        store_key = argon2.derive(PASSPHRASE.encode())
        seal_by_hand(path, store_key, b"\x02" + struct.pack(">II", passes, kib) + salt)
    header = header_of(path)
    with SQLiteStore(path, **secret) as store, store.transaction() as transaction:
        assert content(transaction) == ROWS
        assert transaction.get(Table.SESSIONS, b"instagram:budi.2") == b"\x01short"
    assert header_of(path) == header


def test_a_store_opens_with_its_passphrase_and_nothing_else(path: Path) -> None:
    with SQLiteStore(path, passphrase=PASSPHRASE, passphrase_cost=CHEAP) as store:
        put(store, Table.SESSIONS, b"p", b"r", b"a record")
        assert PASSPHRASE not in repr(store)
    header = header_of(path)
    assert (header[0], *struct.unpack_from(">II", header, 1)) == (2, 2, 65_536)
    assert PASSPHRASE.encode() not in b"".join(files(path).values())
    for cost in PassphraseCost:  # that of the store counts
        with SQLiteStore(path, passphrase=PASSPHRASE, passphrase_cost=cost) as store:
            assert get(store, Table.SESSIONS, b"p", b"r") == b"a record"
    assert "passphrase does not open" in refused(path, WrongStoreKey, passphrase="correct horse")
    assert "passphrase" in refused(path, WrongStoreKey, key=KEY)
    assert "passphrase" in refused(path, WrongStoreKey)


def test_one_passphrase_gives_each_store_keys_of_its_own() -> None:
    passphrase = Passphrase(PASSPHRASE, CHEAP)
    one, other = (create_sealing(passphrase, SeededEntropy(seed)) for seed in (1, 2))
    assert len(one) == len(other) == HEADER_BYTES
    assert one[9:25] != other[9:25]  # the salt of the passphrase


def test_deriving_is_done_once_for_a_new_store(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def kdf(*arguments: Any) -> bytes:  # noqa: ANN401
        calls.append(arguments[3:])
        return KEY

    monkeypatch.setattr(argon2id, "kdf", kdf)
    SQLiteStore(path, passphrase=PASSPHRASE).close()
    assert calls == [(3, 256 * 1024 * 1024)]  # moderate by default


@pytest.mark.usefixtures("no_work")
def test_a_passphrase_does_not_open_what_a_key_opens(path: Path) -> None:
    SQLiteStore(path, key=KEY).close()
    refused(path, WrongStoreKey, passphrase=PASSPHRASE)
    path.unlink()
    SQLiteStore(path).close()
    refused(path, WrongStoreKey, passphrase=PASSPHRASE)


@pytest.mark.parametrize(
    "arguments",
    [
        {"passphrase": ""},
        {"passphrase": b""},
        {"passphrase": bytearray(b"x")},
        {"passphrase": "x" * 1_025},
        {"passphrase": "x", "key": KEY},
        {"passphrase": "x", "passphrase_cost": "free"},
    ],
)
@pytest.mark.usefixtures("no_work")
def test_other_arguments_are_refused_before_a_file_is_made(
    arguments: dict[str, Any], path: Path
) -> None:
    with pytest.raises(InvalidArgument):
        SQLiteStore(path, **arguments)
    assert not path.exists()


WORKS = {
    "nothing": (0, 0),
    "fewer passes": (1, 65_536),
    "less memory": (2, 65_535),
    "more passes": (5, 65_536),
    "more memory": (2, 1_048_577),
    "4 GiB": (2, 4_194_304),
    "everything": (2**32 - 1, 2**32 - 1),
}


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.usefixtures("no_work")
def test_a_header_that_asks_for_too_little_or_too_much_is_refused_before_any_work(
    made_with_passphrase: Path, path: Path, work: str
) -> None:
    shutil.copy(made_with_passphrase, path)
    header = header_of(path)
    replace_header(path, header[:1] + struct.pack(">II", *WORKS[work]) + header[9:])
    assert "work" in refused(path, StoreCorrupted, passphrase=PASSPHRASE)


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda header: b"",
    "kind only": lambda header: header[:1],
    "in the work": lambda header: header[:5],
    "in the salt": lambda header: header[:40],
    "as long as that of a key": lambda header: header[:93],
    "last byte": lambda header: header[:-1],
    "longer": lambda header: header + b"\0",
    "kind of a key": lambda header: b"\x01" + header[1:],
    "unsealed": lambda header: b"\x00" + header[1:],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.usefixtures("no_work")
def test_a_cut_header_is_refused_before_any_work(
    made_with_passphrase: Path, path: Path, change: str
) -> None:
    shutil.copy(made_with_passphrase, path)
    replace_header(path, CHANGES[change](header_of(path)))
    refused(path, StoreCorrupted, passphrase=PASSPHRASE)


def test_every_byte_of_a_header_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def kdf(*arguments: Any) -> bytes:  # noqa: ANN401
        return KEY  # whatever the salt and the work

    monkeypatch.setattr(argon2id, "kdf", kdf)
    passphrase = Passphrase(PASSPHRASE)
    header = create_sealing(passphrase, SeededEntropy(1))
    assert open_sealing(passphrase, header, NO_ENTROPY) is not None
    for offset in range(1, len(header)):
        flipped = header[:offset] + bytes([header[offset] ^ 1]) + header[offset + 1 :]
        with pytest.raises((WrongStoreKey, StoreCorrupted)):
            open_sealing(passphrase, flipped, NO_ENTROPY)


def test_the_header_of_another_store_under_the_same_key_opens_no_record(path: Path) -> None:
    other = path.with_name("other.db")
    for each in (path, other):
        with SQLiteStore(each, key=KEY) as store:
            put(store, Table.SESSIONS, b"p", b"r", b"a record")
    replace_header(path, header_of(other))
    with SQLiteStore(path, key=KEY) as store:
        assert get(store, Table.SESSIONS, b"p", b"r") is None  # other look-up keys
        with pytest.raises(RecordCorrupted), store.transaction() as transaction:
            content(transaction)
        before = files(path)["store.db"]
        with pytest.raises(RecordCorrupted):
            store.rekey(key=bytes(32))
        assert files(path)["store.db"] == before

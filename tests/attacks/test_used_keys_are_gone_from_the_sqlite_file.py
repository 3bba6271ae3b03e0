# SPDX-License-Identifier: Apache-2.0
"""After the store is closed no superseded key is readable in its file or beside it.

The attacker: takes the disk of a phone whose app has been closed, and reads every byte of it.
"""

from pathlib import Path

import pytest

from e2ecross.crypto.kdf import ChainKey, MessageKey, MessageKeys
from e2ecross.protocol import message_chain, ratchet
from e2ecross.stores import SQLiteStore
from tests.attacks.support import ANA, BUDI, Person, Rows, meet, person
from tests.attacks.support_4 import converse, current, spqr_of
from tests.support import protobuf

STORE_KEY = bytes(range(32))
PLAINTEXT = "the treasure lies under the third palm"


def _keys(rows: Rows) -> set[bytes]:
    """Every field of 32 bytes, and KEM seeds, of 64, of every record, at any depth.

    Received chunks, of 32 bytes too, are no keys: they are public.
    """
    return {
        key
        for _, _, row, record in rows
        if not row.startswith(b"chunks")
        for key in protobuf.byte_fields(record, (32, 64))
    }


def _files(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


@pytest.fixture
def message_keys(monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    """Every message key that was derived, and what it was expanded to."""
    seen: set[bytes] = set()
    expand = vars(ratchet)["derive_message_keys"]
    derive = vars(message_chain)["derive_message_key"]
    derive_both = vars(message_chain)["derive_message_and_chain_key"]

    def spy_expand(key: MessageKey, pq_key: bytes | None) -> MessageKeys:
        keys: MessageKeys = expand(key, pq_key)
        seen.update((key, keys.cipher_key, keys.mac_key))
        if pq_key is not None:
            seen.add(pq_key)
        return keys

    def spy_derive(chain_key: ChainKey) -> MessageKey:
        key: MessageKey = derive(chain_key)
        seen.update((key, chain_key))
        return key

    def spy_derive_both(chain_key: ChainKey) -> tuple[MessageKey, ChainKey]:
        key, after = derive_both(chain_key)
        seen.update((key, chain_key))
        return key, after

    monkeypatch.setattr(ratchet, "derive_message_keys", spy_expand)
    monkeypatch.setattr(message_chain, "derive_message_and_chain_key", spy_derive_both)
    monkeypatch.setattr(message_chain, "derive_message_key", spy_derive)
    return seen


@pytest.mark.parametrize("kyber", [False, True], ids=["version 3", "version 4"])
@pytest.mark.parametrize("key", [None, STORE_KEY], ids=["plain", "sealed"])
def test_superseded_keys(
    key: bytes | None, kyber: bool, message_keys: set[bytes], tmp_path: Path
) -> None:
    path = tmp_path / "budi.db"
    ana, budi = person(ANA), person(BUDI, store=SQLiteStore(path, key=key))
    ana.start(budi, kyber=kyber)
    ever = _keys(budi.dump())

    def deliver(sender: Person, reader: Person, *texts: str) -> None:
        nonlocal ever
        envelopes = [sender.send(reader, text) for text in texts]
        ever |= _keys(budi.dump())
        for envelope in reversed(envelopes):  # the others are skipped, stored and used
            reader.read(envelope)
            ever |= _keys(budi.dump())

    for turn in range(8):
        deliver(ana, budi, f"{turn}.0", f"{turn}.1", f"{turn}.2", f"{turn}.3")
        deliver(budi, ana, f"{turn}.4", f"{turn}.5")
        if turn == 4:
            ana.start(budi, one_time=False, kyber=kyber)
    outstanding = ana.send(budi, "skipped")
    assert budi.read(ana.send(budi, "last")) == "last"
    kept = _keys(budi.dump())
    used = (ever | message_keys) - kept
    assert len(used) > 150
    budi.store.close()
    files = _files(path)
    assert set(files) == {"budi.db"}, "nothing is left beside the file"
    for data in files.values():
        assert [secret.hex() for secret in used if secret in data] == []
    # The search finds what is there.
    found = {secret for secret in kept if secret in files["budi.db"]}
    assert found == (kept if key is None else set())
    budi.store = SQLiteStore(path, key=key)
    budi.reload()
    assert budi.read(outstanding) == "skipped"
    budi.store.close()


@pytest.mark.parametrize("key", [None, STORE_KEY], ids=["plain", "sealed"])
def test_secrets_of_the_exchange_of_kem_keys(key: bytes | None, tmp_path: Path) -> None:
    """Seeds, what is encapsulated, and the roots: each is gone with the stage that needed it."""
    path = tmp_path / "budi.db"
    ana, budi = person(ANA), person(BUDI, store=SQLiteStore(path, key=key))
    meet(ana, budi, kyber=True)
    seeds: list[bytes] = []
    messages: list[bytes] = []
    roots: set[bytes] = set()
    while len(seeds) < 3 or len(messages) < 3:
        converse(ana, budi, 1)
        spqr = spqr_of(current(budi, ana))
        held, place = spqr.machine.held, len(seeds) + len(messages)
        if held.seed and held.seed not in seeds:
            seeds.append(held.seed)
        if held.m and held.m not in messages:
            messages.append(held.m)
        roots |= {held.auth.root, held.auth.mac_key, spqr.chains.root}
        roots |= {link for chain in spqr.chains.epochs for link in (chain.receiving.key,)}
        if len(seeds) + len(messages) > place:  # it is in the store as long as it is needed
            stored = [record for table, *_, record in budi.dump() if table == "spqr"]
            assert any((held.seed or held.m) in record for record in stored)
    spqr = spqr_of(current(budi, ana))
    held = spqr.machine.held
    kept = {held.seed, held.m, held.auth.root, held.auth.mac_key, spqr.chains.root}
    kept |= {chain.receiving.key for chain in spqr.chains.epochs}
    gone = {*seeds, *messages, *roots} - kept
    gone |= {seed[half : half + 32] for seed in gone if len(seed) == 64 for half in (0, 32)}
    assert len(gone) > 100
    budi.store.close()
    files = _files(path)
    assert set(files) == {"budi.db"}
    assert [secret.hex() for secret in gone if secret in files["budi.db"]] == []
    found = {secret for secret in kept if secret and secret in files["budi.db"]}
    assert found == ({secret for secret in kept if secret} if key is None else set())
    budi.store = SQLiteStore(path, key=key)
    budi.reload()
    converse(ana, budi, 1)
    budi.store.close()


@pytest.mark.parametrize("key", [None, STORE_KEY], ids=["plain", "sealed"])
def test_a_used_one_time_kyber_prekey(key: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "budi.db"
    ana, budi = person(ANA), person(BUDI, store=SQLiteStore(path, key=key))
    before = _keys(tuple(row for row in budi.dump() if row[0] == "kyber_prekeys"))
    ana.start(budi, kyber=True)
    assert budi.read(ana.send(budi, "first")) == "first"
    after = _keys(tuple(row for row in budi.dump() if row[0] == "kyber_prekeys"))
    used = {prekey for prekey in before - after if prekey not in after}
    assert used
    budi.store.close()
    data = path.read_bytes()
    for seed in used:
        assert seed not in data
        assert seed[:32] not in data
        assert seed[32:] not in data
    assert all((prekey in data) == (key is None) for prekey in after)


def test_a_used_one_time_prekey(tmp_path: Path) -> None:
    path = tmp_path / "budi.db"
    ana, budi = person(ANA), person(BUDI, store=SQLiteStore(path))
    before = _keys(tuple(row for row in budi.dump() if row[0] == "one_time_prekeys"))
    assert len(before) == 8
    ana.start(budi)
    assert budi.read(ana.send(budi, "first")) == "first"
    after = _keys(tuple(row for row in budi.dump() if row[0] == "one_time_prekeys"))
    (used,) = before - after
    budi.store.close()
    data = path.read_bytes()
    assert used not in data
    assert all(prekey in data for prekey in after)


def test_plaintexts_are_never_written_by_a_device(tmp_path: Path) -> None:
    path = tmp_path / "budi.db"
    ana, budi = person(ANA), person(BUDI, store=SQLiteStore(path))
    ana.start(budi)
    assert budi.read(ana.send(budi, PLAINTEXT)) == PLAINTEXT
    budi.send(ana, PLAINTEXT)
    for data in _files(path).values():
        assert PLAINTEXT.encode() not in data
    budi.store.close()
    for data in _files(path).values():
        assert PLAINTEXT.encode() not in data

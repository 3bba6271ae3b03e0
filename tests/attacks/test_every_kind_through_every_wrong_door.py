# SPDX-License-Identifier: Apache-2.0
"""Whatever is genuine in one place is refused in every other.

The attacker: a back end, a peer or a thief who takes genuine bytes and presents them as something
else: an envelope as a bundle, a first message as a later one, a record of one table as that of
another, one version as another.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import pytest

from e2ecross import Envelope, MessageKind
from e2ecross.client.epoch import EPOCH_ROW
from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from e2ecross.errors import (
    AuthenticationFailed,
    DecodeError,
    EnvelopeMismatch,
    InvalidArgument,
    RecordCorrupted,
    RemoteError,
    StoreTooNew,
    UnsupportedVersion,
)
from e2ecross.stores import MemoryStore, Table
from e2ecross.stores.sealing_header import create_sealing, open_sealing
from tests.attacks.support import (
    ANA,
    BUDI,
    Person,
    Rows,
    assert_refused,
    edit_envelope,
    edit_wrapper,
    inner_message,
    meet,
    person,
    with_ciphertext,
)
from tests.fuzz.decoders import DECODE, DECODERS
from tests.fuzz.doors import DOORS
from tests.fuzz.rows import use_rows
from tests.fuzz.target import ACCEPTED
from tests.fuzz.world import fill, first_message, load, scene
from tests.support import protobuf
from tests.support.formats import FORMATS, RECORDS

# What a door takes besides its own: the shape is the same, and something else tells them apart.
_TAKES: Final[Mapping[str, frozenset[str]]] = {
    # The content kind, which is encrypted with it, says which of these it is.
    "format-bytes": frozenset({"format-text"}),
    "format-text": frozenset({"format-bytes"}),
    # A bundle is a publication of one one-time prekey: the same fields, with the same meaning.
    "format-publication": frozenset({"format-bundle", "start-session"}),
    # One field of bytes; what it holds is decoded as an envelope next.
    "format-outbox": frozenset({"format-one-time-prekey", "format-other-id-of-a-sent-message"}),
    # One number, in the field of the same number; each has a row of its own.
    "format-epoch": frozenset({"format-retry"}),
    "format-retry-budget": frozenset({"format-epoch", "format-retry"}),
}
# Records that only a sealed store tells apart: base keys of one archived session and the current
# one are as long as an identity key and one that waits. Who writes to an unsealed store has won.
_TAKEN_AT_REST: Final = frozenset({("remote_identities", "session_records")})
_TOLD: Final = frozenset({RecordCorrupted.code, StoreTooNew.code})
"""A session begins with a number of its own kind of version."""


def _artefacts() -> dict[str, bytes]:
    """Something genuine for each door."""
    found = {name: target.seeds()[0] for name, target in DECODERS.items()}
    return found | {name: target.seeds()[0] for name, target in DOORS.items()}


ARTEFACTS: Final = _artefacts()
_ENVELOPES: Final = frozenset({"format-envelope", "decrypt", "relay-deposit"})
_ALIKE: Final = (
    _ENVELOPES,
    frozenset({"format-bundle", "start-session"}),
    frozenset({"format-publication", "relay-publish"}),
    frozenset({"signal-message", "decrypt-raw-signal"}),
    frozenset({"prekey-message", "decrypt-raw-prekey"}),
    frozenset({"format-session", "restored-session"}),
    frozenset({"fingerprints", "scanned-safety-number"}),
    frozenset(name for name in DECODERS if name.startswith("format-inbox")),
    frozenset({"format-sent-message", "format-other-id-of-a-sent-message"}),
)
_ALL_DOORS: Final[Mapping[str, Callable[[bytes], str]]] = {
    **DECODE,
    **{name: target.run for name, target in DOORS.items()},
}


def _are_alike(one: str, other: str) -> bool:
    return one == other or any({one, other} <= group for group in _ALIKE)


@pytest.mark.parametrize("door", list(_ALL_DOORS))
def test_only_its_own_kind_comes_through_a_door(door: str) -> None:
    """Each function says whether its own branch of errors is raised, and nothing was stored."""
    assert _ALL_DOORS[door](ARTEFACTS[door]) == ACCEPTED
    through = {
        name
        for name, data in ARTEFACTS.items()
        if not _are_alike(name, door) and _ALL_DOORS[door](data) == ACCEPTED
    }
    assert through == _TAKES.get(door, frozenset())


# --- Kinds ----------------------------------------------------------------------------------


def _victim() -> Person:
    return load(scene().budi, scene().budi_rows)


@pytest.mark.parametrize("kind", list(MessageKind))
def test_whatever_stands_in_an_envelope_as_a_message(kind: MessageKind) -> None:
    victim = _victim()
    genuine = {MessageKind.SIGNAL: scene().late, MessageKind.PREKEY: first_message()}
    for name, data in ARTEFACTS.items():
        of_that_kind = name.endswith("signal" if kind is MessageKind.SIGNAL else "prekey")
        if name.startswith("decrypt-raw") and of_that_kind:
            continue
        before = victim.dump()
        envelope = replace(genuine[kind], kind=kind, ciphertext=data)
        with pytest.raises(RemoteError):
            victim.device.decrypt(envelope)
        with pytest.raises(RemoteError):
            victim.device.decrypt_raw(ANA, kind, data)
        assert victim.dump() == before, name
    assert not victim.device.decrypt(genuine[kind]).identity_changed


def test_a_message_of_one_kind_as_one_of_the_other() -> None:
    victim = _victim()
    for envelope in (scene().late, first_message()):
        other = MessageKind.PREKEY if envelope.kind is MessageKind.SIGNAL else MessageKind.SIGNAL
        assert_refused(victim, replace(envelope, kind=other), DecodeError)
    # Without its wrapper a first message names no session.
    bare = replace(
        first_message(), kind=MessageKind.SIGNAL, ciphertext=inner_message(first_message())
    )
    victim_before = victim.dump()
    with pytest.raises(RemoteError):
        victim.device.decrypt(bare)
    assert victim.dump() == victim_before


@pytest.mark.parametrize("number", [1, 4, 5, 6, 7, 8, 127, 255, 2**31, 2**32 - 1])
def test_a_kind_that_there_is_not(number: int) -> None:
    victim = _victim()
    for envelope in (scene().late, first_message()):
        assert_refused(victim, edit_envelope(envelope, 5, number), DecodeError)
    with pytest.raises(InvalidArgument):
        victim.device.decrypt_raw(ANA, number, scene().late.ciphertext)  # type: ignore[arg-type]


# --- Versions -------------------------------------------------------------------------------


@pytest.mark.parametrize("high", range(16))
def test_every_first_byte_of_a_signal_message(high: int) -> None:
    victim = _victim()
    envelope = scene().late
    for low in range(16):
        byte = bytes((high << 4 | low,))
        changed = with_ciphertext(envelope, byte + envelope.ciphertext[1:])
        if (high, low) == (3, 3):
            assert changed == envelope
        else:
            expected = AuthenticationFailed if high == 3 else UnsupportedVersion
            assert_refused(victim, changed, expected)
    assert victim.read(envelope) == "late"


@pytest.mark.parametrize("high", range(16))
def test_every_first_byte_of_a_prekey_message_and_of_what_is_inside(high: int) -> None:
    victim = _victim()
    envelope = first_message()
    inner = inner_message(envelope)
    for low in range(16):
        byte = bytes((high << 4 | low,))
        wrapper = with_ciphertext(envelope, byte + envelope.ciphertext[1:])
        inside = edit_wrapper(envelope, message=byte + inner[1:])
        if (high, low) == (3, 3):
            assert wrapper == inside == envelope
            continue
        # The MAC covers the byte inside. That of the wrapper nothing covers; it has one spelling.
        assert_refused(victim, wrapper, EnvelopeMismatch if high == 3 else UnsupportedVersion)
        assert_refused(victim, inside, AuthenticationFailed if high == 3 else UnsupportedVersion)
    assert victim.read(envelope) == "hello"


@pytest.mark.parametrize(
    "name", ["format-envelope", "format-bundle", "format-publication", "format-payload"]
)
@pytest.mark.parametrize("version", [0, 2, 3, 127, 128, 255, 2**32 - 1, 2**32, 2**64 - 1])
def test_every_other_version_of_a_format_of_ours(name: str, version: int) -> None:
    fields = protobuf.fields(ARTEFACTS[name])
    assert fields[0] == (1, 1)
    assert DECODE[name](protobuf.message([(1, version), *fields[1:]])) in {
        UnsupportedVersion.code,
        DecodeError.code,
    }
    without = DECODE[name](protobuf.message(fields[1:]))
    assert without in {UnsupportedVersion.code, DecodeError.code}


@pytest.mark.parametrize("name", list(RECORDS))
def test_every_other_version_of_a_record(name: str) -> None:
    example = FORMATS[name].example
    door = DECODE[f"format-{name.replace(' ', '-')}"]
    for version in range(256):
        came = door(bytes((version,)) + example[1:])
        expected = {0: RecordCorrupted.code, 1: ACCEPTED}
        assert came == expected.get(version, StoreTooNew.code)


# --- Rows -----------------------------------------------------------------------------------


def _by_table() -> dict[str, tuple[int, bytes]]:
    """One row of each kind that Budi's device will use: its place, and its record."""
    prekey_id = scene().bundles[BUDI].one_time_prekey_id
    assert prekey_id is not None
    found = {
        _kind(row): (place, row[3])
        for place, row in enumerate(scene().budi_rows)
        if row[0] != Table.ONE_TIME_PREKEYS or row[2] == prekey_id.to_bytes(4)
    }
    assert {"device", "epoch"} < set(found)
    return found


def _kind(row: tuple[str, bytes, bytes, bytes]) -> str:
    """The table, and of the device's the row: two kinds of records are in it."""
    return "epoch" if row[:3] == (Table.DEVICE, b"", EPOCH_ROW) else row[0]


@pytest.mark.parametrize("table", sorted(_by_table()))
def test_a_record_of_one_table_in_another_of_an_unsealed_store(table: str) -> None:
    """Every call of a device ends in a result or in an error of ours (`use_rows`)."""
    place, _ = _by_table()[table]
    for other, (_, record) in _by_table().items():
        rows = list(scene().budi_rows)
        rows[place] = (*rows[place][:3], record)
        came = use_rows(tuple(rows))
        is_told = not _TOLD.isdisjoint(came.split(","))
        may_pass = other == table or (table, other) in _TAKEN_AT_REST
        assert is_told != may_pass, f"a record of {other} in the place of one of {table}: {came}"


def test_a_sealed_row_does_not_open_anywhere_else() -> None:
    inner = MemoryStore()
    header = create_sealing(bytes(32), SYSTEM_ENTROPY)
    sealer = open_sealing(bytes(32), header, SYSTEM_ENTROPY)
    assert sealer is not None
    rows = _one_row_of_each_table()
    with inner.transaction() as tx:
        sealed = sealer.wrap(tx)
        for table, partition, row, record in rows:
            sealed.put(Table(table), partition, row, record)
        places = [
            (table, partition, row, record)
            for table in Table
            for partition, row, record in list(tx.scan(table))
        ]
        assert len(places) == len(rows)
        for table, partition, row, record in places:
            for _, _, _, moved in places:
                tx.put(table, partition, row, moved)
                if moved == record:
                    assert len(list(sealed.scan(table))) >= 1
                else:
                    with pytest.raises(RecordCorrupted):
                        list(sealed.scan(table))
            tx.put(table, partition, row, record)
        for table, partition, row, record in rows:
            assert sealed.get(Table(table), partition, row) == record


def _one_row_of_each_table() -> Rows:
    """And more of those that differ only in their row."""
    several = {Table.ONE_TIME_PREKEYS.value, Table.DEVICE.value}
    rows = {(row[0], row[2] if row[0] in several else b""): row for row in scene().budi_rows}
    return tuple(rows.values())


def test_a_sealed_record_is_none_of_an_unsealed_store() -> None:
    """And the other way round."""
    store = MemoryStore()
    sealer = open_sealing(bytes(32), create_sealing(bytes(32), SYSTEM_ENTROPY), SYSTEM_ENTROPY)
    assert sealer is not None
    fill(store, scene().budi_rows)
    with store.transaction() as tx, pytest.raises(RecordCorrupted):
        list(sealer.wrap(tx).scan(Table.SESSIONS))
    rows = []
    sealed_store = MemoryStore()
    with sealed_store.transaction() as tx:
        for table, partition, row, record in scene().budi_rows:
            sealer.wrap(tx).put(Table(table), partition, row, record)
        sealed = [record for _, _, record in tx.scan(Table.DEVICE)]
    rows = [(*row[:3], sealed[0]) if row[0] == Table.DEVICE else row for row in scene().budi_rows]
    assert use_rows(tuple(rows)) == RecordCorrupted.code


def test_the_genuine_goes_through_its_own_door_after_all_this() -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    envelope = ana.send(budi, "genuine")
    for data in ARTEFACTS.values():
        with pytest.raises(RemoteError):
            budi.device.decrypt(data)
    assert isinstance(envelope, Envelope)
    assert budi.read(envelope) == "genuine"

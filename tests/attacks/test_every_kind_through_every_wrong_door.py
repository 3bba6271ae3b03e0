# SPDX-License-Identifier: Apache-2.0
"""Whatever is genuine in one place is refused in every other.

The attacker: a back end, a peer or a thief who takes genuine bytes and presents them as something
else: an envelope as a bundle, a first message as a later one, a record of one table as that of
another, one version as another.
"""

import contextlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import permutations
from typing import Final

import pytest

from e2ecross import (
    Bytes,
    Client,
    ConsentGrant,
    ConsentRevoke,
    Device,
    Envelope,
    MessageKind,
    RetryRequest,
    Text,
    UnsupportedContent,
)
from e2ecross.crypto.aead import open_sealed, seal
from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from e2ecross.crypto.keys import PublicKey
from e2ecross.crypto.passphrase import Passphrase, PassphraseCost
from e2ecross.errors import (
    AuthenticationFailed,
    BackendError,
    DecodeError,
    E2ECrossError,
    EnvelopeMismatch,
    InvalidArgument,
    RecordCorrupted,
    RemoteError,
    StoreTooNew,
    UnknownSession,
    UnsupportedVersion,
    WrongBackupKey,
)
from e2ecross.state.accounts import OWN_ACCOUNT_ROW
from e2ecross.state.changes import CHANGES_ROW, read_changes
from e2ecross.state.delivered import was_delivered
from e2ecross.state.outbox import (
    TURNS,
    Backlog,
    BacklogName,
    find_message,
    list_backlog,
    put_resend,
)
from e2ecross.state.queue import NUMBER_BYTES, Queue, number_row
from e2ecross.state.retry_budget import BUDGET, spend_request
from e2ecross.state.sent import find_kept
from e2ecross.state.sent_ids import SENT_IDS, was_sent
from e2ecross.state.upkeep import UPKEEP_ROW
from e2ecross.stores import MemoryStore, Store, Table
from e2ecross.stores.sealing_header import create_sealing, open_sealing
from e2ecross.wire.content import (
    Answer,
    ConversationState,
    ConversationStates,
    Delete,
    DeviceListPush,
    DeviceRequest,
    Edit,
    Framed,
    History,
    HistoryItem,
    MessageRef,
    PayloadContent,
    Pin,
    Pins,
    Reaction,
    ReadMark,
    ReadMarks,
    Receipt,
    Resent,
    Typing,
    encode_content,
    encode_payload,
)
from e2ecross.wire.identity_backup import BackupContent, IdentityBackup
from e2ecross.wire.inbox_records import InboxMessage, encode_inbox_item
from e2ecross.wire.padding import pad, unpad
from e2ecross.wire.queue_records import OutboxRecord
from e2ecross.wire.shelf_records import SentRecord
from tests.attacks.hostile_backend import HostileBackend, Party, party, results
from tests.attacks.support import (
    ANA,
    BUDI,
    SESSION_KINDS,
    Attacker,
    Person,
    Rows,
    assert_refused,
    dump,
    edit_envelope,
    edit_wrapper,
    inner_message,
    meet,
    payload_for,
    person,
    with_ciphertext,
)
from tests.fuzz.decoders import DECODE, DECODERS
from tests.fuzz.doors import DOORS
from tests.fuzz.rows import use_rows
from tests.fuzz.target import ACCEPTED
from tests.fuzz.world import fill, first_message, load, scene
from tests.support import protobuf
from tests.support.entropy import SeededEntropy
from tests.support.formats import FORMATS, RECORDS
from tests.support.points import GOOD_KEY

# One field of bytes, which are decoded next.
_ONE_FIELD: Final = frozenset(
    {
        "format-conversation-states",
        "format-history",
        "format-link-result",
        "format-pins",
        "format-read-marks",
    }
)
# One number, that of a row of its own table.
_ONE_NUMBER: Final = frozenset({"format-changes", "format-push", "format-retry", "format-row"})
# 32 bytes: a key, a group, or a blob; each in a table of its own.
_32_BYTES: Final = frozenset(
    {"format-one-time-prekey", "format-stored-receipt", "format-what-may-be-viewed-once"}
)
# What a door takes besides its own: the shape is the same, and something else tells them apart.
_TAKES: Final[Mapping[str, frozenset[str]]] = {
    # The content kind, which is encrypted with it, says which of these it is.
    "format-bytes": _ONE_FIELD | {"format-push-of-device-lists", "format-text"},
    "format-text": frozenset(
        {
            "format-bytes",
            "format-conversation-states",
            "format-push-of-device-lists",
            "format-read-marks",
        }
    ),
    # Frames. The content kind says what is in one; of an unknown kind it may be anything.
    "format-framed-text": frozenset({"format-delete", "format-media", "format-options"}),
    "format-media": frozenset({"format-delete", "format-framed-text", "format-options"}),
    "format-options": frozenset({"format-delete", "format-framed-text", "format-media"}),
    "format-reaction": frozenset({"format-answer"}),
    "format-edit": frozenset({"format-answer", "format-reaction"}),
    "format-content-of-an-unknown-kind": frozenset(
        f"format-{name}"
        for name in ("framed-text", "media", "options", "reaction", "edit", "delete", "answer")
    ),
    "format-push-of-device-lists": _ONE_FIELD | {"format-bytes", "format-text"},
    # A bundle is a publication of one one-time prekey: the same fields, with the same meaning.
    "format-publication": frozenset({"format-bundle", "start-session"}),
    "format-publication-with-Kyber": frozenset({"format-bundle", "start-session"}),
    # One field of bytes; what it holds is decoded as a publication next.
    "format-stored-publication": frozenset(
        _32_BYTES | {"format-grant-of-a-sender-key-at-rest", "format-other-id-of-a-sent-message"}
    ),
    # An identity key, or those of sessions that are archived; each in a table of its own.
    "format-remote-identity": frozenset({"format-grant-of-a-sender-key-at-rest"}),
    "format-session-list": frozenset({"format-grant-of-a-sender-key-at-rest"}),
    "format-one-time-prekey": _32_BYTES - {"format-one-time-prekey"},
    "format-stored-receipt": _32_BYTES - {"format-stored-receipt"},
    "format-what-may-be-viewed-once": _32_BYTES - {"format-what-may-be-viewed-once"},
    # A switch and some bytes; capabilities are in no message.
    "format-device-request": frozenset({"capabilities", "format-typing"}),
    # Numbers, in the fields of the same numbers; each has a row of its own.
    "format-account": frozenset({"format-stranger"}),
    "format-consent": frozenset({"format-stranger"}),
    "format-conversation": frozenset({"format-retry", "format-stranger"}),
    "format-stranger": frozenset({"format-conversation", "format-retry"}),
    "format-stripe": frozenset({"format-end-of-a-blob", "format-stranger"}),
    "format-push": _ONE_NUMBER - {"format-push"},
    "format-row": _ONE_NUMBER - {"format-row"},
    "format-changes": _ONE_NUMBER - {"format-changes"},
    "format-group": frozenset({"format-end-of-a-blob", "format-stranger"}),
    "format-backlog": frozenset({"format-end-of-a-blob"}),
    "format-end-of-a-blob": _ONE_NUMBER | {"format-stranger"},
    "format-retry-budget": _ONE_NUMBER | {"format-end-of-a-blob", "format-stranger"},
    "format-upkeep": _ONE_NUMBER
    | {
        "format-conversation",
        "format-end-of-a-blob",
        "format-retry-budget",
        "format-stranger",
    },
}
# Records that only a sealed store tells apart: base keys of one archived session and the current
# one are as long as an identity key and one that waits. Who writes to an unsealed store has won.
# Likewise what counts operations, changes and prekeys: numbers in fields of the same numbers.
_TAKEN_AT_REST: Final = frozenset(
    {
        ("remote_identities", "session_records"),
        ("upkeep", "changes"),
        ("upkeep", "stripe"),
    }
)
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
    frozenset({"format-copies", "relay-copies"}),
    frozenset({"format-payload", "format-payload-of-an-account-with-a-list"}),
    frozenset({"format-signed-device-list", "relay-devices"}),
    frozenset({"format-bundle", "format-bundle-with-Kyber", "start-session"}),
    frozenset({"format-publication", "format-publication-with-Kyber", "relay-publish"}),
    frozenset({"signal-message", "decrypt-raw-signal"}),
    frozenset({"prekey-message", "decrypt-raw-prekey"}),
    frozenset({"format-session", "restored-session"}),
    frozenset({"format-signed-device-list", "relay-devices"}),
    frozenset({"fingerprints", "scanned-safety-number"}),
    frozenset(name for name in DECODERS if name.startswith("format-inbox")),
    frozenset(name for name in DECODERS if name.startswith("format-outbox")),
    frozenset(name for name in DECODERS if name.startswith("format-own-sender-key")),
    frozenset(
        name
        for name in DECODERS
        if name.endswith(("-sent-message", "-message-that-was-sent-into-a-group"))
    ),
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


@pytest.mark.parametrize("kind", SESSION_KINDS)
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


def test_whatever_stands_in_an_envelope_as_a_message_into_a_group() -> None:
    """Devices read none yet: not one of them is looked at."""
    victim = _victim()
    for data in (*ARTEFACTS.values(), scene().late.ciphertext, first_message().ciphertext):
        envelope = replace(scene().late, kind=MessageKind.SENDER_KEY, ciphertext=data)
        assert_refused(victim, envelope, UnsupportedVersion)
    before = victim.dump()
    for kind in (MessageKind.SENDER_KEY, 7):
        with pytest.raises(InvalidArgument, match="decrypt_group_raw"):
            victim.device.decrypt_raw(ANA, kind, scene().late.ciphertext)  # type: ignore[arg-type]
    assert victim.dump() == before


@pytest.mark.parametrize("number", [1, 4, 5, 6, 8, 127, 255, 2**31, 2**32 - 1])
def test_a_kind_that_there_is_not(number: int) -> None:
    victim = _victim()
    for envelope in (scene().late, first_message()):
        assert_refused(victim, edit_envelope(envelope, 5, number), DecodeError)
    with pytest.raises(InvalidArgument):
        victim.device.decrypt_raw(ANA, number, scene().late.ciphertext)  # type: ignore[arg-type]


# --- Kinds of content -----------------------------------------------------------------------

_KINDS: Final[Mapping[str, int]] = {
    "text": 1,
    "bytes": 2,
    "post": 3,
    "reaction": 4,
    "edit": 5,
    "delete": 6,
    "answer": 7,
    "receipt": 8,
    "grant": 10,
    "revoke": 11,
    "retry request": 2**31 + 1,
    "resent": 2**31 + 2,
    "push": 2**31 + 16,
    "pins": 2**31 + 17,
    "history": 2**31 + 18,
    "read marks": 2**31 + 19,
    "device request": 2**31 + 20,
    "typing": 2**31 + 48,
    "conversation states": 2**31 + 49,
}
_IN_RESENT: Final = RetryRequest(bytes(16), None, 0, "unknown_session")
_OPENING_KEY: Final = b"\xa5" * 32
_REF: Final = MessageRef(ANA.user_id, bytes(16), b"\xff" * 32)
_CONTENTS: Final[Mapping[str, PayloadContent]] = {
    "text": Text("halo"),
    "bytes": Bytes(b"\xff\0"),
    "post": Framed(Text("halo"), _OPENING_KEY),
    "reaction": Framed(Reaction(_REF, 7, "+"), _OPENING_KEY),
    "edit": Framed(Edit(_REF, 7, "halo"), _OPENING_KEY),
    "delete": Framed(Delete(_REF), _OPENING_KEY),
    "answer": Framed(Answer(_REF, 7, (0,)), _OPENING_KEY),
    "receipt": Receipt(Receipt.READ, (bytes(16),)),
    "grant": ConsentGrant(bytes(16), (1,), 1, 0, 1, bytes(32)),
    "revoke": ConsentRevoke(bytes(16), 1),
    "retry request": RetryRequest(bytes(16), GOOD_KEY, 3, "unknown_session"),
    "resent": Resent(bytes(16), 1, Text("halo")),
    "push": DeviceListPush((b"list",)),
    "pins": Pins((Pin(ANA.user_id, PublicKey(GOOD_KEY), verified=True),)),
    "history": History((HistoryItem(ANA, BUDI.user_id, bytes(16), 1, 1, b"body"),)),
    "read marks": ReadMarks((ReadMark(ANA, bytes(16)),)),
    "device request": DeviceRequest(unlink=True, capabilities=b"c"),
    "typing": Typing(on=True),
    "conversation states": ConversationStates(
        (ConversationState(BUDI.user_id, 2, no_receipts=True, no_typing=True, number=5),)
    ),
}


def _bodies() -> dict[str, bytes]:
    found = {name: encode_content(content)[1] for name, content in _CONTENTS.items()}
    inner = protobuf.fields(found["resent"])[:2]
    found["resent in resent"] = protobuf.message(
        [*inner, (3, _KINDS["resent"]), (4, found["resent"])]
    )
    kind, body = encode_content(_IN_RESENT)
    found["request in resent"] = protobuf.message([*inner, (3, kind), (4, body)])
    return found


@pytest.mark.parametrize("name", list(_bodies()))
@pytest.mark.parametrize("kind", [*_KINDS.values(), 0, 9, 2**31, 2**32 - 1])
def test_a_content_of_one_kind_as_one_of_another(kind: int, name: str) -> None:
    """From a contact, under a valid MAC: refused, or carried as what nobody here knows."""
    body = _bodies()[name]
    taken: dict[tuple[int, str], PayloadContent] = {
        (_KINDS[own], own): content for own, content in _CONTENTS.items()
    }
    taken[_KINDS["resent"], "resent"] = Text("halo")  # as it was sent first
    taken[_KINDS["device request"], "typing"] = DeviceRequest(unlink=True, capabilities=b"")
    for other, rest in (("reaction", "+"), ("edit", "halo"), ("answer", "\0")):  # the same fields
        taken[_KINDS["reaction"], other] = Framed(Reaction(_REF, 7, rest), _OPENING_KEY)
        taken[_KINDS["edit"], other] = Framed(Edit(_REF, 7, rest), _OPENING_KEY)
    first, *more = protobuf.fields(body)
    if first[0] == 1 and isinstance(first[1], bytes) and not more:
        # One field of bytes is bytes, and something that is no list; it may be a text.
        taken[_KINDS["bytes"], name] = Bytes(first[1])
        taken[_KINDS["push"], name] = DeviceListPush((first[1],))
        with contextlib.suppress(UnicodeDecodeError):
            taken[_KINDS["text"], name] = Text(first[1].decode())
    attacker, victim = Attacker(), person(BUDI)
    payload = payload_for(ANA, BUDI)
    fields = dict(protobuf.fields(unpad(encode_payload(payload)))) | {7: kind, 8: body}
    plaintext = pad(protobuf.message([field for field in sorted(fields.items()) if field[1] != 0]))
    envelope = attacker.seal_bytes(attacker.session(victim.bundle()), payload, plaintext)
    if kind and kind not in _KINDS.values():
        assert victim.device.decrypt(envelope).content == UnsupportedContent(kind, body)
    elif (kind, name) in taken:
        content = victim.device.decrypt(envelope).content
        assert content is not None
        assert encode_content(content) == encode_content(taken[kind, name])
    else:
        assert_refused(victim, envelope, DecodeError)


def test_a_content_that_does_not_belong_where_it_is_kept() -> None:
    """No request and no copy is shown, none is sent as what somebody asks for."""
    backend = HostileBackend()
    ana, budi = party(ANA, backend), party(BUDI, backend)
    message_id = ana.send(budi, "hello").message_id
    assert budi.receive() == ["hello"]
    store, policy = ana.person.store, ana.person.policy
    bodies = _bodies()
    for name in ("retry request", "resent", "resent in resent", "request in resent"):
        kind = _KINDS[name.split(" in ")[-1]]
        record = InboxMessage(BUDI, bytes(16), 1, kind, bodies[name])
        before = ana.person.dump()
        with store.transaction() as tx:
            Queue(Table.INBOX, b"").append(tx, encode_inbox_item(record))
        with_it = ana.person.dump()
        with pytest.raises(RecordCorrupted):  # told once by each client
            Client(ana.client.device, backend).receive()
        assert ana.person.dump() == with_it
        _put_back(store, before)
    for name in ("text", "bytes", "resent", "resent in resent", "request in resent"):
        kind = _KINDS[name.split(" in ")[-1]]
        waits = OutboxRecord(b"", bytes(16), content_kind=kind, content_body=bodies[name])
        before = ana.person.dump()
        backlog = Backlog(BacklogName.REQUESTS, BUDI)
        with store.transaction() as tx:
            put_resend(tx, BUDI, bytes(16))
            tx.put(Table.OUTBOX, backlog.partition, number_row(1), waits.encode())
        deposited = len(backend.deposits)
        ana.client.maintain()  # nothing is known of it: it is forgotten, and not sent
        assert len(backend.deposits) == deposited
        with store.transaction() as tx:
            assert list_backlog(tx, backlog) == []
        _put_back(store, before)
    for name in ("resent", "resent in resent", "request in resent"):
        kept = SentRecord(sent_at_ms=1, content_kind=_KINDS["resent"], content_body=bodies[name])
        with store.transaction() as tx:
            (place,) = [
                (partition, row)
                for partition, row, record in tx.scan(Table.SENT)
                if row.endswith(message_id) and not partition.startswith(SENT_IDS)
                if SentRecord.decode(record).content_kind
            ]
            tx.put(Table.SENT, *place, kept.encode())
            with pytest.raises(RecordCorrupted):
                find_kept(tx, policy, BUDI, message_id, ana.person.clock())


def _put_back(store: Store, rows: Rows) -> None:
    for table, partition, row, _ in dump(store):
        with store.transaction() as tx:
            tx.delete(Table(table), partition, row)
    fill(store, rows)


# --- Identity backups -----------------------------------------------------------------------


def test_what_is_imported_as_an_identity_backup() -> None:
    """Everything else is refused before a passphrase costs anything, and the store stays empty."""
    store = MemoryStore()
    for name, data in ARTEFACTS.items():
        expected = WrongBackupKey if name == "format-identity-backup" else RemoteError
        with pytest.raises(expected):
            Device.import_identity(data, "passphrase", store)
        assert dump(store) == (), name


def test_what_is_sealed_in_an_identity_backup() -> None:
    """Under the right passphrase, by another program: anything but who a device is, is refused."""
    opener, entropy = Passphrase("passphrase", PassphraseCost.INTERACTIVE), SeededEntropy("backup")
    genuine = ARTEFACTS["format-identity-backup-content"]
    salt, nonce = bytes(16), bytes(12)
    key = opener.derive_key(salt, opener.work)
    store = MemoryStore()

    def sealed(content: bytes, label: bytes = b"e2ecross identity backup 1") -> bytes:
        header = IdentityBackup(opener.work, salt, nonce, b"")
        box = seal(key, nonce, content, label + header.associated_data)
        return IdentityBackup(opener.work, salt, nonce, box).encode()

    others = [data for name, data in ARTEFACTS.items() if name != "format-identity-backup-content"]
    for content in others:
        if len(content) > 900:  # too long for any backup
            continue
        header = IdentityBackup.decode(sealed(content))
        opened = open_sealed(
            key, nonce, header.sealed, b"e2ecross identity backup 1" + header.associated_data
        )
        with pytest.raises(DecodeError):
            BackupContent.decode(opened)
    with pytest.raises(DecodeError):
        Device.import_identity(sealed(others[0]), "passphrase", store, entropy=entropy)
    with pytest.raises(WrongBackupKey):
        Device.import_identity(sealed(genuine, b""), "passphrase", store, entropy=entropy)
    assert dump(store) == ()
    device = Device.import_identity(sealed(genuine), "passphrase", store, entropy=entropy)
    assert device.address == BackupContent.decode(genuine).address


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
            expected = {3: AuthenticationFailed, 4: UnknownSession}.get(high, UnsupportedVersion)
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
    "name",
    [
        "format-envelope",
        "format-bundle",
        "format-publication",
        "format-payload",
        "format-identity-backup",
    ],
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
    assert {"device", "stripe"} < set(found)
    return found


def _kind(row: tuple[str, bytes, bytes, bytes]) -> str:
    """The table, and of the device's the row: several kinds of records are in it."""
    names = {
        UPKEEP_ROW: "upkeep",
        OWN_ACCOUNT_ROW: "own account",
        CHANGES_ROW: "changes",
    }
    return names.get(row[2], row[0]) if row[0] == Table.DEVICE else row[0]


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


def _client_kind(row: tuple[str, bytes, bytes, bytes]) -> str:
    """The table, and of those that hold several kinds, which."""
    table, partition, key = row[:3]
    if table in (Table.SENT, Table.RETRIES, Table.DELIVERED) and partition in (b"", SENT_IDS):
        return "shelf"
    if table == Table.SENT and partition.startswith(SENT_IDS):
        return "sent id"
    if table == Table.SENT:
        return "sent content" if key[-18:-16] == bytes(2) else "sent copy"
    if table == Table.OUTBOX and partition.startswith(TURNS):
        return "turn"
    if table == Table.INBOX and partition:
        return "arrival"
    if table == Table.DEVICE and key == b"account":
        return "own account"
    if table == Table.ACCOUNTS:
        return "account" if key == b"" else "push"
    if table == Table.OUTBOX and len(key) != NUMBER_BYTES:
        return "backlog" if key == b"" else "row"
    return "budget" if partition == BUDGET else _kind(row)


def _rows_of_a_client() -> tuple[HostileBackend, Party, Rows]:
    """Ana's store with every kind of row: something kept, asked for, waiting, and not confirmed."""
    backend = HostileBackend()
    ana, budi = party(ANA, backend), party(BUDI, backend)
    ana.send(budi, "hello")
    assert budi.receive() == ["hello"]
    budi.send(ana, "in the inbox")
    damaged = budi.send(ana, "damaged")
    backend.rewrite(ANA, 1, lambda data: data[:-1] + bytes((data[-1] ^ 1,)))
    backend.fail("deposit", times=9)
    assert results(ana.client.receive()) == ["in the inbox", "authentication_failed"]
    with pytest.raises(BackendError):
        ana.send(budi, "waits")
    backend._faults.clear()
    rows = ana.person.dump()
    assert damaged.message_id in {row[2][-16:] for row in rows}
    return backend, ana, rows


def _use_client(backend: HostileBackend, ana: Party, rows: Rows) -> set[str]:
    """Let Ana's client do all it can, with a store of these rows; the errors that are told."""
    store = MemoryStore()
    fill(store, rows)
    backend._accounts[ANA].epochs.clear()
    told: set[str] = set()
    opened: list[Client] = []

    def open_client() -> None:
        device = Device.open(store, policy=ana.person.policy, clock=ana.person.clock)
        opened.append(Client(device, backend))

    def keep() -> None:
        with store.transaction() as tx:
            sent = [row[-16:] for partition, row, _ in tx.scan(Table.SENT) if partition]
            for message_id in sent:
                find_message(tx, BUDI, message_id)
                with suppress(InvalidArgument):  # it was another text
                    was_sent(tx, BUDI, message_id, Text("hello"), ana.person.clock())
                find_kept(tx, ana.person.policy, BUDI, message_id, ana.person.clock())

    def count() -> None:
        context = opened[0].device._context
        attempts = [row for row in rows if row[0] == Table.RETRIES and len(row[1]) == 4]
        with store.transaction() as tx:
            for row in attempts:
                spend_request(context, tx, BUDI, row[2][-16:], ana.person.clock())
            was_delivered(tx, context.policy, BUDI, bytes(16), ana.person.clock())
            read_changes(tx)

    actions: list[Callable[[], object]] = [
        open_client,
        keep,
        lambda: opened[0].confirm(opened[0].receive()),
        lambda: opened[0].maintain(),
        keep,
        count,
    ]
    for action in actions:
        try:
            action()
        except E2ECrossError as error:
            told.add(error.code)
        except IndexError:
            assert not opened
    return told


# A row that says only that it is there: a message that was received.
_ONLY_THERE: Final = "delivered"
_NUMBERS: Final = ("changes", "retries", "row")
_CLIENT_KINDS: Final = (
    "account",
    "budget",
    "changes",
    "device",
    "inbox",
    "backlog",
    "outbox",
    "own account",
    "retries",
    "row",
    "sent content",
    "sent copy",
    "sent id",
    "shelf",
    "stripe",
    "turn",
    "upkeep",
)
# Only a sealed store tells these apart: numbers in the field of the same number, and the mark of
# a message that was received, which is the encoding of all numbers that are 0.
_COUNTERS: Final = frozenset(
    {
        *permutations(_NUMBERS, 2),
        *((kind, of) for kind in ("budget", "upkeep") for of in (*_NUMBERS, "stripe")),
        ("account", _ONLY_THERE),
        ("budget", "own account"),
        ("stripe", "budget"),
        ("upkeep", "own account"),
        ("upkeep", "budget"),
        *((kind, "conversations") for kind in ("budget", *_NUMBERS, "upkeep")),
        *((kind, _ONLY_THERE) for kind in ("budget", *_NUMBERS, "shelf", "upkeep")),
    }
)


# What these say is said by others, too: a message that waits is encrypted anew where its row is
# damaged, and where a backlog ends its rows tell. It is made anew, and what waits leaves.
_REBUILT: Final = frozenset({"outbox", "backlog"})


@pytest.mark.parametrize("kind", _CLIENT_KINDS)
def test_a_record_of_one_kind_in_the_place_of_another_in_the_store_of_a_client(kind: str) -> None:
    backend, ana, rows = _rows_of_a_client()
    kinds = {_client_kind(row): row[3] for row in rows}
    assert {*_CLIENT_KINDS, _ONLY_THERE} <= set(kinds)
    assert _use_client(backend, ana, rows).isdisjoint(_TOLD)
    for other, record in kinds.items():
        changed = tuple((*row[:3], record) if _client_kind(row) == kind else row for row in rows)
        deposited = len(backend.deposits)
        told = _use_client(backend, ana, changed)
        if kind in _REBUILT:
            later = [Envelope.decode(data) for data in backend.deposits[deposited:]]
            assert BUDI in {envelope.recipient for envelope in later}, f"{other} as {kind}: {told}"
            continue
        may_pass = other == kind or (kind, other) in _COUNTERS
        assert told.isdisjoint(_TOLD) == may_pass, f"{other} in the place of {kind}: {told}"


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

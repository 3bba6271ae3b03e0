# SPDX-License-Identifier: Apache-2.0
"""The hunt for secrets in what an app shows: which ones there are, and where they could turn up."""

import base64
import enum
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest

from e2ecross import (
    Address,
    Bytes,
    Client,
    Device,
    Envelope,
    MessageKind,
    RetryRequest,
    SenderKeyGroup,
    Text,
    UnsupportedContent,
)
from e2ecross.client.answers import CheckedBackend
from e2ecross.client.link import Link
from e2ecross.crypto import kdf, passphrase
from e2ecross.crypto.passphrase import Passphrase, PassphraseCost
from e2ecross.crypto.secret import SecretTuple
from e2ecross.device.identity_backup import open_backup, seal_backup
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.receiving import decode_ciphertext, decrypt_envelope
from e2ecross.device.registering import Registration, Token
from e2ecross.protocol import message_chain, pqxdh, ratchet, sender_key
from e2ecross.protocol.sender_key_storage import own_sender_key_to_record, sender_key_to_record
from e2ecross.protocol.spqr import epoch_chains
from e2ecross.state.context import require_device
from e2ecross.state.outbox import (
    TURNS,
    list_backlog,
    put_control,
    put_envelope,
    put_resend,
)
from e2ecross.state.outbox_repair import list_backlogs
from e2ecross.state.publication import PUBLICATION_ROW
from e2ecross.state.queue import NUMBER_BYTES
from e2ecross.state.sender_keys import find_own_sender_key, find_sender_key
from e2ecross.state.sent import find_kept
from e2ecross.state.sent_ids import SENT_IDS
from e2ecross.state.session_store import load_sessions
from e2ecross.stores import MemoryStore, SQLiteStore, Table
from e2ecross.wire.content import Payload, Resent, decode_payload, encode_content, encode_payload
from e2ecross.wire.identity_backup import BackupContent, IdentityBackup
from e2ecross.wire.inbox_records import InboxMessage
from e2ecross.wire.queue_records import OutboxRecord
from e2ecross.wire.records import DeviceRecord, KyberPrekeyRecord, SignedPrekeyRecord
from e2ecross.wire.sender_key_message import decode_distribution, decode_sender_key_message
from e2ecross.wire.session_records import StoredSession
from e2ecross.wire.shelf_records import SentRecord
from e2ecross.wire.spqr_message import SpqrKind, SpqrMessage
from e2ecross.wire.spqr_records import StoredSpqrMaterial
from tests.attacks.support import (
    ANA,
    BUDI,
    TOKO,
    Attacker,
    Person,
    edit_wrapper,
    flips,
    payload_for,
    person,
    with_ciphertext,
)
from tests.attacks.support_4 import converse, current, edit_message, seal
from tests.support import protobuf
from tests.support.devices import BackendSimulator
from tests.support.kept import keep_sent
from tests.support.sender_keys import signed_message
from tests.support.witness import Keychain

__all__ = [
    "PASSPHRASE",
    "PLAINTEXT",
    "STORE_KEY",
    "Secrets",
    "failures",
    "know",
    "reachable",
    "scene",
    "watch_keys",
]

PLAINTEXT = "the treasure lies under the third palm"
PASSPHRASE = "korrekt Pferd Batterie Heftklammer"
STORE_KEY = bytes(range(100, 132))
GROUP = SenderKeyGroup.uuid(bytes(range(16)))


class Secrets:
    """Everything that must not be seen, in every form in which it could be."""

    def __init__(self) -> None:
        """Begin with the plaintext, the passphrase and the store's key."""
        self.raw: set[bytes] = {PLAINTEXT.encode(), PASSPHRASE.encode(), STORE_KEY}

    def take_store(self, rows: tuple[tuple[str, bytes, bytes, bytes], ...]) -> None:
        """Every private or symmetric key in these records."""
        for table, _, row, record in rows:
            if table == Table.KYBER_PREKEYS:
                seed = KyberPrekeyRecord.decode(record).seed
                self.raw |= {seed, seed[32:]}
            elif table == Table.ACCOUNTS:
                continue  # lists of devices, which the back end hands out to everybody
            elif table == Table.SPQR and row.startswith((b"chunks", b"kyber")):
                continue  # they travel in headers that everybody on the way can read
            elif table == Table.OUTBOX:
                # An envelope is public, and parts of its ciphertext can be taken for fields.
                rest = [item for item in protobuf.fields(record[1:]) if item[0] != 1]
                self.raw |= set(protobuf.byte_fields(protobuf.message(rest)))
            # A publication is public, and parts of KEM keys in it can be taken for fields.
            elif (table, row) != (Table.DEVICE, PUBLICATION_ROW):
                self.raw |= set(protobuf.byte_fields(record))

    def found_in(self, text: str) -> list[str]:
        """Which of them a text shows."""
        if text == "":
            return []
        return [form for secret in self.raw for form in forms(secret) if form in text]

    def assert_not_in(self, text: str) -> None:
        """None of them may be there."""
        assert self.found_in(text) == []

    def assert_not_in_bytes(self, data: bytes) -> None:
        """The same for a file or a pickle."""
        assert [secret.hex() for secret in self.raw if secret in data] == []


@cache
def forms(secret: bytes) -> tuple[str, ...]:
    part = secret[:12]  # a part is bad enough
    return (
        repr(part)[2:-1],
        part.hex(),
        part.hex().upper(),
        part.hex(" "),
        base64.b64encode(part).decode(),
        base64.urlsafe_b64encode(part).decode(),
        str(list(part))[1:-1],
        str(int.from_bytes(secret, "little")),
        str(int.from_bytes(secret, "big")),
    )


def watch_keys(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """Begin to note every key that is derived during the test."""
    known = Secrets()

    def spy(module: types.ModuleType, name: str) -> None:
        genuine: Callable[..., object] = vars(module)[name]

        def wrapped(*args: object) -> object:
            result = genuine(*args)
            if isinstance(result, kdf.MessageKeys):
                results: tuple[object, ...] = (result.cipher_key, result.mac_key)
            elif isinstance(result, kdf.SenderMessageKeys):
                results = (result.cipher_key,)
            else:
                results = result if isinstance(result, tuple) else (result,)
            for value in (*args, *results):
                if isinstance(value, bytes) and len(value) == 32:
                    known.raw.add(value)
            return result

        monkeypatch.setattr(module, name, wrapped)

    spy(ratchet, "derive_message_keys")
    spy(message_chain, "derive_message_key")
    spy(message_chain, "derive_message_and_chain_key")
    spy(message_chain, "derive_next_chain_key")
    for name in ("derive_first_chains", "derive_link", "derive_next_link", "derive_epoch_chains"):
        spy(epoch_chains, name)
    spy(pqxdh, "derive_pqxdh_keys")
    spy(sender_key, "derive_sender_message_keys")
    derive_key = Passphrase.derive_key

    def derive(self: Passphrase, salt: bytes, work: passphrase.Argon2Work) -> bytes:
        key = derive_key(self, salt, work)
        known.raw.add(key)
        return key

    monkeypatch.setattr(Passphrase, "derive_key", derive)
    return known


def know(secrets: Secrets, *people: Person) -> None:
    for who in people:
        secrets.take_store(who.dump())
    assert len(secrets.raw) > 20


def reachable(*roots: object) -> Iterator[object]:
    """Every object of ours that can be reached from these."""
    seen: set[int] = set()
    waiting = list(roots)
    keep = []  # so that no id is given twice
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(
            value, type | types.ModuleType | types.FunctionType | enum.Enum | str | bytes | int
        ):
            continue
        seen.add(id(value))
        keep.append(value)
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, SecretTuple):
            waiting += [getattr(value, name) for name in getattr(value, "_fields", ())]
        elif isinstance(value, list | tuple | set | frozenset):
            waiting += value
        names = set(vars(value) if hasattr(value, "__dict__") else ())
        for cls in type(value).__mro__:
            slots = vars(cls).get("__slots__", ())
            names.update([slots] if isinstance(slots, str) else slots)
        waiting += [getattr(value, name) for name in names if hasattr(value, name)]
        if type(value).__module__.split(".")[0] == "e2ecross":
            yield value


def scene(
    secrets: Secrets, tmp_path: Path | None = None, *, kyber: bool = False
) -> tuple[Person, Person, list[object]]:
    """Two people in the middle of everything, and all values that their app may come across."""
    store = None if tmp_path is None else SQLiteStore(tmp_path / "ana.db", key=STORE_KEY)
    ana, budi = person(ANA, store=store), person(BUDI)
    ana.start(budi, kyber=kyber)
    values: list[object] = [ana.device, budi.device, ana.store, budi.store, ana.published]
    first = ana.send(budi, PLAINTEXT)
    know(secrets, ana, budi)
    message = budi.device.decrypt(first)
    know(secrets, ana, budi)
    ana.read(budi.send(ana, PLAINTEXT))
    skipped = ana.send(budi, PLAINTEXT)
    budi.read(ana.send(budi, PLAINTEXT))
    know(secrets, ana, budi)
    if kyber:
        converse(ana, budi, 5)  # so that there are a header, a seed and what is encapsulated
        know(secrets, ana, budi)
    values += [first, message, skipped, budi.bundle(kyber=kyber), ana.device.safety_number(BUDI)]
    values += [ana.device.remote_identity(BUDI), Text(PLAINTEXT), Bytes(PLAINTEXT.encode())]
    values += [UnsupportedContent(9, PLAINTEXT.encode())]
    payload = Payload(ANA, BUDI, bytes(16), 1, 2, Text(PLAINTEXT))
    values += [payload, decode_payload(encode_payload(payload))]
    with budi.store.transaction() as tx:
        values.append(load_sessions(tx, ANA))
        values.append(tx)
        for _, row, data in tx.scan(Table.SESSIONS):
            values += [row, StoredSession.decode(data)]
        for _, row, data in tx.scan(Table.DEVICE):
            if row == b"":
                values.append(DeviceRecord.decode(data))
        for _, _, data in tx.scan(Table.SIGNED_PREKEYS):
            values.append(SignedPrekeyRecord.decode(data))
        for _, _, data in tx.scan(Table.KYBER_PREKEYS):
            values.append(KyberPrekeyRecord.decode(data))
        for _, row, data in tx.scan(Table.SPQR):
            if row == b"material":
                values.append(StoredSpqrMaterial.decode(data))
    values.append(InboxMessage(ANA, bytes(16), 1, 1, PLAINTEXT.encode()))
    named = {STORE_KEY, PLAINTEXT.encode(), PASSPHRASE.encode()}
    key = kdf.MessageKey(next(iter(secrets.raw - named)))
    values.append(kdf.derive_message_keys(key))
    values += [*_of_a_client(ana, budi), *_of_a_backup(ana), *_of_a_group(ana, budi)]
    know(secrets, ana, budi)
    return ana, budi, values


def _of_a_client(ana: Person, budi: Person) -> list[object]:
    """What a client has in its hands while it sends, is asked, and sends again."""
    backend = BackendSimulator()
    client = Client(ana.device, backend)
    client.register()
    context, budis = ana.device._context, budi.device._context
    request = RetryRequest(bytes(16), None, 0, "unknown_session")
    content = Text(PLAINTEXT)
    envelope = ana.send(budi, PLAINTEXT)
    values: list[object] = [client, Resent(bytes(16), 1, content), request]
    with ana.store.transaction() as tx:
        token = Token(require_device(tx).backend_token)
        values.append(Link(ana.device._context, CheckedBackend(backend), token, Leftovers()))
        values.append(Registration(token, token, True))
        keep_sent(tx, context.policy, BUDI, bytes(16), content, context.clock())
        put_envelope(tx, envelope)
        put_control(tx, BUDI, bytes(range(16)), request, fresh_session=True)
        put_resend(tx, BUDI, bytes(16))
        waiting = [item for backlog in list_backlogs(tx) for item in list_backlog(tx, backlog)]
        assert len(waiting) == 3
        values += waiting
        values.append(find_kept(tx, context.policy, BUDI, bytes(16), context.clock()))
        values += [
            OutboxRecord.decode(data)
            for partition, row, data in tx.scan(Table.OUTBOX)
            if not partition.startswith(TURNS) and len(row) == NUMBER_BYTES
        ]
        values += [
            SentRecord.decode(data)
            for partition, row, data in tx.scan(Table.SENT)
            if row.endswith(bytes(16)) and not partition.startswith(SENT_IDS)
        ]
    # Any content may stand where a request does; the class does not know which it is.
    kind, body = encode_content(content)
    values.append(OutboxRecord(b"", bytes(16), content_kind=kind, content_body=body))
    with budi.store.transaction() as tx:
        decoded = decode_ciphertext(budis, envelope)
        values.append(decrypt_envelope(budis, tx, envelope, decoded, budis.clock()))
    values.append(ana.device.session_info(BUDI))
    witnessed = Device.open(ana.store, entropy=ana.entropy, witness=Keychain())
    return [*values, witnessed]


def _of_a_group(ana: Person, budi: Person) -> list[object]:
    """Sender keys, as they are used, given and kept; one message was skipped."""
    data = ana.device.new_sender_key_raw(GROUP)
    budi.device.process_distribution_raw(ANA, GROUP, data)
    ana.device.encrypt_group_raw(GROUP, PLAINTEXT.encode())
    budi.device.decrypt_group_raw(ANA, GROUP, ana.device.encrypt_group_raw(GROUP, b""))
    late = ana.device.encrypt_group_raw(GROUP, PLAINTEXT.encode())
    message = decode_sender_key_message(GROUP.form, late)
    with ana.store.transaction() as tx:
        own = find_own_sender_key(tx, GROUP.place)
    with budi.store.transaction() as tx:
        held = find_sender_key(tx, ANA, GROUP.place, message)
    assert own is not None
    assert held is not None
    after, _ = sender_key.group_decrypt(held.state, message)
    seed = kdf.derive_message_key(kdf.ChainKey(bytes(32)))
    return [
        *(GROUP, message, own, held, after, decode_distribution(GROUP.form, data)),
        *(own_sender_key_to_record(own), sender_key_to_record(after, 1)),
        kdf.derive_sender_message_keys(seed),
    ]


def _of_a_backup(ana: Person) -> list[object]:
    opener = Passphrase(PASSPHRASE, PassphraseCost.INTERACTIVE)
    token = bytes(range(200, 232))
    content = BackupContent(ANA, ana.device._context.identity_key_pair.private, token)
    backup = seal_backup(content, opener, ana.entropy)
    return [opener, content, backup, IdentityBackup.decode(backup), open_backup(backup, PASSPHRASE)]


def failures(ana: Person, budi: Person, *, kyber: bool = False) -> Iterator[Callable[[], object]]:
    """Calls that fail, in every way that an attacker or a careless caller brings about."""
    attacker = Attacker()
    for _ in range(2):
        envelope = ana.send(budi, PLAINTEXT)
        for number, (_, changed) in enumerate(flips(envelope.ciphertext)):
            if number % 7 == 0:
                yield partial(budi.device.decrypt, with_ciphertext(envelope, changed))
        yield partial(budi.device.decrypt, replace(envelope, sender=TOKO))
        yield partial(budi.device.decrypt, replace(envelope, recipient=TOKO))
        yield partial(budi.device.decrypt, replace(envelope, message_id=bytes(16)))
        budi.read(envelope)
        yield partial(budi.device.decrypt, envelope)
    session = attacker.session(budi.bundle(kyber=kyber))
    payload = payload_for(ANA, BUDI, Text(PLAINTEXT))
    plain = encode_payload(payload)
    for bad in (
        PLAINTEXT.encode(),
        plain.rstrip(b"\0"),
        plain.replace(b"ana", b"eve"),
        plain.replace(b"ana", b"\xff\xfe\xfd"),
        plain.replace(PLAINTEXT.encode(), b"\xff" + PLAINTEXT.encode()[1:]),
        b"\x10" + plain[1:],
    ):
        yield partial(budi.device.decrypt, attacker.seal_bytes(session, payload, bad))
    first = attacker.seal(session, payload)
    yield lambda: budi.device.decrypt(edit_wrapper(first, pre_key_id=1))
    yield lambda: budi.device.decrypt(edit_wrapper(first, kyber_pre_key_id=10_000))
    if kyber:
        yield from _of_the_post_quantum_ratchet(ana, budi)
    yield lambda: budi.device.start_session(attacker.bundle(ANA, kyber=kyber))
    yield lambda: Text(PLAINTEXT + "\ud800")
    yield lambda: Text(PLAINTEXT * 10_000)
    yield lambda: Bytes(PLAINTEXT.encode() * 10_000)
    yield lambda: Bytes(PLAINTEXT)  # type: ignore[arg-type]
    yield lambda: UnsupportedContent(1, PLAINTEXT.encode())
    yield lambda: ana.device.encrypt(BUDI, PLAINTEXT)  # type: ignore[arg-type]
    yield lambda: ana.device.encrypt(PLAINTEXT, Text(PLAINTEXT))  # type: ignore[arg-type]
    yield lambda: ana.device.encrypt(TOKO, Text(PLAINTEXT))
    yield lambda: ana.device.encrypt_raw(TOKO, PLAINTEXT.encode())
    yield lambda: ana.device.encrypt_raw(BUDI, PLAINTEXT.encode() * 10_000)
    yield lambda: ana.device.encrypt(BUDI, Text(PLAINTEXT), message_id=PLAINTEXT.encode())
    yield lambda: Address("whatsapp", PLAINTEXT)
    yield lambda: Envelope.decode(PLAINTEXT.encode())
    yield lambda: SQLiteStore("x.db", key=STORE_KEY[:31])
    yield lambda: Device.create(ANA, ana.store)
    yield from _in_a_group(ana, budi)
    yield from _backups(ana)
    yield from _witnesses(ana, budi)
    yield from _damaged_records(budi)


def _in_a_group(ana: Person, budi: Person) -> Iterator[Callable[[], object]]:
    """Messages and keys of a member who may sign, and that somebody has changed."""
    data = ana.device.new_sender_key_raw(GROUP)
    yield partial(budi.device.process_distribution_raw, ANA, GROUP, data[:-32] + bytes(32))
    yield partial(budi.device.process_distribution_raw, ANA, GROUP, data[:-1])
    yield partial(budi.device.process_distribution_raw, ANA, SenderKeyGroup.key_id(b"x"), data)
    yield partial(budi.device.process_distribution_raw, ANA, SenderKeyGroup.uuid(bytes(16)), data)
    budi.device.process_distribution_raw(ANA, GROUP, data)
    message = ana.device.encrypt_group_raw(GROUP, PLAINTEXT.encode())
    for number, (_, changed) in enumerate(flips(message)):
        if number % 7 == 0:
            yield partial(budi.device.decrypt_group_raw, ANA, GROUP, changed)
    yield partial(budi.device.decrypt_group_raw, TOKO, GROUP, message)
    budi.device.decrypt_group_raw(ANA, GROUP, message)
    yield partial(budi.device.decrypt_group_raw, ANA, GROUP, message)
    with ana.store.transaction() as tx:
        own = find_own_sender_key(tx, GROUP.place)
    assert own is not None
    pair = own.chain.ratchet_key_pair
    for iteration in (0, 1, 300, 25_002, 2**32 - 1):
        bad = signed_message(pair, GROUP, own.chain_id, iteration, bytes(16))
        yield partial(budi.device.decrypt_group_raw, ANA, GROUP, bad)
    yield lambda: ana.device.encrypt_group_raw(SenderKeyGroup.key_id(b"x"), b"")
    yield lambda: ana.device.distribution_raw(SenderKeyGroup.key_id(b"x"))


def _of_the_post_quantum_ratchet(ana: Person, budi: Person) -> Iterator[Callable[[], object]]:
    """Refused because of it: its numbers, what it lacks, and what a thief of the state writes."""
    for edits in (
        {"pq_ratchet": None},
        {"pq_ratchet": b"\1\1\0\0"},
        {"pq_ratchet": b"\1\1\x80\x10\0"},
        {"pq_ratchet": b"\1\5\1\0"},
        {"addresses": bytes(36)},
    ):
        yield partial(budi.device.decrypt, edit_message(ana.send(budi, PLAINTEXT), **edits))
    yield partial(budi.device.start_session, replace(ana.bundle(kyber=True), kyber_prekey=b"\x08"))
    yield partial(ana.device.start_session, budi.bundle())
    stolen = current(ana, budi)
    plain = encode_payload(payload_for(ANA, BUDI, Text(PLAINTEXT)))
    data, _ = seal(stolen, plain, lambda m: m._replace(kind=SpqrKind.HDR, chunk=bytes(32)))
    forged = Envelope(bytes(16), ANA, BUDI, MessageKind.SIGNAL, data)
    # Three chunks of a forged header: the last one completes it.
    yield lambda: [budi.device.decrypt(forged) for _ in range(2)]
    for index in range(70_000, 70_004):
        change = partial(_with_chunk, index=index % 65_536)
        data, _ = seal(stolen, plain, change)
        yield partial(budi.device.decrypt, replace(forged, ciphertext=data))


def _with_chunk(message: SpqrMessage, *, index: int) -> SpqrMessage:
    return message._replace(kind=SpqrKind.HDR, chunk_index=index, chunk=bytes(32))


def _backups(ana: Person) -> Iterator[Callable[[], object]]:
    """Exports and imports that go wrong, by mistake and by malice."""
    export, cost = ana.device.export_identity, PassphraseCost.INTERACTIVE
    for bad in (
        [PASSPHRASE],
        bytearray(PASSPHRASE.encode()),
        "",
        PASSPHRASE * 99,
        PASSPHRASE + "\ud800",
    ):
        yield partial(export, bad, cost=cost)  # type: ignore[arg-type]
    yield partial(export, "interactive", cost=PASSPHRASE)  # mixed up
    backup = export(PASSPHRASE, cost=cost)

    def restore(data: bytes, passphrase: object = PASSPHRASE, store: object = None) -> Device:
        store = MemoryStore() if store is None else store
        return Device.import_identity(data, passphrase, store)  # type: ignore[arg-type]

    yield partial(restore, backup, PASSPHRASE[::-1])
    yield partial(restore, backup, [PASSPHRASE])
    yield partial(restore, PASSPHRASE.encode(), backup)
    yield partial(restore, PASSPHRASE)  # type: ignore[arg-type]
    yield partial(restore, backup, store=ana.store)
    yield partial(restore, backup, store=PASSPHRASE)
    yield partial(restore, backup[:-1] + bytes((backup[-1] ^ 1,)))
    for at in range(0, len(backup), 9):  # most of it is refused before it costs anything
        yield partial(restore, backup[:at])
    yield partial(restore, b"\x08\x02" + backup[2:])
    yield partial(restore, backup.replace(b"\x10\x02", b"\x10\x01", 1))
    # Made with the passphrase, by somebody else's program.
    key = ana.device._context.identity_key_pair.private
    for content in (BackupContent(ANA, key[:31], key), BackupContent(ANA, key, key[:31])):
        yield partial(restore, seal_backup(content, Passphrase(PASSPHRASE, cost), ana.entropy))


def _witnesses(ana: Person, budi: Person) -> Iterator[Callable[[], object]]:
    """A witness that fails, before and after a commit, and one that knows more than the store."""
    keychain = Keychain()
    given = {"clock": ana.clock, "entropy": ana.entropy, "witness": keychain}
    device = Device.open(ana.store, **given)  # type: ignore[arg-type]
    bundle = budi.bundle()

    def failing(action: Callable[[], object]) -> Callable[[], object]:
        def act() -> None:
            keychain.error = OSError("the keychain is locked")
            try:
                action()
            finally:
                keychain.error = None

        return act

    yield failing(lambda: Device.open(ana.store, **given))  # type: ignore[arg-type]
    yield failing(lambda: device.encrypt(BUDI, Text(PLAINTEXT)))
    yield failing(lambda: device.encrypt_raw(BUDI, PLAINTEXT.encode()))
    yield failing(lambda: device.start_session(bundle))
    yield failing(lambda: device.publish(1))
    keychain.number = 2**62
    yield lambda: Device.open(ana.store, **given)  # type: ignore[arg-type]


def _damaged_records(budi: Person) -> Iterator[Callable[[], object]]:
    """The same store with one record cut, or with one byte changed."""
    rows = budi.dump()
    for index, (table, partition, row, record) in enumerate(rows):
        damages = [record[:-1], record[:1] + b"\xff" + record[2:], b"\x02" + record[1:], b""]
        for damaged in (*damages, *_with_short_fields(record)):
            store = MemoryStore()
            with store.transaction() as tx:
                for other, (name, *place) in enumerate(rows):
                    if other != index:
                        tx.put(Table(name), *place)
                tx.put(Table(table), partition, row, damaged)

            def use(store: MemoryStore = store) -> None:
                device = Device.open(store, clock=budi.clock, entropy=budi.entropy)
                device.publish(0)
                device.encrypt(ANA, Text(PLAINTEXT))
                with store.transaction() as tx:
                    load_sessions(tx, ANA)

            yield use


def _with_short_fields(record: bytes) -> Iterator[bytes]:
    """The record, well-formed, with each of its fields of bytes shorter by one."""
    fields = protobuf.fields(record[1:]) if record != b"\x01" else []
    for place, (number, value) in enumerate(fields):
        if isinstance(value, bytes) and value:
            changed = [*fields[:place], (number, value[:-1]), *fields[place + 1 :]]
            yield record[:1] + protobuf.message(changed)

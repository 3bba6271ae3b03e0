# SPDX-License-Identifier: Apache-2.0
"""No key and no plaintext appears in an error, a repr, a log line, or a pickle.

The attacker: reads crash reports, log files and debugger output of the app.
"""

import base64
import copy
import dataclasses
import enum
import importlib
import logging
import pickle
import pkgutil
import traceback
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import e2ecross
from e2ecross import Address, Bytes, Client, Device, Envelope, Text, UnsupportedContent
from e2ecross.client.session_store import load_sessions
from e2ecross.crypto import kdf
from e2ecross.crypto.secret import Secret
from e2ecross.errors import E2ECrossError
from e2ecross.protocol import message_chain, ratchet
from e2ecross.relay import Relay
from e2ecross.stores import MemoryStore, SQLiteStore, Table
from e2ecross.wire.content import Payload, decode_payload, encode_payload
from e2ecross.wire.queue_records import InboxRecord, SentRecord
from e2ecross.wire.records import DeviceRecord, SignedPrekeyRecord
from e2ecross.wire.session_records import StoredSession
from tests.attacks.support import (
    ANA,
    BUDI,
    TOKO,
    Attacker,
    Person,
    dump,
    edit_wrapper,
    flips,
    meet,
    payload_for,
    person,
    with_ciphertext,
)
from tests.support import protobuf

PLAINTEXT = "the treasure lies under the third palm"
STORE_KEY = bytes(range(100, 132))


class Secrets:
    """Everything that must not be seen, in every form in which it could be."""

    def __init__(self) -> None:
        """Begin with the plaintext and the store's key."""
        self.raw: set[bytes] = {PLAINTEXT.encode(), STORE_KEY}

    def take_store(self, rows: tuple[tuple[str, bytes, bytes, bytes], ...]) -> None:
        """Every private or symmetric key in these records."""
        for *_, record in rows:
            self.raw |= set(_fields_of_32(record[1:]))

    def found_in(self, text: str) -> list[str]:
        """Which of them a text shows."""
        if text == "":
            return []
        return [form for secret in self.raw for form in _forms(secret) if form in text]

    def assert_not_in(self, text: str) -> None:
        """None of them may be there."""
        assert self.found_in(text) == []

    def assert_not_in_bytes(self, data: bytes) -> None:
        """The same for a file or a pickle."""
        assert [secret.hex() for secret in self.raw if secret in data] == []


def _fields_of_32(data: bytes) -> Iterator[bytes]:
    try:
        fields = protobuf.fields(data)
    except IndexError:
        return
    for _, value in fields:
        if isinstance(value, bytes):
            if len(value) == 32:
                yield value
            else:
                yield from _fields_of_32(value)


def _forms(secret: bytes) -> tuple[str, ...]:
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


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """Knows every key that is derived during the test."""
    known = Secrets()

    def spy(module: types.ModuleType, name: str) -> None:
        genuine: Callable[..., object] = vars(module)[name]

        def wrapped(*args: object) -> object:
            result = genuine(*args)
            for value in (*args, *(result if isinstance(result, tuple) else (result,))):
                if isinstance(value, bytes) and len(value) == 32:
                    known.raw.add(value)
            return result

        monkeypatch.setattr(module, name, wrapped)

    spy(ratchet, "derive_message_keys")
    spy(message_chain, "derive_message_key")
    spy(message_chain, "derive_next_chain_key")
    return known


def _know(secrets: Secrets, *people: Person) -> None:
    for who in people:
        secrets.take_store(who.dump())
    assert len(secrets.raw) > 20


def _reachable(*roots: object) -> Iterator[object]:
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
        elif isinstance(value, list | tuple | set | frozenset):
            waiting += value
        names = set(vars(value) if hasattr(value, "__dict__") else ())
        for cls in type(value).__mro__:
            slots = vars(cls).get("__slots__", ())
            names.update([slots] if isinstance(slots, str) else slots)
        waiting += [getattr(value, name) for name in names if hasattr(value, name)]
        if type(value).__module__.split(".")[0] == "e2ecross":
            yield value


def _scene(secrets: Secrets, tmp_path: Path | None = None) -> tuple[Person, Person, list[object]]:
    """Two people in the middle of everything, and all values that their app may come across."""
    store = None if tmp_path is None else SQLiteStore(tmp_path / "ana.db", key=STORE_KEY)
    ana, budi = person(ANA, store=store), person(BUDI)
    ana.start(budi)
    values: list[object] = [ana.device, budi.device, ana.store, budi.store, ana.published]
    first = ana.send(budi, PLAINTEXT)
    _know(secrets, ana, budi)
    message = budi.device.decrypt(first)
    _know(secrets, ana, budi)
    ana.read(budi.send(ana, PLAINTEXT))
    skipped = ana.send(budi, PLAINTEXT)
    budi.read(ana.send(budi, PLAINTEXT))
    _know(secrets, ana, budi)
    values += [first, message, skipped, budi.bundle(), ana.device.safety_number(BUDI)]
    values += [ana.device.remote_identity(BUDI), Text(PLAINTEXT), Bytes(PLAINTEXT.encode())]
    values += [UnsupportedContent(7, PLAINTEXT.encode())]
    payload = Payload(ANA, BUDI, bytes(16), 1, 2, Text(PLAINTEXT))
    values += [payload, decode_payload(encode_payload(payload))]
    with budi.store.transaction() as tx:
        values.append(load_sessions(tx, ANA))
        values.append(tx)
        for _, row, data in tx.scan(Table.SESSIONS):
            values += [row, StoredSession.decode(data)]
        for _, _, data in tx.scan(Table.DEVICE):
            values.append(DeviceRecord.decode(data))
        for _, _, data in tx.scan(Table.SIGNED_PREKEYS):
            values.append(SignedPrekeyRecord.decode(data))
    values.append(InboxRecord(ANA, bytes(16), 1, 2, 1, PLAINTEXT.encode()))
    values.append(SentRecord(b"", 1, 1, PLAINTEXT.encode()))
    key = kdf.MessageKey(next(iter(secrets.raw - {STORE_KEY, PLAINTEXT.encode()})))
    values.append(kdf.derive_message_keys(key))
    return ana, budi, values


def test_the_search_finds_what_is_there(secrets: Secrets) -> None:
    """Every form of a secret that a careless repr could have is recognised."""
    ana, *_ = _scene(secrets)
    secret = next(iter(secrets.raw))
    for text in (f"{secret!r}", secret.hex(), f"{list(secret)}", base64.b64encode(secret).decode()):
        assert secrets.found_in(f"<Session root_key={text}>")
    assert secrets.found_in(repr(ana.dump()))


@pytest.mark.parametrize("sealed", [False, True], ids=["memory", "sealed file"])
def test_reprs(secrets: Secrets, sealed: bool, tmp_path: Path) -> None:
    ana, budi, values = _scene(secrets, tmp_path if sealed else None)
    kinds = set()
    for value in _reachable(values):
        kinds.add(type(value).__name__)
        for text in (repr(value), str(value), f"{value}", f"{value!s:>5}"):
            secrets.assert_not_in(text)
    assert kinds >= {
        "Context",
        "Device",
        "DeviceRecord",
        "Envelope",
        "InboxRecord",
        "SentRecord",
        "KeyPair",
        "Message",
        "MessageKeys",
        "Payload",
        "RatchetState",
        "ReceivingChain",
        "SendingChain",
        "Session",
        "SessionRecord",
        "SignedPrekeyRecord",
        "SkippedKeys",
        "StoredChain",
        "StoredSession",
        "Text",
    }
    ana.store.close()
    budi.store.close()


def test_every_record_class_that_can_hold_a_secret_hides_it() -> None:
    """New classes are found by their fields: whoever adds one has to decide."""
    suspicious = (
        "private",
        "root_key",
        "chain_key",
        "message_key",
        "plaintext",
        "token",
        "mac_key",
    )
    found = set()
    for info in pkgutil.walk_packages(e2ecross.__path__, "e2ecross."):
        if info.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(info.name)).values():
            if isinstance(value, type) and dataclasses.is_dataclass(value):
                names = [field.name for field in dataclasses.fields(value)]
                if any(word in name for name in names for word in suspicious):
                    found.add(value)
    assert len(found) >= 7
    assert [cls for cls in found if not issubclass(cls, Secret)] == []


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_and_copies_of_secret_values(secrets: Secrets, protocol: int) -> None:
    _, _, values = _scene(secrets)
    refused = 0
    for value in _reachable(values):
        if isinstance(value, Secret):
            for take in (copy.copy, copy.deepcopy, lambda v: pickle.dumps(v, protocol)):
                with pytest.raises(TypeError, match="secret"):
                    take(value)
            refused += 1
    assert refused > 15


def _picklable_secrets(secrets: Secrets, values: list[object]) -> set[str]:
    """Names of classes whose pickle shows a key; content is the app's own business."""
    keys = secrets.raw - {PLAINTEXT.encode()}
    shown = set()
    for value in _reachable(values):
        try:
            data = pickle.dumps(value)
        except Exception:  # noqa: S112 - refused, in whatever way
            continue
        if any(key in data for key in keys):
            shown.add(type(value).__name__)
    return shown


def test_no_pickle_of_anything_reachable_holds_a_key(secrets: Secrets) -> None:
    _, _, values = _scene(secrets)
    assert _picklable_secrets(secrets, values) == set()


# --- Errors ---------------------------------------------------------------------------------


def _failures(ana: Person, budi: Person) -> Iterator[Callable[[], object]]:
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
    session = attacker.session(budi.bundle())
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
    yield lambda: budi.device.start_session(attacker.bundle(ANA))
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
    yield from _damaged_records(budi)


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


def _chain(error: BaseException, *, suppressed: bool) -> Iterator[BaseException]:
    """The error, and all that it came from; with `suppressed` also what `from None` hides."""
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        if current is not None:
            yield current
            waiting.append(current.__cause__)
            if suppressed or not current.__suppress_context__:
                waiting.append(current.__context__)


def _texts(error: BaseException, *, suppressed: bool) -> Iterator[str]:
    yield "".join(traceback.format_exception(error))
    for link in _chain(error, suppressed=suppressed):
        yield from (str(link), repr(link), repr(link.args), repr(vars(link)))


def test_errors(secrets: Secrets, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    codes: set[str] = set()
    texts: set[str] = set()
    for fail in _failures(ana, budi):
        try:
            fail()
        except E2ECrossError as error:
            codes.add(error.code)
            texts.update(_texts(error, suppressed=False))
    assert codes >= {
        "authentication_failed",
        "decode_error",
        "duplicate_message",
        "envelope_mismatch",
        "invalid_argument",
        "no_session",
        "record_corrupted",
        "store_too_new",
        "unknown_prekey",
        "untrusted_identity",
    }
    _know(secrets, ana, budi)
    secrets.assert_not_in("\n".join(texts) + caplog.text)


def test_what_an_error_suppresses(secrets: Secrets) -> None:
    """`from None` hides a cause from tracebacks, not from a crash reporter that walks the chain."""
    with pytest.raises(E2ECrossError) as caught:
        Text(PLAINTEXT + "\ud800")
    secrets.assert_not_in("\n".join(_texts(caught.value, suppressed=True)))


def test_errors_of_the_sealed_store(secrets: Secrets, tmp_path: Path) -> None:
    ana, budi, _ = _scene(secrets, tmp_path)
    ana.store.close()
    budi.store.close()
    for key in (None, bytes(32), STORE_KEY[::-1]):
        with pytest.raises(E2ECrossError) as caught:
            SQLiteStore(tmp_path / "ana.db", key=key)
        secrets.assert_not_in("".join(traceback.format_exception(caught.value)))


def test_logs_of_everything_that_goes_well(
    secrets: Secrets, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """With every logger of the process at DEBUG, a client with its back end says nothing secret."""
    caplog.set_level(logging.DEBUG)
    ana, budi = person(ANA), person(BUDI)
    relay = Relay(str(tmp_path / "relay.db"))
    clients = Client(ana.device, relay), Client(budi.device, relay)
    for client in clients:
        client.register()
    tokens = []
    for number in range(4):
        sender, reader = (clients, clients[::-1])[number % 2]
        recipient = reader.device.address
        sender.send(recipient, Text(PLAINTEXT))
        items = reader.receive()
        assert [getattr(item, "content", None) for item in items] == [Text(PLAINTEXT)]
        tokens.append(repr(items))
        reader.confirm(items)
        _know(secrets, ana, budi)
    for text in (caplog.text, *tokens, repr(clients), repr(relay)):
        secrets.assert_not_in(text)
    for record in caplog.records:
        assert not record.name.startswith("e2ecross")
    relay_files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    secrets.assert_not_in_bytes(relay_files)
    assert len(dump(ana.store)) > 10
    relay.close()

# SPDX-License-Identifier: Apache-2.0
"""An error of every day leaves no token, key or passphrase in the local variables of our frames.

The attacker: reads what the app's crash reporter collects when a passphrase was mistyped, a back
end is down or a disk is full. Those keep the local variables of every frame of the error, and of
the errors that it came from. Frames of the caller, who has these secrets anyway, are not ours.
"""

import inspect
import sqlite3
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import e2ecross
from e2ecross import Attachment, Client, Device, DeviceLink, MessageKind, Pairing, Text
from e2ecross.arguments import forget_locals, forgets_secrets
from e2ecross.client.backend import Backend
from e2ecross.client.uploads import Source
from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from e2ecross.errors import (
    AttachmentCorrupted,
    BackendError,
    BackendRefused,
    E2ECrossError,
    InvalidArgument,
    LinkFailed,
    NotRegistered,
    StoreBusy,
    StoreClosed,
    StoreCorrupted,
    StoreError,
    StoreTooNew,
    WrongBackupKey,
    WrongStoreKey,
)
from e2ecross.protocol import pqxdh, x3dh
from e2ecross.protocol.agreements import initiator_agreements
from e2ecross.protocol.linking import CompanionAnswered
from e2ecross.relay import FolderBlobs, Relay
from e2ecross.state.context import require_device
from e2ecross.stores import MemoryStore, SQLiteStore, Store, Table
from e2ecross.stores.sqlite_reading import read_store_file
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.exchange import KeysWanted
from e2ecross.wire.linking import LinkCode
from tests.attacks.hunt import PASSPHRASE, STORE_KEY, Secrets, know, watch_keys
from tests.attacks.support import ANA, BUDI, TOKO, FakeClock, dump, meet, person
from tests.relay.support import device_list
from tests.support.devices import BackendSimulator
from tests.support.devices import FakeClock as LinkClock
from tests.support.pairing import LinkScene
from tests.support.watched_blobs import WatchedBlobs

PACKAGE = str(Path(e2ecross.__file__).parent)
TOKEN = bytes(range(33, 65))
WRONG_KEY = bytes(range(200, 232))
WRONG_PASSPHRASE = "falsch Pferd Batterie Heftklammer"
CHEAP = "interactive"


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """Knows every key that is derived during the test, and what is handed in below."""
    known = watch_keys(monkeypatch)
    known.raw |= {TOKEN, WRONG_KEY, WRONG_PASSPHRASE.encode()}
    return known


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it came from, also where `from None` hides that."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and not any(one is other for other in seen):
            seen.append(one)
            yield one
            waiting += [one.__cause__, one.__context__]


def _texts(value: object, depth: int = 3) -> Iterator[str]:
    """What a crash reporter sends of a value: its `repr`, and those of what containers hold."""
    yield repr(value)
    if depth and isinstance(value, Mapping):
        for pair in value.items():
            yield from _texts(pair, depth - 1)
    elif depth and type(value) in (list, tuple, set, frozenset):
        for item in value:  # type: ignore[attr-defined]
            yield from _texts(item, depth - 1)


def shown(secrets: Secrets, error: BaseException) -> set[str]:
    """Which local variables of which of our functions show a secret."""
    found = set()
    for one in _chain(error):
        for frame, line in traceback.walk_tb(one.__traceback__):
            if frame.f_code.co_filename.startswith(PACKAGE):
                for name, value in frame.f_locals.items():
                    if secrets.found_in("\n".join(_texts(value))):
                        found.add(f"{name} in {frame.f_code.co_name}, line {line}")
    return found


def assert_tells(
    secrets: Secrets, call: Callable[[], object], *expected: type[BaseException]
) -> BaseException:
    """It fails so, through frames of ours, and none of them shows a secret."""
    with pytest.raises(expected) as caught:
        call()
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert len(names) > 2
    assert shown(secrets, caught.value) == set()
    return caught.value


def _error_of(
    call: Callable[[], object], kind: type[Exception] = E2ECrossError
) -> Exception | None:
    try:
        call()
    except kind as error:
        return error
    return None


def test_the_search_finds_what_is_there(secrets: Secrets) -> None:
    with pytest.raises(E2ECrossError) as caught:
        inspect.unwrap(Relay.register)(None, ANA, [TOKEN])
    places = {place.partition(",")[0] for place in shown(secrets, caught.value)}
    assert places == {"token in register", "value in require_bytes"}
    forget_locals(caught.value)
    assert shown(secrets, caught.value) == set()


def test_a_store_that_does_not_open(secrets: Secrets, tmp_path: Path) -> None:
    by_key, by_passphrase = str(tmp_path / "key.db"), str(tmp_path / "passphrase.db")
    plain, later = str(tmp_path / "plain.db"), tmp_path / "later.db"
    SQLiteStore(by_key, key=STORE_KEY).close()
    SQLiteStore(by_passphrase, passphrase=PASSPHRASE, passphrase_cost=CHEAP).close()
    SQLiteStore(plain).close()
    SQLiteStore(later, key=STORE_KEY).close()
    connection = sqlite3.connect(later)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    (tmp_path / "noise.db").write_bytes(bytes(range(256)) * 64)
    wrong: list[tuple[object, dict[str, Any], type[BaseException]]] = [
        (by_key, {"key": WRONG_KEY}, WrongStoreKey),
        (by_key, {"passphrase": WRONG_PASSPHRASE}, WrongStoreKey),
        (by_passphrase, {"passphrase": WRONG_PASSPHRASE}, WrongStoreKey),
        (by_passphrase, {"key": WRONG_KEY}, WrongStoreKey),
        (plain, {"key": STORE_KEY}, WrongStoreKey),
        (plain, {"passphrase": PASSPHRASE}, WrongStoreKey),
        (later, {"key": STORE_KEY}, StoreTooNew),
        (tmp_path / "noise.db", {"key": STORE_KEY}, StoreCorrupted),
        (tmp_path, {"key": STORE_KEY}, StoreError),
        (tmp_path / "no" / "folder.db", {"key": STORE_KEY}, StoreError),
        ("", {"key": STORE_KEY}, InvalidArgument),
        (by_key, {"key": STORE_KEY[:31]}, InvalidArgument),
        (by_key, {"key": STORE_KEY.hex()}, InvalidArgument),
        (by_key, {"key": [STORE_KEY]}, InvalidArgument),
        (by_key, {"key": STORE_KEY, "passphrase": PASSPHRASE}, InvalidArgument),
        (by_key, {"key": STORE_KEY, "busy_timeout_ms": -1}, InvalidArgument),
        (by_key, {"key": STORE_KEY, "cached_values": -1}, InvalidArgument),
        (by_passphrase, {"passphrase": PASSPHRASE * 99}, InvalidArgument),
        (by_passphrase, {"passphrase": PASSPHRASE + "\ud800"}, InvalidArgument),
        (by_passphrase, {"passphrase": [PASSPHRASE]}, InvalidArgument),
        (by_passphrase, {"passphrase": "x", "passphrase_cost": PASSPHRASE}, InvalidArgument),
    ]
    for path, options, error in wrong:
        assert_tells(secrets, partial(SQLiteStore, path, **options), error)  # type: ignore[arg-type]


def test_a_look_into_a_file_that_does_not_open(secrets: Secrets, tmp_path: Path) -> None:
    by_key, plain = str(tmp_path / "key.db"), str(tmp_path / "plain.db")
    SQLiteStore(by_key, key=STORE_KEY).close()
    SQLiteStore(plain).close()
    (tmp_path / "noise.db").write_bytes(bytes(range(256)) * 64)

    def look(path: object, options: dict[str, Any]) -> None:
        with read_store_file(path, **options):  # type: ignore[arg-type]
            raise AssertionError

    wrong: list[tuple[object, dict[str, Any], type[BaseException]]] = [
        (by_key, {"key": WRONG_KEY}, WrongStoreKey),
        (by_key, {"passphrase": WRONG_PASSPHRASE}, WrongStoreKey),
        (plain, {"key": STORE_KEY}, WrongStoreKey),
        (tmp_path / "noise.db", {"key": STORE_KEY}, StoreCorrupted),
        (tmp_path / "none.db", {"passphrase": PASSPHRASE}, StoreError),
        ("", {"key": STORE_KEY}, InvalidArgument),
        (by_key, {"key": STORE_KEY[:31]}, InvalidArgument),
        (by_key, {"key": [STORE_KEY]}, InvalidArgument),
        (by_key, {"key": STORE_KEY, "passphrase": PASSPHRASE}, InvalidArgument),
        (by_key, {"passphrase": PASSPHRASE * 99}, InvalidArgument),
    ]
    for path, options, error in wrong:
        assert_tells(secrets, partial(look, path, options), error)


def test_linking_that_fails(secrets: Secrets) -> None:
    """The code, the digits, and what both ends have drawn: at a back end that is down, or lies."""
    backend = BackendSimulator()
    scene = LinkScene(backend, LinkClock())

    def learn() -> tuple[DeviceLink, Pairing]:
        link = scene.new_link()
        code = link.code
        pairing = scene.phone.link_device(code)
        secrets.raw |= {code.encode(), LinkCode.from_text(code).secret}
        link.poll()
        pairing.poll()
        answered = link._attempt.found
        assert isinstance(answered, CompanionAnswered)
        secrets.raw |= {answered.digits, answered.device.token, answered.device.key_pair.private}
        keys = answered.sealing.keys
        secrets.raw |= {keys.offer, keys.answer, keys.result, keys.digits}
        return link, pairing

    link, pairing = learn()
    code, digits = scene.new_link().code, pairing.digits
    secrets.raw |= {code.encode(), LinkCode.from_text(code).secret}
    scene.clock.advance(300_001)
    assert_tells(secrets, lambda: link.enter_digits(digits), LinkFailed)
    assert_tells(secrets, pairing.confirm, LinkFailed)
    backend.fail("epochs")
    another = Client(scene.phone.device, backend)
    assert_tells(secrets, lambda: another.link_device(code), BackendError)
    assert_tells(secrets, lambda: scene.phone.link_device(code[:-1]), E2ECrossError)
    stranger = Client(Device.create(BUDI, MemoryStore()), backend)
    stranger.register()
    assert_tells(secrets, lambda: stranger.link_device(code), LinkFailed)
    link, pairing = learn()
    digits = pairing.digits
    backend.fail("publish_devices")
    assert_tells(secrets, pairing.confirm, BackendError)
    pairing.confirm()
    link.enter_digits(digits)
    backend.fail("get_link")
    assert_tells(secrets, link.finish, BackendError)
    for box in backend.boxes.values():
        box[2] = b"garbage"
    assert_tells(secrets, link.poll, LinkFailed)
    assert_tells(secrets, link.finish, LinkFailed)


def test_files_that_do_not_get_where_they_should(secrets: Secrets, tmp_path: Path) -> None:
    """What is in them, what opens them, where they lie: at a blob store that is down, or lies."""
    blobs = WatchedBlobs(FolderBlobs(tmp_path / "blobs"))
    client = Client(person(ANA).device, BackendSimulator(), blobs=blobs, spool_dir=tmp_path)
    client.register()
    content = b"a photo of budi in a field of rice"
    (tmp_path / "photo").write_bytes(content * 50_000)
    upload = client.upload(tmp_path / "photo")
    attachment = upload.attachment
    token = client._way().token.value
    secrets.raw |= {content, attachment.file_key, attachment.blob_id, token}
    for name in ("begin_blob", "put_blob"):
        blobs.fail(name, BackendError("away"))
        assert_tells(secrets, upload.run, BackendError)
    blobs.answer("put_blob", -1)
    assert_tells(secrets, upload.run, BackendError)
    blobs.honest()
    upload.run()
    got, copy = tmp_path / "got", tmp_path / "copy"
    blobs.fail("get_blob", BackendError("away"), after=2)
    assert_tells(secrets, lambda: client.download(attachment, got), BackendError)
    blobs.fail("get_blob", ConnectionError("theirs"), after=1)
    assert_tells(secrets, lambda: client.open_attachment(attachment).read(), ConnectionError)
    blobs.answer("get_blob", b"garbage")
    assert_tells(secrets, lambda: client.download(attachment, got), AttachmentCorrupted)
    blobs.honest()

    def stop(*_: int) -> None:
        raise ZeroDivisionError

    assert_tells(secrets, lambda: client.download(attachment, copy, stop), ZeroDivisionError)
    assert_tells(secrets, lambda: client.download(attachment, copy / "no folder"), StoreError)
    assert_tells(secrets, lambda: Attachment.decode(attachment.encode() + b"\0"), E2ECrossError)
    blobs.fail("delete_blob", BackendError("away"))
    assert_tells(secrets, upload.cancel, BackendError)
    with _ending_early(after=1):
        assert_tells(secrets, lambda: client.upload(tmp_path / "photo"), InvalidArgument)


@contextmanager
def _ending_early(after: int) -> Iterator[None]:
    """A file that ends earlier than it should."""
    read, left = Source.read, [after]

    def short(self: Source, size: int) -> bytes:
        left[0] -= 1
        return b"" if left[0] < 0 else read(self, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Source, "read", short)
        yield


class _Dry:
    """An entropy source that fails after so many draws."""

    def __init__(self, draws: int = 0) -> None:
        self.draws = draws

    def _draw(self) -> None:
        self.draws -= 1
        if self.draws < 0:
            raise OSError("no entropy")

    def bytes(self, length: int) -> bytes:
        self._draw()
        return SYSTEM_ENTROPY.bytes(length)

    def encapsulate(self, public_key: Any) -> Any:  # noqa: ANN401
        self._draw()
        return SYSTEM_ENTROPY.encapsulate(public_key)


def test_a_store_that_is_busy_or_cannot_be_made(secrets: Secrets, tmp_path: Path) -> None:
    def locked(path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        return connection

    path, new = tmp_path / "busy.db", tmp_path / "new.db"
    store = SQLiteStore(path, key=STORE_KEY, busy_timeout_ms=1)
    with closing(locked(path)), closing(locked(new)):
        assert_tells(
            secrets, partial(SQLiteStore, new, key=STORE_KEY, busy_timeout_ms=1), StoreBusy
        )
        assert_tells(secrets, partial(store.rekey, key=WRONG_KEY), StoreBusy)
        assert_tells(secrets, partial(Device.create, ANA, store), StoreBusy)
    for draws in (0, 1):
        dry = tmp_path / f"{draws}.db"
        make = partial(SQLiteStore, dry, key=STORE_KEY, entropy=_Dry(draws))
        assert_tells(secrets, make, StoreError)
    store.close()


def test_a_key_that_cannot_be_changed(secrets: Secrets, tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "store.db", key=STORE_KEY)
    person(ANA, store=store)
    secrets.take_store(dump(store))
    for options in (
        {"key": WRONG_KEY[:31]},
        {"key": WRONG_KEY.hex()},
        {"passphrase": WRONG_PASSPHRASE * 99},
        {"key": WRONG_KEY, "passphrase": WRONG_PASSPHRASE},
        {"passphrase": WRONG_PASSPHRASE, "passphrase_cost": WRONG_PASSPHRASE},
    ):
        assert_tells(secrets, partial(store.rekey, **options), InvalidArgument)
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.execute("UPDATE signed_prekeys SET record = substr(record, 1, 40)")
    connection.commit()
    connection.close()
    assert_tells(secrets, partial(store.rekey, key=WRONG_KEY), StoreError)
    store.close()
    assert_tells(secrets, partial(store.rekey, key=WRONG_KEY), StoreClosed)


def _with_tokens() -> dict[str, Callable[..., object]]:
    """Every public method of the relay that is handed a token, as a function.

    But `holder`, which refuses none: it says whose it is.
    """
    return {
        name: method
        for name, method in inspect.getmembers(Relay, inspect.isfunction)
        if not name.startswith("_")
        and name != "holder"
        and "token" in inspect.signature(method).parameters
    }


@pytest.mark.parametrize("method", _with_tokens().values(), ids=_with_tokens())
def test_a_relay_that_refuses(
    secrets: Secrets, tmp_path: Path, method: Callable[..., object]
) -> None:
    """Of whatever it complains: the token, another argument, or that it has been closed."""
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    relay = Relay(tmp_path / "relay.db", blob_dir=tmp_path / "blobs", clock=FakeClock())
    relay.register(TOKO, TOKEN)
    relay.register(ANA, WRONG_KEY)
    given: dict[str, object] = {
        "address": ANA,
        "requester": ANA,
        "published": ana.published,
        "envelopes": [ana.send(budi, "hello").encode()],
        "copies": EnvelopeCopies(bytes(16), ANA, (BUDI,), b"into a group").encode(),
        "wanted": [KeysWanted(BUDI.user_id, None)],
        "limit": 1,
        "numbers": [1],
        "signed_list": device_list(ANA).encode(),
        "tokens": {2: bytes(32)},
        "link_id": bytes(16),
        "slot": 0,
        "blob_id": bytes(32),
        "size": 10,
        "offset": 0,
        "data": b"sealed",
    }
    names = [*inspect.signature(method).parameters][1:]
    arguments = {key: given[key] for key in names if key in given}
    tokens: tuple[object, ...] = (TOKEN, TOKEN[:31], TOKEN.hex(), [TOKEN], {"token": TOKEN})
    for token in tokens:
        call = partial(method, relay, token=token, **arguments)
        assert_tells(secrets, call, NotRegistered, BackendRefused, InvalidArgument)
    for key in arguments:
        call = partial(method, relay, token=TOKEN, **(arguments | {key: None}))
        assert_tells(secrets, call, InvalidArgument)
    relay.close()
    assert_tells(secrets, partial(method, relay, token=TOKEN, **arguments), BackendError)


class _Down:
    """A back end that works until it is told to be down."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.down: set[str] = set()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name in self.down:
            return self._fail
        return getattr(self.inner, name)

    def _fail(self, *_: object, **__: object) -> None:
        raise BackendError("out of reach")


def test_a_client_whose_back_end_is_down(secrets: Secrets, tmp_path: Path) -> None:
    relay = Relay(tmp_path / "relay.db")
    ana, budi = person(ANA), person(BUDI, one_time=0)
    Client(budi.device, relay).register()
    with ana.store.transaction() as tx:
        assert not require_device(tx).backend_token
    backend = _Down(relay)
    client = Client(ana.device, backend)
    for name in _with_tokens():
        backend.down = {name}
        fresh = Client(ana.device, backend)
        for call in (
            fresh.register,
            partial(client.send, BUDI, Text("hello")),
            fresh.receive,
            fresh.maintain,
        ):
            error = _error_of(call)
            know(secrets, ana)
            assert error is None or not shown(secrets, error)
    backend.down = set()
    client.register()
    know(secrets, ana)
    relay.close()
    for call in (client.register, Client(ana.device, relay).receive, client.maintain):
        assert_tells(secrets, call, BackendError)
    with ana.store.transaction() as tx:
        token = require_device(tx).backend_token
    assert token in secrets.raw


def test_a_device_that_is_not_made(secrets: Secrets) -> None:
    ana = person(ANA)
    know(secrets, ana)
    export: Callable[..., bytes] = ana.device.export_identity
    create: Callable[..., Device] = Device.create
    backup = export(PASSPHRASE, cost=CHEAP)

    def restore(passphrase: object, store: object, **options: object) -> Callable[[], object]:
        return partial(Device.import_identity, backup, passphrase, store, **options)  # type: ignore[arg-type]

    calls: list[tuple[Callable[[], object], type[BaseException]]] = [
        (restore(WRONG_PASSPHRASE, MemoryStore()), WrongBackupKey),
        (restore([PASSPHRASE], MemoryStore()), InvalidArgument),
        (restore(PASSPHRASE * 99, MemoryStore()), InvalidArgument),
        (restore(PASSPHRASE, None), InvalidArgument),
        (restore(PASSPHRASE, ana.store), StoreError),
        (restore(PASSPHRASE, MemoryStore(), clock=lambda: 1.5), InvalidArgument),
        (restore(PASSPHRASE, MemoryStore(), clock=None), InvalidArgument),
        (restore(PASSPHRASE, MemoryStore(), policy=PASSPHRASE), InvalidArgument),
        (partial(export, [PASSPHRASE]), InvalidArgument),
        (partial(export, "x", cost=PASSPHRASE), InvalidArgument),
        (partial(create, ANA, ana.store), StoreError),
        (partial(create, ANA, MemoryStore(), clock=lambda: 1.5), InvalidArgument),
    ]
    for draws in range(5):
        calls.append((restore(PASSPHRASE, MemoryStore(), entropy=_Dry(draws)), OSError))
        calls.append((partial(create, ANA, MemoryStore(), entropy=_Dry(draws)), OSError))
    for call, expected in calls:
        assert_tells(secrets, call, expected)


@pytest.mark.parametrize("kyber", [False, True], ids=["version 3", "version 4"])
def test_a_device_without_entropy_or_time(
    secrets: Secrets, monkeypatch: pytest.MonkeyPatch, kyber: bool
) -> None:
    """At whichever draw: what has been agreed on by then, and the keys that sign, stay hidden."""
    _note_agreements(secrets, monkeypatch)
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi, kyber=kyber)
    bundle, first = budi.bundle(kyber=kyber), ana.send(budi, "turns the ratchet")
    know(secrets, ana, budi)

    def calls(device: Device) -> tuple[Callable[[], object], ...]:
        return (
            partial(device.publish, 2),
            partial(device.start_session, bundle),
            partial(device.encrypt, BUDI, Text("hello"), message_id=bytes(16)),
            partial(device.encrypt_many, [BUDI], Text("hello")),
        )

    failed = set()
    for place in range(4):
        for draws in range(8):
            device = Device.open(_copy(ana.store), entropy=_Dry(draws))
            error = _error_of(calls(device)[place], OSError)
            assert error is None or not shown(secrets, error)
            if error is not None:
                failed.add((place, draws))
    assert {(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (3, 0)} <= failed
    device = Device.open(_copy(budi.store), entropy=_Dry())
    assert device.decrypt(first).content == Text("turns the ratchet")
    assert_tells(secrets, partial(device.encrypt, ANA, Text("hi"), message_id=bytes(16)), OSError)
    device = Device.open(_copy(ana.store), clock=lambda: -1)
    for call in calls(device):
        assert_tells(secrets, call, InvalidArgument)


def _note_agreements(secrets: Secrets, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (x3dh, pqxdh):

        def noting(*args: Any, genuine: Any = initiator_agreements) -> Any:  # noqa: ANN401
            agreements = genuine(*args)
            secrets.raw.add(agreements)
            return agreements

        monkeypatch.setattr(module, "initiator_agreements", noting)


def _copy(store: Store) -> Store:
    copy = MemoryStore()
    with copy.transaction() as tx:
        for table, *row in dump(store):
            tx.put(Table(table), *row)
    return copy


def _full(path: Path) -> None:
    """Let every write of a session fail."""
    connection = sqlite3.connect(path)
    for action in ("UPDATE", "INSERT"):
        connection.execute(
            f"CREATE TRIGGER full_{action} BEFORE {action} ON sessions "
            "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    connection.commit()
    connection.close()


def _damage(store: Store) -> None:
    with store.transaction() as tx:
        for partition, row, record in list(tx.scan(Table.SESSIONS)):
            tx.put(Table.SESSIONS, partition, row, record[:-1])


@pytest.mark.parametrize("kind", ["full file", "damaged file", "damaged memory"])
def test_a_store_that_does_not_work(secrets: Secrets, tmp_path: Path, kind: str) -> None:
    """Nor the records that were to be written, or read: they hold the keys of sessions."""
    path = tmp_path / "store.db"
    store: Store = SQLiteStore(path) if "file" in kind else MemoryStore()
    ana, budi = person(ANA, store=store), person(BUDI)
    meet(ana, budi)
    envelope = budi.send(ana, "hello")
    know(secrets, ana, budi)
    if kind == "full file":
        _full(path)
    else:
        _damage(store)
    device, hello = ana.device, Text("hello")
    for call in (
        partial(device.encrypt, BUDI, hello),
        partial(device.encrypt_raw, BUDI, b"hello"),
        partial(device.decrypt, envelope),
        partial(device.decrypt_raw, BUDI, MessageKind.SIGNAL, envelope.ciphertext),
        partial(device.session_info, BUDI) if kind != "full file" else lambda: _put_none(store),
    ):
        assert_tells(secrets, call, StoreError)
    store.close()


def _put_none(store: Store) -> None:
    with store.transaction() as tx:
        row = next(iter(tx.scan(Table.SESSIONS)))
        tx.put(Table.SESSIONS, *row)


def test_an_error_that_the_caller_handles_meanwhile_keeps_its_variables() -> None:
    """Of the app's own frames nothing is taken away, nor where the error went through."""

    def of_the_app() -> None:
        kept = "the app's own"
        raise ValueError(kept)

    @forgets_secrets
    def ours(token: bytes) -> None:
        raise BackendError("out of reach")

    try:
        of_the_app()
    except ValueError as first:
        trace = first.__traceback__
        with pytest.raises(BackendError) as caught:
            ours(TOKEN)
    assert caught.value.__context__ is not None
    assert trace is not None
    assert trace.tb_next is not None
    assert trace.tb_next.tb_frame.f_locals == {"kept": "the app's own"}
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-2:] == ["forgetting", "ours"]

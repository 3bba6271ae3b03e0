# SPDX-License-Identifier: Apache-2.0
"""No key and no plaintext appears in an error, a repr, a log line, or a pickle.

The attacker: reads crash reports, log files and debugger output of the app.
"""

import base64
import copy
import dataclasses
import importlib
import logging
import pickle
import pkgutil
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

import e2ecross
from e2ecross import Client, Text
from e2ecross.crypto.secret import Secret, SecretTuple
from e2ecross.device.own_upkeep import ListToPublish
from e2ecross.errors import E2ECrossError
from e2ecross.relay import Relay
from e2ecross.stores import SQLiteStore
from e2ecross.wire.account_records import NewDevice
from e2ecross.wire.service_devices import PublishDevicesRequest
from tests.attacks.hunt import (
    PLAINTEXT,
    STORE_KEY,
    Secrets,
    failures,
    know,
    reachable,
    scene,
    watch_keys,
)
from tests.attacks.support import ANA, BUDI, dump, meet, person

VERSIONS = pytest.mark.parametrize("kyber", [False, True], ids=["version 3", "version 4"])


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """Knows every key that is derived during the test."""
    return watch_keys(monkeypatch)


def test_the_search_finds_what_is_there(secrets: Secrets) -> None:
    """Every form of a secret that a careless repr could have is recognised."""
    ana, *_ = scene(secrets)
    secret = next(iter(secrets.raw))
    for text in (f"{secret!r}", secret.hex(), f"{list(secret)}", base64.b64encode(secret).decode()):
        assert secrets.found_in(f"<Session root_key={text}>")
    assert secrets.found_in(repr(ana.dump()))


@VERSIONS
@pytest.mark.parametrize("sealed", [False, True], ids=["memory", "sealed file"])
def test_reprs(secrets: Secrets, sealed: bool, kyber: bool, tmp_path: Path) -> None:
    ana, budi, values = scene(secrets, tmp_path if sealed else None, kyber=kyber)
    kinds, texts = set(), set()
    for value in reachable(values):
        kinds.add(type(value).__name__)
        texts |= {repr(value), str(value), f"{value}", f"{value!s:>5}"}
    for text in texts:
        secrets.assert_not_in(text)
    assert kinds >= {
        "BackupContent",
        "CheckedWitness",
        "Client",
        "Context",
        "Device",
        "DeviceRecord",
        "Distribution",
        "Envelope",
        "IdentityBackup",
        "InboxMessage",
        "KeptMessage",
        "KeyPair",
        "Link",
        "Message",
        "HeldSenderKey",
        "MessageKeys",
        "OutboxRecord",
        "OwnSenderKey",
        "OwnSenderKeyRecord",
        "Passphrase",
        "Payload",
        "RatchetState",
        "Received",
        "ReceivingChain",
        "Resent",
        "RetryRequest",
        "SenderKeyRecord",
        "SenderKeyState",
        "SenderMessageKeys",
        "SendingChain",
        "SentRecord",
        "Session",
        "SessionInfo",
        "SessionRecord",
        "SignedPrekeyRecord",
        "SkippedKeys",
        "StoredChain",
        "StoredSession",
        "Text",
        "Waiting",
    }
    if kyber:
        assert kinds >= {
            "Authenticator",
            "EpochChain",
            "EpochChains",
            "Held",
            "KyberPrekeyRecord",
            "Link",
            "Machine",
            "SpqrState",
            "StoredSpqr",
            "StoredSpqrMaterial",
        }
    ana.store.close()
    budi.store.close()


_OF_EXTRAS = ("psycopg", "psycopg_pool", "starlette", "uvicorn")


def test_every_record_class_that_can_hold_a_secret_hides_it() -> None:
    """New classes are found by their fields: whoever adds one has to decide."""
    suspicious = (
        "private",
        "root_key",
        "chain_key",
        "message_key",
        "plaintext",
        "passphrase",
        "content_body",
        "payload",
        "token",
        "mac_key",
    )
    found = set()
    for info in pkgutil.walk_packages(e2ecross.__path__, "e2ecross."):
        if info.name.endswith("__main__"):
            continue
        try:
            module = importlib.import_module(info.name)
        except ImportError as error:  # where everything is installed all are looked at
            missing = (error.name or "").partition(".")[0]
            if "needs the extra" in str(error) or missing in _OF_EXTRAS:
                continue
            raise
        for value in vars(module).values():
            names = _field_names(value) if isinstance(value, type) else ()
            if any(word in name for name in names for word in suspicious):
                found.add(value)
    assert len(found) >= 12
    # A named tuple without a name of its own only lends its fields to one that hides them.
    lent = {base for cls in found if issubclass(cls, SecretTuple) for base in cls.__bases__}
    hashes = {
        NewDevice,
        ListToPublish,
        PublishDevicesRequest,
    }  # of tokens, and the back end is given them
    assert [cls for cls in found - lent - hashes if not issubclass(cls, Secret)] == []


def _field_names(cls: type) -> tuple[str, ...]:
    if dataclasses.is_dataclass(cls):
        return tuple(field.name for field in dataclasses.fields(cls))
    names: tuple[str, ...] = getattr(cls, "_fields", ()) if issubclass(cls, tuple) else ()
    return names


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@VERSIONS
def test_pickles_and_copies_of_secret_values(secrets: Secrets, protocol: int, kyber: bool) -> None:
    _, _, values = scene(secrets, kyber=kyber)
    refused = 0
    for value in reachable(values):
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
    for value in reachable(values):
        try:
            data = pickle.dumps(value)
        except Exception:  # noqa: S112 - refused, in whatever way
            continue
        if any(key in data for key in keys):
            shown.add(type(value).__name__)
    return shown


@VERSIONS
def test_no_pickle_of_anything_reachable_holds_a_key(secrets: Secrets, kyber: bool) -> None:
    _, _, values = scene(secrets, kyber=kyber)
    assert _picklable_secrets(secrets, values) == set()


# --- Errors ---------------------------------------------------------------------------------


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


@VERSIONS
def test_errors(secrets: Secrets, caplog: pytest.LogCaptureFixture, kyber: bool) -> None:
    caplog.set_level(logging.DEBUG)
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi, kyber=kyber)
    codes: set[str] = set()
    texts: set[str] = set()
    for fail in failures(ana, budi, kyber=kyber):
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
        "device_exists",
        "record_corrupted",
        "restored_store",
        "store_too_new",
        "unknown_prekey",
        "unsupported_version",
        "untrusted_identity",
        "witness_failed",
        "wrong_backup_key",
    }
    know(secrets, ana, budi)
    secrets.assert_not_in("\n".join(texts) + caplog.text)


def test_what_an_error_suppresses(secrets: Secrets) -> None:
    """`from None` hides a cause from tracebacks, not from a crash reporter that walks the chain."""
    with pytest.raises(E2ECrossError) as caught:
        Text(PLAINTEXT + "\ud800")
    secrets.assert_not_in("\n".join(_texts(caught.value, suppressed=True)))


def test_errors_of_the_sealed_store(secrets: Secrets, tmp_path: Path) -> None:
    ana, budi, _ = scene(secrets, tmp_path)
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
        know(secrets, ana, budi)
    for text in (caplog.text, *tokens, repr(clients), repr(relay)):
        secrets.assert_not_in(text)
    for record in caplog.records:
        assert not record.name.startswith("e2ecross")
    relay_files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    secrets.assert_not_in_bytes(relay_files)
    assert len(dump(ana.store)) > 10
    relay.close()

# SPDX-License-Identifier: Apache-2.0
"""A routine error shows no token, key or passphrase in the variables of our frames.

The attacker: reads what the app's crash reporter collects. A wrong passphrase, a full mailbox or a
back end out of reach happen every day, and each such report would hold what opens the account.
"""

import copy
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import e2ecross
from e2ecross import Client, Device, Text
from e2ecross.errors import BackendError, E2ECrossError
from e2ecross.relay import Relay
from e2ecross.state.context import require_device
from e2ecross.stores import MemoryStore, SQLiteStore
from e2ecross.stores.sqlite_reading import read_store_file
from tests.attacks.support import ANA, BUDI, person
from tests.support.devices import BackendSimulator, make_client
from tests.support.entropy import SeededEntropy

PACKAGE = str(Path(e2ecross.__file__).parent)
KEY, OTHER_KEY = bytes(range(100, 132)), bytes(range(32))
PASSPHRASE = "a passphrase of seven words and more"
TOKEN = bytes(range(140, 172))
SECRETS = [repr(secret[2:14])[2:-1] for secret in (KEY, TOKEN)] + [PASSPHRASE]


def _locals(error: BaseException) -> Iterator[tuple[str, str]]:
    """Where a variable of ours shows what, also in errors that this one came from."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        waiting += [current.__cause__, current.__context__]
        captured = traceback.TracebackException.from_exception(current, capture_locals=True)
        for frame in captured.stack:
            if frame.filename.startswith(PACKAGE):
                for name, value in (frame.locals or {}).items():
                    yield f"{name} in {frame.name}", value


def _shown(call: Callable[[], object], secrets: list[str]) -> list[str]:
    with pytest.raises(E2ECrossError) as caught:
        call()
    return [
        place
        for place, value in _locals(caught.value)
        if any(secret in value for secret in secrets)
    ]


def _stores(folder: Path) -> dict[str, Callable[[], object]]:
    with SQLiteStore(folder / "keyed.db", key=OTHER_KEY):
        pass
    with SQLiteStore(folder / "plain.db"):
        pass
    with SQLiteStore(folder / "words.db", passphrase="another", passphrase_cost="interactive"):
        pass
    rekeyed = SQLiteStore(folder / "rekeyed.db", key=OTHER_KEY)
    with SQLiteStore(folder / "rekeyed.db", key=OTHER_KEY) as other:
        other.rekey(key=bytes(32))
    return {
        "another key": lambda: SQLiteStore(folder / "keyed.db", key=KEY),
        "a needless key": lambda: SQLiteStore(folder / "plain.db", key=KEY),
        "a short key": lambda: SQLiteStore(folder / "new.db", key=KEY[:-1]),
        "a key and a passphrase": lambda: SQLiteStore(
            folder / "new.db", key=KEY, passphrase=PASSPHRASE
        ),
        "another passphrase": lambda: SQLiteStore(folder / "words.db", passphrase=PASSPHRASE),
        "a passphrase in the place of a key": lambda: SQLiteStore(
            folder / "keyed.db", passphrase=PASSPHRASE
        ),
        "no folder": lambda: SQLiteStore(folder / "none" / "new.db", key=KEY),
        "a change by somebody else": lambda: rekeyed.rekey(key=KEY),
        "a look with another key": lambda: read_store_file(
            folder / "keyed.db", key=KEY
        ).__enter__(),
        "a look with a short key": lambda: read_store_file(folder / "keyed.db", key=KEY[:-1]),
    }


def test_keys_of_stores(tmp_path: Path) -> None:
    for name, call in _stores(tmp_path).items():
        assert _shown(call, SECRETS) == [], name


def test_tokens_at_a_relay(tmp_path: Path) -> None:
    relay, closed = Relay(tmp_path / "relay.db"), Relay(tmp_path / "relay.db")
    closed.close()
    relay.register(BUDI, bytes(32))
    published = person(ANA).published
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    data = ana.send(budi, "x").encode()
    calls: dict[str, Callable[[], object]] = {
        "register": lambda: relay.register(BUDI, TOKEN),
        "replaces": lambda: relay.register(BUDI, bytes(31) + b"1", replaces=TOKEN),
        "a short token": lambda: relay.register(ANA, TOKEN[:-1]),
        "publish": lambda: relay.publish(TOKEN, published),
        "epochs": lambda: relay.epochs(ANA, TOKEN),
        "count": lambda: relay.one_time_prekey_count(ANA, TOKEN),
        "deposit": lambda: relay.deposit_all(TOKEN, [data]),
        "fetch": lambda: relay.fetch(ANA, TOKEN, 1),
        "acknowledge": lambda: relay.acknowledge(ANA, TOKEN, [1]),
        "a closed relay": lambda: closed.fetch(ANA, TOKEN, 1),
    }
    for name, call in calls.items():
        assert _shown(call, SECRETS) == [], name


def test_passphrases_of_backups() -> None:
    ana = person(ANA).device
    backup = ana.export_identity("another", cost="interactive")
    full = MemoryStore()
    Device.create(BUDI, full)
    calls: dict[str, Callable[[], object]] = {
        "another": lambda: Device.import_identity(backup, PASSPHRASE, MemoryStore()),
        "no backup": lambda: Device.import_identity(backup[:-1], PASSPHRASE, MemoryStore()),
        "a used store": lambda: Device.import_identity(
            ana.export_identity(PASSPHRASE, cost="interactive"), PASSPHRASE, full
        ),
        "a cost": lambda: ana.export_identity(PASSPHRASE, cost="cheap"),
    }
    for name, call in calls.items():
        assert _shown(call, SECRETS) == [], name


@pytest.mark.parametrize(
    "method", ["register", "publish", "epochs", "one_time_prekey_count", "deposit", "fetch"]
)
def test_the_token_of_a_client(method: str) -> None:
    backend = BackendSimulator()
    make_client(BUDI, backend)
    device = Device.create(ANA, MemoryStore(), entropy=SeededEntropy("ana"))
    client = Client(device, backend)
    if method not in ("register", "publish"):
        client.register()
    backend.fail(method, BackendError("gone"), times=9)
    if method == "epochs":
        client = Client(device, backend)

    def use() -> None:
        if method in ("register", "publish"):
            client.register()
        elif method == "deposit":
            client.send(BUDI, Text("x"))
        else:
            client.receive()
            client.maintain()

    with pytest.raises(BackendError) as caught:
        use()
    with device._context.store.transaction() as tx:
        token = repr(require_device(tx).backend_token[2:14])[2:-1]
    assert [place for place, value in _locals(caught.value) if token in value] == []


def test_clients_are_not_pickled_or_copied() -> None:
    client = make_client(ANA, BackendSimulator())
    for refuse in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="Client"):
            refuse(client)

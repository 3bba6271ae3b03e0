# SPDX-License-Identifier: Apache-2.0
"""`doctor`: every finding provoked on a real store, every refusal one line, no byte changed."""

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from e2ecross import Client, Device, Text
from e2ecross.cli.doctor import run_doctor
from e2ecross.errors import BackendError, StoreError
from e2ecross.state.context import require_device, save_device, system_clock
from e2ecross.state.epoch import read_epoch
from e2ecross.state.prekey_store import LAST_RESORT
from e2ecross.state.uploads import put_upload
from e2ecross.stores import SQLiteStore, Table
from e2ecross.stores.sqlite_schema import PAGE_BYTES
from e2ecross.wire.upload_records import UploadRecord
from tests.cli.support import Ended, call, run
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    TOKO,
    BackendSimulator,
    introduce,
    make_client,
    make_device,
    new_bundle,
    start,
)
from tests.support.documents import ROOT, section, table
from tests.support.formats import ATTACHMENT

HOW_TO = ROOT / "docs" / "how-to.md"
NOTES = {"not_registered", "unacknowledged", "held", "outbox", "inbox"}
NOTES |= {"without_one_time_prekey", "put_away", "identities_stale"}
NOTES |= {"devices_without_keys", "lists_expired", "lists_forked", "uploads"}
NOTES |= {"groups_pending", "groups_left", "commits_unannounced", "group_outbox"}
NOTES |= {"group_messages_anew", "group_keys_due", "group_grants_missing", "members_unreached"}
NOTES |= {"sender_keys_near_bound", "sender_keys_crowded"}
KEY = bytes(range(32))
HIDDEN = "the cake is in the oven"
NOW_MS = system_clock()


class Home:
    """A store's file, and what `doctor` says about it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def device(
        self, age_ms: int = 0, key: bytes | None = None, passphrase: str | None = None
    ) -> Iterator[Device]:
        """A new device of that age with 30 one-time prekeys, closed at the end."""
        with SQLiteStore(
            self.path, key=key, passphrase=passphrase, passphrase_cost="interactive"
        ) as store:
            device = make_device(ANA, store, clock=lambda: NOW_MS - age_ms)
            device.confirm_published(device.publish(one_time=30))
            yield device

    def examine(self, *options: str) -> Ended:
        """Call it; the folder must be the same afterwards."""
        before = {p.name: p.read_bytes() for p in self.path.parent.iterdir()}
        ended = call("doctor", str(self.path), *options)
        assert {p.name: p.read_bytes() for p in self.path.parent.iterdir()} == before
        assert "Traceback" not in ended.err
        return ended

    def findings(self) -> tuple[set[str], set[str]]:
        """The codes of problems and of notes; both outputs must agree."""
        ended, plain = self.examine("--json"), self.examine()
        document = json.loads(ended.out)
        assert (ended.err, plain.err) == ("", "")
        assert ended.code == plain.code == (1 if document["problems"] else 0)
        assert max(map(len, plain.out.splitlines())) <= 80
        words = " ".join(plain.out.split())
        for finding in (*document["problems"], *document["notes"]):
            assert finding["text"] in words
        problems, notes = (
            {finding["code"] for finding in document[kind]} for kind in ("problems", "notes")
        )
        assert ("No problems found." in words) is not bool(problems)
        return problems, notes


@pytest.fixture
def home(tmp_path: Path) -> Home:
    folder = tmp_path / "home"
    folder.mkdir()
    return Home(folder / "ana.db")


def is_refused(ended: Ended) -> bool:
    lines = ended.err.splitlines()
    return (ended.code, ended.out, len(lines)) == (2, "", 1) and "Traceback" not in lines[0]


def registered(home: Home) -> Client:
    return make_client(ANA, BackendSimulator(), SQLiteStore(home.path), clock=lambda: NOW_MS)


# --- Healthy ------------------------------------------------------------------------------------


def test_a_registered_device_is_healthy(home: Home) -> None:
    client = registered(home)
    client.device._context.store.close()
    assert home.findings() == (set(), set())
    out = home.examine().out
    for shown in ("1, records are not encrypted", "intact", "100 stored", "registered"):
        assert shown in out


def test_a_process_of_its_own_ends_with_the_same_code(home: Home, tmp_path: Path) -> None:
    with home.device():
        pass
    done = run("doctor", str(home.path))
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"No problems found." in done.stdout
    missing = run("doctor", str(tmp_path / "missing"))
    assert (missing.returncode, missing.stdout) == (2, b"")
    assert len(missing.stderr.splitlines()) == 1


def test_a_store_in_use_is_examined(home: Home) -> None:
    with home.device() as device:
        ended = call("doctor", str(home.path))
        assert ended.code == 0
        assert "30 stored, and 30 of Kyber" in ended.out
        device.confirm_published(device.publish(one_time=1))


@pytest.mark.parametrize("sealed", [False, True])
def test_no_secret_address_or_content_is_printed(home: Home, tmp_path: Path, sealed: bool) -> None:
    key_file = tmp_path / "key"
    key_file.write_bytes(KEY)
    backend = BackendSimulator()
    store = SQLiteStore(home.path, key=KEY if sealed else None)
    ana = make_client(ANA, backend, store, clock=lambda: NOW_MS)
    budi = make_client(BUDI, backend, clock=lambda: NOW_MS)
    budi.send(str(ANA.user_id), Text(HIDDEN))
    ana.receive()
    backend.fail("deposit")
    with pytest.raises(BackendError):
        ana.send(str(BUDI.user_id), Text(HIDDEN))
    with store.transaction() as tx:
        record = require_device(tx)
    store.close()
    for options in ((), ("--json",)):
        ended = home.examine(*options, *(("--key-file", str(key_file)) if sealed else ()))
        assert ended.code == 0
        hidden = (HIDDEN, "ana", "budi", record.identity_private_key.hex(), KEY.hex())
        for secret in (*hidden, record.backend_token.hex(), ana.device.identity_key.hex()):
            assert secret not in ended.out.replace(str(home.path), "")


# --- Findings -----------------------------------------------------------------------------------


def _unconfirmed(home: Home) -> None:
    with home.device() as device:
        device.publish(one_time=1)


def _old(home: Home) -> None:
    with home.device(age_ms=8 * DAY_MS):
        pass


def _future(home: Home) -> None:
    with home.device(age_ms=-DAY_MS):
        pass


def _few(home: Home) -> None:
    with home.device() as device, device._context.store.transaction() as tx:
        for row, _ in tx.list(Table.ONE_TIME_PREKEYS)[:6]:
            tx.delete(Table.ONE_TIME_PREKEYS, b"", row)


def _few_kyber(home: Home) -> None:
    with home.device() as device, device._context.store.transaction() as tx:
        for row, _ in tx.list(Table.KYBER_PREKEYS)[:6]:
            tx.delete(Table.KYBER_PREKEYS, b"", row)


def _no_last_resort_prekey(home: Home) -> None:
    with home.device() as device, device._context.store.transaction() as tx:
        tx.clear(Table.KYBER_PREKEYS, LAST_RESORT)


def _no_signed_prekey(home: Home) -> None:
    with home.device() as device, device._context.store.transaction() as tx:
        record = require_device(tx)
        save_device(tx, replace(record, signed_prekey_id=record.next_prekey_id))


def _damaged(home: Home) -> None:
    with home.device() as device, device._context.store.transaction() as tx:
        tx.put(Table.OUTBOX, b"", b"", b"\x01garbage")
        tx.put(Table.INBOX, b"", b"", b"\x01garbage")


def _too_new(home: Home) -> None:
    with home.device() as device, device._context.store.transaction() as tx:
        tx.put(Table.OUTBOX, b"", b"", b"\x02")


def _no_device(home: Home) -> None:
    SQLiteStore(home.path).close()


def _broken_sessions(home: Home) -> None:
    with home.device() as device:
        introduce(device, make_device(BUDI))
        device.confirm_published(device.publish(one_time=30))
        with device._context.store.transaction() as tx:
            ((place, row, _),) = list(tx.scan(Table.SESSIONS))
            tx.delete(Table.SESSIONS, place, row)


def _stale(home: Home) -> None:
    with SQLiteStore(home.path) as store:
        now = [NOW_MS - 31 * DAY_MS]
        device = make_device(ANA, store, clock=lambda: now[0])
        device.start_session(new_bundle(make_device(BUDI)))
        now[0] = NOW_MS
        device.confirm_published(device.publish(one_time=30))
        device.start_session(new_bundle(make_device(TOKO)))


def _changed(home: Home) -> None:
    with home.device() as device:
        introduce(device, make_device(BUDI))
        new = make_device(BUDI, seed="new")
        new.start_session(new_bundle(device))
        device.decrypt(new.encrypt(ANA, Text("new phone")))


def _missing_table(home: Home) -> None:
    with home.device():
        pass
    execute(home.path, "DROP TABLE outbox")


def execute(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def _text_for_bytes(home: Home) -> None:
    with home.device():
        pass
    execute(home.path, "UPDATE one_time_prekeys SET record = 'text'")


def _restored(home: Home) -> None:
    with home.device() as device:
        introduce(device, make_device(BUDI))
    with SQLiteStore(home.path) as store:
        Device.open(store, restored=True).publish(one_time=30)


@pytest.mark.parametrize(
    ("provoke", "problems"),
    [
        (_restored, {"prekeys_not_replaced", "publication_unconfirmed"}),
        (_unconfirmed, {"publication_unconfirmed"}),
        (_old, {"signed_prekey_old"}),
        (_future, {"signed_prekey_in_the_future"}),
        (_few, {"one_time_prekeys_low"}),
        (_few_kyber, {"one_time_prekeys_low"}),
        (_no_last_resort_prekey, {"last_resort_prekey_missing"}),
        (_no_signed_prekey, {"signed_prekey_missing"}),
        (_damaged, {"records_damaged"}),
        (_too_new, {"records_too_new"}),
        (_no_device, {"no_device"}),
        (_broken_sessions, {"sessions_broken"}),
        (_stale, {"sessions_stale"}),
        (_changed, {"identities_changed"}),
        (_missing_table, {"file_damaged"}),
        (_text_for_bytes, {"file_damaged"}),
    ],
)
def test_a_problem_is_found(
    home: Home, provoke: Callable[[Home], None], problems: set[str]
) -> None:
    provoke(home)
    assert home.findings()[0] == problems


def test_an_expired_signed_prekey_is_found(home: Home) -> None:
    now = [NOW_MS - 40 * DAY_MS]
    with SQLiteStore(home.path) as store:
        device = make_device(ANA, store, clock=lambda: now[0])
        now[0] = NOW_MS - 31 * DAY_MS
        device.confirm_published(device.publish(one_time=30))
    assert home.findings()[0] == {"signed_prekey_old", "signed_prekeys_expired"}


def test_damage_is_counted_by_table(home: Home) -> None:
    _damaged(home)
    out = " ".join(home.examine().out.split())
    for place in ("outbox", "inbox"):
        assert f"1 of 1 records in {place} do not decode" in out
    assert "2 unreadable" in out


def test_a_damaged_device_is_not_a_missing_one(home: Home) -> None:
    with home.device() as device, device._context.store.transaction() as tx:
        tx.put(Table.DEVICE, b"", b"", b"\x01garbage")
    assert home.findings()[0] == {"records_damaged"}


def test_damaged_pages_are_found(home: Home) -> None:
    with home.device():
        pass
    data = bytearray(home.path.read_bytes())
    half = len(data) // 2
    data[half:] = b"\xff" * (len(data) - half)
    home.path.write_bytes(data)
    assert home.findings()[0] >= {"file_damaged"}


@pytest.mark.parametrize("fill", [b"\0", b"\xff", b"\x0d"])
def test_damage_of_any_page_is_found_or_refused(home: Home, fill: bytes) -> None:
    with home.device():
        pass
    with sqlite3.connect(home.path) as connection:
        (unused,) = connection.execute("PRAGMA freelist_count").fetchone()
    connection.close()
    whole = home.path.read_bytes()
    codes: Counter[int] = Counter()
    for start_at in range(0, len(whole), PAGE_BYTES):
        damaged = whole[:start_at] + PAGE_BYTES * fill + whole[start_at + PAGE_BYTES :]
        home.path.write_bytes(damaged)
        ended = home.examine()
        assert is_refused(ended) or ended.code < 2
        codes[ended.code] += 1
    assert codes[0] <= unused
    assert codes[1] > 10


def test_a_store_that_cannot_be_read_is_refused(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with home.device():
        pass

    def fail(*_: object) -> None:
        raise StoreError("the disk reports an error")

    monkeypatch.setattr("e2ecross.cli.doctor.read_health", fail)
    ended = home.examine()
    assert is_refused(ended)
    assert "the disk reports an error" in ended.err


def test_what_passes_by_itself_is_worth_knowing(home: Home) -> None:
    with home.device() as device:
        budi, toko = make_device(BUDI), make_device(TOKO)
        start(device, budi)
        start(device, toko)
        start(toko, device)
        device.decrypt(toko.encrypt(ANA, Text("at once")))
    assert home.findings() == (set(), {"not_registered", "unacknowledged", "held"})


def test_a_session_without_a_one_time_prekey_is_worth_knowing(home: Home) -> None:
    with home.device() as device:
        start(device, make_device(BUDI), one_time=False)
    notes = {"not_registered", "unacknowledged", "without_one_time_prekey"}
    assert home.findings() == (set(), notes)
    assert "1 session started without a one-time prekey" in " ".join(home.examine().out.split())


def test_what_a_restore_has_changed_is_worth_knowing(home: Home) -> None:
    with home.device() as device:
        introduce(device, make_device(BUDI))
        epoch = home_epoch(device)
    assert f"epoch               {epoch}\n" in home.examine().out
    with SQLiteStore(home.path) as store:
        device = Device.open(store, restored=True)
        device.confirm_published(device.publish(one_time=30))
    notes = {"not_registered", "put_away", "identities_stale", "inbox"}  # the notice of it
    assert home.findings() == (set(), notes)
    out = home.examine().out
    assert f"epoch               {epoch + 2}, the back end was not asked yet\n" in out
    assert "1 put away by a restore" in out
    assert "0 changed; 1 stale" in out
    health = json.loads(home.examine("--json").out)["health"]
    assert health["device"] == {
        "is_registered": False,
        "is_publication_unconfirmed": False,
        "epoch": epoch + 2,
        "is_epoch_adopted": False,
        "are_prekeys_replaced": True,
        "stripes_behind": 0,
    }
    assert (health["sessions"]["put_away"], health["stale_identities"]) == (1, 1)


def home_epoch(device: Device) -> int:
    with device._context.store.transaction() as tx:
        return read_epoch(tx)


def test_queues_are_worth_knowing(home: Home) -> None:
    backend = BackendSimulator()
    store = SQLiteStore(home.path)
    ana = make_client(ANA, backend, store, clock=lambda: NOW_MS)
    budi = make_client(BUDI, backend, clock=lambda: NOW_MS)
    budi.send(str(ANA.user_id), Text("one"))
    ana.receive()
    backend.fail("deposit")
    with pytest.raises(BackendError):
        ana.send(str(BUDI.user_id), Text("two"))
    store.close()
    assert home.findings() == (set(), {"outbox", "inbox"})
    assert "1 in the outbox, 1 in the inbox" in home.examine().out


@pytest.mark.parametrize(
    ("ages", "shown", "noted"),
    [
        ([], "0 to be uploaded", ""),
        ([0], "1 to be uploaded, the oldest 0 days old", "1 file not uploaded to the end"),
        ([1, 3, 2], "3 to be uploaded, the oldest 3 days old", "3 files not uploaded to the end"),
        ([-1], "1 to be uploaded, the oldest dated in the future", "1 file not uploaded"),
    ],
)
def test_files_that_are_not_uploaded_are_counted(
    home: Home, ages: list[int], shown: str, noted: str
) -> None:
    with home.device() as device, device._context.store.transaction() as tx:
        for number, days in enumerate(ages):
            waiting = replace(ATTACHMENT, blob_id=bytes([number]) * 32)
            put_upload(tx, UploadRecord(waiting, "spool", NOW_MS - days * DAY_MS))
        complete = replace(ATTACHMENT, blob_id=b"\xff" * 32)
        put_upload(tx, UploadRecord(complete, "spool", NOW_MS - 6 * DAY_MS, complete=True))
    assert home.findings() == (set(), {"not_registered", *(["uploads"] if ages else [])})
    out = " ".join(home.examine().out.split())
    assert shown in out
    assert noted in out
    uploads = json.loads(home.examine("--json").out)["health"]["uploads"]
    assert uploads["waiting"] == len(ages)
    assert (uploads["oldest_ms"] is None) is not bool(ages)


def test_the_document_has_every_finding_and_what_is_printed(home: Home) -> None:
    folder = ROOT.joinpath("e2ecross", "cli")
    sources = [(folder / f"doctor_{name}.py").read_text("utf-8") for name in ("advice", "groups")]
    codes = re.findall(r"Finding\(\s*\"(\w+)\"", "".join(sources))
    text = section(HOW_TO, "Examine a store")
    assert {row[1].strip("`") for row in table(text)} | NOTES == {*codes}
    assert all(f"`{code}`" in text for code in codes)
    with SQLiteStore(home.path) as store:
        make_device(ANA, store, clock=lambda: NOW_MS).publish(one_time=30)
    shown = "".join(f"    {line}\n" if line else "\n" for line in home.examine().out.splitlines())
    assert shown in HOW_TO.read_text("utf-8")


# --- Keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [KEY, KEY.hex().encode(), KEY.hex().upper().encode(), KEY.hex().encode() + b"\n"],
    ids=["raw", "lower", "upper", "line"],
)
def test_a_sealed_store_opens_with_its_key_file(home: Home, tmp_path: Path, content: bytes) -> None:
    with home.device(key=KEY):
        pass
    key_file = tmp_path / "key"
    key_file.write_bytes(content)
    ended = home.examine("--key-file", str(key_file))
    assert (ended.code, ended.err) == (0, "")
    assert "records are encrypted" in ended.out


@pytest.mark.parametrize(
    "content",
    [b"", KEY[:31], KEY + b"\n", KEY.hex().encode()[:-1], b"g" * 64, b" " * 64, bytes(10_000)],
    ids=["empty", "short", "raw-line", "short-hex", "no-hex", "blank", "long"],
)
def test_a_key_file_without_a_key_is_refused(home: Home, tmp_path: Path, content: bytes) -> None:
    with home.device(key=KEY):
        pass
    key_file = tmp_path / "key"
    key_file.write_bytes(content)
    ended = home.examine("--key-file", str(key_file))
    assert is_refused(ended)
    assert "holds no key" in ended.err


@pytest.mark.parametrize("content", ["correct horse", "correct horse\n", "correct horse\r\n"])
def test_a_store_opens_with_its_passphrase_file(home: Home, tmp_path: Path, content: str) -> None:
    with home.device(passphrase="correct horse"):
        pass
    file = tmp_path / "passphrase"
    file.write_bytes(content.encode())
    ended = home.examine("--passphrase-file", str(file))
    assert (ended.code, ended.err) == (0, "")
    assert "records are encrypted" in ended.out


@pytest.mark.parametrize("content", [b"", b"\n", bytes(2000)])
def test_a_passphrase_file_without_a_passphrase_is_refused(
    home: Home, tmp_path: Path, content: bytes
) -> None:
    with home.device(passphrase="correct horse"):
        pass
    file = tmp_path / "passphrase"
    file.write_bytes(content)
    ended = home.examine("--passphrase-file", str(file))
    assert is_refused(ended)
    assert "holds no passphrase" in ended.err


def test_a_wrong_passphrase_is_refused(home: Home, tmp_path: Path) -> None:
    with home.device(passphrase="correct horse"):
        pass
    file = tmp_path / "passphrase"
    file.write_bytes(b"wrong")
    assert is_refused(home.examine("--passphrase-file", str(file)))
    assert is_refused(home.examine())


def test_a_wrong_missing_or_needless_key_is_refused(home: Home, tmp_path: Path) -> None:
    with home.device(key=KEY):
        pass
    key_file = tmp_path / "key"
    key_file.write_bytes(bytes(32))
    assert is_refused(home.examine())
    assert is_refused(home.examine("--key-file", str(key_file)))
    assert is_refused(home.examine("--key-file", str(tmp_path / "missing")))
    assert is_refused(home.examine("--key-file", str(tmp_path)))
    assert is_refused(home.examine("--key-file", "a\0b"))
    home.path.unlink()
    with home.device():
        pass
    assert is_refused(home.examine("--key-file", str(key_file)))


@pytest.mark.parametrize("kind", ["key", "passphrase"])
def test_the_refusal_of_a_sealed_store_names_the_options(home: Home, kind: str) -> None:
    with home.device(
        key=KEY if kind == "key" else None, passphrase=None if kind == "key" else "correct horse"
    ):
        pass
    ended = home.examine()
    assert is_refused(ended)
    assert f"encrypted with a {kind}:" in ended.err
    for option in ("--key-file FILE", "--passphrase-file FILE"):
        assert option in ended.err
        assert option in call("doctor", "--help").out


def test_other_refusals_name_no_options(home: Home) -> None:
    ended = home.examine()
    assert is_refused(ended)
    assert "-file" not in ended.err


# --- What is no store ---------------------------------------------------------------------------


def test_a_missing_store_is_refused_and_not_created(home: Home) -> None:
    assert is_refused(home.examine())
    assert is_refused(home.examine("--json"))
    assert not home.path.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\x00" * 5000, b"SQLite format 3\0" + b"\xff" * 3000],
    ids=["empty", "byte", "zeros", "header"],
)
def test_arbitrary_bytes_are_refused(home: Home, content: bytes) -> None:
    home.path.write_bytes(content)
    assert is_refused(home.examine())


def test_a_foreign_database_is_refused(home: Home) -> None:
    execute(home.path, "CREATE TABLE device (record BLOB)")
    assert is_refused(home.examine())


@pytest.mark.parametrize("cut", [1, 1000, 1024, 5000])
def test_a_cut_store_is_a_problem_or_refused(home: Home, cut: int) -> None:
    with home.device():
        pass
    home.path.write_bytes(home.path.read_bytes()[:-cut])
    ended = home.examine()
    assert is_refused(ended) or ended.code == 1


@pytest.mark.parametrize("name", ["", "a\0b", ".", "a\nb\x1b[31m", ":memory:"])
def test_a_name_of_no_file_is_refused_in_one_plain_line(name: str) -> None:
    ended = call("doctor", name)
    assert is_refused(ended)
    assert ended.err.rstrip("\n").isprintable()


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["a", "--key-file"]])
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert call("doctor", *arguments).code == 2


def test_a_change_during_the_look_is_refused(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    with home.device():
        pass

    def clock() -> int:
        with SQLiteStore(home.path) as store, store.transaction() as tx:
            tx.put(Table.INBOX, b"", b"", b"")
        return NOW_MS

    assert run_doctor(str(home.path), clock=clock) == 2
    captured = capsys.readouterr()
    assert "try again" in captured.err
    assert captured.out == ""

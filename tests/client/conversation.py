# SPDX-License-Identifier: Apache-2.0
"""What the tests of a client do again and again.

ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
meet(ana, budi)
ana.send(BUDI, Text("halo"))
assert read(budi) == ["halo"]
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import cast

from e2ecross import (
    Address,
    Client,
    FailedMessage,
    Message,
    Notice,
    NoticeKind,
    Policy,
    RetryRequest,
    Text,
)
from e2ecross.client.backend import Backend
from e2ecross.errors import BackendError
from e2ecross.state.inbox import InboxItem
from e2ecross.state.outbox import Waiting, list_backlog, put_control
from e2ecross.state.outbox_repair import list_backlogs
from e2ecross.stores import MemoryStore, Store, Table
from tests.support.devices import BackendSimulator, count_rows, dump, make_device, reopen_device
from tests.support.lone_worker import end_holds

SESSION_TABLES = (Table.SESSION_RECORDS, Table.SESSIONS, Table.SKIPPED_KEYS)


def shown(items: Sequence[InboxItem]) -> list[str]:
    """The texts; `!` and the code stand for a failure, `*` and the kind for a notice."""
    texts = []
    for item in items:
        if isinstance(item, Message):
            texts.append(cast("Text", item.content).text)
        elif isinstance(item, FailedMessage):
            texts.append(f"!{item.error.code}")
        else:
            texts.append(f"*{item.kind}")
    return texts


def read(client: Client) -> list[str]:
    """Receive and confirm, and return what is shown."""
    items = client.receive()
    client.confirm(items)
    return shown(items)


def read_notices(client: Client) -> list[Notice]:
    """Receive and confirm, and return the notices."""
    items = client.receive()
    client.confirm(items)
    return [item for item in items if isinstance(item, Notice)]


def names(items: Sequence[InboxItem]) -> list[tuple[Address | None, bytes | None]]:
    """Sender and message id of each."""
    return [(item.sender, item.message_id) for item in items if not isinstance(item, Notice)]


def send(client: Client, recipient: Address, *texts: str) -> None:
    for text in texts:
        client.send(recipient, Text(text))


def promise(client: Client, recipient: Address | str, *texts: str) -> list[bytes]:
    """Send while the back end takes nothing; returns the message ids of what waits from then on."""
    before = {waiting.message_id for waiting in client.pending()}
    for text in texts:
        with suppress(BackendError):
            client.send(recipient, Text(text))
    ids = [waiting.message_id for waiting in client.pending()]
    new = [message_id for message_id in ids if message_id not in before]
    assert len(new) == len(texts)
    return new


def not_delivered(notices: list[Notice]) -> list[tuple[bytes, str]]:
    """Message ids, and why, of messages that were given up."""
    given_up = [notice for notice in notices if notice.kind is NoticeKind.NOT_DELIVERED]
    assert all(len(notice.messages) == 1 for notice in given_up)
    return [(notice.messages[0], notice.code) for notice in given_up]


def store_of(client: Client) -> Store:
    return client.device._context.store


def left(store: Store) -> int:
    """Rows of the inbox."""
    return count_rows(store, Table.INBOX)


def waiting(client: Client) -> list[Waiting]:
    """What lies in the outbox, of whatever backlog."""
    with store_of(client).transaction() as tx:
        return [item for backlog in list_backlogs(tx) for item in list_backlog(tx, backlog)]


def forget_sessions(client: Client) -> None:
    store = store_of(client)
    for where in dump(store):
        if where[0] in SESSION_TABLES:
            with store.transaction() as tx:
                tx.delete(*where)


def damage(client: Client, table: Table) -> None:
    store = store_of(client)
    for where in dump(store):
        if where[0] is table:
            with store.transaction() as tx:
                tx.put(*where, b"\x01\xff")


def meet(ana: Client, budi: Client) -> None:
    ana.send(budi.device.address, Text("first"))
    assert read(budi) == ["first"]
    budi.send(ana.device.address, Text("answer"))
    assert read(ana) == ["answer"]


def ask(client: Client, address: Address, message_id: bytes, *, fresh_session: bool = True) -> None:
    """Send a request for any message, as a device that does what it likes."""
    context = client.device._context
    request = RetryRequest(message_id, None, 0, "authentication_failed")
    with context.store.transaction() as tx:
        names = (address, context.entropy.bytes(16), request)
        put_control(tx, *names, fresh_session=fresh_session)
    client.maintain()


def reopen(client: Client, backend: Backend, store: Store | None = None) -> Client:
    """The same installation after a restart of its app; the store may be watched from then on."""
    end_holds(client, backend)
    store = store or store_of(client)
    seed = f"{len(dump(store))} {client!r} reopened"
    return Client(reopen_device(client.device, store, seed), backend)


def reinstalled(
    address: Address, backend: BackendSimulator, policy: Policy | None = None
) -> Client:
    """Another device in the place of one: a new phone, or the back end itself."""
    device = make_device(address, MemoryStore(), seed="reinstalled", policy=policy)
    backend.forget(address)
    client = Client(device, backend)
    client.register()
    return client

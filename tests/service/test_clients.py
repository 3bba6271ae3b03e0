# SPDX-License-Identifier: Apache-2.0
"""Clients over a real service: what the documents tell users to do, and a service that fails."""

import threading
from pathlib import Path

import pytest

from tests.support.service import LiveService, require_extras

require_extras()

from e2ecross import Client, Device, Message, Text
from e2ecross.address import Address
from e2ecross.errors import BackendError
from e2ecross.relay import Relay
from e2ecross.service import HTTPBackend
from e2ecross.stores import MemoryStore
from tests.support.devices import ANA, BUDI
from tests.support.documents import ROOT, blocks, run_python

DOCS = ROOT / "docs"
PRELUDE = """
import e2ecross.relay
from tests.service.contract.over_http import OverHTTP
e2ecross.relay.Relay = OverHTTP
"""


@pytest.mark.parametrize("name", ["quickstart.md", "how-to.md", "devices.md", "content.md"])
def test_what_the_documents_do(name: str, tmp_path: Path) -> None:
    """The same code, whose relay is reached through a service."""
    run_python(PRELUDE + "\n".join(blocks(DOCS / name, "python")), tmp_path)


def texts(client: Client) -> list[str]:
    items = client.receive()
    client.confirm(items)
    return [
        item.content.text
        for item in items
        if isinstance(item, Message) and isinstance(item.content, Text)
    ]


def client(address: Address, backend: HTTPBackend, *, wait_ms: int = 0) -> Client:
    made = Client(Device.create(address, MemoryStore()), backend, wait_ms=wait_ms)
    made.register()
    return made


def test_a_conversation_with_many(tmp_path: Path) -> None:
    with (
        Relay(tmp_path / "relay.db") as relay,
        LiveService(relay) as service,
        HTTPBackend(service.url) as backend,
    ):
        ana = client(ANA, backend)
        others = [client(Address("instagram", f"user{n}"), backend) for n in range(20)]
        ana.send_many([other.device.address.user_id for other in others], Text("halo"))
        for other in others:
            assert texts(other) == ["halo"]
            other.send("whatsapp:ana", Text(str(other.device.address)))
            ana.accept(other.device.address)
        assert sorted(texts(ana)) == sorted(str(other.device.address) for other in others)


def test_what_a_service_that_is_away_does_not_take_goes_later(tmp_path: Path) -> None:
    with Relay(tmp_path / "relay.db") as relay:
        with LiveService(relay) as service:
            port = service.port
            backend = HTTPBackend(service.url, timeout_ms=5_000)
            ana, budi = client(ANA, backend), client(BUDI, backend)
            ana.send("instagram:budi", Text("one"))
            assert texts(budi) == ["one"]
        with pytest.raises(BackendError):
            budi.receive()
        with pytest.raises(BackendError):
            ana.send("instagram:budi", Text("two"))
        assert [waiting.code for waiting in ana.pending()] == ["backend_error"]
        relay.bell = None
        with LiveService(relay, port=port):
            ana.maintain()
            assert ana.pending() == []
            assert texts(budi) == ["two"]
        backend.close()


def test_receiving_waits_for_mail(tmp_path: Path) -> None:
    with (
        Relay(tmp_path / "relay.db") as relay,
        LiveService(relay) as service,
        HTTPBackend(service.url) as backend,
    ):
        ana, budi = client(ANA, backend), client(BUDI, backend, wait_ms=30_000)
        ana.send("instagram:budi", Text("there already"))
        assert texts(budi) == ["there already"]
        later = threading.Timer(0.3, ana.send, ("instagram:budi", Text("while it waits")))
        later.start()
        assert texts(budi) == ["while it waits"]
        later.join()

# SPDX-License-Identifier: Apache-2.0
"""Clients over a real service: what the documents tell users to do, and a service that fails."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.service import LiveService, require_extras

require_extras()

from e2ecross import Client, Device, Media, Message, Policy, Text
from e2ecross.address import Address
from e2ecross.client.blob_store import BlobStore
from e2ecross.errors import BackendError, BlobGone
from e2ecross.relay import Relay
from e2ecross.service import HTTPBackend
from e2ecross.stores import MemoryStore
from tests.support.devices import ANA, BUDI, EVERYTHING
from tests.support.documents import ROOT, blocks, run_python

DOCS = ROOT / "docs"
PRELUDE = """
import e2ecross.relay
from tests.service.contract.over_http import OverHTTP
e2ecross.relay.Relay = OverHTTP
"""


@pytest.mark.parametrize(
    "name",
    ["quickstart.md", "how-to.md", "devices.md", "content.md", "attachments.md", "groups.md"],
)
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


def client(
    address: Address, backend: HTTPBackend, *, wait_ms: int = 0, spool_dir: Path | None = None
) -> Client:
    device = Device.create(address, MemoryStore(), policy=Policy(capabilities=EVERYTHING))
    made = Client(device, backend, wait_ms=wait_ms, spool_dir=spool_dir)
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


class Away(Exception):
    """The service went away in the middle."""


def test_a_file_goes_on_after_the_service_was_away(tmp_path: Path) -> None:
    """While it is uploaded, and while it is fetched: what was there stays."""
    photo, got = tmp_path / "photo", tmp_path / "got"
    photo.write_bytes(hashlib.shake_256(b"photo").digest(3_000_000))
    with Relay(tmp_path / "relay.db", blob_dir=tmp_path / "files") as relay:
        with LiveService(relay) as service:
            port = service.port
            backend = HTTPBackend(service.url, timeout_ms=5_000)
            store: BlobStore = backend
            ana = client(ANA, backend, spool_dir=tmp_path)
            budi = client(BUDI, backend)
            upload = ana.upload(photo)
            with pytest.raises(Away):
                upload.run(leave_at(500_000))
        with pytest.raises(BackendError):
            upload.run()
        with LiveService(relay, port=port):
            places: list[int] = []
            upload.run(lambda there, of: places.append(there))
            assert places[0] > 500_000
            ana.send("instagram:budi", Media(upload.attachment))
            [message] = [item for item in budi.receive() if isinstance(item, Message)]
            budi.accept("whatsapp:ana")
            assert isinstance(message.content, Media)
            attachment = message.content.attachment
            with pytest.raises(Away):
                budi.download(attachment, got, progress=leave_at(1_000_000))
        with pytest.raises(BackendError):
            budi.download(attachment, got)
        with LiveService(relay, port=port):
            places.clear()
            budi.download(attachment, got, progress=lambda there, of: places.append(there))
            assert places[0] >= 1_000_000
            assert got.read_bytes() == photo.read_bytes()
            upload.cancel()
            with pytest.raises(BlobGone):
                store.get_blob(attachment.blob_id, 0, 1)
        backend.close()


def leave_at(place: int) -> Callable[[int, int], None]:
    def progress(there: int, of: int) -> None:
        if there >= place:
            raise Away

    return progress


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

# SPDX-License-Identifier: Apache-2.0
"""What the benchmark of the service is made of: services, devices, calls that wait."""

import asyncio
import base64
import contextlib
import hashlib
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import uvicorn
from urllib3 import HTTPConnectionPool

from benchmarks.served import create_measured_app
from e2ecross import Address, Client, Device, Envelope, MessageKind
from e2ecross.client.backend import Backend
from e2ecross.relay import Relay
from e2ecross.service.serving import Listening, bind
from e2ecross.stores import SQLiteStore
from e2ecross.wire.service_mail import FetchRequest

__all__ = [
    "BUDI",
    "Post",
    "Waiters",
    "bare_connection",
    "envelopes",
    "in_thread",
    "new_client",
    "process",
    "process_cpu_seconds",
    "register",
    "token",
]

BUDI: Final = Address("instagram", "budi")
_PAYLOAD_BYTES: Final = 400
Post = Callable[[str, bytes, Mapping[str, str]], bytes]


def token(address: Address) -> bytes:
    """A token that is a function of the address."""
    return hashlib.sha256(f"token {address}".encode()).digest()


def register(backend: Backend, *addresses: Address) -> None:
    """Register devices."""
    for address in addresses:
        backend.register(address, token(address))


def envelopes(sender: Address, round_: int, count: int, recipient: Address = BUDI) -> list[bytes]:
    """Envelopes of a text each; no two rounds have one in common."""
    return [
        Envelope(
            hashlib.sha256(f"{sender} {round_} {number}".encode()).digest()[:16],
            sender,
            recipient,
            MessageKind.SIGNAL,
            b"\x01" * _PAYLOAD_BYTES,
        ).encode()
        for number in range(count)
    ]


def new_client(folder: Path, name: str, backend: Backend) -> Client:
    """A registered client with a store on disk."""
    store = SQLiteStore(folder / f"{name}.db")
    client = Client(Device.create(Address("whatsapp", name), store), backend)
    client.register()
    return client


@contextlib.contextmanager
def process(path: Path, commit_ms: float = 0) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The service of `benchmarks.served` in a process of its own; its URL, and the process."""
    command = [sys.executable, "-m", "benchmarks.served", str(path), "--commit-ms", str(commit_ms)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None  # noqa: S101
        yield child.stdout.readline().split()[-1], child
    finally:
        child.terminate()
        child.wait(30)
        if child.stdout is not None:
            child.stdout.close()


@contextlib.contextmanager
def in_thread(path: Path) -> Iterator[tuple[str, Relay]]:
    """A service in a thread of this process; its URL, and its relay."""
    with Relay(path) as relay:
        app = create_measured_app(relay)
        bound, url = bind(Listening(port=0))
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_keep_alive=75)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([bound])))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield url, relay
        finally:
            server.should_exit = True
            thread.join()
            bound.close()


@contextlib.contextmanager
def bare_connection(url: str) -> Iterator[Post]:
    """Post over one kept connection by urllib3 alone: path, body, headers; returns the answer."""
    host, _, port = url.rpartition("/")[2].rpartition(":")
    with HTTPConnectionPool(host, int(port)) as pool:

        def post(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
            answer = pool.urlopen("POST", path, body, headers, retries=False)
            if answer.status != 200:
                raise RuntimeError(f"status {answer.status}")
            return answer.data

        yield post


def process_cpu_seconds(pid: int) -> float:
    """How much processor time the threads of a process have used that still run."""
    times = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text("ascii").split()[0]) for each in times) / 1e9


class Waiters(threading.Thread):
    """Connections with a call that waits each; notes when each was answered."""

    def __init__(self, url: str, devices: Sequence[Address]) -> None:
        super().__init__(daemon=True)
        self.ended: dict[Address, float] = {}
        self._selector = selectors.DefaultSelector()
        self._over = False
        host, _, port = url.rpartition("/")[2].rpartition(":")
        for device in devices:
            connection = socket.create_connection((host, int(port)))
            connection.sendall(_request(device))
            self._selector.register(connection, selectors.EVENT_READ, device)

    def run(self) -> None:
        """Note until it is closed."""
        while not self._over:
            for key, _ in self._selector.select(0.1):
                now = time.perf_counter()
                connection = key.fileobj
                if isinstance(connection, socket.socket) and connection.recv(65536):
                    self.ended.setdefault(key.data, now)

    def close(self) -> None:
        """Close all of them."""
        self._over = True
        self.join()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()


def _request(device: Address) -> bytes:
    body = FetchRequest(device, 10, wait_ms=30_000).encode()
    text = base64.urlsafe_b64encode(token(device)).rstrip(b"=")
    return (
        b"POST /v1/fetch HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
        b"Content-Length: %d\r\nAuthorization: Bearer %b\r\n\r\n%b" % (len(body), text, body)
    )

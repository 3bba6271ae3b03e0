# SPDX-License-Identifier: Apache-2.0
"""A server that answers with any bytes, in any way: what may stand where a service should.

with HostileServer(says(200, b"...")) as server:
    HTTPBackend(server.url)
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

__all__ = ["HostileServer", "Script", "answer", "says", "trickles"]

_LONGEST_SECONDS: Final = 15.0
Script = Callable[[socket.socket], None]


class HostileServer:
    """Accepts connections; reads each request, and lets a script answer."""

    def __init__(self, *scripts: Script, context: ssl.SSLContext | None = None) -> None:
        self._scripts = list(scripts)
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self.requests: list[bytes] = []
        self.connections = 0
        scheme = "http" if context is None else "https"
        self.port: int = self._socket.getsockname()[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._thread.join(10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._open.append(connection)
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            while (request := _read_request(connection)) is not None:
                self.requests.append(request)
                script = self._scripts[min(len(self.requests), len(self._scripts)) - 1]
                script(connection)
        connection.close()


def _read_request(connection: socket.socket) -> bytes | None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return None
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(
    status: int,
    body: bytes = b"",
    *headers: str,
    length: int | None = None,
    kind: str = "application/x-protobuf",
) -> bytes:
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}", *headers]
    if length is None:
        length = len(body)
    if length >= 0:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def says(data: bytes, *, closes: bool = False) -> Script:
    """Answer with these bytes."""

    def script(connection: socket.socket) -> None:
        connection.sendall(data)
        if closes:
            connection.shutdown(socket.SHUT_RDWR)

    return script


def trickles(data: bytes, seconds: float) -> Script:
    """Answer with a byte every so many seconds, again and again, for a while."""

    def script(connection: socket.socket) -> None:
        ends = time.monotonic() + _LONGEST_SECONDS
        while time.monotonic() < ends:
            for at in range(len(data)):
                if time.monotonic() < ends:
                    connection.sendall(data[at : at + 1])
                    time.sleep(seconds)
        connection.shutdown(socket.SHUT_RDWR)

    return script

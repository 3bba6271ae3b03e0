# SPDX-License-Identifier: Apache-2.0
"""A socket before a PostgreSQL server that is cut when one likes, or speaks as a pooler does."""

import contextlib
import os
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["CutSocket"]

_NAME: Final = ".s.PGSQL.5432"
_SECONDS: Final = 30
_KEY_DATA: Final = b"K\0\0\0\x0c"  # how `BackendKeyData` begins; the pid follows


class CutSocket:
    """Hands bytes on, both ways, from a socket of its own.

    Args:
        server: the folder of the server's socket.
        is_pooler: whether clients are told another pid than the server's.

    Attributes:
        cut_before: asked with what a client sends: whether to cut the connection before it is
            handed on.
        cut_after: the same, after it was handed on and before anything comes back.
    """

    def __init__(self, server: Path, *, is_pooler: bool = False) -> None:
        self._server = str(server / _NAME)
        self._is_pooler = is_pooler
        self._folder = tempfile.TemporaryDirectory()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(os.path.join(self._folder.name, _NAME))
        self._listening.listen()
        self.cut_before: Callable[[bytes], bool] = lambda data: False
        self.cut_after: Callable[[bytes], bool] = lambda data: False
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def address(self, database: str = "postgres") -> str:
        """How it is reached."""
        return f"postgresql://relay@/{database}?host={self._folder.name}"

    def close(self) -> None:
        """Take no more connections, and wait for the end of those that there are."""
        self._listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_SECONDS)
        self._listening.close()
        self._folder.cleanup()

    def _start(self, run: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                for run, source, sink in (
                    (self._send, client, server),
                    (self._answer, server, client),
                ):
                    self._start(run, source, sink)

    def _send(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                if self.cut_before(data):
                    break
                if self.cut_after(data):
                    _cut(client)  # first: nothing comes back
                    server.sendall(data)
                    break
                server.sendall(data)
        _cut(client)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)  # what it was sent it may finish

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                client.sendall(self._as_pooler(data) if self._is_pooler else data)
        _cut(client)
        _cut(server)

    def _as_pooler(self, data: bytes) -> bytes:
        before, found, after = data.partition(_KEY_DATA)
        return before + found + bytes([0, 0, 0, 1]) + after[4:] if found else data


def _cut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()

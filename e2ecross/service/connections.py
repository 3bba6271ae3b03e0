# SPDX-License-Identifier: Apache-2.0
"""Connections to a back end that come to an end: every answer has a time for all of it.

Rules:
- The time of a call is for sending and the whole answer together: a server that sends a byte now
  and then holds nobody up.
- TLS 1.2 or later, with certificate and name checked; nothing turns that off.
- Nothing is taken from the environment: no proxy, no cookie, no password, no file for secrets.
- A call may be interrupted anywhere (a signal's handler raises): no lock stays taken, and what
  somebody had who is gone comes back.
"""

import http.client
import io
import itertools
import queue
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, cast

from e2ecross.service.extras import missing_extra

try:
    from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
    from urllib3.connection import HTTPConnection, HTTPSConnection
except ImportError as error:
    raise missing_extra("e2ecross.service.http_backend", "http") from error

__all__ = ["Place", "Places", "Pool", "call_of", "make_pool", "was_stale"]

_LOOK_SECONDS: Final = 0.05  # after which who waits looks again, if nothing wakes it
Pool = HTTPConnectionPool


class _Call(threading.local):
    """What this thread is asking.

    Attributes:
        ends: when its time is over, on the clock of `time.monotonic`.
        answer_seconds: how much of it there is at most once it is connected.
        has_begun: whether a byte of the answer has come.
        is_stale: whether a connection that was used before has ended without one.
    """

    ends = 0.0
    answer_seconds = 0.0
    has_begun = False
    is_stale = False


_call: Final = _Call()


@contextmanager
def call_of(connect_seconds: float, answer_seconds: float) -> Iterator[None]:
    """Let what this thread asks in the block take so long at most; connected, only the latter."""
    _call.ends = time.monotonic() + connect_seconds + answer_seconds
    _call.answer_seconds = answer_seconds
    _call.is_stale = False
    yield


def was_stale() -> bool:
    """Say whether the last attempt failed because a kept connection had been closed meanwhile."""
    return _call.is_stale


def _time_left() -> float:
    left = _call.ends - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time of the call is over")
    return left


class _TimedReader(io.RawIOBase):
    """Reads from a socket, for as long as the call may take."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - any buffer
        self._sock.settimeout(_time_left())
        count = self._raw.readinto(buffer)
        _call.has_begun = _call.has_begun or bool(count)
        return count

    def readall(self) -> bytes:
        """Refuse: whatever is read of an answer has a size."""
        raise http.client.HTTPException("an answer is read without a size")

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _TimedSocket:
    """What an `HTTPResponse` needs of a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._sock))


class _TimedResponse(http.client.HTTPResponse):
    """An answer that is read for as long as the call may take."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(cast("socket.socket", _TimedSocket(sock)), *args, **kwargs)


class _Timed(HTTPConnection):
    """A connection that sends for as long as the call may take, and knows when it is stale."""

    response_class = _TimedResponse
    _was_used = False
    _parts: list[bytes] | None = None

    def connect(self) -> None:
        self._was_used = False
        super().connect()

    def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as the class above
        _call.has_begun = _call.is_stale = False
        self._parts = []
        try:
            super().request(*args, **kwargs)
            parts, self._parts = self._parts, None
            if self.sock is None:
                self.connect()
            _call.ends = min(_call.ends, time.monotonic() + _call.answer_seconds)
            self.send(b"".join(parts))
        except ConnectionError:
            _call.is_stale = self._was_used
            raise
        finally:
            self._parts = None

    def send(self, data: Any) -> None:  # noqa: ANN401
        """Send; head and body of a request in one piece, which is one packet mostly."""
        if self._parts is not None:
            self._parts.append(data)
            return
        if self.sock is None:  # what another call had given back twice was closed
            raise ConnectionAbortedError
        self.sock.settimeout(_time_left())
        super().send(data)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        try:
            response = super().getresponse()
        except ConnectionError:  # RemoteDisconnected is one
            _call.is_stale = self._was_used and not _call.has_begun
            raise
        self._was_used = True
        return response


class _TimedTLS(_Timed, HTTPSConnection):
    """The same through TLS."""


class _Idle:
    """The connections of a pool that nobody uses: the last one comes first.

    urllib3 has a queue of Python's for that, and an interrupt may leave its lock taken for good.
    Here is no lock: what changes it is one step.
    """

    def __init__(self, maxsize: int) -> None:
        self._all: list[object] = []
        self._most = maxsize

    def get(self, block: bool = True, timeout: float | None = None) -> object:
        """Return one.

        Raises:
            queue.Empty: there is none; another one is made then.
        """
        try:
            return self._all.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, connection: object, block: bool = True, timeout: float | None = None) -> None:
        """Take one; a second time only once: who is interrupted may give it back again.

        Raises:
            queue.Full: there are as many as may be.
        """
        if connection is not None and any(each is connection for each in self._all):
            return
        if len(self._all) >= self._most:
            raise queue.Full
        self._all.append(connection)

    def qsize(self) -> int:
        """How many there are."""
        return len(self._all)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Timed
    QueueCls = _Idle  # type: ignore[assignment]


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TimedTLS
    QueueCls = _Idle  # type: ignore[assignment]


class Place:
    """Leave to ask, for as long as somebody holds it."""

    __slots__ = ("__weakref__",)


class Places:
    """Places for so many calls at once.

    Who comes stands in a line, and has a place when fewer than that are ahead. Who is gone is
    ahead of nobody, however it went: there is nothing to give back.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._numbers = itertools.count()
        self._line: dict[int, weakref.ref[Place]] = {}
        self._bells: dict[int, queue.SimpleQueue[None]] = {}  # of those who wait

    def take(self, seconds: float) -> Place | None:
        """Return a place; None: there was none for so long."""
        place, number = Place(), next(self._numbers)
        self._line[number] = weakref.ref(place, self._wake_next)
        if self._ahead_of(number) < self._count:
            return place
        end = time.monotonic() + seconds
        bell = self._bells[number] = queue.SimpleQueue()
        try:
            while self._ahead_of(number) >= self._count:
                left = end - time.monotonic()
                if left <= 0:
                    return None
                with suppress(queue.Empty):
                    bell.get(timeout=min(left, _LOOK_SECONDS))
                self._bells[number] = bell
        except BaseException:
            del place  # the traceback may be kept
            raise
        finally:
            self._bells.pop(number, None)
        return place

    def _wake_next(self, _: object) -> None:
        """Wake who has waited for longest; who is missed by an interrupt looks by itself."""
        bell = self._bells.pop(min(list(self._bells), default=-1), None)
        if bell is not None:
            bell.put(None)

    def _ahead_of(self, number: int) -> int:
        ahead = 0
        for other, place in self._line.copy().items():  # as they came: that was one step
            if other == number:
                break
            if place() is None:
                self._line.pop(other, None)
            else:
                ahead += 1
        return ahead


def make_pool(scheme: str, host: str, port: int, connections: int, ca_file: str | None) -> Pool:
    """Return connections to one host.

    Args:
        scheme: `http` or `https`.
        host: its name, or its address.
        port: its port.
        connections: how many are kept.
        ca_file: certificates that vouch for the host, in PEM; None: those of the system.

    Raises:
        OSError: `ca_file` cannot be read, or holds no certificate.
    """
    if scheme == "http":
        return _PlainPool(host, port, maxsize=connections)
    # Not that of `create_default_context`, which writes its secrets to $SSLKEYLOGFILE. This kind
    # checks certificate and name, too.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return _TLSPool(host, port, maxsize=connections, ssl_context=context)
